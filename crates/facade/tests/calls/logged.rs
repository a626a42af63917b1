//! The log of one test.

use std::{
    io,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use facade::log::{self, Format};
use serde_json::Value;
use tracing::{Dispatch, Level, subscriber::DefaultGuard};
use tracing_subscriber::{
    filter::LevelFilter, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

/// While there is just one subscriber, what another test logs first is judged by that test's thread, which has none, and
/// is switched off for all. With this one there are always two.
static ANOTHER: LazyLock<Dispatch> =
    LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));

/// What this thread logs until it is dropped, as JSON lines like those of a process.
pub(crate) struct Logged {
    written: Written,
    _guard: DefaultGuard,
}

impl Logged {
    pub(crate) fn at(level: Level) -> Self {
        LazyLock::force(&ANOTHER);
        let written = Written::default();
        let lines = log::layer(Format::Json, false, written.clone());
        let guard = tracing_subscriber::registry()
            .with(lines)
            .with(LevelFilter::from_level(level))
            .set_default();
        Self { written, _guard: guard }
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        let written = self.written.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::str::from_utf8(&written).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Written {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
