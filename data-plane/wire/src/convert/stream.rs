//! A stream on its way from one wire to another. It is fed and asked like [`crate::raw::watch::StreamWatch`].

use std::borrow::Cow;

use bytes::Bytes;
use shared::{usage::Usage, wire::Wire};

use super::{
    Conversion, Format, Words, codecs,
    memo::{Collector, Memo},
    restore::Restore,
};
use crate::{
    canonical::{Delta, Event, Response, aggregate::Aggregator, legal::Legalizer, replay::replay},
    codec::{StreamDecoder, StreamEncoder, Unreadable},
    error::{WireError, upstream::UpstreamError},
    json,
    loss::Losses,
    raw::watch::{Chunks, FailureCause, Notes, Seen, StreamFailure, TOO_LARGE},
    sse::{FrameSplitter, Piece},
};

/// Turns a stream of server-sent events of the upstream's wire into one of the client's.
#[derive(Debug)]
pub struct ConvertedStream {
    splitter: FrameSplitter,
    decoder: Box<dyn StreamDecoder>,
    back: Back,
}

/// All behind the decoder.
#[derive(Debug)]
struct Back {
    client: Wire,
    request_id: String,
    legal: Legalizer,
    restore: Restore,
    writer: Writer,
    notes: Notes,
    usage: Option<Usage>,
    usage_is_final: bool,
    failure: Option<StreamFailure>,
    /// A failure ahead of content that has not been said to the client.
    kept: bool,
    written: Vec<u8>,
    /// The client has the beginning of the answer: it is not said again.
    resumed: bool,
    /// Of a whole answer that was played.
    losses: Losses,
    collector: Option<Collector>,
}

/// Where the events end up.
#[derive(Debug)]
enum Writer {
    Stream(Box<dyn StreamEncoder>),
    /// The client asked for no stream: all of it becomes one answer.
    Whole(Box<Aggregator>),
}

impl ConvertedStream {
    pub(crate) fn limit_frames(&mut self, bytes: usize) {
        self.splitter = FrameSplitter::new(bytes);
    }

    pub(super) fn new(conversion: &Conversion, whole: bool) -> Self {
        let context = conversion.context.clone();
        let request_id = context.id.clone();
        let writer = match whole {
            true => Writer::Whole(Box::default()),
            false => Writer::Stream(codecs::stream_encoder(conversion.client, context)),
        };
        Self {
            splitter: FrameSplitter::default(),
            decoder: codecs::stream_decoder(conversion.format),
            back: Back {
                client: conversion.client,
                request_id,
                legal: Legalizer::default(),
                restore: Restore::new(
                    conversion.client,
                    conversion.names.clone(),
                    &conversion.context.id,
                    whole,
                ),
                writer,
                notes: Notes::default(),
                usage: None,
                usage_is_final: false,
                failure: None,
                kept: false,
                written: Vec::new(),
                resumed: conversion.resumed,
                losses: Losses::default(),
                collector: Collector::of(conversion.client),
            },
        }
    }

    /// Takes a chunk; puts what may go to the client into `out`. See [`crate::raw::watch::StreamWatch::feed`].
    pub fn feed(&mut self, chunk: &Bytes, out: &mut Chunks) -> Seen {
        self.release(out);
        let mut at = usize::from(self.splitter.takes_late_line_feed(chunk));
        while let Some(piece) = self.splitter.next(chunk, &mut at) {
            match piece {
                Piece::Frame(frame) => {
                    let fields = frame.fields();
                    let Some(data) = fields.data.as_deref() else {
                        if fields.has_comment {
                            self.back.take(Event::Ping);
                        }
                        continue;
                    };
                    let event = fields.event.and_then(|event| std::str::from_utf8(event).ok());
                    match std::str::from_utf8(data) {
                        Ok(data) => read(&mut *self.decoder, &mut self.back, event, data),
                        Err(_) => self.back.malformed("the data is not UTF-8"),
                    }
                }
                Piece::Large(_) => self.back.malformed(TOO_LARGE),
            }
        }
        self.back.flush(out)
    }

