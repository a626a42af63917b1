//! Where a definition's methods and messages are looked up.
//!
//! Participants are strangers to each other: two of them may describe the same file name
//! differently, so each has a pool of its own and a name is looked up in one pool after the other.
//! Types of different pools are the same when their full names are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use prost::Message as _;
use prost_reflect::{
    DescriptorError, DescriptorPool, DynamicMessage, EnumDescriptor, EnumValueDescriptor,
    FileDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};
use prost_types::FileDescriptorSet;

use super::problem::{closest, did_you_mean};

/// Why a file could not be added.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is a .proto file that does not compile.
    #[error("cannot compile {}", path.display())]
    Proto {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<protox::Error>,
    },
    /// It is no `FileDescriptorSet`.
    #[error("not a descriptor set (make one with `protoc --include_imports --descriptor_set_out`)")]
    NotASet(#[source] prost::DecodeError),
    /// The set does not hold together, for example because an import is missing.
    #[error("the descriptor set is not complete")]
    Incomplete(#[source] Box<DescriptorError>),
    /// A file is written in a syntax that cannot be read yet.
    #[error("{file} is written in `{syntax}`; only proto2 and proto3 are understood")]
    Syntax {
        /// The .proto file inside the set.
        file: String,
        /// Its syntax.
        syntax: String,
    },
}

/// A method or message that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingDescriptor {
    /// Whether the service is known and only its method is not.
    pub service_known: bool,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub cure: String,
}

/// The descriptors of every service that a definition names.
#[derive(Debug, Clone, Default)]
pub struct Descriptors {
    pools: Vec<DescriptorPool>,
    undescribed: BTreeMap<String, String>,
    /// Services that were known before [`Self::needed`] left them out; for suggestions only.
    known: BTreeSet<String>,
}

/// How the pools are stored beside a definition: each one a `FileDescriptorSet`.
#[derive(Clone, PartialEq, prost::Message)]
struct Stored {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pools: Vec<Vec<u8>>,
}

impl Descriptors {
    /// No descriptors at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what one participant says of itself. Pools that came first win.
    pub fn add_pool(&mut self, pool: DescriptorPool) {
        self.known.extend(pool.services().map(|service| service.full_name().to_owned()));
        self.pools.push(pool);
    }

    /// Adds a file: a .proto source, whose imports are looked up beside it, or a descriptor set.
    ///
    /// # Errors
    /// When it cannot be read, compiled or understood; nothing is added then.
    pub fn add_file(&mut self, path: &Path) -> Result<(), Error> {
        let pool = if path.extension().is_some_and(|extension| extension == "proto") {
            compile_proto(path).map_err(|source| Error::Proto {
                path: path.to_owned(),
                source: Box::new(source),
            })?
        } else {
            let read = std::fs::read(path);
            let set = read.map_err(|source| Error::Read { path: path.to_owned(), source })?;
            pool_of_set(&set)?
        };
        self.add_pool(pool);
        Ok(())
    }

    /// Notes why nothing is known of `service`, for the problem that will name it.
    pub fn undescribed(&mut self, service: &str, why: impl Into<String>) {
        self.undescribed.insert(service.to_owned(), why.into());
    }

    /// Whether the service of this full name is described.
    pub fn has_service(&self, name: &str) -> bool {
        self.service(name).is_some()
    }

    /// The method of a service, by the service's full name.
    ///
    /// # Errors
    /// What is missing, with a cure.
    pub fn method(
        &self,
        service: &str,
        method: &str,
    ) -> Result<MethodDescriptor, MissingDescriptor> {
        let found = self.service(service).ok_or_else(|| self.missing_service(service))?;
        found.methods().find(|candidate| candidate.name() == method).ok_or_else(|| {
            let methods: Vec<MethodDescriptor> = found.methods().collect();
            let names = methods.iter().map(MethodDescriptor::name);
            MissingDescriptor {
                service_known: true,
                what: format!("no method `{method}` in {service}"),
                cure: did_you_mean(method, names, "see the service's .proto"),
            }
        })
    }

    /// The message of this full name.
    ///
    /// # Errors
    /// What is missing, with a cure.
    pub fn message(&self, full_name: &str) -> Result<MessageDescriptor, MissingDescriptor> {
        let found = self.pools.iter().find_map(|pool| pool.get_message_by_name(full_name));
        found.ok_or_else(|| {
            let all: Vec<MessageDescriptor> = self
                .pools
                .iter()
                .flat_map(|pool| pool.all_messages().collect::<Vec<_>>())
                .collect();
            let names = all.iter().map(MessageDescriptor::full_name);
            let otherwise = "add the file that declares it under `descriptors:`";
            MissingDescriptor {
                service_known: false,
                what: format!("no message `{full_name}`"),
                cure: did_you_mean(full_name, names, otherwise),
            }
        })
    }

    /// The enum of this full name.
    pub(super) fn enumeration(&self, full_name: &str) -> Option<EnumDescriptor> {
        self.pools.iter().find_map(|pool| pool.get_enum_by_name(full_name))
    }

    /// The enum value that `package.Enum.VALUE` names.
    pub(super) fn enum_value(&self, path: &str) -> Option<EnumValueDescriptor> {
        let (name, value) = path.rsplit_once('.')?;
        self.enumeration(name)?.get_value_by_name(value)
    }

