//! Where the descriptors of a definition come from: its own files, the contracts that this program ships with, or the
//! participants themselves.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clock::Clock;
use definition::{Compiled, Descriptors, Draft, Problem, Undescribed};

use crate::config::Participants;
use crate::outbound::reflection;

/// Finds descriptors.
pub(crate) struct Describer<'a> {
    pub(crate) clock: &'a Clock,
    /// Those that are asked by reflection.
    pub(crate) participants: &'a Participants,
    /// Descriptor files beside those that a definition names.
    pub(crate) files: &'a [PathBuf],
    /// Folders that imports begin at beside those that a definition names.
    pub(crate) import_roots: &'a [PathBuf],
}

/// What was found so far for one definition.
#[derive(Default)]
struct Found {
    descriptors: Descriptors,
    /// What is wrong with descriptor files.
    problems: Vec<Problem>,
    /// Addresses at which nothing could be asked. What is wrong there is told with the first service.
    unreachable: BTreeSet<String>,
}

impl Describer<'_> {
    /// Checks a definition against descriptors; `folder` is what its `descriptors` and `import_roots` are relative to.
    ///
    /// # Errors
    /// Every problem of the definition and of the descriptor files that it names.
    pub(crate) async fn compile(
        &self,
        draft: Draft,
        folder: &Path,
    ) -> Result<Compiled, Vec<Problem>> {
        let mut found = self.read_files(&draft, folder);
        let mut needed = draft.services();
        needed.extend(draft.served_service().map(str::to_owned));
        let packed: Vec<String> = draft.packed_messages().into_iter().collect();
        for service in &needed {
            self.describe(service, &packed, &mut found).await;
        }
        let compiled = draft.compile(&found.descriptors);
        if found.problems.is_empty() {
            return compiled;
        }
        found.problems.extend(compiled.err().unwrap_or_default());
        Err(found.problems)
    }

    fn read_files(&self, draft: &Draft, folder: &Path) -> Found {
        let mut found = Found::default();
        let roots = draft.import_roots().map(|root| folder.join(root));
        let roots: Vec<PathBuf> = roots.chain(self.import_roots.iter().cloned()).collect();
        let own = draft.descriptor_files().map(|file| folder.join(file));
        for file in own.chain(self.files.iter().cloned()) {
            if let Err(error) = found.descriptors.add_file(&file, &roots) {
                found.descriptors.incomplete();
                let problem = error.into_problem(&file);
                if !found.problems.contains(&problem) {
                    found.problems.push(problem);
                }
            }
        }
        found
    }

    /// Describes a service, and those of `messages` that its participant has.
    async fn describe(&self, service: &str, messages: &[String], found: &mut Found) {
        if found.descriptors.has_service(service) {
            return;
        }
        // An address wins over what ships: `--participant` may put another service in the place of ours.
        let undescribed = if let Some(participant) = self.participants.get(service) {
            let shown = participant.address.to_string();
            if found.unreachable.contains(&shown) {
                Undescribed::Told
            } else {
                let address = &participant.address;
                match reflection::describe(self.clock, service, messages, address).await {
                    Ok(pool) => return found.descriptors.add_pool(pool),
                    Err(failure) => {
                        if failure.is_of_address {
                            found.unreachable.insert(shown);
                        }
                        Undescribed::Because { why: failure.what, cure: failure.cure }
                    }
                }
            }
        } else if proto::descriptors().get_service_by_name(service).is_some() {
            return found.descriptors.add_pool(proto::descriptors().clone());
        } else if found.problems.is_empty() {
            no_address(service)
        } else {
            // A file that could not be read probably has it.
            Undescribed::Told
        };
        found.descriptors.undescribed(service, undescribed);
    }
}

fn no_address(service: &str) -> Undescribed {
    Undescribed::Because {
        why: format!("no participant is configured for {service}"),
        cure: format!(
            "name its address with --participant {service}=ADDRESS, or its .proto under `descriptors:`"
        ),
    }
}
