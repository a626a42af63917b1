//! The catalogue as a page.

use std::fmt::Write;

use crate::Description;

const ABOUT: &str = "\
# Metrics

What `/metrics` of the admin listener has, in OpenMetrics' text, of every role and of `dev`: a process has what its roles
measure, and each family once. Durations are in seconds and fractions of one. A histogram is exposed as `NAME_bucket`,
`NAME_sum` and `NAME_count`; its buckets carry an exemplar `trace_id` where the call's trace is exported. No label is an id,
a key, or anything that a caller has written: an unknown method is `_OTHER`, and a reason that is not registered is `OTHER`.
`telemetry.metrics: false` measures nothing.

This page is written from what a process registers; a test tells when it is not the same any more.

| metric | type | labels | what it is |
| --- | --- | --- | --- |
";

/// The page of these families.
#[must_use]
pub fn page(catalogue: &[Description]) -> String {
    let mut page = ABOUT.to_owned();
    for Description { name, kind, labels, help } in catalogue {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a string does not fail.
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    page
}
