//! What holds for every request, answer and stream of this wire.

use std::borrow::Cow;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use shared::{usage::Usage, wire::Wire};

use crate::{
    canonical::{
        Block, Choice, Delta, Event, Opaque, Opening, Origin, Reasoning, Response, Signature, SignatureKind,
        Stop, StopReason, Text, ToolCall, ToolKind, aggregate::Aggregator, legal::Legalizer,
    },
    codec::{Context, StreamDecoder as _, StreamEncoder as _},
    gemini::{base64, decode, encode},
    sse::{FrameSplitter, Piece},
};

fn context() -> Context {
    Context { id: "01J".to_owned(), model: "asked".to_owned(), ..Context::default() }
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// Encoding again what was encoded changes nothing. None: the body is no request.
fn twice_encoded(body: &[u8]) -> Option<(Value, Value)> {
    let once = encode::request(&decode::request(body, "gemini-3-pro", false).ok()?, 0);
    let twice = encode::request(&decode::request(&once, "gemini-3-pro", false).unwrap(), 0);
    Some((parsed(&once), parsed(&twice)))
}

fn twice_answered(body: &[u8]) -> Option<(Value, Value)> {
    let once = encode::response(&decode::response(body).ok()?, &context());
    let twice = encode::response(&decode::response(&once).unwrap(), &context());
    Some((parsed(&once), parsed(&twice)))
}

/// JSON made of the wire's own words, rarely in the right places.
fn soup() -> impl Strategy<Value = Value> {
    let words = "contents parts role user model text thought thoughtSignature inlineData mimeType data \
        fileData fileUri functionCall functionResponse name args id response output error tools \
        functionDeclarations parameters type nullable properties anyOf googleSearch \
        generationConfig thinkingConfig thinkingBudget topK responseSchema candidates content \
        finishReason STOP index usageMetadata promptTokenCount promptFeedback blockReason \
        groundingMetadata logprobsResult system_instruction odd QQ== c3kxLg==";
    let word = select(words.split(' ').collect::<Vec<_>>()).prop_map(str::to_owned);
    let leaf = prop_oneof![
        word.clone().prop_map(Value::from),
        select(vec![json!(null), json!(true), json!(-1), json!(1.5), json!(0), json!("")]),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::hash_map(word.clone(), inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// A part as clients or Google write it.
fn part() -> impl Strategy<Value = Value> {
    // Of the form `call_0` only the decoder's own: the encoder leaves those out.
    let id = || select(vec![json!(null), json!("a"), json!("b")]);
    let name = || select(vec!["f", "g"]);
    let result = select(vec![
        json!({"output": "o"}),
        json!({"error": "e"}),
        json!({"error": {"x": 1}}),
        json!({"result": "r"}),
        json!({"x": [1]}),
        json!("bare"),
        json!(null),
        json!({"output": "{\"y\":1}"}),
        json!({}),
    ]);
    let signature = || {
        let packed = base64::encode(b"sy1.claude.proof..abc");
        select(vec![json!(null), json!("QQ=="), json!(packed)])
    };
    prop_oneof![
        ("[a-c]{0,3}", any::<bool>(), signature())
            .prop_map(|(text, thought, signature)| json!({"text": text, "thought": thought, "thoughtSignature": signature})),
        (id(), name(), signature()).prop_map(
            |(id, name, signature)| json!({"functionCall": {"id": id, "name": name}, "thoughtSignature": signature})
        ),
        (id(), name(), result)
            .prop_map(|(id, name, response)| json!({"functionResponse": {"id": id, "name": name, "response": response}})),
        signature().prop_map(
            |signature| json!({"inlineData": {"mimeType": "image/png", "data": "A-_"}, "thoughtSignature": signature})
        ),
        select(vec!["gs://a", "https://a.b/c", "data:image/png;base64,AA", "data:,x"])
            .prop_map(|uri| json!({"file_data": {"file_uri": uri, "mime_type": "image/png"}})),
        select(vec![json!({}), json!({"executableCode": {"code": "1"}}), json!({"odd": 1, "text": "x"})]),
    ]
}

fn body() -> impl Strategy<Value = Value> {
    let content = (select(vec!["user", "model", "function"]), prop::collection::vec(part(), 0..5))
        .prop_map(|(role, parts)| json!({"role": role, "parts": parts}));
    let tools = select(vec![
        json!([]),
        json!([{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "nullable": true}}], "googleSearch": {}}]),
        json!({"urlContext": {}}),
    ]);
    let choice = (select(vec!["AUTO", "ANY", "NONE", "VALIDATED"]), prop::collection::vec("[fg]", 0..3))
        .prop_map(|(mode, names)| json!({"functionCallingConfig": {"mode": mode, "allowedFunctionNames": names}, "x": 1}));
    let budget = select(vec![json!(null), json!(0), json!(-1), json!(99)]);
    let level = select(vec![json!(null), json!("HIGH")]);
    let thinking = (budget, level, any::<bool>())
        .prop_map(|(budget, level, show)| json!({"thinkingBudget": budget, "thinkingLevel": level, "includeThoughts": show}));
    let format = select(vec![json!(null), json!("application/json"), json!("text/x.enum")]);
    let schema = select(vec![json!(null), json!({"type": "STRING", "enum": ["a"]})]);
    let config = (thinking, format, schema).prop_map(|(thinking, format, schema)| {
        json!({"thinkingConfig": thinking, "responseMimeType": format, "responseSchema": schema, "topK": 4.5, "own": 1})
    });
    (prop::collection::vec(content, 0..6), tools, choice, config, part()).prop_map(
        |(contents, tools, choice, config, system)| {
            json!({"contents": contents, "tools": tools, "toolConfig": choice, "generationConfig": config,
                "systemInstruction": {"parts": system}, "safetySettings": []})
        },
    )
}

fn answer() -> impl Strategy<Value = Value> {
    let finish =
        select(vec![json!(null), json!("STOP"), json!("SAFETY"), json!("OTHER"), json!("MAX_TOKENS")]);
    let candidate = (prop::collection::vec(part(), 0..5), finish, 0..3, any::<bool>()).prop_map(
        |(parts, finish, index, grounded)| {
            let grounding = if grounded { json!({"g": 1}) } else { json!(null) };
            json!({"content": {"parts": parts}, "finishReason": finish, "index": index, "groundingMetadata": grounding})
        },
    );
    (prop::collection::vec(candidate, 0..3), 0..9u64).prop_map(|(candidates, count)| {
        json!({"candidates": candidates, "usageMetadata": {"promptTokenCount": count, "thoughtsTokenCount": count},
            "promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "m", "odd": 1})
    })
}

fn signature() -> impl Strategy<Value = Option<Signature<'static>>> {
    let origins = select(vec![Origin::Claude, Origin::OpenAi, Origin::Gemini]);
    prop::option::of((origins, "[A-Za-z0-9]{1,9}").prop_map(|(origin, value)| {
        let id = (origin == Origin::OpenAi).then_some(Cow::Borrowed("rs_1"));
        Signature { origin, kind: SignatureKind::Encrypted, id, value: value.into() }
    }))
}

fn google(json: &Value) -> Opaque<'static> {
    let value = Cow::Owned(serde_json::value::to_raw_value(json).unwrap());
    Opaque { origin: Wire::Gemini, kind: "executableCode".into(), value }
}

fn block() -> impl Strategy<Value = Block<'static>> {
    let call = ("[ab]?", select(vec!["{\"x\": 1}", "", "[1]", "free"]), any::<bool>(), signature());
    prop_oneof![
        ("\\PC{0,6}", signature()).prop_map(|(text, signature)| {
            let signature = signature.filter(|signature| signature.origin == Origin::Gemini);
            Block::Text(Text { text: text.into(), signature, ..Text::default() })
        }),
        ("[a-z\n]{0,4}", signature())
            .prop_map(|(text, signature)| Block::Reasoning(Reasoning { text: text.into(), signature })),
        "[a-z]{0,4}".prop_map(|text| Block::Refusal(text.into())),
        call.prop_map(|(id, arguments, custom, signature)| Block::ToolCall(ToolCall {
            id: id.into(),
            name: "f".into(),
            kind: if custom { ToolKind::Custom } else { ToolKind::Function },
            arguments: arguments.into(),
            namespace: None,
            signature,
            cache: None,
        })),
        Just(Block::Opaque(google(&json!({"executableCode": {"code": "1"}})))),
    ]
}

