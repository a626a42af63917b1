//! What a definition itself says of a response: its `declined_if`, and whether a lookup has found something.

use definition::{Compiled, Method};
use proto::facade::v1::Reason::ExpressionFailed;
use saga::{Reason, StepId};

use super::classify::kept;

/// The definition's words on the responses of one method of a step.
#[derive(Clone, Copy, Debug)]
pub struct Judge<'a> {
    definition: &'a Compiled,
    step: StepId,
    method: Method,
    request: &'a [u8],
}

impl<'a> Judge<'a> {
    /// For the saga that was started with `request`; `None` where the definition says nothing of these responses.
    #[must_use]
    pub fn of(
        definition: &'a Compiled,
        step: StepId,
        method: Method,
        request: &'a [u8],
    ) -> Option<Self> {
        let judges = definition.step(step).judges_responses(method);
        judges.then_some(Self { definition, step, method, request })
    }

    /// Why the response is a decline; `None` where it is none.
    ///
    /// # Errors
    /// Why that cannot be told. The call was carried out, so it is neither done nor declined.
    pub(super) fn decline(&self, response: &[u8]) -> Result<Option<Reason>, Reason> {
        let Self { definition, step, method, request } = *self;
        match definition.judge_response((step, method), request, response) {
            Ok(Some(Reason { code, message })) => Ok(Some(Reason::new(code, kept(&message)))),
            Ok(None) => Ok(None),
            Err(fault) => Err(Reason::new(ExpressionFailed.code(), fault.to_string())),
        }
    }
}
