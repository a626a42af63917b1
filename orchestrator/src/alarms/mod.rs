//! What people are told of compensations that do not go well, without anything beside this process.
//!
//! A checker looks at the journal's counts every minute (`alarms.interval`). What it finds is a line in the log, a metric, and
//! where a webhook is set, a request to it. An alarm is told when it begins to hold, again after an hour
//! (`alarms.repeat`) as long as it holds, and when it is over. What holds is not kept on disk: a process that starts finds
//! it again by its first look.

mod board;
mod notice;
mod post;
mod rules;
mod webhook;

#[cfg(test)]
mod tests;

use clock::Clock;
use facade::process::Process;
use metrics::{Gauge, Registry};

use crate::{
    config::Alarms,
    journal::{self, Window},
};
use board::Board;
use webhook::{Counted, Outbox};

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    /// Too few of the window's compensations succeeded.
    CompensationSuccess,
    /// Too many sagas need a person.
    ManualBacklog,
    /// A compensation needs a person.
    CompensationStuck,
    /// A compensation takes too long, or took too long.
    CompensationSlow,
}

impl Alarm {
    const ALL: [Self; 4] = [
        Self::CompensationSuccess,
        Self::ManualBacklog,
        Self::CompensationStuck,
        Self::CompensationSlow,
    ];

    /// Its name in the log, in the metric and to the webhook.
    fn name(self) -> &'static str {
        match self {
            Self::CompensationSuccess => "compensation_success",
            Self::ManualBacklog => "manual_backlog",
            Self::CompensationStuck => "compensation_stuck",
            Self::CompensationSlow => "compensation_slow",
        }
    }
}

/// Puts the checker into the process' last stage, and beside it what posts to the webhook.
pub(crate) fn join(
    process: &mut Process,
    clock: Clock,
    journal: journal::Shared,
    node: String,
    settings: Alarms,
) {
    // Registered also where no webhook is set, so that every process has the same metrics.
    let counted = Counted::new(process.metrics());
    let outbox = settings.webhook.clone().map(|webhook| {
        let (outbox, delivery) = webhook::open(webhook, clock.clone(), node, counted);
        process.spawn_until_stop("the webhook of alarms", delivery.run());
        outbox
    });
    let checker = Checker::new(clock, journal, settings, outbox, process.metrics());
    process.spawn_until_stop("the alarms", checker.run());
}

struct Checker {
    clock: Clock,
    journal: journal::Shared,
    settings: Alarms,
    board: Board,
    outbox: Option<Outbox>,
    gauges: [(Alarm, Gauge); Alarm::ALL.len()],
}

impl Checker {
    fn new(
        clock: Clock,
        journal: journal::Shared,
        settings: Alarms,
        outbox: Option<Outbox>,
        registry: &Registry,
    ) -> Self {
        let help = "Whether the alarm holds: 1, or 0.";
        let gauges = registry.gauges("saga_alarm", help, ["alarm"]);
        let gauges = Alarm::ALL.map(|alarm| (alarm, gauges.with([alarm.name()])));
        let board = Board::new(settings.repeat);
        Self { clock, journal, settings, board, outbox, gauges }
    }

    async fn run(mut self) {
        loop {
            if let Err(error) = self.check().await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "alarms could not be looked at; it is tried again"
                );
            }
            self.clock.sleep(self.settings.interval).await;
        }
    }

    /// Looks once, and tells what has changed.
    async fn check(&mut self) -> Result<(), journal::Error> {
        let now = self.clock.now();
        let window = Window::until(now, self.settings.window);
        let compensations = self.journal.compensations(window, "").await?;
        let unfinished = self.journal.count_unfinished(now).await?;
        for reading in rules::readings(&self.settings, &compensations, &unfinished, now) {
            for (_, gauge) in self.gauges.iter().filter(|(alarm, _)| *alarm == reading.alarm) {
                gauge.set(f64::from(u8::from(reading.holds)));
            }
            let Some(notice) = self.board.look(reading, now) else { continue };
            notice.log();
            if let Some(outbox) = &self.outbox {
                outbox.post(notice);
            }
        }
        Ok(())
    }
}
