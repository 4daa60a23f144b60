//! Laws for any input.

use proptest::{prelude::*, sample::select};

use super::*;

/// Names and words that mean something here, to be thrown together.
const KEYS: [&str; 36] = [
    "type",
    "role",
    "content",
    "input",
    "output",
    "tools",
    "tool_choice",
    "name",
    "call_id",
    "arguments",
    "summary",
    "text",
    "encrypted_content",
    "id",
    "format",
    "schema",
    "reasoning",
    "effort",
    "include",
    "image_url",
    "file_data",
    "input_audio",
    "refusal",
    "annotations",
    "logprobs",
    "response",
    "item",
    "part",
    "delta",
    "output_index",
    "content_index",
    "summary_index",
    "status",
    "incomplete_details",
    "usage",
    "error",
];
const WORDS: [&str; 38] = [
    "message",
    "user",
    "assistant",
    "developer",
    "function",
    "function_call",
    "function_call_output",
    "custom",
    "custom_tool_call",
    "namespace",
    "web_search",
    "reasoning",
    "input_text",
    "output_text",
    "input_image",
    "input_file",
    "refusal",
    "item_reference",
    "data:image/png;base64,AA",
    "sy1.gemini.proof..x",
    "json_schema",
    "allowed_tools",
    "none",
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.content_part.added",
    "response.content_part.done",
    "response.output_text.delta",
    "response.refusal.delta",
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
    "response.function_call_arguments.delta",
    "response.completed",
    "response.incomplete",
    "response.failed",
    "error",
    "é\u{1f602}",
];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        2 => (0_u32..4).prop_map(Value::from),
        8 => select(WORDS.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            5 => prop::collection::vec((select(KEYS.to_vec()), inner), 0..7).prop_map(object),
        ]
    })
}

fn object(fields: Vec<(&'static str, Value)>) -> Value {
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<serde_json::Map<_, _>>().into()
}

fn chosen(kinds: &'static [&'static str]) -> impl Strategy<Value = Value> {
    select(kinds.to_vec()).prop_map(Value::from)
}

/// A part that is more or less right.
fn part() -> impl Strategy<Value = Value> {
    let kinds = chosen(&[
        "input_text",
        "output_text",
        "input_image",
        "input_file",
        "refusal",
        "input_hologram",
        "odd",
    ]);
    let source = chosen(&["data:image/png;base64,AA", "https://x/y", "data:,x", "AA"]);
    (kinds, source, "[a-z\n\"é]{0,6}").prop_map(|(kind, source, text)| {
        serde_json::json!({"type": kind, "text": text, "refusal": text, "image_url": source, "file_data": source, "extra": 1})
    })
}

/// An item that is more or less right.
fn item() -> impl Strategy<Value = Value> {
    let kinds = chosen(&[
        "message",
        "message",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "reasoning",
        "web_search_call",
        "mcp_approval_response",
    ]);
    let cipher =
        chosen(&["", "gAAA", "sy1.claude.proof..x", "sy1.gemini.proof..y", "sy1.openai.encrypted.rs_1.z"]);
    let roles = chosen(&["user", "assistant", "system", "developer"]);
    let content = prop::collection::vec(part(), 0..3);
    (kinds, cipher, roles, content, "[a-z]{0,4}").prop_map(|(kind, cipher, role, content, text)| {
        serde_json::json!({
            "type": kind, "role": role, "content": content, "call_id": text, "name": "f", "arguments": text, "input": text,
            "output": content, "summary": [{"type": "summary_text", "text": text}], "encrypted_content": cipher, "id": "rs_1",
        })
    })
}

fn tool() -> impl Strategy<Value = Value> {
    let kinds = chosen(&["function", "custom", "namespace", "web_search", "mcp"]);
    (kinds, "[a-c]", any::<Option<bool>>()).prop_map(|(kind, name, strict)| {
        let inner = serde_json::json!([{"type": "function", "name": name}, {"type": "custom", "name": "x"}]);
        serde_json::json!({"type": kind, "name": name, "strict": strict, "parameters": {"type": "object"}, "tools": inner})
    })
}

