//! Turns as messages.

use shared::wire::Wire;

use super::{google_signature, own, reasoning};
use crate::canonical::{
    Block, Media, MediaKind, Request, Role, Source, ToolCall, ToolKind, ToolResult, Turn,
};
use crate::chat::decode::AUDIO;
use crate::json::write::{Array, Object};

/// The whole conversation. Each tool's result is a message of its own.
pub(super) fn history(a: &mut Array<'_>, request: &Request<'_>) {
    plain(a, "system", &request.system);
    for Turn { role, blocks } in &request.turns {
        match role {
            Role::System => plain(a, "system", blocks),
            Role::Developer => plain(a, "developer", blocks),
            Role::User => user(a, blocks),
            Role::Assistant => assistant(a, blocks),
        }
    }
}

fn user(a: &mut Array<'_>, blocks: &[Block<'_>]) {
    let is_result = |block: &Block<'_>| matches!(block, Block::ToolResult(_));
    for run in blocks.chunk_by(|one, next| !is_result(one) && !is_result(next)) {
        match run {
            [Block::ToolResult(result)] => a.object(|o| self::result(o, result)),
            run => plain(a, "user", run),
        }
    }
}

fn result(o: &mut Object<'_>, result: &ToolResult<'_>) {
    o.string("role", "tool");
    o.string("tool_call_id", &result.id);
    if !content(o, &result.content) {
        o.string("content", "");
    }
}

/// Nothing if there is nothing to say.
fn plain(a: &mut Array<'_>, role: &str, blocks: &[Block<'_>]) {
    if blocks.iter().any(is_part) {
        a.object(|o| {
            o.string("role", role);
            content(o, blocks);
        });
    }
}

fn assistant(a: &mut Array<'_>, blocks: &[Block<'_>]) {
    a.object(|o| {
        o.string("role", "assistant");
        let calls = blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
        let refusal = refusal(blocks);
        if !content(o, blocks) {
            match calls || refusal.is_some() {
                true => o.value("content", &()),
                false => o.string("content", ""),
            }
        }
        o.some_string("refusal", refusal.as_deref());
        let thoughts = reasoning::joined(blocks);
        if !thoughts.is_empty() {
            o.string("reasoning_content", &thoughts);
        }
        audio(o, blocks);
        self::calls(o, blocks);
    });
}

/// The words of refusal, if there are any.
pub(super) fn refusal(blocks: &[Block<'_>]) -> Option<String> {
    let words = blocks.iter().filter_map(|block| match block {
        Block::Refusal(words) => Some(&**words),
        _ => None,
    });
    words.map(str::to_owned).reduce(|all, words| all + &words)
}

/// Speech, which stands beside the content and not in it.
pub(super) fn audio(o: &mut Object<'_>, blocks: &[Block<'_>]) {
    let value = blocks.iter().find_map(|block| match block {
        Block::Opaque(opaque) if opaque.kind == AUDIO => own(Some(opaque)),
        _ => None,
    });
    if let Some(value) = value {
        o.raw("audio", value);
    }
}

/// `tool_calls`; nothing if there are none.
pub(super) fn calls(o: &mut Object<'_>, blocks: &[Block<'_>]) {
    let mut calls = blocks.iter().filter_map(|block| match block {
        Block::ToolCall(call) => Some(call),
        _ => None,
    });
    if let Some(first) = calls.next() {
        o.array("tool_calls", |a| {
            for ToolCall { id, name, kind, arguments, signature, .. } in std::iter::once(first).chain(calls) {
                a.object(|o| {
                    o.string("id", id);
                    call(o, *kind, name, or_object(*kind, arguments));
                    google_signature(o, signature.as_ref());
                });
            }
        });
    }
}

/// A function's arguments are never nothing: clients parse them.
fn or_object(kind: ToolKind, arguments: &str) -> &str {
    if kind == ToolKind::Function && arguments.is_empty() { "{}" } else { arguments }
}

