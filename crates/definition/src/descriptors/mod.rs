//! Where a definition's methods and messages are looked up.
//!
//! Participants are strangers to each other: two of them may describe the same file name
//! differently, so each has a pool of its own and a name is looked up in one pool after the other.
//! Types of different pools are the same when their full names are.

mod edition_source;
mod editions;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use prost::Message as _;
use prost_reflect::{
    DescriptorError, DescriptorPool, DynamicMessage, EnumDescriptor, EnumValueDescriptor,
    FileDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};

use self::editions::{EDITIONS, EditionFile};
pub use self::source::SourceFault;
use super::problem::{Position, Problem, Problems, closest, did_you_mean};

/// The file of `google.protobuf.Any`.
const ANY_FILE: &str = "google/protobuf/any.proto";

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
    #[error("{}", .0.what)]
    Proto(SourceFault),
    /// A folder of imports cannot be used.
    #[error("{} cannot be a root of imports: {why}", path.display())]
    Root {
        /// The folder.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It is no `FileDescriptorSet`.
    #[error("not a descriptor set (make one with `protoc --include_imports --descriptor_set_out`)")]
    NotASet(#[source] prost::DecodeError),
    /// The set does not hold together, for example because an import is missing.
    // Only what is meant for debugging names the file.
    #[error("the descriptors are not complete: {0:?}")]
    Incomplete(Box<DescriptorError>),
    /// A file is of an edition that is not understood.
    #[error(
        "{file} is of an edition that is not understood (number {edition}); {} are",
        known_editions()
    )]
    Edition {
        /// The .proto file inside the set.
        file: String,
        /// The number of its edition.
        edition: i32,
    },
    /// A file is written in a syntax that cannot be read.
    #[error("{file} is written in `{syntax}`; proto2, proto3 and editions are understood")]
    Syntax {
        /// The .proto file inside the set.
        file: String,
        /// Its syntax.
        syntax: String,
    },
}

impl Error {
    /// The problem of a definition that names the file at `path`.
    #[must_use]
    pub fn into_problem(self, path: &Path) -> Problem {
        let (file, Position { line, column }) = match &self {
            Error::Proto(fault) => (fault.file.display().to_string(), fault.at),
            _ => (path.display().to_string(), Position::START),
        };
        let cure = match &self {
            Error::Proto(fault) => fault.cure.clone(),
            Error::Read { .. } | Error::Root { .. } => "check the path".to_owned(),
            Error::NotASet(_) => "name a .proto file or a descriptor set".to_owned(),
            Error::Incomplete(_) => {
                "make it with `protoc --include_imports --descriptor_set_out`".to_owned()
            }
            Error::Edition { .. } | Error::Syntax { .. } => {
                "describe the same messages in one of these".to_owned()
            }
        };
        let mut what = self.to_string();
        let mut source = std::error::Error::source(&self);
        while let Some(cause) = source {
            what = format!("{what}: {cause}");
            source = cause.source();
        }
        Problem { file, line, column, what, cure }
    }
}

fn known_editions() -> String {
    EDITIONS.map(|(year, _)| year).join(" and ")
}

/// A method or message that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingDescriptor {
    /// Whether the service is known and only its method is not.
    pub service_known: bool,
    /// What is wrong; empty where the cause has been told already.
    pub what: String,
    /// What to do about it.
    pub cure: String,
}

impl MissingDescriptor {
    /// Adds the problem, unless its cause has been told already.
    pub(super) fn report(self, at: Position, problems: &mut Problems) {
        if !self.what.is_empty() {
            problems.add(at, self.what, self.cure);
        }
    }
}

/// Why nothing is known of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undescribed {
    /// The reason and the cure.
    Because {
        /// What is wrong.
        why: String,
        /// What to do about it.
        cure: String,
    },
    /// The cause is that of another problem, which is told.
    Told,
}

/// The descriptors of every service that a definition names.
#[derive(Debug, Clone, Default)]
pub struct Descriptors {
    pools: Vec<DescriptorPool>,
    undescribed: BTreeMap<String, Undescribed>,
    /// Services that were known before [`Self::needed`] left them out; for suggestions only.
    known: BTreeSet<String>,
    /// Whether a file could not be added, which is told.
    is_incomplete: bool,
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

