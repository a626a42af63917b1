//! A whole mesh in one process, in which everything can go wrong: scripted faults between the orchestrator and its
//! participants, crashes at every append of the journal, time that runs as fast as it can.

#![expect(clippy::expect_used, reason = "a test that cannot begin has failed")]

pub mod books;
pub mod cell;
pub mod crash;
pub mod fault;
pub mod mesh;
pub mod play;
pub mod script;

mod seam;

pub use cell::{Cell, Outcome, Report};
pub use crash::{CrashPoint, Side};
pub use fault::{Effect, Fault, Planned, Times};
pub use mesh::{Mesh, Wiring};
pub use play::Start;
pub use script::Script;
