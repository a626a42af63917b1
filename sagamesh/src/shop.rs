//! The definitions of the shop whose services this binary has.

use orchestrator::Bundle;

/// What `dev` registers, and an orchestrator whose config names it.
pub const SHOP: Bundle = Bundle {
    name: "shop",
    files: &[
        ("place-order.yaml", include_str!("../definitions/place-order.yaml")),
        ("cancel-order.yaml", include_str!("../definitions/cancel-order.yaml")),
    ],
};
