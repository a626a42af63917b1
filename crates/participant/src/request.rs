//! The fingerprint of a request, by which a key that is used for another request is found out.

use sha2::{Digest, Sha256};

/// SHA-256 over the method and the encoded request.
///
/// The method is part of it because two methods may take the same bytes: without it, a step that is pointed at
/// another method would be given that method's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of `request`, encoded as `method` (`package.Service/Method`) takes it.
    #[must_use]
    pub fn of(method: &str, request: &[u8]) -> Self {
        let mut hash = Sha256::new();
        // The length keeps a method's end from passing for the beginning of a request.
        hash.update((method.len() as u64).to_be_bytes());
        hash.update(method);
        hash.update(request);
        Self(hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn method_and_request_both_count_and_neither_runs_into_the_other() {
        let fingerprint = Fingerprint::of("stock/Freeze", b"abc");
        assert_eq!(fingerprint, Fingerprint::of("stock/Freeze", b"abc"));
        assert_ne!(fingerprint, Fingerprint::of("stock/Freeze", b"abd"));
        assert_ne!(fingerprint, Fingerprint::of("stock/Frozen", b"abc"));
        assert_ne!(fingerprint, Fingerprint::of("stock/Freezea", b"bc"));
    }
}
