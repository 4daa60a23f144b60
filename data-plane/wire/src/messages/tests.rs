//! Laws of the codec as a whole, over bodies made of the wire's own words.

use std::borrow::Cow;

use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{usage::Usage, wire::Wire};

use super::{decode, encode};
use crate::{
    canonical::{
        Block, Choice, Delta, Event, Opaque, Opening, Origin, Reasoning, Response, Signature, SignatureKind,
        Stop, StopReason, Text, ToolCall, ToolKind, aggregate::Aggregator, legal::Legalizer,
    },
    codec::{Context, StreamDecoder as _, StreamEncoder as _},
    sse::{FrameSplitter, Piece},
};

fn context() -> Context {
    Context { id: "01J".into(), model: "asked".into(), ..Context::default() }
}

const WORDS: &[&str] = &[
    "type",
    "text",
    "model",
    "messages",
    "role",
    "user",
    "assistant",
    "system",
    "content",
    "tools",
    "name",
    "id",
    "input",
    "input_schema",
    "tool_use",
    "tool_use_id",
    "tool_result",
    "thinking",
    "signature",
    "redacted_thinking",
    "data",
    "source",
    "base64",
    "media_type",
    "url",
    "data:image/png;base64,aGk=",
    "file",
    "file_id",
    "image",
    "document",
    "title",
    "citations",
    "cache_control",
    "ephemeral",
    "ttl",
    "1h",
    "is_error",
    "tool_choice",
    "auto",
    "any",
    "tool",
    "max_tokens",
    "enabled",
    "budget_tokens",
    "output_config",
    "effort",
    "low",
    "format",
    "json_schema",
    "schema",
    "stop_sequences",
    "metadata",
    "user_id",
    "stream",
    "stop_reason",
    "usage",
    "input_tokens",
    "output_tokens",
    "message",
    "index",
    "delta",
    "content_block",
    "error",
    "message_start",
    "message_delta",
    "message_stop",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "text_delta",
    "thinking_delta",
    "signature_delta",
    "input_json_delta",
    "partial_json",
    "citations_delta",
    "citation",
    "ping",
    "sy1.gemini.proof..x",
    "",
    "é\n\"",
];

fn word() -> impl Strategy<Value = String> {
    proptest::sample::select(WORDS).prop_map(str::to_owned)
}

/// JSON of the wire's words in any order.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => word().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        2 => (-1_i64..3).prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => proptest::collection::vec((word(), inner), 0..6).prop_map(Value::from_iter),
        ]
    })
}

/// Lets every decoder read it, and every encoder write what was read.
fn read_all(body: &[u8]) {
    if let Ok(request) = decode::request::request(body) {
        encode::request::request(&request);
    }
    if let Ok(response) = decode::response::response(body) {
        encode::response::response(&response, &context());
    }
    if let Ok(data) = std::str::from_utf8(body) {
        let mut decoder = decode::stream::StreamDecoder::default();
        let _ = decoder.frame(None, data, &mut |_| {});
        let _ = decoder.frame(Some("content_block_start"), data, &mut |_| {});
        decoder.close(&mut |_| {});
    }
}

fn mark() -> impl Strategy<Value = Value> {
    proptest::sample::select(vec![
        Value::Null,
        json!({"type": "ephemeral"}),
        json!({"type": "ephemeral", "ttl": "1h"}),
        json!({"type": "ephemeral", "ttl": "5m", "scope": "global"}),
        json!({"type": "lasting"}),
    ])
}

fn media() -> impl Strategy<Value = Value> {
    let sources = vec![
        json!({"type": "base64", "media_type": "application/pdf", "data": "aGk="}),
        json!({"type": "url", "url": "https://x/y"}),
        json!({"type": "url", "url": "data:image/png;base64,aGk="}),
        json!({"type": "file", "file_id": "f"}),
        json!({"type": "text", "media_type": "text/plain", "data": "d"}),
        json!({"type": "content", "content": []}),
    ];
    let kinds = proptest::sample::select(vec!["image", "document"]);
    (kinds, proptest::sample::select(sources), mark()).prop_map(|(kind, source, mark)| {
        json!({"type": kind, "source": source, "title": "T", "cache_control": mark, "citations": {"enabled": true}})
    })
}