fn choice() -> impl Strategy<Value = Choice<'static>> {
    let reasons = vec![StopReason::End, StopReason::Length, StopReason::ContentFilter, StopReason::Sequence];
    (prop::collection::vec(block(), 0..5), select(reasons), any::<bool>()).prop_map(
        |(mut blocks, reason, noted)| {
            let mut logprobs = None;
            if let (true, Some(Block::Text(Text { text, annotations, .. }))) = (noted, blocks.last_mut()) {
                text.to_mut().push('x');
                *annotations = Some(google(&json!({"citationMetadata": {"c": 1}})));
                logprobs = Some(google(&json!({"l": 1})));
            }
            Choice { blocks, stop: Stop::of(reason), logprobs }
        },
    )
}

fn response() -> impl Strategy<Value = Response<'static>> {
    let usage =
        prop::option::of((0..99u64, 0..99u64, 0..99u64).prop_map(|(input, cache_read, reasoning)| Usage {
            input,
            cache_read,
            output: reasoning + 7,
            reasoning,
            ..Usage::default()
        }));
    (prop::collection::vec(choice(), 1..3), usage).prop_map(|(choices, usage)| Response {
        choices,
        usage,
        ..Response::default()
    })
}

/// The answer as a stream.
fn streamed(response: &Response<'_>) -> Vec<u8> {
    let (mut encoder, mut out) = (encode::StreamEncoder::new(context()), Vec::new());
    let mut say = |event: Event<'_>| encoder.event(&event, &mut out);
    say(Event::Start { id: "x".into(), model: "".into() });
    for (number, choice) in (0..).zip(&response.choices) {
        for (index, block) in (0..).zip(&choice.blocks) {
            let opening = match block {
                Block::Text(_) => Opening::Text,
                Block::Reasoning(_) => Opening::Reasoning,
                Block::ToolCall(ToolCall { id, name, kind, signature, .. }) => {
                    let (id, name, signature) = (id.clone(), name.clone(), signature.clone());
                    Opening::ToolCall { id, name, kind: *kind, namespace: None, signature }
                }
                Block::Opaque(opaque) => Opening::Opaque(opaque.clone()),
                _ => Opening::Refusal,
            };
            say(Event::Open { choice: number, index, opening });
            let last = index as usize + 1 == choice.blocks.len();
            let logprobs = choice.logprobs.clone().filter(|_| last);
            for delta in deltas(block).into_iter().chain(logprobs.map(Delta::Logprobs)) {
                say(Event::Delta { choice: number, index, delta });
            }
            say(Event::Close { choice: number, index });
        }
        say(Event::Stop { choice: number, stop: choice.stop.clone() });
    }
    response.usage.into_iter().for_each(|usage| say(Event::Usage(usage)));
    say(Event::End);
    out
}

