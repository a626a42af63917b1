//! Whether a peer is alive: what comes from it while calls are under way on a connection.
//!
//! A connection with calls under way from which nothing comes is asked by one PING. gRPC's own servers close a connection
//! that is pinged more than twice without an answer to a call between, so there is never a second one in a silence.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use futures::task::noop_waker_ref;
use h2::{Ping, PingPong};

/// How often connections are looked at.
pub(super) const TICK: Duration = Duration::from_millis(500);
/// How many ticks the answer to a PING is waited for.
const PONG_TICKS: u32 = 2;

/// What the calls of a connection noticed of their peer.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// Something was received since the last tick.
    heard: AtomicBool,
    /// Something was received at all.
    is_proven: AtomicBool,
    /// How many calls timed out since something was last received.
    unanswered: AtomicU32,
}

impl Signs {
    /// Something of an answer was received.
    pub(super) fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
        self.is_proven.store(true, Ordering::Relaxed);
        self.unanswered.store(0, Ordering::Relaxed);
    }

    /// Whether a call was answered on the connection.
    pub(super) fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Relaxed)
    }

    /// A call timed out. Gives how many did in a row.
    pub(super) fn timed_out(&self) -> u32 {
        self.unanswered.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }
}

/// The watch over one connection.
#[derive(Debug)]
pub(super) struct Watch {
    /// `None` where `h2` has none to give.
    pings: Option<PingPong>,
    /// How many ticks in a row there were calls under way and nothing was received.
    silent_ticks: u32,
    /// A PING was sent since something was last received.
    is_asked: bool,
    /// It was answered.
    is_alive: bool,
}

/// Why a connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// A PING was not answered.
    Ping,
    /// Some calls in a row timed out, and nothing came between.
    TimeOuts,
}

/// What a tick has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Something was received.
    Heard,
    /// Nothing, and nothing follows from it yet.
    Nothing,
    /// The peer does not answer a PING either.
    Hung,
}

impl Watch {
    pub(super) fn new(pings: Option<PingPong>) -> Self {
        Self { pings, silent_ticks: 0, is_asked: false, is_alive: false }
    }

    /// Calls have been under way for a while, and nothing is received.
    pub(super) fn is_silent(&self) -> bool {
        self.silent_ticks > 1
    }

    pub(super) fn tick(&mut self, signs: &Signs, calls: usize) -> Sign {
        if signs.heard.swap(false, Ordering::Relaxed) {
            (self.silent_ticks, self.is_asked, self.is_alive) = (0, false, false);
            return Sign::Heard;
        }
        if calls == 0 {
            self.silent_ticks = 0;
            return Sign::Nothing;
        }
        self.silent_ticks = self.silent_ticks.saturating_add(1);
        self.is_alive |= self.is_asked && self.has_pong();
        // At the first silent tick a call may have begun just before.
        if self.silent_ticks == 2 && !self.is_asked {
            self.is_asked = self.ask();
        }
        match self.is_asked && !self.is_alive && self.silent_ticks >= 2 + PONG_TICKS {
            true => Sign::Hung,
            false => Sign::Nothing,
        }
    }

    /// Whether a PING goes out. It does not while the answer to an earlier one is due, which came before what was heard.
    fn ask(&mut self) -> bool {
        self.has_pong();
        self.pings.as_mut().is_some_and(|pings| pings.send_ping(Ping::opaque()).is_ok())
    }

    fn has_pong(&mut self) -> bool {
        let mut context = Context::from_waker(noop_waker_ref());
        let pings = self.pings.as_mut();
        pings.is_some_and(|pings| matches!(pings.poll_pong(&mut context), Poll::Ready(Ok(_))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_silent_when_calls_are_under_way_for_a_while_and_nothing_comes() {
        let (signs, mut watch) = (Signs::default(), Watch::new(None));
        for (calls, heard, silent) in [
            (1, false, false),
            (1, false, true),
            (1, true, false),
            (1, false, false),
            (0, false, false),
            (2, false, false),
            (2, false, true),
        ] {
            if heard {
                signs.heard();
            }
            let sign = watch.tick(&signs, calls);
            assert_eq!(sign == Sign::Heard, heard);
            assert_eq!(watch.is_silent(), silent);
        }
    }

    #[test]
    fn time_outs_are_counted_until_something_is_heard() {
        let signs = Signs::default();
        assert_eq!((signs.timed_out(), signs.timed_out()), (1, 2));
        signs.heard();
        assert_eq!(signs.timed_out(), 1);
    }
}
