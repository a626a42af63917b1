//! A participant that answers with the same bytes always, and whose reflection has what a test gives it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use facade::dial::Address;
use futures::{Stream, StreamExt, future::BoxFuture};
use prost::Message;
use prost_types::FileDescriptorProto;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codec::CompressionEncoding,
    codegen::Service,
    server::{Grpc, NamedService, UnaryService},
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_reflection::pb::v1::{
    ErrorResponse, FileDescriptorResponse, ListServiceResponse, ServerReflectionRequest,
    ServerReflectionResponse, ServiceResponse,
    server_reflection_request::MessageRequest,
    server_reflection_response::MessageResponse,
    server_reflection_server::{ServerReflection, ServerReflectionServer},
};

/// The service that it serves.
pub(crate) const SERVICE: &str = "work.v1.Work";

/// What a test changes while the participant runs.
#[derive(Default)]
pub(crate) struct State {
    /// The files of its reflection, by the name that each is asked for.
    pub(crate) files: Vec<FileDescriptorProto>,
    /// Whether a file that it does not have is answered with an empty one, as Go's runtime does.
    pub(crate) sends_placeholders: bool,
    /// What is asked of its reflection.
    pub(crate) asked: Vec<String>,
    /// What it answers to calls.
    pub(crate) answer: Bytes,
    pub(crate) calls: Vec<String>,
    /// Its reflection answers to who calls it by this name and sends this token, where there are some.
    pub(crate) admits: Option<(&'static str, &'static str)>,
}

#[derive(Clone, Default)]
pub(crate) struct Participant(pub(crate) Arc<Mutex<State>>);

/// How a participant is served.
#[derive(Clone, Copy, Default)]
pub(crate) struct Serving {
    pub(crate) without_reflection: bool,
    pub(crate) compressed: bool,
}

impl Participant {
    pub(crate) fn with(files: Vec<FileDescriptorProto>) -> Self {
        Self(Arc::new(Mutex::new(State { files, ..State::default() })))
    }

    pub(crate) async fn serve(&self, serving: Serving) -> Address {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string().parse().unwrap();
        let mut routes = Routes::new(self.clone());
        if !serving.without_reflection {
            let mut reflection = ServerReflectionServer::new(self.clone());
            if serving.compressed {
                reflection = reflection.send_compressed(CompressionEncoding::Gzip);
            }
            routes = routes.add_service(Guarded { participant: self.clone(), reflection });
        }
        let server = Server::builder().add_routes(routes);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        address
    }

    fn answer(&self, request: Option<MessageRequest>) -> MessageResponse {
        let mut state = self.0.lock().unwrap();
        state.asked.push(format!("{request:?}"));
        let file = match request {
            Some(MessageRequest::FileContainingSymbol(symbol)) => {
                state.files.iter().find(|file| declares(file, &symbol))
            }
            Some(MessageRequest::FileByFilename(name)) => {
                let found = state.files.iter().find(|file| file.name() == name);
                if found.is_none() && state.sends_placeholders {
                    return files(FileDescriptorProto {
                        name: Some(name),
                        syntax: Some("<unknown:0>".to_owned()),
                        ..Default::default()
                    });
                }
                found
            }
            _ => {
                let service = vec![ServiceResponse { name: SERVICE.to_owned() }];
                return MessageResponse::ListServicesResponse(ListServiceResponse { service });
            }
        };
        match file {
            Some(file) => files(file.clone()),
            None => MessageResponse::ErrorResponse(ErrorResponse {
                error_code: 5,
                error_message: "File not found.".to_owned(),
            }),
        }
    }
}

fn files(file: FileDescriptorProto) -> MessageResponse {
    let file_descriptor_proto = vec![file.encode_to_vec()];
    MessageResponse::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto })
}

/// Only what is at the top of a file, as some servers do.
fn declares(file: &FileDescriptorProto, symbol: &str) -> bool {
    let Some(name) = symbol.strip_prefix(&format!("{}.", file.package())) else { return false };
    file.message_type.iter().any(|message| message.name() == name)
        || file.enum_type.iter().any(|of| of.name() == name)
        || file.service.iter().any(|service| service.name() == name)
}

#[tonic::async_trait]
impl ServerReflection for Participant {
    type ServerReflectionInfoStream =
        Pin<Box<dyn Stream<Item = Result<ServerReflectionResponse, Status>> + Send>>;

    async fn server_reflection_info(
        &self,
        requests: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let this = self.clone();
        let answers = requests.into_inner().map(move |request| {
            let message_response = Some(this.answer(request?.message_request));
            Ok(ServerReflectionResponse { message_response, ..Default::default() })
        });
        Ok(Response::new(answers.boxed()))
    }
}

impl UnaryService<Bytes> for Participant {
    type Response = Bytes;
    type Future = BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let mut state = self.0.lock().unwrap();
        let direction = request.metadata().get("saga-direction").unwrap().to_str().unwrap();
        state.calls.push(direction.to_owned());
        let answer = state.answer.clone();
        Box::pin(async move { Ok(Response::new(answer)) })
    }
}

impl Service<http::Request<Body>> for Participant {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { Ok(Grpc::new(facade::codec::Raw).unary(this, request).await) })
    }
}

/// A reflection that does not answer to everybody.
#[derive(Clone)]
struct Guarded {
    participant: Participant,
    reflection: ServerReflectionServer<Participant>,
}

impl Service<http::Request<Body>> for Guarded {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let admits = self.participant.0.lock().unwrap().admits;
        let is_admitted = admits.is_none_or(|(authority, token)| {
            request.uri().authority().is_some_and(|called| called == authority)
                && request.headers().get("authorization").is_some_and(|sent| sent == token)
        });
        match is_admitted {
            true => self.reflection.call(request),
            false => {
                let refused = Status::unauthenticated("no token").into_http();
                Box::pin(std::future::ready(Ok(refused)))
            }
        }
    }
}

impl NamedService for Guarded {
    const NAME: &'static str = <ServerReflectionServer<Participant> as NamedService>::NAME;
}

impl NamedService for Participant {
    const NAME: &'static str = SERVICE;
}
