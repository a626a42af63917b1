//! Server reflection, v1 and v1alpha, over services of which some are known only at run time.
//!
//! `tonic-reflection`'s own service takes encoded descriptor sets and shows one pool; its message types are used here.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use arc_swap::ArcSwap;
use futures::StreamExt;
use prost_reflect::{DescriptorPool, FileDescriptor};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::foreign::Foreign;

/// Bytes of a request: it is a name, and the answer says it again.
const MAX_REQUEST: usize = 16 * 1024;

/// The services that every server has beside its own, each with its descriptor set.
pub(crate) const OF_EVERY_SERVER: [(&str, &[u8]); 3] = [
    ("grpc.health.v1.Health", tonic_health::pb::FILE_DESCRIPTOR_SET),
    ("grpc.reflection.v1.ServerReflection", tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET),
    (
        "grpc.reflection.v1alpha.ServerReflection",
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ),
];

type ByName = BTreeMap<String, DescriptorPool>;

/// The services that a server shows, each with the pool that describes it. Cheap to clone; all clones see what is added.
#[derive(Clone, Debug, Default)]
pub(crate) struct DescribedServices {
    services: Arc<ArcSwap<ByName>>,
}

impl DescribedServices {
    /// What every server has beside its own services: health, and reflection itself.
    pub(crate) fn of_every_server() -> Self {
        let shown = Self::default();
        for (service, set) in OF_EVERY_SERVER {
            let pool = DescriptorPool::decode(set).expect("the crates ship sound descriptors");
            shown.add(service, &pool);
        }
        shown
    }

    /// Shows a service, by this pool from now on.
    pub(crate) fn add(&self, service: &str, pool: &DescriptorPool) {
        self.services.rcu(|known| {
            let mut known = ByName::clone(known);
            known.insert(service.to_owned(), pool.clone());
            known
        });
    }

    fn names(&self) -> Vec<String> {
        self.services.load().keys().cloned().collect()
    }

    fn find<T>(&self, look: impl Fn(&DescriptorPool) -> Option<T>) -> Option<T> {
        self.services.load().values().chain([error_details()]).find_map(look)
    }

    /// The file that declares a symbol, and all that it imports.
    fn file_of_symbol(&self, symbol: &str) -> Option<Vec<Vec<u8>>> {
        self.find(|pool| declaring_file(pool, symbol)).map(|file| closure(&file))
    }

    fn file_named(&self, name: &str) -> Option<Vec<Vec<u8>>> {
        self.find(|pool| pool.get_file_by_name(name)).map(|file| closure(&file))
    }

    fn file_of_extension(&self, message: &str, number: u32) -> Option<Vec<Vec<u8>>> {
        self.find(|pool| {
            Some(pool.get_message_by_name(message)?.get_extension(number)?.parent_file())
        })
        .map(|file| closure(&file))
    }

    fn extension_numbers(&self, message: &str) -> Option<Vec<i32>> {
        self.find(|pool| {
            let message = pool.get_message_by_name(message)?;
            Some(
                message
                    .extensions()
                    .filter_map(|extension| extension.number().try_into().ok())
                    .collect(),
            )
        })
    }
}

/// `google.rpc`: what the details of every status are made of, so that a client can read them.
fn error_details() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        DescriptorPool::decode(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .expect("the crate ships sound descriptors")
    });
    &POOL
}

fn declaring_file(pool: &DescriptorPool, symbol: &str) -> Option<FileDescriptor> {
    if let Some(service) = pool.get_service_by_name(symbol) {
        return Some(service.parent_file());
    }
    if let Some(message) = pool.get_message_by_name(symbol) {
        return Some(message.parent_file());
    }
    if let Some(declared) = pool.get_enum_by_name(symbol) {
        return Some(declared.parent_file());
    }
    if let Some(extension) = pool.get_extension_by_name(symbol) {
        return Some(extension.parent_file());
    }
    // Any other symbol is a member: a method, a field, or a value of an enum.
    let (parent, member) = symbol.rsplit_once('.')?;
    if let Some(service) = pool.get_service_by_name(parent) {
        return service
            .methods()
            .any(|method| method.name() == member)
            .then(|| service.parent_file());
    }
    let message = pool.get_message_by_name(parent)?;
    message.get_field_by_name(member).map(|_| message.parent_file())
}

