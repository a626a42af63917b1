//! What each log line of a piece of work says of it: which call or saga it is, by which ids.
//!
//! A line asks for it when it is written. So work of which nothing is logged pays for a pointer that is handed from poll to
//! poll, whatever the filter is, and a line that passes the filter always has its ids.

use std::{
    cell::Cell,
    fmt::{self, Display},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::Format;

thread_local! {
    static CURRENT: Cell<Option<Scope>> = const { Cell::new(None) };
}

/// Fields of a piece of work: gives each with its name.
pub trait Fields: Send + Sync {
    /// Calls `field` for each of them.
    fn each(&self, field: &mut dyn FnMut(&'static str, &dyn Display));
}

/// A piece of work, to its log lines. Cheap to clone.
#[derive(Clone)]
pub struct Scope(Arc<dyn Fields>);

impl fmt::Debug for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Scope");
        self.0.each(&mut |name, value| {
            shown.field(name, &format_args!("{value}"));
        });
        shown.finish()
    }
}

impl Scope {
    /// The scope of work with these fields.
    pub fn of(fields: Arc<impl Fields + 'static>) -> Self {
        Self(fields)
    }

    /// That of the work which is being done on this thread.
    #[must_use]
    pub fn current() -> Option<Self> {
        let current = CURRENT.take();
        CURRENT.set(current.clone());
        current
    }

    /// Does something within it.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let _restore = Restore(CURRENT.replace(Some(self.clone())));
        work()
    }

    /// The future, each poll of which is within it; so is its drop.
    pub fn run<F: Future>(self, future: F) -> Scoped<F> {
        Scoped { future: Some(future), scope: self }
    }
}

/// Puts back what was there, also where the work panics.
struct Restore(Option<Scope>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

pin_project! {
    /// A future within a [`Scope`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct Scoped<F> {
        #[pin]
        future: Option<F>,
        scope: Scope,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.scope.enter(|| this.future.set(None));
        }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, waker: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let scope = this.scope;
        match this.future.as_pin_mut() {
            Some(future) => scope.enter(|| future.poll(waker)),
            // It is there until it is dropped.
            None => Poll::Pending,
        }
    }
}

/// Writes lines as `inner` does, with the fields of the current scope: in JSON as the object `span`, otherwise at their end.
pub(super) struct WithScope<F> {
    pub(super) inner: F,
    pub(super) format: Format,
}

impl<S, N, F> FormatEvent<S, N> for WithScope<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(scope) = Scope::current() else {
            return self.inner.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        match self.format {
            Format::Text => {
                writer.write_str(line.trim_end_matches('\n'))?;
                scope.0.each(&mut |name, value| {
                    // Writing to a line in memory cannot fail.
                    let _ = write!(writer, " {name}={value}");
                });
                writer.write_char('\n')
            }
            Format::Json => {
                let line = line.trim_end_matches('\n');
                writer.write_str(line.strip_suffix('}').unwrap_or(line))?;
                writer.write_str(",\"span\":")?;
                let mut fields = serde_json::Map::new();
                scope.0.each(&mut |name, value| {
                    fields.insert(name.to_owned(), value.to_string().into());
                });
                writeln!(writer, "{}}}", serde_json::Value::Object(fields))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};

    use futures::FutureExt;
    use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt};

    use super::*;

    struct Saga(&'static str);

    impl Fields for Saga {
        fn each(&self, field: &mut dyn FnMut(&'static str, &dyn Display)) {
            field("saga.id", &self.0);
            field("trace.id", &7);
        }
    }

    fn scope(saga: &'static str) -> Scope {
        Scope::of(Arc::new(Saga(saga)))
    }

    fn current() -> String {
        Scope::current().map(|scope| format!("{scope:?}")).unwrap_or_default()
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Written {
        type Writer = Self;

        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    /// What is written of two lines, one of them within a scope.
    fn written(format: Format) -> Vec<String> {
        let written = Written::default();
        let lines = super::super::layer(format, false, written.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::warn!(number = 1, "alone");
            scope("a \"b\"").enter(|| tracing::warn!(number = 2, "within"));
        });
        let written = written.0.lock().unwrap();
        std::str::from_utf8(&written).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_has_the_fields_of_its_scope_in_text_at_its_end() {
        let [alone, within] = &written(Format::Text)[..] else { panic!("two lines") };
        assert!(alone.ends_with("alone number=1"), "{alone}");
        assert!(within.ends_with("within number=2 saga.id=a \"b\" trace.id=7"), "{within}");
    }

    #[test]
    fn a_line_has_the_fields_of_its_scope_in_json_as_its_span() {
        let lines = written(Format::Json);
        let read = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let [alone, within] = &lines.iter().map(read).collect::<Vec<_>>()[..] else {
            panic!("two lines")
        };
        assert!(alone["span"].is_null() && alone["number"] == 1, "{alone}");
        assert_eq!((&within["number"], &within["message"]), (&2.into(), &"within".into()));
        assert_eq!(within["span"], serde_json::json!({"saga.id": "a \"b\"", "trace.id": "7"}));
    }

    #[test]
    fn each_poll_and_the_drop_of_a_future_are_within_its_scope_and_nothing_else_is() {
        struct Dropped(Arc<Mutex<String>>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                *self.0.lock().unwrap() = current();
            }
        }
        let dropped = Arc::default();
        let held = Dropped(Arc::clone(&dropped));
        let inner = scope("inner").run(async { current() });
        let work = async move {
            let _held = held;
            assert!(inner.await.contains("inner"));
            assert!(current().contains("outer"), "the inner one has ended");
            std::future::pending::<()>().await;
        };
        let mut work = Box::pin(scope("outer").run(work));
        assert!(work.as_mut().now_or_never().is_none());
        assert_eq!(current(), "", "between two polls");
        drop(work);
        assert!(dropped.lock().unwrap().contains("outer"));
        assert_eq!(current(), "");
    }

    #[test]
    fn a_panic_does_not_leave_its_scope_behind() {
        let panics = || scope("panics").enter(|| panic!("the test says so"));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(current(), "");
    }
}
