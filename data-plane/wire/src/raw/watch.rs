//! A stream is watched as it passes: what came, what was used, how it ended.
//!
//! Bytes go out as they came in, frame by frame: an unfinished frame waits for its end (its reader could not use it
//! either), so that the stream can be ended legally wherever it breaks. What is taken out is stated in
//! [`StreamEdits`] and [`StreamWatch::end`].

use std::ops::Range;

use bytes::Bytes;
use shared::usage::Usage;
use shared::wire::Wire;
use smallvec::SmallVec;

use crate::chat::watch::ChatReader;
use crate::error::upstream::UpstreamError;
use crate::error::{WireError, stream_event};
use crate::gemini::watch::GeminiReader;
use crate::messages::watch::MessagesReader;
use crate::raw::{rename::Rename, served};
use crate::responses::watch::ResponsesReader;
use crate::sse::{FRAME_MAX, Frame, FrameSplitter, Part, Piece};

/// Longest id of a provider's that is kept, in bytes.
pub(crate) const ID_MAX: usize = 512;

/// Bytes for the client, in order.
pub type Chunks = SmallVec<[Bytes; 4]>;

/// What is changed in a passing stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamEdits {
    /// chat: takes out what asking the upstream for usage adds: the chunk that has only usage, and `"usage":null` in
    /// the others.
    pub hide_usage: bool,
}

/// What has been seen of the stream so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// The answer has begun, perhaps without content: messages: `message_start`; responses: `response.created`; chat,
    /// gemini: any chunk.
    pub preamble: bool,
    /// A `ping` event, or a comment that keeps the connection alive, ahead of all content.
    pub ping: bool,
    /// Something of the answer itself.
    pub content: bool,
    /// And the client has got some of it: from here on there is no switching to another account. A conversion may hold
    /// content back, as that to Gemini does with calls.
    pub told: bool,
    /// A reason was given for the answer's end: it is complete, even if the legal end does not follow.
    pub stopped: bool,
    /// The legal end: `message_stop`, `response.completed`, `[DONE]`. It may come without content. gemini has none: its
    /// streams end with the connection.
    pub end: bool,
    /// There is a [`StreamWatch::failure`].
    pub failed: bool,
}

/// What went wrong in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFailure {
    /// It came ahead of all content, so another account may be tried. The frame is then kept back: see
    /// [`StreamWatch::release`].
    pub before_content: bool,
    pub cause: FailureCause,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureCause {
    /// The upstream reported an error in the stream.
    Reported(UpstreamError),
    /// A frame that the wire does not know; what was wrong with it.
    Malformed(&'static str),
}

/// Of a frame that is larger than frames may be.
pub const TOO_LARGE: &str = "a frame is larger than the limit";

/// What a reader makes of a frame.
pub(crate) enum Verdict {
    Pass,
    /// Take the frame out.
    Drop,
    /// Take these bytes out of the frame.
    Cut(Range<usize>),
    Failed(FailureCause),
}

/// What readers write down.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) seen: Seen,
    /// The first name that is not empty.
    pub(crate) served_model: Option<String>,
    /// The id under which the provider keeps the answer.
    pub(crate) issued_id: Option<String>,
    /// The answer's id, as the client sees it.
    pub(crate) answer_id: Option<String>,
    /// Tokens that have been written, as far as the text shows; about.
    pub(crate) written: u64,
}

/// Bytes of text that a token takes, about.
const TOKEN_BYTES: u64 = 4;

impl Notes {
    pub(crate) const fn ping(&mut self) {
        self.seen.ping |= !self.seen.content;
    }

    /// A piece of content came, of which so many bytes are text. It is a token at the least.
    pub(crate) const fn wrote(&mut self, text: usize) {
        let tokens = text as u64 / TOKEN_BYTES;
        self.written = self.written.saturating_add(if tokens > 1 { tokens } else { 1 });
    }

    /// The answer's id; the first one holds.
    pub(crate) fn begin_as(&mut self, id: Option<&str>) {
        if self.answer_id.is_none() {
            self.answer_id = id.filter(|id| !id.is_empty() && id.len() <= ID_MAX).map(str::to_owned);
        }
    }

    pub(crate) fn issue(&mut self, id: Option<&str>) {
        if self.issued_id.is_none() {
            self.issued_id = id.filter(|id| id.len() <= ID_MAX).map(str::to_owned);
        }
    }