fn block() -> impl Strategy<Value = Value> {
    let text = || {
        (word(), mark()).prop_map(|(text, mark)| json!({"type": "text", "text": text, "cache_control": mark}))
    };
    let part = prop_oneof![text(), media(), Just(json!({"type": "tool_reference", "tool_name": "t"}))];
    let content = prop_oneof![
        word().prop_map(Value::from),
        Just(Value::Null),
        proptest::collection::vec(part, 0..3).prop_map(Value::from),
    ];
    prop_oneof![
        text(),
        media(),
        (word(), any::<bool>(), content).prop_map(|(id, is_error, content)| {
            json!({"type": "tool_result", "tool_use_id": id, "is_error": is_error, "content": content})
        }),
        (word(), any_json(), mark()).prop_map(|(name, input, mark)| {
            json!({"type": "tool_use", "id": "t", "name": name, "input": input, "cache_control": mark})
        }),
        (word(), word())
            .prop_map(|(text, proof)| json!({"type": "thinking", "thinking": text, "signature": proof})),
        word().prop_map(|data| json!({"type": "redacted_thinking", "data": data})),
        Just(json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}})),
    ]
}

fn request() -> impl Strategy<Value = Value> {
    let content = prop_oneof![
        word().prop_map(Value::from),
        proptest::collection::vec(block(), 0..5).prop_map(Value::from),
    ];
    let role = proptest::sample::select(vec!["user", "assistant", "system"]);
    let message = (role, content).prop_map(|(role, content)| json!({"role": role, "content": content}));
    let tool = proptest::sample::select(vec![
        json!({"name": "f", "input_schema": {"type": "object"}, "strict": false, "odd": 1}),
        json!({"type": "custom", "name": "g", "description": "d"}),
        json!({"type": "web_search_20250305", "name": "web_search"}),
        json!({"type": "bash_20250124", "name": "bash"}),
    ]);
    let choice = proptest::sample::select(vec![
        Value::Null,
        json!({"type": "auto", "disable_parallel_tool_use": true}),
        json!({"type": "any", "disable_parallel_tool_use": false}),
        json!({"type": "tool", "name": "f"}),
        json!({"type": "none"}),
    ]);
    let thinking = proptest::sample::select(vec![
        Value::Null,
        json!({"type": "enabled", "budget_tokens": 1024, "display": "omitted"}),
        json!({"type": "enabled"}),
        json!({"type": "disabled", "display": "summarized"}),
        json!({"type": "adaptive", "display": "summarized"}),
    ]);
    let output = proptest::sample::select(vec![
        Value::Null,
        json!({"effort": "minimal"}),
        json!({"effort": "max", "format": {"type": "json_schema", "schema": {}, "name": "n"}}),
    ]);
    let lists = (
        proptest::collection::vec(message, 0..5),
        proptest::collection::vec(tool, 0..4),
        proptest::collection::vec(block(), 0..3),
    );
    (lists, choice, thinking, output, any_json()).prop_map(
        |((messages, tools, system), choice, thinking, output, extra)| {
            json!({
                "model": "m", "messages": messages, "tools": tools, "system": system, "tool_choice": choice,
                "thinking": thinking, "output_config": output, "temperature": 0.1, "stop_sequences": ["x"],
                "metadata": {"user_id": "u"}, "container": extra,
            })
        },
    )
}

fn signature() -> impl Strategy<Value = Signature<'static>> {
    let origins = proptest::sample::select(vec![Origin::Claude, Origin::OpenAi, Origin::Gemini]);
    let kinds = proptest::sample::select(vec![SignatureKind::Proof, SignatureKind::Encrypted]);
    (origins, kinds, "[a-z]{1,5}").prop_map(|(origin, kind, value)| {
        let id = (origin == Origin::OpenAi).then_some("rs_1".into());
        Signature { origin, kind, id, value: value.into() }
    })
}

