//! The engine: what a saga's records come to, and what is to be done next. Pure: no clock, no randomness, no I/O.
//!
//! [`apply()`] folds records into a [`SagaState`] and refuses those that do not fit; [`decide()`] says from the state alone
//! what should be under way. A driver records what it is told, puts it on disk, makes the calls, and records their
//! answers. Recovery is the same loop, entered with a state that was replayed.
//!
//! ```
//! use std::time::Duration;
//! use saga::{
//!     Answer, Command, Definition, Event, Jitter, Record, Retry, SagaState, Status, Step, TimeRules, Timestamp, apply, decide,
//! };
//!
//! let step = Step {
//!     name: "freeze_stock".to_owned(), after: None, pivot: false, undo: true, conditional: false,
//!     timeout: Duration::from_secs(5), retry: Retry::call_default(), undo_retry: Retry::undo_default(),
//! };
//! let definition = Definition::new(vec![step], Duration::from_secs(30)).expect("it is sound");
//! let mut journal = vec![Event::Started { deadline: Timestamp(30_000), rules: TimeRules::CURRENT }];
//! let mut state = SagaState::new(&definition);
//! let mut seq = 0;
//! while let Some(event) = journal.pop() {
//!     let record = Record { seq, at: Timestamp(seq), event };
//!     apply(&mut state, &definition, &record).expect("the engine allows what it decided");
//!     seq += 1;
//!     for command in decide(&definition, &state, Timestamp(seq)) {
//!         journal.push(match command {
//!             Command::Prepare { step, .. } => Event::CallIntended { step, request: "of 1 tea".into() },
//!             Command::Record(event) => event,
//!             Command::Call { step, .. } => {
//!                 Event::CallAnswered { step, answer: Answer::Done { response: "frozen".into() }, jitter: Jitter(0) }
//!             }
//!             Command::Finish(outcome) => Event::Finished { outcome, reply: "".into() },
//!             Command::WaitUntil(_) => continue,
//!         });
//!     }
//! }
//! assert_eq!(state.status(), Status::Succeeded);
//! ```

mod answer;
mod apply;
mod command;
mod compensation;
mod decide;
mod definition;
mod event;
mod graph;
mod instants;
mod legal;
mod retry;
mod schedule;
mod standing;
mod state;
mod timestamp;

pub use answer::{Answer, Reason};
pub use apply::apply;
pub use command::Command;
pub use compensation::{Compensation, CompensationEnd};
pub use decide::decide;
pub use definition::{Definition, DefinitionFault, Direction, Step, StepId};
pub use event::{Cause, Event, Outcome, Record, TimeRules};
pub use graph::Graph;
pub use legal::IllegalEvent;
pub use retry::{Attempts, Jitter, Retry, RetryFault};
pub use state::{SagaState, Status, StepStatus, StepView, UnderWay};
pub use timestamp::Timestamp;
