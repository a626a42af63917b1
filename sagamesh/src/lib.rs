//! The one binary, as a library: the whole mesh in one process, and the command line.

pub mod mesh;
