//! The upper bounds of histograms. What alerts compare with is a bound, or its share could not be told.

/// Seconds, for what lasts from moments to an hour: sagas and their compensations. Five minutes is where one alerts.
pub const LONG_SECONDS: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];

/// Seconds, for what is over within moments: steps, and work on a database.
pub const SHORT_SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Seconds, for calls: those of OpenTelemetry's conventions, and finer ones, since most calls here take less than 5 ms.
pub const RPC_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    7.5, 10.0,
];

/// How many were taken together.
pub const COUNTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
