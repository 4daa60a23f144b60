//! Streams, in each direction.

use serde_json::json;

use super::*;
use crate::{
    canonical::{Delta, Opening},
    error::{ErrorKind, WireError, upstream::UpstreamError},
};

/// The events of the types alone.
fn kinds(stream: &[u8]) -> Vec<String> {
    frames(stream).iter().map(|frame| frame["type"].as_str().unwrap().to_owned()).collect()
}

/// What the decoder says of frames, one word each.
fn decoded(frames: &[Value]) -> Vec<String> {
    let mut decoder = decode::StreamDecoder::default();
    let mut events = Vec::new();
    for frame in frames {
        let taken = decoder.frame(None, &frame.to_string(), &mut |event| events.push(word(&event)));
        assert_eq!(taken, Ok(()));
    }
    events
}

fn word(event: &Event<'_>) -> String {
    match event {
        Event::Start { id, model } => format!("start {id} {model}"),
        Event::Open { index, opening, .. } => match opening {
            Opening::ToolCall { id, name, .. } => format!("open {index} call {id} {name}"),
            Opening::Opaque(opaque) => format!("open {index} {}", opaque.kind),
            other => format!("open {index} {other:?}"),
        },
        Event::Delta { index, delta, .. } => match delta {
            Delta::Text(text) | Delta::Arguments(text) => format!("{index} {text}"),
            Delta::Signature(signature) => format!("{index} signature {}", signature.value),
            Delta::Annotation(own) | Delta::Logprobs(own) => {
                format!("{index} {} {}", own.kind, own.value.get())
            }
        },
        Event::Close { index, .. } => format!("close {index}"),
        Event::Stop { stop, .. } => format!("stop {:?}", stop.reason),
        Event::Usage(usage) => format!("usage {}", usage.output),
        Event::Error(UpstreamError { message, .. }) => format!("error {message}"),
        Event::ServiceTier(tier) => format!("tier {tier}"),
        Event::Ping => "ping".to_owned(),
        Event::End => "end".to_owned(),
    }
}

#[test]
fn text_is_told_in_the_providers_order() {
    let stream = streamed(&answer(vec![Block::text("Hello")], StopReason::End));
    let expected = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ];
    assert_eq!(kinds(&stream), expected);
    let frames = frames(&stream);
    for (number, frame) in (0..).zip(&frames) {
        assert_eq!(frame["sequence_number"], number);
    }
    let response = &frames[0]["response"];
    assert_eq!(
        (&response["status"], &response["output"], &response["usage"]),
        (&json!("in_progress"), &json!([]), &Value::Null)
    );
    let delta = json!({
        "type": "response.output_text.delta", "sequence_number": 5, "item_id": "msg_01J_0", "output_index": 0,
        "content_index": 0, "delta": "llo", "logprobs": [],
    });
    assert_eq!(frames[5], delta);
    assert_eq!(frames[8]["item"], frames[9]["response"]["output"][0]);
}

#[test]
fn the_other_items_are_told_in_the_providers_order() {
    let told = |block: Block<'static>| {
        let kinds = kinds(&streamed(&answer(vec![block], StopReason::End)));
        kinds[2..kinds.len() - 1].join(" ").replace("response.", "")
    };
    assert_eq!(
        told(Block::Reasoning(Reasoning { text: "ab".into(), signature: None })),
        "output_item.added reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.delta \
         reasoning_summary_text.done reasoning_summary_part.done output_item.done"
    );
    assert_eq!(
        told(Block::Reasoning(Reasoning { text: "".into(), signature: Some(signed(Origin::Claude, None)) })),
        "output_item.added output_item.done"
    );
    assert_eq!(
        told(Block::Refusal("no".into())),
        "output_item.added content_part.added refusal.delta refusal.delta refusal.done content_part.done output_item.done"
    );
    assert_eq!(
        told(Block::ToolCall(call("c", "{}"))),
        "output_item.added function_call_arguments.delta function_call_arguments.delta \
         function_call_arguments.done output_item.done"
    );
    assert_eq!(
        told(Block::ToolCall(ToolCall { kind: ToolKind::Custom, ..call("c", "ab") })),
        "output_item.added custom_tool_call_input.delta custom_tool_call_input.delta custom_tool_call_input.done \
         output_item.done"
    );
    assert_eq!(
        told(Block::ToolCall(call("c", ""))),
        "output_item.added function_call_arguments.delta function_call_arguments.done output_item.done",
        "no arguments are an empty object"
    );
    assert_eq!(told(Block::Opaque(own("web_search_call", "{}"))), "output_item.added output_item.done");
}

