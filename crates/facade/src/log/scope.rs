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
