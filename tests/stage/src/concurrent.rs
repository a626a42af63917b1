//! Many callers at the same time.

use futures::future::{BoxFuture, join_all};

/// How many callers come at once.
pub const CONCURRENT_CALLERS: usize = 64;

/// Runs them all in tasks of their own; gives what they came to, in their order.
pub async fn concurrently<T: Send + 'static>(
    many: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let running: Vec<_> = many.into_iter().map(tokio::spawn).collect();
    join_all(running).await.into_iter().map(Result::unwrap).collect()
}

/// Makes the call of many sagas, and its undo, all at the same time; gives what each came to.
pub async fn race_undoes<C, U>(
    call: impl Fn(String) -> C,
    undo: impl Fn(String) -> U,
) -> Vec<String>
where
    C: Future<Output = String> + Send + 'static,
    U: Future<Output = String> + Send + 'static,
{
    concurrently((0..CONCURRENT_CALLERS).flat_map(|number| {
        let saga = format!("s{number}");
        let both: [BoxFuture<'static, String>; 2] =
            [Box::pin(call(saga.clone())), Box::pin(undo(saga))];
        both
    }))
    .await
}

/// How many of the answers are this one.
#[must_use]
pub fn count(answers: &[String], wanted: &str) -> usize {
    answers.iter().filter(|answer| *answer == wanted).count()
}
