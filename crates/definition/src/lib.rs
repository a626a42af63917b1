//! Definitions: a saga as a YAML file, checked when it is loaded and compiled once.
//!
//! [`Draft::parse`] reads the file, [`Draft::compile`] checks it against [`Descriptors`] and gives a
//! [`Compiled`] that the driver runs by, or every [`Problem`] of the file with its place and cure.
//! What compiles meets no unknown name and no wrong type when it runs; what is left are a saga's
//! own values ([`EvaluationError`]). Nothing in here knows of connections, of the store, or of any one service.

mod assign;
mod call;
mod chain;
mod check;
mod code;
mod compiled;
mod decline;
mod descriptors;
mod draft;
mod drift;
mod error;
mod evaluate;
mod expression;
mod facts;
mod fits;
mod input;
mod json;
pub mod load;
mod lower;
pub mod metadata;
mod meter;
mod output;
mod overrides;
mod packed;
mod parse;
mod path;
mod problem;
mod read;
mod scalar;
mod scope;
mod signatures;
mod size;
mod template;
mod typecheck;
mod types;
mod undo_with;
mod value;
mod wire;
mod words;
mod yaml;

pub use compiled::{Compiled, CompiledStep, Input, Method, Prepared, Target};
pub use descriptors::{
    Descriptors, Error as DescriptorsError, MissingDescriptor, SourceFault, Undescribed,
    pool_of_files, pool_of_set,
};
pub use draft::Draft;
pub use drift::{Change, Difference, Part};
pub use error::{ErrorKind, EvaluationError};
pub use facts::{Facts, Identity};
pub use input::InputProblem;
pub use json::InputError;
pub use meter::{MAX_BYTES, MAX_STEPS};
pub use output::{OutputError, Undecodable, decode_to_show};
pub use overrides::{Class, Overrides, is_reason};
pub use problem::{Position, Problem};
pub use undo_with::PreparedUndo;
pub use wire::{UnknownField, count_values, unknown_fields};
pub use yaml::MAX_SOURCE;