    /// What is needed to understand `services` and `messages`, and nothing else. A definition is
    /// compiled against this, so that what is stored with it always suffices.
    pub(super) fn needed<'a>(
        &self,
        services: impl IntoIterator<Item = &'a str>,
        messages: impl IntoIterator<Item = &'a str>,
    ) -> Descriptors {
        let services = services.into_iter().filter_map(|name| self.service(name));
        let mut files: Vec<FileDescriptor> =
            services.map(|service| service.parent_file()).collect();
        let messages = messages.into_iter().filter_map(|name| self.message(name).ok());
        files.extend(messages.map(|message| message.parent_file()));
        let pools = self.pools.iter().filter_map(|pool| {
            let mut wanted = BTreeSet::new();
            for file in files.iter().filter(|file| file.parent_pool() == pool) {
                collect_with_dependencies(file, &mut wanted);
            }
            (!wanted.is_empty()).then(|| part_of(pool, &wanted))
        });
        Descriptors {
            pools: pools.collect(),
            undescribed: self.undescribed.clone(),
            known: self.known.clone(),
        }
    }

    /// Each pool as an encoded `FileDescriptorSet`, as a node takes them from a caller.
    pub fn sets(&self) -> Vec<Vec<u8>> {
        self.pools.iter().map(DescriptorPool::encode_to_vec).collect()
    }

    /// The bytes that [`Descriptors::decode`] reads again.
    pub fn encode(&self) -> Vec<u8> {
        Stored { pools: self.sets() }.encode_to_vec()
    }

    /// Reads what [`Descriptors::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let stored = Stored::decode(bytes).map_err(Error::NotASet)?;
        let mut descriptors = Self::new();
        for set in &stored.pools {
            descriptors.add_pool(pool_of_set(set)?);
        }
        Ok(descriptors)
    }

    fn service(&self, name: &str) -> Option<ServiceDescriptor> {
        self.pools.iter().find_map(|pool| pool.get_service_by_name(name))
    }

    fn missing_service(&self, service: &str) -> MissingDescriptor {
        let (what, cure) = match self.undescribed.get(service) {
            Some(why) => (
                format!("service {service} cannot be described: {why}"),
                "start it with reflection on, or name its .proto under `descriptors:`".to_owned(),
            ),
            None => {
                let cure = match closest(service, self.known.iter().map(String::as_str)) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "name its address, or its .proto under `descriptors:`".to_owned(),
                };
                (format!("no service `{service}`"), cure)
            }
        };
        MissingDescriptor { service_known: false, what, cure }
    }
}

/// Reads a `FileDescriptorSet`. Editions are refused here because prost-reflect panics on them.
///
/// # Errors
/// When it is no such set, is not complete, or uses editions.
pub fn pool_of_set(set: &[u8]) -> Result<DescriptorPool, Error> {
    for file in FileDescriptorSet::decode(set).map_err(Error::NotASet)?.file {
        if !matches!(file.syntax(), "" | "proto2" | "proto3") {
            let syntax = file.syntax().to_owned();
            return Err(Error::Syntax { file: file.name().to_owned(), syntax });
        }
    }
    DescriptorPool::decode(set).map_err(|source| Error::Incomplete(Box::new(source)))
}

/// Imports are relative to a root that the file does not name: its own folder, or one above it
/// when the folders follow the packages. The nearest root under which all imports are found is it.
fn compile_proto(path: &Path) -> Result<DescriptorPool, protox::Error> {
    const MAX_ROOTS: usize = 8;
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let compile = |root: &Path| {
        let mut compiler = protox::Compiler::new([root])?;
        compiler.include_imports(true).open_file(&path)?;
        Ok(compiler.descriptor_pool())
    };
    let mut roots = path.ancestors().skip(1).take(MAX_ROOTS);
    let nearest = compile(roots.next().unwrap_or(Path::new("")));
    nearest.or_else(|error| roots.find_map(|root| compile(root).ok()).ok_or(error))
}

/// Adds the names of the file and of all files that it imports, directly or not.
fn collect_with_dependencies(file: &FileDescriptor, wanted: &mut BTreeSet<String>) {
    if wanted.insert(file.name().to_owned()) {
        for dependency in file.dependencies() {
            collect_with_dependencies(&dependency, wanted);
        }
    }
}

/// The files of `pool` that are `wanted`, as a pool of their own.
fn part_of(pool: &DescriptorPool, wanted: &BTreeSet<String>) -> DescriptorPool {
    let files = pool.files().filter(|file| wanted.contains(file.name()));
    let mut set = Vec::new();
    for file in files {
        prost::encoding::bytes::encode(1, &without_comments(file.encode_to_vec()), &mut set);
    }
    DescriptorPool::decode(set.as_slice()).unwrap_or_else(|_| pool.clone())
}

/// Comments are most of a file and are of no use here. Done on a dynamic message, which keeps
/// custom options; the generated one loses them.
fn without_comments(file: Vec<u8>) -> Vec<u8> {
    let descriptor =
        DescriptorPool::global().get_message_by_name("google.protobuf.FileDescriptorProto");
    let Some(descriptor) = descriptor else { return file };
    match DynamicMessage::decode(descriptor, file.as_slice()) {
        Ok(mut message) => {
            message.clear_field_by_name("source_code_info");
            message.encode_to_vec()
        }
        Err(_) => file,
    }
}
