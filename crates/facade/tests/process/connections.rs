//! Whom a listener lets connect, and how long it waits for those who say nothing.

use std::{num::NonZero, time::Duration};

use clock::{Clock, Timestamp};
use facade::{
    Facade, config::Connections, log::Calls, process::Process, readiness::Readiness, server::Server,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
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
    let mut answers = Vec::new();
    while !answers.windows(8).any(|window| window == b"sagamesh") {
        let mut bytes = [0; 256];
        let read = stream.read(&mut bytes).await.unwrap();
        assert!(read > 0, "it was closed");
        answers.extend_from_slice(&bytes[..read]);
    }
}
