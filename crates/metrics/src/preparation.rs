//! What is done before a scrape is answered, for values that come from elsewhere than memory.

use std::{fmt, pin::Pin, sync::Arc};

use crate::Registry;

/// Work that a scrape waits for.
pub type Preparation = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is done before each scrape.
#[derive(Clone, Default)]
pub(crate) struct Preparations(Vec<Arc<dyn Fn() -> Preparation + Send + Sync>>);

impl Registry {
    /// Does this too before each scrape is answered, which waits for it: it must have a limit of time of its own. It is kept
    /// as long as the registry, so it must not hold what is to be closed before.
    pub fn before_scrape(&self, prepare: impl Fn() -> Preparation + Send + Sync + 'static) {
        if let Some(mut state) = self.state() {
            state.preparations.0.push(Arc::new(prepare));
        }
    }

    /// Does what is to be done before [`Registry::encode`].
    pub async fn prepare(&self) {
        let preparations = self.state().map(|state| state.preparations.clone());
        for prepare in preparations.unwrap_or_default().0 {
            prepare().await;
        }
    }
}

impl fmt::Debug for Preparations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Preparations").field(&self.0.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[test]
    fn what_is_to_be_done_before_a_scrape_is_done_each_time() {
        let registry = Registry::new();
        let counter = registry.counters("a_total", "A", []).with([]);
        let counting = counter.clone();
        registry.before_scrape(move || {
            counting.inc();
            Box::pin(ready(()))
        });
        for scrape in 1..3 {
            let prepared = std::pin::pin!(registry.prepare());
            let polled = prepared.poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!((polled, counter.value()), (Poll::Ready(()), scrape));
        }
    }
}
