//! Sagas as people see them: however many look at one, its journal is read once, and of a long one only what is new.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use facade::Failure;
use tokio::sync::Mutex as AsyncMutex;

use super::read::{self, SagaSnapshot};
use crate::driver::Driver;

/// Journals beyond this are kept as read when nobody looks.
const LONG: u64 = 100;
/// How many of them.
const KEPT: usize = 32;

/// What is being looked at.
#[derive(Default)]
pub(super) struct Looks {
    sagas: Mutex<HashMap<String, Arc<Look>>>,
}

/// One saga that is looked at.
#[derive(Default)]
struct Look {
    /// How many have asked.
    asked: AtomicU64,
    read: AsyncMutex<Option<Read>>,
}

struct Read {
    /// How many had asked when it began: what they ask for is in it.
    asked: u64,
    found: Arc<SagaSnapshot>,
}

impl Looks {
    /// A saga as it stands now or later.
    pub(super) async fn find(
        &self,
        driver: &Driver,
        saga_id: &str,
    ) -> Result<Arc<SagaSnapshot>, Failure> {
        // Dropped after the look, also where the caller goes away.
        let _tidy = Tidy { looks: self, saga_id };
        let look = Arc::clone(self.sagas().entry(saga_id.to_owned()).or_default());
        let turn = look.asked.fetch_add(1, Ordering::Relaxed) + 1;
        look.find(driver, saga_id, turn).await
    }

    /// Forgets what nobody looks at, but for some long ones.
    fn tidy(&self, saga_id: &str) {
        let mut sagas = self.sagas();
        let is_left = |look: &Arc<Look>| Arc::strong_count(look) == 1;
        let is_long = |look: &Arc<Look>| look.read.try_lock().is_ok_and(|read| is_long(&read));
        if sagas.get(saga_id).is_some_and(|look| is_left(look) && !is_long(look)) {
            sagas.remove(saga_id);
        }
        if sagas.len() > KEPT {
            let left = sagas.iter().find(|(other, look)| *other != saga_id && is_left(look));
            if let Some(left) = left.map(|(saga_id, _)| saga_id.clone()) {
                sagas.remove(&left);
            }
        }
    }

    fn sagas(&self) -> MutexGuard<'_, HashMap<String, Arc<Look>>> {
        self.sagas.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Tidy<'l> {
    looks: &'l Looks,
    saga_id: &'l str,
}

impl Drop for Tidy<'_> {
    fn drop(&mut self) {
        self.looks.tidy(self.saga_id);
    }
}

fn is_long(read: &Option<Read>) -> bool {
    let history = read.as_ref().and_then(|read| read.found.history.as_ref());
    history.is_some_and(|history| history.replayer.state.next_seq() > LONG)
}

impl Look {
    /// Those who ask while it is read wait for the next reading, and share that.
    async fn find(
        &self,
        driver: &Driver,
        saga_id: &str,
        turn: u64,
    ) -> Result<Arc<SagaSnapshot>, Failure> {
        let mut read = self.read.lock().await;
        if let Some(read) = read.as_ref().filter(|read| read.asked >= turn) {
            return Ok(Arc::clone(&read.found));
        }
        let asked = self.asked.load(Ordering::Relaxed);
        let before = read.as_ref().and_then(|read| read.found.history.as_ref());
        let before = before.map(|history| history.replayer.clone());
        let from = before.as_ref().map_or(0, |replayer| replayer.state.next_seq());
        let loaded = driver.journal().look(saga_id, from).await.map_err(Failure::unavailable)?;
        let loaded = loaded.ok_or_else(|| read::unknown_saga(saga_id))?;
        let mut found = read::read(driver, loaded, before).await?;
        // It may be large, and nobody is shown it.
        found.index_row.header.request = Bytes::new();
        let found = Arc::new(found);
        *read = Some(Read { asked, found: Arc::clone(&found) });
        Ok(found)
    }
}
