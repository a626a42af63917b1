//! Clients that list whatever there is.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use proto::saga::v1::ListSagasRequest;
use tokio::task::JoinSet;

use super::sagas;
use crate::{
    attack::Setup,
    participant::Behaviour,
    target::{Tally, Target},
};

const CLIENTS: usize = 32;
/// More sagas than there is time for.
const MAX_SAGAS: usize = 1_000_000;

pub(crate) fn sagas_that_end() -> Setup {
    let saga = format!("{}    when: \"1 == 2\"\n", sagas::one_step("{}"));
    Setup { saga: Some((saga, Behaviour::Dead)), ..Setup::default() }
}

/// Starts as many sagas as it can in 20 s, and lists them all again and again.
pub(crate) async fn run(target: Arc<Target>) -> Result<()> {
    let time = Duration::from_secs(target.count(20, 2) as u64);
    let _ = target.clock.timeout(time, sagas::start_all(&target, MAX_SAGAS)).await;
    target.start_measuring();
    let listed = Arc::new(Tally::default());
    let _note =
        target.note_at_end(|| format!("{CLIENTS} clients read {} pages of 1,000", listed.sum()));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(list(Arc::clone(&target), Arc::clone(&listed)));
    }
    while clients.join_next().await.is_some() {}
    Ok(())
}

async fn list(target: Arc<Target>, listed: Arc<Tally>) {
    let mut page_token = String::new();
    loop {
        let request = ListSagasRequest { page_size: 1_000, page_token, ..Default::default() };
        match target.clients.sagas.clone().list_sagas(request).await {
            Ok(page) => page_token = page.into_inner().next_page_token,
            Err(_) => page_token = String::new(),
        }
        listed.add(1);
    }
}
