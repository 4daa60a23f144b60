//! What holds for this wire's codec whatever comes.

use proptest::prelude::*;
use serde_json::Value;
use shared::usage::Usage;

use super::samples::{REQUESTS, RESPONSES};
use crate::canonical::{
    Block, Choice, Event, Origin, Reasoning, Response, Signature, SignatureKind, Stop, StopReason, Text,
    ToolCall, ToolKind, aggregate::Aggregator, legal::Legalizer, replay::tests::in_pieces,
};
use crate::chat::{decode, encode};
use crate::codec::{Context, StreamDecoder as _, StreamEncoder as _};

fn context() -> Context {
    Context {
        id: "01J".to_owned(),
        created: 7,
        model: "asked".to_owned(),
        include_usage: true,
        ..Context::default()
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("what is written is JSON")
}

/// JSON that uses the wire's own words, rightly and wrongly.
fn wire_json() -> impl Strategy<Value = Value> {
    let word = || {
        proptest::sample::select(vec![
            "model",
            "messages",
            "role",
            "user",
            "assistant",
            "system",
            "tool",
            "content",
            "type",
            "text",
            "image_url",
            "url",
            "data:image/png;base64,AA",
            "data:",
            "input_audio",
            "data",
            "file",
            "file_data",
            "file_id",
            "refusal",
            "tool_calls",
            "function",
            "custom",
            "name",
            "arguments",
            "tool_call_id",
            "id",
            "index",
            "tools",
            "tool_choice",
            "reasoning_details",
            "signature",
            "sy1.claude.proof..x",
            "reasoning_content",
            "choices",
            "delta",
            "message",
            "finish_reason",
            "stop",
            "usage",
            "prompt_tokens",
            "error",
            "logprobs",
            "annotations",
            "response_format",
            "json_schema",
            "schema",
            "allowed_tools",
            "function_call",
            "stream",
            "extra_content",
            "audio",
        ])
    };
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
        "[ -~é]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 96, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((word(), inner), 0..8).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

/// A sample with one value in it replaced.
fn altered(samples: &'static [&'static str]) -> impl Strategy<Value = Value> {
    (proptest::sample::select(samples.to_vec()), any::<proptest::sample::Index>(), wire_json()).prop_map(
        |(sample, index, new)| {
            let mut value = json(sample.as_bytes());
            let mut pointers = Vec::new();
            places(&value, String::new(), &mut pointers);
            if let Some(place) = value.pointer_mut(index.get::<String>(&pointers)) {
                *place = new;
            }
            value
        },
    )
}

fn places(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| places(value, format!("{at}/{key}"), all))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| places(value, format!("{at}/{index}"), all));
        }
        _ => {}
    }
    all.push(at);
}

/// Decodes and encodes until nothing changes, which is at once.
fn request_settles(body: &[u8]) -> Result<(), TestCaseError> {
    let Ok(first) = decode::request(body) else { return Ok(()) };
    let first = encode::request(&first, 0);
    let second = encode::request(&decode::request(&first).expect("what is written can be read"), 0);
    prop_assert_eq!(json(&first), json(&second));
    Ok(())
}

fn response_settles(body: &[u8]) -> Result<(), TestCaseError> {
    let Ok(first) = decode::response(body) else { return Ok(()) };
    let first = encode::response(&first, &context());
    let second =
        encode::response(&decode::response(&first).expect("what is written can be read"), &context());
    prop_assert_eq!(json(&first), json(&second));
    Ok(())
}

fn frames_are_read(frames: &[String]) {
    let mut decoder = decode::StreamDecoder::default();
    let mut legalizer = Legalizer::default();
    let mut encoder = encode::StreamEncoder::new(context());
    let mut out = Vec::new();
    let mut pass = |event: Event<'_>| legalizer.take(event, &mut |event| encoder.event(&event, &mut out));
    for frame in frames {
        let _ = decoder.frame(None, frame, &mut pass);
    }
    decoder.close(&mut pass);
    for frame in data(&out) {
        if frame != "[DONE]" {
            json(frame.as_bytes());
        }
    }
}

/// The data of each frame that was written; comments are left out.
fn data(stream: &[u8]) -> Vec<String> {
    let stream = std::str::from_utf8(stream).expect("UTF-8");
    assert!(stream.is_empty() || stream.ends_with("\n\n"), "only whole frames are written");
    stream.split_terminator("\n\n").filter_map(|frame| frame.strip_prefix("data: ")).map(Into::into).collect()
}