    pub(crate) fn serve_model(&mut self, model: Option<&str>) {
        if self.served_model.is_none() {
            self.served_model = model.and_then(served);
        }
    }
}

#[derive(Debug)]
enum Reader {
    Chat(ChatReader),
    Messages(MessagesReader),
    Responses(ResponsesReader),
    Gemini(GeminiReader),
}

impl Reader {
    /// `closely`: the whole frame is checked; else only what may matter is read.
    fn read(&mut self, frame: &Frame<'_>, notes: &mut Notes, closely: bool) -> Verdict {
        match self {
            Self::Chat(reader) => reader.read(frame, notes, closely),
            Self::Messages(reader) => reader.read(frame, notes, closely),
            Self::Responses(reader) => reader.read(frame, notes, closely),
            Self::Gemini(reader) => reader.read(frame, notes, closely),
        }
    }
}

/// Watches one stream. Feed it every chunk, then tell it the end.
#[derive(Debug)]
pub struct StreamWatch {
    wire: Wire,
    splitter: FrameSplitter,
    reader: Reader,
    notes: Notes,
    failure: Option<StreamFailure>,
    /// The failed frame and what came behind it in its chunk, until [`StreamWatch::release`].
    kept: Option<(Bytes, Bytes)>,
    /// The frame before this chunk was taken out.
    dropped: bool,
    /// The last bytes that went out do not end a frame.
    inside_frame: bool,
    rename: Option<Rename>,
}

/// What takes the place of some of a frame's bytes, in order.
type Edits = SmallVec<[(Range<usize>, Bytes); 2]>;

impl StreamWatch {
    /// None: streams of this wire can't be read yet.
    #[must_use]
    pub fn new(wire: Wire, edits: StreamEdits) -> Option<Self> {
        Self::with_frame_max(wire, edits, FRAME_MAX)
    }

    /// As [`StreamWatch::new`], with another limit for a frame's bytes. Frames above it pass unread and unedited; ahead
    /// of all content they are malformed.
    #[must_use]
    pub fn with_frame_max(wire: Wire, edits: StreamEdits, frame_max: usize) -> Option<Self> {
        let reader = match wire {
            Wire::Chat => Reader::Chat(ChatReader::new(edits.hide_usage)),
            Wire::Messages => Reader::Messages(MessagesReader::default()),
            Wire::Responses => Reader::Responses(ResponsesReader::default()),
            Wire::Gemini => Reader::Gemini(GeminiReader::default()),
        };
        Some(Self {
            wire,
            splitter: FrameSplitter::new(frame_max),
            reader,
            notes: Notes::default(),
            failure: None,
            kept: None,
            dropped: false,
            inside_frame: false,
            rename: None,
        })
    }

    pub(crate) fn limit_frames(&mut self, bytes: usize) {
        self.splitter = FrameSplitter::new(bytes);
    }

    /// The answer's model goes by this name.
    #[must_use]
    pub fn under_the_name(self, asked: &str) -> Self {
        Self { rename: Some(Rename::new(self.wire, asked)), ..self }
    }

    /// Takes a chunk; puts what may go to the client into `out`.
    ///
    /// On a failure before content, the failed frame and what follows stay behind: either drop this watch and try
    /// another account, or go on with [`StreamWatch::release`] or the next chunk, and they go out.
    pub fn feed(&mut self, chunk: Bytes, out: &mut Chunks) -> Seen {
        self.release(out);
        self.scan(chunk, out);
        self.seen()
    }

    /// The upstream has ended, and the connection was in order.
    ///
    /// A last frame that lacks only its blank line is taken as whole. Any other unfinished frame is a failure ahead of
    /// content; behind it, it goes out if the answer was complete, and is forgotten if not: the stream is then to be
    /// ended by [`StreamWatch::close`].
    pub fn end(&mut self, out: &mut Chunks) -> Seen {
        self.release(out);
        let Some(frame) = self.splitter.rest() else {
            return self.seen();
        };
        let before_content = !self.notes.seen.content;
        let verdict = self.reader.read(&frame, &mut self.notes, true);
        let edits = edits(&mut self.rename, &frame, &verdict);
        let bytes = Bytes::copy_from_slice(frame.part.bytes);
        self.splitter.clear();
        let complete = self.notes.seen.end || self.notes.seen.stopped;
        match verdict {
            Verdict::Drop => return self.seen(),
            Verdict::Failed(cause) if before_content && self.failure.is_none() => {
                self.fail(true, cause);
                self.kept = Some((bytes, Bytes::new()));
                return self.seen();
            }
            Verdict::Failed(FailureCause::Malformed(_)) if !before_content && !complete => {
                return self.seen();
            }
            Verdict::Failed(cause @ FailureCause::Reported(_)) => {
                self.fail(before_content, cause);
                out.push(bytes);
            }
            Verdict::Failed(_) => out.push(bytes),
            Verdict::Pass | Verdict::Cut(_) => push_edited(out, bytes, edits),
        }
        self.inside_frame = true;
        self.seen()
    }

