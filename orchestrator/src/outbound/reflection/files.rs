//! The files that a service needs, gathered from what its participant's reflection has.
//!
//! A file is asked for by the name that its importer gives it. Servers whose files were compiled from another root know it by
//! another name, and some send an empty file in its place: then the types that are missing are asked for by their own names.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};
use tonic::Status;

use super::client::{Client, Question, Reply};
use super::{Cause, NAME_THE_PROTO};

/// How many bytes of descriptors are taken from a participant.
const MAX_BYTES: usize = 64 << 20;

/// One file as it came.
struct File {
    bytes: Vec<u8>,
    declared: BTreeSet<String>,
    /// The full names of the types that it uses, each with a dot in front.
    used: BTreeSet<String>,
    imports: Vec<String>,
}

/// An import that the participant does not have by that name.
struct Missing {
    importer: String,
    /// The participant's words.
    why: String,
}

/// What has been gathered.
pub(super) struct Files {
    client: Client,
    by_name: BTreeMap<String, File>,
    missing: BTreeMap<String, Missing>,
    bytes: usize,
}

impl Files {
    /// The encoded files that describe `service`, and those of `messages` that the participant has.
    pub(super) async fn of(
        client: Client,
        service: &str,
        messages: &[String],
    ) -> Result<Vec<Vec<u8>>, Cause> {
        let mut files =
            Self { client, by_name: BTreeMap::new(), missing: BTreeMap::new(), bytes: 0 };
        files.start(service).await?;
        for message in messages {
            if !files.declares(message) {
                files.find(message).await?;
            }
        }
        files.find_missing().await?;
        Ok(files.into_encoded())
    }

    async fn start(&mut self, service: &str) -> Result<(), Cause> {
        let why = match self.client.ask(Question::Symbol(service.to_owned())).await? {
            Reply::Files(received) => {
                self.add_with_imports(received).await?;
                if self.declares(service) {
                    return Ok(());
                }
                "it answers with a file that does not declare it".to_owned()
            }
            Reply::NotThere(why) => why,
            Reply::Services(_) => String::new(),
        };
        let all = match self.client.ask(Question::Services).await? {
            Reply::Services(all) => all,
            _ => Vec::new(),
        };
        let cure = match all.as_slice() {
            [] => "check the address".to_owned(),
            all => format!("check the name and the address: it serves {}", all.join(", ")),
        };
        Err(Cause::Answer { what: format!("its reflection does not know it ({why})"), cure })
    }

    fn declares(&self, symbol: &str) -> bool {
        self.by_name.values().any(|file| file.declared.contains(symbol))
    }

    /// Adds files and all that they import.
    async fn add_with_imports(&mut self, received: Vec<Vec<u8>>) -> Result<(), Cause> {
        let mut wanted = self.add(received)?;
        while let Some((name, importer)) = wanted.pop() {
            if self.by_name.contains_key(&name) || self.missing.contains_key(&name) {
                continue;
            }
            // Files that every pool has: no server need be asked for them.
            let known = DescriptorPool::global().get_file_by_name(&name);
            let (received, why) = match known {
                Some(file) => (vec![file.encode_to_vec()], String::new()),
                None => match self.client.ask(Question::File(name.clone())).await? {
                    Reply::Files(received) => (received, "it sends an empty file".to_owned()),
                    Reply::NotThere(why) => (Vec::new(), why),
                    Reply::Services(_) => (Vec::new(), String::new()),
                },
            };
            wanted.extend(self.add(received)?);
            if !self.by_name.contains_key(&name) {
                self.missing.insert(name, Missing { importer, why });
            }
        }
        Ok(())
    }

    /// Adds files, and gives the names that they import, each with the importer.
    fn add(&mut self, received: Vec<Vec<u8>>) -> Result<Vec<(String, String)>, Cause> {
        let mut imports = Vec::new();
        for bytes in received {
            let file = FileDescriptorProto::decode(bytes.as_slice()).map_err(|error| {
                Status::internal(format!("a file descriptor that cannot be read: {error}"))
            })?;
            if is_placeholder(&file) || self.by_name.contains_key(file.name()) {
                continue;
            }
            self.bytes += bytes.len();
            if self.bytes > MAX_BYTES {
                let what = format!("its descriptors are larger than {MAX_BYTES} bytes");
                return Err(Cause::Answer { what, cure: NAME_THE_PROTO.to_owned() });
            }
            let name = file.name().to_owned();
            imports.extend(file.dependency.iter().map(|import| (import.clone(), name.clone())));
            self.missing.remove(&name);
            self.by_name.insert(name, File::new(bytes, &file));
        }
        Ok(imports)
    }

    /// Asks for the file that declares a message; some servers know only what no other message is around.
    async fn find(&mut self, symbol: &str) -> Result<(), Cause> {
        let mut asked = symbol;
        loop {
            let reply = self.client.ask(Question::Symbol(asked.to_owned())).await?;
            if let Reply::Files(received) = reply {
                self.add_with_imports(received).await?;
            }
            match asked.rsplit_once('.') {
                Some((outer, _)) if !self.declares(symbol) => asked = outer,
                _ => return Ok(()),
            }
        }
    }