/// The events of an answer, as a stream would bring them: text in two pieces.
/// Writes the answer as a stream, reads that, and puts it together.
fn through_a_stream(response: &Response<'_>) -> Response<'static> {
    let mut encoder = encode::StreamEncoder::new(context());
    let mut out = Vec::new();
    let mut legalizer = Legalizer::default();
    for event in in_pieces(response, 3) {
        legalizer.take(event, &mut |event| encoder.event(&event, &mut out));
    }
    let mut decoder = decode::StreamDecoder::default();
    let mut legalizer = Legalizer::default();
    let mut aggregator = Aggregator::default();
    for frame in data(&out) {
        let mut take = |event: Event<'_>| legalizer.take(event, &mut |event| aggregator.take(event));
        decoder.frame(None, &frame, &mut take).expect("what is written can be read");
    }
    aggregator.finish().expect("a stream has its end")
}

/// The stream says what the plain answer says.
fn stream_says_the_same(response: &Response<'_>) -> Result<(), TestCaseError> {
    let streamed = through_a_stream(response);
    let streamed = json(&encode::response(&streamed, &context()));
    let mut plain = json(&encode::response(response, &context()));
    // A stream's chunks have no place for it.
    plain["system_fingerprint"] = Value::Null;
    prop_assert_eq!(streamed, plain);
    Ok(())
}

fn signature() -> impl Strategy<Value = Signature<'static>> {
    let origins = proptest::sample::select(vec![Origin::Claude, Origin::OpenAi, Origin::Gemini]);
    let kinds = proptest::sample::select(vec![SignatureKind::Proof, SignatureKind::Encrypted]);
    (origins, kinds, proptest::option::of("[a-z_]{1,4}"), "[a-zA-Z+/=.]{1,9}").prop_map(
        |(origin, kind, id, value)| Signature { origin, kind, id: id.map(Into::into), value: value.into() },
    )
}

