//! Undoes the codings of a body as it comes: what can be decoded of it is there at once, in short pieces.

use bytes::{Buf as _, Bytes};
use smallvec::SmallVec;

use super::{Broken, Coding, MOST, engine::Engine};

/// The most bytes of one piece.
const PIECE: usize = 32 << 10;

/// A body on its way.
#[derive(Debug)]
pub(crate) struct Decoder {
    /// The one that was applied last comes first.
    layers: SmallVec<[Layer; MOST]>,
    room: Box<[u8]>,
}

#[derive(Debug)]
struct Layer {
    engine: Engine,
    input: Bytes,
    /// There may be more without more input.
    full: bool,
}

/// What came of a look at the input.
#[derive(Debug)]
pub(crate) enum Decoded {
    Bytes(Bytes),
    /// One coding gave so many bytes to the next. Ask again.
    Between(usize),
    /// It takes more input.
    Hungry,
}

impl Decoder {
    /// `codings`: in the order in which they were applied.
    pub(crate) fn new(codings: &[Coding]) -> Self {
        let layer =
            |coding: &Coding| Layer { engine: Engine::new(*coding), input: Bytes::new(), full: false };
        Self { layers: codings.iter().rev().map(layer).collect(), room: vec![0; PIECE].into() }
    }

    /// What comes next of the body, once it was [`Decoded::Hungry`].
    pub(crate) fn feed(&mut self, chunk: Bytes) {
        if let Some(first) = self.layers.first_mut() {
            first.input = chunk;
        }
    }

    /// The next piece. Each call does a bounded amount of work, whatever the input is.
    ///
    /// # Errors
    /// The body is broken.
    pub(crate) fn decode(&mut self) -> Result<Decoded, Broken> {
        loop {
            let working = |layer: &Layer| layer.full || !layer.input.is_empty();
            let Some(at) = self.layers.iter().rposition(working) else { return Ok(Decoded::Hungry) };
            let Some(layer) = self.layers.get_mut(at) else { return Ok(Decoded::Hungry) };
            let step = layer.engine.step(&layer.input, &mut self.room)?;
            layer.input.advance(step.read);
            layer.full = step.written == self.room.len() && !layer.engine.is_complete();
            if step.read == 0 && step.written == 0 && !layer.input.is_empty() {
                return Err(layer.engine.broken());
            }
            let Some(written) = self.room.get(..step.written).filter(|written| !written.is_empty()) else {
                continue;
            };
            let piece = Bytes::copy_from_slice(written);
            return Ok(match self.layers.get_mut(at + 1) {
                Some(next) => {
                    next.input = piece;
                    Decoded::Between(step.written)
                }
                None => Decoded::Bytes(piece),
            });
        }
    }

    /// The body came to its end.
    ///
    /// # Errors
    /// It is cut short.
    pub(crate) fn end(&self) -> Result<(), Broken> {
        match self.layers.iter().find(|layer| !layer.engine.is_complete()) {
            Some(layer) => Err(layer.engine.broken()),
            None => Ok(()),
        }
    }
}