fn deltas<'b>(block: &'b Block<'_>) -> Vec<Delta<'b>> {
    let halves = |text: &'b str| {
        let (head, tail) = text.split_at(text.floor_char_boundary(text.len() / 2));
        [Cow::Borrowed(head), Cow::Borrowed(tail)]
    };
    let signed = |signature: &'b Option<Signature<'_>>| signature.clone().map(Delta::Signature);
    match block {
        Block::Text(text) => {
            let annotations = text.annotations.clone().map(Delta::Annotation);
            halves(&text.text)
                .map(Delta::Text)
                .into_iter()
                .chain(signed(&text.signature))
                .chain(annotations)
                .collect()
        }
        Block::Reasoning(thought) => {
            halves(&thought.text).map(Delta::Text).into_iter().chain(signed(&thought.signature)).collect()
        }
        Block::Refusal(text) => halves(text).map(Delta::Text).to_vec(),
        Block::ToolCall(call) => halves(&call.arguments).map(Delta::Arguments).to_vec(),
        _ => Vec::new(),
    }
}

/// Decodes a stream; none if it does not end as it should.
fn gathered(stream: &[u8]) -> Option<Response<'static>> {
    let mut decoder = decode::StreamDecoder::default();
    let (mut legal, mut aggregator) = (Legalizer::default(), Aggregator::default());
    let mut out = |event: Event<'_>| legal.take(event, &mut |event| aggregator.take(event));
    let (mut splitter, mut at) = (FrameSplitter::default(), 0);
    while let Some(piece) = splitter.next(stream, &mut at) {
        let Piece::Frame(frame) = piece else { return None };
        let data = frame.fields().data?;
        decoder.frame(None, std::str::from_utf8(&data).ok()?, &mut out).ok()?;
    }
    decoder.close(&mut out);
    aggregator.finish().ok()
}

/// All that two answers must have in common.
fn described(response: &Response<'_>) -> String {
    let Response { id, model, choices, usage, .. } = response;
    format!("{id:?} {model:?} {usage:?} {choices:#?}")
}

