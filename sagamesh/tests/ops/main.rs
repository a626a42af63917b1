//! What is shipped for Prometheus, Grafana and the collector: it asks for nothing but what the binary exports, and it works.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod catalogue;
mod dashboard;
mod prometheus;
mod promql;
mod receiver;
mod rules;
mod scraped;
mod shop;
mod tools;
