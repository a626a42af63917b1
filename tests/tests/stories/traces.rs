//! A caller's trace goes through the saga to every participant, as the caller decided about it.

use std::sync::Arc;

use bytes::Bytes;
use clock::Clock;
use facade::{
    Call, Facade, Failure, Reply, config::Connections, dynamic::Handler, listener, log::Calls,
    process::Process, readiness::Readiness, server::Server,
};
use futures::future::BoxFuture;
use prost_reflect::{DescriptorPool, DynamicMessage, ServiceDescriptor, Value};
use tests::{Mesh, Wiring, channel};

const ECHO: &str = r#"
    syntax = "proto3";
    package echo.v1;
    service Echo {
        rpc Say(SayRequest) returns (SayResponse);
        rpc Ask(SayRequest) returns (SayResponse);
    }
    message SayRequest { string id = 1; }
    message SayResponse { string trace = 1; }
"#;
const ASK: &str = "\
saga: ask
version: 1
serves: echo.v1.Echo/Ask
descriptors: [echo.proto]
key: request.id
steps:
  - step: say
    call: echo.v1.Echo/Say
reply: { trace: say.trace }
";

/// Answers the trace that it was called in.
struct Echo(DynamicMessage);

impl Handler for Echo {
    fn handle(
        &self,
        call: Call,
        _: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>> {
        let mut response = self.0.clone();
        response.set_field_by_name("trace", Value::String(call.trace().keep()));
        Box::pin(async move { Ok(response.into()) })
    }
}

fn echo(folder: &std::path::Path) -> ServiceDescriptor {
    let mut compiler = protox::Compiler::new([folder]).unwrap();
    compiler.open_file("echo.proto").unwrap();
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap();
    pool.get_service_by_name("echo.v1.Echo").unwrap()
}

/// Calls `Ask` in this trace; gives the trace that the participant was called in.
async fn ask(mesh: &Mesh, id: u8, traceparent: &str, tracestate: &str) -> String {
    let mut client = tonic::client::Grpc::new(channel(mesh.addresses().orchestrator));
    client.ready().await.unwrap();
    let mut request = tonic::Request::new(Bytes::from(vec![0x0a, 1, id]));
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    request.metadata_mut().insert("tracestate", tracestate.parse().unwrap());
    let path = http::uri::PathAndQuery::from_static("/echo.v1.Echo/Ask");
    let answer = client.unary(request, path, facade::codec::Raw).await.unwrap().into_inner();
    // Field 1, a string.
    String::from_utf8(answer[2..].to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_decision_to_sample_and_the_vendors_state_reach_every_participant() {
    let sagas = tempfile::tempdir().unwrap();
    std::fs::write(sagas.path().join("echo.proto"), ECHO).unwrap();
    std::fs::write(sagas.path().join("ask.yaml"), ASK).unwrap();
    let say = echo(sagas.path()).methods().find(|method| method.name() == "Say").unwrap();
    let mut participant = Server::new(Facade::new(Clock::system(), Calls::Notable));
    participant.serve(&say, Arc::new(Echo(DynamicMessage::new(say.output()))));
    let listener = listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut process = Process::new(Clock::system(), Connections::default());
    process.serve("echo", &Readiness::default(), participant.build(), listener).await;
    let serving = tokio::spawn(process.run(std::future::pending()));

    let wiring = Wiring::default().with_sagas(sagas.path());
    let mesh = wiring.with_participant("echo.v1.Echo", address).start().await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    for (id, flags) in [(b'a', "00"), (b'b', "01")] {
        let traceparent = format!("00-{trace_id}-b7ad6b7169203331-{flags}");
        let arrived = ask(&mesh, id, &traceparent, "congo=t61,rojo=00f").await;
        let (ids, state) = arrived.split_once(' ').unwrap();
        assert!(ids.starts_with(&format!("{trace_id}-{flags}-")), "{ids}");
        assert_eq!(state, "congo=t61,rojo=00f");
    }
    serving.abort();
}
