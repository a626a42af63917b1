//! What an attack is, and the list of all of them.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use futures::future::BoxFuture;

use crate::{
    attacks::*,
    participant::Behaviour,
    target::{Size, Target},
};

/// One way to make the mesh stop.
pub(crate) struct Attack {
    /// How it is chosen on the command line.
    pub(crate) name: &'static str,
    /// What it does.
    pub(crate) what: &'static str,
    pub(crate) bars: Bars,
    /// How long orders are placed beside it, in seconds, in the full form.
    pub(crate) seconds: u64,
    /// Whether the short form has it.
    pub(crate) in_short: bool,
    pub(crate) setup: fn() -> Setup,
    pub(crate) run: fn(Arc<Target>) -> BoxFuture<'static, Result<()>>,
}

/// What must hold while it goes on, and at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bars {
    /// Resident memory of the mesh, in MB.
    pub(crate) peak_mb: f64,
    pub(crate) p99: Duration,
    /// From SIGTERM to the end of the process.
    pub(crate) stop: Duration,
    /// Whether orders beside it may be refused with RESOURCE_EXHAUSTED: only where the attack is orders.
    pub(crate) refusals: bool,
}

/// What p99 may be in the short form. It is one of twenty orders there, on a machine that builds and tests something else:
/// only a stall shows.
const STALL: Duration = Duration::from_secs(5);

impl Bars {
    /// What must hold in an attack of this size.
    pub(crate) fn of(self, size: Size) -> Self {
        match size {
            Size::Full => self,
            Size::Short => Self { p99: STALL, ..self },
        }
    }
}

const DEFAULT_BARS: Bars = Bars {
    peak_mb: 256.0,
    p99: Duration::from_millis(500),
    stop: Duration::from_secs(10),
    refusals: false,
};

/// For one request that is as much work as a request can be.
const HEAVY_REQUEST_BARS: Bars = Bars { p99: Duration::from_secs(1), ..DEFAULT_BARS };

/// What the mesh is started with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// The saga [`crate::participant::SAGA`], and the participant that it calls.
    pub(crate) saga: Option<(String, Behaviour)>,
    /// Standard error is a pipe that nobody reads.
    pub(crate) unread_log: bool,
    /// What `limits.max_running` is in the short form: so low that few sagas reach it.
    pub(crate) max_running_in_short: Option<usize>,
}

const NO_SETUP: fn() -> Setup = Setup::default;

/// As most attacks are: the usual bars, ten seconds, no saga of their own, not in the short form.
const fn attack(
    name: &'static str,
    what: &'static str,
    run: fn(Arc<Target>) -> BoxFuture<'static, Result<()>>,
) -> Attack {
    Attack { name, what, bars: DEFAULT_BARS, seconds: 10, in_short: false, setup: NO_SETUP, run }
}

const fn short(attack: Attack) -> Attack {
    Attack { in_short: true, ..attack }
}