/// The file and its imports, each once, the file first.
fn closure(file: &FileDescriptor) -> Vec<Vec<u8>> {
    let (mut found, mut waiting, mut seen) = (Vec::new(), vec![file.clone()], Vec::new());
    while let Some(file) = waiting.pop() {
        if !seen.iter().any(|name| name == file.name()) {
            seen.push(file.name().to_owned());
            found.push(file.encode_to_vec());
            waiting.extend(file.dependencies());
        }
    }
    found
}

/// The two versions of the protocol differ only in their package.
macro_rules! version {
    ($version:ident) => {
        pub(crate) mod $version {
            use tonic_reflection::pb::$version::{
                ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse,
                ListServiceResponse, ServerReflectionRequest, ServerReflectionResponse,
                ServiceResponse,
                server_reflection_request::MessageRequest,
                server_reflection_response::MessageResponse,
                server_reflection_server::{ServerReflection, ServerReflectionServer},
            };

            use super::*;

            pub(crate) fn server(shown: DescribedServices) -> ServerReflectionServer<Reflection> {
                ServerReflectionServer::new(Reflection(shown))
                    .max_decoding_message_size(MAX_REQUEST)
            }

            pub(crate) struct Reflection(DescribedServices);

            #[tonic::async_trait]
            impl ServerReflection for Reflection {
                type ServerReflectionInfoStream =
                    futures::stream::BoxStream<'static, Result<ServerReflectionResponse, Status>>;

                async fn server_reflection_info(
                    &self,
                    request: Request<Streaming<ServerReflectionRequest>>,
                ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
                    let (call, shown) = (Foreign::call(&request), self.0.clone());
                    let answers = request.into_inner().map(move |request| {
                        let request = request?;
                        let message_response =
                            Some(answer(&shown, request.message_request.as_ref()));
                        Ok(ServerReflectionResponse {
                            valid_host: request.host.clone(),
                            original_request: Some(request),
                            message_response,
                        })
                    });
                    call.answered(Ok(Response::new(answers.boxed())))
                }
            }

            fn answer(
                shown: &DescribedServices,
                request: Option<&MessageRequest>,
            ) -> MessageResponse {
                let files = |files: Option<Vec<Vec<u8>>>| {
                    files.map(|file_descriptor_proto| {
                        MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
                            file_descriptor_proto,
                        })
                    })
                };
                let found = match request {
                    Some(MessageRequest::ListServices(_)) => {
                        let service = shown
                            .names()
                            .into_iter()
                            .map(|name| ServiceResponse { name })
                            .collect();
                        Some(MessageResponse::ListServicesResponse(ListServiceResponse { service }))
                    }
                    Some(MessageRequest::FileContainingSymbol(symbol)) => {
                        files(shown.file_of_symbol(symbol))
                    }
                    Some(MessageRequest::FileByFilename(name)) => files(shown.file_named(name)),
                    Some(MessageRequest::FileContainingExtension(extension)) => {
                        let number = u32::try_from(extension.extension_number).unwrap_or_default();
                        files(shown.file_of_extension(&extension.containing_type, number))
                    }
                    Some(MessageRequest::AllExtensionNumbersOfType(message)) => {
                        shown.extension_numbers(message).map(|extension_number| {
                            MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                                base_type_name: message.clone(),
                                extension_number,
                            })
                        })
                    }
                    None => None,
                };
                found.unwrap_or_else(|| {
                    MessageResponse::ErrorResponse(ErrorResponse {
                        error_code: Code::NotFound.into(),
                        error_message: "this server has no such symbol, file or extension"
                            .to_owned(),
                    })
                })
            }
        }
    };
}

version!(v1);
version!(v1alpha);
