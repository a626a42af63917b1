//! What a process tells of its work beside its log.

use std::{fmt, str::FromStr};

use http::Uri;
use metrics::Registry;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, Visitor},
};

/// How an address is written, for a cure.
const CURE: &str = "write HOST:PORT or http://HOST:PORT";

/// What a process tells of its work, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Where spans are sent, by OTLP over gRPC: `HOST:PORT` or `http://HOST:PORT`. No spans are made where it is left out.
    #[schemars(with = "Option<String>")]
    pub otlp: Option<OtlpAddress>,
    /// Which part of the traces that begin here are sent, from 0 to 1. A trace that comes with a call is sent or not as its
    /// caller has decided.
    #[schemars(with = "f64")]
    pub sample: SampleRatio,
    /// Whether anything is measured. Where it is `false` there is no `/metrics`.
    pub metrics: bool,
}

impl Telemetry {
    /// A registry for a process that is configured so.
    #[must_use]
    pub fn registry(&self) -> Registry {
        if self.metrics { Registry::new() } else { Registry::off() }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { otlp: None, sample: SampleRatio::default(), metrics: true }
    }
}

/// Where a collector takes OTLP over gRPC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtlpAddress(String);

impl OtlpAddress {
    /// `http://HOST:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OtlpAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for OtlpAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| Err(format!("{text:?} is no address: {why}; {CURE}"));
        let url = match text.split_once("://") {
            None => format!("http://{text}"),
            Some(("http", _)) => text.to_owned(),
            Some(("https", _)) => return refuse("there is no TLS yet"),
            Some(_) => return refuse("spans are sent by gRPC over http"),
        };
        let Ok(uri) = url.parse::<Uri>() else { return refuse("it cannot be read") };
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        if authority.contains('@') {
            return refuse("a user cannot stand in it");
        }
        if uri.port_u16().is_none_or(|port| port == 0) || uri.host().is_none_or(str::is_empty) {
            return refuse("it needs a host and a port");
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return refuse("nothing may stand behind the port");
        }
        Ok(Self(format!("http://{authority}")))
    }
}

impl<'de> Deserialize<'de> for OtlpAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A part of all, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SampleRatio(f64);

/// It is a number, so it equals itself.
impl Eq for SampleRatio {}

impl SampleRatio {
    /// The ratio, from 0 to 1.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Default for SampleRatio {
    fn default() -> Self {
        Self(0.05)
    }
}

impl TryFrom<f64> for SampleRatio {
    type Error = String;

    fn try_from(ratio: f64) -> Result<Self, String> {
        match (0.0..=1.0).contains(&ratio) {
            true => Ok(Self(ratio)),
            false => Err(format!("{ratio} is no ratio: write a number from 0 to 1, such as 0.05")),
        }
    }
}

impl<'de> Deserialize<'de> for SampleRatio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(Number)
    }
}

struct Number;

impl Visitor<'_> for Number {
    type Value = SampleRatio;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number from 0 to 1, such as 0.05")
    }

    fn visit_f64<E: Error>(self, ratio: f64) -> Result<SampleRatio, E> {
        ratio.try_into().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, ratio: u64) -> Result<SampleRatio, E> {
        self.visit_f64(ratio as f64)
    }

    fn visit_i64<E: Error>(self, ratio: i64) -> Result<SampleRatio, E> {
        self.visit_f64(ratio as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_and_without_its_scheme() {
        for text in ["127.0.0.1:4317", "http://127.0.0.1:4317", "http://127.0.0.1:4317/"] {
            assert_eq!(text.parse::<OtlpAddress>().unwrap().url(), "http://127.0.0.1:4317");
        }
        for text in ["collector.observe.svc:4317", "[::1]:4317"] {
            assert_eq!(text.parse::<OtlpAddress>().unwrap().url(), format!("http://{text}"));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write() {
        for (text, why) in [
            ("", "it cannot be read"),
            ("collector", "needs a host and a port"),
            (":4317", "needs a host and a port"),
            ("collector:0", "needs a host and a port"),
            ("collector:99999", "needs a host and a port"),
            ("collector:port", "needs a host and a port"),
            ("https://collector:4317", "there is no TLS yet"),
            ("unix:///run/otlp", "gRPC over http"),
            ("http://ada:secret@collector:4317", "a user cannot stand in it"),
            ("http://collector:4317/v1/traces", "nothing may stand behind the port"),
            ("two hosts:4317", "it cannot be read"),
        ] {
            let refused = text.parse::<OtlpAddress>().unwrap_err();
            assert!(refused.contains(why) && refused.ends_with(CURE), "{text}: {refused}");
        }
    }

    #[test]
    fn a_ratio_is_from_zero_to_one() {
        for ratio in [0.0, 0.05, 1.0] {
            assert_eq!(SampleRatio::try_from(ratio).map(SampleRatio::get), Ok(ratio));
        }
        for ratio in [-0.1, 1.000_1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(SampleRatio::try_from(ratio).unwrap_err().contains("from 0 to 1"), "{ratio}");
        }
    }
}
