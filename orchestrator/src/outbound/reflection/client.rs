//! The two versions of the reflection protocol, which differ only in their package.

use std::sync::Arc;

use http::HeaderMap;
use tonic::{
    Request as TonicRequest, Status, codec::CompressionEncoding, metadata::MetadataMap,
    transport::Channel,
};
use tonic_reflection::pb::{
    v1::server_reflection_client::ServerReflectionClient as V1,
    v1alpha::server_reflection_client::ServerReflectionClient as V1Alpha,
};

use super::Server;

/// How many bytes of one answer are taken, after decompression.
const MAX_ANSWER: usize = 16 << 20;

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// The file that declares the symbol of this full name.
    Symbol(String),
    /// The file of this name.
    File(String),
    /// The names of all services.
    Services,
}

/// What is answered.
#[derive(Debug)]
pub(super) enum Reply {
    /// Encoded files, the one that was asked for among them.
    Files(Vec<Vec<u8>>),
    Services(Vec<String>),
    /// It does not know what was asked for, in its own words.
    NotThere(String),
}

/// Asks one participant.
pub(super) struct Client {
    version: Version,
    metadata: Arc<HeaderMap>,
}

enum Version {
    V1(V1<Channel>),
    V1Alpha(V1Alpha<Channel>),
}

impl Client {
    pub(super) fn v1(channel: Channel, server: &Server) -> Self {
        let client = V1::new(channel).max_decoding_message_size(MAX_ANSWER);
        let version = Version::V1(client.accept_compressed(CompressionEncoding::Gzip));
        Self { version, metadata: Arc::clone(&server.metadata) }
    }

    pub(super) fn v1alpha(channel: Channel, server: &Server) -> Self {
        let client = V1Alpha::new(channel).max_decoding_message_size(MAX_ANSWER);
        let version = Version::V1Alpha(client.accept_compressed(CompressionEncoding::Gzip));
        Self { version, metadata: Arc::clone(&server.metadata) }
    }

    pub(super) async fn ask(&mut self, question: Question) -> Result<Reply, Status> {
        let metadata = MetadataMap::from_headers(HeaderMap::clone(&self.metadata));
        match &mut self.version {
            Version::V1(client) => v1::ask(client, metadata, question).await,
            Version::V1Alpha(client) => v1alpha::ask(client, metadata, question).await,
        }
    }
}

macro_rules! version {
    ($version:ident) => {
        mod $version {
            use tonic_reflection::pb::$version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest as Request,
                server_reflection_response::MessageResponse as Response,
            };

            use super::*;

            pub(super) async fn ask(
                client: &mut ServerReflectionClient<Channel>,
                metadata: MetadataMap,
                question: Question,
            ) -> Result<Reply, Status> {
                let request = match question {
                    Question::Symbol(symbol) => Request::FileContainingSymbol(symbol),
                    Question::File(name) => Request::FileByFilename(name),
                    Question::Services => Request::ListServices(String::new()),
                };
                let request =
                    ServerReflectionRequest { host: String::new(), message_request: Some(request) };
                let mut request = TonicRequest::new(futures::stream::iter([request]));
                *request.metadata_mut() = metadata;
                let mut answers = client.server_reflection_info(request).await?.into_inner();
                match answers.message().await?.and_then(|answer| answer.message_response) {
                    Some(Response::FileDescriptorResponse(files)) => {
                        Ok(Reply::Files(files.file_descriptor_proto))
                    }
                    Some(Response::ListServicesResponse(all)) => Ok(Reply::Services(
                        all.service.into_iter().map(|service| service.name).collect(),
                    )),
                    Some(Response::ErrorResponse(error)) => {
                        Ok(Reply::NotThere(error.error_message))
                    }
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
