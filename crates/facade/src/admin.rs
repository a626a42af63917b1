//! The admin listener: health for people and probes, beside what operators look at. It asks nobody who they are.
//!
//! `/livez` says that the process runs, and depends on nothing else: a process whose database is away must not be started
//! again for it. `/readyz` says whether it can take work, and what keeps it from that.

use std::iter;

use axum::{Router, routing::get};
use http::StatusCode;
use tonic::service::Routes;

use crate::{health::Health, readiness::Readiness};

const INDEX: &str = "/livez   the process runs\n/readyz  it can take work\ngrpc.health.v1.Health  the same over gRPC\n";

/// A role of the process, as the admin listener shows it.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) health: Health,
    pub(crate) readiness: Readiness,
}

/// What is served on the admin listener.
pub(crate) fn router(roles: Vec<Role>, health: Routes) -> Router {
    health
        .into_axum_router()
        .route("/", get(async || INDEX))
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(async move || readyz(&roles)))
        // gRPC clients get it too, and take it for UNIMPLEMENTED.
        .fallback(async || (StatusCode::NOT_FOUND, INDEX))
}

/// What the roles lack while they can take work is told, and keeps nobody away.
fn readyz(roles: &[Role]) -> (StatusCode, String) {
    let missing = missing(roles);
    if missing.is_empty() {
        let lines = iter::once("ready".to_owned()).chain(of_each(roles, Readiness::lacks));
        return (StatusCode::OK, lines.collect::<Vec<_>>().join("\n") + "\n");
    }
    (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n")
}

/// What keeps the roles from taking work.
pub(crate) fn missing(roles: &[Role]) -> Vec<String> {
    of_each(roles, Readiness::missing)
}

/// The sentences of each role, with its name before them.
fn of_each(roles: &[Role], sentences: fn(&Readiness) -> Vec<String>) -> Vec<String> {
    let of_role = |Role { name, readiness, .. }: &Role| {
        sentences(readiness)
            .into_iter()
            .map(move |why| format!("{name}: {why}"))
            .collect::<Vec<_>>()
    };
    roles.iter().flat_map(of_role).collect()
}
