//! Blocks as this wire writes them.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use crate::{
    canonical::{
        Block, CacheMark, Media, MediaKind, Opaque, Origin, Reasoning, Signature, SignatureKind, Source,
        ToolCall, ToolResult,
    },
    json::write::{Array, Object},
};

/// A content block, ready to be written.
#[derive(Debug)]
pub(super) enum Part<'b> {
    Text {
        text: &'b str,
        cache: Option<CacheMark>,
        citations: Option<&'b RawValue>,
    },
    Media {
        word: &'static str,
        media: &'b Media<'b>,
    },
    Call(&'b ToolCall<'b>),
    Result(&'b ToolResult<'b>),
    Thinking {
        text: &'b str,
        signature: Cow<'b, str>,
    },
    Redacted {
        data: &'b str,
    },
    /// A block that only this wire knows.
    Own(&'b RawValue),
}

impl<'b> Part<'b> {
    pub(super) const fn plain(text: &'b str) -> Self {
        Self::Text { text, cache: None, citations: None }
    }

    /// For an upstream. None: it would refuse it, or can't have it.
    pub(super) fn for_upstream(block: &'b Block<'b>) -> Option<Self> {
        match block {
            Block::Text(text) if text.text.is_empty() => None,
            Block::Refusal(text) if text.is_empty() => None,
            // Only Claude's own reasoning is of use to it, and only as it came.
            Block::Reasoning(Reasoning { text, signature: Some(signature) })
                if signature.origin == Origin::Claude =>
            {
                let value = &*signature.value;
                Some(match signature.kind {
                    SignatureKind::Proof => Self::Thinking { text, signature: Cow::Borrowed(value) },
                    SignatureKind::Encrypted => Self::Redacted { data: value },
                })
            }
            Block::Reasoning(_) => None,
            Block::Media(media) => {
                let word = match media.kind {
                    MediaKind::Image if !matches!(media.source, Source::Text { .. }) => "image",
                    MediaKind::Document => "document",
                    MediaKind::Image | MediaKind::Audio | MediaKind::Video => return None,
                };
                let is_ours =
                    !matches!(media.source, Source::File { origin, .. } if origin != Wire::Messages);
                is_ours.then_some(Self::Media { word, media })
            }
            Block::ToolResult(result) => Some(Self::Result(result)),
            block => Self::common(block),
        }
    }

    /// For a client: the block, and ahead of it what carries a signature that the block can't.
    pub(super) fn for_client(block: &'b Block<'b>) -> impl Iterator<Item = Self> {
        let carried = match block {
            Block::Text(text) => text.signature.as_ref(),
            Block::ToolCall(call) => call.signature.as_ref(),
            _ => None,
        };
        let part = match block {
            Block::Reasoning(Reasoning { text, signature }) => Some(match signature {
                Some(signature) if is_redacted(signature) && text.is_empty() => {
                    Self::Redacted { data: &signature.value }
                }
                signature => Self::Thinking { text, signature: signature.as_ref().map_or("".into(), proof) },
            }),
            // Answers have no place for them.
            Block::Media(_) | Block::ToolResult(_) => None,
            block => Self::common(block),
        };
        carried.and_then(Self::carrier).into_iter().chain(part)
    }

    /// Reasoning that is nothing but Gemini's signature of the block behind it.
    pub(super) fn carrier(signature: &'b Signature<'b>) -> Option<Self> {
        let is_carried = signature.origin == Origin::Gemini;
        is_carried.then(|| Self::Thinking { text: "", signature: Cow::Owned(signature.packed()) })
    }

    fn common(block: &'b Block<'b>) -> Option<Self> {
        match block {
            Block::Text(text) => Some(Self::Text {
                text: &text.text,
                cache: text.cache,
                citations: text.annotations.as_ref().and_then(own),
            }),
            Block::Refusal(text) => Some(Self::plain(text)),
            Block::ToolCall(call) => Some(Self::Call(call)),
            Block::Opaque(opaque) => own(opaque).map(Self::Own),
            Block::Media(_) | Block::ToolResult(_) | Block::Reasoning(_) => None,
        }
    }

