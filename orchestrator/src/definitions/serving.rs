//! Which registered definition answers which method.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use facade::server::DynamicMethods;

use crate::{api::served::Served, driver::Driver, registry::Registered};

/// Serves the methods of the registered definitions, as they change.
pub(super) struct Serving {
    driver: Driver,
    methods: DynamicMethods,
    /// The content hash of the definition that each method is served by.
    served: Mutex<BTreeMap<String, String>>,
}

impl Serving {
    pub(super) fn new(driver: Driver, methods: DynamicMethods) -> Self {
        Self { driver, methods, served: Mutex::default() }
    }

    /// Serves each method by the definition that it is to be answered by now. One that no definition serves any more is
    /// answered all the same, with the reason.
    pub(super) fn update(&self) {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        for (method, registered) in servers(self.driver.registry().all()) {
            if served.get(&method) == Some(&registered.stored.hash) {
                continue;
            }
            let Some(descriptor) = registered.compiled.serves() else { continue };
            let service = descriptor.parent_service();
            self.methods.show(service.full_name(), service.parent_pool());
            let handler = Served::new(self.driver.clone(), &registered.compiled, descriptor);
            self.methods.serve(descriptor, handler);
            served.insert(method, registered.stored.hash.clone());
        }
    }
}

/// The definition that answers each method, by the method's full name: before all others one whose newest version serves it
/// and is not archived, and of these the one that was registered first. `all` has the newest version of a name first.
fn servers(all: Vec<Registered>) -> BTreeMap<String, Registered> {
    let rank = |registered: &Registered, is_newest: bool| {
        let stored = &registered.stored;
        (registered.is_archived() || !is_newest, stored.registered_at, stored.name.clone())
    };
    let mut servers = BTreeMap::new();
    let mut name_before = String::new();
    for registered in all {
        let is_newest = registered.stored.name != name_before;
        name_before.clone_from(&registered.stored.name);
        let Some(method) = registered.compiled.serves() else { continue };
        let candidate = (rank(&registered, is_newest), registered.clone());
        let method = method.full_name().to_owned();
        let best = servers.entry(method).or_insert_with(|| candidate.clone());
        // Of one definition the newest version that serves it, which came first.
        if candidate.0 < best.0 && best.1.stored.name != registered.stored.name {
            *best = candidate;
        }
    }
    servers.into_iter().map(|(method, (_, registered))| (method, registered)).collect()
}
