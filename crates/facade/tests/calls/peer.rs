//! A peer of which each frame is told: it sets its limits when it is told to, and answers in the order it is told to.

use std::collections::{BTreeSet, VecDeque};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

/// Flags: END_STREAM, which is also ACK, and END_HEADERS.
const END: u8 = 1;
const END_HEADERS: u8 = 4;

/// HPACK: `:status 200` by its number in the static table, and `grpc-status: 0` in full.
const OK: &[u8] = &[0x88];
const TRAILERS: &[u8] = b"\x00\x0bgrpc-status\x010";

/// A call that has arrived whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) stream: u32,
    pub(crate) message: Vec<u8>,
}

pub(crate) struct Peer {
    socket: TcpStream,
    arrived: VecDeque<Arrived>,
    under_way: BTreeSet<u32>,
    /// How many calls were under way at once since it was looked at last.
    pub(crate) most: usize,
    pub(crate) acknowledged: usize,
    pongs: usize,
    /// How often it was asked whether it is there.
    pub(crate) pings: usize,
    /// It answers no PING.
    pub(crate) is_hung: bool,
}

impl Peer {
    /// Takes a connection and says nothing.
    pub(crate) async fn accept(listener: &TcpListener) -> Self {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut preface = [0; 24];
        socket.read_exact(&mut preface).await.unwrap();
        assert!(preface.starts_with(b"PRI * HTTP/2.0"));
        let (arrived, under_way) = (VecDeque::new(), BTreeSet::new());
        let (most, acknowledged, pongs, pings, is_hung) = (0, 0, 0, 0, false);
        Self { socket, arrived, under_way, most, acknowledged, pongs, pings, is_hung }
    }

    /// Takes a connection on which so many streams are allowed at once.
    pub(crate) async fn allowing(listener: &TcpListener, streams: u32) -> Self {
        let mut peer = Self::accept(listener).await;
        peer.allow(streams).await;
        peer
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.socket.write_all(&frame).await.unwrap();
    }

    /// Sets SETTINGS_MAX_CONCURRENT_STREAMS, and waits until that is acknowledged.
    pub(crate) async fn allow(&mut self, streams: u32) {
        let mut setting = vec![0, 3];
        setting.extend(streams.to_be_bytes());
        self.send(SETTINGS, 0, 0, &setting).await;
        let before = self.acknowledged;
        while self.acknowledged == before {
            self.read().await;
        }
    }

    /// When it is over, the caller has done all that it had to do since the last frame.
    pub(crate) async fn round_trip(&mut self) {
        for _ in 0..2 {
            self.send(PING, 0, 0, &[7; 8]).await;
            let before = self.pongs;
            while self.pongs == before {
                self.read().await;
            }
        }
    }

    /// Until the caller asks whether it is there.
    pub(crate) async fn ping(&mut self) {
        let before = self.pings;
        while self.pings == before {
            self.read().await;
        }
    }

    /// The next call.
    pub(crate) async fn call(&mut self) -> Arrived {
        loop {
            if let Some(arrived) = self.arrived.pop_front() {
                return arrived;
            }
            self.read().await;
        }
    }

    /// What has arrived and was not taken.
    pub(crate) fn arrived(&self) -> usize {
        self.arrived.len()
    }

    async fn read(&mut self) {
        let mut head = [0; 9];
        self.socket.read_exact(&mut head).await.unwrap();
        let [high, middle, low, kind, flags, a, b, c, d] = head;
        let stream = u32::from_be_bytes([a, b, c, d]);
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        self.socket.read_exact(&mut payload).await.unwrap();
        match kind {
            HEADERS => {
                assert!(self.under_way.insert(stream));
                self.most = self.most.max(self.under_way.len());
            }
            DATA if flags & END != 0 => {
                let message = payload.split_off(5);
                self.arrived.push_back(Arrived { stream, message });
            }
            RST_STREAM => {
                self.under_way.remove(&stream);
            }
            SETTINGS if flags & END != 0 => self.acknowledged += 1,
            PING if flags & END != 0 => self.pongs += 1,
            PING => {
                self.pings += 1;
                if !self.is_hung {
                    self.send(PING, END, 0, &payload).await;
                }
            }
            _ => {}
        }
    }

    /// The head of an answer, and no more of it.
    pub(crate) async fn begin_answer(&mut self, stream: u32) {
        self.send(HEADERS, END_HEADERS, stream, OK).await;
    }

    /// Answers with the call's own message.
    pub(crate) async fn answer(&mut self, call: Arrived) {
        self.answer_with_headers(call, 0).await;
    }

    /// The head of the answer has so many times a header of 2,900 bytes. HPACK makes a byte of each but the first.
    pub(crate) async fn answer_with_headers(&mut self, call: Arrived, times: usize) {
        let mut head = OK.to_vec();
        if times > 0 {
            head.extend([0x40, 1, b'x', 0x7f, 0xd5, 0x15]);
            head.extend([b'x'; 2_900]);
            head.extend(vec![0xbe; times - 1]);
        }
        let mut message = vec![0];
        message.extend(u32::try_from(call.message.len()).unwrap().to_be_bytes());
        message.extend(call.message);
        self.under_way.remove(&call.stream);
        self.send(HEADERS, END_HEADERS, call.stream, &head).await;
        self.send(DATA, 0, call.stream, &message).await;
        self.send(HEADERS, END | END_HEADERS, call.stream, TRAILERS).await;
    }

    /// Ends a call without an answer.
    pub(crate) async fn reset(&mut self, stream: u32, reason: h2::Reason) {
        self.under_way.remove(&stream);
        self.send(RST_STREAM, 0, stream, &u32::from(reason).to_be_bytes()).await;
    }

    /// Takes no call any more behind that on stream `last`.
    pub(crate) async fn go_away(&mut self, last: u32) {
        let mut payload = last.to_be_bytes().to_vec();
        payload.extend([0; 4]);
        self.send(GOAWAY, 0, 0, &payload).await;
    }
}
