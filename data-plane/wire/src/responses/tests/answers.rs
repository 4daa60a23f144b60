//! Answers that are no streams, in each direction.

use serde_json::json;

use super::*;
use crate::canonical::Extra;

fn written(response: &Response<'_>) -> Value {
    json(&encode::response(response, &context()))
}

#[test]
fn an_answer_is_written_with_all_that_sdks_read() {
    let found = written(&answer(vec![Block::text("Hi")], StopReason::End));
    let expected = json!({
        "id": "resp_01J",
        "object": "response",
        "created_at": 1_764_090_000,
        "status": "completed",
        "error": null,
        "incomplete_details": null,
        "model": "claude-opus-4-1",
        "output": [{
            "id": "msg_01J_0",
            "type": "message",
            "status": "completed",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "Hi"}],
            "role": "assistant",
        }],
        "background": false,
        "instructions": null,
        "max_output_tokens": null,
        "max_tool_calls": null,
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "prompt_cache_key": null,
        "reasoning": {"effort": null, "summary": null},
        "safety_identifier": null,
        "store": false,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "user": null,
        "metadata": {},
        "service_tier": "default",
        "usage": {
            "input_tokens": 15,
            "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
            "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 22,
        },
    });
    assert_eq!(found, expected);
}

#[test]
fn the_request_is_repeated() {
    let echo = decode::echo(
        br#"{"model":"m","temperature":0.2,"tools":[{"type":"function","name":"f"}],"store":true}"#,
    );
    let context = Context { echo, ..context() };
    let found = json(&encode::response(&Response::default(), &context));
    assert_eq!(
        (&found["temperature"], &found["tools"][0]["name"], &found["store"]),
        (&json!(0.2), &json!("f"), &json!(true))
    );
    assert_eq!(
        (&found["model"], &found["output"], &found["usage"]),
        (&json!("gpt-5.1"), &json!([]), &Value::Null)
    );
}

#[test]
fn items_are_numbered_by_their_place() {
    let found = written(&full_answer());
    let items = found["output"].as_array().unwrap();
    let ids: Vec<&str> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
    let expected = [
        "rs_01J_0",
        "rs_own",
        "ws_1",
        "msg_01J_3",
        "msg_01J_4",
        "fc_01J_5",
        "ctc_01J_6",
        "rs_01J_7",
        "fc_01J_8",
    ];
    assert_eq!(ids, expected);
    let packed = signed(Origin::Claude, None).packed();
    assert_eq!(
        (&items[0]["encrypted_content"], &items[1]["encrypted_content"]),
        (&json!(packed), &json!("c2lnbmVk"))
    );
    assert_eq!(items[0]["summary"], json!([{"type": "summary_text", "text": "first\n\nthen"}]));
    let custom = json!({"id": "ctc_01J_6", "type": "custom_tool_call", "status": "completed", "input": "*** Begin\n", "call_id": "call_c", "name": "look"});
    assert_eq!(items[6], custom);
    assert_eq!((&items[7]["summary"], &items[8]["namespace"]), (&json!([]), &json!("exec")));
    assert_eq!(items[3]["content"][0]["logprobs"][0]["token"], "S");
}

#[test]
fn why_it_ended_is_said() {
    let refusal = || vec![Block::Refusal("no".into())];
    for (blocks, reason, status, details) in [
        (vec![], StopReason::End, "completed", Value::Null),
        (vec![], StopReason::Sequence, "completed", Value::Null),
        (vec![], StopReason::Pause, "completed", Value::Null),
        (refusal(), StopReason::Refusal, "completed", Value::Null),
        (vec![], StopReason::Refusal, "incomplete", json!({"reason": "content_filter"})),
        (vec![], StopReason::ContentFilter, "incomplete", json!({"reason": "content_filter"})),
        (vec![], StopReason::Length, "incomplete", json!({"reason": "max_output_tokens"})),
        (vec![], StopReason::ContextWindow, "incomplete", json!({"reason": "max_output_tokens"})),
    ] {
        let found = written(&answer(blocks, reason));
        assert_eq!(
            (&found["status"], &found["incomplete_details"]),
            (&json!(status), &details),
            "{reason:?}"
        );
    }
}

