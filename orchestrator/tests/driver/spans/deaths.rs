//! A node that dies at any point of a saga leaves the whole tree.

use std::{collections::VecDeque, time::Duration};

use clock::Clock;
use orchestrator::driver::Driver;
use tonic::Status;

use super::picture::{self, Picture, Started};
use crate::test_driver::{Arrived, TestDriver, definition};

const STEPS: [&str; 2] = [
    "
  - step: freeze
    call: work.v1.Work/Do
    timeout: 60s
    retry: { base: 1s, cap: 1s }
    undo: work.v1.Work/Undo
    undo_retry: { base: 1s, cap: 1s }
",
    "
  - step: charge
    call: work.v1.Work/Do
    timeout: 60s
",
];

/// What the participant says, in order.
const ANSWERS: [(&str, Say); 5] = [
    ("freeze forward", Say::Unavailable),
    ("freeze forward", Say::Done),
    ("charge forward", Say::Declined),
    ("freeze undo", Say::Unavailable),
    ("freeze undo", Say::Done),
];

#[derive(Clone, Copy, Debug)]
enum Say {
    Done,
    Unavailable,
    Declined,
}

impl Say {
    fn to(self, call: Arrived) {
        match self {
            Self::Done => call.done(),
            Self::Unavailable => call.unavailable(),
            Self::Declined => call.say(Err(Status::failed_precondition("not now"))),
        }
    }
}

/// Where the node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// With this call under way.
    During(usize),
    /// Once the answer to this call is on disk, and whatever follows from it.
    Behind(usize),
}

struct Play {
    test_driver: TestDriver,
    started: Started,
    /// The places of all calls that have come to the participant.
    arrived: Vec<String>,
    next: Option<Driver>,
}

impl Play {
    async fn begin() -> Self {
        let test_driver = TestDriver::open(&definition("deadline: 1h", &STEPS)).await;
        let started = picture::start(&test_driver, true).await;
        Self { test_driver, started, arrived: Vec::new(), next: None }
    }

    fn driver(&self) -> &Driver {
        self.next.as_ref().unwrap_or_else(|| self.test_driver.driver())
    }

    /// The next call, which must be this one. Time goes by as long as none comes.
    async fn called(&mut self, call: &str) -> Arrived {
        const LOOK: Duration = Duration::from_millis(20);
        let arrived = loop {
            match Clock::system().timeout(LOOK, self.test_driver.next()).await {
                Ok(arrived) => break arrived,
                Err(_) => self.test_driver.pass(1_000),
            }
        };
        assert_eq!(arrived.call, call);
        self.arrived.push(picture::traceparent(&arrived));
        arrived
    }

    /// Answers the call, and waits until that is on disk.
    async fn answer(&mut self, call: Arrived, say: Say) {
        let mut records = self.driver().find(&self.started.saga_id).unwrap().records();
        let before = *records.borrow_and_update();
        say.to(call);
        records.wait_for(|records| *records > before).await.unwrap();
    }

    /// The node dies, and the next one goes on.
    async fn die(&mut self) {
        self.driver().abort();
        while let Ok(lost) = self.test_driver.arrivals.try_recv() {
            self.arrived.push(picture::traceparent(&lost));
        }
        let next = self.test_driver.next_driver().await;
        next.recover_once().await.unwrap();
        self.next = Some(next);
    }

    async fn play(mut self, deaths: &[Death]) -> Picture {
        let mut answers: VecDeque<_> = ANSWERS.into_iter().enumerate().collect();
        let mut deaths: VecDeque<_> = deaths.iter().copied().collect();
        while let Some((number, (call, say))) = answers.pop_front() {
            let arrived = self.called(call).await;
            if deaths.pop_front_if(|death| *death == Death::During(number)).is_some() {
                self.die().await;
                answers.push_front((number, (call, say)));
                continue;
            }
            self.answer(arrived, say).await;
            if deaths.pop_front_if(|death| *death == Death::Behind(number)).is_some() {
                self.die().await;
            }
        }
        assert!(deaths.is_empty(), "{deaths:?}");
        let picture = Picture::of(&self.started).await;
        picture.is_whole(&self.arrived);
        self.driver().abort();
        picture
    }
}

#[tokio::test]
async fn a_node_that_dies_at_any_call_or_record_leaves_every_span_once_and_below_its_parent() {
    let mut plays = vec![(vec![], 0..=0)];
    for number in 0..ANSWERS.len() {
        plays.push((vec![Death::During(number)], 1..=1));
        // The next attempt may have begun.
        plays.push((vec![Death::Behind(number)], 0..=1));
        // And again, before the attempt of the next node has ended.
        plays.push((vec![Death::During(number); 2], 2..=2));
    }
    let played = plays.into_iter().map(async |(deaths, lost)| {
        let picture = Play::begin().await.play(&deaths).await;
        let found = picture.lost();
        assert!(lost.contains(&found), "{found} were lost by {deaths:?}: {picture:#?}");
    });
    futures::future::join_all(played).await;
}
