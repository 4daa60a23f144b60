//! An answer.

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::part;
use crate::{
    canonical::{Block, Choice, Opaque, Reasoning, Response, StopReason, Text, bundle::Carried},
    codec::Context,
    gemini::usage,
    json::{
        self,
        write::{self, Array, Object},
    },
};

pub(crate) fn response(response: &Response<'_>, context: &Context) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut calls = 0;
    write::object(&mut out, |o| {
        o.array("candidates", |a| {
            for (index, choice) in response.choices.iter().enumerate() {
                a.object(|o| candidate(o, choice, index, &context.id, &mut calls));
            }
        });
        if let Some(usage) = &response.usage {
            o.object("usageMetadata", |o| usage::write(o, usage));
        }
        o.string("modelVersion", if response.model.is_empty() { &context.model } else { &response.model });
        o.string("responseId", &context.answer_id("").to_string());
        for extra in response.extras.iter().filter(|extra| extra.origin == Wire::Gemini) {
            o.raw(&extra.name, extra.value.get());
        }
    });
    out
}

fn candidate(o: &mut Object<'_>, choice: &Choice<'_>, index: usize, id: &str, calls: &mut usize) {
    o.object("content", |o| {
        o.array("parts", |a| {
            let mut carried = Vec::new();
            choice.blocks.iter().for_each(|block| self::block(a, block, id, calls, &mut carried));
        });
        o.string("role", "model");
    });
    o.string("finishReason", finish_reason(choice.stop.reason));
    o.value("index", &index);
    let annotations = choice.blocks.iter().filter_map(|block| match block {
        Block::Text(text) => text.annotations.as_ref(),
        _ => None,
    });
    self::annotations(o, annotations);
    if let Some(logprobs) = choice.logprobs.as_ref().and_then(part::own) {
        o.raw("logprobsResult", logprobs.get());
    }
}

/// `carried`: reasoning of others since the last call.
fn block<'b>(
    a: &mut Array<'_>,
    block: &'b Block<'_>,
    id: &str,
    calls: &mut usize,
    carried: &mut Vec<Carried<'b>>,
) {
    match block {
        Block::Text(Text { text, signature, .. }) => {
            if !text.is_empty() || signature.is_some() {
                part::text(a, text, signature.as_ref());
            }
            carried.iter_mut().for_each(|carried| carried.ahead_of_text |= !text.is_empty());
        }
        Block::Reasoning(reasoning @ Reasoning { text, signature }) => {
            if part::is_foreign(signature.as_ref()) {
                carried.push(Carried { reasoning: reasoning.clone(), ahead_of_text: false });
            }
            if !text.is_empty() || signature.is_some() {
                part::thought(a, text, signature.as_ref());
            }
        }
        Block::Refusal(text) => {
            if !text.is_empty() {
                part::text(a, text, None);
            }
            carried.iter_mut().for_each(|carried| carried.ahead_of_text |= !text.is_empty());
        }
        Block::ToolCall(call) => {
            part::call(a, call, Some(&call_id(&call.id, id, *calls)), carried);
            carried.clear();
            *calls += 1;
        }
        Block::Media(media) => part::media(a, media, None),
        Block::Opaque(opaque) => {
            if let Some(own) = part::own(opaque) {
                a.raw(own.get());
            }
        }
        Block::ToolResult(_) => {}
    }
}

/// A call's id, or one of the answer's making: clients answer by it.
pub(super) fn call_id(given: &str, answer: &str, number: usize) -> String {
    if given.is_empty() { format!("call_{answer}_{number}") } else { given.to_owned() }
}

/// What Google itself said about the text, as the candidate's fields; each once.
pub(super) fn annotations<'x>(o: &mut Object<'_>, annotations: impl Iterator<Item = &'x Opaque<'x>>) {
    let mut written: Vec<String> = Vec::new();
    for own in annotations.filter_map(part::own) {
        each_field(own, |name, value| {
            if !written.iter().any(|written| written == name) {
                o.raw(name, value);
                written.push(name.to_owned());
            }
        });
    }
}

fn each_field(object: &RawValue, mut take: impl FnMut(&str, &str)) {
    // An annotation that is no object has no fields.
    let _ = json::object(object.get(), |field| take(&field.name(), field.value));
}

