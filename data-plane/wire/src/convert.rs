//! Between wires: a request is read into the canonical form, fitted to what the target can say, and written; the answer
//! goes the way back.
//!
//! [`request`] gives the body to send and a [`Conversion`], which knows how to read what comes back: whole
//! ([`Conversion::whole`]), as a stream ([`Conversion::stream`]), or as an error ([`error_body`]).

mod capabilities;
mod claude;
mod codecs;
mod excerpts;
mod fit;
mod memo;
mod names;
mod openai;
mod restore;
mod searching;
mod stream;

use std::borrow::Cow;

use bytes::Bytes;
use shared::{usage::Usage, wire::Wire};

pub use capabilities::Format;
pub use excerpts::{Excerpts, Pieces};
pub use fit::{Replayed, Target};
pub use memo::{MEMO_MAX, Memo, calls as remembered_calls};
pub use searching::searches_itself;
pub use stream::ConvertedStream;

use crate::{
    canonical::{self, Origin, RefusedProofs},
    codec::{Context, Unreadable},
    error::{
        self, ErrorKind, WireError,
        overflow::{self, Overflow},
        upstream::UpstreamError,
    },
    loss::{Losses, Rejected},
    raw::{
        body::{BodyFacts, facts, facts_of_error},
        served,
        view::BodyError,
        watch::Chunks,
    },
};
pub(crate) use names::Names;

/// A client's request.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub wire: Wire,
    pub body: &'a [u8],
    /// The model as the client wrote it; gemini: from the path.
    pub model: &'a str,
    /// gemini: from the path.
    pub stream: bool,
    /// chat: the client asked for usage in its stream.
    pub wants_usage: bool,
    /// gemini: the client wants its stream as one JSON array.
    pub array: bool,
    /// Set where the client was already told that the answer has begun.
    pub resume: Option<Resume<'a>>,
    /// What the gateway remembers of the conversation, which the client does not send back.
    pub memos: &'a [Memo],
    /// The request's id, which the answer's ids are made of.
    pub id: &'a str,
    /// Seconds since 1970.
    pub now: i64,
}

impl Ask<'_> {
    fn context(&self, model: &str) -> Context {
        Context {
            id: self.id.to_owned(),
            answer_id: self.resume.and_then(|resume| resume.answer_id).map(str::to_owned),
            created: self.now,
            model: model.to_owned(),
            include_usage: self.wants_usage,
            array: self.array,
            echo: codecs::echo(self),
        }
    }
}

/// An answer that began with another attempt, of which nothing but the beginning came.
#[derive(Debug, Clone, Copy)]
pub struct Resume<'a> {
    /// The id that the client was told, where it is not the gateway's own.
    pub answer_id: Option<&'a str>,
}

/// What is sent, and how to read what comes back.
#[derive(Debug)]
pub struct Converted {
    /// Whole, but for `excerpts`, which [`Excerpts::fill`] puts in.
    pub body: Vec<u8>,
    pub excerpts: Excerpts,
    pub losses: Losses,
    pub conversion: Conversion,
}

/// The client asked for what can't be read, or can't be had there; the message says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Rejected(#[from] Rejected),
}

impl ConvertError {
    /// The field that the client has to change; none when the whole body is at fault.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Unreadable(unreadable) => Some(&unreadable.field),
            Self::Body(body) => body.field(),
            Self::Rejected(rejected) => Some(&rejected.field),
        }
    }
}

/// # Errors
/// See [`ConvertError`].
pub fn request(ask: Ask<'_>, target: Target<'_>) -> Result<Converted, ConvertError> {
    let mut request = decode(&ask)?;
    let own = target.reasoning_of(&request.model);
    memo::put_back(&mut request, ask.memos, own);
    // Who speaks that wire marks what it likes.
    let target = Target { cache_marks: target.cache_marks && ask.wire != Wire::Messages, ..target };
    let stream = request.stream;
    let context = ask.context(&request.model);
    let (losses, names) = fit::fit(&mut request, target)?;
    let (body, excerpts) = excerpts::encode(target.format, &mut request, &ask);
    let resumed = ask.resume.is_some();
    let conversion = Conversion { client: ask.wire, format: target.format, stream, resumed, context, names };
    Ok(Converted { body, excerpts, losses, conversion })
}

/// All proofs of reasoning in a request that a model refused for them. `model`: as the upstream knows it.
#[must_use]
pub fn proofs(ask: &Ask<'_>, model: &str) -> RefusedProofs {
    // What can't be read has none.
    let Ok(mut request) = decode(ask) else { return RefusedProofs::default() };
    for own in [Origin::Claude, Origin::OpenAi, Origin::Gemini] {
        memo::put_back(&mut request, ask.memos, Some(own));
    }
    RefusedProofs::of(&request, model)
}

pub(crate) fn decode<'a>(ask: &Ask<'a>) -> Result<canonical::Request<'a>, Unreadable> {
    codecs::decode_request(ask)
}

/// Fits the request to the target, and writes it. `length`: of the body that it was read from.
pub(crate) fn write<'a>(
    request: &mut canonical::Request<'a>,
    target: Target<'a>,
    length: usize,
) -> Result<(Vec<u8>, Losses, Names), Rejected> {
    let (losses, names) = fit::fit(request, target)?;
    Ok((codecs::encode_request(target.format, request, excerpts::room(length)), losses, names))
}

/// How one request's answer is read and written.
#[derive(Debug, Clone)]
pub struct Conversion {
    client: Wire,
    format: Format,
    /// The client asked for a stream.
    stream: bool,
    /// The client has the beginning of the answer.
    resumed: bool,
    context: Context,
    names: Names,
}

