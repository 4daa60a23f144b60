//! A stream on its way to the client, whatever it is framed in and whether it is converted.

use bytes::Bytes;
use shared::usage::Usage;

use crate::{
    convert::{ConvertedStream, Memo},
    error::{ErrorKind, WireError},
    eventstream::{Bodies, EventStreamToSse},
    loss::Losses,
    raw::{
        envelope,
        watch::{Chunks, FailureCause, Seen, StreamFailure, StreamWatch, TOO_LARGE},
    },
    sse::{FrameSplitter, Piece},
};

/// What an upstream's stream comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events of the wire itself.
    Plain,
    /// AWS's event stream around Anthropic's events.
    Invoke,
    /// AWS's event stream of Converse.
    Converse,
    /// Server-sent events, each inside a `response` member.
    Wrapped,
}

/// Watches one stream. Feed it every chunk, then tell it the end; see [`StreamWatch`].
#[derive(Debug)]
pub struct Relay {
    unframer: Option<Unframer>,
    body: Body,
    /// The framing itself is broken.
    broken: Option<StreamFailure>,
    /// That it is has not been said to the client.
    unsaid: bool,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most streams pass raw, and take no allocation of their own")]
enum Body {
    Raw(StreamWatch),
    Converted(Box<ConvertedStream>),
}

/// Makes plain server-sent events of another framing.
#[derive(Debug)]
enum Unframer {
    EventStream(EventStreamToSse),
    Wrapped(FrameSplitter),
}

impl Relay {
    #[must_use]
    pub fn raw(watch: StreamWatch, framing: Framing) -> Self {
        Self { unframer: Unframer::of(framing), body: Body::Raw(watch), broken: None, unsaid: false }
    }

    #[must_use]
    pub fn converted(stream: ConvertedStream, framing: Framing) -> Self {
        Self {
            unframer: Unframer::of(framing),
            body: Body::Converted(Box::new(stream)),
            broken: None,
            unsaid: false,
        }
    }

    /// Frames may have so many bytes. Before the first chunk. An event stream's messages have a limit of their own.
    #[must_use]
    pub fn with_frames_up_to(mut self, bytes: usize) -> Self {
        if let Some(Unframer::Wrapped(splitter)) = &mut self.unframer {
            *splitter = FrameSplitter::new(bytes);
        }
        match &mut self.body {
            Body::Raw(watch) => watch.limit_frames(bytes),
            Body::Converted(stream) => stream.limit_frames(bytes),
        }
        self
    }

    /// Takes a chunk; puts what may go to the client into `out`. Behind broken framing there is nothing to be read.
    pub fn feed(&mut self, chunk: Bytes, out: &mut Chunks) -> Seen {
        if self.broken.is_some() {
            self.release(out);
            return self.seen();
        }
        let (chunk, read) = match &mut self.unframer {
            None => (chunk, Ok(())),
            Some(unframer) => {
                let mut frames = Vec::with_capacity(chunk.len());
                let read = unframer.chunk(&chunk, &mut frames);
                (frames.into(), read)
            }
        };
        self.body.feed(chunk, out);
        self.check(read, out)
    }

    /// The upstream has ended, and the connection was in order.
    pub fn end(&mut self, out: &mut Chunks) -> Seen {
        if self.broken.is_some() {
            return self.seen();
        }
        let read = match &self.unframer {
            Some(unframer) if !self.body.seen().end => unframer.finish(),
            _ => Ok(()),
        };
        if read.is_ok() {
            match &mut self.body {
                Body::Raw(watch) => watch.end(out),
                Body::Converted(stream) => stream.end(out),
            };
        }
        self.check(read, out)
    }

    /// Lets out what a failure kept behind.
    pub fn release(&mut self, out: &mut Chunks) {
        match &mut self.body {
            Body::Raw(watch) => watch.release(out),
            Body::Converted(stream) => stream.release(out),
        }
        if std::mem::take(&mut self.unsaid) {
            self.say_failure(out);
        }
    }

    /// Ends a stream that can't go on.
    #[must_use]
    pub fn close(&mut self, error: &WireError<'_>) -> Bytes {
        match &mut self.body {
            Body::Raw(watch) => watch.close(error),
            Body::Converted(stream) => stream.close(error),
        }
    }

    /// Bytes of an unfinished frame, which are read when the rest of it comes.
    #[must_use]
    pub fn pending(&self) -> usize {
        let framed = match &self.unframer {
            None => 0,
            Some(Unframer::EventStream(stream)) => stream.pending(),
            Some(Unframer::Wrapped(splitter)) => splitter.pending(),
        };
        framed + self.body.pending()
    }

    /// Whether frames have their length ahead, and no line at their end.
    #[must_use]
    pub const fn counts_bytes(&self) -> bool {
        matches!(self.unframer, Some(Unframer::EventStream(_)))
    }

    #[must_use]
    pub const fn seen(&self) -> Seen {
        let seen = self.body.seen();
        Seen { failed: seen.failed || self.broken.is_some(), ..seen }
    }

