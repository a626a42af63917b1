//! Methods that are served while the server runs.

use std::sync::Arc;

use clock::Clock;
use facade::{
    Call, Facade, Failure, Reply,
    dynamic::Handler,
    log::Calls,
    server::{DynamicMethods, Server, is_of_every_server},
};
use futures::future::BoxFuture;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use tonic::{Code, Request, Status, client::Grpc, service::Routes};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::messages::buy;

/// Gives a receipt with these thanks.
struct Thanks(MethodDescriptor, &'static str);

impl Handler for Thanks {
    fn handle(
        &self,
        _: Call,
        _: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>> {
        let mut receipt = DynamicMessage::new(self.0.output());
        receipt.set_field_by_name("thanks", Value::String(self.1.to_owned()));
        Box::pin(async move { Ok(receipt.into()) })
    }
}

fn serve(methods: &DynamicMethods, thanks: &'static str) {
    let buy = buy();
    methods.show("cards.v1.Cards", buy.parent_pool());
    methods.serve(&buy, Arc::new(Thanks(buy.clone(), thanks)));
}

async fn call(routes: &Routes) -> Result<String, Status> {
    let mut client = Grpc::new(routes.clone());
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/cards.v1.Cards/Buy");
    let request = Request::new(bytes::Bytes::new());
    let answer = client.unary(request, path, facade::codec::Raw).await?.into_inner();
    let receipt = DynamicMessage::decode(buy().output(), answer).unwrap();
    Ok(receipt.get_field_by_name("thanks").unwrap().as_str().unwrap().to_owned())
}

async fn shown(routes: &Routes) -> Vec<String> {
    let mut client = ServerReflectionClient::new(routes.clone());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = client.server_reflection_info(futures::stream::iter([request])).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap();
    match answer.message_response.unwrap() {
        MessageResponse::ListServicesResponse(list) => {
            list.service.into_iter().map(|service| service.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_method_that_comes_while_the_server_runs_is_answered_shown_and_can_be_exchanged() {
    let server = Server::new(Facade::new(Clock::system(), Calls::Notable));
    let methods = server.dynamic();
    let (service, _) = server.build();
    let routes = service.in_process();
    assert_eq!(call(&routes).await.unwrap_err().code(), Code::Unimplemented);
    assert!(!shown(&routes).await.contains(&"cards.v1.Cards".to_owned()));
    for thanks in ["Thank you", "Come again"] {
        serve(&methods, thanks);
        assert_eq!(call(&routes).await.unwrap(), thanks);
        assert!(shown(&routes).await.contains(&"cards.v1.Cards".to_owned()));
    }
}

#[tokio::test]
async fn what_every_server_has_is_nobodys_to_serve() {
    let server = Server::new(Facade::new(Clock::system(), Calls::Notable));
    let (service, _) = server.build();
    for name in shown(&service.in_process()).await {
        assert!(is_of_every_server(&name), "{name}");
    }
    assert!(!is_of_every_server("cards.v1.Cards"));
}
