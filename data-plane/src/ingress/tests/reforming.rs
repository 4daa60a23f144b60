//! Answers in another form than they were asked for in: whole instead of streamed, streamed instead of whole.

use proto::v1::{Outcome, Usage};

use super::{
    gateway::{Gateway, claude, openai},
    upstream::{Gate, Script, Step, Upstream, json, send, sse, sse_head},
};

const STREAMED: &str = r#"{"model":"claude-opus-5","stream":true,"messages":[],"max_tokens":1}"#;
const WHOLE: &str = r#"{"id":"m","type":"message","role":"assistant","model":"claude-opus-5-0101","content":[{"type":"text","text":"hi"},{"type":"tool_use","id":"t","name":"f","input":{"a":1}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":9}}"#;

const CHAT_STREAMED: &str = r#"{"model":"gpt-5","stream":true,"messages":[]}"#;
const CHAT_WHOLE: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-5-0101","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"length"}],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}"#;
const CHAT_FRAMES: [&str; 4] = [
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-5-0101\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"h\"},\"logprobs\":{\"content\":[1]},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-5-0101\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"i\"},\"logprobs\":{\"content\":[2]},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-5-0101\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9}}\n\n",
    "data: [DONE]\n\n",
];

fn used() -> Option<Usage> {
    Some(Usage { input: 7, output: 9, ..Usage::default() })
}

/// The `data` of an answer's frames.
fn frames(text: &str) -> Vec<serde_json::Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[tokio::test]
async fn a_whole_message_is_streamed_to_who_asked_for_a_stream() {
    let upstream = Upstream::always(json(200, WHOLE)).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let answer = gateway.post("/v1/messages", STREAMED).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/event-stream"));
    let frames = frames(answer.text());
    let kinds: Vec<_> = frames.iter().map(|frame| frame["type"].as_str().unwrap()).collect();
    let block = ["content_block_start", "content_block_delta", "content_block_stop"];
    assert_eq!(
        kinds,
        [&["message_start"], &block[..], &block[..], &["message_delta", "message_stop"]].concat()
    );
    assert_eq!(frames[0]["message"]["usage"]["input_tokens"], 7);
    assert_eq!(frames[2]["delta"]["text"], "hi");
    assert_eq!(frames[5]["delta"]["partial_json"], "{\"a\":1}");
    assert_eq!(frames[7]["delta"]["stop_reason"], "tool_use");
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.status, record.estimated), (Outcome::Completed, 200, false));
    assert_eq!(
        (record.attempts[0].usage, record.attempts[0].model_served.as_str()),
        (used(), "claude-opus-5-0101")
    );
}

#[tokio::test]
async fn a_whole_chat_completion_is_streamed_to_who_asked_for_a_stream() {
    let upstream = Upstream::always(json(200, CHAT_WHOLE)).await;
    let gateway = Gateway::start(vec![openai(upstream.url())]).await;
    let answer = gateway.post("/v1/chat/completions", CHAT_STREAMED).await;
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    let frames = frames(answer.text());
    assert!(frames.iter().all(|frame| frame["object"] == "chat.completion.chunk"));
    assert!(frames.iter().all(|frame| frame.get("usage").is_none()), "it was not asked for");
    let last = frames.last().unwrap();
    assert_eq!(
        (&frames[1]["choices"][0]["delta"]["content"], &last["choices"][0]["finish_reason"]),
        (&"hi".into(), &"length".into())
    );
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.attempts[0].usage), (Outcome::Completed, used()));
}

#[tokio::test]
async fn a_stream_is_gathered_for_who_asked_for_one_answer() {
    let upstream = Upstream::always(sse(&CHAT_FRAMES)).await;
    let gateway = Gateway::start(vec![openai(upstream.url())]).await;
    let answer = gateway.post("/v1/chat/completions", r#"{"model":"gpt-5","messages":[]}"#).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let body = answer.json();
    assert_eq!(body["object"], "chat.completion");
    let choice = &body["choices"][0];
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&"hi".into(), &"length".into()));
    assert_eq!(choice["logprobs"], serde_json::json!({"content": [1, 2]}));
    assert_eq!(body["usage"]["completion_tokens"], 9);
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.attempts[0].usage), (Outcome::Completed, used()));
}

/// As `sse`, with another content type or none.
fn unlabelled(content_type: &str, frames: &[&str]) -> Script {
    let head = format!("HTTP/1.1 200 OK\r\n{content_type}transfer-encoding: chunked\r\n\r\n");
    let frames = frames.iter().map(|frame| send(frame));
    [Step::Send(head.into_bytes())].into_iter().chain(frames).chain([super::upstream::end()]).collect()
}

#[tokio::test]
async fn a_stream_that_does_not_say_that_it_is_one_passes_as_it_comes() {
    for content_type in ["", "content-type: text/plain\r\n"] {
        let upstream = Upstream::always(unlabelled(content_type, &CHAT_FRAMES)).await;
        let gateway = Gateway::start(vec![openai(upstream.url())]).await;
        let asked =
            CHAT_STREAMED.replace("\"messages\"", "\"stream_options\":{\"include_usage\":true},\"messages\"");
        let answer = gateway.post("/v1/chat/completions", &asked).await;
        assert_eq!(answer.text(), CHAT_FRAMES.concat().replace("gpt-5-0101", "gpt-5"));
        let record = gateway.records(1).await.remove(0);
        assert_eq!((record.outcome(), record.attempts[0].usage), (Outcome::Completed, used()));
    }
}

#[tokio::test]
async fn what_is_no_answer_at_all_is_asked_of_another_account() {
    let page = unlabelled("content-type: text/html\r\n", &["<html>log in</html>"]);
    for bad in [page, json(200, r#"{"message":"ok"}"#), json(200, "{")] {
        let bad = Upstream::always(bad).await;
        let good = Upstream::always(json(200, WHOLE)).await;
        let gateway = Gateway::start(vec![claude(bad.url()), claude(good.url())]).await;
        let answer = gateway.post("/v1/messages", STREAMED).await;
        assert_eq!(frames(answer.text()).last().unwrap()["type"], "message_stop", "{}", answer.text());
        let record = gateway.records(1).await.remove(0);
        assert_eq!((record.outcome(), record.attempts.len()), (Outcome::Completed, 2));
    }
}

#[tokio::test]
async fn a_whole_answer_goes_on_with_a_stream_that_had_begun() {
    let gate = Gate::new();
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"first\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
    let ping = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
    let bad =
        Upstream::always(vec![sse_head(), send(start), send(ping), Step::Wait(gate.clone()), Step::Cut])
            .await;
    let good = Upstream::always(json(200, WHOLE)).await;
    let gateway = Gateway::start(vec![claude(bad.url()), claude(good.url())]).await;
    let answer = gateway.open(gateway.request("/v1/messages", STREAMED)).await;
    gate.open();
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(text.matches("message_start\"").count(), 1, "{text}");
    let frames = frames(&text);
    assert_eq!(
        (&frames[0]["message"]["id"], &frames.last().unwrap()["type"]),
        (&"first".into(), &"message_stop".into())
    );
    assert!(text.contains("\"hi\"") && !text.contains("error"), "{text}");
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.attempts.len()), (Outcome::Completed, 2));
    assert_eq!(record.attempts[1].usage, used());
}