    /// Lets out what a failure kept behind.
    pub fn release(&mut self, out: &mut Chunks) {
        if let Some((frame, rest)) = self.kept.take() {
            out.push(frame);
            self.scan(rest, out);
        }
    }

    /// Ends a stream that can't go on: what was kept behind is forgotten, and the error is said in the client's wire.
    #[must_use]
    pub fn close(&mut self, error: &WireError<'_>) -> Bytes {
        self.kept = None;
        self.splitter.clear();
        let event = stream_event(self.wire, error);
        if !self.inside_frame && !self.splitter.in_large_frame() {
            return event;
        }
        [b"\n\n", event.as_ref()].concat().into()
    }

    /// Bytes of an unfinished frame.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.splitter.pending()
    }

    #[must_use]
    pub const fn seen(&self) -> Seen {
        Seen { told: self.notes.seen.content, ..self.notes.seen }
    }

    /// The last usage that was reported.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        match &self.reader {
            Reader::Chat(reader) => reader.usage(),
            Reader::Messages(reader) => reader.usage(),
            Reader::Responses(reader) => reader.usage(),
            Reader::Gemini(reader) => reader.usage(),
        }
    }

    /// Whether [`StreamWatch::usage`] is the whole answer's: what came before may miss output.
    #[must_use]
    pub fn usage_is_final(&self) -> bool {
        match &self.reader {
            Reader::Chat(reader) => reader.usage_is_final(self.notes.seen),
            Reader::Messages(reader) => reader.usage_is_final(),
            Reader::Responses(reader) => reader.usage_is_final(),
            Reader::Gemini(reader) => reader.usage_is_final(),
        }
    }

    /// The model that the upstream says it served.
    #[must_use]
    pub fn served_model(&self) -> Option<&str> {
        self.notes.served_model.as_deref()
    }

    /// The id under which the provider keeps the answer, so that a later request may name it.
    #[must_use]
    pub fn issued_id(&self) -> Option<&str> {
        self.notes.issued_id.as_deref()
    }

    /// The answer's id, as the client was told.
    #[must_use]
    pub fn answer_id(&self) -> Option<&str> {
        self.notes.answer_id.as_deref()
    }

    /// The first failure.
    /// Tokens that the answer has so far, as far as its text shows; about.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.notes.written
    }

    #[must_use]
    pub const fn failure(&self) -> Option<&StreamFailure> {
        self.failure.as_ref()
    }

    fn scan(&mut self, chunk: Bytes, out: &mut Chunks) {
        // Bytes of the chunk from `sent` to `at` may go, and go together.
        let (mut sent, mut at) = (0, 0);
        if self.splitter.takes_late_line_feed(&chunk) {
            at = 1;
            sent = usize::from(self.dropped);
        }
        loop {
            let start = at;
            let Some(piece) = self.splitter.next(&chunk, &mut at) else {
                return push_last(out, chunk, sent..start);
            };
            let before_content = !self.notes.seen.content;
            let (part, verdict, edits) = match piece {
                Piece::Frame(frame) => {
                    let verdict = self.reader.read(&frame, &mut self.notes, before_content);
                    if self.notes.seen.content {
                        self.notes.wrote(frame.part.bytes.len().saturating_sub(frame_bytes(self.wire)));
                    }
                    let edits = edits(&mut self.rename, &frame, &verdict);
                    (frame.part, verdict, edits)
                }
                Piece::Large(part) => (part, large_frame(before_content), Edits::new()),
            };
            self.dropped = matches!(verdict, Verdict::Drop);
            if matches!(verdict, Verdict::Pass) && edits.is_empty() && !part.carried {
                continue;
            }
            push(out, &chunk, sent..start);
            sent = at;
            let bytes = own(&chunk, part, start..at);
            match verdict {
                Verdict::Drop => {}
                Verdict::Pass | Verdict::Cut(_) => push_edited(out, bytes, edits),
                Verdict::Failed(cause) => {
                    let kept = before_content && self.failure.is_none();
                    self.fail(before_content, cause);
                    if kept {
                        self.kept = Some((bytes, chunk.slice(at..)));
                        return;
                    }
                    out.push(bytes);
                }
            }
        }
    }

    fn fail(&mut self, before_content: bool, cause: FailureCause) {
        self.notes.seen.failed = true;
        self.failure.get_or_insert(StreamFailure { before_content, cause });
    }
}

