//! A definition as it is sent to a node: its source, with the descriptors that it names.

use std::path::{Path, PathBuf};

use clap::Args;
use definition::{Descriptors, Draft, Problem, load};
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
        let own = draft.descriptor_files().map(|file| folder.join(file));
        let roots = draft.import_roots().map(|root| folder.join(root));
        let roots: Vec<PathBuf> = roots.chain(import_root.iter().cloned()).collect();
        let mut descriptors = Descriptors::new();
        let mut problems = Vec::new();
        for path in own.chain(further.iter().cloned()) {
            if let Err(error) = descriptors.add_file(&path, &roots) {
                problems.push(error.into_problem(&path));
            }
        }
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
