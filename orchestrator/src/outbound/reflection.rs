//! A participant's descriptors, asked of the participant itself by server reflection: v1 first, then v1alpha.

use std::{collections::BTreeMap, error::Error, time::Duration};

use clock::Clock;
use facade::dial::{self, Address};
use prost::Message;
use prost_reflect::DescriptorPool;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use tonic::{Code, Status};

/// How long a participant is given to describe itself.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

/// The descriptors of `service`, from the participant at `address`.
///
/// # Errors
/// A sentence: why it cannot be described, and what can be done.
pub async fn describe(
    clock: &Clock,
    service: &str,
    address: &Address,
) -> Result<DescriptorPool, String> {
    let described = clock.timeout(LIMIT, fetch(service, address)).await;
    let why = match described {
        Ok(Ok(files)) => return pool(files).map_err(|why| format!("the descriptors of {service}: {why}")),
        Ok(Err(status)) if status.code() == Code::Unimplemented => {
            "it serves no reflection: add its .proto or descriptor set to the definition's `descriptors`".to_owned()
        }
        Ok(Err(status)) => cause(&status),
        Err(_) => format!("no answer within {} s", LIMIT.as_secs()),
    };
    Err(format!("{service} at {address} cannot be described: {why}"))
}

async fn fetch(service: &str, address: &Address) -> Result<BTreeMap<String, Vec<u8>>, Status> {
    let channel = dial::channel(address).map_err(Status::unavailable)?;
    match v1::fetch(channel.clone(), service).await {
        Err(status) if status.code() == Code::Unimplemented => {
            v1alpha::fetch(channel, service).await
        }
        fetched => fetched,
    }
}

/// What is behind a status: where no connection was made, why not.
fn cause(status: &Status) -> String {
    let mut cause = status.source();
    while let Some(source) = cause.and_then(Error::source) {
        cause = Some(source);
    }
    cause.map_or_else(|| status.message().to_owned(), ToString::to_string)
}

fn pool(files: BTreeMap<String, Vec<u8>>) -> Result<DescriptorPool, String> {
    let mut set = FileDescriptorSet::default();
    for (name, bytes) in files {
        let file = FileDescriptorProto::decode(bytes.as_slice())
            .map_err(|error| format!("{name}: {error}"))?;
        set.file.push(file);
    }
    // The files go through bytes, which keep the custom options, and through `pool_of_set`, which checks them.
    definition::pool_of_set(&set.encode_to_vec()).map_err(|error| error.to_string())
}

/// Adds the files of one answer to `files`, and gives the names of those that they import.
fn add_files(
    files: &mut BTreeMap<String, Vec<u8>>,
    received: Vec<Vec<u8>>,
) -> Result<Vec<String>, Status> {
    let mut imports = Vec::new();
    for bytes in received {
        let file = FileDescriptorProto::decode(bytes.as_slice()).map_err(|error| {
            Status::internal(format!("a file descriptor that cannot be read: {error}"))
        })?;
        imports.extend(file.dependency.iter().cloned());
        files.insert(file.name().to_owned(), bytes);
    }
    Ok(imports)
}

/// Files that every pool has, so no server need be asked for them.
fn well_known(name: &str) -> Option<Vec<u8>> {
    DescriptorPool::global().get_file_by_name(name).map(|file| file.encode_to_vec())
}

/// The two versions of the protocol differ only in their package.
macro_rules! version {
    ($version:ident) => {
        mod $version {
            use tonic::transport::Channel;
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
            };

            use super::*;

            pub(super) async fn fetch(
                channel: Channel,
                service: &str,
            ) -> Result<BTreeMap<String, Vec<u8>>, Status> {
                let mut client = ServerReflectionClient::new(channel);
                let mut files = BTreeMap::new();
                let first = MessageRequest::FileContainingSymbol(service.to_owned());
                let mut wanted = add_files(&mut files, ask(&mut client, first).await?)?;
                while let Some(name) = wanted.pop() {
                    if files.contains_key(&name) {
                        continue;
                    }
                    let received = match well_known(&name) {
                        Some(bytes) => vec![bytes],
                        None => ask(&mut client, MessageRequest::FileByFilename(name)).await?,
                    };
                    wanted.extend(add_files(&mut files, received)?);
                }
                Ok(files)
            }

            async fn ask(
                client: &mut ServerReflectionClient<Channel>,
                request: MessageRequest,
            ) -> Result<Vec<Vec<u8>>, Status> {
                let request =
                    ServerReflectionRequest { host: String::new(), message_request: Some(request) };
                let mut answers = client
                    .server_reflection_info(futures::stream::iter([request]))
                    .await?
                    .into_inner();
                match answers.message().await?.and_then(|answer| answer.message_response) {
                    Some(MessageResponse::FileDescriptorResponse(files)) => {
                        Ok(files.file_descriptor_proto)
                    }
                    Some(MessageResponse::ErrorResponse(error)) => Err(Status::not_found(format!(
                        "its reflection says: {}",
                        error.error_message
                    ))),
                    _ => Err(Status::internal(
                        "its reflection answered something else than was asked",
                    )),
                }
            }
        }
    };
}

version!(v1);
version!(v1alpha);