    /// Adds a file: a .proto source, whose imports are looked up under `roots` and beside it, or a descriptor set.
    ///
    /// # Errors
    /// When it cannot be read, compiled or understood; nothing is added then.
    pub fn add_file(&mut self, path: &Path, roots: &[PathBuf]) -> Result<(), Error> {
        let pool = if path.extension().is_some_and(|extension| extension == "proto") {
            source::compile(path, roots)?
        } else {
            let read = std::fs::read(path);
            let set = read.map_err(|source| Error::Read { path: path.to_owned(), source })?;
            pool_of_set(&set)?
        };
        self.add_pool(pool);
        Ok(())
    }

    /// Notes that a file could not be added, and that this is told.
    pub fn incomplete(&mut self) {
        self.is_incomplete = true;
    }

    /// Notes why nothing is known of `service`, for the problem that will name it.
    pub fn undescribed(&mut self, service: &str, why: Undescribed) {
        self.undescribed.insert(service.to_owned(), why);
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
            // It is probably where that is which could not be read or asked.
            let is_told = self.is_incomplete || !self.undescribed.is_empty();
            MissingDescriptor {
                service_known: false,
                what: if is_told { String::new() } else { format!("no message `{full_name}`") },
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
            if wanted.contains(ANY_FILE) {
                return Some(self.with_all_beside(pool));
            }
            (!wanted.is_empty()).then(|| part_of(pool, &wanted))
        });
        Descriptors {
            pools: pools.collect(),
            undescribed: self.undescribed.clone(),
            known: self.known.clone(),
            is_incomplete: self.is_incomplete,
        }
    }

    /// Each pool as an encoded `FileDescriptorSet`, as a node takes them from a caller.
    pub fn sets(&self) -> Vec<Vec<u8>> {
        self.pools.iter().map(DescriptorPool::encode_to_vec).collect()
    }

    /// The pool, and what the others know beside it: an `Any` may hold a message of any file. Another that contradicts it is
    /// left out.
    fn with_all_beside(&self, pool: &DescriptorPool) -> DescriptorPool {
        let all_of =
            |pool: &DescriptorPool| pool.files().map(|file| file.name().to_owned()).collect();
        let mut all = part_of(pool, &all_of(pool));
        for other in self.pools.iter().filter(|other| *other != pool) {
            let mut more = all.clone();
            let files = part_of(other, &all_of(other)).encode_to_vec();
            if more.decode_file_descriptor_set(files.as_slice()).is_ok() {
                all = more;
            }
        }
        all
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
            Some(Undescribed::Because { why, cure }) => (why.clone(), cure.clone()),
            Some(Undescribed::Told) => (String::new(), String::new()),
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

/// A `FileDescriptorSet` whose files are left as they came: decoded, they would lose what the program does not know.
#[derive(Clone, PartialEq, prost::Message)]
struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    files: Vec<Vec<u8>>,
}

/// Of a `FileDescriptorProto`, what decides whether it can be read.
#[derive(Clone, PartialEq, prost::Message)]
struct Syntax {
    #[prost(string, tag = "1")]
    file: String,
    #[prost(string, tag = "12")]
    syntax: String,
}

/// Reads a `FileDescriptorSet`.
///
/// # Errors
/// When it is no such set, is not complete, or is of an edition that is not understood.
pub fn pool_of_set(set: &[u8]) -> Result<DescriptorPool, Error> {
    pool_of_files(&Files::decode(set).map_err(Error::NotASet)?.files)
}

/// The pool of encoded `FileDescriptorProto`s.
///
/// # Errors
/// When one cannot be read, an import is missing, or one is of an edition that is not understood.
pub fn pool_of_files(files: &[Vec<u8>]) -> Result<DescriptorPool, Error> {
    let files = files.iter().map(|file| understood(file)).collect::<Result<_, _>>()?;
    let set = Files { files }.encode_to_vec();
    DescriptorPool::decode(set.as_slice()).map_err(|source| Error::Incomplete(Box::new(source)))
}

/// The file in a syntax that the pool knows: it panics on others.
fn understood(file: &[u8]) -> Result<Vec<u8>, Error> {
    let Syntax { file: name, syntax } = Syntax::decode(file).map_err(Error::NotASet)?;
    match syntax.as_str() {
        "" | "proto2" | "proto3" => Ok(file.to_vec()),
        "editions" => {
            let unreadable = || Error::Syntax { file: name.clone(), syntax: syntax.clone() };
            let lowered = EditionFile::decode(file).ok_or_else(unreadable)?;
            match lowered.unknown_edition() {
                Some(edition) => Err(Error::Edition { file: name, edition }),
                None => Ok(lowered.lowered()),
            }
        }
        _ => Err(Error::Syntax { file: name, syntax }),
    }
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
