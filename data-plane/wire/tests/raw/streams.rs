//! Running a stream through the watch, and what is left to compare.

use bytes::Bytes;
use shared::usage::Usage;
use shared::wire::Wire;
use wire::raw::watch::{Chunks, Seen, StreamEdits, StreamFailure, StreamWatch};
use wire::sse::FrameSplitter;

pub(crate) const PLAIN: StreamEdits = StreamEdits { hide_usage: false };
pub(crate) const HIDDEN: StreamEdits = StreamEdits { hide_usage: true };

/// All that a stream leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) output: Vec<u8>,
    pub(crate) seen: Seen,
    pub(crate) usage: Option<Usage>,
    pub(crate) usage_is_final: bool,
    pub(crate) served_model: Option<String>,
    pub(crate) failure: Option<StreamFailure>,
}

pub(crate) fn watch(wire: Wire, edits: StreamEdits) -> StreamWatch {
    StreamWatch::new(wire, edits).expect("the wire can be watched")
}

impl Outcome {
    /// Whether all went out as it came in, save an unfinished last frame of an answer that is not complete.
    pub(crate) fn passed(&self, stream: &[u8]) -> bool {
        let complete = !self.seen.content || self.seen.end || self.seen.stopped;
        self.output == stream || (!complete && self.output == stream[..stream.len() - unfinished(stream)])
    }
}

/// How many bytes there are behind the last whole frame.
fn unfinished(stream: &[u8]) -> usize {
    let mut splitter = FrameSplitter::default();
    let mut at = 0;
    while splitter.next(stream, &mut at).is_some() {}
    splitter.rest().map_or(0, |frame| frame.part.bytes.len())
}

/// Feeds the chunks, ends the stream and lets out what was kept.
pub(crate) fn run<'a>(mut watch: StreamWatch, chunks: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut out = Chunks::new();
    for chunk in chunks {
        watch.feed(Bytes::copy_from_slice(chunk), &mut out);
    }
    watch.end(&mut out);
    watch.release(&mut out);
    Outcome {
        output: out.concat(),
        seen: watch.seen(),
        usage: watch.usage(),
        usage_is_final: watch.usage_is_final(),
        served_model: watch.served_model().map(str::to_owned),
        failure: watch.failure().cloned(),
    }
}

/// Cuts at the given places, taken modulo the length.
pub(crate) fn cut_at<'a>(stream: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (stream.len() + 1)).collect();
    places.sort_unstable();
    let mut chunks = Vec::new();
    let mut from = 0;
    for place in places.into_iter().chain([stream.len()]) {
        chunks.push(&stream[from..place]);
        from = place;
    }
    chunks
}