#[test]
fn a_stream_ends_with_what_the_plain_answer_is() {
    // OpenAI's own reasoning gets its id with its proof, which comes when another one was told already.
    let response = full_answer();
    let plain = json(&encode::response(&response, &context()));
    let stream = streamed(&response);
    assert_eq!(frames(&stream).last().unwrap()["response"], plain);
    assert_eq!(said(&gathered(&stream).unwrap()), said(&response));
}

#[test]
fn each_reason_to_end_has_its_event() {
    for (reason, kind) in [
        (StopReason::End, "response.completed"),
        (StopReason::Length, "response.incomplete"),
        (StopReason::ContentFilter, "response.incomplete"),
    ] {
        let stream = streamed(&answer(vec![Block::text("x")], reason));
        assert_eq!(kinds(&stream).last().unwrap(), kind);
        assert_eq!(gathered(&stream).unwrap().choices[0].stop.reason, reason);
    }
}

#[test]
fn a_stream_without_content_is_legal_and_nothing_follows_its_end() {
    let mut encoder = encode::StreamEncoder::new(context());
    let mut out = Vec::new();
    encoder.event(&Event::Ping, &mut out);
    encoder.event(&Event::End, &mut out);
    assert!(out.starts_with(b": ping\n\n"));
    assert_eq!(kinds(&out), ["response.created", "response.in_progress", "response.completed"]);
    let length = out.len();
    encoder.event(&Event::Ping, &mut out);
    encoder.event(&Event::End, &mut out);
    encoder.error(&broken(), &mut out);
    assert_eq!(out.len(), length);
}

fn broken() -> WireError<'static> {
    WireError {
        status: 503,
        kind: ErrorKind::Overloaded,
        message: "m",
        code: None,
        param: None,
        request_id: "r",
    }
}

#[test]
fn an_error_is_counted_like_any_event() {
    let mut encoder = encode::StreamEncoder::new(context());
    let mut out = Vec::new();
    encoder.event(&Event::Start { id: "x".into(), model: "".into() }, &mut out);
    encoder.error(&broken(), &mut out);
    encoder.event(&Event::End, &mut out);
    let frames = frames(&out);
    let error = &frames[2];
    assert_eq!((frames.len(), &error["type"], &error["sequence_number"]), (4, &json!("error"), &json!(2)));
    let failed = &frames[3];
    assert_eq!((&failed["type"], &failed["sequence_number"]), (&json!("response.failed"), &json!(3)));
    assert_eq!(failed["response"]["id"], frames[0]["response"]["id"]);
    assert_eq!(failed["response"]["error"], json!({"code": "server_is_overloaded", "message": "m"}));
    assert_eq!((&error["message"], &error["error"]["code"]), (&json!("m"), &json!("server_is_overloaded")));
    assert_eq!(frames[0]["response"]["model"], "gpt-5.1");
}

#[test]
fn a_signature_of_text_that_comes_late_stands_behind_it() {
    let gemini = Signature { kind: SignatureKind::Proof, ..signed(Origin::Gemini, None) };
    let told = |late: bool| {
        let mut encoder = encode::StreamEncoder::new(context());
        let mut out = Vec::new();
        let delta = |delta| Event::Delta { choice: 0, index: 0, delta };
        let mut deltas = [delta(Delta::Signature(gemini.clone())), delta(Delta::Text("x".into()))];
        if late {
            deltas.reverse();
        }
        encoder.event(&Event::Open { choice: 0, index: 0, opening: Opening::Text }, &mut out);
        deltas.iter().for_each(|event| encoder.event(event, &mut out));
        encoder.event(&Event::Close { choice: 0, index: 0 }, &mut out);
        encoder.event(&Event::End, &mut out);
        let last = frames(&out).pop().unwrap();
        let items = last["response"]["output"].as_array().unwrap().clone();
        items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told(false), ["rs_01J_0", "msg_01J_1"]);
    assert_eq!(told(true), ["msg_01J_0", "rs_01J_1"]);
}

