//! What passes, passes as it is; what was used is written down.

use http::Method;
use proto::v1::{Outcome, Usage};

use super::{
    gateway::{Gateway, KEY, claude, openai, pattern},
    upstream::{Upstream, json, json_with, sse},
};
use crate::snapshot::Options;

/// Order, blanks and unknown fields are the client's.
const MESSAGES: &str = r#"{ "max_tokens" : 5,"unknown":{"b":1,"a":[ ]}, "model":"claude-opus-5","messages":[{"role":"user","content":"h\u00e9"}]}"#;
const MESSAGE: &str = r#"{"id":"msg_1","type":"message","model":"claude-opus-5-0101","usage":{"input_tokens":7,"output_tokens":3,"cache_read_input_tokens":2}, "odd" :1}"#;

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"claude-opus-5-0101\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const STOP: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

#[tokio::test]
async fn a_message_passes_byte_for_byte_and_its_usage_is_recorded() {
    let upstream =
        Upstream::always(json_with(200, "request-id: req_up\r\nset-cookie: a=b\r\n", MESSAGE)).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let mut request = gateway.request("/v1/messages?beta=true&key=sk-other", MESSAGES);
    let headers = request.headers_mut();
    headers.insert("anthropic-beta", "one,two".parse().unwrap());
    headers.insert("x-stainless-os", "Linux".parse().unwrap());
    headers.insert("user-agent", "claude-cli/2.0.0".parse().unwrap());
    headers.insert("accept-encoding", "gzip".parse().unwrap());
    let answer = gateway.send(request).await;

    let told = MESSAGE.replace("claude-opus-5-0101", "claude-opus-5");
    assert_eq!((answer.status.as_u16(), answer.text()), (200, &*told));
    assert_eq!(answer.headers["request-id"], "req_up");
    assert!(answer.headers.get("set-cookie").is_none());
    let received = &upstream.received()[0];
    assert_eq!(received.line(), "POST /v1/messages?beta=true HTTP/1.1");
    assert_eq!(String::from_utf8_lossy(&received.body), MESSAGES);
    for (name, value) in [
        ("anthropic-beta", Some("one,two")),
        ("anthropic-version", Some("2023-06-01")),
        ("x-stainless-os", Some("Linux")),
        ("user-agent", Some("claude-cli/2.0.0")),
        ("accept-encoding", Some("identity")),
        ("via", Some("1.1 switchyard")),
        ("x-api-key", Some("sk-ant-upstream-1")),
        ("authorization", None),
    ] {
        assert_eq!(received.header(name), value, "{name}");
    }
    assert!(!received.head.contains(KEY), "the client's key goes nowhere");

    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.status, record.estimated), (Outcome::Completed, 200, false));
    let id = shared::id::RequestId::try_from(record.open.as_ref().unwrap().request_id.as_slice()).unwrap();
    assert_eq!(answer.headers["x-request-id"], id.to_string());
    let attempt = &record.attempts[0];
    assert_eq!(attempt.model_served, "claude-opus-5-0101");
    assert_eq!(attempt.usage, Some(Usage { input: 7, cache_read: 2, output: 3, ..Usage::default() }));
}

#[tokio::test]
async fn a_messages_stream_passes_byte_for_byte() {
    let upstream =
        Upstream::always(sse(&[START, DELTA, "event: ping\ndata: {\"type\": \"ping\"}\n\n", STOP])).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let answer = gateway
        .post("/api/v1/messages", r#"{"model":"claude-opus-5","stream":true,"messages":[],"max_tokens":1}"#)
        .await;
    let sent = [START, DELTA, "event: ping\ndata: {\"type\": \"ping\"}\n\n", STOP].concat();
    assert_eq!(answer.text(), sent.replace("claude-opus-5-0101", "claude-opus-5"));
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    assert_eq!(answer.headers["request-id"], answer.headers["x-request-id"], "the upstream gave none");
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.estimated), (Outcome::Completed, false));
    assert!(record.first_token_ms.is_some());
    assert!(record.open.unwrap().stream);
    assert_eq!(record.attempts[0].usage, Some(Usage { input: 7, output: 9, ..Usage::default() }));
}

