use std::time::Duration;

use emulator::{
    Behaviour, CallRecord, Condition, Counters, Emulator, EmulatorOptions, End, Position, Profile,
    UsageScript,
};
use serde_json::{Value, json};

use crate::client::{
    ANTHROPIC_KEY, Answer, OPENAI_KEY, PATIENCE, Raw, call, chat, chat_body, emulator, message_body, messages,
};

async fn control(emulator: &Emulator, method: &str, path: &str, body: &Value) -> Answer {
    let path = format!("/_emulator/credentials/{path}");
    call(emulator, method, &path, &[], &body.to_string()).await
}

#[tokio::test]
async fn a_held_stream_waits_for_its_release() {
    let emulator = emulator().await;
    let script = emulator.credential(OPENAI_KEY);
    script.next(Behaviour::chunked(4).with_hold(Position::Content(2))).unwrap();
    let mut raw = Raw::connect(emulator.addr()).await;
    raw.send_chat(&chat_body("abcd", true)).await;
    raw.head().await.unwrap();
    for _ in 0..3 {
        raw.chunk().await.unwrap();
    }
    script.wait_for(Condition::held(1), PATIENCE).await.unwrap();
    assert!(raw.is_silent().await);
    assert_eq!(script.release(), 1);
    let mut rest = 0;
    while raw.chunk().await.is_some_and(|chunk| !chunk.is_empty()) {
        rest += 1;
    }
    assert_eq!(rest, 4, "two pieces, the finish, [DONE]");
    let counters = script.wait_for(Condition::idle(), PATIENCE).await.unwrap();
    assert_eq!((counters.held, counters.served), (0, 1));
}

#[tokio::test]
async fn scripts_are_driven_over_http() {
    let emulator = emulator().await;
    let queued = control(
        &emulator,
        "POST",
        "sk-ant-test/next",
        &json!([{"fault": {"status": {"status": 503}}}, {"text": "scripted", "hold": {"frame": 0}}]),
    )
    .await;
    assert_eq!(queued.json()["queued"], 2);
    assert_eq!(messages(&emulator, &message_body("Hi", false)).await.status(), 503);

    let mut raw = Raw::connect(emulator.addr()).await;
    raw.send_messages(&message_body("Hi", false)).await;
    let held = control(&emulator, "POST", "sk-ant-test/wait", &json!({"held": 1})).await;
    assert_eq!((held.status(), held.json()["in_flight"].as_u64()), (200, Some(1)));
    let released = control(&emulator, "POST", "sk-ant-test/release", &Value::Null).await;
    assert_eq!(released.json(), json!({"released": 1}));
    assert_eq!(raw.answer().await.json()["content"][0]["text"], "scripted");

    let late =
        control(&emulator, "POST", "sk-ant-test/wait", &json!({"requests": 9, "timeout_ms": 10})).await;
    assert_eq!(late.status(), 408);
    let counters: Counters = serde_json::from_value(late.json()).unwrap();
    assert_eq!(
        (counters.requests, counters.by_status.get(&503), counters.by_status.get(&200)),
        (2, Some(&1), Some(&1))
    );
    assert_eq!(control(&emulator, "DELETE", "sk-ant-test", &Value::Null).await.json()["requests"], 0);
}

#[tokio::test]
async fn a_script_that_cannot_be_followed_is_refused() {
    let emulator = emulator().await;
    for script in [
        json!({"chunks": 4_000_000_000_u32}),
        json!({"writes": {"bytes": 0}}),
        json!({"no_such_word": 1}),
        json!({"fault": {"status": {"status": 200}}}),
        json!({"headers": {"bad name": "x"}}),
    ] {
        let refused = control(&emulator, "PUT", "sk-test/default", &script).await;
        assert_eq!(refused.status(), 400, "{script}");
        assert!(refused.json()["error"].is_string());
    }
    assert_eq!(chat(&emulator, &chat_body("Hi", false)).await.status(), 200);
}

#[tokio::test]
async fn calls_are_recorded_byte_for_byte_and_only_the_last_ones() {
    let emulator =
        Emulator::start(EmulatorOptions { keep_calls: 2, ..EmulatorOptions::default() }).await.unwrap();
    let body =
        "{ \"model\" : \"gpt-4o\",\n\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],  \"x\":1.50 }";
    let bearer = format!("Bearer {OPENAI_KEY}");
    let headers = [("authorization", bearer.as_str()), ("x-stainless-os", "Linux")];
    for number in 0..3 {
        let path = format!("/v1/chat/completions?n={number}");
        let answer = call(&emulator, "POST", &path, &headers, body).await;
        let calls = emulator.credential(OPENAI_KEY).calls();
        let last: &CallRecord = calls.last().unwrap();
        assert_eq!((last.target.as_str(), &last.body[..]), (path.as_str(), body.as_bytes()));
        assert_eq!(last.header("x-stainless-os"), Some("Linux"));
        assert_eq!(last.answer.as_ref().unwrap().body, answer.bytes());
        assert_eq!(last.end, End::Served);
    }
    let over_http = control(&emulator, "GET", "sk-test/calls", &Value::Null).await;
    let calls: Vec<CallRecord> = serde_json::from_value(over_http.json()).unwrap();
    assert_eq!(calls, emulator.credential(OPENAI_KEY).calls());
    assert_eq!(calls.len(), 2);
}

