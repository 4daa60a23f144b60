//! Plain answers.

use shared::wire::Wire;

use super::part::Part;
use crate::{
    canonical::{Response, Stop},
    codec::Context,
    json::write::{self, Object},
    messages::{stop, usage},
};

pub(crate) fn response(response: &Response<'_>, context: &Context) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    write::object(&mut out, |o| {
        head(o, context, &response.model);
        let choice = response.choices.first();
        o.array("content", |list| {
            let blocks = choice.map_or(&[][..], |choice| &choice.blocks);
            blocks.iter().flat_map(Part::for_client).for_each(|part| part.write(list));
        });
        let none = Stop::default();
        ending(o, choice.map_or(&none, |choice| &choice.stop));
        o.object("usage", |o| {
            usage::write(o, &response.usage.unwrap_or_default());
            o.some_string("service_tier", response.service_tier.as_deref());
        });
        for extra in response.extras.iter().filter(|extra| extra.origin == Wire::Messages) {
            o.raw(&extra.name, extra.value.get());
        }
    });
    out
}

/// What every answer begins with.
pub(super) fn head(o: &mut Object<'_>, context: &Context, model: &str) {
    o.string("id", &context.answer_id("msg_").to_string());
    o.string("type", "message");
    o.string("role", "assistant");
    o.string("model", if model.is_empty() { &context.model } else { model });
}

pub(super) fn ending(o: &mut Object<'_>, stop: &Stop<'_>) {
    o.string("stop_reason", stop::word(stop.reason));
    o.value("stop_sequence", &stop.sequence);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared::usage::Usage;

    use super::*;
    use crate::{
        canonical::{
            Block, Choice, Origin, Reasoning, Signature, SignatureKind, StopReason, Text, ToolCall, ToolKind,
        },
        messages::decode,
    };

    fn context() -> Context {
        Context { id: "01J".into(), model: "asked".into(), ..Context::default() }
    }

    fn written(it: &Response<'_>) -> Value {
        serde_json::from_slice(&response(it, &context())).unwrap()
    }

    fn content(blocks: Vec<Block<'static>>) -> Value {
        let choices = vec![Choice { blocks, ..Choice::default() }];
        written(&Response { choices, ..Response::default() })["content"].clone()
    }

    fn signed(origin: Origin, kind: SignatureKind) -> Signature<'static> {
        Signature { origin, kind, id: None, value: "v".into() }
    }

    #[test]
    fn an_empty_answer_has_all_that_sdks_need() {
        let expected = json!({
            "id": "msg_01J", "type": "message", "role": "assistant", "model": "asked", "content": [],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {
                "input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens": 0,
            },
        });
        assert_eq!(written(&Response::default()), expected);
    }

    #[test]
    fn what_this_wire_says_comes_back_as_it_was() {
        let body = json!({
            "id": "msg_01J", "type": "message", "role": "assistant", "model": "served",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "x", "citations": [{"n": 1}]},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"k": 1}},
            ],
            "stop_reason": "stop_sequence", "stop_sequence": "X", "container": {"id": "c"},
            "usage": {
                "input_tokens": 1, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 2,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
                "output_tokens": 5, "service_tier": "priority",
            },
        });
        let text = body.to_string();
        assert_eq!(written(&decode::response::response(text.as_bytes()).unwrap()), body);
    }

    #[test]
    fn signatures_travel_in_reasoning() {
        let gemini = || Some(signed(Origin::Gemini, SignatureKind::Proof));
        let carrier = json!({"type": "thinking", "thinking": "", "signature": "sy1.gemini.proof..v"});
        let text = Block::Text(Text { text: "x".into(), signature: gemini(), ..Text::default() });
        let call = Block::ToolCall(ToolCall {
            id: "i".into(),
            name: "f".into(),
            kind: ToolKind::Function,
            arguments: "".into(),
            namespace: None,
            signature: gemini(),
            cache: None,
        });
        let expected = json!([
            carrier, {"type": "text", "text": "x"},
            carrier, {"type": "tool_use", "id": "i", "name": "f", "input": {}},
        ]);
        assert_eq!(content(vec![text, call]), expected);
    }

    #[test]
    fn reasoning_of_all_origins_is_shown() {
        let reasoning =
            |text: &'static str, signature| Block::Reasoning(Reasoning { text: text.into(), signature });
        let encrypted = |origin| Some(signed(origin, SignatureKind::Encrypted));
        let blocks = vec![
            reasoning("a", None),
            reasoning("b", encrypted(Origin::OpenAi)),
            reasoning("", encrypted(Origin::Claude)),
            reasoning("c", encrypted(Origin::Claude)),
            Block::Refusal("no".into()),
        ];
        let thinking =
            |text, signature| json!({"type": "thinking", "thinking": text, "signature": signature});
        let expected = json!([
            thinking("a", ""),
            thinking("b", "sy1.openai.encrypted..v"),
            {"type": "redacted_thinking", "data": "v"},
            thinking("c", "sy1.claude.encrypted..v"),
            {"type": "text", "text": "no"},
        ]);
        assert_eq!(content(blocks), expected);
    }

    #[test]
    fn a_cut_answer_is_said_in_words_of_this_wire() {
        let stop = Stop::of(StopReason::ContentFilter);
        let response = Response {
            choices: vec![Choice { stop, ..Choice::default() }],
            usage: Some(Usage { output: 3, ..Usage::default() }),
            ..Response::default()
        };
        let response = written(&response);
        assert_eq!(response["stop_reason"], "refusal");
        assert_eq!(response["usage"]["output_tokens"], 3);
    }
}
