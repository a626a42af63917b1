//! How long a handler may take, and how long a server that stops waits for what it has.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use clock::{Clock, Timestamp};
use facade::{
    Call, Facade, Failure, Reply,
    caller::{Client, Transport},
    config::Connections,
    dynamic::Handler,
    health::Health,
    log::Calls,
    process::Process,
    readiness::Readiness,
    server::{Server, Service},
};
use futures::future::BoxFuture;
use prost_reflect::DynamicMessage;
use tokio::sync::mpsc;
use tonic::Code;

use crate::{
    messages::buy,
    network::{LIMIT, begin, call, client, listen},
};

/// Says how long it may take, and takes as long as it is let.
struct Endless(mpsc::UnboundedSender<Option<Duration>>);

impl Handler for Endless {
    fn handle(
        &self,
        call: Call,
        _: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>> {
        self.0.send(call.limit()).unwrap();
        Box::pin(std::future::pending())
    }
}

/// Says that it has begun, and answers when the clock has come so far.
struct Slow {
    clock: Clock,
    takes: Duration,
    begun: mpsc::UnboundedSender<()>,
}

impl Handler for Slow {
    fn handle(
        &self,
        _: Call,
        _: DynamicMessage,
    ) -> BoxFuture<'static, Result<Reply<DynamicMessage>, Failure>> {
        let (clock, takes) = (self.clock.clone(), self.takes);
        self.begun.send(()).unwrap();
        Box::pin(async move {
            clock.sleep(takes).await;
            Ok(DynamicMessage::new(buy().output()).into())
        })
    }
}

fn serving(clock: &Clock, handler: impl Handler + 'static) -> (Service, Health) {
    let mut shop = Server::new(Facade::new(clock.clone(), Calls::Notable));
    shop.serve(&buy(), Arc::new(handler));
    shop.build()
}

fn purchase() -> Bytes {
    // The number "1".
    Bytes::from_static(b"\n\x011")
}

#[tokio::test]
async fn a_handler_has_its_callers_time_less_a_tenth_and_the_caller_learns_that_it_was_too_short() {
    for (given, usable) in [(10_000, 9_900), (1_000, 900), (100, 90)] {
        let (clock, time) = Clock::manual(Timestamp(0));
        let (told, mut limits) = mpsc::unbounded_channel();
        let routes = serving(&clock, Endless(told)).0.in_process();
        let client = Client::new(clock.clone(), Transport::InProcess(routes));
        let given = Duration::from_millis(given);
        let (late, ()) = tokio::join!(call(&client, purchase(), given), time.advance_to_next());
        let late = late.unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded, "{late:?}");
        assert!(!late.message().contains("no answer within"), "it is the callee that says so");
        assert_eq!(clock.now(), Timestamp(usable));
        assert_eq!(limits.recv().await.unwrap(), Some(Duration::from_millis(usable)));
    }
}

/// A server that is stopped with a call under way that takes so long; how long it took to stop, and what became of the
/// call.
async fn stopped(takes: Duration) -> (Timestamp, Result<Bytes, tonic::Status>) {
    let (clock, time) = Clock::manual(Timestamp(0));
    let (began, mut begun) = mpsc::unbounded_channel();
    let server = serving(&clock, Slow { clock: clock.clone(), takes, begun: began });
    let (listener, address) = listen().await;
    let (stop, stopping) = tokio::sync::oneshot::channel::<()>();
    let mut process = Process::new(clock.clone(), Connections::default());
    process.serve("shop", &Readiness::default(), server, listener).await;
    let serving = tokio::spawn(process.run(async { stopping.await.unwrap() }));
    // The client's limit counts the machine's time, so it waits longer than the server does.
    let under_way = begin(&client(address), b"\n\x011", LIMIT);
    begun.recv().await.unwrap();
    let before = time.waiting();
    stop.send(()).unwrap();
    // The server waits by the same clock, beside the handler and what limits it.
    while time.waiting() == before {
        tokio::task::yield_now().await;
    }
    time.advance_to_next().await;
    let answer = match clock.now() == Timestamp(0).after(takes) {
        true => under_way.await.unwrap(),
        false => {
            under_way.abort();
            Err(tonic::Status::cancelled("the server did not wait for it"))
        }
    };
    serving.await.unwrap().unwrap();
    (clock.now(), answer)
}

#[tokio::test]
async fn a_server_that_stops_answers_what_it_has_and_waits_five_seconds_at_most_for_it() {
    let second = Duration::from_secs(1);
    let (at, answer) = stopped(second * 4).await;
    answer.unwrap();
    assert_eq!(at, Timestamp(4_000));
    let (at, answer) = stopped(second * 6).await;
    answer.unwrap_err();
    assert_eq!(at, Timestamp(5_000));
}