#[tokio::test]
async fn a_chat_stream_is_asked_for_usage_and_the_client_who_did_not_ask_does_not_see_it() {
    let content = "data: {\"id\":\"c\",\"model\":\"gpt-5-0101\",\"choices\":[{\"delta\":{\"content\":\"hi\"}}],\"usage\":null}\n\n";
    let usage = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":6}}}\n\n";
    let done = "data: [DONE]\n\n";
    let upstream = Upstream::always(sse(&[content, usage, done])).await;
    let gateway = Gateway::start(vec![openai(upstream.url())]).await;

    let answer =
        gateway.post("/v1/chat/completions", r#"{"model":"gpt-5","stream":true,"messages":[]}"#).await;
    let told = content.replace("gpt-5-0101", "gpt-5");
    assert_eq!(answer.text(), told.replace(",\"usage\":null", "") + done);
    let sent: serde_json::Value = serde_json::from_slice(&upstream.received()[0].body).unwrap();
    assert_eq!(sent["stream_options"]["include_usage"], true);
    assert_eq!(upstream.received()[0].header("authorization"), Some("Bearer sk-ant-upstream-1"));

    let asked = r#"{"model":"gpt-5","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
    let answer = gateway.post("/v1/chat/completions", asked).await;
    assert_eq!(answer.text(), [&*told, usage, done].concat());
    assert_eq!(String::from_utf8_lossy(&upstream.received()[1].body), asked);
    for record in gateway.records(2).await {
        let usage = Usage { input: 4, cache_read: 6, output: 4, ..Usage::default() };
        assert_eq!(record.attempts[0].usage, Some(usage));
        assert!(!record.estimated);
    }
}

#[tokio::test]
async fn names_are_mapped_on_the_way_and_recorded_as_they_were_asked_mapped_and_served() {
    let upstream = Upstream::always(json(
        200,
        r#"{"model":"served","usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
    ))
    .await;
    let gateway = Gateway::start(vec![openai(format!("{}/v1/", upstream.url())).but(|account| {
        account.model_mapping = vec![(pattern("gpt-*"), "local-model".into())];
        account.upstream.options =
            Options::OpenAi { organization: Some("org-1".into()), project: None, chatgpt_account_id: None };
    })])
    .await;
    let mut request =
        gateway.request("/openai/v1/chat/completions", r#"{"model":"openai,gpt-5","messages":[]}"#);
    request.headers_mut().insert("openai-project", "of-the-client".parse().unwrap());
    assert_eq!(gateway.send(request).await.status, 200);
    let received = &upstream.received()[0];
    assert_eq!(received.line(), "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(received.body, br#"{"model":"local-model","messages":[]}"#);
    assert_eq!(received.header("openai-organization"), Some("org-1"));
    assert_eq!(received.header("openai-project"), None);
    let record = gateway.records(1).await.remove(0);
    assert_eq!(record.open.unwrap().model_requested, "openai,gpt-5");
    assert_eq!(
        (&*record.attempts[0].model_mapped, &*record.attempts[0].model_served),
        ("local-model", "served")
    );
}

#[tokio::test]
async fn embeddings_are_metered_and_counting_tokens_is_not() {
    let upstream = Upstream::start(|_, received| {
        if received.line().contains("count_tokens") {
            json(200, r#"{"input_tokens":12}"#)
        } else {
            json(200, r#"{"data":[],"model":"e","usage":{"prompt_tokens":5,"total_tokens":5}}"#)
        }
    })
    .await;
    let gateway = Gateway::start(vec![claude(upstream.url()), openai(upstream.url())]).await;
    let counted =
        gateway.post("/v1/messages/count_tokens", r#"{"model":"claude-opus-5","messages":[]}"#).await;
    assert_eq!(counted.text(), r#"{"input_tokens":12}"#);
    let embedded = gateway.post("/v1/embeddings", r#"{"model":"text-embedding-3","input":"a"}"#).await;
    assert_eq!(embedded.status, 200);
    let records = gateway.records(1).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].attempts[0].usage, Some(Usage { input: 5, ..Usage::default() }));
}

#[tokio::test]
async fn models_are_listed_in_the_shape_that_the_client_knows() {
    let gateway = Gateway::start(vec![
        claude("http://127.0.0.1:1".into()),
        openai("http://127.0.0.1:1".into()).but(|account| account.allowed_models = vec![pattern("local-1")]),
    ])
    .await;
    let bearer = ("authorization", "Bearer sk-test");
    let chat = gateway.get("/v1/models", &[bearer]).await.json();
    assert_eq!(chat["data"][0]["id"], "claude-opus-5");
    assert_eq!(chat["data"][1]["id"], "local-1", "gpt-5 has a price, and the account does not allow it");
    assert_eq!(chat["data"].as_array().unwrap().len(), 2);
    let messages = gateway
        .get("/v1/models?limit=1000", &[("x-api-key", KEY), ("anthropic-version", "2023-06-01")])
        .await
        .json();
    assert_eq!(
        (&messages["data"][0]["type"], &messages["first_id"]),
        (&"model".into(), &"claude-opus-5".into())
    );
    assert_eq!(messages["data"][0]["created_at"], "2023-11-14T22:13:20Z");
    let gemini = gateway.get("/gemini/v1beta/models", &[("x-goog-api-key", KEY)]).await.json();
    assert_eq!(gemini["models"].as_array().unwrap().len(), 0);
    let one = gateway.get("/v1/models/local-1", &[bearer]).await.json();
    assert_eq!(one["id"], "local-1");
    assert_eq!(gateway.get("/v1/models/gpt-5", &[bearer]).await.status, 404);
    assert_eq!(gateway.get("/v1/models", &[]).await.status, 401);
}

#[tokio::test]
async fn health_and_metrics_are_there_for_everyone() {
    let gateway = Gateway::start(Vec::new()).await;
    assert_eq!(gateway.get("/healthz", &[]).await.text(), "ok\n");
    assert_eq!(gateway.get("/readyz", &[]).await.status, 200);
    assert!(gateway.get("/metrics", &[]).await.text().contains("switchyard_requests_total"));
    let mut head = gateway.request("/", "");
    *head.method_mut() = Method::HEAD;
    assert_eq!(gateway.send(head).await.status, 200);
}

/// Long enough for memory of its own, and for a body in pieces.
#[tokio::test]
async fn a_large_image_arrives_whole_raw_and_converted_at_each_account_that_is_tried() {
    const ANSWER: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-5","content":[{"type":"text","text":"a dot"}],"stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":3}}"#;
    let image = "iVBORw0KGgo=".repeat(200_000);
    let body = format!(
        r#"{{"model":"claude-opus-5","max_tokens":5,"messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{image}"}}}}]}}]}}"#
    );
    let upstream = Upstream::start(|number, _| match number {
        0 => json(529, "{}"),
        _ => json(200, ANSWER),
    })
    .await;
    let gateway = Gateway::start(vec![claude(upstream.url()), claude(upstream.url())]).await;
    let answer = gateway.post("/v1/chat/completions", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let received = upstream.received();
    assert_eq!(received.len(), 2);
    for sent in &received {
        let sent: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
        assert!(sent["messages"][0]["content"][0]["source"]["data"] == image.as_str());
    }
    assert!(received[0].body == received[1].body);

    let own = body.replace("image_url", "own");
    assert_eq!(gateway.post("/v1/messages", &own).await.status, 200);
    assert!(upstream.received()[2].body == own.as_bytes());
}
