//! The books, read at the end of a test.

use std::path::Path;

use crate::compensations;

pub use books::{Books, Error, RULES, Rule, read};

/// Reads the books of a mesh that is ending, and what is counted of its compensations, and fails where they do not add up: for a `Drop`, within a runtime or not.
/// Silent where the shop's services are not all there, and while a test is failing already.
///
/// # Panics
/// With every sentence.
pub fn audit(data: &Path) {
    let there = books::FILES.iter().all(|(_, file)| data.join(file).exists());
    if std::thread::panicking() || !there {
        return;
    }
    let data = data.to_owned();
    // Within a runtime another one cannot be waited for.
    let reading = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut books = read(&data).await.map_err(std::io::Error::other)?;
            let counts = compensations::wrong(&data).await.map_err(std::io::Error::other)?;
            books.wrong.extend(counts);
            Ok::<_, std::io::Error>(books)
        })
    });
    reading.join().expect("reading does not panic").expect("the books are there").assert_right();
}