/// An answer for the client.
#[derive(Debug)]
pub struct Whole {
    pub body: Bytes,
    pub usage: Option<Usage>,
    /// The model that the upstream says it served.
    pub served_model: Option<String>,
    pub losses: Losses,
    /// What the gateway should remember for the client.
    pub memos: Vec<Memo>,
}

impl Conversion {
    /// What the upstream's answer says of itself, where it can't be converted.
    #[must_use]
    pub fn facts(&self, answer: &[u8]) -> BodyFacts {
        match self.format.wire() {
            Some(wire) => facts(wire, answer),
            None => BodyFacts { is_answer: true, ..BodyFacts::default() },
        }
    }

    /// Of an answer that passes as it is, where the upstream gives it in another form than the client asked for: a
    /// stream instead of one answer, or one answer instead of a stream. `model`: what was sent, for a client that named
    /// none.
    #[must_use]
    pub fn within(ask: &Ask<'_>, model: &str) -> Self {
        let model = if ask.model.is_empty() { model } else { ask.model };
        Self {
            client: ask.wire,
            format: Format::of(ask.wire),
            stream: ask.stream,
            resumed: ask.resume.is_some(),
            context: ask.context(model),
            names: Names::default(),
        }
    }

    /// An answer that is no stream. A client that asked for one gets all of its frames.
    ///
    /// # Errors
    /// The upstream's body is not of its wire.
    pub fn whole(&self, body: &[u8]) -> Result<Whole, Unreadable> {
        if self.stream {
            self.played(body)
        } else {
            Ok(self.write(codecs::decode_response(self.format, body)?))
        }
    }

    fn played(&self, body: &[u8]) -> Result<Whole, Unreadable> {
        let mut stream = self.stream();
        let mut frames = Chunks::new();
        stream.play(self, body, &mut frames)?;
        Ok(Whole {
            body: frames.concat().into(),
            // A whole answer's usage is all that it is charged by.
            usage: stream.usage().filter(|_| stream.usage_is_final()),
            served_model: stream.served_model().map(str::to_owned),
            losses: stream.losses(),
            memos: stream.memos(),
        })
    }

    /// A stream that was gathered with [`Conversion::stream`] because the client asked for none; whether its usage is
    /// final, the stream says. None: it did not come to its end.
    #[must_use]
    pub fn gathered(&self, stream: ConvertedStream) -> Option<Whole> {
        let usage = stream.usage();
        let served_model = stream.served_model().map(str::to_owned);
        let mut whole = self.write(stream.into_whole()?);
        whole.usage = whole.usage.or(usage);
        whole.served_model = served_model;
        Some(whole)
    }

    fn write(&self, mut response: canonical::Response<'_>) -> Whole {
        let served_model = served(&response.model);
        let losses = restore::response(&mut response, self.client, &self.names, &self.context.id);
        let memos = memo::of_response(&response, self.client);
        Whole {
            memos,
            body: codecs::encode_response(self.client, &response, &self.context).into(),
            usage: response.usage,
            served_model,
            losses,
        }
    }

    /// Whether the client asked for a stream.
    #[must_use]
    pub const fn streams(&self) -> bool {
        self.stream
    }

    /// Whether the client's stream is one JSON array.
    #[must_use]
    pub const fn writes_array(&self) -> bool {
        self.context.array
    }

    /// A stream; gathered where the client asked for none.
    #[must_use]
    pub fn stream(&self) -> ConvertedStream {
        ConvertedStream::new(self, !self.stream)
    }
}

/// An upstream's error body in the client's wire.
#[must_use]
pub fn error_body(client: Wire, status: u16, body: &[u8], request_id: &str) -> (Bytes, UpstreamError) {
    let said = facts_of_error(body);
    (error_answer(client, status, &said, request_id).1, said)
}

/// What an upstream reported, in a body or ahead of a stream's content, as the client's whole answer: its status and
/// body. `status`: what it came with or stands for.
#[must_use]
pub fn error_answer(client: Wire, status: u16, said: &UpstreamError, request_id: &str) -> (u16, Bytes) {
    let words = Words::of(client, status, said, "the upstream refused the request");
    (words.status, error::body(client, &words.error(request_id)))
}

/// As [`error_answer`], told as a stream: Codex knows a conversation that is too long only by a stream's
/// `response.failed`.
#[must_use]
pub fn error_events(client: Wire, status: u16, said: &UpstreamError, request_id: &str) -> Bytes {
    let words = Words::of(client, status, said, "the upstream refused the request");
    error::stream_event(client, &words.error(request_id))
}

/// An upstream's error in words that the client understands.
struct Words<'w> {
    status: u16,
    message: Cow<'w, str>,
    code: Option<&'w str>,
}

impl<'w> Words<'w> {
    /// `otherwise`: where the upstream says nothing.
    fn of(client: Wire, status: u16, said: &'w UpstreamError, otherwise: &'static str) -> Self {
        if let Some(overflow) = Overflow::of(said) {
            let (message, code) = overflow.words(client, &said.message);
            return Self { status: overflow::STATUS, message, code };
        }
        let message = if said.message.is_empty() { otherwise } else { &said.message };
        let code = said.code.as_deref().filter(|code| code.parse::<u16>().is_err());
        Self { status, message: message.into(), code }
    }

    fn error<'e>(&'e self, request_id: &'e str) -> WireError<'e> {
        let kind = ErrorKind::of_status(self.status);
        let (status, message, code) = (self.status, &*self.message, self.code);
        WireError { status, kind, message, code, param: None, request_id }
    }
}

#[cfg(test)]
mod tests;
