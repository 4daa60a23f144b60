//! How an upstream's answer is read and given to the client: decided with the request, used when the answer comes.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
    response,
};
use shared::wire::Wire;
use wire::{
    convert::{self, Conversion, ConvertedStream},
    count, embeddings,
    error::{overflow::Overflow, upstream::UpstreamError},
    raw::{
        body::{self, BodyFacts},
        envelope,
        watch::{StreamEdits, StreamWatch},
    },
    relay::{Framing, Relay},
};

use super::reading::{Collected, Read, Reading};
use crate::provider::failure::Reason;

#[derive(Debug)]
pub(super) enum Translation {
    /// The same wire: bytes stay bytes, but for these edits, and for what they are framed in.
    Raw {
        edits: StreamEdits,
        framing: Framing,
        errors: Errors,
        /// The model's name towards the client; none: the upstream's own.
        asked: Option<Box<str>>,
    },
    Converted {
        conversion: Box<Conversion>,
        framing: Framing,
    },
    /// A number of tokens.
    Count,
    /// Embeddings of Gemini's, asked for with a chat client's request.
    Embeddings(embeddings::Answer),
}

/// In which form an upstream's errors come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errors {
    /// In that of its wire.
    Native,
    /// In one of its own.
    Foreign,
}

impl Default for Translation {
    fn default() -> Self {
        Self::Raw {
            edits: StreamEdits::default(),
            framing: Framing::Plain,
            errors: Errors::Native,
            asked: None,
        }
    }
}

/// Why a whole answer can't be given to the client.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is not of its wire.
    Malformed,
    /// It reports an error, or nothing.
    NoAnswer(Box<BodyFacts>),
}

