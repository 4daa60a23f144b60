//! Running a stream through the watch, and what is left to compare.

use bytes::Bytes;
use shared::usage::Usage;
use shared::wire::Wire;
use wire::raw::watch::{Chunks, Seen, StreamEdits, StreamFailure, StreamWatch};

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
    StreamWatch::new(wire, edits).expect("chat and messages can be watched")
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