/// What a frame of content takes beside its text, about.
const fn frame_bytes(wire: Wire) -> usize {
    match wire {
        Wire::Messages => 140,
        Wire::Chat => 280,
        Wire::Responses => 260,
        Wire::Gemini => 240,
    }
}

const fn large_frame(before_content: bool) -> Verdict {
    if before_content {
        return Verdict::Failed(FailureCause::Malformed(TOO_LARGE));
    }
    Verdict::Pass
}

fn own(chunk: &Bytes, part: Part<'_>, range: Range<usize>) -> Bytes {
    if part.carried { Bytes::copy_from_slice(part.bytes) } else { chunk.slice(range) }
}

fn push(out: &mut Chunks, chunk: &Bytes, range: Range<usize>) {
    if !range.is_empty() {
        out.push(chunk.slice(range));
    }
}

/// As [`push`], without a new handle when all of the chunk goes.
fn push_last(out: &mut Chunks, chunk: Bytes, range: Range<usize>) {
    if range.len() == chunk.len() && !chunk.is_empty() {
        out.push(chunk);
    } else {
        push(out, &chunk, range);
    }
}

/// What changes in a frame that goes out.
fn edits(rename: &mut Option<Rename>, frame: &Frame<'_>, verdict: &Verdict) -> Edits {
    let cut = match verdict {
        Verdict::Pass => None,
        Verdict::Cut(range) => Some((range.clone(), Bytes::new())),
        Verdict::Drop | Verdict::Failed(_) => return Edits::new(),
    };
    let renamed = rename.as_mut().and_then(|rename| rename.in_frame(frame));
    let mut edits: Edits = cut.into_iter().chain(renamed).collect();
    edits.sort_by_key(|(range, _)| range.start);
    edits
}

