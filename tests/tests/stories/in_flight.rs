//! Participants that are slower than the sagas that want them: nothing is lost, made twice or undone by it.

use std::{collections::HashSet, num::NonZero, time::Duration};

use clock::Clock;
use sagamesh::mesh::Participant;
use tonic::server::NamedService;

use crate::work::{Capacity, Work, all_succeed, mesh};

const ONCE_DEFINITION: &str = "\
saga: once
version: 1
deadline: 120s
descriptors: [work.proto]
steps:
  - step: work
    call: work.v1.Work/Do
    with: { id: request.id }
    timeout: 5s
    retry: { attempts: 2, base: 10ms, cap: 10ms }
    undo: work.v1.Work/Undo
";

fn participant(work: &Work) -> Participant {
    Participant::at(work.address.to_string().parse().unwrap())
}

/// How many calls were not refused, and under how many keys; none of them was undone.
fn calls_and_keys(work: &Work) -> (usize, usize) {
    assert!(work.calls_of("/Undo").is_empty());
    let calls = work.calls_of("/Do");
    let keys: HashSet<&str> = calls.iter().map(|call| call.key.as_str()).collect();
    (calls.len(), keys.len())
}

/// Five hundred jobs of eight workers take eight seconds, and each call has five.
#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_sagas_at_once_succeed_with_a_participant_of_eight_workers() {
    let job = Duration::from_millis(130);
    let work = Work::serve(Capacity { workers: 8, job, ..Capacity::default() }).await;
    let participant = participant(&work);
    let mesh = mesh(ONCE_DEFINITION, |wiring| wiring.with(Work::NAME, participant)).await;
    all_succeed(&mesh, 500).await;
    assert_eq!(calls_and_keys(&work), (500, 500));
    assert!(work.counts().most <= 64, "{:?}", work.counts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_that_refuses_the_ninth_call_at_once_is_soon_sent_no_more_than_it_takes() {
    let job = Duration::from_millis(20);
    let work = Work::serve(Capacity { calls: 8, job, ..Capacity::default() }).await;
    let participant = participant(&work);
    let mesh = mesh(ONCE_DEFINITION, |wiring| wiring.with(Work::NAME, participant)).await;
    all_succeed(&mesh, 500).await;
    assert_eq!(calls_and_keys(&work), (500, 500));
    // Some hundred calls are refused until the limit has come down, and one now and then when it is tried again.
    let refused = work.counts().refused;
    assert!((1..300).contains(&refused), "{refused} were refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_calls_a_second_begin_than_a_participant_may_be_sent() {
    let work = Work::serve(Capacity { job: Duration::ZERO, ..Capacity::default() }).await;
    let rate = NonZero::new(100);
    let participant = Participant { rate, ..participant(&work) };
    let mesh = mesh(ONCE_DEFINITION, |wiring| wiring.with(Work::NAME, participant)).await;
    let timer = Clock::system().timer();
    all_succeed(&mesh, 210).await;
    // Ten at once, and two hundred at a hundred a second.
    let took = timer.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert_eq!(calls_and_keys(&work), (210, 210));
}