#[test]
fn line_ends_in_json_of_others_do_not_end_the_data() {
    let mut response = answer(vec![Block::Opaque(own("x_call", "{\"a\":\r\n1}"))], StopReason::End);
    response.usage = None;
    let echo = vec![("tools", "[\n]".to_owned())];
    let mut encoder = encode::StreamEncoder::new(Context { echo, ..context() });
    let mut out = Vec::new();
    events(&response).iter().for_each(|event| encoder.event(event, &mut out));
    assert_eq!(frames(&out).last().unwrap()["response"]["output"], json!([{"a": 1}]));
}

#[test]
fn only_the_first_choice_is_told() {
    let mut encoder = encode::StreamEncoder::new(context());
    let mut out = Vec::new();
    encoder.event(&Event::Open { choice: 1, index: 0, opening: Opening::Text }, &mut out);
    encoder.event(&Event::Delta { choice: 1, index: 0, delta: Delta::Text("x".into()) }, &mut out);
    encoder.event(&Event::Close { choice: 1, index: 0 }, &mut out);
    assert!(out.is_empty());
}

#[test]
fn a_stream_is_read() {
    let created = json!({"type": "response.created", "response": {"id": "resp_1", "model": "gpt-5.1"}});
    let item = json!({"type": "message", "role": "assistant", "content": []});
    let part =
        json!({"type": "output_text", "text": "Hi", "annotations": [{"a": 1}], "logprobs": [{"token": "H"}]});
    let call = json!({"type": "function_call", "call_id": "c1", "name": "f", "arguments": ""});
    let whole = json!({"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"a\":1}"});
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [{"text": "x"}, {"text": "y"}], "encrypted_content": "gAAA"});
    let search = json!({"type": "web_search_call", "id": "ws_1"});
    let summary = |index: u32, delta: &str| json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": index, "delta": delta});
    let events = decoded(&[
        created.clone(),
        created,
        json!({"type": "keepalive"}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "summary": []}}),
        summary(0, "x"),
        summary(1, "y"),
        json!({"type": "response.output_item.done", "output_index": 0, "item": reasoning}),
        json!({"type": "response.web_search_call.searching", "output_index": 1}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": search}),
        json!({"type": "response.output_item.added", "output_index": 2, "item": item}),
        json!({"type": "response.output_text.delta", "output_index": 2, "content_index": 0, "delta": "H"}),
        json!({"type": "response.content_part.done", "output_index": 2, "content_index": 0, "part": part}),
        json!({"type": "response.output_item.done", "output_index": 2, "item": {"type": "message", "role": "assistant", "content": [part]}}),
        json!({"type": "response.output_item.added", "output_index": 3, "item": call}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 3, "delta": "{\"a\""}),
        json!({"type": "response.output_item.done", "output_index": 3, "item": whole}),
        json!({"type": "response.completed", "response": {"status": "completed", "output": [], "usage": {"input_tokens": 1, "output_tokens": 2}}}),
        json!({"type": "response.output_text.delta", "delta": "late"}),
    ]);
    let expected = [
        "start resp_1 gpt-5.1",
        "ping",
        "open 0 Reasoning",
        "0 x",
        "0 \n\n",
        "0 y",
        "0 signature gAAA",
        "close 0",
        "open 1 web_search_call",
        "close 1",
        "open 2 Text",
        "2 H",
        "2 i",
        "2 annotations [{\"a\":1}]",
        "2 logprobs [{\"token\":\"H\"}]",
        "close 2",
        "open 3 call c1 f",
        "3 {\"a\"",
        "3 :1}",
        "close 3",
        "stop ToolUse",
        "usage 2",
        "end",
    ];
    assert_eq!(events, expected);
}

#[test]
fn what_came_in_no_delta_is_said_at_the_end() {
    let output = json!([
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"},
    ]);
    let events = decoded(&[
        json!({"type": "response.incomplete", "response": {"id": "r", "model": "m", "output": output,
        "incomplete_details": {"reason": "content_filter"}}}),
    ]);
    let expected = [
        "start r m",
        "open 0 Refusal",
        "0 no",
        "close 0",
        "open 1 call c f",
        "1 x",
        "close 1",
        "stop ContentFilter",
        "end",
    ];
    assert_eq!(events, expected);
}

