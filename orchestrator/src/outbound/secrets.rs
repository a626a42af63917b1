//! The metadata that go with every call to a participant, read again while the node runs: tokens in files are exchanged.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use clock::Clock;
use http::HeaderMap;
use tokio::task::spawn_blocking;

use super::Participants;
use crate::config::Metadata;

/// How long after a file was exchanged its value is sent at the latest.
const REFRESH: Duration = Duration::from_secs(10);

/// Metadata and where they come from.
#[derive(Debug)]
pub(super) struct Secrets {
    source: Metadata,
    entries: ArcSwap<HeaderMap>,
}

impl Secrets {
    /// Reads them.
    ///
    /// # Errors
    /// A sentence that begins with the entry's name.
    pub(super) fn read(source: &Metadata) -> Result<Self, String> {
        let entries = ArcSwap::from_pointee(source.read()?);
        Ok(Self { source: source.clone(), entries })
    }

    /// As they are sent now.
    pub(super) fn entries(&self) -> Arc<HeaderMap> {
        self.entries.load_full()
    }

    /// Whether a value comes from a file.
    pub(super) fn has_files(&self) -> bool {
        self.source.has_files()
    }

    /// Reads the files again. One that cannot be read leaves all values as they were.
    fn refresh(&self) -> Result<(), String> {
        let read = self.source.read()?;
        if read != **self.entries.load() {
            self.entries.store(Arc::new(read));
        }
        Ok(())
    }
}

/// Reads the files that participants' metadata come from, again and again.
pub(crate) async fn keep_fresh(participants: Participants, clock: Clock) {
    let mut failures = Vec::new();
    loop {
        clock.sleep(REFRESH).await;
        let known = participants.clone();
        let Ok(now) = spawn_blocking(move || refresh(&known)).await else { continue };
        for failure in now.iter().filter(|failure| !failures.contains(*failure)) {
            let (setting, why) = failure;
            tracing::warn!(setting, why, "the values that were read before are sent on");
        }
        failures = now;
    }
}

/// The settings that could not be read, each with the reason.
fn refresh(participants: &Participants) -> Vec<(String, String)> {
    let with_files = participants.secrets();
    let with_files = with_files.iter().filter(|(_, secrets)| secrets.has_files());
    let refreshed = with_files.map(|(service, secrets)| (service, secrets.refresh()));
    refreshed
        .filter_map(|(service, read)| {
            Some((format!("participants.{service}.metadata"), read.err()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use clock::Timestamp;
    use serde_json::json;
    use tonic::service::Routes;

    use super::*;

    const SERVICE: &str = "work.v1.Work";

    fn sent(participants: &Participants) -> String {
        let metadata = participants.find(SERVICE).unwrap().metadata().unwrap();
        metadata["authorization"].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_token_that_is_exchanged_is_sent_and_one_that_cannot_be_read_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "first").unwrap();
        let (clock, time) = Clock::manual(Timestamp(0));
        let participants = Participants::new(clock.clone());
        participants.add_in_process(SERVICE, Routes::default());
        let metadata = json!({ "authorization": { "file": token } });
        let metadata = serde_json::from_value(metadata).unwrap();
        participants.add_metadata(SERVICE, &metadata).unwrap();
        assert!(participants.have_secrets_in_files());
        assert_eq!(sent(&participants), "first");

        let fresh = tokio::spawn(keep_fresh(participants.clone(), clock));
        let refreshed = async || {
            // The next round waits when the one before has read the files.
            time.advance_to_next().await;
            while time.waiting() == 0 {
                tokio::task::yield_now().await;
            }
        };
        std::fs::write(&token, "second\n").unwrap();
        refreshed().await;
        assert_eq!(sent(&participants), "second");
        std::fs::remove_file(&token).unwrap();
        refreshed().await;
        assert_eq!(sent(&participants), "second");
        std::fs::write(&token, "third").unwrap();
        refreshed().await;
        assert_eq!(sent(&participants), "third");
        fresh.abort();
    }
}
