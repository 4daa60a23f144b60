//! What goes to an upstream: in pieces, so that what is long need not be copied to stand in one place.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use sha2::{Digest as _, Sha256};
use wire::convert::Pieces;

/// A body of known length.
#[derive(Debug, Default)]
pub struct RequestBody {
    pieces: Pieces,
    sent: usize,
}

impl RequestBody {
    /// SHA-256 of the whole, in lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        self.pieces.iter().for_each(|piece| hash.update(piece));
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn left(&self) -> &[Bytes] {
        self.pieces.get(self.sent..).unwrap_or_default()
    }
}

impl From<Pieces> for RequestBody {
    fn from(mut pieces: Pieces) -> Self {
        pieces.retain(|piece| !piece.is_empty());
        Self { pieces, sent: 0 }
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

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        // Let go of, so that a piece that is sent is not held for the rest.
        let next = this.pieces.get_mut(this.sent).map(std::mem::take);
        this.sent += 1;
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left().iter().map(|piece| piece.len() as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn pieces_are_one_body() {
        let pieces = ["", "ab", "", "c"].map(|piece| Bytes::from_static(piece.as_bytes()));
        let body = RequestBody::from(Pieces::from_iter(pieces));
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(3), false));
        let whole = RequestBody::from(Bytes::from_static(b"abc"));
        assert_eq!(body.sha256(), whole.sha256());
        assert!(body.sha256().starts_with("ba7816bf"), "{}", body.sha256());
        assert_eq!(body.collect().await.unwrap().to_bytes(), "abc");
        assert!(RequestBody::from(Bytes::new()).is_end_stream());
    }
}
