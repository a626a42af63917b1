//! A process that does not come to look at its signals: the test starts itself as that process.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use clock::Clock;
use facade::{
    config::Connections,
    process::{Process, Signals},
};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_millis(300);
const LATE: Duration = Duration::from_mins(10);
/// Says that the process below is this test's child.
const CHILD: &str = "SAGAMESH_TEST_CHILD";

/// Not a test: what the process of the tests below runs. Its task holds the event loop for ever, or waits for ever at its
/// end.
#[tokio::test]
#[ignore = "run by the others in a process of its own"]
async fn a_process_with_a_task_that_never_ends() {
    let Some(kind) = std::env::vars().find_map(|(name, kind)| (name == CHILD).then_some(kind))
    else {
        return;
    };
    let stop_timeout = if kind == "holds on" { LATE } else { SOON };
    let signals = Signals::listen(stop_timeout).unwrap();
    let mut process = Process::new(Clock::system(), Connections::default());
    process.spawn("the task", async move |_: CancellationToken| {
        println!("\nit runs");
        if kind.starts_with("holds") {
            loop {
                std::thread::park();
            }
        }
        std::future::pending().await
    });
    process.run_until_signal(signals, CancellationToken::new()).await.unwrap();
}

fn start(kind: &str) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stuck::a_process_with_a_task_that_never_ends"])
        .args(["--ignored", "--nocapture"])
        .env(CHILD, kind)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    assert!(output.lines().map_while(Result::ok).any(|line| line == "it runs"));
    child
}

fn terminate(child: &Child) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
}

#[test]
fn a_process_whose_event_loop_is_held_for_ever_is_ended_when_its_time_is_up() {
    let mut child = start("holds");
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(124));
}

#[test]
fn a_process_with_a_task_that_does_not_stop_is_ended_when_its_time_is_up() {
    let mut child = start("waits");
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(124));
}

#[test]
fn a_second_signal_ends_a_process_at_once_whose_event_loop_is_held() {
    let mut child = start("holds on");
    terminate(&child);
    // Two signals that come together are one: the second is sent until it has come.
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        terminate(&child);
    };
    assert_eq!(code, Some(130));
}
