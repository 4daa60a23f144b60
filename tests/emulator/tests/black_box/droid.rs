use emulator::{Behaviour, Emulator, Fault, Position};
use serde_json::{Value, json};

use crate::client::{Answer, call, chat_body, emulator, message_body};

const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");

async fn ask(emulator: &Emulator, path: &str, key: &str, body: &Value) -> Answer {
    let (bearer, body) = (format!("Bearer {key}"), body.to_string());
    let headers = [("authorization", bearer.as_str()), VERSION];
    Box::pin(call(emulator, "POST", path, &headers, &body)).await
}

#[tokio::test]
async fn each_wire_is_answered_in_its_own_form() {
    let emulator = emulator().await;
    let responses = json!({"model": "gpt-5.1", "input": "Hi"});
    let mut other_maker = chat_body("Hi", false);
    other_maker["model"] = json!("glm-4.6");
    for (path, body, place) in [
        ("/droid/a/v1/messages", message_body("Hi", false), "/content/0/text"),
        ("/droid/o/v1/responses", responses, "/output/0/content/0/text"),
        ("/droid/o/v1/chat/completions", other_maker, "/choices/0/message/content"),
    ] {
        let said = ask(&emulator, path, "fk-test", &body).await.json();
        assert_eq!(said.pointer(place), Some(&json!("Hi")), "{path}");
    }
    assert_eq!(emulator.credential("fk-test").counters().requests, 3);
}

#[tokio::test]
async fn only_its_own_keys_are_known() {
    let emulator = emulator().await;
    for (path, kind) in [
        ("/droid/a/v1/messages", "authentication_error"),
        ("/droid/o/v1/responses", "invalid_request_error"),
        ("/droid/o/v1/chat/completions", "invalid_request_error"),
    ] {
        for key in ["sk-test", "fk-unknown"] {
            let refused = ask(&emulator, path, key, &json!({})).await;
            assert_eq!((refused.status(), refused.json()["error"]["type"].as_str()), (401, Some(kind)));
        }
        let headers = [("x-api-key", "fk-test"), VERSION];
        assert_eq!(call(&emulator, "POST", path, &headers, "{}").await.status(), 401);
    }
}

#[tokio::test]
async fn errors_under_way_have_the_form_of_the_wire() {
    let emulator = emulator().await;
    let responses = json!({"model": "gpt-5.1", "input": "Hi", "stream": true});
    for (path, body, start) in [
        (
            "/droid/a/v1/messages",
            message_body("Hi", true),
            "event: error\ndata: {\"type\":\"error\",\"error\"",
        ),
        ("/droid/o/v1/responses", responses, "event: error\ndata: {"),
        ("/droid/o/v1/chat/completions", chat_body("Hi", true), "data: {\"error\""),
    ] {
        let fault = Fault::ErrorEvent { at: Position::Content(1), status: 500, error: None };
        emulator.credential("fk-test").next(Behaviour::failing(fault)).unwrap();
        let text = ask(&emulator, path, "fk-test", &body).await.text();
        let last = text.trim_end().rsplit("\n\n").next().unwrap();
        assert!(last.starts_with(start), "{last}");
    }
}
