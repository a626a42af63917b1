//! One service on a database of its own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use clock::{Clock, ManualTime, Timestamp};
use facade::{
    Facade,
    log::Calls,
    server::{Mount, Server},
};
use futures::future::BoxFuture;
use tempfile::TempDir;
use tonic::service::Routes;

/// Opens a service's database in a folder and gives the service on it.
pub type Open = fn(PathBuf, Facade) -> BoxFuture<'static, Result<Mount, String>>;

/// A service that is served in this process, behind its facade, on a clock that only [`ServiceUnderTest::advance`] moves.
pub struct ServiceUnderTest {
    folder: TempDir,
    database: &'static str,
    open: Open,
    clock: Clock,
    time: ManualTime,
    routes: Routes,
}

impl ServiceUnderTest {
    /// The service in a new folder; `database` is the name that it gives its file there.
    pub async fn open(database: &'static str, open: Open) -> Self {
        let (clock, time) = Clock::manual(Timestamp(1_700_000_000_123));
        let folder = tempfile::tempdir().unwrap();
        let routes = serve(folder.path(), open, &clock).await;
        Self { folder, database, open, clock, time, routes }
    }

    /// The same service after its process has ended and another has begun. Waits until no client is left of the first.
    pub async fn reopened(self) -> Self {
        let Self { folder, database, open, clock, time, routes } = self;
        drop(routes);
        // The database can be opened again when its lock is free.
        let lock = File::open(folder.path().join(format!("{database}.lock"))).unwrap();
        tokio::task::spawn_blocking(move || lock.lock().unwrap()).await.unwrap();
        let routes = serve(folder.path(), open, &clock).await;
        Self { folder, database, open, clock, time, routes }
    }

    /// What a client is made on.
    #[must_use]
    pub fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        self.time.advance(duration);
    }

    /// The database's file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.path().join(self.database)
    }
}

async fn serve(folder: &Path, open: Open, clock: &Clock) -> Routes {
    let facade = Facade::new(clock.clone(), Calls::Notable);
    let mount = open(folder.to_owned(), facade.clone()).await.unwrap();
    let (service, _health) = Server::new(facade).with(mount).build();
    service.in_process()
}