/// A choice's text, reasoning and calls.
fn said(choice: &Choice<'_>) -> (String, String, Vec<(String, Value)>) {
    let (mut text, mut thoughts, mut calls) = (String::new(), String::new(), Vec::new());
    for block in &choice.blocks {
        match block {
            Block::Text(block) => text.push_str(&block.text),
            Block::Refusal(block) => text.push_str(block),
            Block::Reasoning(block) => thoughts.push_str(&block.text),
            Block::ToolCall(call) => {
                let input = json!({"input": call.arguments});
                let arguments =
                    if call.kind == ToolKind::Custom { input } else { parsed(call.object().as_bytes()) };
                calls.push((call.name.clone().into_owned(), arguments));
            }
            _ => {}
        }
    }
    (text, thoughts, calls)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
        let json = serde_json::from_slice::<Value>(&bytes).is_ok();
        prop_assert!(decode::request(&bytes, "m", false).is_err() || json);
        prop_assert!(decode::response(&bytes).is_err() || json);
        let text = String::from_utf8_lossy(&bytes);
        let read = decode::StreamDecoder::default().frame(None, &text, &mut |_| {});
        prop_assert!(read.is_err() || json || matches!(text.trim(), "" | "[DONE]"));
    }

    #[test]
    fn a_soup_of_words_is_read_without_a_panic_and_encoded_alike(soup in soup()) {
        let body = soup.to_string();
        if let Some((once, twice)) = twice_encoded(body.as_bytes()) {
            prop_assert_eq!(once, twice);
        }
        if let Some((once, twice)) = twice_answered(body.as_bytes()) {
            prop_assert_eq!(once, twice);
        }
        let mut events = 0;
        let read = decode::StreamDecoder::default().frame(None, &body, &mut |_| events += 1);
        prop_assert!(read.is_err() || events > 0);
    }

    #[test]
    fn a_request_that_was_encoded_is_encoded_alike_again(body in body()) {
        let (once, twice) = twice_encoded(body.to_string().as_bytes()).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn an_answer_that_was_encoded_is_encoded_alike_again(answer in answer()) {
        let (once, twice) = twice_answered(answer.to_string().as_bytes()).unwrap();
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn an_answer_says_the_same_once_it_was_written_and_read(response in response()) {
        let body = encode::response(&response, &context());
        let read = decode::response(&body).unwrap();
        prop_assert_eq!(read.usage, response.usage);
        prop_assert_eq!(read.choices.len(), response.choices.len());
        for (choice, original) in read.choices.iter().zip(&response.choices) {
            prop_assert_eq!(said(choice), said(original));
            let calls_tools = !said(original).2.is_empty();
            let reason = if original.stop.reason == StopReason::Sequence { StopReason::End } else { original.stop.reason };
            prop_assert_eq!(choice.stop.reason, reason.with_calls(calls_tools));
        }
        prop_assert!(read.losses.is_empty());
    }

    #[test]
    fn a_stream_says_what_the_plain_answer_says(response in response()) {
        let body = encode::response(&response, &context());
        let plain = decode::response(&body).unwrap();
        let stream = streamed(&response);
        let gathered = gathered(&stream).expect("the stream ends");
        prop_assert_eq!(described(&gathered), described(&plain));
    }

    #[test]
    fn frames_in_any_order_become_a_legal_stream(frames in prop::collection::vec(prop_oneof![answer(), soup()], 0..5)) {
        let mut decoder = decode::StreamDecoder::default();
        let (mut legal, mut aggregator) = (Legalizer::default(), Aggregator::default());
        let (mut encoder, mut out) = (encode::StreamEncoder::new(context()), Vec::new());
        let mut failed = false;
        let mut take = |event: Event<'_>| legal.take(event, &mut |event| {
            failed |= matches!(event, Event::Error(_));
            encoder.event(&event, &mut out);
            aggregator.take(event);
        });
        for frame in &frames {
            let _ = decoder.frame(None, &frame.to_string(), &mut take);
        }
        decoder.close(&mut take);
        take(Event::End);
        if !failed {
            let (first, second) = (aggregator.finish().unwrap(), gathered(&out).expect("the stream ends"));
            prop_assert_eq!(first.choices.len(), second.choices.len());
            for (first, second) in first.choices.iter().zip(&second.choices) {
                prop_assert_eq!(said(first), said(second));
            }
        }
    }
}
