//! A server with one method, called with HTTP requests as they are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, Bytes};
use clock::Clock;
use facade::{
    Call, Decline, Facade, Failure, Reply, dynamic::Handler, log::Calls,
    server::Server as FacadeServer,
};
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full, StreamBody};
use prost::Message;
use prost_reflect::DynamicMessage;
use proto::{checkout::v1::PlaceOrderResponse, facade::v1::ResultInfo};
use tokio::sync::Semaphore;
use tonic::{Code, Status, body::Body, service::Routes, transport::server::TcpConnectInfo};
use tonic_types::pb;
use tower::ServiceExt;

/// One gRPC message, uncompressed.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

/// A request as it stands on the wire.
pub(crate) struct Sent {
    path: &'static str,
    request: http::Request<Body>,
}

impl Sent {
    pub(crate) fn new(path: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let body = Body::new(Full::new(Bytes::from(body.into())));
        let request = http::Request::post(path).header("content-type", "application/grpc");
        Self { path, request: request.body(body).unwrap() }
    }

    /// A request from the network whose body never comes.
    pub(crate) fn without_body(path: &'static str) -> Self {
        let body = Body::new(StreamBody::new(futures::stream::pending::<Result<_, Status>>()));
        let peer = TcpConnectInfo { local_addr: None, remote_addr: "10.0.0.7:1".parse().ok() };
        let request = http::Request::post(path).extension(peer);
        Self { path, request: request.body(body).unwrap() }
    }

    pub(crate) fn with(mut self, header: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(header, value.parse().unwrap());
        self
    }

    pub(crate) fn path(&self) -> &'static str {
        self.path
    }
}

/// Serves `CheckoutService/PlaceOrder`, which is known by its descriptor alone.
pub(crate) struct Shop {
    routes: Routes,
    orders: Arc<AtomicU32>,
}

impl Shop {
    pub(crate) fn open() -> Self {
        Self::by(Clock::system())
    }

    pub(crate) fn by(clock: Clock) -> Self {
        Self::taking(clock, None)
    }

    /// Refuses every order because there is too much to do.
    pub(crate) fn full(clock: Clock) -> Self {
        let overloaded = || Failure::Overloaded {
            message: "there is no room".to_owned(),
            retry_after: Duration::from_secs(1),
        };
        Self::taking(clock, Some(overloaded))
    }

    /// Refuses every order with this.
    pub(crate) fn refusing(refusal: fn() -> Failure) -> Self {
        Self::taking(Clock::system(), Some(refusal))
    }

    fn taking(clock: Clock, refusal: Option<fn() -> Failure>) -> Self {
        let server = FacadeServer::new(Facade::new(clock, Calls::Notable));
        Self::of(server, refusal, None, Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)))
    }

    /// Declines every order.
    pub(crate) fn declining(facade: Facade, decline: Decline) -> Self {
        let gate = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self::of(FacadeServer::new(facade), None, Some(decline), gate)
    }

    /// Answers an order for each permit of the gate.
    pub(crate) fn behind(facade: Facade, gate: Arc<Semaphore>) -> Self {
        Self::of(FacadeServer::new(facade), None, None, gate)
    }

    /// Beside other services.
    pub(crate) fn on(server: FacadeServer) -> Self {
        Self::of(server, None, None, Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)))
    }

    fn of(
        mut server: FacadeServer,
        refusal: Option<fn() -> Failure>,
        decline: Option<Decline>,
        gate: Arc<Semaphore>,
    ) -> Self {
        let orders = Arc::<AtomicU32>::default();
        let service = proto::descriptors()
            .get_service_by_name("sagamesh.checkout.v1.CheckoutService")
            .unwrap();
        let method = service.methods().find(|method| method.name() == "PlaceOrder").unwrap();
        let response = DynamicMessage::new(method.output());
        let taken = Taken { orders: Arc::clone(&orders), response, refusal, decline, gate };
        server.serve(&method, Arc::new(taken));
        let (service, _) = server.build();
        Self { routes: service.in_process(), orders }
    }

    /// How many orders reached the handler.
    pub(crate) fn orders(&self) -> u32 {
        self.orders.load(Ordering::Relaxed)
    }

    pub(crate) async fn call(&self, sent: Sent) -> Answer {
        let response = self.routes.clone().oneshot(sent.request).await.unwrap();
        let (parts, body) = response.into_parts();
        assert_eq!(parts.status, http::StatusCode::OK, "gRPC failures are HTTP's 200");
        assert_eq!(parts.headers["content-type"], "application/grpc");
        let collected = body.collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Answer { headers: parts.headers, trailers, body: collected.to_bytes() }
    }
}

struct Taken {
    orders: Arc<AtomicU32>,
    response: DynamicMessage,
    refusal: Option<fn() -> Failure>,
    decline: Option<Decline>,
    gate: Arc<Semaphore>,
}

impl Handler for Taken {
    fn handle(
        &self,
        _: Call,
        _: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>> {
        self.orders.fetch_add(1, Ordering::Relaxed);
        let (refusal, reply) = (self.refusal, Reply::from(self.response.clone()));
        let reply = match self.decline.clone() {
            Some(decline) => reply.declined(decline),
            None => reply,
        };
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            refusal.map_or(Ok(reply), |refusal| Err(refusal()))
        })
    }
}

/// What came back.
pub(crate) struct Answer {
    headers: http::HeaderMap,
    trailers: http::HeaderMap,
    body: Bytes,
}

impl Answer {
    pub(crate) fn status(&self) -> Status {
        Status::from_header_map(&self.headers)
            .or_else(|| Status::from_header_map(&self.trailers))
            .expect("every answer ends with a status")
    }

    pub(crate) fn code(&self) -> Code {
        self.status().code()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The status's `ErrorInfo` and `ResultInfo`.
    pub(crate) fn details(&self) -> (pb::ErrorInfo, ResultInfo) {
        (self.detail("google.rpc.ErrorInfo"), self.detail("sagamesh.facade.v1.ResultInfo"))
    }

    /// The status's detail of this type.
    pub(crate) fn detail<M: Message + Default>(&self, name: &str) -> M {
        let status = pb::Status::decode(self.status().details()).unwrap();
        let url = format!("type.googleapis.com/{name}");
        let any = status.details.iter().find(|any| any.type_url == url);
        M::decode(any.expect(name).value.as_slice()).unwrap()
    }

    /// Every header and trailer.
    pub(crate) fn entries(&self) -> Vec<&str> {
        self.headers.keys().chain(self.trailers.keys()).map(http::HeaderName::as_str).collect()
    }

    /// Bytes of every header and trailer, as a header list counts them.
    pub(crate) fn header_bytes(&self) -> usize {
        let entries = self.headers.iter().chain(&self.trailers);
        entries.map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
    }

    /// The frames of the body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The result of the one message in the body.
    pub(crate) fn result(&self) -> ResultInfo {
        let mut body = self.body.clone();
        assert_eq!(body.get_u8(), 0, "not compressed");
        assert_eq!(usize::try_from(body.get_u32()).unwrap(), body.len(), "one message");
        PlaceOrderResponse::decode(body).unwrap().result.expect("the result is filled")
    }
}
