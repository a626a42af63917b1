//! Both messages of a call are in the log at debug level, on both sides, without what is marked `debug_redact`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use clock::Clock;
use facade::{
    Call, Facade, Failure, Reply, Trace,
    caller::{Client, Outgoing, Transport},
    dynamic::Handler,
    log::Calls,
    server::Server,
};
use futures::future::BoxFuture;
use http::{HeaderMap, uri::PathAndQuery};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value};
use serde_json::Value as Line;
use tonic::{Code, Status};
use tracing::Level;

use crate::logged::Logged;

const CARDS: &str = r#"
    syntax = "proto3";
    package cards.v1;
    service Cards { rpc Buy(Purchase) returns (Receipt); }
    message Purchase { string holder = 1; string number = 2 [debug_redact = true]; }
    message Receipt { string thanks = 1; string number = 2 [debug_redact = true]; }
"#;

pub(crate) fn buy() -> MethodDescriptor {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("cards.proto"), CARDS).unwrap();
    let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
    compiler.open_file("cards.proto").unwrap();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    let cards = pool.get_service_by_name("cards.v1.Cards").unwrap();
    cards.methods().next().unwrap()
}

/// Gives a receipt with the card's number on it.
struct Till(MethodDescriptor);

impl Handler for Till {
    fn handle(
        &self,
        _: Call,
        purchase: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>> {
        let mut receipt = DynamicMessage::new(self.0.output());
        let number = purchase.get_field_by_name("number").unwrap().into_owned();
        receipt.set_field_by_name("number", number);
        receipt.set_field_by_name("thanks", Value::String("Thank you".to_owned()));
        Box::pin(async move { Ok(receipt.into()) })
    }
}

/// Buys as the step `pay` of a saga; the till is in this process.
async fn pay(path: &'static str) -> Result<Bytes, Status> {
    let buy = buy();
    let mut server = Server::new(Facade::new(Clock::system(), Calls::Notable));
    server.serve(&buy, Arc::new(Till(buy.clone())));
    let (service, _) = server.build();
    let client = Client::new(Clock::system(), Transport::InProcess(service.in_process()));

    let mut purchase = DynamicMessage::new(buy.input());
    purchase.set_field_by_name("holder", Value::String("Ada".to_owned()));
    purchase.set_field_by_name("number", Value::String("4000123412341234".to_owned()));
    let mut headers = HeaderMap::new();
    for (name, value) in [("saga-id", "saga-7"), ("saga-step", "pay"), ("saga-direction", "undo")] {
        headers.insert(name, value.parse().unwrap());
    }
    let call = Outgoing {
        path: PathAndQuery::from_static(path),
        request: purchase.encode_to_vec().into(),
        headers,
        trace: &Trace::start(),
        limit: Duration::from_secs(5),
        descriptor: &buy,
    };
    let stream = client.stream(&call, Duration::ZERO).await?;
    Ok(client.unary(stream, call).await?)
}

fn the_one<'a>(lines: &'a [Line], message: &str) -> &'a Line {
    let mut found = lines.iter().filter(|line| line["message"] == message);
    let line = found.next().unwrap_or_else(|| panic!("{message:?} is not in {lines:#?}"));
    assert!(found.next().is_none(), "{message:?} is logged twice");
    line
}

#[tokio::test]
async fn requests_and_responses_are_logged_on_both_sides_without_their_secrets() {
    let logged = Logged::at(Level::DEBUG);
    pay("/cards.v1.Cards/Buy").await.unwrap();
    let lines = logged.lines();
    for (message, shows) in
        [("calling", "Ada"), ("request", "Ada"), ("response", "Thank you"), ("called", "Thank you")]
    {
        let line = the_one(&lines, message);
        assert!(line.to_string().contains(shows), "{line}");
        let side = if line["span"].is_null() { line } else { &line["span"] };
        assert_eq!((&side["saga.step"], &side["saga.direction"]), (&"pay".into(), &"undo".into()));
    }
    assert!(lines.iter().all(|line| !line.to_string().contains("4000")), "{lines:#?}");
}

#[tokio::test]
async fn no_message_is_logged_above_debug_level() {
    let logged = Logged::at(Level::INFO);
    pay("/cards.v1.Cards/Buy").await.unwrap();
    assert_eq!(logged.lines(), Vec::<Line>::new());
}

#[tokio::test]
async fn a_call_that_failed_names_the_step_that_made_it() {
    let logged = Logged::at(Level::INFO);
    let refused = pay("/cards.v1.Cards/Sell").await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    let lines = logged.lines();
    let line = the_one(&lines, "call failed");
    assert_eq!((&line["saga.step"], &line["saga.direction"]), (&"pay".into(), &"undo".into()));
    assert_eq!(
        (&line["callee"], &line["status"]),
        (&"/cards.v1.Cards/Sell".into(), &"Unimplemented".into())
    );
}
