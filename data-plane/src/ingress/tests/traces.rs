//! A client's trace goes with its request, and every answer has an id to ask about it by.

use http::{Method, Request};
use shared::account::AccountType;

use super::{
    gateway::{Gateway, Given, claude, openai, pattern},
    upstream::{Upstream, json},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const MESSAGE: &str = r#"{"id":"m","type":"message","role":"assistant","model":"claude-opus-5","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":9}}"#;
const COMPLETION: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-5","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":9}}"#;
const RESPONSE: &str = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"gpt-5","output":[],"usage":{"input_tokens":7,"output_tokens":9,"total_tokens":16}}"#;
const CONTENT: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":9}}"#;

fn responses(url: String) -> Given {
    Given { kind: AccountType::OpenaiResponses, ..openai(url) }
}

fn gemini(url: String) -> Given {
    let change =
        |account: &mut crate::snapshot::Account| account.allowed_models = vec![pattern("gemini-3-pro")];
    Given { kind: AccountType::GeminiApi, url, change }
}

type Account = fn(String) -> Given;
const CLAUDE: (Account, &str, &str) = (claude, "claude-opus-5", MESSAGE);
const OPENAI: (Account, &str, &str) = (openai, "gpt-5", COMPLETION);
const RESPONSES: (Account, &str, &str) = (responses, "gpt-5", RESPONSE);
const GEMINI: (Account, &str, &str) = (gemini, "gemini-3-pro", CONTENT);

#[tokio::test]
async fn a_trace_goes_on_from_every_wire_raw_and_converted_and_is_recorded() {
    let messages = r#"{"model":"MODEL","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#;
    let contents = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    for (path, body, accounts) in [
        // The gateway asks for this model by Responses.
        ("/v1/messages", messages, [CLAUDE, (openai, "gpt-5", RESPONSE)]),
        ("/v1/chat/completions", messages, [OPENAI, GEMINI]),
        ("/v1/responses", r#"{"model":"MODEL","input":"hi"}"#, [RESPONSES, CLAUDE]),
        ("/v1beta/models/MODEL:generateContent", contents, [GEMINI, CLAUDE]),
    ] {
        for (account, model, answer) in accounts {
            let upstream = Upstream::always(json(200, answer)).await;
            let gateway = Gateway::start(vec![account(upstream.url())]).await;
            let request = || gateway.request(&path.replace("MODEL", model), &body.replace("MODEL", model));
            let mut traced = request();
            traced.headers_mut().insert("traceparent", PARENT.parse().unwrap());
            traced.headers_mut().append("tracestate", "a=1".parse().unwrap());
            traced.headers_mut().append("tracestate", "b=2".parse().unwrap());
            let answer = gateway.send(traced).await;
            assert_eq!(answer.status, 200, "{path} {model}: {}", answer.text());
            let mut malformed = request();
            malformed.headers_mut().insert("traceparent", PARENT.to_uppercase().parse().unwrap());
            malformed.headers_mut().insert("tracestate", "a=1".parse().unwrap());
            for request in [malformed, request()] {
                assert_eq!(gateway.send(request).await.status, 200);
            }

            let received = upstream.received();
            assert_eq!(received[0].header("traceparent"), Some(PARENT), "{path} {model}");
            let states: Vec<_> =
                received[0].head.lines().filter(|line| line.starts_with("tracestate")).collect();
            assert_eq!(states, ["tracestate: a=1", "tracestate: b=2"]);
            for untraced in &received[1..] {
                assert_eq!((untraced.header("traceparent"), untraced.header("tracestate")), (None, None));
            }
            let records = gateway.records(3).await;
            let traces = records.iter().map(|record| record.open.as_ref().unwrap().trace_id.clone());
            let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            assert_eq!(traces.map(hex).collect::<Vec<_>>(), [TRACE, "", ""]);
        }
    }
}

#[tokio::test]
async fn every_answer_carries_an_id() {
    let upstream = Upstream::always(json(200, MESSAGE)).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let mut ids = Vec::new();
    for (method, path) in [
        (Method::GET, "/v1/models"),
        (Method::GET, "/v1/models/claude-opus-5"),
        (Method::GET, "/v1/models/unknown"),
        (Method::GET, "/v1beta/models"),
        (Method::GET, "/nowhere"),
        (Method::GET, "/v1/messages"),
        (Method::GET, "/v1/responses"),
        (Method::HEAD, "/"),
        (Method::GET, "/healthz"),
        (Method::GET, "/readyz"),
        (Method::GET, "/metrics"),
        (Method::POST, "/v1/messages"),
    ] {
        let request = Request::builder().method(&method).uri(format!("{}{path}", gateway.base));
        let request = request.header("x-api-key", super::gateway::KEY).body(http_body_util::Full::default());
        let answer = gateway.send(request.unwrap()).await;
        let id = answer.headers.get("x-request-id").unwrap_or_else(|| panic!("{method} {path}"));
        let id: shared::id::RequestId = id.to_str().unwrap().parse().unwrap();
        assert!(!ids.contains(&id), "{method} {path}");
        ids.push(id);
    }
    let mut messages = gateway.request("/v1/models", "");
    *messages.method_mut() = Method::GET;
    messages.headers_mut().insert("anthropic-version", "2023-06-01".parse().unwrap());
    let answer = gateway.send(messages).await;
    assert_eq!(answer.headers["request-id"], answer.headers["x-request-id"]);
}
