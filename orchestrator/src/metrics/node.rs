//! What a node holds at the moment, read when it is scraped. Nothing of the node is kept for it: a registry may outlive it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use metrics::{Readings, Registry as Measured};

use super::{StandingGauges, standing::number};
use crate::{
    api::watch::Watchers,
    definitions::Definitions,
    driver::{Context, Driver},
    registry::Registry,
};

/// As a gauge has it.
fn count(count: usize) -> f64 {
    number(u64::try_from(count).unwrap_or(u64::MAX))
}

/// A source that reads `of` for as long as there is one.
fn source<T: Send + Sync + 'static, const N: usize>(
    of: &Arc<T>,
    read: impl Fn(&T, &mut Readings<N>) + Send + Sync + 'static,
) -> impl Fn(&mut Readings<N>) + Send + Sync + 'static {
    let of = Arc::downgrade(of);
    move |readings| {
        if let Some(of) = of.upgrade() {
            read(&of, readings);
        }
    }
}

/// Measures what a driver holds, and where its sagas stand.
pub(crate) fn observe_driver(driver: &Driver, measured: &Measured) {
    let context = driver.context();
    sagas(context, driver.registry(), measured);
    participants(context, measured);
    contracts(context, driver.registry(), measured);
    standing(context, driver.registry(), measured);
}

/// Shows the definitions by which sagas begin, also where there is nothing to tell of them.
fn zeros(registry: &Registry, readings: &mut Readings<1>) {
    for name in registry.open_names() {
        readings.add([&name], 0.0);
    }
}

fn sagas(context: &Arc<Context>, registry: &Arc<Registry>, measured: &Measured) {
    let help = "Sagas that are active: begun, woken after a wait, or steering others";
    let inflight = measured.read_gauges("saga_inflight", help, ["room"]);
    inflight.read(source(context, |context: &Context, readings| {
        for room in context.admission.rooms() {
            readings.add([room.room], count(room.active));
        }
    }));
    let help = "How many sagas may be active in each room";
    let slots = measured.read_gauges("saga_slots", help, ["room"]);
    slots.read(source(context, |context: &Context, readings| {
        for room in context.admission.rooms() {
            readings.add([room.room], count(room.max));
        }
    }));
    let help = "Sagas that are active, by their definition";
    let active = measured.read_gauges("sagamesh_sagas_active", help, ["definition"]);
    active.read(source(registry, zeros));
    active.read(source(context, |context: &Context, readings| {
        for (definition, active) in context.admission.active_by_definition() {
            readings.add([&definition], count(active));
        }
    }));
    let help = "How long an append to the journal is expected to wait: what starts are refused by";
    let wait = measured.read_gauges("sagamesh_admission_wait_seconds", help, []);
    wait.read(source(context, |context: &Context, readings| {
        readings.add([], context.admission.pace().wait().as_secs_f64());
    }));
    let help = "Sagas that have a task";
    let tasks = measured.read_gauges("sagamesh_saga_tasks", help, []);
    tasks.read(source(context, |context: &Context, readings| {
        readings.add([], count(context.live.count()));
    }));
    let help = "Sagas that wait for an instant and have a task all the same";
    let waiting = measured.read_gauges("sagamesh_saga_tasks_waiting", help, []);
    waiting.read(source(context, |context: &Context, readings| {
        readings.add([], count(context.live.waiting()));
    }));
}

