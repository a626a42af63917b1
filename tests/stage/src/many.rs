//! Many callers at the same time.

use futures::future::join_all;

/// How many come at once.
pub const MANY: usize = 64;

/// Runs them all in tasks of their own; gives what they came to, in their order.
pub async fn at_once<T: Send + 'static>(
    many: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let running: Vec<_> = many.into_iter().map(tokio::spawn).collect();
    join_all(running).await.into_iter().map(Result::unwrap).collect()
}

/// How many of the answers are this one.
#[must_use]
pub fn count(answers: &[String], wanted: &str) -> usize {
    answers.iter().filter(|answer| *answer == wanted).count()
}