/// Names under which upstreams give a request's id.
const UPSTREAM_IDS: [HeaderName; 5] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("request-id"),
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("apim-request-id"),
    HeaderName::from_static("x-cloudaicompanion-trace-id"),
];
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl Translation {
    /// Whether the upstream speaks the client's own wire, headers and errors included.
    pub(super) const fn is_native(&self) -> bool {
        matches!(self, Self::Raw { framing: Framing::Plain, .. })
    }

    /// An upstream may give one answer where a stream was asked for, or a stream where one answer was: it can't pass as
    /// it is, though it is of the client's wire. `within`: how it is read then; none where there is but one form.
    pub(super) fn reform(
        &mut self,
        streaming: bool,
        headers: &HeaderMap,
        within: impl FnOnce() -> Option<Conversion>,
    ) {
        if let Self::Raw { framing, .. } = self
            && !is_encoded(headers)
            && streams(streaming, headers) != streaming
            && let Some(conversion) = within()
        {
            *self = Self::Converted { conversion: Box::new(conversion), framing: *framing };
        }
    }

    /// How a good answer is to be read, by what its head says.
    /// `frames`: the most bytes of one.
    pub(super) fn reading(&self, wire: Wire, streaming: bool, headers: &HeaderMap, frames: usize) -> Reading {
        let encoded = is_encoded(headers);
        let streams = streams(streaming, headers);
        match self {
            Self::Raw { .. } if encoded => Reading::Opaque,
            Self::Raw { edits, framing, asked, .. } if streams => match StreamWatch::new(wire, *edits) {
                Some(watch) => {
                    let watch = match asked {
                        Some(asked) => watch.under_the_name(asked),
                        None => watch,
                    };
                    Reading::Stream(Relay::raw(watch, *framing).with_frames_up_to(frames))
                }
                None => Reading::Opaque,
            },
            Self::Converted { conversion, framing } if streams && !encoded => {
                Reading::Stream(Relay::converted(conversion.stream(), *framing).with_frames_up_to(frames))
            }
            _ => Reading::Whole(Collected::default()),
        }
    }

    /// A whole answer.
    ///
    /// # Errors
    /// It can't be read, so that the client can't be given it.
    pub(super) fn read(&self, wire: Wire, body: Bytes) -> Result<Read, Unread> {
        match self {
            Self::Raw { framing, asked, .. } => {
                let body = match framing {
                    Framing::Wrapped => envelope::unwrapped(&body).ok_or(Unread::Malformed)?,
                    _ => body,
                };
                let facts = body::facts(wire, &body);
                if !facts.is_answer {
                    return Err(Unread::NoAnswer(Box::new(facts)));
                }
                let body = match asked {
                    Some(asked) if facts.served_model.as_ref().is_some_and(|served| **served != **asked) => {
                        body::under_the_name(wire, body, asked)
                    }
                    _ => body,
                };
                Ok(Read { body, facts, ..Read::default() })
            }
            Self::Converted { conversion, framing } => {
                let body = match framing {
                    Framing::Wrapped => envelope::unwrapped(&body).ok_or(Unread::Malformed)?,
                    _ => body,
                };
                conversion.whole(&body).map(Read::from).map_err(|error| {
                    let facts = conversion.facts(&body);
                    match facts.is_answer {
                        true => {
                            tracing::warn!(%error, "an upstream's answer is not of its wire");
                            Unread::Malformed
                        }
                        false => Unread::NoAnswer(Box::new(facts)),
                    }
                })
            }
            Self::Count => {
                let tokens = count::read(&body).ok_or(Unread::Malformed)?;
                Ok(Read { body: count::write(wire, tokens), ..Read::default() })
            }
            Self::Embeddings(answer) => {
                let (body, usage) = embeddings::from_gemini(&body, answer).map_err(|_| Unread::Malformed)?;
                let facts =
                    BodyFacts { usage, served_model: Some(answer.model.clone()), ..BodyFacts::default() };
                Ok(Read { body: body.into(), facts, ..Read::default() })
            }
        }
    }

    /// A stream that was gathered for a client that asked for none.
    pub(super) fn gathered(&self, stream: ConvertedStream) -> Result<Read, Reason> {
        let Self::Converted { conversion, .. } = self else {
            return Err(Reason::Malformed);
        };
        conversion.gathered(stream).map(Read::from).ok_or(Reason::Cut)
    }

    /// The answer to a request that the upstream refused, as the client's wire says it: its head, and its body.
    pub(super) fn refusal(
        &self,
        wire: Wire,
        streaming: bool,
        parts: &mut response::Parts,
        (body, said): (Bytes, &UpstreamError),
        id: &str,
    ) -> Bytes {
        if self.passes_errors() {
            return body;
        }
        let status = parts.status.as_u16();
        // Codex knows a conversation that is too long by a stream's end only.
        let told_as_stream = wire == Wire::Responses && streaming && Overflow::of(said).is_some();
        let (status, body) = if told_as_stream {
            (200, convert::error_events(wire, status, said, id))
        } else {
            convert::error_answer(wire, status, said, id)
        };
        self.head(parts, told_as_stream);
        parts.status = StatusCode::from_u16(status).unwrap_or(parts.status);
        body
    }

    /// Whether tokens are counted in another wire than the client's.
    pub(super) const fn counts(&self) -> bool {
        matches!(self, Self::Count)
    }

    const fn passes_errors(&self) -> bool {
        matches!(self, Self::Raw { framing: Framing::Plain, errors: Errors::Native, .. })
    }

    /// Whether the client is given a stream, however the upstream answers.
    pub(super) fn streams(&self) -> bool {
        matches!(self, Self::Converted { conversion, .. } if conversion.streams())
    }

    /// The head for the client.
    pub(super) fn head(&self, parts: &mut response::Parts, stream: bool) {
        let passes = if parts.status.is_success() { self.is_native() } else { self.passes_errors() };
        if passes {
            return;
        }
        let theirs = std::mem::take(&mut parts.headers);
        let array = matches!(self, Self::Converted { conversion, .. } if conversion.writes_array());
        let content_type =
            if stream && !array { "text/event-stream; charset=utf-8" } else { "application/json" };
        parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if stream {
            parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        if let Some(after) = theirs.get(RETRY_AFTER) {
            parts.headers.insert(RETRY_AFTER, after.clone());
        }
        if let Some(id) = UPSTREAM_IDS.iter().find_map(|name| theirs.get(name)) {
            parts.headers.insert(X_REQUEST_ID, id.clone());
        }
    }
}

/// What an upstream says in an error's body.
pub(super) fn said(body: &[u8]) -> UpstreamError {
    body::facts_of_error(body)
}

/// A body in a coding that is not known here, though none was asked for.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_ENCODING)
}

/// Whether the answer is a stream. Where one was asked for, what does not say it is JSON is taken for one.
fn streams(streaming: bool, headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
    let is = |kinds: &[&[u8]]| {
        kinds
            .iter()
            .any(|known| kind.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known)))
    };
    is(&[b"text/event-stream", b"application/vnd.amazon.eventstream"])
        || (streaming && !is(&[b"application/json", b"text/json", b"application/problem+json"]))
}