/// The fields of a call that tell what is called.
pub(super) fn call(o: &mut Object<'_>, kind: ToolKind, name: &str, arguments: &str) {
    let (word, field) = words(kind);
    o.string("type", word);
    o.object(word, |o| {
        o.string("name", name);
        o.string(field, arguments);
    });
}

/// The kind's name, and its arguments' name.
pub(super) const fn words(kind: ToolKind) -> (&'static str, &'static str) {
    match kind {
        ToolKind::Function => ("function", "arguments"),
        ToolKind::Custom => ("custom", "input"),
    }
}

/// Whether the block is a part of a message's content.
fn is_part(block: &Block<'_>) -> bool {
    match block {
        Block::Text(_) | Block::Media(_) => true,
        Block::Opaque(opaque) => opaque.origin == Wire::Chat && opaque.kind != AUDIO,
        Block::ToolCall(_) | Block::ToolResult(_) | Block::Reasoning(_) | Block::Refusal(_) => false,
    }
}

/// Writes `content`: a lone text as a string, else parts. Whether there was any.
fn content(o: &mut Object<'_>, blocks: &[Block<'_>]) -> bool {
    let mut parts = blocks.iter().filter(|block| is_part(block));
    match (parts.next(), parts.next()) {
        (None, _) => return false,
        (Some(Block::Text(text)), None) => o.string("content", &text.text),
        _ => o.array("content", |a| {
            for block in blocks.iter().filter(|block| is_part(block)) {
                part(a, block);
            }
        }),
    }
    true
}

fn part(a: &mut Array<'_>, block: &Block<'_>) {
    match block {
        Block::Text(text) => text_part(a, &text.text),
        Block::Media(block) => media(a, block),
        Block::Opaque(opaque) => a.raw(opaque.value.get()),
        Block::ToolCall(_) | Block::ToolResult(_) | Block::Reasoning(_) | Block::Refusal(_) => {}
    }
}

fn text_part(a: &mut Array<'_>, text: &str) {
    a.object(|o| {
        o.string("type", "text");
        o.string("text", text);
    });
}

/// By where it is and what it is: images by URL or with their data in one, speech with its data, the rest as files.
fn media(a: &mut Array<'_>, media: &Media<'_>) {
    match (&media.source, media.kind) {
        (Source::Text { text }, _) => text_part(a, text),
        (Source::Base64 { media_type, data }, MediaKind::Audio) => a.object(|o| {
            o.string("type", "input_audio");
            o.object("input_audio", |o| {
                o.string("data", data);
                o.string("format", format(media_type));
            });
        }),
        (Source::Base64 { .. } | Source::Url { .. }, MediaKind::Image) => a.object(|o| {
            o.string("type", "image_url");
            o.object("image_url", |o| {
                url(o, "url", &media.source);
                o.some_string("detail", media.detail.as_deref());
            });
        }),
        (source, _) => a.object(|o| {
            o.string("type", "file");
            o.object("file", |o| file(o, source, media.name.as_deref()));
        }),
    }
}

fn file(o: &mut Object<'_>, source: &Source<'_>, name: Option<&str>) {
    if let Source::File { id, .. } = source {
        o.string("file_id", id);
        o.some_string("filename", name);
        return;
    }
    url(o, "file_data", source);
    let is_pdf = matches!(source, Source::Base64 { media_type, .. } if media_type == "application/pdf");
    // OpenAI refuses data without a name.
    o.string("filename", name.unwrap_or(if is_pdf { "document.pdf" } else { "document" }));
}

fn url(o: &mut Object<'_>, key: &str, source: &Source<'_>) {
    match source {
        // Written piece by piece: the data may be large.
        Source::Base64 { media_type, data } => {
            o.value(key, &format_args!("data:{media_type};base64,{data}"));
        }
        Source::Url { url, .. } => o.string(key, url),
        Source::File { id, .. } => o.string(key, id),
        Source::Text { text } => o.string(key, text),
    }
}

/// OpenAI's short name of a sound's media type.
fn format(media_type: &str) -> &str {
    match media_type {
        "audio/mpeg" => "mp3",
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        other => other.strip_prefix("audio/").unwrap_or(other),
    }
}