/// All of them, by what they are about.
pub(crate) const ATTACKS: &[Attack] = &[
    short(attack("at-rest", "nothing: what the machine does by itself", |target| {
        Box::pin(together::nothing(target))
    })),
    // Sagas that take room.
    short(Attack {
        seconds: 15,
        setup: sagas::many_on_dead_participant,
        ..attack("dead-participant", "10,000 sagas whose participant is a closed port", |target| {
            Box::pin(sagas::start_many(target))
        })
    }),
    Attack {
        seconds: 15,
        setup: sagas::in_attention,
        ..attack("attention", "10,000 sagas that wait for a person", |target| {
            Box::pin(sagas::start_many(target))
        })
    },
    Attack {
        bars: Bars { refusals: true, ..DEFAULT_BARS },
        seconds: 12,
        ..attack(
            "gone-callers",
            "20,000 orders in 6 s, three of four callers gone at once",
            |target| Box::pin(gone_callers::run(target)),
        )
    },
    // Bytes of requests.
    short(attack(
        "announced-bodies",
        "2,000 calls that announce 4 MiB and send one byte",
        |target| Box::pin(bodies::announced(target)),
    )),
    Attack {
        bars: HEAVY_REQUEST_BARS,
        ..attack("empty-elements", "requests of 2 million empty elements", |target| {
            Box::pin(elements::empty(target))
        })
    },
    short(Attack {
        bars: HEAVY_REQUEST_BARS,
        setup: sagas::on_dead_participant,
        ..attack("json-numbers", "a JSON array of 2 million numbers", |target| {
            Box::pin(elements::json(target))
        })
    }),
    short(attack("gzip-bombs", "bodies of 60 kB that unpack to 9 MB", |target| {
        Box::pin(bodies::gzip(target))
    })),
    attack("fuzzed-methods", "random paths, headers and bodies", |target| {
        Box::pin(bodies::fuzzed(target))
    }),
    short(Attack {
        setup: sagas::of_typed_input,
        ..attack("long-texts", "field names of 4 MB, long paths and headers", |target| {
            Box::pin(texts::long(target))
        })
    }),
    Attack {
        setup: sagas::on_dead_participant,
        ..attack("extremes", "durations and instants at the ends of their range", |target| {
            Box::pin(extremes::run(target))
        })
    },
    Attack {
        setup: sagas::on_dead_participant,
        ..attack("escapes", "a key with escape characters and a line break", |target| {
            Box::pin(texts::escapes(target))
        })
    },
    // Bytes of answers.
    short(Attack {
        seconds: 15,
        ..attack(
            "closed-window",
            "200 pages of 1,000 large orders for two connections that take nothing",
            |target| Box::pin(answers::closed_window(target)),
        )
    }),
    Attack {
        seconds: 15,
        ..attack("slow-readers", "200 connections that read a page a byte at a time", |target| {
            Box::pin(answers::slow_readers(target))
        })
    },
    short(Attack {
        setup: || Setup { unread_log: true, ..Setup::default() },
        ..attack(
            "unread-log",
            "calls that are refused, and a standard error that nobody reads",
            |target| Box::pin(unread_log::run(target)),
        )
    }),
    // Work.
    short(Attack {
        setup: expressions::nested,
        ..attack(
            "nested-maps",
            "a definition with nine maps over ten elements inside each other",
            |target| Box::pin(expressions::start_nested(target)),
        )
    }),
    Attack {
        setup: expressions::by_request,
        ..attack(
            "request-maps",
            "3 kB of request that make an innocent definition work for ever",
            |target| Box::pin(expressions::start_by_request(target)),
        )
    },
    Attack {
        setup: lists::sagas_that_end,
        ..attack("listing-clients", "32 clients that list many sagas, page by page", |target| {
            Box::pin(lists::run(target))
        })
    },
    short(Attack {
        setup: sagas::on_dead_participant,
        ..attack("waiters", "1,000 calls that wait for one saga", |target| {
            Box::pin(watchers::wait(target))
        })
    }),
    Attack {
        setup: sagas::on_dead_participant,
        ..attack("watchers", "2,000 streams that watch one saga", |target| {
            Box::pin(watchers::watch(target))
        })
    },
    Attack {
        setup: sagas::on_dead_participant,
        ..attack(
            "long-journal",
            "a saga paused and resumed to 7,000 records, and read by 16 clients",
            |target| Box::pin(watchers::read_long(target)),
        )
    },
    // Answers of a participant.
    short(Attack {
        setup: participants::answers_200_mib,
        ..attack("large-answers", "a participant that answers 200 MiB", |target| {
            Box::pin(participants::need_a_person(target))
        })
    }),
    Attack {
        setup: participants::answers_4_gib,
        ..attack("endless-answers", "a participant that answers without an end", |target| {
            Box::pin(participants::need_a_person(target))
        })
    },
    Attack {
        setup: participants::announces_1_gib,
        ..attack(
            "announced-answers",
            "a participant that announces 1.1 GiB and sends them",
            |target| Box::pin(participants::need_a_person(target)),
        )
    },
    Attack {
        setup: participants::fails_at_length,
        ..attack(
            "long-statuses",
            "a participant that fails with 1 MB of message and details",
            |target| Box::pin(participants::turn_back(target)),
        )
    },
    // Connections.
    short(Attack {
        seconds: 15,
        ..attack("silent-connections", "1,100 connections that say nothing", |target| {
            Box::pin(connections::silent(target))
        })
    }),
    Attack {
        seconds: 15,
        ..attack("half-handshakes", "1,100 connections that stop in their first words", |target| {
            Box::pin(connections::half_handshakes(target))
        })
    },
    attack("half-open", "10,000 calls whose body never comes", |target| {
        Box::pin(bodies::half_open(target))
    }),
    // Floods of frames.
    short(attack("ping-flood", "PING without end", |target| Box::pin(floods::ping(target)))),
    attack("unread-pings", "PING without end, and nothing of the answers is read", |target| {
        Box::pin(floods::unread_ping(target))
    }),
    attack("settings-flood", "SETTINGS without end", |target| Box::pin(floods::settings(target))),
    attack("continuation-flood", "headers that never end", |target| {
        Box::pin(floods::continuation(target))
    }),
    short(attack("rapid-reset", "calls that are taken back at once", |target| {
        Box::pin(floods::rapid_reset(target))
    })),
    attack("refused-calls", "calls without a message, as many as can be sent", |target| {
        Box::pin(floods::refused_calls(target))
    }),
    attack("window-updates", "WINDOW_UPDATE of nothing and of too much", |target| {
        Box::pin(floods::window_updates(target))
    }),
    attack("empty-data", "DATA frames with nothing in them", |target| {
        Box::pin(floods::empty_data(target))
    }),
    Attack {
        seconds: 15,
        ..attack(
            "together",
            "announced bodies, half-open calls, silent connections and random calls at once",
            |target| Box::pin(together::several(target)),
        )
    },
];
