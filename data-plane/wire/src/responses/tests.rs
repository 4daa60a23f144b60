//! What holds for all that this wire reads and writes.

mod answers;
mod laws;
mod requests;
mod streams;

use std::borrow::Cow;

use serde_json::Value;
use shared::{usage::Usage, wire::Wire};

use super::{decode, encode};
use crate::{
    canonical::{
        Block, Choice, Event, Opaque, Origin, Reasoning, Response, Signature, SignatureKind, Stop,
        StopReason, Text, ToolCall, ToolKind, aggregate::Aggregator, legal::Legalizer,
    },
    codec::{Context, StreamDecoder as _, StreamEncoder as _},
};

fn context() -> Context {
    Context {
        id: "01J".to_owned(),
        created: 1_764_090_000,
        model: "gpt-5.1".to_owned(),
        ..Context::default()
    }
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)))
}

/// A request, read and written.
fn rewritten(body: &str) -> Value {
    json(&encode::request(&decode::request(body.as_bytes()).unwrap(), 0))
}

/// The data of a stream's frames, whose form is checked.
fn frames(stream: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(stream).unwrap();
    let text = text.strip_suffix("\n\n").expect("the last frame ends");
    text.split("\n\n")
        .filter(|frame| !frame.starts_with(':'))
        .map(|frame| {
            let (event, data) = frame.split_once('\n').expect("a frame has two lines");
            let data = json(data.strip_prefix("data: ").expect("the second is data").as_bytes());
            assert_eq!(event.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect()
}

/// The stream that says what the answer says.
fn streamed(response: &Response<'_>) -> Vec<u8> {
    let mut encoder = encode::StreamEncoder::new(context());
    let mut out = Vec::new();
    for event in events(response) {
        encoder.event(&event, &mut out);
    }
    out
}

/// The events of an answer, its texts in two pieces.
fn events<'a>(response: &'a Response<'a>) -> Vec<Event<'a>> {
    use crate::canonical::{Delta, Opening};

    let mut events =
        vec![Event::Start { id: Cow::Borrowed(&response.id), model: Cow::Borrowed(&response.model) }];
    let choice = &response.choices[0];
    for (index, block) in (0..).zip(&choice.blocks) {
        let mut deltas = Vec::new();
        let mut grow = |text: &'a str, make: fn(Cow<'a, str>) -> Delta<'a>| {
            let (head, tail) = text.split_at(text.floor_char_boundary(text.len() / 2));
            deltas.extend([make(Cow::Borrowed(head)), make(Cow::Borrowed(tail))]);
        };
        let opening = match block {
            Block::Text(block) => {
                // Signatures of text stay ahead of it.
                let signature = block.signature.clone().map(Delta::Signature);
                grow(&block.text, Delta::Text);
                deltas.splice(0..0, signature);
                deltas.extend(block.annotations.clone().map(Delta::Annotation));
                if index == first_text(&choice.blocks) {
                    deltas.extend(choice.logprobs.clone().map(Delta::Logprobs));
                }
                Opening::Text
            }
            Block::Refusal(text) => {
                grow(text, Delta::Text);
                Opening::Refusal
            }
            Block::Reasoning(block) => {
                grow(&block.text, Delta::Text);
                deltas.extend(block.signature.clone().map(Delta::Signature));
                Opening::Reasoning
            }
            Block::ToolCall(call) => {
                grow(&call.arguments, Delta::Arguments);
                Opening::ToolCall {
                    id: Cow::Borrowed(&call.id),
                    name: Cow::Borrowed(&call.name),
                    kind: call.kind,
                    namespace: call.namespace.clone(),
                    signature: call.signature.clone(),
                }
            }
            Block::Opaque(opaque) => Opening::Opaque(opaque.clone()),
            Block::Media(_) | Block::ToolResult(_) => continue,
        };
        events.push(Event::Open { choice: 0, index, opening });
        events.extend(deltas.into_iter().map(|delta| Event::Delta { choice: 0, index, delta }));
        events.push(Event::Close { choice: 0, index });
    }
    events.push(Event::Stop { choice: 0, stop: choice.stop.clone() });
    events.extend(response.usage.map(Event::Usage));
    events.push(Event::End);
    events
}

fn first_text(blocks: &[Block<'_>]) -> u32 {
    let at = blocks.iter().position(|block| matches!(block, Block::Text(_)));
    at.and_then(|at| u32::try_from(at).ok()).unwrap_or(u32::MAX)
}

/// What a stream says, as one answer. None: it has no legal end.
fn gathered(stream: &[u8]) -> Option<Response<'static>> {
    let mut decoder = decode::StreamDecoder::default();
    let (mut legalizer, mut aggregator) = (Legalizer::default(), Aggregator::default());
    let text = String::from_utf8_lossy(stream);
    for frame in text.split("\n\n") {
        let data: Vec<&str> = frame.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let event = frame.lines().find_map(|line| line.strip_prefix("event: "));
        if data.is_empty() {
            continue;
        }
        let taken = decoder.frame(event, &data.join("\n"), &mut |event| {
            legalizer.take(event, &mut |event| aggregator.take(event));
        });
        assert_eq!(taken, Ok(()), "{frame}");
    }
    decoder.close(&mut |event| legalizer.take(event, &mut |event| aggregator.take(event)));
    let mut response = aggregator.finish().ok()?;
    for choice in &mut response.choices {
        crate::canonical::attach_signatures(&mut choice.blocks);
    }
    Some(response)
}

/// All that an answer says, to be compared.
fn said(response: &Response<'_>) -> String {
    let Response { model, choices, usage, .. } = response;
    format!("{model:?} {choices:#?} {usage:#?}")
}

fn answer(blocks: Vec<Block<'static>>, reason: StopReason) -> Response<'static> {
    Response {
        id: "resp_up".into(),
        model: "claude-opus-4-1".into(),
        choices: vec![Choice { blocks, stop: Stop::of(reason), logprobs: None }],
        usage: Some(Usage { input: 10, cache_read: 5, output: 7, reasoning: 2, ..Usage::default() }),
        ..Response::default()
    }
}

fn call(id: &'static str, arguments: &'static str) -> ToolCall<'static> {
    ToolCall {
        id: id.into(),
        name: "look".into(),
        kind: ToolKind::Function,
        arguments: arguments.into(),
        namespace: None,
        signature: None,
        cache: None,
    }
}

fn signed(origin: Origin, id: Option<&'static str>) -> Signature<'static> {
    let kind = if origin == Origin::Claude { SignatureKind::Proof } else { SignatureKind::Encrypted };
    Signature { origin, kind, id: id.map(Cow::Borrowed), value: "c2lnbmVk".into() }
}

fn own(kind: &'static str, value: &str) -> Opaque<'static> {
    let value = serde_json::value::RawValue::from_string(value.to_owned()).unwrap();
    Opaque { origin: Wire::Responses, kind: kind.into(), value: Cow::Owned(value) }
}

/// An answer with everything that it can hold.
fn full_answer() -> Response<'static> {
    let text = Text {
        text: "Sunny \u{1f602}".into(),
        annotations: Some(own(
            "annotations",
            r#"[{"type":"url_citation","url":"https://x","title":"t","start_index":0,"end_index":5}]"#,
        )),
        signature: None,
        cache: None,
    };
    let custom = ToolCall { kind: ToolKind::Custom, arguments: "*** Begin\n".into(), ..call("call_c", "") };
    let grouped = ToolCall {
        namespace: Some("exec".into()),
        signature: Some(Signature { kind: SignatureKind::Proof, ..signed(Origin::Gemini, None) }),
        ..call("call_g", r#"{"a":1}"#)
    };
    let mut response = answer(
        vec![
            Block::Reasoning(Reasoning {
                text: "first\n\nthen".into(),
                signature: Some(signed(Origin::Claude, None)),
            }),
            Block::Reasoning(Reasoning {
                text: "".into(),
                signature: Some(signed(Origin::OpenAi, Some("rs_own"))),
            }),
            Block::Opaque(own(
                "web_search_call",
                r#"{"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"q"}}"#,
            )),
            Block::Text(text),
            Block::text("more"),
            Block::ToolCall(call("call_a", r#"{"city":"Köln"}"#)),
            Block::ToolCall(custom),
            Block::ToolCall(grouped),
        ],
        StopReason::ToolUse,
    );
    response.choices[0].logprobs =
        Some(own("logprobs", r#"[{"token":"S","logprob":-0.1,"bytes":[83],"top_logprobs":[]}]"#));
    response
}
