//! The real binary, alive: `sagamesh dev` as a process, what it uses, and clients of the services in it.
//!
//! What the programs that work on a real process share: `chaos` and `abuse` start it and ask it, `bench` measures its own.

pub mod clients;
pub mod measure;
pub mod process;

pub use clients::Clients;
pub use process::{Installation, Process, Signal};
