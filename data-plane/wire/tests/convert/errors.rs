//! Errors of upstreams, in each client's wire.

use serde_json::{Map, Value, json};
use shared::wire::Wire;
use wire::{
    convert::{error_answer, error_body, error_events},
    error::upstream::UpstreamError,
};

use crate::{cases::hold, printed};

const ERRORS: [(&str, u16, &str); 14] = [
    (
        "chat out of quota",
        429,
        r#"{"error":{"message":"You exceeded your quota.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
    ),
    (
        "responses bad request",
        400,
        r#"{"error":{"message":"Unknown parameter: 'x'.","type":"invalid_request_error","param":"x","code":"unknown_parameter"}}"#,
    ),
    (
        "messages overloaded",
        529,
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
    ),
    (
        "messages wrong key",
        401,
        r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
    ),
    (
        "gemini exhausted",
        429,
        r#"{"error":{"code":429,"message":"Resource has been exhausted.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"7s"}]}}"#,
    ),
    (
        "gemini in a list",
        400,
        r#"[{"error":{"code":400,"message":"Invalid value at 'contents'","status":"INVALID_ARGUMENT"}}]"#,
    ),
    ("converse", 400, r#"{"message":"The provided model identifier is invalid."}"#),
    (
        "messages too long",
        400,
        r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 219898 tokens > 200000 maximum"}}"#,
    ),
    (
        "responses too long",
        400,
        r#"{"error":{"message":"Your input exceeds the context window of this model. Please adjust your input and try again.","type":"invalid_request_error","param":"input","code":"context_length_exceeded"}}"#,
    ),
    (
        "chat too long",
        413,
        r#"{"error":{"message":"This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 tokens. Please reduce the length of the messages.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
    ),
    (
        "gemini too long",
        400,
        r#"{"error":{"code":400,"message":"The input token count (1200293) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}"#,
    ),
    ("converse too long", 400, r#"{"message":"Input is too long for requested model."}"#),
    ("a page", 502, "<html>Bad Gateway</html>"),
    ("nothing", 503, ""),
];

#[test]
fn a_conversation_that_is_too_long_is_a_bad_request_whatever_it_was() {
    let said = UpstreamError {
        message: "Input is too long for requested model.".into(),
        ..UpstreamError::default()
    };
    for client in Wire::ALL {
        assert_eq!(error_answer(client, 413, &said, "01J").0, 400);
    }
    let (status, _) = error_answer(Wire::Chat, 529, &UpstreamError::default(), "01J");
    assert_eq!(status, 529);
    let events = error_events(Wire::Responses, 413, &said, "01J");
    let failed = r#""status":"failed","error":{"code":"context_length_exceeded""#;
    assert!(String::from_utf8_lossy(&events).contains(failed), "{events:?}");
}

#[test]
fn each_error_becomes_what_it_must() {
    let found: Map<String, Value> = ERRORS
        .into_iter()
        .map(|(name, status, body)| {
            let of = |client: Wire| {
                (client.as_str(), printed::json(&error_body(client, status, body.as_bytes(), "01J").0))
            };
            let said = error_body(Wire::Chat, status, body.as_bytes(), "01J").1;
            let mut clients: Map<String, Value> =
                Wire::ALL.into_iter().map(of).map(|(name, body)| (name.to_owned(), body)).collect();
            let retry_after = said.retry_after.map(|after| after.as_secs());
            clients.insert(
                "said".to_owned(),
                json!({ "status": said.status, "kind": said.kind, "code": said.code, "message": said.message, "retry_after": retry_after }),
            );
            (name.to_owned(), clients.into())
        })
        .collect();
    hold("errors", "all", "bodies", &printed::spread(&found.into(), 2));
}
