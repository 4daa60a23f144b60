//! An answer that is no stream.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{CITATIONS, OF_CALL, OF_REASONING, SERVER_CALL, lose, stop_reason, tier};
use crate::{
    canonical::{
        Block, Choice, Media, MediaKind, Origin, Reasoning, Response, Signature, SignatureKind, Source, Stop,
        ToolCall, ToolKind,
    },
    codec::Unreadable,
    converse::usage,
    json::{
        self,
        record::{Str, record},
    },
    loss::{LossCode, Losses},
};

record! {
    struct Body {
        output: Output<'a> = "output",
        stop_reason: Str<'a> = "stopReason",
        usage: &'a RawValue = "usage",
        // About the gateway's own account, not about the answer.
        metrics: &'a RawValue = "metrics",
        performance: &'a RawValue = "performanceConfig",
        service_tier: &'a RawValue = "serviceTier",
    }
}

record! { struct Output { message: Message<'a> = "message" } }

record! {
    struct Message {
        role: Str<'a> = "role",
        content: Vec<&'a RawValue> = "content",
    }
}

record! {
    /// One of them is there.
    struct Content {
        text: Str<'a> = "text",
        tool_use: ToolUse<'a> = "toolUse",
        reasoning: ReasoningContent<'a> = "reasoningContent",
        cited: Cited<'a> = "citationsContent",
        image: Image<'a> = "image",
    }
}

record! {
    struct ToolUse {
        id: Str<'a> = "toolUseId",
        name: Str<'a> = "name",
        input: &'a RawValue = "input",
        kind: Str<'a> = "type",
    }
}

record! {
    struct ReasoningContent {
        text: ReasoningText<'a> = "reasoningText",
        redacted: Str<'a> = "redactedContent",
    }
}

record! {
    struct ReasoningText {
        text: Str<'a> = "text",
        signature: Str<'a> = "signature",
    }
}

record! {
    struct Cited {
        content: Vec<CitedText<'a>> = "content",
        citations: &'a RawValue = "citations",
    }
}

record! { struct CitedText { text: Str<'a> = "text" } }

record! {
    struct Image {
        format: Str<'a> = "format",
        source: ImageSource<'a> = "source",
    }
}

record! { struct ImageSource { bytes: Str<'a> = "bytes" } }

pub(crate) fn response(body: &[u8]) -> Result<Response<'_>, Unreadable> {
    let unreadable = |problem: String| Unreadable::new("response", problem);
    let text = std::str::from_utf8(body).map_err(|error| unreadable(error.to_string()))?;
    let body: Body<'_> = read(text).map_err(unreadable)?;
    let message = body.output.and_then(|output| output.message);
    let message = message.ok_or_else(|| Unreadable::new("output.message", "is missing"))?;
    let mut losses = Losses::default();
    lose(&mut losses, LossCode::Field, "", &body.unknown);
    lose(&mut losses, LossCode::Field, "", &message.unknown);
    let mut blocks = Vec::new();
    for (index, content) in message.content.unwrap_or_default().into_iter().enumerate() {
        let field = |inner: &str| format!("output.message.content[{index}]{inner}");
        let content: Content<'_> =
            read(content.get()).map_err(|problem| Unreadable::new(field(""), problem))?;
        take(content, &mut blocks, &mut losses)
            .map_err(|inner| Unreadable::new(field(inner), "is missing"))?;
    }
    let reason = stop_reason(body.stop_reason, &mut losses);
    let calls_tools = blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
    let choice = Choice { blocks, stop: Stop::of(reason.with_calls(calls_tools)), logprobs: None };
    Ok(Response {
        choices: vec![choice],
        usage: body.usage.and_then(|counts| usage::read(counts.get())),
        service_tier: tier(body.service_tier),
        losses,
        ..Response::default()
    })
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| json::problem(&error))
}

/// Adds what the content is. The error is the field that is missing.
fn take<'a>(
    content: Content<'a>,
    blocks: &mut Vec<Block<'a>>,
    losses: &mut Losses,
) -> Result<(), &'static str> {
    lose(losses, LossCode::Block, "", &content.unknown);
    if let Some(Str(text)) = content.text.filter(|text| !text.0.is_empty()) {
        blocks.push(Block::text(text));
    }
    if let Some(call) = content.tool_use {
        if call.kind.is_some() {
            losses.add(LossCode::Block, SERVER_CALL);
        } else {
            lose(losses, LossCode::Field, OF_CALL, &call.unknown);
            blocks.push(tool_call(call)?);
        }
    }
    if let Some(content) = content.reasoning {
        lose(losses, LossCode::Field, OF_REASONING, &content.unknown);
        if let Some(text) = &content.text {
            lose(losses, LossCode::Field, OF_REASONING, &text.unknown);
        }
        blocks.extend(reasoning(content));
    }
    if let Some(cited) = content.cited {
        blocks.extend(cited_text(cited, losses));
    }
    if let Some(image) = content.image {
        blocks.push(picture(image)?);
    }
    Ok(())
}

fn tool_call(call: ToolUse<'_>) -> Result<Block<'_>, &'static str> {
    Ok(Block::ToolCall(ToolCall {
        id: call.id.ok_or(".toolUse.toolUseId")?.0,
        name: call.name.filter(|name| !name.0.is_empty()).ok_or(".toolUse.name")?.0,
        kind: ToolKind::Function,
        arguments: Cow::Borrowed(call.input.map_or("{}", RawValue::get)),
        namespace: None,
        signature: None,
        cache: None,
    }))
}

fn reasoning(content: ReasoningContent<'_>) -> impl Iterator<Item = Block<'_>> {
    let signed = |value, kind| Signature { origin: Origin::Claude, kind, id: None, value };
    let open = content.text.and_then(|ReasoningText { text, signature, .. }| {
        let signature = signature.filter(|signature| !signature.0.is_empty());
        let signature = signature.map(|signature| signed(signature.0, SignatureKind::Proof));
        let text = text.unwrap_or_default().0;
        (!text.is_empty() || signature.is_some()).then_some(Reasoning { text, signature })
    });
    let hidden = content.redacted.map(|redacted| Reasoning {
        text: Cow::Borrowed(""),
        signature: Some(signed(redacted.0, SignatureKind::Encrypted)),
    });
    open.into_iter().chain(hidden).map(Block::Reasoning)
}

fn cited_text<'a>(cited: Cited<'a>, losses: &mut Losses) -> Option<Block<'a>> {
    if cited.citations.is_some() {
        losses.add(LossCode::Annotation, CITATIONS);
    }
    let mut texts = cited.content.unwrap_or_default().into_iter().filter_map(|part| part.text);
    let mut text = texts.next()?.0;
    for Str(more) in texts {
        text.to_mut().push_str(&more);
    }
    (!text.is_empty()).then(|| Block::text(text))
}

fn picture(image: Image<'_>) -> Result<Block<'_>, &'static str> {
    let data = image.source.and_then(|source| source.bytes).ok_or(".image.source.bytes")?.0;
    let format = image.format.ok_or(".image.format")?.0;
    let source = Source::Base64 { media_type: format!("image/{format}").into(), data };
    Ok(Block::Media(Media { kind: MediaKind::Image, source, name: None, detail: None, cache: None }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::usage::Usage;

    use super::*;
    use crate::canonical::StopReason;

    /// Of AWS's guide.
    const SONGS: &str = r#"{
        "output": {"message": {"content": [{"text": "Here is a list."}], "role": "assistant"}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 125, "outputTokens": 60, "totalTokens": 185},
        "metrics": {"latencyMs": 1175}
    }"#;

    fn of(content: &str, stop: &str) -> String {
        format!(
            r#"{{"output":{{"message":{{"role":"assistant","content":{content}}}}},"stopReason":"{stop}"}}"#
        )
    }

    fn blocks(content: &str) -> Vec<Block<'static>> {
        let body: &'static str = of(content, "end_turn").leak();
        response(body.as_bytes()).unwrap().choices.remove(0).blocks
    }

    fn losses(body: &str) -> Vec<String> {
        let response = response(body.as_bytes()).unwrap();
        response.losses.iter().map(|loss| format!("{} {}", loss.code.as_str(), loss.what)).collect()
    }

    fn problem(body: &str) -> String {
        response(body.as_bytes()).expect_err("the body must be refused").to_string()
    }

    #[test]
    fn a_simple_answer_is_read() {
        let response = response(SONGS.as_bytes()).unwrap();
        assert_eq!((&*response.id, &*response.model), ("", ""));
        assert_eq!(response.usage, Some(Usage { input: 125, output: 60, ..Usage::default() }));
        assert!(response.losses.is_empty());
        let [choice] = &response.choices[..] else { panic!("one choice: {response:?}") };
        assert_eq!(choice.stop, Stop::of(StopReason::End));
        assert!(
            matches!(&choice.blocks[..], [Block::Text(text)] if matches!(text.text, Cow::Borrowed("Here is a list.")))
        );
    }

    #[test]
    fn a_tool_call_keeps_its_arguments_as_text() {
        let call = r#"[{"text":""},{"toolUse":{"toolUseId":"tooluse_hbTgdi0CSLq_hM4P8csZJA","name":"top_song","input":{"sign": "WZPZ"}}},{"toolUse":{"toolUseId":"2","name":"now"}}]"#;
        let found = blocks(call);
        let [Block::ToolCall(first), Block::ToolCall(second)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            (&*first.id, &*first.name, &*first.arguments),
            ("tooluse_hbTgdi0CSLq_hM4P8csZJA", "top_song", r#"{"sign": "WZPZ"}"#)
        );
        assert_eq!((&*second.id, &*second.arguments), ("2", "{}"));
    }

    #[test]
    fn reasoning_is_read_with_its_proof() {
        let found = blocks(
            r#"[{"reasoningContent":{"reasoningText":{"text":"Hm.","signature":"EqQB"}}},
                {"reasoningContent":{"redactedContent":"c2VjcmV0"}},
                {"reasoningContent":{"reasoningText":{"text":"Bare."}}},
                {"reasoningContent":{"reasoningText":{"text":"","signature":""}}}]"#,
        );
        let signed = |value: &'static str, kind| {
            Some(Signature { origin: Origin::Claude, kind, id: None, value: value.into() })
        };
        let expected = [
            ("Hm.", signed("EqQB", SignatureKind::Proof)),
            ("", signed("c2VjcmV0", SignatureKind::Encrypted)),
            ("Bare.", None),
        ];
        let found: Vec<_> = found
            .iter()
            .map(|block| match block {
                Block::Reasoning(reasoning) => (&*reasoning.text, reasoning.signature.clone()),
                other => panic!("not reasoning: {other:?}"),
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_image_has_its_media_type() {
        let found = blocks(r#"[{"image":{"format":"png","source":{"bytes":"iVBOR"}}}]"#);
        let [
            Block::Media(Media {
                kind: MediaKind::Image, source: Source::Base64 { media_type, data }, ..
            }),
        ] = &found[..]
        else {
            panic!("{found:?}")
        };
        assert_eq!((&**media_type, &**data), ("image/png", "iVBOR"));
    }

    #[test]
    fn cited_text_is_text_and_its_citations_are_a_loss() {
        let cited = r#"[{"citationsContent":{"content":[{"text":"So "},{"text":"it is."}],"citations":[{"title":"x"}]}}]"#;
        assert!(matches!(&blocks(cited)[..], [Block::Text(text)] if text.text == "So it is."));
        assert_eq!(losses(&of(cited, "end_turn")), ["annotation citationsContent.citations"]);
    }

    #[test]
    fn what_is_unknown_is_a_named_loss() {
        let body = of(
            r#"[{"guardContent":{}},{"toolUse":{"toolUseId":"1","name":"web","type":"server_tool_use"}}]"#,
            "malformed_tool_use",
        );
        let body = body.replacen('{', r#"{"trace":{},"#, 1);
        let expected = [
            "field trace",
            "block guardContent",
            "block toolUse.type",
            "field stopReason.malformed_tool_use",
        ];
        assert_eq!(losses(&body), expected);
    }

    #[test]
    fn stop_reasons_are_told_apart() {
        let reason = |content: &str, word: &str| {
            response(of(content, word).as_bytes()).unwrap().choices[0].stop.reason
        };
        let expected = [
            ("end_turn", StopReason::End),
            ("tool_use", StopReason::ToolUse),
            ("max_tokens", StopReason::Length),
            ("stop_sequence", StopReason::Sequence),
            ("guardrail_intervened", StopReason::ContentFilter),
            ("content_filtered", StopReason::ContentFilter),
            ("model_context_window_exceeded", StopReason::ContextWindow),
            ("malformed_model_output", StopReason::End),
        ];
        for (word, stop) in expected {
            assert_eq!(reason("[]", word), stop, "{word}");
        }
        assert_eq!(reason(r#"[{"toolUse":{"toolUseId":"1","name":"a"}}]"#, "end_turn"), StopReason::ToolUse);
    }

    #[test]
    fn what_can_not_be_understood_is_named() {
        assert_eq!(problem(r#"{"message":"Slow down"}"#), "`output.message` is missing");
        let call = of(r#"[{"text":"a"},{"toolUse":{"name":"x"}}]"#, "tool_use");
        assert_eq!(problem(&call), "`output.message.content[1].toolUse.toolUseId` is missing");
        assert!(problem(&of(r#"[{"text":1}]"#, "")).starts_with("`output.message.content[0]` must be "));
        assert!(problem("<html>").starts_with("`response` is not JSON"));
    }

    const WORDS: &[&str] = &[
        "output",
        "message",
        "content",
        "text",
        "toolUse",
        "toolUseId",
        "name",
        "input",
        "reasoningContent",
        "reasoningText",
        "redactedContent",
        "signature",
        "citationsContent",
        "image",
        "source",
        "bytes",
        "format",
        "stopReason",
        "usage",
        "inputTokens",
    ];

    /// JSON made of Converse's words, in any order.
    fn soup() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<i64>().prop_map(|number| number.to_string()),
            prop::sample::select(WORDS).prop_map(|word| format!("\"{word}\"")),
        ];
        leaf.prop_recursive(7, 60, 4, move |inner| {
            let field = (prop::sample::select(WORDS), inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(field, 0..5).prop_map(|fields| {
                    let fields: Vec<_> =
                        fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                    format!("{{{}}}", fields.join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            prop_assert!(response(&bytes).is_err());
        }

        #[test]
        fn any_json_of_the_wires_words_is_survived(content in soup(), whole in soup()) {
            let _ = response(whole.as_bytes());
            let message = format!(r#"{{"output":{{"message":{{"content":[{content}]}}}},"usage":{whole}}}"#);
            if let Ok(read) = response(message.as_bytes()) {
                prop_assert_eq!(read.choices.len(), 1);
            }
        }
    }
}
