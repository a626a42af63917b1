//! The definitions that ship with the program.

/// File name and source of each.
pub(crate) const DEFINITIONS: &[(&str, &str)] = &[
    ("place-order.yaml", include_str!("../definitions/place-order.yaml")),
    ("cancel-order.yaml", include_str!("../definitions/cancel-order.yaml")),
];