#[test]
fn servers_that_do_not_count_their_items_are_understood() {
    let message = |text: &str| json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]});
    let nameless = json!({"type": "function_call", "call_id": "c"});
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let events = decoded(&[
        json!({"type": "response.output_item.added", "item": message("")}),
        json!({"type": "response.output_text.delta", "delta": "a"}),
        json!({"type": "response.output_item.done", "item": message("a")}),
        json!({"type": "response.output_item.added", "item": message("")}),
        json!({"type": "response.output_text.delta", "delta": "b"}),
        json!({"type": "response.output_item.done", "item": message("b")}),
        json!({"type": "response.output_item.added", "item": nameless}),
        json!({"type": "response.function_call_arguments.delta", "delta": "{"}),
        json!({"type": "response.output_item.done", "item": call}),
        json!({"type": "response.completed", "response": {"output": [message("a"), message("b"), call]}}),
    ]);
    let expected = [
        "start  ",
        "open 0 Text",
        "0 a",
        "close 0",
        "open 1 Text",
        "1 b",
        "close 1",
        "open 2 call c f",
        "2 {}",
        "close 2",
        "stop ToolUse",
        "end",
    ];
    assert_eq!(events, expected);
}

#[test]
fn what_a_failed_answer_used_is_told() {
    let usage = json!({"input_tokens": 3, "output_tokens": 1});
    let failed = json!({"status": "failed", "error": {"message": "m"}, "usage": usage});
    assert_eq!(decoded(&[json!({"type": "response.failed", "response": failed})]), ["usage 1", "error m"]);
}

#[test]
fn errors_of_all_forms_are_read() {
    for frame in [
        json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error", "message": "m"}}}),
        json!({"type": "error", "code": "server_error", "message": "m", "param": null, "sequence_number": 3}),
        json!({"type": "error", "error": {"type": "server_error", "message": "m"}}),
        json!({"error": {"type": "server_error", "message": "m"}}),
    ] {
        let mut decoder = decode::StreamDecoder::default();
        let mut errors = Vec::new();
        let data = frame.to_string();
        for _ in 0..2 {
            let taken = decoder.frame(None, &data, &mut |event| match event {
                Event::Error(error) => errors.push(error),
                other => panic!("{other:?}"),
            });
            assert_eq!(taken, Ok(()));
        }
        assert_eq!(
            errors.iter().map(|error| (error.status, &*error.message)).collect::<Vec<_>>(),
            [(Some(500), "m")],
            "{data}"
        );
    }
}

#[test]
fn what_is_no_event_is_an_error_and_done_is_tolerated() {
    let mut decoder = decode::StreamDecoder::default();
    let mut take = |event: Option<&str>, data: &str| decoder.frame(event, data, &mut |_| {});
    assert_eq!(take(None, "[DONE]"), Ok(()));
    assert_eq!(take(None, ""), Ok(()));
    assert!(take(None, "<html>").is_err() && take(None, "[]").is_err() && take(None, "{}").is_err());
    assert_eq!(take(Some("response.in_progress"), "{}"), Ok(()), "the event's name stands for the type");
    assert_eq!(take(None, r#"{"type":"response.from_a_later_day","delta":{}}"#), Ok(()));
}

#[test]
fn recorded_streams_have_a_legal_end() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/responses");
    for (name, blocks) in [
        ("text", 1),
        ("reasoning_with_summary_and_cache", 2),
        ("calls", 3),
        ("web_search", 2),
        ("incomplete_at_the_limit", 1),
        ("server_without_event_names", 2),
        ("queued_and_kept_alive", 1),
        ("refusal", 1),
        ("whole_answer_in_the_last_event", 1),
        ("empty_answer", 0),
    ] {
        let stream = std::fs::read(folder.join(format!("{name}.sse"))).unwrap();
        let stream = String::from_utf8(stream).unwrap().replace(": keep-alive\n\n", "");
        let response = gathered(stream.as_bytes()).expect(name);
        assert_eq!(response.choices[0].blocks.len(), blocks, "{name}");
        // The last event holds the whole answer, which the plain decoder reads alike.
        let mut data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
        let last = data.rfind(|data| *data != "[DONE]").unwrap();
        let mut whole = None;
        crate::json::object(last, |field| {
            whole = whole.or((field.name() == "response").then_some(field.value))
        })
        .unwrap();
        let plain = decode::response(whole.unwrap().as_bytes()).unwrap();
        assert_eq!(said(&response), said(&plain), "{name}");
    }
}
