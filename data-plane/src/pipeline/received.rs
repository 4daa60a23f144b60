//! A body as far as it has come, and what it takes of the node's memory.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use memmap2::MmapMut;

use crate::budget::{Budget, FREE, Share};

/// What a body takes of the node's memory; none for a short one.
#[derive(Debug)]
pub(super) struct Holding {
    budget: Arc<Budget>,
    share: Option<Share>,
}

impl Holding {
    pub(super) fn of(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), share: None }
    }

    /// False: there is no room for so much.
    pub(super) fn up_to(&mut self, bytes: usize) -> bool {
        bytes <= FREE || self.share.get_or_insert_with(|| self.budget.share()).grow_to(bytes)
    }

    /// The body, which counts from now on for as long as anybody holds it.
    pub(super) fn with(self, body: Bytes) -> Bytes {
        match self.share {
            Some(share) => share.with(body),
            None => body,
        }
    }
}

/// Bodies of at least this length have memory of the system's, which goes back to it with them: an allocator would keep
/// it, for every thread that had one.
const MAPPED_FROM: usize = 1 << 20;

/// How long a body may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// As the client says, if it does.
    pub(super) stated: Option<usize>,
    pub(super) most: usize,
}

/// What has come of a body.
#[derive(Debug, Default)]
pub(super) enum Received {
    #[default]
    Nothing,
    /// As it was read: most bodies end here, and are not copied.
    Chunk(Bytes),
    Gathered(Gathered),
}

/// Several chunks in one piece.
#[derive(Debug)]
pub(super) enum Gathered {
    Buffer(BytesMut),
    /// So much of it is there.
    Mapped(MmapMut, usize),
}

impl Received {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Chunk(chunk) => chunk.len(),
            Self::Gathered(gathered) => gathered.len(),
        }
    }

    pub(super) fn and(self, chunk: Bytes, room: Room) -> Self {
        let mut gathered = match self {
            Self::Nothing => return Self::Chunk(chunk),
            Self::Chunk(first) => {
                let mut gathered = Gathered::with_room(room.stated.unwrap_or(first.len() + chunk.len()));
                gathered.push(&first, room);
                gathered
            }
            Self::Gathered(gathered) => gathered,
        };
        gathered.push(&chunk, room);
        Self::Gathered(gathered)
    }

    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::Chunk(chunk) => chunk,
            Self::Gathered(Gathered::Buffer(buffer)) => buffer.freeze(),
            Self::Gathered(Gathered::Mapped(map, filled)) => Bytes::from_owner(map).slice(..filled),
        }
    }
}

impl Gathered {
    /// For all of it at once: growing would copy a long body again and again, and hold it twice meanwhile. What is not
    /// written to yet takes addresses, and no memory.
    fn with_room(length: usize) -> Self {
        if length >= MAPPED_FROM
            && let Ok(map) = MmapMut::map_anon(length)
        {
            return Self::Mapped(map, 0);
        }
        Self::Buffer(BytesMut::with_capacity(length))
    }

    fn len(&self) -> usize {
        match self {
            Self::Buffer(buffer) => buffer.len(),
            Self::Mapped(_, filled) => *filled,
        }
    }

    fn push(&mut self, bytes: &[u8], room: Room) {
        let end = self.len() + bytes.len();
        if let Self::Buffer(buffer) = self
            && end > buffer.capacity()
            && end >= MAPPED_FROM
            && let Ok(mut map) = MmapMut::map_anon(room.most.max(end))
            && let Some(place) = map.get_mut(..buffer.len())
        {
            // Its length was not stated: from here on there is room for all that it may have.
            place.copy_from_slice(buffer);
            *self = Self::Mapped(map, buffer.len());
        }
        match self {
            Self::Buffer(buffer) => buffer.extend_from_slice(bytes),
            Self::Mapped(map, filled) => {
                if let Some(place) = map.get_mut(*filled..end) {
                    place.copy_from_slice(bytes);
                    *filled = end;
                    return;
                }
                // Longer than stated, which HTTP's own framing rules out.
                let mut buffer = BytesMut::with_capacity(end);
                buffer.extend_from_slice(map.get(..*filled).unwrap_or_default());
                buffer.extend_from_slice(bytes);
                *self = Self::Buffer(buffer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(length: usize, chunk: usize, room: Room) -> (Received, Vec<u8>) {
        let body: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let chunks = body.chunks(chunk);
        let received = chunks
            .fold(Received::Nothing, |received, chunk| received.and(Bytes::copy_from_slice(chunk), room));
        (received, body)
    }

    #[test]
    fn a_body_is_what_came_of_it_whether_its_length_was_stated_or_not() {
        for length in [0, 1, 1000, MAPPED_FROM - 1, MAPPED_FROM, MAPPED_FROM + 1, 3 * MAPPED_FROM + 7] {
            // The third says less than what comes, which HTTP does not let through.
            for stated in [None, Some(length), Some(length / 2)] {
                for chunk in [777, 1 << 16, 4 * MAPPED_FROM] {
                    let room = Room { stated, most: 4 * MAPPED_FROM };
                    let (received, body) = received(length, chunk, room);
                    assert_eq!(received.len(), length);
                    assert!(received.into_bytes() == body, "{length} in {chunk}, {stated:?} stated");
                }
            }
        }
    }

    #[test]
    fn a_long_body_is_never_copied_as_a_whole() {
        for stated in [None, Some(3 * MAPPED_FROM)] {
            let room = Room { stated, most: 4 * MAPPED_FROM };
            let (received, _) = received(3 * MAPPED_FROM, 1 << 16, room);
            assert!(matches!(received, Received::Gathered(Gathered::Mapped(..))), "{stated:?} stated");
        }
    }
}
