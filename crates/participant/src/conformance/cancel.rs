//! A caller who goes away, at whatever moment, never leaves half an effect behind, nor a second one.

use std::{future::poll_fn, task::Poll};

use bytes::Bytes;
use futures::FutureExt;

use crate::{
    conformance::{
        TestStore,
        service::{
            Call, Gate, GateOpener, TestService, Undo, answered, effect, gate, never, never_undo,
            undo_work, undone, work,
        },
    },
    decision::Decision,
};

/// Where [`two_effects`] can be stopped: before the first, between the two, after the second.
const POINTS: usize = 3;

/// Whatever happened to the first delivery, the effect is whole or not there, and with its repeat there once.
pub async fn a_caller_who_leaves_after_any_poll_leaves_all_or_nothing<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    for polls in 0.. {
        let step = format!("step_{polls}");
        let mut delivery = Box::pin(service.call(&step, two_effects::<B>(&step, None)));
        let finished = polled(&mut delivery, polls).await;
        drop(delivery);
        let left = test_store.count(&step).await;
        assert!(left == 0 || left == 2, "{left} of 2 effects after {polls} polls");
        let repeat = answered(service.call(&step, two_effects::<B>(&step, None)).await);
        assert_eq!(repeat.outcome, Decision::Done(Bytes::from_static(b"both")));
        assert_eq!(test_store.count(&step).await, 2, "after {polls} polls");
        if finished {
            assert!(polls > 1, "no delivery was left while it was under way");
            return;
        }
    }
}

/// The same of an undo.
pub async fn a_caller_who_leaves_an_undo_after_any_poll_leaves_all_or_nothing<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    for polls in 0.. {
        let (step, label) = (format!("step_{polls}"), format!("undo_{polls}"));
        answered(service.call(&step, effect::<B>(&step, "done")).await);
        let mut delivery = Box::pin(service.undo(&step, two_undone::<B>(&label, None)));
        let finished = polled(&mut delivery, polls).await;
        drop(delivery);
        let left = test_store.count(&label).await;
        assert!(left == 0 || left == 2, "{left} of 2 effects after {polls} polls");
        let repeat = answered(service.undo(&step, two_undone::<B>(&label, None)).await);
        assert_eq!(repeat.outcome, Decision::Done(undone(b"done")));
        assert_eq!(test_store.count(&label).await, 2, "after {polls} polls");
        if finished {
            assert!(polls > 1, "no delivery was left while it was under way");
            return;
        }
    }
}

/// Work that has begun runs to its end without its caller: the repeat finds its answer.
pub async fn work_goes_on_when_its_caller_leaves_while_it_waits<B: TestStore>(test_store: &B) {
    let service = TestService::on(test_store);
    for point in 0..POINTS {
        let step = format!("step_{point}");
        let (at, keeper) = gate();
        let work = two_effects::<B>(&step, Some((point, at)));
        leave(service.call(&step, work), keeper).await;
        let repeat = answered(service.call(&step, never()).await);
        assert_eq!(repeat.outcome, Decision::Done(Bytes::from_static(b"both")));
        assert!(repeat.repeated, "the work stopped with its caller at point {point}");
        assert_eq!(test_store.count(&step).await, 2, "left at point {point}");
    }
}

/// The same of an undo's work.
pub async fn an_undos_work_goes_on_when_its_caller_leaves_while_it_waits<B: TestStore>(
    test_store: &B,
) {
    let service = TestService::on(test_store);
    for point in 0..POINTS {
        let (step, label) = (format!("step_{point}"), format!("undo_{point}"));
        answered(service.call(&step, effect::<B>(&step, "done")).await);
        let (at, keeper) = gate();
        let work = two_undone::<B>(&label, Some((point, at)));
        leave(service.undo(&step, work), keeper).await;
        let repeat = answered(service.undo(&step, never_undo()).await);
        assert_eq!(repeat.outcome, Decision::Done(undone(b"done")));
        assert!(repeat.repeated, "the work stopped with its caller at point {point}");
        assert_eq!(test_store.count(&label).await, 2, "left at point {point}");
    }
}

/// Drops `delivery` while its work stands at the gate, and only then opens it.
async fn leave(delivery: impl Future, mut keeper: GateOpener) {
    {
        let mut delivery = std::pin::pin!(delivery);
        tokio::select! {
            reached = &mut keeper.reached => reached.expect("the work comes to its gate"),
            _ = &mut delivery => panic!("answered while its work was waiting"),
        }
    }
    keeper.open();
}

/// Polls `delivery` at most `polls` times; true when it has finished by then.
async fn polled<F: Future + Unpin>(delivery: &mut F, polls: usize) -> bool {
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match delivery.poll_unpin(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

fn two_effects<B: TestStore>(label: &str, stop: Stop) -> Call {
    let label = label.to_owned();
    work(move |connection| {
        pass(stop.as_ref(), 0);
        B::add(connection, &label)?;
        pass(stop.as_ref(), 1);
        B::add(connection, &label)?;
        pass(stop.as_ref(), 2);
        Ok(Bytes::from_static(b"both"))
    })
}

fn two_undone<B: TestStore>(label: &str, stop: Stop) -> Undo {
    let both = two_effects::<B>(label, stop);
    undo_work(move |connection, call| {
        both(connection)?;
        Ok(undone(&call))
    })
}

/// The one point at which work stops, or none.
type Stop = Option<(usize, Gate)>;

fn pass(stop: Option<&(usize, Gate)>, point: usize) {
    if let Some((_, gate)) = stop.filter(|(at, _)| *at == point) {
        gate.pass();
    }
}
