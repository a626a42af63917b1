//! Texts that are too long to be repeated, or that are commands for a terminal.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use proto::saga::v1::{CancelSagaRequest, GetSagaRequest, ListSagasRequest};
use tokio::process::Command;
use tonic::{Code, Status};

use super::sagas;
use crate::{
    participant::SAGA,
    target::Target,
    wire::{self, RawConnection, Reading},
};

/// What a refusal may say of what was sent.
const ANSWER_BYTES: usize = 16 * 1024;
/// What twenty refused calls may write to the log.
const LOG_BYTES: u64 = 256 * 1024;

/// Names and values that come back in errors and in the log.
pub(crate) async fn long(target: Arc<Target>) -> Result<()> {
    target.start_measuring();
    let text = "x".repeat(4_000_000);
    let before = log_bytes(&target);
    for number in 0..5 {
        let mut sagas = target.clients.sagas.clone();
        let input = format!("{{\"{text}\": 1}}");
        judge(&target, "input_json", sagas::start(&target, &number.to_string(), &input).await);
        judge(
            &target,
            "saga_id",
            sagas.get_saga(GetSagaRequest { saga_id: text.clone(), include_payloads: false }).await,
        );
        let list = ListSagasRequest { page_token: text.clone(), ..ListSagasRequest::default() };
        judge(&target, "page_token", sagas.list_sagas(list).await);
        let (saga_id, reason) = ("no-saga".to_owned(), text.clone());
        let cancel = CancelSagaRequest { saga_id, reason };
        judge(&target, "reason", sagas.cancel_saga(cancel).await);
        let _ = long_headers(&target).await;
    }
    let written = log_bytes(&target).saturating_sub(before);
    target.note(format!("20 calls with texts of 4 MB; {written} bytes were logged"));
    if written > LOG_BYTES {
        target.violation(format!("{written} bytes were logged; {LOG_BYTES} at most"));
    }
    Ok(())
}

/// A refusal is short, and says that the argument is wrong or too large; not that the answer was.
fn judge<T>(target: &Target, what: &str, answer: Result<T, Status>) {
    let Err(status) = answer else {
        return target.violation(format!("{what} of 4 MB was accepted"));
    };
    let message: String = status.message().chars().take(60).collect();
    target.note(format!("{what} of 4 MB is answered {:?}: {message}", status.code()));
    let bytes = status.message().len() + status.details().len();
    if bytes > ANSWER_BYTES {
        target.violation(format!("{what} came back in {bytes} bytes; {ANSWER_BYTES} at most"));
    }
    let sound = [Code::InvalidArgument, Code::NotFound, Code::OutOfRange, Code::ResourceExhausted];
    // What the caller's own HTTP/2 says when the refusal is too large for it.
    let unread = status.message().contains("protocol error");
    if !sound.contains(&status.code()) || unread {
        target.violation(format!("{what} of 4 MB is answered {:?}: {message}", status.code()));
    }
}

/// A path and a header of 25 kB each.
async fn long_headers(target: &Target) -> std::io::Result<()> {
    let text = "y".repeat(25_000);
    let mut wire = RawConnection::open(target.orchestrator(), &[], Reading::All).await?;
    for stream in (0..20).map(|number| 2 * number + 1) {
        wire.send(&wire::call(stream, &format!("/{text}"), &[("x-note", &text)], true)).await?;
        wire.send(&wire::call(stream, "/a/b", &[("traceparent", &text)], true)).await?;
    }
    target.clock.sleep(Duration::from_millis(200)).await;
    Ok(())
}

fn log_bytes(target: &Target) -> u64 {
    std::fs::metadata(&target.log).map(|log| log.len()).unwrap_or_default()
}

/// Sets the title, clears the screen, and begins a line of its own.
const ESCAPES: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\nforged row";

/// Names a saga so, and looks at it as a person does.
pub(crate) async fn escapes(target: Arc<Target>) -> Result<()> {
    target.start_measuring();
    let server = format!("http://127.0.0.1:{}", target.orchestrator());
    let id = match sagas::start(&target, ESCAPES, "{}").await {
        Ok(id) => id,
        Err(status) => {
            target.note(format!("the key is refused: {:?}", status.code()));
            sagas::start(&target, "plain", "{}").await?
        }
    };
    let cancel = CancelSagaRequest { saga_id: id.clone(), reason: ESCAPES.to_owned() };
    let cancelled = target.clients.sagas.clone().cancel_saga(cancel).await;
    target
        .note(format!("the reason is answered {:?}", cancelled.err().map(|status| status.code())));
    let commands = [
        vec!["saga", "list"],
        vec!["saga", "get", &id],
        vec!["saga", "get", ESCAPES],
        vec!["saga", "start", SAGA, "--key", ESCAPES],
    ];
    for command in commands {
        let output = Command::new(&target.program)
            .args(&command)
            .args(["--server", &server])
            .output()
            .await?;
        for text in [output.stdout, output.stderr] {
            let text = String::from_utf8_lossy(&text);
            let raw = text.chars().find(|letter| letter.is_control() && *letter != '\n');
            if raw.is_some() || text.lines().any(|line| line.starts_with("forged row")) {
                target.violation(format!("{command:?} prints what was sent as it is: {raw:?}"));
            }
        }
    }
    Ok(())
}
