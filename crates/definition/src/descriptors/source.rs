//! Compiles .proto files.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use prost::Message as _;
use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorSet;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::edition_source::{self, UnknownEdition};
use super::editions::EditionFile;
use super::{Error, pool_of_files};
use crate::problem::Position;

/// Files that only tell generators of code what to do; an edition's files import them for features that are left out here.
const FEATURE_FILES: [&str; 3] = [
    "google/protobuf/cpp_features.proto",
    "google/protobuf/go_features.proto",
    "google/protobuf/java_features.proto",
];

/// How many folders above a file may be the root of its imports.
const MAX_ROOTS: usize = 8;

/// Why a .proto file does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFault {
    /// The file that the compiler stopped at: the one that was named, or one that it imports.
    pub file: PathBuf,
    /// Where in that file.
    pub at: Position,
    /// The reason.
    pub what: String,
    /// What to do about it.
    pub cure: String,
    /// Whether an import or the file itself was not found, as under another root it may be.
    is_missing: bool,
}

/// Compiles the file. Imports are looked up under `roots`, and under a root that the file does not name: its own folder, or
/// one above it when the folders follow the packages. The nearest under which all imports are found is it.
pub(super) fn compile(path: &Path, roots: &[PathBuf]) -> Result<DescriptorPool, Error> {
    let full = std::fs::canonicalize(path);
    let full = full.map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let roots: Vec<PathBuf> = roots
        .iter()
        .map(|root| match std::fs::canonicalize(root) {
            Ok(found) if found.is_dir() => Ok(found),
            Ok(_) => Err(Error::Root { path: root.clone(), why: "it is no folder".to_owned() }),
            Err(error) => Err(Error::Root { path: root.clone(), why: error.to_string() }),
        })
        .collect::<Result<_, _>>()?;
    let mut first: Option<SourceFault> = None;
    for nearest in full.ancestors().skip(1).take(MAX_ROOTS) {
        let all = roots.iter().map(PathBuf::as_path).chain([nearest]).collect();
        match compile_under(all, &full) {
            Ok(files) => return pool_of_files(&files),
            // What is wrong with a file is so under each root.
            Err(fault) if !fault.is_missing => {
                first = Some(fault);
                break;
            }
            Err(fault) => first = first.or(Some(fault)),
        }
    }
    let Some(mut fault) = first else {
        return Err(Error::Root { path: path.to_owned(), why: "it is in no folder".to_owned() });
    };
    if fault.file == full {
        path.clone_into(&mut fault.file);
    }
    Err(Error::Proto(fault))
}

/// The encoded files, each behind those that it imports.
fn compile_under(roots: Vec<&Path>, path: &Path) -> Result<Vec<Vec<u8>>, SourceFault> {
    let seen = Seen::default();
    let mut resolver = ChainFileResolver::new();
    for root in &roots {
        resolver.add(Root { folder: root.to_path_buf(), seen: seen.clone() });
    }
    resolver.add(Generators);
    resolver.add(GoogleFileResolver::new());
    resolver.add(GoogleRpc);
    let mut compiler = Compiler::with_file_resolver(resolver);
    if let Err(error) = compiler.include_imports(true).open_file(path) {
        return Err(fault_of(&error, &roots, &seen, path));
    }
    let editions = seen.0.borrow();
    let pool = compiler.descriptor_pool();
    let files = pool.files().map(|file| {
        let bytes = file.encode_to_vec();
        let edition = editions.get(file.name()).and_then(|seen| seen.edition);
        match edition.and_then(|edition| EditionFile::compiled(&bytes, edition)) {
            Some(file) => file.lowered(),
            None => bytes,
        }
    });
    Ok(files.collect())
}

/// What is known of the files that were opened, by their names.
#[derive(Clone, Default)]
struct Seen(Rc<RefCell<BTreeMap<String, SeenFile>>>);

struct SeenFile {
    path: PathBuf,
    source: String,
    /// The number of its edition, where it has one.
    edition: Option<i32>,
    /// The edition that is not understood, and where it is named.
    unknown: Option<(String, usize)>,
}

/// A folder that imports are looked up in.
struct Root {
    folder: PathBuf,
    seen: Seen,
}

impl FileResolver for Root {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        let below = path.strip_prefix(&self.folder).ok()?;
        let parts: Option<Vec<&str>> =
            below.components().map(|part| part.as_os_str().to_str()).collect();
        parts.map(|parts| parts.join("/"))
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let path = self.folder.join(name);
        let Ok(source) = std::fs::read_to_string(&path) else { return File::open(name, &path) };
        let read = edition_source::read(&source);
        let mut seen = SeenFile { path: path.clone(), source, edition: None, unknown: None };
        let file = match read {
            Ok(None) => File::open(name, &path),
            Ok(Some(written)) => {
                seen.edition = Some(written.edition);
                File::from_source(name, &written.proto3).map(|file| {
                    let mut descriptor = file.file_descriptor_proto().clone();
                    edition_source::mend(&mut descriptor);
                    File::from_file_descriptor_proto(descriptor)
                })
            }
            Err(UnknownEdition { name: edition, at }) => {
                seen.unknown = Some((edition.clone(), at));
                Err(protox::Error::new(format!("edition {edition} is not understood")))
            }
        };
        self.seen.0.borrow_mut().insert(name.to_owned(), seen);
        file
    }
}

