//! Bodies that are not what was asked for.

use super::*;
use crate::rest::extract::MAX_BODY_BYTES;

async fn post(api: &TestApi, content_type: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post("/api/auth/login")
        .header(header::CONTENT_TYPE, content_type)
        .body(body.into())
        .unwrap();
    api.send(request, HOME).await
}

#[tokio::test]
async fn each_is_refused_as_a_problem() {
    let api = TestApi::start().await;
    let json = "application/json";
    for (content_type, body, refusal) in [
        (json, "{", (400, "invalid_json")),
        (json, "", (400, "invalid_json")),
        (json, "{\"username\":\"a\",\"password\":\"b\"} trailing", (400, "invalid_json")),
        ("text/plain", "{\"username\":\"a\",\"password\":\"b\"}", (415, "json_expected")),
        ("application/x-www-form-urlencoded", "username=a&password=b", (415, "json_expected")),
        (json, "{\"username\":\"a\"}", (422, "invalid_fields")),
        (json, "{\"username\":\"a\",\"password\":1}", (422, "invalid_fields")),
        (json, "[]", (422, "invalid_fields")),
    ] {
        let answer = post(&api, content_type, body).await;
        assert_eq!(answer.refusal(), refusal, "{body}");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/problem+json");
        assert_eq!(answer.body["status"], refusal.0);
        assert!(
            !answer.body["title"].as_str().unwrap().is_empty()
                && !answer.body["detail"].as_str().unwrap().is_empty()
        );
    }
    let with_charset =
        post(&api, "application/json; charset=utf-8", "{\"username\":\"a\",\"password\":\"b\"}").await;
    assert_eq!(with_charset.refusal(), (401, "invalid_credentials"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_also_without_a_length() {
    let api = TestApi::start().await;
    let fits = format!("{{\"username\":\"{}\",\"password\":\"b\"}}", "a".repeat(MAX_BODY_BYTES - 100));
    assert_eq!(post(&api, "application/json", fits).await.refusal(), (401, "invalid_credentials"));
    let over = "a".repeat(MAX_BODY_BYTES + 1);
    assert_eq!(post(&api, "application/json", over.clone()).await.refusal(), (413, "body_too_large"));
    let pieces = over
        .into_bytes()
        .chunks(10_000)
        .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
        .collect::<Vec<_>>();
    let streamed = Body::from_stream(futures_util::stream::iter(pieces));
    assert_eq!(post(&api, "application/json", streamed).await.refusal(), (413, "body_too_large"));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told_apart() {
    let api = TestApi::start().await;
    let pieces = vec![Ok(b"{\"user".to_vec()), Err(std::io::Error::other("gone"))];
    let answer = post(&api, "application/json", Body::from_stream(futures_util::stream::iter(pieces))).await;
    assert_eq!(answer.refusal(), (400, "body_unreadable"));
}

#[tokio::test]
async fn a_body_that_never_ends_is_408() {
    let api = TestApi::start().await;
    tokio::time::pause();
    let never = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    assert_eq!(post(&api, "application/json", never).await.refusal(), (408, "body_timeout"));
}

#[tokio::test]
async fn the_refused_value_does_not_come_back() {
    let api = TestApi::start().await;
    let body = json!({ "username": "ann", "password": ["my secret"] });
    let answer = api.post("/api/auth/login").json(body).send().await;
    assert_eq!(answer.body["errors"][0]["field"], "password");
    assert!(!answer.text.contains("my secret"), "{}", answer.text);
}