fn own(json: &str) -> Opaque<'static> {
    let value = serde_json::value::RawValue::from_string(json.to_owned()).unwrap();
    Opaque { origin: Wire::Messages, kind: "k".into(), value: Cow::Owned(value) }
}

fn answer_block() -> impl Strategy<Value = Block<'static>> {
    let text = || "[a-z\"\n ]{0,8}";
    let signed = || proptest::option::of(signature());
    prop_oneof![
        (text(), signed(), any::<bool>()).prop_map(|(text, signature, cited)| {
            let annotations = cited.then(|| own("[{\"n\":1},\n{\"n\":2}]"));
            Block::Text(Text { text: text.into(), cache: None, signature, annotations })
        }),
        (text(), signed())
            .prop_map(|(text, signature)| Block::Reasoning(Reasoning { text: text.into(), signature })),
        (any::<bool>(), signed()).prop_map(|(filled, signature)| {
            let arguments = if filled { r#"{"a":[1, "x"]}"# } else { "" }.into();
            let kind = ToolKind::Function;
            Block::ToolCall(ToolCall {
                id: "t".into(),
                name: "f".into(),
                kind,
                arguments,
                namespace: None,
                signature,
                cache: None,
            })
        }),
        text().prop_map(|text| Block::Refusal(text.into())),
        Just(Block::Opaque(own(r#"{"type":"web_search_tool_result","content":[]}"#))),
        Just(Block::Opaque(Opaque { origin: Wire::Gemini, ..own("{}") })),
    ]
}

fn answer() -> impl Strategy<Value = Response<'static>> {
    let reason = proptest::sample::select(vec![
        StopReason::End,
        StopReason::Length,
        StopReason::ToolUse,
        StopReason::Sequence,
        StopReason::Refusal,
        StopReason::ContentFilter,
        StopReason::Pause,
        StopReason::ContextWindow,
    ]);
    let counts = (0_u64..9, 0_u64..9, 0_u64..9, 0_u64..9, 0_u64..9);
    (proptest::collection::vec(answer_block(), 0..6), reason, counts).prop_map(|(blocks, reason, counts)| {
        let (input, cache_read, cache_write_5m, cache_write_1h, output) = counts;
        let sequence = (reason == StopReason::Sequence).then_some("X".into());
        Response {
            model: "served".into(),
            choices: vec![Choice { blocks, stop: Stop { reason, sequence }, logprobs: None }],
            usage: Some(Usage { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning: 0 }),
            ..Response::default()
        }
    })
}

/// A response as a stream in legal order; texts and arguments come byte by byte where they can.
fn events<'a>(response: &'a Response<'_>) -> Vec<Event<'a>> {
    let choice = &response.choices[0];
    let mut events = vec![Event::Start { id: "up".into(), model: Cow::Borrowed(&response.model) }];
    let mut calls_tools = false;
    for (index, block) in (0..).zip(&choice.blocks) {
        let letters = |text: &'a str| text.split_inclusive(|_| true).map(|part| Delta::Text(part.into()));
        let signed = |signature: &'a Option<Signature<'_>>| signature.clone().map(Delta::Signature);
        let (opening, deltas): (_, Vec<_>) = match block {
            Block::Text(text) => {
                let cited = text.annotations.clone().map(Delta::Annotation);
                (
                    Opening::Text,
                    signed(&text.signature).into_iter().chain(letters(&text.text)).chain(cited).collect(),
                )
            }
            Block::Reasoning(it) => {
                (Opening::Reasoning, letters(&it.text).chain(signed(&it.signature)).collect())
            }
            Block::Refusal(text) => (Opening::Refusal, letters(text).collect()),
            Block::ToolCall(call) => {
                calls_tools = true;
                let (id, name) = (Cow::Borrowed(&*call.id), Cow::Borrowed(&*call.name));
                let signature = call.signature.clone();
                let opening = Opening::ToolCall { id, name, kind: call.kind, namespace: None, signature };
                let parts = call.arguments.split_inclusive(|_| true);
                (opening, parts.map(|part| Delta::Arguments(part.into())).collect())
            }
            Block::Opaque(opaque) => (Opening::Opaque(opaque.clone()), vec![]),
            Block::Media(_) | Block::ToolResult(_) => continue,
        };
        events.push(Event::Open { choice: 0, index, opening });
        events.extend(deltas.into_iter().map(|delta| Event::Delta { choice: 0, index, delta }));
        events.push(Event::Close { choice: 0, index });
    }
    let stop =
        Stop { reason: choice.stop.reason.with_calls(calls_tools), sequence: choice.stop.sequence.clone() };
    events.push(Event::Stop { choice: 0, stop });
    events.extend(response.usage.map(Event::Usage));
    events.push(Event::End);
    events
}

/// What a client sees that gathers the stream.
fn gathered(stream: &[u8]) -> Response<'static> {
    let mut decoder = decode::stream::StreamDecoder::default();
    let (mut legalizer, mut aggregator) = (Legalizer::default(), Aggregator::default());
    let (mut splitter, mut at) = (FrameSplitter::default(), 0);
    while let Some(Piece::Frame(frame)) = splitter.next(stream, &mut at) {
        let fields = frame.fields();
        let data = fields.data.unwrap_or_default();
        let data = std::str::from_utf8(&data).unwrap();
        let mut out = |event: Event<'_>| legalizer.take(event, &mut |event| aggregator.take(event));
        decoder.frame(None, data, &mut out).unwrap();
    }
    aggregator.finish().unwrap()
}

fn written(response: &Response<'_>) -> Value {
    serde_json::from_slice(&encode::response::response(response, &context())).unwrap()
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_all(&body);
    }

    #[test]
    fn no_json_makes_it_panic(body in any_json()) {
        read_all(body.to_string().as_bytes());
    }

    #[test]
    fn no_order_of_frames_makes_it_panic(
        frames in proptest::collection::vec(any_json(), 0..12),
        kinds in proptest::collection::vec(proptest::sample::select(vec![
            "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
        ]), 12),
    ) {
        let mut decoder = decode::stream::StreamDecoder::default();
        let mut encoder = encode::stream::StreamEncoder::new(context());
        let mut out = Vec::new();
        for (mut frame, kind) in frames.into_iter().zip(kinds) {
            if let Value::Object(fields) = &mut frame {
                fields.insert("type".into(), kind.into());
                fields.insert("index".into(), (out.len() % 3).into());
            }
            // Not made legal: the encoder must bear that too.
            let _ = decoder.frame(None, &frame.to_string(), &mut |event| encoder.event(&event, &mut out));
        }
        decoder.close(&mut |event| encoder.event(&event, &mut out));
    }

    #[test]
    fn a_request_that_was_read_and_written_once_stays_the_same(body in request()) {
        let body = body.to_string();
        let once = encode::request::request(&decode::request::request(body.as_bytes()).unwrap());
        let twice = encode::request::request(&decode::request::request(&once).unwrap());
        let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        prop_assert_eq!(parsed(&once), parsed(&twice));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(response in answer()) {
        let once = encode::response::response(&response, &context());
        let again = decode::response::response(&once).unwrap();
        prop_assert!(again.losses.is_empty());
        prop_assert_eq!(again.usage, response.usage);
        prop_assert_eq!(&again.choices[0].stop.sequence, &response.choices[0].stop.sequence);
        let mut expected: Value = serde_json::from_slice(&once).unwrap();
        let calls = response.choices[0].blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
        if calls && expected["stop_reason"] == "end_turn" {
            expected["stop_reason"] = "tool_use".into();
        }
        prop_assert_eq!(written(&again), expected);
    }

    #[test]
    fn a_stream_says_what_the_plain_answer_says(response in answer()) {
        let plain = encode::response::response(&response, &context());
        let plain = decode::response::response(&plain).unwrap();
        let mut encoder = encode::stream::StreamEncoder::new(context());
        let mut stream = Vec::new();
        events(&response).iter().for_each(|event| encoder.event(event, &mut stream));
        let streamed = gathered(&stream);
        prop_assert_eq!(written(&streamed), written(&plain));
        prop_assert_eq!(streamed.usage, plain.usage);
    }
}
