//! A mesh to tell stories about: all five services in this process, on free ports and real files.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a story that cannot begin has failed"
)]

pub mod shop;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clock::Clock;
use proto::{
    checkout::v1::checkout_service_client::CheckoutServiceClient,
    order::v1::order_service_client::OrderServiceClient,
    payment::v1::payment_service_client::PaymentServiceClient,
    points::v1::points_service_client::PointsServiceClient,
    saga::v1::saga_service_client::SagaServiceClient,
    stock::v1::stock_service_client::StockServiceClient,
};
use sagamesh::mesh::{
    self, Addresses, Config, Database, Definitions, Keep, Limits, Listen, Log, MAX_RUNNING,
    Participant, Retention, Sagas,
};
use tempfile::TempDir;
use tokio::{sync::oneshot, task::JoinHandle};
use tonic::transport::{Channel, Endpoint};

/// A mesh that runs until it is dropped or stopped.
pub struct Mesh {
    addresses: Addresses,
    data: PathBuf,
    /// Read when the mesh is stopped or dropped, while its files are there.
    _books: Option<Books>,
    /// Kept so that the folder lives as long as the mesh.
    folder: Option<TempDir>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), String>>,
}

/// How a mesh is started.
#[derive(Default)]
pub struct Wiring {
    folder: Option<TempDir>,
    data: Option<PathBuf>,
    sagas: Option<PathBuf>,
    participants: Vec<(String, Participant)>,
    damaged: bool,
    max_running: Option<usize>,
    keep_finished: Option<Keep>,
}

impl Wiring {
    /// On files that a story has damaged: the books need not add up.
    #[must_use]
    pub fn damaged(mut self) -> Self {
        self.damaged = true;
        self
    }

    /// On the files of an earlier mesh.
    #[must_use]
    pub fn on(mut self, folder: TempDir) -> Self {
        self.data = Some(folder.path().join("data"));
        self.folder = Some(folder);
        self
    }

    /// With so many sagas at once, and no more.
    #[must_use]
    pub fn running_at_most(mut self, sagas: usize) -> Self {
        self.max_running = Some(sagas);
        self
    }

    /// With sagas that are removed so long after their end, for example `1ms`. The books hold each order against its
    /// saga, and cannot be read any more then.
    #[must_use]
    pub fn keeping_finished(mut self, keep: &str) -> Self {
        self.damaged = true;
        self.keep_finished = Some(keep.parse().expect("a duration"));
        self
    }

    /// With the definitions of this folder beside the shop's.
    #[must_use]
    pub fn with_sagas(mut self, folder: &Path) -> Self {
        self.sagas = Some(folder.to_owned());
        self
    }

    /// With `service` outside the process.
    #[must_use]
    pub fn with_participant(self, service: &str, address: impl ToString) -> Self {
        let address = address.to_string().parse().expect("an address");
        self.with(service, Participant::at(address))
    }

    /// With `service` outside the process, and settings for it.
    #[must_use]
    pub fn with(mut self, service: &str, participant: Participant) -> Self {
        self.participants.push((service.to_owned(), participant));
        self
    }

    /// Starts it.
    pub async fn start(self) -> Mesh {
        self.try_start().await.expect("the mesh starts")
    }

    /// Starts it, or says why not.
    pub async fn try_start(self) -> Result<Mesh, String> {
        let folder = match (self.folder, &self.data) {
            (None, None) => Some(tempfile::tempdir().unwrap()),
            (folder, _) => folder,
        };
        let data = self.data.unwrap_or_else(|| folder.as_ref().unwrap().path().join("data"));
        let config = Config {
            listen: Listen { port_base: 0, ..Listen::default() },
            database: Database { folder: data.clone() },
            participants: self.participants.into_iter().collect(),
            definitions: Definitions { folder: self.sagas, ..Config::default().definitions },
            limits: Limits {
                max_running: self.max_running.unwrap_or(MAX_RUNNING),
                // A test is slow where many run at once, and is not about that.
                sagas: Sagas {
                    share_per_definition: 100,
                    share_per_participant: 100,
                    max_delay: Duration::from_hours(1),
                    ..Sagas::default()
                },
                ..Limits::default()
            },
            retention: Retention { keep_finished: self.keep_finished, ..Retention::default() },
            log: Log { calls: facade::log::Calls::Notable, ..Log::default() },
            ..Config::default()
        };
        let mesh = open(config).await?;
        let addresses = *mesh.addresses();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(mesh.run(async {
            let _ = stopped.await;
        }));
        let books = (!self.damaged).then(|| Books { data: data.clone() });
        Ok(Mesh { addresses, data, _books: books, folder, stop, serving })
    }
}

/// What the services have on disk must add up after every story.
struct Books {
    data: PathBuf,
}

impl Drop for Books {
    fn drop(&mut self) {
        kit::books::audit(&self.data);
    }
}

/// A mesh that has just stopped frees its files a moment after it has answered its last call.
async fn open(config: Config) -> Result<mesh::Mesh, String> {
    let clock = Clock::system();
    for _ in 0..200 {
        match mesh::start(config.clone(), clock.clone()).await {
            Err(why) if why.contains("another process") => {
                clock.sleep(Duration::from_millis(10)).await;
            }
            started => return started,
        }
    }
    mesh::start(config, clock).await
}

impl Mesh {
    /// A mesh on new files.
    pub async fn start() -> Self {
        Wiring::default().start().await
    }

    /// Stops it as SIGTERM does; gives its files.
    pub async fn stop(self) -> TempDir {
        let _ = self.stop.send(());
        self.serving.await.unwrap().unwrap();
        self.folder.expect("the mesh owns its folder")
    }

    /// Drops it where it stands, without a stop; gives its files.
    pub async fn abort(self) -> TempDir {
        self.serving.abort();
        let aborted = self.serving.await;
        assert!(aborted.is_err_and(|error| error.is_cancelled()), "it had ended before");
        self.folder.expect("the mesh owns its folder")
    }

    /// Where its parts listen.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The folder of its databases.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A client of the shop's front door.
    #[must_use]
    pub fn checkout(&self) -> CheckoutServiceClient<Channel> {
        CheckoutServiceClient::new(channel(self.addresses.orchestrator))
    }

    /// A client of `SagaService`.
    #[must_use]
    pub fn sagas(&self) -> SagaServiceClient<Channel> {
        SagaServiceClient::new(channel(self.addresses.orchestrator))
    }

    /// A client of the order service.
    #[must_use]
    pub fn orders(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(channel(self.addresses.order))
    }

    /// A client of the stock service.
    #[must_use]
    pub fn stock(&self) -> StockServiceClient<Channel> {
        StockServiceClient::new(channel(self.addresses.stock))
    }

    /// A client of the points service.
    #[must_use]
    pub fn points(&self) -> PointsServiceClient<Channel> {
        PointsServiceClient::new(channel(self.addresses.points))
    }

    /// A client of the payment service.
    #[must_use]
    pub fn payments(&self) -> PaymentServiceClient<Channel> {
        PaymentServiceClient::new(channel(self.addresses.payment))
    }
}

/// A connection that is made when it is first used.
#[must_use]
pub fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().tcp_nodelay(true).connect_lazy()
}
