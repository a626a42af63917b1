//! The databases of the mesh: whether they belong together when it starts, and that each notes how far the others are.

use std::{path::Path, time::Duration};

use clock::Clock;
use store::{Database, stamp::losses};

use super::OnLoss;
use crate::belonging;

/// How long a database may not have noted how far the others are, where it has nothing else to write.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);

/// The databases of the mesh, all of them.
pub(super) struct Together(pub(super) Vec<Database>);

impl Together {
    /// Checks what they have noted of each other, and lets each note the others from now on. Nothing may be written to
    /// them before.
    ///
    /// # Errors
    /// What does not belong together, where that is not accepted; they are closed then.
    pub(super) async fn join(&self, folder: &Path, on_loss: OnLoss) -> Result<(), String> {
        let found: Vec<_> = self.0.iter().map(|database| database.found().clone()).collect();
        let lost = belonging::sentences(folder, &losses(&found));
        if on_loss == OnLoss::Refuse && !lost.is_empty() {
            for database in &self.0 {
                database.close().await;
            }
            return Err(belonging::refusal(folder, &lost));
        }
        lost.iter().for_each(|loss| tracing::warn!(loss, "a loss was accepted"));
        for (index, database) in self.0.iter().enumerate() {
            let others = self.0.iter().enumerate().filter(|(other, _)| *other != index);
            database.belong_with(others.map(|(_, other)| other));
        }
        if !lost.is_empty() {
            for database in &self.0 {
                database.note().await.map_err(|error| facade::wire::causes(&error))?;
            }
        }
        Ok(())
    }

    /// Lets each database note how far the others are, where nothing is written to it that would.
    pub(super) async fn note_now_and_again(self, clock: Clock) {
        loop {
            clock.sleep(NOTE_INTERVAL).await;
            for database in &self.0 {
                // One that cannot be written to says so itself, and notes it with what is written next.
                let _ = database.note().await;
            }
        }
    }
}