/// Has [`FEATURE_FILES`], empty.
struct Generators;

impl FileResolver for Generators {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match FEATURE_FILES.contains(&name) {
            true => File::from_source(name, "syntax = \"proto2\"; package pb;"),
            false => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// Has `google/rpc/status.proto` and `google/rpc/error_details.proto`.
struct GoogleRpc;

impl FileResolver for GoogleRpc {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let missing = || protox::Error::file_not_found(name);
        let below = name.strip_prefix("google/rpc/").ok_or_else(missing)?;
        let set = FileDescriptorSet::decode(tonic_types::pb::FILE_DESCRIPTOR_SET);
        let files = set.map_err(protox::Error::new)?.file;
        let mut file = files.into_iter().find(|file| file.name() == below).ok_or_else(missing)?;
        file.name = Some(name.to_owned());
        Ok(File::from_file_descriptor_proto(file))
    }
}

fn fault_of(error: &protox::Error, roots: &[&Path], seen: &Seen, path: &Path) -> SourceFault {
    let seen = seen.0.borrow();
    let unknown = seen.values().find_map(|file| Some((file, file.unknown.as_ref()?)));
    if let Some((file, (_, at))) = unknown {
        return SourceFault {
            file: file.path.clone(),
            at: place(&file.source, *at),
            what: error.to_string(),
            cure: "write `edition = \"2023\";` or 2024, or `syntax = \"proto3\";`".to_owned(),
            is_missing: false,
        };
    }
    // `FILE:LINE:COLUMN: REASON`, in characters from 1; without the place where none is known.
    let (told, reason) = (format!("{error:?}"), error.to_string());
    let name = error.file().unwrap_or_default();
    let file = seen.get(name);
    let place_told = told.strip_prefix(name).and_then(|rest| {
        let mut parts = rest.strip_prefix(':')?.splitn(3, ':');
        let (line, column) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Position { line, column })
    });
    let imported = import_that_failed(&reason);
    let source = file.map_or("", |file| file.source.as_str());
    let place_of_import = || place_of_import(source, imported?);
    let at = place_told.or_else(place_of_import).unwrap_or(Position::START);
    let (what, cure) = explained(&reason, imported, source, at, roots);
    SourceFault {
        file: file.map_or_else(|| path.to_owned(), |file| file.path.clone()),
        at,
        what,
        cure,
        is_missing: error.is_file_not_found(),
    }
}

/// The import that an error of the compiler is about.
fn import_that_failed(error: &str) -> Option<&str> {
    error.strip_prefix("import '")?.split('\'').next()
}

fn place_of_import(source: &str, name: &str) -> Option<Position> {
    let at = ['"', '\''].iter().find_map(|quote| source.find(&format!("{quote}{name}{quote}")))?;
    Some(place(source, at))
}

/// The place of a byte.
fn place(source: &str, at: usize) -> Position {
    let before = source.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    Position { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
}

fn explained(
    error: &str,
    imported: Option<&str>,
    source: &str,
    at: Position,
    roots: &[&Path],
) -> (String, String) {
    let line = source.lines().nth(at.line - 1).unwrap_or_default();
    match imported {
        Some(name) if error.ends_with("not found") => {
            let nearest = roots.last().map(|root| root.display().to_string()).unwrap_or_default();
            let named = roots.split_last().map_or(&[][..], |(_, named)| named);
            let named: Vec<String> = named.iter().map(|root| root.display().to_string()).collect();
            let under = match named.is_empty() {
                true => format!("beside the file or above it (from {nearest})"),
                false => format!("under {}, nor beside the file", named.join(", ")),
            };
            let cure = match name.starts_with("google/") {
                true => {
                    "it is one of Google's common files, which do not come along: name a folder with a copy of them \
                     (the repository googleapis) under `import_roots:` (--import-root)"
                }
                false => {
                    "name the folder that imports begin at under `import_roots:` (--import-root)"
                }
            };
            (format!("`{name}` is imported, and there is none {under}"), cure.to_owned())
        }
        // The compiler's own words for this are those of another mistake.
        _ if error == "invalid group name" && line.trim_start().starts_with("import") => (
            "an import is a path from a root: no `.`, `..`, backslash or `//` in it".to_owned(),
            "write the path from a root, and name the root under `import_roots:` (--import-root)"
                .to_owned(),
        ),
        _ => (error.to_owned(), "mend the file".to_owned()),
    }
}