    /// The last usage that was reported.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        match &self.body {
            Body::Raw(watch) => watch.usage(),
            Body::Converted(stream) => stream.usage(),
        }
    }

    #[must_use]
    pub fn usage_is_final(&self) -> bool {
        match &self.body {
            Body::Raw(watch) => watch.usage_is_final(),
            Body::Converted(stream) => stream.usage_is_final(),
        }
    }

    #[must_use]
    pub fn served_model(&self) -> Option<&str> {
        match &self.body {
            Body::Raw(watch) => watch.served_model(),
            Body::Converted(stream) => stream.served_model(),
        }
    }

    /// The answer's id as the upstream gave it and the client was told. None: the gateway's own, or none yet.
    #[must_use]
    pub fn answer_id(&self) -> Option<&str> {
        match &self.body {
            Body::Raw(watch) => watch.answer_id(),
            Body::Converted(_) => None,
        }
    }

    /// The id under which the provider keeps the answer. A converted answer's is not the client's to name.
    #[must_use]
    pub fn issued_id(&self) -> Option<&str> {
        match &self.body {
            Body::Raw(watch) => watch.issued_id(),
            Body::Converted(_) => None,
        }
    }

    /// Tokens that the answer has so far, as far as its text shows; about.
    #[must_use]
    pub fn written(&self) -> u64 {
        match &self.body {
            Body::Raw(watch) => watch.written(),
            Body::Converted(stream) => stream.written(),
        }
    }

    /// The first failure.
    #[must_use]
    pub fn failure(&self) -> Option<&StreamFailure> {
        self.broken.as_ref().or(match &self.body {
            Body::Raw(watch) => watch.failure(),
            Body::Converted(stream) => stream.failure(),
        })
    }

    /// What the gateway should remember for the client, of what came since the last time.
    pub fn memos(&mut self) -> Vec<Memo> {
        match &mut self.body {
            Body::Raw(_) => Vec::new(),
            Body::Converted(stream) => stream.memos(),
        }
    }

    /// What was lost so far. None: nothing is converted.
    #[must_use]
    pub fn losses(&self) -> Option<Losses> {
        match &self.body {
            Body::Raw(_) => None,
            Body::Converted(stream) => Some(stream.losses()),
        }
    }

    /// Whether nothing comes out before the end, because the client asked for no stream.
    #[must_use]
    pub fn gathers(&self) -> bool {
        matches!(&self.body, Body::Converted(stream) if stream.gathers())
    }

    #[must_use]
    pub fn into_converted(self) -> Option<ConvertedStream> {
        match self.body {
            Body::Raw(_) => None,
            Body::Converted(stream) => Some(*stream),
        }
    }

    /// Notes that the framing broke, and tells the client if it has content already; else [`Relay::release`] does.
    fn check(&mut self, read: Result<(), &'static str>, out: &mut Chunks) -> Seen {
        let seen = self.body.seen();
        if let Err(problem) = read
            && !seen.end
            && !seen.failed
        {
            let before_content = !seen.content;
            self.broken = Some(StreamFailure { before_content, cause: FailureCause::Malformed(problem) });
            if before_content {
                self.unsaid = true;
            } else {
                self.say_failure(out);
            }
        }
        self.seen()
    }

    fn say_failure(&mut self, out: &mut Chunks) {
        let Some(StreamFailure { cause: FailureCause::Malformed(message), .. }) = self.broken else { return };
        let kind = ErrorKind::Api;
        let said = self.close(&WireError {
            status: kind.status(),
            kind,
            message,
            code: None,
            param: None,
            request_id: "",
        });
        if !said.is_empty() {
            out.push(said);
        }
    }
}

impl Body {
    fn feed(&mut self, chunk: Bytes, out: &mut Chunks) -> Seen {
        match self {
            Self::Raw(watch) => watch.feed(chunk, out),
            Self::Converted(stream) => stream.feed(&chunk, out),
        }
    }

    const fn pending(&self) -> usize {
        match self {
            Self::Raw(watch) => watch.pending(),
            Self::Converted(stream) => stream.pending(),
        }
    }

    const fn seen(&self) -> Seen {
        match self {
            Self::Raw(watch) => watch.seen(),
            Self::Converted(stream) => stream.seen(),
        }
    }
}

impl Unframer {
    fn of(framing: Framing) -> Option<Self> {
        match framing {
            Framing::Plain => None,
            Framing::Invoke => Some(Self::EventStream(EventStreamToSse::new(Bodies::Anthropic))),
            Framing::Converse => Some(Self::EventStream(EventStreamToSse::new(Bodies::Converse))),
            Framing::Wrapped => Some(Self::Wrapped(FrameSplitter::default())),
        }
    }

    fn chunk(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        let splitter = match self {
            Self::EventStream(stream) => return stream.chunk(chunk, out),
            Self::Wrapped(splitter) => splitter,
        };
        let mut at = usize::from(splitter.takes_late_line_feed(chunk));
        while let Some(piece) = splitter.next(chunk, &mut at) {
            let Piece::Frame(frame) = piece else {
                return Err(TOO_LARGE);
            };
            let fields = frame.fields();
            let Some(data) = fields.data else {
                out.extend_from_slice(frame.part.bytes);
                continue;
            };
            let data = Bytes::from(data.into_owned());
            // What is no JSON goes on, and whoever reads it says so.
            let inner = envelope::unwrapped(&data).unwrap_or(data);
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(&inner);
            out.extend_from_slice(b"\n\n");
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), &'static str> {
        match self {
            Self::EventStream(stream) => stream.finish(),
            Self::Wrapped(splitter) if splitter.rest().is_some() => Err("the stream ended inside a frame"),
            Self::Wrapped(_) => Ok(()),
        }
    }
}
