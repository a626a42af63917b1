//! The verbs of `SagaService` that are about definitions.

use std::{cmp::Reverse, sync::Arc};

use bytes::Bytes;
use facade::{Failure, Reply, page::Page};
use proto::{
    facade::v1::Reason,
    rules::Violation,
    saga::v1::{
        ArchiveDefinitionRequest, ArchiveDefinitionResponse, CheckDefinitionRequest,
        CheckDefinitionResponse, Definition, GetDefinitionRequest, GetDefinitionResponse,
        ListDefinitionsRequest, ListDefinitionsResponse, RegisterDefinitionRequest,
        RegisterDefinitionResponse, UnarchiveDefinitionRequest, UnarchiveDefinitionResponse,
    },
};

use super::view;
use crate::{
    definitions::{Definitions, Judged, NotRegistered, Offer, Unregistered, Verdict},
    describe::Beside,
    outbound::reflection,
    registry::Registered,
};

/// What problems call a source that was sent without a name.
const UNNAMED: &str = "definition.yaml";

/// Answers them.
pub(super) struct DefinitionHandlers {
    definitions: Arc<Definitions>,
}

/// By name, the newest version first; what is registered before what is not.
type Place = (String, Reverse<u32>, String);

impl DefinitionHandlers {
    pub(super) fn new(definitions: Arc<Definitions>) -> Self {
        Self { definitions }
    }

