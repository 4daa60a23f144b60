//! Turns as input items.

use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer};
use shared::wire::Wire;

use crate::{
    canonical::{
        Block, Media, MediaKind, Origin, Reasoning, Role, Signature, SignatureKind, Source, Text, ToolCall,
        ToolKind, ToolResult, Turn,
    },
    json::write::{Array, Object},
    responses::names_a_part,
};

/// Parts of a message that stand together are one; all other blocks are items of their own. What is left out parts
/// nothing.
pub(super) fn turns(items: &mut Array<'_>, turns: &[Turn<'_>]) {
    let blocks = turns.iter().flat_map(|turn| turn.blocks.iter().map(|block| (turn.role, block)));
    let blocks: Vec<Said<'_>> = blocks.filter(|(_, block)| is_part(block) || is_item(block)).collect();
    let mut rest = blocks.as_slice();
    while let Some(((role, first), behind)) = rest.split_first() {
        let together = rest.iter().take_while(|(whose, block)| whose == role && is_part(block)).count();
        let (parts, others) = rest.split_at(together);
        if parts.is_empty() {
            item(items, first);
            rest = behind;
        } else {
            message(items, *role, parts);
            rest = others;
        }
    }
}

/// A block, and whose it is.
type Said<'b> = (Role, &'b Block<'b>);

fn is_item(block: &Block<'_>) -> bool {
    match block {
        Block::ToolCall(_) | Block::ToolResult(_) => true,
        Block::Reasoning(block) => proof(block).is_some(),
        Block::Opaque(opaque) => opaque.origin == Wire::Responses,
        Block::Text(_) | Block::Media(_) | Block::Refusal(_) => false,
    }
}

fn is_part(block: &Block<'_>) -> bool {
    match block {
        Block::Text(_) | Block::Media(_) | Block::Refusal(_) => true,
        Block::Opaque(opaque) => opaque.origin == Wire::Responses && names_a_part(&opaque.kind),
        Block::ToolCall(_) | Block::ToolResult(_) | Block::Reasoning(_) => false,
    }
}

fn message(items: &mut Array<'_>, role: Role, parts: &[Said<'_>]) {
    items.object(|o| {
        o.string("type", "message");
        let word = match role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        o.string("role", word);
        o.array("content", |a| parts.iter().for_each(|(_, block)| part(a, role, block)));
    });
}

fn part(a: &mut Array<'_>, role: Role, block: &Block<'_>) {
    match block {
        Block::Text(block) => a.object(|o| {
            let is_own = role == Role::Assistant;
            text(o, is_own, &block.text);
            if let Some(own) =
                block.annotations.as_ref().filter(|own| is_own && own.origin == Wire::Responses)
            {
                o.raw("annotations", own.value.get());
            }
        }),
        Block::Refusal(words) if role == Role::Assistant => a.object(|o| {
            o.string("type", "refusal");
            o.string("refusal", words);
        }),
        Block::Refusal(words) => a.object(|o| text(o, false, words)),
        Block::Media(media) => a.object(|o| file(o, media)),
        Block::Opaque(own) => a.raw(own.value.get()),
        Block::ToolCall(_) | Block::ToolResult(_) | Block::Reasoning(_) => {}
    }
}

fn text(o: &mut Object<'_>, is_models: bool, text: &str) {
    o.string("type", if is_models { "output_text" } else { "input_text" });
    o.string("text", text);
}