/// What upstreams answer, in the order that models keep: reasoning, words, calls.
fn response() -> impl Strategy<Value = Response<'static>> {
    let words = || "[ -~é\n]{1,12}";
    let reasoning = (words(), proptest::option::of(signature()))
        .prop_map(|(text, signature)| Block::Reasoning(Reasoning { text: text.into(), signature }));
    let hidden = signature()
        .prop_map(|signature| Block::Reasoning(Reasoning { text: "".into(), signature: Some(signature) }));
    let gemini = proptest::option::of("[a-z]{1,5}").prop_map(|value| {
        let kind = SignatureKind::Proof;
        value.map(|value| Signature { origin: Origin::Gemini, kind, id: None, value: value.into() })
    });
    let text = words().prop_map(|text| Block::Text(Text { text: text.into(), ..Text::default() }));
    let refusal = words().prop_map(|text| Block::Refusal(text.into()));
    let call = ("[a-z]{1,4}", "[a-z]{1,4}", any::<bool>(), words(), gemini).prop_map(
        |(id, name, is_custom, arguments, signature)| {
            Block::ToolCall(ToolCall {
                id: id.into(),
                name: name.into(),
                kind: if is_custom { ToolKind::Custom } else { ToolKind::Function },
                arguments: arguments.into(),
                namespace: None,
                signature,
                cache: None,
            })
        },
    );
    let reasons = proptest::sample::select(vec![
        StopReason::End,
        StopReason::Length,
        StopReason::Sequence,
        StopReason::ContentFilter,
        StopReason::Pause,
        StopReason::ContextWindow,
        StopReason::Refusal,
    ]);
    let few = |block: BoxedStrategy<Block<'static>>| proptest::collection::vec(block, 0..3);
    let blocks = (
        few(prop_oneof![reasoning, hidden].boxed()),
        few(text.boxed()),
        few(refusal.boxed()),
        few(call.boxed()),
    );
    let choice = (blocks, reasons).prop_map(|((a, b, c, d), reason)| {
        // Who calls a tool stops for that, unless cut short.
        let reason = match reason {
            StopReason::Length | StopReason::ContentFilter | StopReason::ContextWindow => reason,
            _ if !d.is_empty() => StopReason::ToolUse,
            _ => reason,
        };
        let blocks = a.into_iter().chain(b).chain(c).chain(d).collect();
        Choice { blocks, stop: Stop::of(reason), logprobs: None }
    });
    let usage = (0..1000_u64, 0..1000_u64, 0..1000_u64, 0..1000_u64).prop_map(|(input, cache_read, a, b)| {
        Usage { input, cache_read, output: a + b, reasoning: b, ..Usage::default() }
    });
    (proptest::collection::vec(choice, 1..3), proptest::option::of(usage)).prop_map(|(choices, usage)| {
        Response { id: "up".into(), model: "served".into(), choices, usage, ..Response::default() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_bytes_can_be_tried(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        let _ = (decode::request(&bytes), decode::response(&bytes));
        let _ = (decode::request(text.as_bytes()), decode::response(text.as_bytes()));
        frames_are_read(&[String::from_utf8_lossy(&bytes).into_owned(), text]);
    }

    #[test]
    fn any_json_can_be_tried(values in proptest::collection::vec(wire_json(), 1..6)) {
        let texts: Vec<_> = values.iter().map(Value::to_string).collect();
        for text in &texts {
            request_settles(text.as_bytes())?;
            response_settles(text.as_bytes())?;
        }
        frames_are_read(&texts);
    }

    #[test]
    fn a_request_settles_at_once(request in altered(&REQUESTS)) {
        request_settles(request.to_string().as_bytes())?;
    }

    #[test]
    fn an_answer_settles_at_once(answer in altered(&RESPONSES)) {
        response_settles(answer.to_string().as_bytes())?;
    }

    #[test]
    fn an_answer_reads_as_it_was_written(response in response()) {
        let first = encode::response(&response, &context());
        let read = decode::response(&first).unwrap();
        prop_assert_eq!(read.usage, response.usage);
        prop_assert!(read.losses.is_empty(), "{:?}", read.losses);
        prop_assert_eq!(json(&encode::response(&read, &context())), json(&first));
        for (read, written) in read.choices.iter().zip(&response.choices) {
            prop_assert_eq!(said(&read.blocks), said(&written.blocks));
        }
    }

    #[test]
    fn a_stream_says_what_the_plain_answer_says(response in response()) {
        stream_says_the_same(&response)?;
    }

    #[test]
    fn frames_in_any_order_are_read(
        order in proptest::collection::vec((any::<proptest::sample::Index>(), any::<bool>()), 0..12),
        responses in proptest::collection::vec(response(), 1..3),
    ) {
        let mut all = Vec::new();
        for response in &responses {
            let mut encoder = encode::StreamEncoder::new(context());
            let mut out = Vec::new();
            in_pieces(response, 3).iter().for_each(|event| encoder.event(event, &mut out));
            all.extend(data(&out));
        }
        let frames: Vec<_> = order
            .iter()
            .map(|(index, cut)| {
                let frame = index.get(&all);
                if *cut { frame[..frame.floor_char_boundary(frame.len() / 2)].to_owned() } else { frame.clone() }
            })
            .collect();
        frames_are_read(&frames);
    }
}

/// What the blocks say: reasoning with its proof, the words as one, and the calls.
fn said(blocks: &[Block<'_>]) -> Vec<String> {
    let (mut parts, mut words, mut refusal) = (Vec::new(), String::new(), String::new());
    for block in blocks {
        match block {
            Block::Text(text) => words.push_str(&text.text),
            Block::Refusal(text) => refusal.push_str(text),
            Block::Reasoning(it) => parts.push(format!("{} {:?}", it.text, it.signature)),
            Block::ToolCall(it) => {
                parts
                    .push(format!("{} {} {:?} {} {:?}", it.id, it.name, it.kind, it.arguments, it.signature));
            }
            other => parts.push(format!("{other:?}")),
        }
    }
    parts.extend([words, refusal]);
    parts
}

#[test]
fn the_samples_settle_and_stream() {
    for request in REQUESTS {
        assert!(decode::request(request.as_bytes()).is_ok(), "{request}");
        request_settles(request.as_bytes()).unwrap();
    }
    for answer in RESPONSES {
        response_settles(answer.as_bytes()).unwrap();
        stream_says_the_same(&decode::response(answer.as_bytes()).unwrap()).unwrap();
    }
}

#[test]
fn depth_costs_no_stack() {
    let deep = |open: &str, close: &str| open.repeat(50_000) + "1" + &close.repeat(50_000);
    let choice = r#"{"allowed_tools":{"tools":["#;
    for value in [deep("[", "]"), deep("{\"a\":", "}"), deep(choice, "]}}")] {
        for field in ["messages", "tools", "tool_choice", "response_format", "unknown"] {
            let body = format!(r#"{{"model":"m","messages":[],"{field}":{value}}}"#);
            let read = decode::request(body.as_bytes());
            assert_eq!(read.is_ok(), field == "unknown", "{field}");
        }
        let body = format!(r#"{{"choices":[{{"message":{{"reasoning":{value},"content":"a"}}}}]}}"#);
        assert!(decode::response(body.as_bytes()).is_ok());
        frames_are_read(&[format!(r#"{{"choices":[{{"delta":{{"content":{value}}}}}]}}"#)]);
    }
}