fn push_edited(out: &mut Chunks, bytes: Bytes, edits: Edits) {
    if edits.is_empty() {
        return out.push(bytes);
    }
    let mut from = 0;
    for (range, text) in edits {
        push(out, &bytes, from..range.start);
        if !text.is_empty() {
            out.push(text);
        }
        from = range.end;
    }
    push(out, &bytes, from..bytes.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    const CONTENT: &str =
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0}\n\n";
    const ERROR: &str =
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n";
    const PING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";

    fn messages() -> StreamWatch {
        StreamWatch::new(Wire::Messages, StreamEdits::default()).unwrap()
    }

    /// What goes out when these bytes come in as one chunk.
    fn feed(watch: &mut StreamWatch, chunk: &str) -> String {
        let mut out = Chunks::new();
        watch.feed(Bytes::copy_from_slice(chunk.as_bytes()), &mut out);
        String::from_utf8(out.concat()).unwrap()
    }

    fn status(watch: &StreamWatch) -> Option<(bool, Option<u16>)> {
        match watch.failure()? {
            StreamFailure { before_content, cause: FailureCause::Reported(error) } => {
                Some((*before_content, error.status))
            }
            StreamFailure { before_content, .. } => Some((*before_content, None)),
        }
    }

    fn broken_off() -> WireError<'static> {
        WireError {
            status: 500,
            kind: ErrorKind::Api,
            message: "m",
            code: None,
            param: None,
            request_id: "r",
        }
    }

    #[test]
    fn an_error_ahead_of_content_stays_behind_until_released() {
        let mut watch = messages();
        assert_eq!(feed(&mut watch, &format!("{PING}{ERROR}{PING}")), PING);
        assert_eq!(status(&watch), Some((true, Some(529))));
        let mut out = Chunks::new();
        watch.release(&mut out);
        assert_eq!(out.concat(), format!("{ERROR}{PING}").as_bytes());
    }

    #[test]
    fn an_error_behind_content_passes_at_once() {
        let mut watch = messages();
        let stream = format!("{CONTENT}{ERROR}{ERROR}{PING}");
        assert_eq!(feed(&mut watch, &stream), stream);
        assert_eq!(status(&watch), Some((false, Some(529))));
    }

    #[test]
    fn going_on_after_a_failure_lets_out_what_stayed_behind() {
        let mut watch = messages();
        assert_eq!(feed(&mut watch, ERROR), "");
        assert_eq!(feed(&mut watch, CONTENT), format!("{ERROR}{CONTENT}"));
        assert!(watch.seen().content);
        assert_eq!(status(&watch), Some((true, Some(529))));
    }

    #[test]
    fn frames_pass_as_soon_as_they_are_whole() {
        let mut watch = messages();
        let (head, tail) = CONTENT.split_at(CONTENT.len() - 1);
        assert_eq!(feed(&mut watch, head), "");
        assert_eq!(feed(&mut watch, tail), CONTENT);
    }

    #[test]
    fn a_frame_within_one_chunk_is_not_copied() {
        let mut watch = messages();
        let mut out = Chunks::new();
        let chunk = Bytes::copy_from_slice(format!("{CONTENT}{PING}event: pi").as_bytes());
        watch.feed(chunk.clone(), &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].as_ptr(), chunk.as_ptr());
        assert_eq!(out[0].len(), CONTENT.len() + PING.len());
    }

    #[test]
    fn closing_forgets_the_unfinished_frame_and_what_was_kept() {
        for begin in ["event: content_block_del", ERROR] {
            let mut watch = messages();
            assert_eq!(feed(&mut watch, begin), "");
            assert_eq!(watch.close(&broken_off()), stream_event(Wire::Messages, &broken_off()));
            let mut out = Chunks::new();
            watch.end(&mut out);
            assert!(out.is_empty());
        }
    }

    #[test]
    fn closing_parts_the_error_from_a_frame_that_went_out_unfinished() {
        let parted = [b"\n\n", stream_event(Wire::Messages, &broken_off()).as_ref()].concat();

        let mut large = StreamWatch::with_frame_max(Wire::Messages, StreamEdits::default(), 80).unwrap();
        let long = format!("data: {}", "x".repeat(99));
        assert_eq!(feed(&mut large, &format!("{CONTENT}{long}")), format!("{CONTENT}{long}"));
        assert_eq!(large.close(&broken_off()), parted);

        let mut unended = messages();
        let mut out = Chunks::new();
        assert_eq!(feed(&mut unended, CONTENT.trim_end()), "");
        assert!(unended.end(&mut out).content);
        assert_eq!(out.concat(), CONTENT.trim_end().as_bytes());
        assert_eq!(unended.close(&broken_off()), parted);
    }

    #[test]
    fn an_unfinished_frame_at_the_end_goes_out_only_where_nothing_has_to_follow() {
        let end = |stream: &str| {
            let mut watch = messages();
            let mut out = Chunks::new();
            out.push(feed(&mut watch, stream).into());
            watch.end(&mut out);
            (String::from_utf8(out.concat()).unwrap(), watch.seen().failed)
        };
        let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        assert_eq!(end(&format!("{CONTENT}event: ping\ndata: {{\"ty")), (CONTENT.to_owned(), false));
        assert_eq!(end(&format!("{CONTENT}{stop}<html>")), (format!("{CONTENT}{stop}<html>"), false));
        assert_eq!(end(&format!("{PING}<html>")), (PING.to_owned(), true));
        let error = format!("{CONTENT}{}", ERROR.trim_end());
        assert_eq!(end(&error), (error.clone(), true));
    }

    #[test]
    fn usage_is_final_only_once_the_whole_output_is_stated() {
        let mut watch = messages();
        let delta = |usage: &str| {
            format!("event: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{}}{usage}}}\n\n")
        };
        feed(&mut watch, CONTENT);
        feed(&mut watch, &delta(""));
        assert!(!watch.usage_is_final());
        feed(&mut watch, &delta(",\"usage\":{\"output_tokens\":3}"));
        assert!(watch.usage_is_final());

        let mut watch = StreamWatch::new(Wire::Chat, StreamEdits::default()).unwrap();
        let chunk = |choice: &str| {
            format!("data: {{\"choices\":[{choice}],\"usage\":{{\"completion_tokens\":1}}}}\n\n")
        };
        feed(&mut watch, &chunk("{\"delta\":{\"content\":\"a\"}}"));
        assert!(watch.usage().is_some() && !watch.usage_is_final());
        feed(&mut watch, &chunk("{\"delta\":{},\"finish_reason\":\"stop\"}"));
        assert!(watch.usage_is_final());
    }
}