#[tokio::test]
async fn usage_can_be_scripted_for_both_wires() {
    let emulator = emulator().await;
    let usage = UsageScript {
        input: Some(10),
        cache_read: Some(200),
        cache_write_5m: Some(30),
        cache_write_1h: Some(4),
        output: Some(50),
        reasoning: Some(7),
    };
    emulator.credential(ANTHROPIC_KEY).set_default(Behaviour::default().with_usage(usage)).unwrap();
    emulator.credential(OPENAI_KEY).set_default(Behaviour::default().with_usage(usage)).unwrap();
    let counted = messages(&emulator, &message_body("Hi", false)).await.json()["usage"].clone();
    assert_eq!(
        (
            &counted["input_tokens"],
            &counted["cache_read_input_tokens"],
            &counted["cache_creation_input_tokens"]
        ),
        (&json!(10), &json!(200), &json!(34))
    );
    let counted = chat(&emulator, &chat_body("Hi", false)).await.json()["usage"].clone();
    assert_eq!(counted["prompt_tokens"], 244);
    assert_eq!(counted["prompt_tokens_details"]["cached_tokens"], 200);
    assert_eq!(counted["completion_tokens_details"]["reasoning_tokens"], 7);
}

#[tokio::test]
async fn a_profile_says_who_is_known_and_what_they_may_use() {
    let emulator = emulator().await;
    let credential = emulator.credential(OPENAI_KEY);
    credential.set_profile(Profile { models: Some(vec!["house-model".into()]), ..Profile::default() });
    assert_eq!(chat(&emulator, &chat_body("Hi", false)).await.status(), 404);
    let mut body = chat_body("Hi", false);
    body["model"] = json!("house-model");
    assert_eq!(chat(&emulator, &body).await.status(), 200);
    credential.set_profile(Profile { strict: true, ..Profile::default() });
    let mut body = chat_body("Hi", false);
    body["max_output"] = json!(1);
    assert_eq!(chat(&emulator, &body).await.json()["error"]["code"], "unknown_parameter");
    credential.set_profile(Profile { known: false, ..Profile::default() });
    assert_eq!(chat(&emulator, &chat_body("Hi", false)).await.status(), 401);
}

#[tokio::test]
async fn only_listed_keys_are_known_when_there_is_a_list() {
    let options = EmulatorOptions { keys: Some(vec!["sk-listed".into()]), ..EmulatorOptions::default() };
    let emulator = Emulator::start(options).await.unwrap();
    assert_eq!(chat(&emulator, &chat_body("Hi", false)).await.status(), 401);
    let headers = [("authorization", "Bearer sk-listed")];
    let body = chat_body("Hi", false).to_string();
    assert_eq!(call(&emulator, "POST", "/v1/chat/completions", &headers, &body).await.status(), 200);
}

#[tokio::test]
async fn listing_models_leaves_the_queue_alone() {
    let emulator = emulator().await;
    let script = emulator.credential(OPENAI_KEY);
    script.next(Behaviour::status(500)).unwrap();
    let bearer = format!("Bearer {OPENAI_KEY}");
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(call(&emulator, "GET", "/v1/models", &headers, "").await.status(), 200);
    assert_eq!(script.counters().queued, 1);
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_under_a_new_name() {
    let emulator = emulator().await;
    let body = message_body("Hi", true);
    let first = messages(&emulator, &body).await.events();
    let second = messages(&emulator, &body).await.events();
    let name = |events: &[Value]| events.first().unwrap()["message"]["id"].clone();
    assert_ne!(name(&first), name(&second));
    assert_eq!(first.get(1..), second.get(1..));
}

#[tokio::test]
async fn stopping_closes_connections_in_any_state() {
    let emulator = emulator().await;
    let script = emulator.credential(OPENAI_KEY);
    script.next(Behaviour::chunked(4).with_hold(Position::Frame(1))).unwrap();
    let mut raw = Raw::connect(emulator.addr()).await;
    raw.send_chat(&chat_body("abcd", true)).await;
    raw.head().await.unwrap();
    raw.chunk().await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), emulator.stop()).await.unwrap();
    assert!(raw.chunk().await.is_none());
}
