//! The `sagamesh` binary.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// The small, short-lived messages of a call are a fifth of its CPU time with the C library's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A stream, a task and a thread's heap take what they use, and not 2 MiB each: a process that does nothing has two thirds
/// of the memory. What is in use is small and much of it, which huge pages serve little.
fn without_huge_pages() {
    #[cfg(target_os = "linux")]
    // A kernel without them has nothing to switch off.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

// One thread: a call costs half the CPU time that it costs when threads take tasks from each other. The databases have
// threads of their own.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    without_huge_pages();
    sagamesh::main_with(std::env::args_os()).await
}
