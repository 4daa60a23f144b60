//! Images and documents stay where they are: a new body that has megabytes in common with the client's is written with
//! marks in their place, and sent in pieces of which the long ones are the client's own bytes.

use std::{borrow::Cow, ops::Range};

use bytes::Bytes;
use memchr::memmem;
use smallvec::SmallVec;

use super::{Ask, Format, codecs};
use crate::{
    canonical::{Block, Request, Source},
    json,
};

/// Shorter data is copied: in pieces it would cost more than in one.
const LONG: usize = 64 << 10;

/// What stands in a body that was written, for data that is not in it.
#[derive(Debug, Default)]
pub struct Excerpts(Vec<Excerpt>);

#[derive(Debug)]
struct Excerpt {
    mark: String,
    data: Data,
}

#[derive(Debug)]
enum Data {
    /// In the client's body.
    Place(Range<usize>),
    /// The client wrote it with escapes.
    Own(Bytes),
}

/// A body's pieces, in order.
pub type Pieces = SmallVec<[Bytes; 1]>;

impl Excerpts {
    /// The pieces that the whole body is made of. `written`: the body with its marks; `source`: the client's.
    #[must_use]
    pub fn fill(self, written: Vec<u8>, source: &Bytes) -> Pieces {
        let written = Bytes::from(written);
        let mut found: Vec<_> =
            self.0.into_iter().filter_map(|excerpt| excerpt.find(&written, source)).collect();
        found.sort_unstable_by_key(|(place, _)| place.start);
        let (mut pieces, mut from) = (Pieces::new(), 0);
        for (place, data) in found {
            pieces.push(written.slice(from..place.start));
            pieces.push(data);
            from = place.end;
        }
        pieces.push(written.slice(from..));
        pieces
    }
}

impl Excerpt {
    /// Where the mark is, and what belongs there.
    fn find(self, written: &[u8], source: &Bytes) -> Option<(Range<usize>, Bytes)> {
        let start = memmem::find(written, self.mark.as_bytes())?;
        let data = match self.data {
            Data::Place(place) => source.slice(place),
            Data::Own(data) => data,
        };
        Some((start..start + self.mark.len(), data))
    }
}

/// Writes the request, but for its long data. `ask`: what it was read from.
pub(super) fn encode(format: Format, request: &mut Request<'_>, ask: &Ask<'_>) -> (Vec<u8>, Excerpts) {
    let mut taken = Vec::new();
    for_each_long(request, &mut |data| {
        let mark = format!("excerpt-{}-{}", ask.id, taken.len());
        taken.push((std::mem::replace(data, Cow::Owned(mark.clone())), mark));
    });
    let left: usize = taken.iter().map(|(data, _)| data.len()).sum();
    let written = codecs::encode_request(format, request, room(ask.body.len().saturating_sub(left)));
    let once = |mark: &str| memmem::find_iter(&written, mark).count() == 1;
    if taken.iter().all(|(_, mark)| once(mark)) {
        let excerpts = taken.into_iter().map(|(data, mark)| Excerpt { mark, data: Data::of(data, ask.body) });
        return (written, Excerpts(excerpts.collect()));
    }
    // A client that guesses its request's id can write marks of its own.
    let mut taken = taken.into_iter();
    for_each(request, &mut |data| {
        if let Some((original, _)) = taken.as_slice().first().filter(|(_, mark)| mark == data) {
            data.clone_from(original);
            taken.next();
        }
    });
    (codecs::encode_request(format, request, room(ask.body.len())), Excerpts::default())
}

/// What is long is text and images, and these are as long on every wire: set aside at once, they are not copied again
/// and again as the body grows.
pub(super) const fn room(length: usize) -> usize {
    length + length / 16 + 4096
}

impl Data {
    fn of(data: Cow<'_, str>, body: &[u8]) -> Self {
        match data {
            Cow::Borrowed(data) => Self::Place(json::place_in(body, data)),
            Cow::Owned(data) => Self::Own(data.into()),
        }
    }
}

/// The data that can stand in JSON as it is, and is long.
fn for_each_long<'a>(request: &mut Request<'a>, take: &mut impl FnMut(&mut Cow<'a, str>)) {
    for_each(request, &mut |data| {
        let plain = |data: &str| !data.bytes().any(|byte| matches!(byte, b'"' | b'\\' | ..b' '));
        if data.len() >= LONG && (matches!(data, Cow::Borrowed(_)) || plain(data)) {
            take(data);
        }
    });
}

fn for_each<'a>(request: &mut Request<'a>, take: &mut impl FnMut(&mut Cow<'a, str>)) {
    fn of_blocks<'a>(blocks: &mut [Block<'a>], take: &mut impl FnMut(&mut Cow<'a, str>)) {
        for block in blocks {
            match block {
                Block::Media(media) => {
                    if let Source::Base64 { data, .. } = &mut media.source {
                        take(data);
                    }
                }
                Block::ToolResult(result) => of_blocks(&mut result.content, take),
                _ => {}
            }
        }
    }
    of_blocks(&mut request.system, take);
    request.turns.iter_mut().for_each(|turn| of_blocks(&mut turn.blocks, take));
}