#[test]
fn a_function_that_is_called_without_arguments_gets_an_object() {
    let found = written(&answer(vec![Block::ToolCall(call("c", ""))], StopReason::ToolUse));
    assert_eq!(found["output"][0]["arguments"], "{}");
}

#[test]
fn an_answer_is_read() {
    let body = json!({
        "id": "resp_1", "object": "response", "status": "completed", "error": null, "model": "gpt-5.1-2025-11-13",
        "service_tier": "default", "tools": [], "temperature": 1.0, "tool_usage": {"web_search": {"num_requests": 0}},
        "output": [
            {"id": "rs_1", "type": "reasoning", "summary": []},
            {"id": "rs_2", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
            {"id": "ws_1", "type": "web_search_call", "status": "completed"},
            {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [
                {"type": "output_text", "text": "a", "annotations": [{"type": "url_citation"}], "logprobs": [{"token": "a"}]},
                {"type": "output_text", "text": "b", "annotations": [], "logprobs": []},
            ]},
            {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "c1", "name": "f", "arguments": "{}"},
        ],
        "usage": {"input_tokens": 9, "output_tokens": 3},
    })
    .to_string();
    let response = decode::response(body.as_bytes()).unwrap();
    let choice = &response.choices[0];
    match choice.blocks.as_slice() {
        [
            Block::Reasoning(reasoning),
            Block::Opaque(search),
            Block::Text(a),
            Block::Text(b),
            Block::ToolCall(call),
        ] => {
            assert_eq!(reasoning.signature.as_ref().unwrap().id.as_deref(), Some("rs_2"));
            assert_eq!(search.kind, "web_search_call");
            assert_eq!((&*a.text, a.annotations.is_some(), b.annotations.is_some()), ("a", true, false));
            assert_eq!(call.id, "c1");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(choice.stop.reason, StopReason::ToolUse);
    assert_eq!(choice.logprobs.as_ref().map(|own| own.value.get()), Some(r#"[{"token":"a"}]"#));
    assert_eq!(response.usage, Some(Usage { input: 9, output: 3, ..Usage::default() }));
    let extras: Vec<_> = response.extras.iter().map(|Extra { name, .. }| &**name).collect();
    assert_eq!((extras, response.losses.is_empty()), (vec!["tool_usage"], true));
}

#[test]
fn what_has_no_output_is_no_answer() {
    for body in ["{}", r#"{"message":"busy"}"#, r#"{"id":"r","status":"completed"}"#] {
        assert!(decode::response(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn why_an_answer_ended_is_read() {
    let reason = |fields: &str| {
        let output = if fields.contains("\"output\"") { "" } else { r#""output":[],"# };
        let body = format!(r#"{{"id":"r",{output}{fields}}}"#);
        decode::response(body.as_bytes()).unwrap().choices[0].stop.reason
    };
    assert_eq!(reason(r#""status":"completed""#), StopReason::End);
    assert_eq!(reason(r#""status":"incomplete""#), StopReason::Length);
    assert_eq!(
        reason(r#""status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}"#),
        StopReason::Length
    );
    assert_eq!(reason(r#""incomplete_details":{"reason":"content_filter"}"#), StopReason::ContentFilter);
    let refusal =
        r#""output":[{"type":"message","role":"assistant","content":[{"type":"refusal","refusal":"no"}]}]"#;
    assert_eq!(reason(refusal), StopReason::Refusal);
}

#[test]
fn an_answer_that_failed_is_none() {
    let body = br#"{"id":"r","status":"failed","error":{"code":"server_error","message":"m"},"output":[]}"#;
    assert_eq!(decode::response(body).unwrap_err().to_string(), "`error` is set: m");
    assert!(decode::response(br#"{"id":"r","status":"cancelled"}"#).is_err());
    let odd = decode::response(br#"{"output":[{"type":"message"}]}"#).unwrap_err();
    assert_eq!(odd.to_string(), "`output[0].role` must be user, assistant, system or developer");
}

#[test]
fn a_full_answer_says_the_same_when_it_is_read_again() {
    let response = full_answer();
    let body = encode::response(&response, &context());
    assert_eq!(said(&decode::response(&body).unwrap()), said(&response));
}