fn participants(context: &Arc<Context>, measured: &Measured) {
    const PARTICIPANT: [&str; 1] = ["participant"];
    let help = "1 where the last attempt that tells reached the participant, else 0";
    let up = measured.read_gauges("saga_participant_up", help, PARTICIPANT);
    up.read(source(context, |context: &Context, readings| {
        for (participant, traffic) in context.participants.traffic() {
            readings.add([&participant], count(usize::from(traffic.is_up)));
        }
    }));
    let help = "Attempts of calls to a participant, by what they came to";
    let attempts = measured.read_counters(
        "sagamesh_participant_attempts_total",
        help,
        ["participant", "result"],
    );
    attempts.read(source(context, |context: &Context, readings| {
        for (participant, traffic) in context.participants.traffic() {
            for (result, attempts) in traffic.ended {
                readings.add([&participant, result], number(attempts));
            }
        }
    }));
    let help = "Calls to a participant that are under way";
    let in_flight = measured.read_gauges("sagamesh_participant_in_flight", help, PARTICIPANT);
    in_flight.read(source(context, |context: &Context, readings| {
        let participants = &context.participants;
        let lines = BTreeMap::from_iter(participants.lines());
        for (participant, _) in participants.traffic() {
            // Within the process nobody waits.
            let calls = || participants.under_way(&participant);
            let in_flight = lines.get(&participant).map_or_else(calls, |line| line.in_flight);
            readings.add([&participant], count(in_flight));
        }
    }));
    let help = "Calls that wait in line for a participant";
    let in_line = measured.read_gauges("sagamesh_participant_in_line", help, PARTICIPANT);
    in_line.read(source(context, |context: &Context, readings| {
        for (participant, line) in context.participants.lines() {
            readings.add([&participant], count(line.waiting));
        }
    }));
    let help = "How many calls to a participant may be under way at the moment";
    let limit = measured.read_gauges("sagamesh_participant_limit", help, PARTICIPANT);
    limit.read(source(context, |context: &Context, readings| {
        for (participant, line) in context.participants.lines() {
            readings.add([&participant], count(line.limit));
        }
    }));
    let help = "How many calls to a participant may be under way at most";
    let max = measured.read_gauges("sagamesh_participant_limit_max", help, PARTICIPANT);
    max.read(source(context, |context: &Context, readings| {
        for (participant, line) in context.participants.lines() {
            readings.add([&participant], count(line.max));
        }
    }));
    let help = "For how long a participant is still left alone, as it asked";
    let left_alone =
        measured.read_gauges("sagamesh_participant_left_alone_seconds", help, PARTICIPANT);
    left_alone.read(source(context, |context: &Context, readings| {
        let now = context.clock.now();
        for (participant, line) in context.participants.lines() {
            let left = line.left_alone_until.map(|until| until.since(now)).unwrap_or_default();
            readings.add([&participant], left.as_secs_f64());
        }
    }));
}

fn contracts(context: &Arc<Context>, registry: &Arc<Registry>, measured: &Measured) {
    let help = "Differences between a definition's newest version and its participants' contracts";
    let drift = measured.read_gauges("sagamesh_definition_drift", help, ["definition"]);
    drift.read(source(registry, zeros));
    drift.read(source(context, |context: &Context, readings| {
        for (definition, differences) in &context.metrics.drift().by_definition {
            readings.add([definition], number(*differences));
        }
    }));
    let help = "Participants that could not be asked for their contracts the last time";
    let not_compared = measured.read_gauges("sagamesh_contracts_not_compared", help, []);
    not_compared.read(source(context, |context: &Context, readings| {
        readings.add([], count(context.metrics.drift().not_compared));
    }));
}

/// Asks the store where the sagas stand before each scrape.
fn standing(context: &Arc<Context>, registry: &Arc<Registry>, measured: &Measured) {
    let gauges = Arc::new(StandingGauges::new(context.clock.clone()));
    gauges.register(measured);
    let (context, registry) = (Arc::downgrade(context), Arc::downgrade(registry));
    measured.before_scrape(move || {
        let (gauges, context, registry) =
            (Arc::clone(&gauges), Weak::clone(&context), Weak::clone(&registry));
        Box::pin(async move {
            let (Some(context), Some(registry)) = (context.upgrade(), registry.upgrade()) else {
                return gauges.forget();
            };
            gauges.refresh(context, registry).await;
        })
    });
}

/// Counts the definitions, those of the node's files that are not registered included.
pub(crate) fn observe_definitions(definitions: &Arc<Definitions>, measured: &Measured) {
    let help = "Versions of definitions: registered, archived, and those of files that are pending or refused";
    let states = measured.read_gauges("sagamesh_definitions", help, ["state"]);
    states.read(source(definitions, |definitions: &Definitions, readings| {
        let registered = definitions.registry().all();
        let archived = registered.iter().filter(|known| known.is_archived()).count();
        let unregistered = definitions.unregistered();
        let pending = unregistered.iter().filter(|file| file.is_pending).count();
        readings.add(["registered"], count(registered.len() - archived));
        readings.add(["archived"], count(archived));
        readings.add(["pending"], count(pending));
        readings.add(["refused"], count(unregistered.len() - pending));
    }));
}

/// Counts the streams of events that are open.
pub(crate) fn observe_watchers(watchers: &Arc<Watchers>, measured: &Measured) {
    let help = "Streams of sagas' events that are open";
    let open = measured.read_gauges("sagamesh_saga_watchers", help, []);
    open.read(source(watchers, |watchers: &Watchers, readings| {
        readings.add([], count(watchers.count()));
    }));
}
