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

/// The first message of a TLS client, of 1.3 and 1.2, with ciphers and groups that servers of gRPC take: some close the
/// connection without a word where there are none. It is answered with the server's own or with an alert; by a server of HTTP/1
/// with the status that the request is bad.
fn client_hello() -> Vec<u8> {
    const RANDOM: [u8; 32] = [0x5a; 32];
    /// x25519, and any 32 bytes are a key of it.
    const KEY_SHARE: [u8; 4] = [0, 0x1d, 0, 32];
    let key_share = sized(&[KEY_SHARE.as_slice(), &RANDOM].concat());
    let extensions = [
        extension(0x0a, &sized(&[0, 0x1d, 0, 0x17])),
        extension(0x0b, &[1, 0]),
        extension(0x0d, &sized(&[4, 3, 8, 4, 4, 1, 5, 3, 8, 5, 5, 1, 8, 6, 6, 1])),
        extension(0x10, &sized(b"\x02h2")),
        extension(0x2b, &[4, 3, 4, 3, 3]),
        extension(0x33, &key_share),
    ];
    let ciphers = [
        0x13, 0x01, 0x13, 0x02, 0x13, 0x03, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0x00,
        0x9c,
    ];
    let no_session = [0];
    let no_compression = [1, 0];
    let hello = [
        &[3, 3][..],
        &RANDOM,
        &no_session,
        &sized(&ciphers),
        &no_compression,
        &sized(&extensions.concat()),
    ];
    let handshake = [&[1, 0][..], &sized(&hello.concat())].concat();
    [&[0x16, 3, 1][..], &sized(&handshake)].concat()
}

fn extension(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[0, kind][..], &sized(body)].concat()
}

/// The bytes behind their number, in two bytes.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

/// Looks what listens at `HOST:PORT`, for no longer than three times `limit`.
pub(super) async fn peer(clock: &Clock, host_and_port: &str, limit: Duration) -> Peer {
    let addresses = match lookup_host(host_and_port).await {
        Ok(addresses) => addresses.collect::<Vec<_>>(),
        Err(error) => return Peer::NoName(error.to_string()),
    };
    let mut is_silent = true;
    for hello in [&client_hello()[..], b"GET / HTTP/1.1\r\nHost: probe\r\n\r\n"] {
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
        let hello = client_hello();
        assert_eq!(usize::from(hello[4]) + 5, hello.len());
        assert_eq!(usize::from(hello[8]) + 9, hello.len());
    }
}
