//! An answer to a client.

use shared::wire::Wire;

use super::message::{audio, calls, refusal};
use super::{finish_reason, own, reasoning};
use crate::canonical::{Block, Choice, Response};
use crate::chat::usage;
use crate::codec::Context;
use crate::json::write::{self, Object};

pub(crate) fn response(response: &Response<'_>, context: &Context) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let extras = || response.extras.iter().filter(|extra| extra.origin == Wire::Chat);
    write::object(&mut out, |o| {
        o.value("id", &format_args!("{}", context.answer_id("chatcmpl-")));
        o.string("object", "chat.completion");
        o.value("created", &context.created);
        o.string("model", if response.model.is_empty() { &context.model } else { &response.model });
        o.array("choices", |a| {
            let none = [Choice::default()];
            let choices = if response.choices.is_empty() { &none } else { response.choices.as_slice() };
            for (index, choice) in choices.iter().enumerate() {
                a.object(|o| self::choice(o, index, choice));
            }
        });
        if let Some(usage) = &response.usage {
            usage::write(o, usage);
        }
        o.some_string("service_tier", response.service_tier.as_deref());
        if extras().all(|extra| extra.name != "system_fingerprint") {
            o.value("system_fingerprint", &());
        }
        for extra in extras() {
            o.raw(&extra.name, extra.value.get());
        }
    });
    out
}

fn choice(o: &mut Object<'_>, index: usize, choice: &Choice<'_>) {
    let refusal = refusal(&choice.blocks);
    let finish = finish_reason(choice.stop.reason, refusal.is_some());
    o.value("index", &index);
    o.object("message", |o| message(o, &choice.blocks, refusal.as_deref()));
    o.raw("logprobs", own(choice.logprobs.as_ref()).unwrap_or("null"));
    o.string("finish_reason", finish);
}

fn message(o: &mut Object<'_>, blocks: &[Block<'_>], refusal: Option<&str>) {
    let texts = || {
        blocks.iter().filter_map(|block| match block {
            Block::Text(text) => Some(text),
            _ => None,
        })
    };
    o.string("role", "assistant");
    let speaks_otherwise =
        refusal.is_some() || blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
    match texts().map(|text| &*text.text).collect::<Vec<_>>().as_slice() {
        texts if texts.iter().all(|text| text.is_empty()) && speaks_otherwise => o.value("content", &()),
        [text] => o.string("content", text),
        texts => o.string("content", &texts.concat()),
    }
    o.value("refusal", &refusal);
    let thoughts = reasoning::joined(blocks);
    if !thoughts.is_empty() {
        o.string("reasoning_content", &thoughts);
    }
    if reasoning::entries(blocks).next().is_some() {
        o.array("reasoning_details", |a| {
            for (index, text, signature) in reasoning::entries(blocks) {
                reasoning::entry(a, index, text, signature);
            }
        });
    }
    calls(o, blocks);
    audio(o, blocks);
    let annotations = texts().find_map(|text| own(text.annotations.as_ref()));
    o.raw("annotations", annotations.unwrap_or("[]"));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::usage::Usage;

    use super::*;
    use crate::canonical::{
        Origin, Reasoning, Signature, SignatureKind, Stop, StopReason, Text, ToolCall, ToolKind,
    };

    fn context() -> Context {
        Context { id: "01J".to_owned(), created: 7, model: "asked".to_owned(), ..Context::default() }
    }

    fn answer(blocks: Vec<Block<'static>>, reason: StopReason) -> Value {
        let choices = vec![Choice { blocks, stop: Stop::of(reason), logprobs: None }];
        let usage =
            Usage { input: 4, cache_read: 5, cache_write_5m: 1, output: 3, reasoning: 2, ..Usage::default() };
        let what = Response { choices, usage: Some(usage), ..Response::default() };
        serde_json::from_slice(&response(&what, &context())).unwrap()
    }

    #[test]
    fn a_plain_answer_has_all_that_sdks_look_for() {
        let expected = json!({
            "id": "chatcmpl-01J", "object": "chat.completion", "created": 7, "model": "asked",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": "hi there", "refusal": null, "annotations": []},
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": {
                "prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13,
                "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 1, "audio_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": 2, "audio_tokens": 0,
                    "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
                },
            },
            "system_fingerprint": null,
        });
        assert_eq!(answer(vec![Block::text("hi "), Block::text("there")], StopReason::End), expected);
    }

    #[test]
    fn reasoning_goes_out_to_be_shown_and_to_be_handed_back() {
        let signature = |origin, kind, id: Option<&'static str>, value: &'static str| {
            Some(Signature { origin, kind, id: id.map(Into::into), value: value.into() })
        };
        let proof = signature(Origin::Claude, SignatureKind::Proof, None, "p");
        let sealed = signature(Origin::OpenAi, SignatureKind::Encrypted, Some("rs_1"), "q");
        let gemini = signature(Origin::Gemini, SignatureKind::Proof, None, "g");
        let call = ToolCall {
            id: "x".into(),
            name: "f".into(),
            kind: ToolKind::Function,
            arguments: "".into(),
            namespace: None,
            signature: gemini.clone(),
            cache: None,
        };
        let found = answer(
            vec![
                Block::Reasoning(Reasoning { text: "one".into(), signature: proof }),
                Block::Reasoning(Reasoning::default()),
                Block::Reasoning(Reasoning { text: "two".into(), signature: sealed }),
                Block::Text(Text { signature: gemini, ..Text::default() }),
                Block::ToolCall(call),
            ],
            StopReason::ToolUse,
        );
        let expected = json!({
            "role": "assistant", "content": null, "refusal": null, "annotations": [],
            "reasoning_content": "one\n\ntwo",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "one", "signature": "sy1.claude.proof..p", "index": 0},
                {"type": "reasoning.encrypted", "data": "sy1.openai.encrypted.rs_1.q", "summary": "two", "index": 1},
                {"type": "reasoning.text", "text": "", "signature": "sy1.gemini.proof..g", "index": 2},
            ],
            "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"},
                "extra_content": {"google": {"thought_signature": "g"}}}],
        });
        assert_eq!(found["choices"][0]["message"], expected);
        assert_eq!(found["choices"][0]["finish_reason"], "tool_calls");
    }

    #[test]
    fn every_reason_has_its_word() {
        let word =
            |reason| answer(vec![], reason)["choices"][0]["finish_reason"].as_str().unwrap().to_owned();
        for (reason, expected) in [
            (StopReason::End, "stop"),
            (StopReason::Sequence, "stop"),
            (StopReason::Pause, "stop"),
            (StopReason::Length, "length"),
            (StopReason::ContextWindow, "length"),
            (StopReason::ToolUse, "tool_calls"),
            (StopReason::ContentFilter, "content_filter"),
            (StopReason::Refusal, "content_filter"),
        ] {
            assert_eq!(word(reason), expected);
        }
        let refused = answer(vec![Block::Refusal("no".into())], StopReason::Refusal);
        assert_eq!(refused["choices"][0]["finish_reason"], "stop");
        assert_eq!(refused["choices"][0]["message"]["refusal"], "no");
        assert_eq!(refused["choices"][0]["message"]["content"], Value::Null);
    }

    #[test]
    fn an_answer_without_choices_is_an_empty_one() {
        let found: Value = serde_json::from_slice(&response(&Response::default(), &context())).unwrap();
        assert_eq!(found["choices"][0]["message"]["content"], "");
        assert_eq!(found.get("usage"), None);
    }
}
