//! A definition as it is sent to a node: its source, with the descriptors that it names.

use std::path::{Path, PathBuf};

use clap::Args;
use definition::{Draft, Problem, load};
use proto::saga::v1::{CheckDefinitionRequest, RegisterDefinitionRequest};

/// What describes participants beside what a definition names.
#[derive(Debug, Args)]
pub(super) struct Contracts {
    /// A .proto file or descriptor set, for participants without reflection; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(super) descriptors: Vec<PathBuf>,
    /// A folder that the imports of .proto files begin at; may be repeated
    #[arg(long, value_name = "FOLDER")]
    pub(super) import_root: Vec<PathBuf>,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) file: String,
    pub(super) source: String,
    descriptor_sets: Vec<Vec<u8>>,
}

impl Offer {
    /// Reads a definition, the descriptor files that it names, and further ones: a node reads no file for its callers.
    /// Imports begin where the definition or the caller says.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn read(
        path: &Path,
        Contracts { descriptors: further, import_root }: &Contracts,
    ) -> Result<Self, Vec<Problem>> {
        let (file, source) = (path.display().to_string(), load::read_source(path)?);
        let draft = Draft::parse(&file, &source)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let (descriptors, problems) = load::descriptors(&draft, folder, further, import_root);
        match problems.is_empty() {
            true => Ok(Self { file, source, descriptor_sets: descriptors.sets() }),
            false => Err(problems),
        }
    }

    pub(super) fn check(&self) -> CheckDefinitionRequest {
        let Self { file, source, descriptor_sets } = self.clone();
        CheckDefinitionRequest { source, file, descriptor_sets }
    }

    pub(super) fn register(self) -> RegisterDefinitionRequest {
        let Self { file, source, descriptor_sets } = self;
        RegisterDefinitionRequest { source, file, descriptor_sets }
    }
}