/// Google has fewer words than there are reasons.
pub(super) const fn finish_reason(reason: StopReason) -> &'static str {
    match reason {
        StopReason::End | StopReason::ToolUse | StopReason::Sequence | StopReason::Pause => "STOP",
        StopReason::Length | StopReason::ContextWindow => "MAX_TOKENS",
        StopReason::Refusal | StopReason::ContentFilter => "SAFETY",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::usage::Usage;

    use super::*;
    use crate::{
        canonical::{Origin, Signature, SignatureKind, Stop, ToolCall, ToolKind},
        gemini::decode,
    };

    fn context() -> Context {
        Context { id: "01J".to_owned(), model: "asked".to_owned(), ..Context::default() }
    }

    fn encoded(response: &Response<'_>) -> Value {
        serde_json::from_slice(&super::response(response, &context())).unwrap()
    }

    fn call(id: &'static str, kind: ToolKind, arguments: &'static str) -> Block<'static> {
        Block::ToolCall(ToolCall {
            id: id.into(),
            name: "f".into(),
            kind,
            arguments: arguments.into(),
            namespace: None,
            signature: None,
            cache: None,
        })
    }

    #[test]
    fn an_answer_has_all_that_clients_read() {
        let signature =
            Signature { origin: Origin::Claude, kind: SignatureKind::Proof, id: None, value: "s".into() };
        let blocks = vec![
            Block::Reasoning(Reasoning { text: "why".into(), signature: Some(signature) }),
            Block::text("a"),
            Block::Refusal("b".into()),
            call("toolu_1", ToolKind::Function, r#"{"x":1}"#),
            call("", ToolKind::Function, ""),
            call("", ToolKind::Custom, "free \"text\""),
            call("c", ToolKind::Function, "[1]"),
        ];
        let response = Response {
            id: "msg_1".into(),
            choices: vec![Choice { blocks, stop: Stop::of(StopReason::ToolUse), logprobs: None }],
            usage: Some(Usage { input: 1, cache_read: 2, output: 5, reasoning: 4, ..Usage::default() }),
            ..Response::default()
        };
        let signature = crate::gemini::base64::encode(b"sy1.claude.proof..s");
        let bundle = br#"sy1.bundle.[{"s":"sy1.claude.proof..s","t":"why","a":true}]"#;
        let bundle = crate::gemini::base64::encode(bundle);
        let expected = json!({
            "candidates": [{
                "content": {
                    "parts": [
                        {"text": "why", "thought": true, "thoughtSignature": signature},
                        {"text": "a"},
                        {"text": "b"},
                        {"functionCall": {"id": "toolu_1", "name": "f", "args": {"x": 1}}, "thoughtSignature": bundle},
                        {"functionCall": {"id": "call_01J_1", "name": "f", "args": {}}},
                        {"functionCall": {"id": "call_01J_2", "name": "f", "args": {"input": "free \"text\""}}},
                        {"functionCall": {"id": "c", "name": "f", "args": {"arguments": "[1]"}}},
                    ],
                    "role": "model",
                },
                "finishReason": "STOP",
                "index": 0,
            }],
            "usageMetadata": {
                "promptTokenCount": 3, "candidatesTokenCount": 1, "totalTokenCount": 8,
                "cachedContentTokenCount": 2, "thoughtsTokenCount": 4,
            },
            "modelVersion": "asked",
            "responseId": "01J",
        });
        assert_eq!(encoded(&response), expected);
    }

    #[test]
    fn what_google_said_of_its_answer_is_given_back() {
        let body = json!({
            "candidates": [
                {"content": {"parts": [{"text": "a", "thoughtSignature": "QQ=="}, {"executableCode": {"code": "1"}}], "role": "model"},
                 "finishReason": "SAFETY", "index": 0, "groundingMetadata": {"g": 1}, "citationMetadata": {"c": 1}, "logprobsResult": {}},
                {"content": {"parts": [], "role": "model"}, "finishReason": "MAX_TOKENS", "index": 1},
            ],
            "modelVersion": "served", "responseId": "01J", "createTime": "t",
        });
        assert_eq!(encoded(&decode::response(body.to_string().as_bytes()).unwrap()), body);
    }

    #[test]
    fn every_reason_has_a_word() {
        for (reason, word) in [
            (StopReason::End, "STOP"),
            (StopReason::ToolUse, "STOP"),
            (StopReason::Sequence, "STOP"),
            (StopReason::Pause, "STOP"),
            (StopReason::Length, "MAX_TOKENS"),
            (StopReason::ContextWindow, "MAX_TOKENS"),
            (StopReason::Refusal, "SAFETY"),
            (StopReason::ContentFilter, "SAFETY"),
        ] {
            assert_eq!(finish_reason(reason), word);
        }
    }
}