    /// The upstream has ended, and the connection was in order. Behind content an unfinished frame is forgotten, unless it
    /// lacks only its blank line: the stream was cut.
    pub fn end(&mut self, out: &mut Chunks) -> Seen {
        self.release(out);
        if let Some(frame) = self.splitter.rest() {
            let fields = frame.fields();
            let event = fields.event.and_then(|event| std::str::from_utf8(event).ok());
            if let Some(Ok(data)) = fields.data.as_deref().map(std::str::from_utf8) {
                let back = &mut self.back;
                let taken = self.decoder.frame(event, data, &mut |event| back.take(event));
                if let Err(problem) = taken
                    && !back.notes.seen.content
                {
                    back.malformed(problem);
                }
            }
            self.splitter.clear();
        }
        let back = &mut self.back;
        self.decoder.close(&mut |event| back.take(event));
        // Who saw the answer stop takes it as complete, so the client must see its end.
        if back.notes.seen.stopped && !back.legal.ended() {
            back.take(Event::End);
        }
        self.back.flush(out)
    }

    /// Takes a whole answer in place of a stream, up to its end.
    pub(super) fn play(
        &mut self,
        conversion: &Conversion,
        body: &[u8],
        out: &mut Chunks,
    ) -> Result<(), Unreadable> {
        let back = &mut self.back;
        match conversion.format {
            // Its answers are streams of one frame, pictures included, and a stream may come as a list of them.
            Format::Gemini if conversion.client == Wire::Gemini || is_list(body) => {
                for frame in frames_of(body)? {
                    read(&mut *self.decoder, back, None, frame);
                }
                self.decoder.close(&mut |event| back.take(event));
            }
            format => {
                let response = codecs::decode_response(format, body)?;
                back.losses = replay(&response, &mut |event| back.take(event));
            }
        }
        self.back.flush(out);
        let Some(failure) = &self.back.failure else {
            let cut = || Unreadable::new("response", "is no whole answer");
            return self.back.legal.ended().then_some(()).ok_or_else(cut);
        };
        Err(Unreadable::new(
            "response",
            match &failure.cause {
                FailureCause::Reported(error) => error.message.as_str(),
                FailureCause::Malformed(problem) => problem,
            },
        ))
    }

    /// Lets out what a failure kept behind: the upstream's error in the client's wire.
    pub fn release(&mut self, out: &mut Chunks) {
        if std::mem::take(&mut self.back.kept) {
            self.back.say_failure();
            self.back.flush(out);
        }
    }

    /// Ends a stream that can't go on.
    #[must_use]
    pub fn close(&mut self, error: &WireError<'_>) -> Bytes {
        self.back.kept = false;
        let mut frame = std::mem::take(&mut self.back.written);
        if let Writer::Stream(encoder) = &mut self.back.writer {
            encoder.error(error, &mut frame);
        }
        frame.into()
    }

    /// Bytes of an unfinished frame.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.splitter.pending()
    }

    /// See [`crate::relay::Relay::written`].
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.back.notes.written
    }

    #[must_use]
    pub const fn seen(&self) -> Seen {
        self.back.notes.seen
    }

    /// The last usage that was reported.
    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        self.back.usage
    }

    #[must_use]
    pub fn usage_is_final(&self) -> bool {
        self.back.usage_is_final && !self.decoder.usage_is_unreadable()
    }

    #[must_use]
    pub fn served_model(&self) -> Option<&str> {
        self.back.notes.served_model.as_deref()
    }

    #[must_use]
    pub const fn failure(&self) -> Option<&StreamFailure> {
        self.back.failure.as_ref()
    }

    /// What the gateway should remember for the client, of what came since the last time.
    pub fn memos(&mut self) -> Vec<Memo> {
        self.back.collector.as_mut().map(Collector::found).unwrap_or_default()
    }

    /// What was lost so far, in reading and in writing.
    #[must_use]
    pub fn losses(&self) -> Losses {
        let mut losses = self.decoder.losses().clone();
        losses.extend(self.back.losses.clone());
        losses.extend(self.back.legal.losses().clone());
        losses.extend(self.back.restore.losses().clone());
        losses
    }

    /// Whether nothing comes out before the end, because the client asked for no stream.
    #[must_use]
    pub const fn gathers(&self) -> bool {
        matches!(self.back.writer, Writer::Whole(_))
    }

    /// What was gathered for a client that asked for no stream. None: the stream did not come to its end, or goes to
    /// the client as it comes.
    pub(super) fn into_whole(self) -> Option<Response<'static>> {
        let losses = self.losses();
        match self.back.writer {
            Writer::Whole(aggregator) => Some(Response { losses, ..aggregator.finish().ok()? }),
            Writer::Stream(_) => None,
        }
    }
}

fn is_list(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"[")
}

