//! A definition as it is sent to a node: its source, with the descriptors that it names.

use std::path::{Path, PathBuf};

use definition::{Descriptors, Draft, Problem, load};
use proto::saga::v1::{CheckDefinitionRequest, RegisterDefinitionRequest};

/// A file that was read.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) file: String,
    pub(super) source: String,
    descriptor_sets: Vec<Vec<u8>>,
}

impl Offer {
    /// Reads a definition, the descriptor files that it names, and further ones: a node reads no file for its callers.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn read(path: &Path, further: &[PathBuf]) -> Result<Self, Vec<Problem>> {
        let (file, source) = (path.display().to_string(), load::read_source(path)?);
        let draft = Draft::parse(&file, &source)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let own = draft.descriptor_files().map(|file| folder.join(file));
        let mut descriptors = Descriptors::new();
        let mut problems = Vec::new();
        for path in own.chain(further.iter().cloned()) {
            if let Err(error) = descriptors.add_file(&path) {
                let what = format!("{}: {}", path.display(), facade::wire::causes(&error));
                let cure = "check the path, and that it is a .proto file or a descriptor set";
                let (file, cure) = (file.clone(), cure.to_owned());
                problems.push(Problem { file, line: 1, column: 1, what, cure });
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
