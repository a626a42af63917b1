//! A participant's descriptors, asked of the participant itself by server reflection: v1 first, then v1alpha.

mod client;
mod files;
mod probe;

use std::{error::Error, sync::Arc, time::Duration};

use clock::Clock;
use facade::dial::{self, Address};
use http::{HeaderMap, uri::Authority};
use prost_reflect::DescriptorPool;
use tonic::{Code, Status};

use self::client::Client;
use self::files::Files;
use self::probe::Peer;

/// How long a participant is given to describe itself.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

/// How long a connection, and then an answer, is waited for when it is looked what listens at an address.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

const NAME_THE_PROTO: &str = "name its .proto or descriptor set under `descriptors:`";

/// Whose reflection is asked.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it listens.
    pub address: Address,
    /// What it is called by; its address where there is none.
    pub authority: Option<Authority>,
    /// What goes with each question, as with calls.
    pub metadata: Arc<HeaderMap>,
}

impl Server {
    /// One that is asked with nothing besides.
    #[must_use]
    pub fn at(address: Address) -> Self {
        Self { address, authority: None, metadata: Arc::default() }
    }

    fn clients(&self) -> Result<[Client; 2], Status> {
        let authority = self.authority.as_ref();
        let channel = authority.map_or_else(
            || dial::channel(&self.address),
            |authority| dial::channel_as(&self.address, authority),
        );
        let channel = channel.map_err(Status::unavailable)?;
        Ok([Client::v1(channel.clone(), self), Client::v1alpha(channel, self)])
    }
}

/// Why a participant cannot be described.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub what: String,
    /// What can be done.
    pub cure: String,
    /// The address, where it is so for each service there.
    pub address: Option<String>,
}

/// Why the files of a service did not come.
enum Cause {
    /// The call failed.
    Status(Status),
    /// The peer's reflection answered, and what it has does not suffice.
    Answer { what: String, cure: String },
}

impl From<Status> for Cause {
    fn from(status: Status) -> Self {
        Cause::Status(status)
    }
}

/// The descriptors of `service`, from the participant that is this server, with those of `messages` that it has.
///
/// # Errors
/// Why it cannot be described, and what can be done.
pub async fn describe(
    clock: &Clock,
    service: &str,
    messages: &[String],
    server: &Server,
) -> Result<DescriptorPool, Failure> {
    let address = &server.address;
    let failure = |(what, cure): (String, String), is_of_address: bool| {
        let what = format!("{service} at {address} cannot be described: {what}");
        let address = is_of_address.then(|| address.to_string());
        Failure { what, cure, address }
    };
    let cause = match clock.timeout(LIMIT, fetch(service, messages, server)).await {
        Ok(Ok(files)) => {
            return definition::pool_of_files(&files).map_err(|error| {
                failure((facade::wire::causes(&error), NAME_THE_PROTO.to_owned()), false)
            });
        }
        Ok(Err(Cause::Answer { what, cure })) => return Err(failure((what, cure), false)),
        Ok(Err(Cause::Status(status))) => status,
        Err(_) => Status::deadline_exceeded(format!("no answer within {} s", LIMIT.as_secs())),
    };
    if let Some(told) = refused(&cause) {
        return Err(failure(told, false));
    }
    let peer = match address.host_and_port() {
        Some(host_and_port) => probe::peer(clock, &host_and_port, PROBE_LIMIT).await,
        None => Peer::Other,
    };
    let told = match peer {
        Peer::Other => (deepest(&cause), format!("see whether it is well, or {NAME_THE_PROTO}")),
        peer => wrong_peer(&peer),
    };
    Err(failure(told, true))
}

async fn fetch(service: &str, messages: &[String], server: &Server) -> Result<Vec<Vec<u8>>, Cause> {
    let [v1, v1alpha] = server.clients()?;
    match Files::of(v1, service, messages).await {
        Err(Cause::Status(status)) if status.code() == Code::Unimplemented => {
            Files::of(v1alpha, service, messages).await
        }
        fetched => fetched,
    }
}

/// What a gRPC server's own status means here.
fn refused(status: &Status) -> Option<(String, String)> {
    let message = status.message();
    match status.code() {
        // The words of tonic for an answer that is not one of gRPC.
        _ if message.contains("HTTP status code") => Some((
            format!("it speaks HTTP/2, but not gRPC: {message}"),
            "check the address".to_owned(),
        )),
        Code::Unimplemented if message.contains("compressed") => {
            Some((message.to_owned(), NAME_THE_PROTO.to_owned()))
        }
        Code::Unimplemented => Some((
            "it serves no reflection".to_owned(),
            format!("start it with reflection on, or {NAME_THE_PROTO}"),
        )),
        Code::Unauthenticated | Code::PermissionDenied => Some((
            format!("its reflection wants credentials: {message}"),
            format!("give them in the participant's `metadata`, or {NAME_THE_PROTO}"),
        )),
        Code::OutOfRange | Code::ResourceExhausted => {
            Some((message.to_owned(), NAME_THE_PROTO.to_owned()))
        }
        _ => None,
    }
}

fn wrong_peer(peer: &Peer) -> (String, String) {
    let (what, cure) = match peer {
        Peer::NoName(why) => {
            (format!("the name does not resolve: {why}"), "check the host in the address")
        }
        Peer::Refused => (
            "nothing listens there (connection refused)".to_owned(),
            "start it, or correct its address",
        ),
        Peer::Unreachable(why) => {
            (format!("there is no way to it: {why}"), "check the address and the network")
        }
        Peer::Tls => (
            "it speaks TLS there, and is called without".to_owned(),
            "call it by its TLS address (https://), or name a port without TLS",
        ),
        Peer::Http1 => (
            "it speaks HTTP/1 there, not gRPC".to_owned(),
            "name the port of its gRPC server; a proxy between must pass HTTP/2 on",
        ),
        Peer::Silent => (
            "it takes connections and says nothing".to_owned(),
            "see whether it hangs, and whether this is the port of its gRPC server",
        ),
        Peer::Other => (String::new(), ""),
    };
    (what, cure.to_owned())
}

/// What is behind a status: where no connection was made, why not.
fn deepest(status: &Status) -> String {
    let mut cause = status.source();
    while let Some(source) = cause.and_then(Error::source) {
        cause = Some(source);
    }
    cause.map_or_else(|| status.message().to_owned(), ToString::to_string)
}
