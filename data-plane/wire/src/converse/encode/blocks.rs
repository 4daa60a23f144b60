//! A message's content. A cache mark is a block of its own, behind the block that it is on.

use super::media::{self, Names};
use crate::{
    canonical::{Block, CacheMark, Origin, Reasoning, Signature, SignatureKind, ToolCall, ToolResult},
    json::write::{Array, Object},
};

/// Whether there is anything to write. Bedrock refuses blank texts; reasoning goes to its maker only.
pub(super) fn says(block: &Block<'_>) -> bool {
    match block {
        Block::Text(text) => !text.text.trim().is_empty(),
        Block::Refusal(text) => !text.trim().is_empty(),
        Block::Media(media) => media::says(media),
        Block::ToolCall(_) | Block::ToolResult(_) => true,
        Block::Reasoning(reasoning) => own(reasoning).is_some(),
        Block::Opaque(_) => false,
    }
}

pub(super) fn write(a: &mut Array<'_>, blocks: &[Block<'_>], names: &mut Names) {
    for block in blocks.iter().filter(|block| says(block)) {
        a.object(|o| one(o, block, names));
        if let Some(mark) = block.cache() {
            cache_point(a, mark);
        }
    }
}

pub(super) fn cache_point(a: &mut Array<'_>, mark: CacheMark) {
    a.object(|o| {
        o.object("cachePoint", |o| {
            o.string("type", "default");
            if mark == CacheMark::OneHour {
                o.string("ttl", "1h");
            }
        });
    });
}

fn one(o: &mut Object<'_>, block: &Block<'_>, names: &mut Names) {
    match block {
        Block::Text(text) => o.string("text", &text.text),
        Block::Refusal(text) => o.string("text", text),
        Block::Media(media) => media::write(o, media, names),
        Block::ToolCall(call) => tool_call(o, call),
        Block::ToolResult(result) => tool_result(o, result, names),
        Block::Reasoning(reasoning) => {
            if let Some(signature) = own(reasoning) {
                o.object("reasoningContent", |o| write_reasoning(o, &reasoning.text, signature));
            }
        }
        Block::Opaque(_) => {}
    }
}

fn own<'r>(reasoning: &'r Reasoning<'_>) -> Option<&'r Signature<'r>> {
    reasoning.signature.as_ref().filter(|signature| signature.origin == Origin::Claude)
}

fn write_reasoning(o: &mut Object<'_>, text: &str, signature: &Signature<'_>) {
    match signature.kind {
        SignatureKind::Encrypted => o.string("redactedContent", &signature.value),
        SignatureKind::Proof => o.object("reasoningText", |o| {
            o.string("text", text);
            o.string("signature", &signature.value);
        }),
    }
}

fn tool_call(o: &mut Object<'_>, call: &ToolCall<'_>) {
    o.object("toolUse", |o| {
        o.string("toolUseId", &call.id);
        o.string("name", &call.name);
        o.raw("input", &call.object());
    });
}