    pub(super) fn list(
        &self,
        request: &ListDefinitionsRequest,
    ) -> Result<Reply<ListDefinitionsResponse>, Failure> {
        let page = Page::<Place>::read(request.page_size, &request.page_token, &[])?;
        let unregistered = self.definitions.unregistered();
        let mut all: Vec<(Place, Listed<'_>)> =
            unregistered.iter().map(|file| (file_place(file), Listed::File(file))).collect();
        let registered = self.definitions.registry().all().into_iter();
        all.extend(registered.map(|one| (place(&one), Listed::Registered(one))));
        if let Some(cursor) = &page.cursor {
            all.retain(|(place, _)| place > cursor);
        }
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all.truncate(usize::try_from(page.fetch()).unwrap_or(usize::MAX));
        let (definitions, next_page_token) =
            page.cut(all, |(place, listed)| (place, listed.view()));
        Ok(ListDefinitionsResponse {
            definitions,
            next_page_token,
            ..ListDefinitionsResponse::default()
        }
        .into())
    }

    pub(super) fn get(
        &self,
        request: &GetDefinitionRequest,
    ) -> Result<Reply<GetDefinitionResponse>, Failure> {
        let GetDefinitionRequest { name, version } = request;
        let registered = self.definitions.registry().find(name, *version);
        let definition = match registered {
            Some(registered) => view::definition(&registered, true),
            None => {
                let unregistered = self.definitions.unregistered();
                let file = unregistered
                    .iter()
                    .find(|file| file.name == *name && (*version == 0 || file.version == *version));
                view::unregistered(file.ok_or_else(|| unknown(name, *version))?)
            }
        };
        let definition = Some(definition);
        Ok(GetDefinitionResponse { definition, ..GetDefinitionResponse::default() }.into())
    }

    pub(super) async fn register(
        &self,
        request: RegisterDefinitionRequest,
    ) -> Result<Reply<RegisterDefinitionResponse>, Failure> {
        let RegisterDefinitionRequest { source, file, descriptor_sets } = request;
        let Judged { verdict, .. } = self.judge(source, file, descriptor_sets).await?;
        let (registered, already_registered) = match verdict {
            Verdict::Known(known) => (known, true),
            Verdict::Sound(compiled) => {
                self.definitions.register(&compiled).await.map_err(failure)?
            }
            Verdict::Unsound(unsound) if unsound.is_waiting => {
                let what: Vec<String> =
                    unsound.problems.into_iter().map(|problem| problem.what).collect();
                return Err(Failure::new(Reason::ParticipantAway, what.join("; ")));
            }
            Verdict::Unsound(unsound) => {
                let violation = |problem: definition::Problem| Violation {
                    path: format!("source:{}:{}", problem.line, problem.column),
                    message: format!("{}; {}", problem.what, problem.cure),
                };
                let violations = unsound.problems.into_iter().map(violation);
                return Err(Failure::Invalid(violations.collect()));
            }
        };
        let definition = Some(view::definition(&registered, false));
        Ok(RegisterDefinitionResponse {
            definition,
            already_registered,
            ..RegisterDefinitionResponse::default()
        }
        .into())
    }

    pub(super) async fn check(
        &self,
        request: CheckDefinitionRequest,
    ) -> Result<Reply<CheckDefinitionResponse>, Failure> {
        let CheckDefinitionRequest { source, file, descriptor_sets } = request;
        let judged = self.judge(source, file.clone(), descriptor_sets).await?;
        let already_registered = matches!(judged.verdict, Verdict::Known(_));
        let (file, named) = (name_of(file), (judged.name.as_str(), judged.version));
        let definition = match judged.verdict {
            Verdict::Known(known) => view::definition(&known, false),
            Verdict::Sound(compiled) => match self.definitions.obstacle(&compiled) {
                Some(obstacle) => view::refused(&file, named, false, &[obstacle.problem]),
                None => view::sound(&compiled),
            },
            Verdict::Unsound(unsound) => {
                view::refused(&file, named, unsound.is_waiting, &unsound.problems)
            }
        };
        Ok(CheckDefinitionResponse {
            definition: Some(definition),
            already_registered,
            ..CheckDefinitionResponse::default()
        }
        .into())
    }

    pub(super) async fn archive(
        &self,
        request: ArchiveDefinitionRequest,
    ) -> Result<Reply<ArchiveDefinitionResponse>, Failure> {
        let ArchiveDefinitionRequest { name, version, reason } = request;
        let definition = Some(self.set_archived(&name, version, Some(reason)).await?);
        Ok(ArchiveDefinitionResponse { definition, ..ArchiveDefinitionResponse::default() }.into())
    }

    pub(super) async fn unarchive(
        &self,
        request: UnarchiveDefinitionRequest,
    ) -> Result<Reply<UnarchiveDefinitionResponse>, Failure> {
        let definition = Some(self.set_archived(&request.name, request.version, None).await?);
        Ok(UnarchiveDefinitionResponse { definition, ..UnarchiveDefinitionResponse::default() }
            .into())
    }

    async fn set_archived(
        &self,
        name: &str,
        version: u32,
        reason: Option<String>,
    ) -> Result<Definition, Failure> {
        let changed = self.definitions.archive(name, version, reason).await.map_err(failure)?;
        let changed = changed.ok_or_else(|| unknown(name, version))?;
        Ok(view::definition(&changed, false))
    }

    async fn judge(
        &self,
        source: String,
        file: String,
        descriptor_sets: Vec<Vec<u8>>,
    ) -> Result<Judged, Failure> {
        let sets = descriptor_sets.into_iter().map(Bytes::from).collect();
        let offer = Offer { file: name_of(file), source, beside: Beside::Sets(sets) };
        let judged = self.definitions.judge(vec![offer], reflection::LIMIT).await.pop();
        judged.ok_or_else(|| Failure::internal("an offer was not judged"))
    }
}

fn name_of(file: String) -> String {
    if file.is_empty() { UNNAMED.to_owned() } else { file }
}

fn unknown(name: &str, version: u32) -> Failure {
    let version = if version == 0 { String::new() } else { format!(" version {version}") };
    let message = format!("no definition {name}{version} is registered");
    Failure::new(Reason::DefinitionUnknown, message)
}

fn failure(not_registered: NotRegistered) -> Failure {
    match not_registered {
        NotRegistered::Obstacle(obstacle) => {
            let definition::Problem { what, cure, .. } = obstacle.problem;
            Failure::new(obstacle.reason, format!("{what}; {cure}"))
        }
        NotRegistered::Journal(error) => Failure::unavailable(error),
    }
}

/// An entry of the list.
enum Listed<'a> {
    Registered(Registered),
    File(&'a Unregistered),
}

impl Listed<'_> {
    fn view(&self) -> Definition {
        match self {
            Self::Registered(registered) => view::definition(registered, false),
            Self::File(file) => view::unregistered(file),
        }
    }
}

fn place(registered: &Registered) -> Place {
    (registered.stored.name.clone(), Reverse(registered.stored.version), String::new())
}

fn file_place(file: &Unregistered) -> Place {
    (file.name.clone(), Reverse(file.version), file.file.clone())
}
