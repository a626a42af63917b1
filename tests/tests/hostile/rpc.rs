//! Every RPC of every service, found in the descriptors, and a way to call each with bytes as they are.

use bytes::Bytes;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use proto::facade::v1::{Reason, ResultInfo};
use tests::{Mesh, channel};
use tonic::{Code, Request, Status, client::Grpc, metadata::MetadataMap, transport::Channel};
use tonic_types::StatusExt;

/// One RPC, as its descriptor says.
#[derive(Clone, Debug)]
pub(crate) struct Rpc {
    /// `/package.Service/Method`.
    pub(crate) path: String,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) input: MessageDescriptor,
    pub(crate) output: MessageDescriptor,
    pub(crate) streams: bool,
}

/// Every RPC of every `sagamesh` package.
pub(crate) fn every() -> Vec<Rpc> {
    let mut found = Vec::new();
    for service in proto::descriptors().services() {
        for method in service.methods() {
            found.push(Rpc {
                path: format!("/{}/{}", service.full_name(), method.name()),
                service: service.full_name().to_owned(),
                name: method.name().to_owned(),
                input: method.input(),
                output: method.output(),
                streams: method.is_server_streaming(),
            });
        }
    }
    assert!(found.len() >= 40, "only {} RPCs were found", found.len());
    found
}

/// A connection to each process of the mesh. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Lines {
    orchestrator: Channel,
    order: Channel,
    stock: Channel,
    points: Channel,
    payment: Channel,
}

impl Lines {
    pub(crate) fn to(mesh: &Mesh) -> Self {
        let at = mesh.addresses();
        Self {
            orchestrator: channel(at.orchestrator),
            order: channel(at.order),
            stock: channel(at.stock),
            points: channel(at.points),
            payment: channel(at.payment),
        }
    }

    fn of(&self, service: &str) -> Channel {
        match service {
            "sagamesh.order.v1.OrderService" => &self.order,
            "sagamesh.stock.v1.StockService" => &self.stock,
            "sagamesh.points.v1.PointsService" => &self.points,
            "sagamesh.payment.v1.PaymentService" => &self.payment,
            "sagamesh.checkout.v1.CheckoutService" | "sagamesh.saga.v1.SagaService" => {
                &self.orchestrator
            }
            other => panic!("nobody serves {other}"),
        }
        .clone()
    }

    /// Calls with `body` as it is; the first message of the answer.
    pub(crate) async fn call(
        &self,
        rpc: &Rpc,
        body: impl Into<Bytes>,
        metadata: MetadataMap,
    ) -> Result<Bytes, Status> {
        let mut client = Grpc::new(self.of(&rpc.service));
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new(body.into());
        *request.metadata_mut() = metadata;
        let path = rpc.path.parse().unwrap();
        let answer = client.server_streaming(request, path, facade::codec::Raw).await?;
        let mut messages = answer.into_inner();
        let first = messages.message().await?.unwrap_or_default();
        if !rpc.streams {
            assert!(messages.message().await?.is_none(), "{} answered twice", rpc.path);
        }
        Ok(first)
    }
}

/// The metadata of a saga's step.
pub(crate) fn step(saga_id: &str, step: &str, direction: &'static str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("saga-id", saga_id.parse().unwrap());
    metadata.insert("saga-step", step.parse().unwrap());
    metadata.insert("saga-direction", direction.parse().unwrap());
    metadata
}

/// The result that every response carries.
pub(crate) fn result(rpc: &Rpc, message: Bytes) -> ResultInfo {
    let response = DynamicMessage::decode(rpc.output.clone(), message).unwrap();
    let result = response.get_field_by_name("result").expect("every response has a result");
    result.as_message().unwrap().transcode_to().unwrap()
}

/// Fails where the answer says that the mesh itself has failed, or does not say why it refused.
pub(crate) fn callers_own_fault(rpc: &Rpc, what: &str, answer: &Result<Bytes, Status>) {
    let path = &rpc.path;
    match answer {
        Ok(message) => {
            let result = result(rpc, message.clone());
            assert!(
                result.code == "OK" || Reason::from_code(&result.code).is_some(),
                "{path}, {what}: {result:?}"
            );
            assert!(
                !matches!(result.code.as_str(), "INTERNAL" | "UNAVAILABLE"),
                "{path}, {what}: {result:?}"
            );
        }
        Err(status) => {
            let ours = matches!(
                status.code(),
                Code::Internal | Code::Unknown | Code::DataLoss | Code::Unavailable
            );
            assert!(!ours, "{path}, {what}: {status:?}");
            let reason = reason(status);
            assert!(Reason::from_code(&reason).is_some(), "{path}, {what}: {status:?}");
        }
    }
}

/// The registered reason of a status; empty where it names none.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The violations that a status names, by path.
pub(crate) fn violations(status: &Status) -> Vec<String> {
    let Some(details) = status.get_details_bad_request() else { return Vec::new() };
    let mut paths: Vec<String> =
        details.field_violations.into_iter().map(|violation| violation.field).collect();
    paths.sort();
    paths
}