/// A request that is more or less right.
fn request() -> impl Strategy<Value = Value> {
    let settings = prop::collection::vec(
        select(vec![
            ("reasoning", serde_json::json!({"effort": "high", "summary": "auto"})),
            ("reasoning", serde_json::json!({"effort": "none"})),
            (
                "text",
                serde_json::json!({"format": {"type": "json_schema", "schema": {"a": 1}}, "verbosity": "low"}),
            ),
            ("text", serde_json::json!({"format": {"type": "json_object"}})),
            ("include", serde_json::json!(["reasoning.encrypted_content", "message.output_text.logprobs"])),
            (
                "tool_choice",
                serde_json::json!({"type": "allowed_tools", "mode": "auto", "tools": [{"name": "x"}]}),
            ),
            ("tool_choice", serde_json::json!({"type": "image_generation"})),
            ("temperature", serde_json::json!(0.25)),
            ("max_output_tokens", serde_json::json!(99)),
            ("safety_identifier", serde_json::json!("u")),
            ("store", serde_json::json!(true)),
            ("truncation", serde_json::json!("auto")),
            ("previous_response_id", serde_json::json!("resp_1")),
            ("instructions", serde_json::json!("be")),
            ("metadata", serde_json::json!({"k": "v"})),
        ]),
        0..6,
    );
    (prop::collection::vec(item(), 0..6), prop::collection::vec(tool(), 0..5), settings).prop_map(
        |(input, tools, settings)| {
            let mut request = serde_json::json!({"model": "m", "input": input, "tools": tools});
            for (name, value) in settings {
                request[name] = value;
            }
            request
        },
    )
}

