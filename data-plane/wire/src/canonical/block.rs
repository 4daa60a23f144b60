//! Parts of a message.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::signature::{Origin, Signature};

/// A part of a message, of a system prompt, or of a tool's result.
#[derive(Debug, Clone)]
pub enum Block<'a> {
    Text(Text<'a>),
    Media(Media<'a>),
    /// Assistant only.
    ToolCall(ToolCall<'a>),
    /// User only.
    ToolResult(ToolResult<'a>),
    /// Assistant only.
    Reasoning(Reasoning<'a>),
    /// Assistant only: the model's words when it declines.
    Refusal(Cow<'a, str>),
    /// What only one wire knows.
    Opaque(Opaque<'a>),
}

#[derive(Debug, Clone, Default)]
pub struct Text<'a> {
    pub text: Cow<'a, str>,
    pub cache: Option<CacheMark>,
    /// Gemini signs text parts too.
    pub signature: Option<Signature<'a>>,
    /// Citations or annotations, in the form of the wire that made them.
    pub annotations: Option<Opaque<'a>>,
}

/// The prompt up to and with this block is to be cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMark {
    FiveMinutes,
    OneHour,
}

/// An image, a document, a sound or a video.
#[derive(Debug, Clone)]
pub struct Media<'a> {
    pub kind: MediaKind,
    pub source: Source<'a>,
    /// A file name or a title.
    pub name: Option<Cow<'a, str>>,
    /// How closely an image is looked at: `low`, `high`, `auto`.
    pub detail: Option<Cow<'a, str>>,
    pub cache: Option<CacheMark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    Image,
    Document,
    Audio,
    Video,
}

#[derive(Debug, Clone)]
pub enum Source<'a> {
    /// `data` is standard base64 without line breaks, as it was sent: not decoded, not checked.
    Base64 {
        media_type: Cow<'a, str>,
        data: Cow<'a, str>,
    },
    Url {
        url: Cow<'a, str>,
        media_type: Option<Cow<'a, str>>,
    },
    /// A file that the provider holds.
    File {
        origin: Wire,
        id: Cow<'a, str>,
    },
    /// A document that is plain text.
    Text {
        text: Cow<'a, str>,
    },
}

#[derive(Debug, Clone)]
pub struct ToolCall<'a> {
    pub id: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub kind: ToolKind,
    /// For a function JSON text, normally an object, as the model or the client wrote it; see [`ToolCall::object`].
    /// For a custom tool plain text.
    pub arguments: Cow<'a, str>,
    /// responses: the group that the function is in.
    pub namespace: Option<Cow<'a, str>>,
    pub signature: Option<Signature<'a>>,
    pub cache: Option<CacheMark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ToolKind {
    #[default]
    Function,
    /// Takes free text.
    Custom,
}

impl ToolCall<'_> {
    /// The arguments as the text of a JSON object, for wires that want one. What is none becomes
    /// `{"arguments":"…"}`, and nothing at all `{}`.
    #[must_use]
    pub fn object(&self) -> Cow<'_, str> {
        let text = self.arguments.trim();
        if text.is_empty() {
            return Cow::Borrowed("{}");
        }
        if text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(serde_json::json!({ "arguments": self.arguments }).to_string())
    }
}

#[derive(Debug, Clone)]
pub struct ToolResult<'a> {
    /// The call's id.
    pub id: Cow<'a, str>,
    /// The function's name, where the wire says it.
    pub name: Option<Cow<'a, str>>,
    pub kind: ToolKind,
    /// Text and media.
    pub content: Vec<Block<'a>>,
    pub is_error: bool,
    pub cache: Option<CacheMark>,
}

#[derive(Debug, Clone, Default)]
pub struct Reasoning<'a> {
    /// Empty where it is hidden. Summaries of several parts are joined by a blank line.
    pub text: Cow<'a, str>,
    pub signature: Option<Signature<'a>>,
}

/// A value that only its wire understands.
#[derive(Debug, Clone)]
pub struct Opaque<'a> {
    pub origin: Wire,
    /// The value's `type`, or the field's name: for messages and logs.
    pub kind: Cow<'a, str>,
    pub value: Cow<'a, RawValue>,
}

impl<'a> Block<'a> {
    #[must_use]
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(Text { text: text.into(), ..Text::default() })
    }

    #[must_use]
    pub const fn cache(&self) -> Option<CacheMark> {
        match self {
            Self::Text(text) => text.cache,
            Self::Media(media) => media.cache,
            Self::ToolCall(call) => call.cache,
            Self::ToolResult(result) => result.cache,
            Self::Reasoning(_) | Self::Refusal(_) | Self::Opaque(_) => None,
        }
    }

    /// Takes the cache mark off. Whether there was one.
    pub fn unmark(&mut self) -> bool {
        match self {
            Self::Text(text) => text.cache.take(),
            Self::Media(media) => media.cache.take(),
            Self::ToolCall(call) => call.cache.take(),
            Self::ToolResult(result) => result.cache.take(),
            Self::Reasoning(_) | Self::Refusal(_) | Self::Opaque(_) => None,
        }
        .is_some()
    }
}

impl Opaque<'_> {
    #[must_use]
    pub fn into_owned(self) -> Opaque<'static> {
        Opaque {
            origin: self.origin,
            kind: Cow::Owned(self.kind.into_owned()),
            value: Cow::Owned(self.value.into_owned()),
        }
    }
}

/// Gemini signs the part, other wires know only reasoning that is signed: a block of reasoning that carries nothing but
/// Gemini's signature is put on the part ahead of which it stands; where there is none, on the text behind which it
/// does, as in a stream, which signs last.
pub fn attach_signatures(blocks: &mut Vec<Block<'_>>) {
    if !blocks.iter().any(|block| carried(block).is_some()) {
        return;
    }
    let mut behind = std::mem::take(blocks).into_iter().peekable();
    let mut waiting = None;
    while let Some(mut block) = behind.next() {
        if let Some(signature) = waiting.take()
            && let Block::ToolCall(ToolCall { signature: place, .. })
            | Block::Text(Text { signature: place, .. }) = &mut block
        {
            place.get_or_insert(signature);
        }
        match carried(&block).cloned() {
            Some(signature) if matches!(behind.peek(), Some(Block::ToolCall(_) | Block::Text(_))) => {
                waiting = Some(signature);
            }
            Some(signature) => match blocks.last_mut() {
                Some(Block::Text(text)) if text.signature.is_none() => text.signature = Some(signature),
                _ => blocks.push(block),
            },
            None => blocks.push(block),
        }
    }
}

/// The signature of Gemini that is all the block carries.
fn carried<'b, 'a>(block: &'b Block<'a>) -> Option<&'b Signature<'a>> {
    match block {
        Block::Reasoning(Reasoning { text, signature: Some(signature) })
            if text.is_empty() && signature.origin == Origin::Gemini =>
        {
            Some(signature)
        }
        _ => None,
    }
}
