//! Which alarms hold, since when, and what people have been told of them.

use std::{collections::BTreeMap, time::Duration};

use clock::Timestamp;

use super::{
    Alarm,
    notice::{Notice, State},
    rules::Reading,
};

pub(super) struct Board {
    holding: BTreeMap<Alarm, Holding>,
    /// After how long what still holds is told again.
    repeat: Duration,
}

struct Holding {
    since: Timestamp,
    told_at: Timestamp,
}

impl Board {
    pub(super) fn new(repeat: Duration) -> Self {
        Self { holding: BTreeMap::new(), repeat }
    }

    /// What people are to be told now that this was read, if anything.
    pub(super) fn look(&mut self, reading: Reading, now: Timestamp) -> Option<Notice> {
        let (since, state) = match (self.holding.get_mut(&reading.alarm), reading.holds) {
            (None, false) => return None,
            (None, true) => {
                let begun = Holding { since: now, told_at: now };
                self.holding.insert(reading.alarm, begun);
                (now, State::Firing)
            }
            (Some(holding), true) => {
                if now.since(holding.told_at) < self.repeat {
                    return None;
                }
                holding.told_at = now;
                (holding.since, State::Firing)
            }
            (Some(holding), false) => {
                let since = holding.since;
                self.holding.remove(&reading.alarm);
                (since, State::Resolved)
            }
        };
        Some(Notice { reading, state, since, at: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_told_once_again_after_its_time_and_when_it_is_over() {
        let mut board = Board::new(Duration::from_mins(60));
        let mut look = |minute: u64, holds| {
            let reading = Reading {
                alarm: Alarm::ManualBacklog,
                holds,
                value: None,
                threshold: 10.0,
                definitions: BTreeMap::new(),
                text: String::new(),
            };
            let notice = board.look(reading, Timestamp(minute * 60_000));
            notice.map(|notice| (notice.state, notice.since.0 / 60_000))
        };
        assert_eq!(look(0, false), None);
        assert_eq!(look(1, true), Some((State::Firing, 1)));
        assert_eq!(look(2, true), None);
        assert_eq!(look(60, true), None);
        assert_eq!(look(61, true), Some((State::Firing, 1)), "an hour after it was told");
        assert_eq!(look(62, true), None);
        assert_eq!(look(63, false), Some((State::Resolved, 1)));
        assert_eq!(look(64, false), None);
        assert_eq!(look(65, true), Some((State::Firing, 65)), "it is another one");
    }
}
