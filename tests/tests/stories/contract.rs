//! What clients rely on that is in no message: reflection in both versions, health, definitions, trace context.

use futures::StreamExt;
use proto::saga::v1::{GetDefinitionRequest, ListDefinitionsRequest};
use tests::{Mesh, channel, shop::order};
use tonic::{Request, metadata::MetadataValue};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

macro_rules! reflected {
    ($version:ident, $address:expr, $symbol:expr) => {{
        use tonic_reflection::pb::$version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let ask = |message_request| ServerReflectionRequest {
            host: String::new(),
            message_request: Some(message_request),
        };
        let requests = futures::stream::iter([
            ask(MessageRequest::ListServices(String::new())),
            ask(MessageRequest::FileContainingSymbol($symbol.to_owned())),
            ask(MessageRequest::FileContainingSymbol("no.such.Symbol".to_owned())),
        ]);
        let mut client = ServerReflectionClient::new(channel($address));
        let answers = client.server_reflection_info(requests).await.unwrap().into_inner();
        let answers: Vec<_> =
            answers.map(|answer| answer.unwrap().message_response.unwrap()).collect().await;
        let MessageResponse::ListServicesResponse(services) = &answers[0] else {
            panic!("{:?}", answers[0])
        };
        let MessageResponse::FileDescriptorResponse(files) = &answers[1] else {
            panic!("{:?}", answers[1])
        };
        assert!(files.file_descriptor_proto.len() > 1, "the file comes with what it imports");
        assert!(matches!(answers[2], MessageResponse::ErrorResponse(_)));
        services.service.iter().map(|service| service.name.clone()).collect::<Vec<_>>()
    }};
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_describes_itself_in_both_versions_of_reflection() {
    let mesh = Mesh::start().await;
    let addresses = *mesh.addresses();
    for (address, service, symbol) in [
        (
            addresses.orchestrator,
            "sagamesh.checkout.v1.CheckoutService",
            "sagamesh.checkout.v1.CheckoutService.PlaceOrder",
        ),
        (addresses.orchestrator, "sagamesh.saga.v1.SagaService", "sagamesh.saga.v1.Saga"),
        (addresses.order, "sagamesh.order.v1.OrderService", "sagamesh.order.v1.OrderService"),
        (addresses.stock, "sagamesh.stock.v1.StockService", "sagamesh.stock.v1.StockService"),
        (addresses.points, "sagamesh.points.v1.PointsService", "sagamesh.points.v1.PointsService"),
        (
            addresses.payment,
            "sagamesh.payment.v1.PaymentService",
            "sagamesh.payment.v1.PaymentService",
        ),
    ] {
        let (v1, v1alpha) = (reflected!(v1, address, symbol), reflected!(v1alpha, address, symbol));
        assert_eq!(v1, v1alpha);
        for expected in [service, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"] {
            assert!(v1.iter().any(|name| name == expected), "{expected} is missing in {v1:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_process_says_that_it_is_healthy_under_every_key() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let addresses = *mesh.addresses();
    for (address, service) in [
        (addresses.orchestrator, "sagamesh.checkout.v1.CheckoutService"),
        (addresses.orchestrator, "sagamesh.saga.v1.SagaService"),
        (addresses.order, "sagamesh.order.v1.OrderService"),
        (addresses.stock, "sagamesh.stock.v1.StockService"),
        (addresses.points, "sagamesh.points.v1.PointsService"),
        (addresses.payment, "sagamesh.payment.v1.PaymentService"),
    ] {
        for key in ["", "liveness", "readiness", service] {
            let request = HealthCheckRequest { service: key.to_owned() };
            let answer =
                HealthClient::new(channel(address)).check(request).await.unwrap().into_inner();
            assert_eq!(answer.status(), ServingStatus::Serving, "{key} at {address}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_definitions_that_ship_are_listed_with_what_they_serve() {
    let mesh = Mesh::start().await;
    let listed = mesh
        .sagas()
        .list_definitions(ListDefinitionsRequest::default())
        .await
        .unwrap()
        .into_inner();
    let served: Vec<(String, String)> = listed
        .definitions
        .into_iter()
        .map(|definition| (definition.name, definition.served_method))
        .collect();
    let expected = [
        ("cancel-order", "sagamesh.checkout.v1.CheckoutService/CancelOrder"),
        ("place-order", "sagamesh.checkout.v1.CheckoutService/PlaceOrder"),
    ];
    assert_eq!(served, expected.map(|(name, method)| (name.to_owned(), method.to_owned())));
    let get = GetDefinitionRequest { name: "place-order".to_owned(), version: 0 };
    let definition =
        mesh.sagas().get_definition(get).await.unwrap().into_inner().definition.unwrap();
    assert!(definition.source.contains("charge_payment"));
    assert_eq!(definition.hash.len(), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_through_from_the_caller_to_the_saga() {
    let mesh = Mesh::start().await;
    mesh.open_shop().await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let mut request = Request::new(order("t-1", "ada", "tea", 1));
    let traceparent = format!("00-{trace_id}-b7ad6b7169203331-01");
    request.metadata_mut().insert("traceparent", MetadataValue::try_from(traceparent).unwrap());
    let placed = mesh.checkout().place_order(request).await.unwrap().into_inner();
    assert_eq!(placed.result.unwrap().trace_id, trace_id);
    assert_eq!(mesh.ended(&placed.saga_id).await.trace_id, trace_id);
}
