//! A stream, step by step.

use std::borrow::Cow;

use shared::usage::Usage;

use super::{
    block::{Opaque, ToolKind},
    response::Stop,
    signature::Signature,
};
use crate::error::upstream::UpstreamError;

/// Takes events as they come.
pub type Sink<'s> = dyn FnMut(Event<'_>) + 's;

/// One step of a stream. Blocks are numbered from 0 within their choice, in the order of their openings. Decoders say
/// what they see; behind [`super::legal::Legalizer`] the order is:
///
/// `Start`, then per choice (`Open`, `Delta`*, `Close`)* without overlap and one `Stop`; `Usage`, `ServiceTier` and
/// `Ping` anywhere; and one `End` or `Error` at the end.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// The answer has begun.
    Start {
        /// The upstream's own.
        id: Cow<'a, str>,
        /// Empty: not said.
        model: Cow<'a, str>,
    },
    Open {
        choice: u32,
        index: u32,
        opening: Opening<'a>,
    },
    Delta {
        choice: u32,
        index: u32,
        delta: Delta<'a>,
    },
    Close {
        choice: u32,
        index: u32,
    },
    Stop {
        choice: u32,
        stop: Stop<'a>,
    },
    /// Totals so far: the last one holds. What the upstream counted at once comes ahead of `Start`.
    Usage(Usage),
    /// The tier that it is served in, in the upstream's word: the last one holds. Comes anywhere, as `Usage` does.
    ServiceTier(Cow<'a, str>),
    /// The upstream is still there.
    Ping,
    /// The upstream reports an error; nothing follows.
    Error(UpstreamError),
    /// The legal end.
    End,
}

/// What kind of block opens.
#[derive(Debug, Clone)]
pub enum Opening<'a> {
    Text,
    Reasoning,
    Refusal,
    ToolCall {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        kind: ToolKind,
        namespace: Option<Cow<'a, str>>,
        signature: Option<Signature<'a>>,
    },
    /// A block that only one wire knows, whole.
    Opaque(Opaque<'a>),
}

/// What a block grows by.
#[derive(Debug, Clone)]
pub enum Delta<'a> {
    /// Of text, reasoning or a refusal, as the block was opened.
    Text(Cow<'a, str>),
    /// Of a call: JSON text of a function's arguments, plain text of a custom tool's.
    Arguments(Cow<'a, str>),
    /// Whole. Of reasoning, or of text.
    Signature(Signature<'a>),
    /// A citation or annotation, in the form of the wire that made it.
    Annotation(Opaque<'a>),
    /// Of the text that came last, in the form of the wire that made them.
    Logprobs(Opaque<'a>),
}

#[cfg(test)]
impl Event<'_> {
    pub(crate) fn into_owned(self) -> Event<'static> {
        match self {
            Self::Start { id, model } => Event::Start { id: owned(id), model: owned(model) },
            Self::Open { choice, index, opening } => {
                Event::Open { choice, index, opening: opening.into_owned() }
            }
            Self::Delta { choice, index, delta } => Event::Delta { choice, index, delta: delta.into_owned() },
            Self::Close { choice, index } => Event::Close { choice, index },
            Self::Stop { choice, stop } => {
                let stop = Stop { reason: stop.reason, sequence: stop.sequence.map(owned) };
                Event::Stop { choice, stop }
            }
            Self::Usage(usage) => Event::Usage(usage),
            Self::ServiceTier(tier) => Event::ServiceTier(owned(tier)),
            Self::Ping => Event::Ping,
            Self::Error(error) => Event::Error(error),
            Self::End => Event::End,
        }
    }
}

impl Opening<'_> {
    #[must_use]
    pub fn into_owned(self) -> Opening<'static> {
        match self {
            Self::Text => Opening::Text,
            Self::Reasoning => Opening::Reasoning,
            Self::Refusal => Opening::Refusal,
            Self::ToolCall { id, name, kind, namespace, signature } => Opening::ToolCall {
                id: owned(id),
                name: owned(name),
                kind,
                namespace: namespace.map(owned),
                signature: signature.map(Signature::into_owned),
            },
            Self::Opaque(opaque) => Opening::Opaque(opaque.into_owned()),
        }
    }
}

impl Delta<'_> {
    #[must_use]
    pub fn into_owned(self) -> Delta<'static> {
        match self {
            Self::Text(text) => Delta::Text(owned(text)),
            Self::Arguments(text) => Delta::Arguments(owned(text)),
            Self::Signature(signature) => Delta::Signature(signature.into_owned()),
            Self::Annotation(opaque) => Delta::Annotation(opaque.into_owned()),
            Self::Logprobs(opaque) => Delta::Logprobs(opaque.into_owned()),
        }
    }

    /// Bytes of text that it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Arguments(text) => text.len(),
            Self::Signature(signature) => signature.value.len(),
            Self::Annotation(opaque) | Self::Logprobs(opaque) => opaque.value.get().len(),
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
