//! Work that is run again: its neighbour in the transaction fails after a change, and all of it is taken back.

use std::sync::{Arc, Mutex};

use futures::{
    future::{BoxFuture, join3},
    poll,
};
use store::{Connection, Database};
use tokio::sync::oneshot;

/// Has the work that `call` hands to the database run twice; gives the call's answer, and what `look` sees right after
/// each run.
pub async fn run_twice<A, T: Send + 'static>(
    database: &Database,
    call: impl Future<Output = A>,
    look: fn(&Connection) -> T,
) -> (A, [T; 2]) {
    // While the writer is busy, the call and its neighbour wait for the same transaction.
    let (resume, resumed) = oneshot::channel::<()>();
    let (begin, begun) = oneshot::channel();
    let mut gate = Some((begin, resumed));
    let mut busy: BoxFuture<'_, _> = Box::pin(database.write(move |_| {
        let (begin, resumed) = gate.take().unwrap();
        begin.send(()).unwrap();
        resumed.blocking_recv().unwrap();
        Ok::<_, store::Error>(())
    }));
    assert!(poll!(&mut busy).is_pending());
    begun.await.unwrap();

    let mut call = Box::pin(call);
    assert!(poll!(&mut call).is_pending());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut neighbour: BoxFuture<'_, _> = Box::pin(database.write({
        let seen = Arc::clone(&seen);
        move |connection| {
            seen.lock().unwrap().push(look(connection));
            // The call's own row exists by now, so this statement changes something.
            assert!(connection.execute("update inbox set at = at", ()).unwrap() > 0);
            Err::<(), _>(store::Error::Closed)
        }
    }));
    assert!(poll!(&mut neighbour).is_pending());
    resume.send(()).unwrap();
    let (_, answer, failed) = join3(busy, call, neighbour).await;
    failed.unwrap_err();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (answer, seen.try_into().ok().expect("the neighbour has run twice"))
}
