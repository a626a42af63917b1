//! Where the descriptors of a definition come from: its own files, the contracts that this program ships with, or the
//! participants themselves.

use std::path::{Path, PathBuf};

use clock::Clock;
use definition::{Compiled, Descriptors, Draft, Problem};

use crate::config::Participants;
use crate::outbound::{call::no_participant, reflection};

/// Finds descriptors.
pub(crate) struct Describer<'a> {
    pub(crate) clock: &'a Clock,
    /// Those that are asked by reflection.
    pub(crate) participants: &'a Participants,
    /// Descriptor files beside those that a definition names.
    pub(crate) files: &'a [PathBuf],
}

impl Describer<'_> {
    /// Checks a definition against descriptors; `folder` is what its `descriptors` are relative to.
    ///
    /// # Errors
    /// Every problem of the definition.
    pub(crate) async fn compile(
        &self,
        draft: Draft,
        folder: &Path,
    ) -> Result<Compiled, Vec<Problem>> {
        let mut descriptors = Descriptors::new();
        let mut unread = Vec::new();
        let own = draft.descriptor_files().map(|file| folder.join(file));
        for file in own.chain(self.files.iter().cloned()) {
            if let Err(error) = descriptors.add_file(&file) {
                unread.push(format!("{}: {error}", file.display()));
            }
        }
        let mut needed = draft.services();
        needed.extend(draft.served_service().map(str::to_owned));
        for service in &needed {
            self.describe(service, &mut descriptors, &unread).await;
        }
        draft.compile(&descriptors)
    }

    async fn describe(&self, service: &str, descriptors: &mut Descriptors, unread: &[String]) {
        if descriptors.has_service(service) {
            return;
        }
        // An address wins over what ships: `--participant` may put another service in the place of ours.
        if let Some(participant) = self.participants.get(service) {
            match reflection::describe(self.clock, service, &participant.address).await {
                Ok(pool) => descriptors.add_pool(pool),
                Err(why) => descriptors.undescribed(service, why),
            }
        } else if proto::descriptors().get_service_by_name(service).is_some() {
            descriptors.add_pool(proto::descriptors().clone());
        } else if unread.is_empty() {
            descriptors.undescribed(service, no_participant(service));
        } else {
            descriptors.undescribed(service, unread.join("; "));
        }
    }
}
