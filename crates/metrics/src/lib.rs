//! What a process measures: its families of metrics, the catalogue of them, and what a scrape gets.
//!
//! A process has one [`Registry`], which is handed on: there is no global one, since a test runs many nodes in one process.
//! A family is made where it is first asked for, and whoever asks for it again gets the same. A value is moved by a handle,
//! which is an atomic or a lock that nobody holds for long: get the handle once, when a method is mounted or a
//! participant added, and not for each call.
//!
//! Labels have a bound. No id, no key and nothing that a caller has written is ever one.

pub mod buckets;
pub mod exposition;
pub mod reference;

mod family;
mod preparation;
mod readings;
mod registry;

pub use family::{Counter, Counters, Gauge, Gauges, Handle, Histogram, Histograms, Series};
pub use preparation::Preparation;
pub use readings::{ReadCounters, ReadGauges, Readings};
pub use registry::{Description, Kind, Registry};

/// The content type of [`Registry::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
