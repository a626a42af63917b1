//! Whom a listener lets connect, and how long it waits for those who say nothing.

use std::{num::NonZero, time::Duration};

use clock::{Clock, Timestamp};
use facade::{
    Facade, config::Connections, log::Calls, process::Process, readiness::Readiness, server::Server,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

async fn serve(clock: Clock, limits: Connections) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut process = Process::new(clock.clone(), limits);
    let server = Server::new(Facade::new(clock, Calls::Notable)).build();
    process.serve("stock", &Readiness::default(), server, listener).await;
    tokio::spawn(process.run(std::future::pending()));
    address
}

/// Whether the server says anything on a connection, or closes it without a word.
async fn greets(stream: &mut TcpStream) -> bool {
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut first = [0; 1];
    matches!(stream.read(&mut first).await, Ok(1))
}

#[tokio::test]
async fn connections_beyond_the_share_of_an_address_are_closed_and_those_that_are_there_go_on() {
    let limits =
        Connections { max_per_address: NonZero::new(2).unwrap(), ..Connections::default() };
    let address = serve(Clock::system(), limits).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        assert!(greets(&mut stream).await);
        held.push(stream);
    }
    let mut third = TcpStream::connect(&address).await.unwrap();
    assert!(!greets(&mut third).await, "it is one too many");
    drop(held.pop());
    // The server notices the closed connection a moment later.
    loop {
        let mut next = TcpStream::connect(&address).await.unwrap();
        if greets(&mut next).await {
            break;
        }
    }
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_too_little_is_closed_after_a_while() {
    let (clock, time) = Clock::manual(Timestamp(0));
    let address = serve(clock.clone(), Connections::default()).await;
    for said in [&b""[..], b"PRI * HTTP/2.0\r\n"] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(said).await.unwrap();
        let before = clock.now();
        // What the server sends first does not matter: the connection must end, in order or not.
        let mut greeting = Vec::new();
        let (_, ()) = tokio::join!(stream.read_to_end(&mut greeting), time.advance_to_next());
        assert_eq!(clock.now().since(before), Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_connection_that_has_said_what_it_speaks_may_be_idle() {
    let (clock, time) = Clock::manual(Timestamp(0));
    let address = serve(clock, Connections::default()).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    assert!(greets(&mut stream).await);
    time.advance(Duration::from_secs(3600));
    // A PING is answered.
    stream.write_all(b"\0\0\x08\x06\0\0\0\0\0sagamesh").await.unwrap();
    assert!(is_answered(&mut stream).await);
}

/// Silent connections that hold every place of their address.
async fn flood(address: &str, connections: usize) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for _ in 0..connections {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    silent
}

#[tokio::test]
async fn a_client_that_speaks_is_let_in_among_any_number_that_say_nothing() {
    let limits =
        Connections { max_per_address: NonZero::new(20).unwrap(), ..Connections::default() };
    let address = serve(Clock::system(), limits).await;
    let mut spoken = TcpStream::connect(&address).await.unwrap();
    assert!(greets(&mut spoken).await);
    let _silent = flood(&address, 200).await;
    for _ in 0..10 {
        let mut client = TcpStream::connect(&address).await.unwrap();
        assert!(greets(&mut client).await, "a silent one leaves in its place");
    }
    spoken.write_all(b"\0\0\x08\x06\0\0\0\0\0sagamesh").await.unwrap();
    assert!(is_answered(&mut spoken).await, "who has spoken keeps its place");
}

/// Whether a PING is answered before the connection is closed.
async fn is_answered(stream: &mut TcpStream) -> bool {
    let mut answers = Vec::new();
    while !answers.windows(8).any(|window| window == b"sagamesh") {
        let mut bytes = [0; 256];
        match stream.read(&mut bytes).await {
            Ok(read @ 1..) => answers.extend_from_slice(&bytes[..read]),
            _ => return false,
        }
    }
    true
}

/// HEADERS of a stream that says it goes on.
const UNENDED_HEADERS: &[u8] = b"\0\0\x01\x01\0\0\0\0\x01\x83";
/// One more header field, a name and a value of one byte, and it goes on still.
const CONTINUATION: &[u8] = b"\0\0\x05\x09\0\0\0\0\x01\0\x01x\x01y";

/// A peer in the midst of its headers may send nothing else, so it cannot answer a PING.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_headers_never_end_is_closed_however_they_are_dripped() {
    for drips in [false, true] {
        let clock = Clock::system();
        let address = serve(clock.clone(), Connections::default()).await;
        let mut stream = TcpStream::connect(&address).await.unwrap();
        assert!(greets(&mut stream).await);
        stream.write_all(UNENDED_HEADERS).await.unwrap();
        let began = clock.now();
        let (mut read, mut write) = stream.split();
        let dripping = async {
            while drips && write.write_all(CONTINUATION).await.is_ok() {
                clock.sleep(Duration::from_secs(1)).await;
            }
            std::future::pending::<()>().await;
        };
        let mut said = Vec::new();
        tokio::select! {
            _ = read.read_to_end(&mut said) => {}
            () = dripping => {}
        }
        let took = clock.now().since(began);
        assert!(took <= Duration::from_secs(40), "drips: {drips}, {took:?}");
        // Many small pieces are too many before that.
        assert!(drips || took >= Duration::from_secs(20), "it was not the PING: {took:?}");
    }
}

#[tokio::test]
async fn the_end_does_not_wait_for_connections_that_have_said_nothing() {
    let (clock, _time) = Clock::manual(Timestamp(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut process = Process::new(clock.clone(), Connections::default());
    let server = Server::new(Facade::new(clock, Calls::Notable)).build();
    process.serve("stock", &Readiness::default(), server, listener).await;
    let (stop, told) = oneshot::channel::<()>();
    let ended = tokio::spawn(process.run(async { told.await.unwrap() }));
    let _silent = TcpStream::connect(&address).await.unwrap();
    // It is accepted behind the other, and the clock stands still: nothing here times out.
    let mut last = TcpStream::connect(&address).await.unwrap();
    assert!(greets(&mut last).await);
    drop(last);
    stop.send(()).unwrap();
    ended.await.unwrap().unwrap();
}
