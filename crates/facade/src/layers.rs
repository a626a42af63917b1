//! The list of what every call meets, in one place: unary calls, streams, methods known only at run time, calls that
//! no handler answers, and calls from within the process.
//!
//! A layer is a file in `layers/` and a line here. What can be told from a call's head (a token, a budget) is looked at
//! in [`Layers::before`], before anything of its body is read; what needs the bytes of its message, in
//! [`Layers::before_decoding`]; what needs the message, in [`Layers::before_handler`]; what is kept of how it ended (a
//! line, a number, a record), in [`Layers::after`]. A refusal skips what stands behind it on the way in, and nothing on
//! the way out. A layer that takes something which must come back, also from a call whose caller goes away, puts a guard
//! into [`CallGuards`].

mod bounds;
mod deadline;
mod identify;
mod log;
mod responses;
mod shed;
mod trace;
mod validate;

use std::{num::NonZeroUsize, sync::Arc};

use clock::Clock;
use http::{HeaderMap, uri::PathAndQuery};
use metrics::Registry;
use proto::rules::Violation;

pub(crate) use self::{identify::Identity, shed::InFlight, trace::ServerSpan};
use self::{
    log::Log,
    shed::{Shed, Slot},
    trace::Unanswered,
};
use crate::{
    Call, Failure,
    budget::{Account, Budget},
    context::Context,
    dispatch::Method,
    end::End,
    log::{Calls, Scope},
    measures::CallMeasures,
};

/// The layers, with what they are set to and what they count. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    clock: Clock,
    budget: Budget,
    shed: Shed,
    log: Log,
    measures: CallMeasures,
}

/// What of a call comes before its message.
pub(crate) struct Head<'a> {
    pub(crate) path: &'a PathAndQuery,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) extensions: &'a http::Extensions,
}

/// The guards that a call holds until it is answered or dropped; a streaming call holds them until the stream is opened.
pub(crate) struct CallGuards {
    _slot: Option<Slot>,
    _span: Option<Unanswered>,
}

impl Layers {
    /// Layers that admit `limit` calls in flight, or any number where it is `None`, and log the calls that `calls` names.
    pub(crate) fn new(clock: Clock, calls: Calls, limit: Option<NonZeroUsize>) -> Self {
        let (shed, log) = (Shed::beyond(limit), Log::new(calls, clock.clone()));
        let measures = CallMeasures::new(&Registry::off());
        Self { clock, budget: Budget::default(), shed, log, measures }
    }

    /// The same, measured by this registry.
    pub(crate) fn measured_by(&self, metrics: &Registry) -> Self {
        Self { measures: CallMeasures::new(metrics), ..self.clone() }
    }

    /// What is measured of calls.
    pub(crate) fn measures(&self) -> &CallMeasures {
        &self.measures
    }

    /// The calls in flight.
    pub(crate) fn in_flight(&self) -> &Arc<InFlight> {
        self.shed.in_flight()
    }

    /// The same, within another budget.
    pub(crate) fn within(&self, budget: Budget) -> Self {
        Self { budget, ..self.clone() }
    }

    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The same, with another limit of calls in flight.
    pub(crate) fn shedding(&self, limit: Option<NonZeroUsize>) -> Self {
        Self { shed: Shed::beyond(limit), ..self.clone() }
    }

    /// On the way in, by the call's head alone; `method` is what its path names, where that is served behind the facade.
    pub(crate) fn before(
        &self,
        head: &Head<'_>,
        method: Option<&Method>,
    ) -> (Arc<Context>, Result<CallGuards, Failure>) {
        // These two refuse nothing, so that every refusal is told with its saga and trace.
        let (identity, trace) = (identify::before(head), trace::before(head));
        let span = trace::open(head, method, &trace, &identity);
        let purse = (self.budget.clone(), head.extensions.get::<Arc<Account>>().cloned());
        let timer = self.clock.timer();
        let mut context = Context::new(head.path.clone(), identity, (trace, span), timer, purse);
        let guards = self.admit(head, &mut context);
        (Arc::new(context), guards)
    }

    fn admit(&self, head: &Head<'_>, context: &mut Context) -> Result<CallGuards, Failure> {
        let slot = self.shed.before(head)?;
        responses::before(context)?;
        deadline::before(head, context)?;
        Ok(CallGuards { _slot: slot, _span: context.span().guard() })
    }

    /// On the way in, with the call's message as it came.
    pub(crate) fn before_decoding(&self, call: &Call, method: &Method) -> Result<(), Failure> {
        bounds::before(call, method)
    }

    /// On the way in, with the call's message and the rules that it breaks.
    pub(crate) fn before_handler(
        &self,
        call: &Call,
        method: &Method,
        violations: Vec<Violation>,
    ) -> Result<(), Failure> {
        log::before(call, method);
        validate::before(violations)
    }

    /// On the way out: once for each call that is answered, whoever answered it.
    pub(crate) fn after(&self, context: &Context, method: Option<&Method>, end: &End) {
        self.measures.answered(context, method.map(|method| &method.series), end);
        self.log.after(context, end);
        trace::after(context, end);
    }

    /// In the place of [`Layers::after`] for a call that is dropped before it is answered.
    pub(crate) fn cancelled(&self, context: &Context, method: Option<&Method>) {
        self.measures.cancelled(context, method.map(|method| &method.series));
    }

    /// What the call's log lines stand in.
    pub(crate) fn scope(context: &Arc<Context>) -> Scope {
        Scope::of(Arc::clone(context))
    }
}