fn block() -> impl Strategy<Value = Block<'static>> {
    let text = || "[a-z\n\"é\u{1f602}]{1,9}";
    let origins = || select(vec![Origin::Claude, Origin::OpenAi, Origin::Gemini]);
    let annotations = || own("annotations", r#"[{"type":"url_citation"}]"#);
    prop_oneof![
        (text(), any::<bool>()).prop_map(move |(text, cited)| {
            let annotations = cited.then(annotations);
            Block::Text(Text { text: text.into(), annotations, ..Text::default() })
        }),
        (text(), prop::option::of(origins())).prop_map(|(text, origin)| {
            let signature =
                origin.map(|origin| signed(origin, (origin == Origin::OpenAi).then_some("rs_up")));
            Block::Reasoning(Reasoning { text: text.into(), signature })
        }),
        text().prop_map(|text| Block::Refusal(text.into())),
        (text(), any::<bool>(), any::<bool>()).prop_map(|(text, custom, signed_)| {
            let kind = if custom { ToolKind::Custom } else { ToolKind::Function };
            let arguments = format!("{text}!").into();
            Block::ToolCall(ToolCall {
                kind,
                arguments,
                signature: signed_.then(|| signed(Origin::Gemini, None)),
                ..call("c", "")
            })
        }),
        Just(Block::Opaque(own("web_search_call", r#"{"type":"web_search_call","id":"ws"}"#))),
    ]
}

fn any_answer() -> impl Strategy<Value = Response<'static>> {
    let reasons = select(vec![StopReason::End, StopReason::Length, StopReason::ContentFilter]);
    (prop::collection::vec(block(), 0..6), reasons, any::<bool>()).prop_map(|(blocks, reason, counted)| {
        let calls = blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
        let refuses = blocks.iter().any(|block| matches!(block, Block::Refusal(_)));
        let reason = reason.with_calls(calls);
        let reason = if reason == StopReason::End && refuses { StopReason::Refusal } else { reason };
        let mut response = answer(blocks, reason);
        response.usage = response.usage.filter(|_| counted);
        response
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..120)) {
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
        prop_assert!(is_json || (decode::request(&body).is_err() && decode::response(&body).is_err()));
        prop_assert!(is_json || decode::echo(&body).is_empty());
        let text = String::from_utf8_lossy(&body);
        let taken = decode::StreamDecoder::default().frame(None, &text, &mut |_| {});
        prop_assert!(is_json || taken.is_err() || text.trim().is_empty());
    }

    #[test]
    fn any_json_is_read_without_a_panic_and_written_as_json(body in value(), model in any::<bool>()) {
        let mut body = body;
        if let (Some(fields), true) = (body.as_object_mut(), model) {
            fields.insert("model".to_owned(), "m".into());
        }
        let text = body.to_string();
        if let Ok(request) = decode::request(text.as_bytes()) {
            json(&encode::request(&request, 0));
        }
        if let Ok(response) = decode::response(text.as_bytes()) {
            let context = Context { echo: decode::echo(text.as_bytes()), ..context() };
            json(&encode::response(&response, &context));
        }
    }

    #[test]
    fn what_was_written_once_is_written_alike_again(body in request()) {
        let body = body.to_string();
        if let Ok(request) = decode::request(body.as_bytes()) {
            let once = encode::request(&request, 0);
            let twice = encode::request(&decode::request(&once).unwrap(), 0);
            prop_assert_eq!(json(&once), json(&twice));
        }
    }

    #[test]
    fn an_answer_says_the_same_when_it_is_read_again(response in any_answer()) {
        let body = encode::response(&response, &context());
        let read = decode::response(&body).unwrap();
        prop_assert_eq!(said(&read), said(&response));
        prop_assert_eq!(json(&encode::response(&read, &context())), json(&body));
    }

    #[test]
    fn a_stream_says_what_the_answer_says(response in any_answer()) {
        let stream = streamed(&response);
        let plain = json(&encode::response(&response, &context()));
        let last = frames(&stream).pop().unwrap();
        prop_assert_eq!(&last["response"], &plain);
        prop_assert_eq!(said(&gathered(&stream).unwrap()), said(&response));
    }

    #[test]
    fn frames_in_any_order_are_read_without_a_panic_and_end_legally(
        response in any_answer(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        odd in prop::collection::vec(value(), 0..6),
    ) {
        let mut told = frames(&streamed(&response));
        told.extend(odd);
        let mut decoder = decode::StreamDecoder::default();
        let mut encoder = encode::StreamEncoder::new(context());
        let mut legalizer = Legalizer::default();
        let mut out = Vec::new();
        for place in order {
            let data = told[place.index(told.len())].to_string();
            // A frame that is none is the caller's to report.
            let _ = decoder.frame(None, &data, &mut |event| {
                legalizer.take(event, &mut |event| encoder.event(&event, &mut out));
            });
        }
        if !legalizer.ended() {
            legalizer.take(Event::End, &mut |event| encoder.event(&event, &mut out));
            prop_assert!(gathered(&out).is_some(), "{}", String::from_utf8_lossy(&out));
        }
    }
}

#[test]
fn depth_costs_no_stack() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    for body in [
        format!(
            r#"{{"model":"m","input":[{{"type":"x_call","content":{deep}}}],"tools":[{{"type":"x","y":{deep}}}],"z":{deep}}}"#
        ),
        format!(r#"{{"model":"m","output":[],"input":[{{"role":"user","content":{{"a":{deep}}}}}]}}"#),
        format!(r#"{{"model":"m","output":[{{"type":"x_call","content":[{deep}]}}],"z":{deep}}}"#),
        format!(
            r#"{{"type":"response.output_item.done","item":{{"type":"x_call","output":{{"a":{deep}}}}},"delta":{{"a":{deep}}}}}"#
        ),
    ] {
        let request = decode::request(body.as_bytes()).map(|request| encode::request(&request, 0).len());
        let response =
            decode::response(body.as_bytes()).map(|response| encode::response(&response, &context()).len());
        let taken = decode::StreamDecoder::default().frame(None, &body, &mut |_| {});
        assert!(request.is_ok() || response.is_ok() || taken.is_ok());
        assert!(decode::echo(body.as_bytes()).len() < 2);
    }
}