    /// Finds the types that were in files that are missing.
    async fn find_missing(&mut self) -> Result<(), Cause> {
        let mut asked = BTreeSet::new();
        while !self.missing.is_empty() {
            let Some(symbol) = self.undeclared().find(|symbol| !asked.contains(symbol)) else {
                break;
            };
            self.find(&symbol).await?;
            asked.insert(symbol);
        }
        if self.missing.is_empty() {
            return Ok(());
        }
        match self.undeclared().next() {
            Some(symbol) => Err(self.not_found(&symbol)),
            None => Ok(()),
        }
    }

    fn undeclared(&self) -> impl Iterator<Item = String> {
        let used = self.by_name.values().flat_map(|file| &file.used);
        let undeclared = used.filter_map(|name| name.strip_prefix('.'));
        undeclared.filter(|name| !self.declares(name)).map(str::to_owned)
    }

    /// Names the imports that a type which is not there may have been in, and the files that import them.
    fn not_found(&self, symbol: &str) -> Cause {
        let uses = |importer: &String| {
            let file = self.by_name.get(importer);
            file.is_some_and(|file| file.used.contains(&format!(".{symbol}")))
        };
        let mut missing: Vec<(&String, &Missing)> = self.missing.iter().collect();
        if missing.iter().any(|(_, missing)| uses(&missing.importer)) {
            missing.retain(|(_, missing)| uses(&missing.importer));
        }
        let told = missing.iter().map(|(name, Missing { importer, why })| {
            format!("{importer} imports {name}, which its reflection does not have ({why})")
        });
        let told = told.collect::<Vec<_>>().join("; ");
        let what = format!("{told}, and it does not know {symbol} by its name either");
        let cure = format!("register that file with its reflection, or {NAME_THE_PROTO}");
        Cause::Answer { what, cure }
    }

    fn into_encoded(self) -> Vec<Vec<u8>> {
        if self.missing.is_empty() {
            return self.by_name.into_values().map(|file| file.bytes).collect();
        }
        let mut declared_in: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, file) in &self.by_name {
            declared_in.extend(file.declared.iter().map(|symbol| (symbol.as_str(), name.as_str())));
        }
        let all = self.by_name.iter().map(|(name, file)| {
            let kept = file.imports.iter().filter(|import| self.by_name.contains_key(*import));
            let used = file.used.iter().filter_map(|used| used.strip_prefix('.'));
            let needed = used.filter_map(|symbol| declared_in.get(symbol).copied());
            let imports: BTreeSet<&str> =
                kept.map(String::as_str).chain(needed).filter(|import| import != name).collect();
            importing(&file.bytes, &imports).unwrap_or_else(|| file.bytes.clone())
        });
        all.collect()
    }
}

/// The file with these imports. It goes through a dynamic message, which keeps custom options.
fn importing(file: &[u8], imports: &BTreeSet<&str>) -> Option<Vec<u8>> {
    let descriptor =
        DescriptorPool::global().get_message_by_name("google.protobuf.FileDescriptorProto")?;
    let mut file = DynamicMessage::decode(descriptor, file).ok()?;
    let text = |name: &&str| Value::String((*name).to_owned());
    file.set_field_by_name("dependency", Value::List(imports.iter().map(text).collect()));
    // Every file imports all that it uses now, so no other needs to be imported through it.
    file.clear_field_by_name("public_dependency");
    file.clear_field_by_name("weak_dependency");
    Some(file.encode_to_vec())
}

/// What some servers send in the place of a file that they do not have: its name and nothing else.
fn is_placeholder(file: &FileDescriptorProto) -> bool {
    file.message_type.is_empty()
        && file.enum_type.is_empty()
        && file.service.is_empty()
        && file.extension.is_empty()
        && file.dependency.is_empty()
}

impl File {
    fn new(bytes: Vec<u8>, file: &FileDescriptorProto) -> Self {
        let (mut declared, mut used) = (BTreeSet::new(), BTreeSet::new());
        let package = file.package();
        file.extension.iter().for_each(|field| add_types(field, &mut used));
        for message in &file.message_type {
            add_message(message, package, &mut declared, &mut used);
        }
        declared.extend(file.enum_type.iter().map(|of| inside(package, of.name())));
        for service in &file.service {
            declared.insert(inside(package, service.name()));
            for method in &service.method {
                used.extend([method.input_type().to_owned(), method.output_type().to_owned()]);
            }
        }
        Self { bytes, declared, used, imports: file.dependency.clone() }
    }
}

fn inside(outer: &str, name: &str) -> String {
    if outer.is_empty() { name.to_owned() } else { format!("{outer}.{name}") }
}

fn add_message(
    message: &DescriptorProto,
    outer: &str,
    declared: &mut BTreeSet<String>,
    used: &mut BTreeSet<String>,
) {
    let name = inside(outer, message.name());
    message.field.iter().chain(&message.extension).for_each(|field| add_types(field, used));
    declared.extend(message.enum_type.iter().map(|of| inside(&name, of.name())));
    for nested in &message.nested_type {
        add_message(nested, &name, declared, used);
    }
    declared.insert(name);
}

fn add_types(field: &FieldDescriptorProto, used: &mut BTreeSet<String>) {
    let names = field.type_name.iter().chain(&field.extendee);
    used.extend(names.filter(|name| !name.is_empty()).cloned());
}
