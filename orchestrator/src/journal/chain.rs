//! The hash chain over a saga's records: a gap, a change, or a record of another saga breaks it.

use clock::Timestamp;
use sha2::{Digest, Sha256};

use super::Header;

/// The hash over a record and all before it: 16 bytes of SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(pub [u8; 16]);

impl Link {
    /// What the first record of a saga is linked to: all that the saga was started with.
    #[must_use]
    pub fn root(header: &Header) -> Self {
        let mut hash = Sha256::new();
        let Header { saga_id, definition_hash, definition, key, trace, .. } = header;
        let texts = [saga_id, definition_hash, definition, key, trace];
        for part in texts.iter().map(|text| text.as_bytes()).chain([header.request.as_ref()]) {
            // Each part is hashed with its length, so that no byte can move from one part into the next.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(header.version.to_le_bytes());
        hash.update(header.deadline.0.to_le_bytes());
        hash.update(header.created_at.0.to_le_bytes());
        Self::of(hash.finalize().as_slice())
    }

    /// The link of the record that follows this one.
    #[must_use]
    pub fn next(self, seq: u64, at: Timestamp, record: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(seq.to_le_bytes());
        hash.update(at.0.to_le_bytes());
        hash.update(record);
        Self::of(hash.finalize().as_slice())
    }

    /// The link in `bytes`, where they are one.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    fn of(digest: &[u8]) -> Self {
        let mut link = [0; 16];
        link.copy_from_slice(&digest[..16]);
        Self(link)
    }
}
