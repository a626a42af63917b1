//! What people are told of an alarm: in the log, and by the webhook as JSON (docs/alarms.md).

use std::collections::BTreeMap;

use clock::Timestamp;
use facade::wire::instant;
use serde::{Serialize, Serializer};

use super::rules::Reading;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Firing,
    Resolved,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Notice {
    pub(super) reading: Reading,
    pub(super) state: State,
    /// When it was first seen to hold.
    pub(super) since: Timestamp,
    pub(super) at: Timestamp,
}

/// As the webhook gets it. Fields are added to this and neither removed nor renamed.
#[derive(Serialize)]
struct Message<'n> {
    alarm: &'static str,
    state: State,
    since: String,
    at: String,
    #[serde(serialize_with = "some_number")]
    value: Option<f64>,
    #[serde(serialize_with = "number")]
    threshold: f64,
    #[serde(serialize_with = "numbers")]
    definitions: &'n BTreeMap<String, f64>,
    node: &'n str,
    text: &'n str,
}

impl Notice {
    /// A line in the log: an error where the alarm holds.
    pub(super) fn log(&self) {
        let Reading { alarm, value, threshold, definitions, text, .. } = &self.reading;
        let (alarm, since) = (alarm.name(), instant(self.since).to_string());
        match self.state {
            State::Firing => {
                tracing::error!(alarm, value, threshold, since, ?definitions, "alarm: {text}");
            }
            State::Resolved => {
                tracing::warn!(alarm, value, threshold, since, "the alarm is over: {text}");
            }
        }
    }

    /// The body of the request to the webhook.
    pub(super) fn to_json(&self, node: &str) -> Result<Vec<u8>, serde_json::Error> {
        let Reading { alarm, value, threshold, definitions, text, .. } = &self.reading;
        serde_json::to_vec(&Message {
            alarm: alarm.name(),
            state: self.state,
            since: instant(self.since).to_string(),
            at: instant(self.at).to_string(),
            value: *value,
            threshold: *threshold,
            definitions,
            node,
            text,
        })
    }
}

/// A number that is whole is written without a point.
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        const WHOLE: f64 = 9_007_199_254_740_992.0;
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and no greater than 2^53")]
        match self.0.fract() == 0.0 && self.0.abs() <= WHOLE {
            true => serializer.serialize_i64(self.0 as i64),
            false => serializer.serialize_f64(self.0),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields so")]
fn number<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Number(*number).serialize(serializer)
}

fn some_number<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    number.map(Number).serialize(serializer)
}

fn numbers<S: Serializer>(
    numbers: &&BTreeMap<String, f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(numbers.iter().map(|(name, number)| (name, Number(*number))))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::alarms::Alarm;

    #[test]
    fn the_message_has_the_form_that_is_documented() {
        let notice = Notice {
            reading: Reading {
                alarm: Alarm::CompensationStuck,
                holds: true,
                value: Some(3.0),
                threshold: 0.0,
                definitions: [("place-order".to_owned(), 3.0), ("slow".to_owned(), 0.5)].into(),
                text: "3 compensations are stuck until a person acts".to_owned(),
            },
            state: State::Firing,
            since: Timestamp(1_795_886_600_250),
            at: Timestamp(1_795_886_660_250),
        };
        let body = notice.to_json("n").unwrap();
        let expected = json!({
            "alarm": "compensation_stuck",
            "state": "firing",
            "since": "2026-11-28T17:23:20.250Z",
            "at": "2026-11-28T17:24:20.250Z",
            "value": 3,
            "threshold": 0,
            "definitions": { "place-order": 3, "slow": 0.5 },
            "node": "n",
            "text": "3 compensations are stuck until a person acts",
        });
        let read: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read, expected);
        let documented = include_str!("../../../docs/alarms.md");
        for field in read.as_object().unwrap().keys() {
            assert!(documented.contains(&format!("`{field}`")), "{field} is not documented");
        }
        for alarm in Alarm::ALL {
            assert!(documented.contains(&format!("`{}`", alarm.name())), "{alarm:?}");
        }
    }
}
