//! What listens at an address where gRPC got no answer: the cure depends on it.

use std::{io::ErrorKind, time::Duration};

use clock::Clock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
};

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// The host's name does not resolve.
    NoName(String),
    /// The port is closed.
    Refused,
    /// No connection can be made for another reason.
    Unreachable(String),
    Tls,
    Http1,
    /// It takes a connection, and answers to nothing until the caller gives up.
    Silent,
    /// Something else, HTTP/2 among it.
    Other,
}

/// The first message of a TLS client. A server of TLS answers with its own or with an alert, one of HTTP/1 that the request is
/// bad.
const CLIENT_HELLO: [u8; 52] = {
    let head = [
        0x16, 3, 1, 0, 47, // a record of the handshake
        1, 0, 0, 43, // a hello
        3, 3, // TLS 1.2
    ];
    // No session, two ciphers that every server knows of, no compression.
    let tail = [0, 0, 4, 0xc0, 0x2f, 0x00, 0x9c, 1, 0];
    let mut hello = [0x5a; 52];
    let mut at = 0;
    while at < head.len() {
        hello[at] = head[at];
        at += 1;
    }
    at = 0;
    while at < tail.len() {
        hello[52 - tail.len() + at] = tail[at];
        at += 1;
    }
    hello
};

/// Looks what listens at `HOST:PORT`, for no longer than three times `limit`.
pub(super) async fn peer(clock: &Clock, host_and_port: &str, limit: Duration) -> Peer {
    let addresses = match lookup_host(host_and_port).await {
        Ok(addresses) => addresses.collect::<Vec<_>>(),
        Err(error) => return Peer::NoName(error.to_string()),
    };
    let mut is_silent = true;
    for hello in [&CLIENT_HELLO[..], b"GET / HTTP/1.1\r\nHost: probe\r\n\r\n"] {
        let connecting = TcpStream::connect(addresses.as_slice());
        let mut stream = match clock.timeout(limit, connecting).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => return Peer::Refused,
            Ok(Err(error)) => return Peer::Unreachable(error.to_string()),
            Err(_) => return Peer::Unreachable(format!("no answer within {} s", limit.as_secs())),
        };
        let answer = clock.timeout(limit, answer(&mut stream, hello)).await;
        is_silent &= answer.is_err();
        match answer.unwrap_or_default() {
            [0x15 | 0x16, 3, ..] => return Peer::Tls,
            [b'H', b'T', b'T', b'P', b'/', b'1'] => return Peer::Http1,
            _ => {}
        }
    }
    if is_silent { Peer::Silent } else { Peer::Other }
}

/// The first bytes that the peer answers with; zeros where it closes the connection.
async fn answer(stream: &mut TcpStream, hello: &[u8]) -> [u8; 6] {
    let mut answer = [0; 6];
    if stream.write_all(hello).await.is_ok() {
        let _ = stream.read_exact(&mut answer).await;
    }
    answer
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A peer that answers each connection with these bytes.
    async fn answering(bytes: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = [0; 5];
                stream.read_exact(&mut asked).await.unwrap();
                stream.write_all(bytes).await.unwrap();
            }
        });
        address
    }

    async fn found(host_and_port: &str) -> Peer {
        peer(&Clock::system(), host_and_port, Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn a_peer_is_known_by_what_it_answers_to_a_greeting_that_is_not_its_own() {
        assert_eq!(found(&answering(b"\x15\x03\x01\x00\x02\x02\x46").await).await, Peer::Tls);
        assert_eq!(found(&answering(b"\x16\x03\x03\x00\x3d\x02").await).await, Peer::Tls);
        assert_eq!(found(&answering(b"HTTP/1.1 400 Bad Request").await).await, Peer::Http1);
        let settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00";
        assert_eq!(found(&answering(settings).await).await, Peer::Other);
        assert_eq!(found(&answering(b"").await).await, Peer::Other);
    }

    #[tokio::test]
    async fn a_port_that_is_closed_and_a_name_that_nobody_has_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        assert_eq!(found(&address).await, Peer::Refused);
        assert!(matches!(found("no-such-host.invalid:1").await, Peer::NoName(_)));
    }

    #[tokio::test]
    async fn a_peer_that_says_nothing_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let found = peer(&Clock::system(), &address, Duration::from_millis(50)).await;
        assert_eq!(found, Peer::Silent);
    }

    #[test]
    fn the_greeting_of_tls_is_as_long_as_it_says() {
        assert_eq!(usize::from(CLIENT_HELLO[4]) + 5, CLIENT_HELLO.len());
        assert_eq!(usize::from(CLIENT_HELLO[8]) + 9, CLIENT_HELLO.len());
        assert_eq!(CLIENT_HELLO[43..], [0, 0, 4, 0xc0, 0x2f, 0, 0x9c, 1, 0]);
    }
}
