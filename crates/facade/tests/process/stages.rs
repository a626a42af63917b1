//! Tasks in stages, and how a process comes to its end.

use std::{
    future::{pending, ready},
    sync::{Arc, Mutex},
};

use clock::Clock;
use facade::{config::Connections, process::Process};
use tokio_util::sync::CancellationToken;

/// What ended, in its order.
#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<&'static str>>>);

impl Ends {
    fn note(&self, name: &'static str) {
        self.0.lock().unwrap().push(name);
    }

    fn of(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().clone()
    }
}

fn process() -> Process {
    Process::new(Clock::system(), Connections::default())
}

/// A task in a stage of its own that runs until it is told to stop.
fn add(process: &mut Process, name: &'static str, ends: &Ends) {
    process.stage();
    let ends = ends.clone();
    process.spawn(name, async move |stop: CancellationToken| {
        stop.cancelled().await;
        // A task that was stopped at the same time would end in between.
        tokio::task::yield_now().await;
        ends.note(name);
        Ok(())
    });
}

fn three_stages(ends: &Ends) -> Process {
    let mut process = process();
    ["database", "listener", "sagas"].into_iter().for_each(|name| add(&mut process, name, ends));
    process
}

#[tokio::test]
async fn stages_end_from_the_last_to_the_first_each_after_the_one_behind_it() {
    let ends = Ends::default();
    assert_eq!(three_stages(&ends).run(ready(())).await, Ok(()));
    assert_eq!(ends.of(), ["sagas", "listener", "database"]);
}

#[tokio::test]
async fn a_task_that_fails_ends_the_process_in_the_same_order_and_is_named() {
    let ends = Ends::default();
    let mut process = three_stages(&ends);
    process.spawn("the port", async |_| Err("the port is gone".to_owned()));
    assert_eq!(process.run(pending()).await, Err("the port is gone".to_owned()));
    assert_eq!(ends.of(), ["sagas", "listener", "database"]);
}

#[tokio::test]
async fn a_task_that_ends_by_itself_ends_the_process_even_where_it_ended_well() {
    let ends = Ends::default();
    let mut process = three_stages(&ends);
    process.spawn("recovery", async |_| Ok(()));
    assert_eq!(process.run(pending()).await, Err("recovery ended by itself".to_owned()));
    assert_eq!(ends.of().len(), 3);
}

#[tokio::test]
async fn a_task_that_panics_ends_the_process_with_what_it_said() {
    let ends = Ends::default();
    let mut process = three_stages(&ends);
    process.spawn("recovery", async |_| panic!("out of order"));
    let why = process.run(pending()).await.unwrap_err();
    assert_eq!(why, "recovery panicked: out of order");
    assert_eq!(ends.of().len(), 3);
}

#[tokio::test]
async fn of_two_failures_the_first_is_told() {
    let mut process = process();
    process.spawn("first", async |_| Err("first".to_owned()));
    process.stage();
    process.spawn("second", async |stop: CancellationToken| {
        stop.cancelled().await;
        Err("second".to_owned())
    });
    assert_eq!(process.run(pending()).await, Err("first".to_owned()));
}

#[tokio::test]
async fn a_process_that_is_dropped_drops_its_tasks() {
    let held = Arc::new(());
    let mut process = process();
    let kept = Arc::clone(&held);
    process.spawn_until_stop("a task", async move {
        pending::<()>().await;
        drop(kept);
    });
    assert_eq!(Arc::strong_count(&held), 2);
    drop(process);
    while Arc::strong_count(&held) > 1 {
        tokio::task::yield_now().await;
    }
}
