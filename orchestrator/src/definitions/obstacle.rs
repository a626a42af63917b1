//! What stands in the way of registering a definition that is sound in itself.

use definition::{Compiled, Problem};
use facade::server::is_of_every_server;
use proto::facade::v1::Reason;

use crate::{
    handlers::saga_service,
    journal,
    registry::{Registered, Registry},
};

/// Why a sound definition cannot be registered: with the reason for a caller, and as a problem of its file.
#[derive(Debug)]
pub(crate) struct Obstacle {
    pub(crate) reason: Reason,
    pub(crate) problem: Problem,
}

impl Obstacle {
    /// The first that is found.
    pub(super) fn find(
        registry: &Registry,
        compiled: &Compiled,
        max_registered: usize,
    ) -> Option<Self> {
        let same_version = registry.find(compiled.name(), compiled.version());
        if let Some(known) = same_version.filter(|known| known.stored.hash != compiled.hash()) {
            return Some(Self::version_taken(registry, compiled, &known.stored));
        }
        Self::method_served(registry, compiled).or_else(|| {
            (registry.count() >= max_registered).then(|| full(compiled, max_registered))
        })
    }

    /// `stored` has the definition's name and version, and another source.
    pub(super) fn version_taken(
        registry: &Registry,
        compiled: &Compiled,
        stored: &journal::Definition,
    ) -> Self {
        let newest = registry.find(&stored.name, 0).map_or(0, |newest| newest.stored.version);
        let next = newest.max(stored.version).saturating_add(1);
        let what = format!(
            "{} version {} is registered with another content, and a registered definition never changes",
            stored.name, stored.version
        );
        let cure = format!("give this one the version {next}");
        Self::at(compiled, "version", Reason::AlreadyExists, what, cure)
    }

    /// Another definition, or the node itself, serves the method.
    pub(super) fn method_served(registry: &Registry, compiled: &Compiled) -> Option<Self> {
        let method = compiled.serves()?;
        let service = method.parent_service();
        let by_whom = if service.full_name() == saga_service::NAME
            || is_of_every_server(service.full_name())
        {
            "the node itself".to_owned()
        } else {
            let other = server_of(registry, method.full_name(), compiled.name())?;
            format!("the definition {}", other.stored.name)
        };
        let what = format!("{}/{} is served by {by_whom}", service.full_name(), method.name());
        let cure = "let this one serve another method, or archive the other definition".to_owned();
        Some(Self::at(compiled, "serves", Reason::MethodServed, what, cure))
    }

    /// A problem that stands at a key of the definition.
    fn at(compiled: &Compiled, key: &str, reason: Reason, what: String, cure: String) -> Self {
        let is_it = |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'));
        let line = compiled.source().lines().position(is_it).map_or(1, |index| index + 1);
        let file = compiled.file().to_owned();
        Self { reason, problem: Problem { file, line, column: 1, what, cure } }
    }
}

fn full(compiled: &Compiled, max_registered: usize) -> Obstacle {
    let what = format!("{max_registered} definitions are registered, and no more may be");
    let cure = "raise `definitions.max_registered`".to_owned();
    Obstacle::at(compiled, "saga", Reason::DefinitionsFull, what, cure)
}

/// The definition of another name whose newest version serves the method and is not archived.
fn server_of(registry: &Registry, method: &str, name: &str) -> Option<Registered> {
    let newest = registry.newest().into_iter();
    newest
        .filter(|known| known.stored.name != name)
        .find(|known| !known.is_archived() && known.serves(method))
}