fn frames_of(body: &[u8]) -> Result<Vec<&str>, Unreadable> {
    let unreadable = |error: String| Unreadable::new("response", error);
    let text = std::str::from_utf8(body).map_err(|error| unreadable(error.to_string()))?;
    let mut frames = Vec::new();
    if is_list(body) {
        json::array(text, |frame| frames.push(frame)).map_err(|error| unreadable(error.to_string()))?;
    } else {
        frames.push(text);
    }
    Ok(frames)
}

fn read(decoder: &mut dyn StreamDecoder, back: &mut Back, event: Option<&str>, data: &str) {
    if let Err(problem) = decoder.frame(event, data, &mut |event| back.take(event)) {
        back.malformed(problem);
    }
}

impl Back {
    fn take(&mut self, event: Event<'_>) {
        let Self { legal, restore, writer, notes, usage, usage_is_final, failure, kept, .. } = self;
        let (written, collector) = (&mut self.written, &mut self.collector);
        let resumed = self.resumed;
        let mut failed = None;
        legal.take(event, &mut |event| {
            note(&event, notes, usage, usage_is_final);
            if let Event::Error(error) = event {
                failed = Some(error);
                return;
            }
            restore.take(event, &mut |event| {
                if let Some(collector) = collector {
                    collector.take(&event);
                }
                match writer {
                    Writer::Stream(encoder) => {
                        let ahead = written.len();
                        encoder.event(&event, written);
                        notes.seen.told |= is_content(&event) && written.len() > ahead;
                        if resumed && matches!(event, Event::Start { .. }) {
                            written.truncate(ahead);
                        }
                    }
                    Writer::Whole(aggregator) => aggregator.take(event),
                }
            });
        });
        if let Some(error) = failed {
            let before_content = !notes.seen.content;
            notes.seen.failed = true;
            failure.get_or_insert(StreamFailure { before_content, cause: FailureCause::Reported(error) });
            *kept = before_content;
            if !before_content {
                self.say_failure();
            }
        }
    }

    fn malformed(&mut self, problem: &'static str) {
        if self.legal.ended() {
            return;
        }
        let message = format!("the upstream's stream can't be read: {problem}");
        let before_content = !self.notes.seen.content;
        self.take(Event::Error(UpstreamError { message, ..UpstreamError::default() }));
        self.failure = Some(StreamFailure { before_content, cause: FailureCause::Malformed(problem) });
    }

    /// The failure in the client's wire.
    fn say_failure(&mut self) {
        let Some(failure) = &self.failure else { return };
        let Writer::Stream(encoder) = &mut self.writer else { return };
        let words = match &failure.cause {
            FailureCause::Reported(error) => {
                Words::of(self.client, error.status.unwrap_or(500), error, "the upstream reported an error")
            }
            FailureCause::Malformed(problem) => {
                Words { status: 500, message: Cow::Borrowed(problem), code: None }
            }
        };
        encoder.error(&words.error(&self.request_id), &mut self.written);
    }

    fn flush(&mut self, out: &mut Chunks) -> Seen {
        if !self.written.is_empty() {
            let capacity = self.written.capacity().min(16 << 10);
            out.push(Bytes::from(std::mem::replace(&mut self.written, Vec::with_capacity(capacity))));
        }
        self.notes.seen
    }
}

const fn is_content(event: &Event<'_>) -> bool {
    matches!(event, Event::Open { .. } | Event::Delta { .. } | Event::Close { .. } | Event::Stop { .. })
}

fn note(event: &Event<'_>, notes: &mut Notes, usage: &mut Option<Usage>, usage_is_final: &mut bool) {
    match event {
        Event::Start { model, .. } => {
            notes.seen.preamble = true;
            notes.serve_model(Some(model));
        }
        Event::Open { .. } => notes.seen.content = true,
        Event::Delta { delta, .. } => {
            notes.seen.content = true;
            if let Delta::Text(text) | Delta::Arguments(text) = delta {
                notes.wrote(text.len());
            }
        }
        Event::Stop { .. } => {
            notes.seen.stopped = true;
            notes.seen.content = true;
        }
        Event::Usage(counts) => {
            *usage = Some(*counts);
            *usage_is_final = notes.seen.stopped;
        }
        Event::Ping => notes.ping(),
        Event::End => {
            notes.seen.end = true;
            *usage_is_final |= usage.is_some();
        }
        Event::Close { .. } | Event::ServiceTier(_) | Event::Error(_) => {}
    }
}