fn file(o: &mut Object<'_>, media: &Media<'_>) {
    match (&media.source, media.kind) {
        (Source::Text { text: words }, _) => text(o, false, words),
        (Source::Base64 { media_type, data }, MediaKind::Audio) => {
            o.string("type", "input_audio");
            o.object("input_audio", |o| {
                o.string("data", data);
                o.string("format", audio_format(media_type));
            });
        }
        (source, MediaKind::Image) => {
            o.string("type", "input_image");
            match source {
                Source::Base64 { media_type, data } => o.value("image_url", &DataUrl { media_type, data }),
                Source::Url { url, .. } => o.string("image_url", url),
                Source::File { id, .. } => o.string("file_id", id),
                Source::Text { .. } => {}
            }
            o.some_string("detail", media.detail.as_deref());
        }
        (source, _) => {
            o.string("type", "input_file");
            match source {
                Source::Base64 { media_type, data } => {
                    // The API refuses data without a name.
                    let name = media.name.as_deref().map_or_else(|| file_name(media_type), Cow::Borrowed);
                    o.string("filename", &name);
                    o.value("file_data", &DataUrl { media_type, data });
                }
                Source::Url { url, .. } => o.string("file_url", url),
                Source::File { id, .. } => o.string("file_id", id),
                Source::Text { .. } => {}
            }
        }
    }
}

/// `data:{media_type};base64,{data}`, written without a copy of the data.
struct DataUrl<'d> {
    media_type: &'d str,
    data: &'d str,
}

impl fmt::Display for DataUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "data:{};base64,{}", self.media_type, self.data)
    }
}

impl Serialize for DataUrl<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The API knows `mp3` and `wav`; what else there is, it refuses by name.
fn audio_format(media_type: &str) -> &str {
    match media_type.strip_prefix("audio/").unwrap_or(media_type) {
        "mpeg" => "mp3",
        "x-wav" | "wave" | "vnd.wave" => "wav",
        format => format,
    }
}

fn file_name(media_type: &str) -> Cow<'static, str> {
    match media_type.rsplit('/').next() {
        Some("plain") => Cow::Borrowed("document.txt"),
        Some(kind) if kind.len() <= 8 && kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            Cow::Owned(format!("document.{kind}"))
        }
        _ => Cow::Borrowed("document"),
    }
}

fn item(items: &mut Array<'_>, block: &Block<'_>) {
    match block {
        Block::ToolCall(call) => items.object(|o| tool_call(o, call)),
        Block::ToolResult(result) => items.object(|o| tool_result(o, result)),
        Block::Reasoning(block) => reasoning(items, block),
        Block::Opaque(own) => items.raw(own.value.get()),
        Block::Text(_) | Block::Media(_) | Block::Refusal(_) => {}
    }
}

fn tool_call(o: &mut Object<'_>, call: &ToolCall<'_>) {
    let (kind, field) = match call.kind {
        ToolKind::Function => ("function_call", "arguments"),
        ToolKind::Custom => ("custom_tool_call", "input"),
    };
    o.string("type", kind);
    o.string("call_id", &call.id);
    o.string("name", &call.name);
    o.some_string("namespace", call.namespace.as_deref());
    o.string(field, super::output::arguments(call.kind, &call.arguments));
}

fn tool_result(o: &mut Object<'_>, result: &ToolResult<'_>) {
    let kind = match result.kind {
        ToolKind::Function => "function_call_output",
        ToolKind::Custom => "custom_tool_call_output",
    };
    o.string("type", kind);
    o.string("call_id", &result.id);
    match result.content.as_slice() {
        [] => o.string("output", ""),
        [Block::Text(Text { text, .. }) | Block::Refusal(text)] => o.string("output", text),
        [Block::Media(Media { source: Source::Text { text }, .. })] => o.string("output", text),
        parts => o.array("output", |a| {
            parts.iter().filter(|block| is_part(block)).for_each(|block| part(a, Role::User, block));
        }),
    }
}

/// What OpenAI itself encrypted: it refuses anything else.
fn proof<'b>(block: &'b Reasoning<'_>) -> Option<&'b Signature<'b>> {
    block
        .signature
        .as_ref()
        .filter(|signature| signature.origin == Origin::OpenAi && signature.kind == SignatureKind::Encrypted)
}

fn reasoning(items: &mut Array<'_>, block: &Reasoning<'_>) {
    let Some(own) = proof(block) else { return };
    items.object(|o| {
        o.string("type", "reasoning");
        o.some_string("id", own.id.as_deref());
        super::output::summary(o, &block.text);
        o.string("encrypted_content", &own.value);
    });
}
