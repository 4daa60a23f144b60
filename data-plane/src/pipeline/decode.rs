//! A body that came compressed is put back into what it was, within the same bounds: those of its length, of the node's
//! memory, and of what may be done on a worker.

use bytes::Bytes;

use super::{
    received::{Holding, Received, Room},
    refusal::Refusal,
};
use crate::{
    coding::{Codings, Decoded, Decoder},
    compute::LARGE,
    proxy::Proxy,
};

/// A body that is being decoded.
#[derive(Debug)]
struct Decoding {
    decoder: Decoder,
    received: Received,
    counted: Holding,
    /// Bytes between two codings.
    between: usize,
    most: usize,
}

/// # Errors
/// It is broken, or over the limit once it is decoded, or there is no room for it.
pub(super) async fn decode(
    proxy: &Proxy,
    codings: &Codings,
    body: Bytes,
    most: u64,
) -> Result<Bytes, Refusal> {
    let is_long = body.len() >= LARGE;
    let mut decoder = Decoder::new(codings);
    decoder.feed(body);
    let mut decoding = Decoding {
        decoder,
        received: Received::default(),
        counted: Holding::of(&proxy.requests),
        between: 0,
        most: usize::try_from(most).unwrap_or(usize::MAX),
    };
    // How long it will be is not known before.
    if is_long || !decoding.run(LARGE)? {
        decoding = proxy.compute.run(move || decoding.run(usize::MAX).map(|_| decoding)).await??;
    }
    let Decoding { received, counted, decoder, .. } = decoding;
    drop(decoder);
    Ok(counted.with(received.into_bytes()))
}

impl Decoding {
    /// Decodes to the end, or until about so many bytes have been made. Whether that was the end.
    fn run(&mut self, until: usize) -> Result<bool, Refusal> {
        let too_large = || Refusal::BodyTooLarge { limit: self.most as u64 };
        let room = Room { stated: None, most: self.most };
        while self.received.len() + self.between < until {
            match self.decoder.decode()? {
                Decoded::Bytes(piece) => {
                    let length = self.received.len() + piece.len();
                    if length > self.most {
                        return Err(too_large());
                    }
                    if !self.counted.up_to(length) {
                        return Err(Refusal::NoMemory);
                    }
                    self.received = std::mem::take(&mut self.received).and(piece, room);
                }
                Decoded::Between(bytes) => {
                    self.between += bytes;
                    if self.between > self.most {
                        return Err(too_large());
                    }
                }
                Decoded::Hungry => return self.decoder.end().map(|()| true).map_err(Refusal::from),
            }
        }
        Ok(false)
    }
}
