//! What goes to an upstream: in pieces, so that what is long need not be copied to stand in one place.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use wire::convert::Pieces;

/// A body of known length.
#[derive(Debug, Default)]
pub struct RequestBody(Pieces);

impl RequestBody {
    /// SHA-256 of the whole, in lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        self.0.iter().for_each(|piece| hash.update(piece));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Its bytes, in order.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|piece| &**piece)
    }

    pub(super) fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    pub(super) fn into_pieces(self) -> Pieces {
        self.0
    }
}

impl From<Pieces> for RequestBody {
    fn from(mut pieces: Pieces) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        Self(pieces)
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Pieces::from_buf([bytes]).into()
    }
}

impl From<Vec<u8>> for RequestBody {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_one_body() {
        let pieces = ["", "ab", "", "c"].map(|piece| Bytes::from_static(piece.as_bytes()));
        let body = RequestBody::from(Pieces::from_iter(pieces));
        let whole = RequestBody::from(Bytes::from_static(b"abc"));
        assert_eq!((body.len(), body.sha256()), (3, whole.sha256()));
        assert!(body.sha256().starts_with("ba7816bf"), "{}", body.sha256());
        assert_eq!(body.into_pieces().concat(), b"abc");
    }
}
