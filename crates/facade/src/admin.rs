//! The admin listener: health for people and probes, beside what operators look at. It asks nobody who they are.
//!
//! `/livez` says that the process runs, and depends on nothing else: a process whose database is away must not be started
//! again for it. `/readyz` says whether it can take work, and what keeps it from that. `/metrics` is there
//! where the process measures anything, from its first moment to its last.

use std::iter;

use axum::{
    Router,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header::CONTENT_TYPE};
use metrics::Registry;
use tonic::service::Routes;

use crate::{health::Health, readiness::Readiness};

const INDEX: &str = "\
/livez    the process runs
/readyz   it can take work
/metrics  what it measures, unless telemetry.metrics is false
grpc.health.v1.Health  the first two over gRPC
";

/// A role of the process, as the admin listener shows it.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) name: &'static str,
    pub(crate) health: Health,
    pub(crate) readiness: Readiness,
}

/// What is served on the admin listener.
pub(crate) fn router(roles: Vec<Role>, metrics: Registry, health: Routes) -> Router {
    let measured = match metrics.is_on() {
        true => Router::new().route("/metrics", get(async move || scrape(metrics).await)),
        false => Router::new(),
    };
    health
        .into_axum_router()
        .route("/", get(async || INDEX))
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(async move || readyz(&roles)))
        .merge(measured)
        // gRPC clients get it too, and take it for UNIMPLEMENTED.
        .fallback(async || (StatusCode::NOT_FOUND, INDEX))
}

/// Written on a thread beside the event loop: thousands of series take milliseconds.
async fn scrape(metrics: Registry) -> Response {
    metrics.prepare().await;
    match tokio::task::spawn_blocking(move || metrics.encode()).await {
        Ok(scraped) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], scraped).into_response(),
        Err(panicked) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("{panicked}\n")).into_response()
        }
    }
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
