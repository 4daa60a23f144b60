//! What clients are told of refusals: whether to come again, and nothing of the account's credential.

use super::{
    gateway::{Answer, Gateway, claude},
    upstream::{Script, Upstream, json, json_with, sse},
};

const MESSAGES: &str =
    r#"{"model":"claude-opus-5","messages":[{"role":"user","content":"a question"}],"max_tokens":64}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5","stream":true,"messages":[{"role":"user","content":"a question"}],"max_tokens":64}"#;
const CHAT: &str = r#"{"model":"claude-opus-5","messages":[{"role":"user","content":"a question"}]}"#;
/// Of the first account of a test's gateway.
const CREDENTIAL: &str = "sk-ant-upstream-1";

async fn answered(script: Script, path: &str, body: &str) -> Answer {
    let upstream = Upstream::always(script).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    gateway.post(path, body).await
}

#[tokio::test]
async fn who_asks_what_will_never_be_answered_is_told_not_to_come_again() {
    let gateway = Gateway::start(vec![]).await;
    let mut request = gateway.request("/v1/messages", MESSAGES);
    request.headers_mut().insert("authorization", "Bearer wrong".parse().unwrap());
    request.headers_mut().remove("x-api-key");
    let wrong_key = gateway.send(request).await;
    let wrong_path = gateway.post("/v2/messages", MESSAGES).await;
    for (answer, status) in [(wrong_key, 401), (wrong_path, 404)] {
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(answer.headers["x-should-retry"], "false");
    }
    // An account may come back.
    let upstream = Upstream::always(json(529, "{}")).await;
    let gateway = Gateway::limited(vec![claude(upstream.url())], |policy| policy.retries.max = 0).await;
    let overloaded = gateway.post("/v1/messages", MESSAGES).await;
    assert_eq!((overloaded.status.as_u16(), overloaded.headers.get("x-should-retry")), (529, None));
}

#[tokio::test]
async fn an_upstream_that_repeats_what_it_was_sent_does_not_tell_the_client() {
    let error = |kind: &str| {
        format!(
            r#"{{"type":"error","error":{{"type":"{kind}","message":"bad header Bearer {CREDENTIAL}, really"}}}}"#
        )
    };
    let told = error("invalid_request_error");
    let header = format!("x-debug: got {CREDENTIAL}\r\n");
    for (script, path, body) in [
        (json(400, &told), "/v1/messages", MESSAGES),
        (json(400, &told), "/v1/chat/completions", CHAT),
        (json_with(400, &header, "{}"), "/v1/messages", MESSAGES),
        (sse(&[&format!("event: error\ndata: {told}\n\n")]), "/v1/messages", STREAMED),
    ] {
        let answer = answered(script, path, body).await;
        let head = format!("{:?}", answer.headers);
        assert!(
            !answer.text().contains(CREDENTIAL) && !head.contains(CREDENTIAL),
            "{head} {}",
            answer.text()
        );
        assert!(answer.text().contains("***") || head.contains("***"), "{head} {}", answer.text());
    }
}
