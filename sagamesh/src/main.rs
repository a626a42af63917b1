//! The `sagamesh` binary.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// The small, short-lived messages of a call are a fifth of its CPU time with the C library's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

// One thread: a call costs half the CPU time that it costs when threads take tasks from each other. The databases have
// threads of their own.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    sagamesh::main_with(std::env::args_os()).await
}
