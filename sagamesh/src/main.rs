//! The `sagamesh` binary.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    sagamesh::main_with(std::env::args_os()).await
}