    pub(super) fn write(&self, list: &mut Array<'_>) {
        match self {
            Self::Own(value) => list.raw(value.get()),
            part => list.object(|o| part.fill(o)),
        }
    }

    pub(super) fn fill(&self, o: &mut Object<'_>) {
        match self {
            Self::Text { text, cache, citations } => {
                o.string("type", "text");
                o.string("text", text);
                o.some_raw("citations", *citations);
                mark(o, *cache);
            }
            Self::Media { word, media } => {
                o.string("type", word);
                o.object("source", |o| source(o, &media.source));
                if media.kind == MediaKind::Document {
                    o.some_string("title", media.name.as_deref());
                }
                mark(o, media.cache);
            }
            Self::Call(call) => {
                o.string("type", "tool_use");
                o.string("id", &call.id);
                o.string("name", &call.name);
                o.raw("input", &call.object());
                mark(o, call.cache);
            }
            Self::Result(result) => {
                o.string("type", "tool_result");
                o.string("tool_use_id", &result.id);
                content(o, "content", &result.content);
                if result.is_error {
                    o.value("is_error", &true);
                }
                mark(o, result.cache);
            }
            Self::Thinking { text, signature } => {
                o.string("type", "thinking");
                o.string("thinking", text);
                o.string("signature", signature);
            }
            Self::Redacted { data } => {
                o.string("type", "redacted_thinking");
                o.string("data", data);
            }
            // Has its own form: see `write`.
            Self::Own(_) => {}
        }
    }
}

/// A field with blocks for an upstream: as a string where it says the same, left out where there are none.
pub(super) fn content(o: &mut Object<'_>, key: &str, blocks: &[Block<'_>]) {
    let parts: Vec<_> = blocks.iter().filter_map(Part::for_upstream).collect();
    match &*parts {
        [] => {}
        [Part::Text { text, cache: None, citations: None }] => o.string(key, text),
        parts => o.array(key, |list| parts.iter().for_each(|part| part.write(list))),
    }
}

pub(super) fn mark(o: &mut Object<'_>, cache: Option<CacheMark>) {
    let Some(cache) = cache else { return };
    o.object("cache_control", |o| {
        o.string("type", "ephemeral");
        // Five minutes are the default.
        if cache == CacheMark::OneHour {
            o.string("ttl", "1h");
        }
    });
}

/// Whether it is all that is left of reasoning that Anthropic hides.
pub(super) fn is_redacted(signature: &Signature<'_>) -> bool {
    signature.origin == Origin::Claude && signature.kind == SignatureKind::Encrypted
}

/// What stands as `signature` beside text.
pub(super) fn proof<'s>(signature: &'s Signature<'_>) -> Cow<'s, str> {
    // A bare one would be taken for a proof.
    if is_redacted(signature) { Cow::Owned(signature.packed()) } else { signature.written(Origin::Claude) }
}

/// The value, if it is of this wire.
pub(super) fn own<'b>(opaque: &'b Opaque<'_>) -> Option<&'b RawValue> {
    (opaque.origin == Wire::Messages).then_some(&*opaque.value)
}

fn source(o: &mut Object<'_>, source: &Source<'_>) {
    match source {
        Source::Base64 { media_type, data } => {
            o.string("type", "base64");
            o.string("media_type", media_type);
            o.string("data", data);
        }
        Source::Url { url, .. } => {
            o.string("type", "url");
            o.string("url", url);
        }
        Source::File { id, .. } => {
            o.string("type", "file");
            o.string("file_id", id);
        }
        Source::Text { text } => {
            o.string("type", "text");
            o.string("media_type", "text/plain");
            o.string("data", text);
        }
    }
}
