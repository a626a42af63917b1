//! Durations in a config: a whole number and a unit, `10s`. For `#[serde(with = ..)]`.

use std::time::Duration;

use clock::duration;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Writes it as it is read.
///
/// # Errors
/// The serializer's.
pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&duration::text(*value))
}

/// Reads it.
///
/// # Errors
/// A sentence with the cure where it is none.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    duration::parse(&text).map_err(|what| D::Error::custom(format!("{what}: {}", duration::CURE)))
}