fn tool_result(o: &mut Object<'_>, result: &ToolResult<'_>, names: &mut Names) {
    o.object("toolResult", |o| {
        o.string("toolUseId", &result.id);
        o.array("content", |a| {
            // Marks have no place in here: the one on the whole result stands behind it.
            let parts = result.content.iter();
            for part in parts.filter(|part| matches!(part, Block::Text(_) | Block::Media(_)) && says(part)) {
                a.object(|o| one(o, part, names));
            }
        });
        if result.is_error {
            o.string("status", "error");
        }
    });
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;
    use serde_json::{Value, json, value::RawValue};
    use shared::wire::Wire;

    use super::*;
    use crate::{
        canonical::{Media, MediaKind, Opaque, Source, Text, ToolKind},
        json::write,
    };

    fn encoded(blocks: &[Block<'_>]) -> Value {
        let mut out = Vec::new();
        write::array(&mut out, |a| super::write(a, blocks, &mut Names::default()));
        serde_json::from_slice(&out).unwrap()
    }

    fn call(arguments: &str) -> Block<'_> {
        Block::ToolCall(ToolCall {
            id: "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q".into(),
            name: "top_song".into(),
            kind: ToolKind::Function,
            arguments: arguments.into(),
            namespace: None,
            signature: None,
            cache: None,
        })
    }

    fn image(cache: Option<CacheMark>) -> Block<'static> {
        let source = Source::Base64 { media_type: "image/png".into(), data: "iVBOR".into() };
        Block::Media(Media { kind: MediaKind::Image, source, name: None, detail: None, cache })
    }

    fn reasoning(text: &'static str, origin: Origin, kind: SignatureKind) -> Block<'static> {
        let signature = Some(Signature { origin, kind, id: None, value: "c2ln".into() });
        Block::Reasoning(Reasoning { text: text.into(), signature })
    }

    #[test]
    fn a_tool_call_and_its_result_are_written() {
        let result = |is_error, content| {
            Block::ToolResult(ToolResult {
                id: "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q".into(),
                name: None,
                kind: ToolKind::Function,
                content,
                is_error,
                cache: Some(CacheMark::FiveMinutes),
            })
        };
        let marked =
            Block::Text(Text { text: "WZPZ".into(), cache: Some(CacheMark::FiveMinutes), ..Text::default() });
        let blocks = [
            call(r#"{"sign": "WZPZ"}"#),
            result(false, vec![marked, image(Some(CacheMark::OneHour)), Block::text("")]),
            result(true, vec![]),
        ];
        let id = "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q";
        let content = json!([{"text": "WZPZ"}, {"image": {"format": "png", "source": {"bytes": "iVBOR"}}}]);
        let mark = json!({"cachePoint": {"type": "default"}});
        let expected = json!([
            {"toolUse": {"toolUseId": id, "name": "top_song", "input": {"sign": "WZPZ"}}},
            {"toolResult": {"toolUseId": id, "content": content}},
            mark,
            {"toolResult": {"toolUseId": id, "content": [], "status": "error"}},
            mark,
        ]);
        assert_eq!(encoded(&blocks), expected);
    }

    #[test]
    fn reasoning_goes_to_its_maker_only() {
        let blocks = [
            reasoning("Think.", Origin::Claude, SignatureKind::Proof),
            reasoning("", Origin::Claude, SignatureKind::Encrypted),
            reasoning("Other.", Origin::OpenAi, SignatureKind::Proof),
            reasoning("", Origin::Gemini, SignatureKind::Encrypted),
            Block::Reasoning(Reasoning { text: "Unsigned.".into(), signature: None }),
        ];
        let expected = json!([
            {"reasoningContent": {"reasoningText": {"text": "Think.", "signature": "c2ln"}}},
            {"reasoningContent": {"redactedContent": "c2ln"}},
        ]);
        assert_eq!(encoded(&blocks), expected);
    }

    #[test]
    fn a_refusal_is_text_and_foreign_blocks_are_left_out() {
        let value = RawValue::from_string("{}".to_owned()).unwrap();
        let opaque = Opaque { origin: Wire::Messages, kind: "x".into(), value: Cow::Owned(value) };
        let blocks = [Block::Refusal("No.".into()), Block::Opaque(opaque), Block::text(" ")];
        assert_eq!(encoded(&blocks), json!([{"text": "No."}]));
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_json_and_no_block_is_empty(
            text in ".{0,9}", arguments in r#"[{}":, a1\[\]\\]{0,9}"#, name in ".{0,9}", url in "(s3://)?[a-z./]{0,9}",
            media_type in "(image|text|video|audio)?/?[a-z;]{0,4}",
        ) {
            let media = |kind, source| {
                Block::Media(Media { kind, source, name: Some(name.clone().into()), detail: None, cache: None })
            };
            let blocks = [
                Block::text(text.clone()),
                call(&arguments),
                media(MediaKind::Image, Source::Base64 { media_type: media_type.clone().into(), data: "".into() }),
                media(MediaKind::Document, Source::Text { text: text.into() }),
                media(MediaKind::Video, Source::Url { url: url.clone().into(), media_type: None }),
                media(MediaKind::Audio, Source::Url { url: url.into(), media_type: Some(media_type.into()) }),
                media(MediaKind::Document, Source::File { origin: Wire::Messages, id: "x".into() }),
            ];
            let written = encoded(&blocks);
            let written = written.as_array().unwrap();
            prop_assert_eq!(written.len(), blocks.iter().filter(|block| says(block)).count());
            for block in written {
                prop_assert_eq!(block.as_object().unwrap().len(), 1);
            }
        }
    }
}
