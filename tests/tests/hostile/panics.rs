//! Panics of the mesh: the facade turns a handler's into INTERNAL and a task's may go unseen, so each is counted.

use std::sync::{
    Once,
    atomic::{AtomicUsize, Ordering},
};

static SEEN: AtomicUsize = AtomicUsize::new(0);

/// Counts from now on every panic that is not a test's own.
pub(crate) fn watch() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let place = panic.location().map(std::panic::Location::file).unwrap_or_default();
            let tests = ["hostile", "tests/src", "kit"];
            if !tests.iter().any(|part| place.contains(part)) {
                SEEN.fetch_add(1, Ordering::Relaxed);
            }
            earlier(panic);
        }));
    });
}

/// Fails where anything in this process has panicked since [`watch`].
pub(crate) fn none() {
    assert_eq!(SEEN.load(Ordering::Relaxed), 0, "the mesh panicked: see above");
}
