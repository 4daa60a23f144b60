//! Upstreams that fail: another account, or a legal ending.

use std::time::Duration;

use proto::v1::Outcome;

use super::{
    gateway::{Gateway, claude, openai, until},
    upstream::{Gate, Script, Step, Upstream, json, json_with, send, sse, sse_head},
};
use crate::live::MarkKind;

const MESSAGES: &str = r#"{"model":"claude-opus-5","messages":[],"max_tokens":1}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5","stream":true,"messages":[],"max_tokens":1}"#;
const GOOD: &str = r#"{"type":"message","usage":{"input_tokens":1,"output_tokens":1}}"#;

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const STOP: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const OVERLOADED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";

async fn good() -> Upstream {
    Upstream::start(|_, received| {
        if received.body.windows(8).any(|window| window == b"\"stream\"") {
            sse(&[START, DELTA, STOP])
        } else {
            json(200, GOOD)
        }
    })
    .await
}

/// A first account that does this, a second that works; gives the reason recorded for the first.
async fn switched(script: Script, body: &str, change: fn(&mut crate::snapshot::Policy)) -> (String, u32) {
    let (bad, good) = (Upstream::always(script).await, good().await);
    let gateway = Gateway::limited(vec![claude(bad.url()), claude(good.url())], change).await;
    let answer = gateway.post("/v1/messages", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let expected = if body == STREAMED { [START, DELTA, STOP].concat() } else { GOOD.to_owned() };
    assert_eq!(answer.text(), expected, "nothing of the first attempt shows");
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.attempts.len()), (Outcome::Completed, 2));
    assert_eq!(record.attempts[0].outcome(), Outcome::UpstreamError);
    assert_eq!(record.attempts[1].outcome(), Outcome::Completed);
    (record.attempts[0].reason.clone(), record.attempts[0].http_status)
}

#[tokio::test]
async fn every_retryable_status_means_another_account() {
    for status in [401, 402, 403, 408, 429, 500, 502, 503, 504, 529] {
        let (reason, recorded) = switched(json(status, "{}"), MESSAGES, |_| {}).await;
        assert_eq!((reason, recorded), (format!("status_{status}"), u32::from(status)));
    }
}

#[tokio::test]
async fn whatever_goes_wrong_ahead_of_the_first_content_means_another_account() {
    let quick = |limits: &mut crate::snapshot::Policy| {
        limits.first_byte = Duration::from_millis(50);
        limits.idle = Duration::from_millis(50);
    };
    for (script, reason) in [
        (vec![Step::Cut], "cut"),
        (vec![Step::Hang], "first_byte_timeout"),
        (vec![sse_head(), Step::Hang], "stall"),
        (vec![sse_head(), Step::Cut], "cut"),
        (sse(&[]), "cut"),
        (sse(&[START]), "cut"),
        (vec![sse_head(), send(START), Step::Cut], "cut"),
        (sse(&[OVERLOADED]), "stream_error"),
        (sse(&[START, OVERLOADED]), "stream_error"),
        (sse(&["event: message_start\ndata: {\"type\":\n\n"]), "malformed"),
    ] {
        let shown = format!("{script:?}");
        assert_eq!(switched(script, STREAMED, quick).await.0, reason, "{shown}");
    }
    let halved = [Step::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec()), Step::Cut];
    assert_eq!(switched(halved.to_vec(), MESSAGES, quick).await.0, "cut");
}

#[tokio::test]
async fn nobody_listens_there() {
    let good = good().await;
    let gateway = Gateway::start(vec![claude("http://127.0.0.1:1".into()), claude(good.url())]).await;
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
    assert_eq!(gateway.records(1).await[0].attempts[0].reason, "connect");
}

/// TLS, as far as the upstream goes: it takes the connection and says nothing.
#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_means_another_account() {
    let (silent, good) = (Upstream::always(vec![Step::Hang]).await, good().await);
    let over_tls = silent.url().replace("http:", "https:");
    let gateway = Gateway::start(vec![claude(over_tls), claude(good.url())]).await;
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
    assert_eq!(gateway.records(1).await[0].attempts[0].reason, "connect_timeout");
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_is_known_by_its_head_though_the_words_never_come() {
    let head = b"HTTP/1.1 401 X\r\ncontent-length: 100\r\n\r\n{".to_vec();
    let (bad, good) = (Upstream::always(vec![Step::Send(head), Step::Hang]).await, good().await);
    let gateway = Gateway::start(vec![claude(bad.url()), claude(good.url())]).await;
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
    until("the account is told to be invalid", || !gateway.status_writes.waiting().is_empty()).await;
    assert_eq!(gateway.status_writes.waiting()[0].reason, "unauthorized");
}

#[tokio::test]
async fn a_refusal_of_the_request_itself_is_passed_on_in_the_providers_words() {
    let words = r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too many"}, "odd":1}"#;
    let (bad, good) = (Upstream::always(json(400, words)).await, good().await);
    let gateway = Gateway::start(vec![claude(bad.url()), claude(good.url())]).await;
    let answer = gateway.post("/v1/messages", MESSAGES).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (400, words));
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.status, record.attempts.len()), (Outcome::Refused, 400, 1));
    assert!(!record.estimated);
    assert!(good.received().is_empty());
}

#[tokio::test]
async fn a_limited_account_is_left_alone_for_as_long_as_it_says() {
    let (limited, good) =
        (Upstream::always(json_with(429, "retry-after: 100\r\n", "{}")).await, good().await);
    let gateway = Gateway::start(vec![claude(limited.url()), claude(good.url())]).await;
    for _ in 0..3 {
        assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
    }
    assert_eq!((limited.received().len(), good.received().len()), (1, 3));
    let now = gateway.proxy.clock.now();
    let marks = gateway.snapshot.load().accounts[0].state.marks(now);
    assert_eq!((marks[0].kind, marks[0].reason.as_str()), (MarkKind::RateLimited, "status_429"));
    assert!(marks[0].remaining(now) > Duration::from_secs(90));
}

#[tokio::test]
async fn an_overload_told_in_the_stream_marks_the_account_too() {
    let (bad, good) = (Upstream::always(sse(&[OVERLOADED])).await, good().await);
    let gateway = Gateway::start(vec![claude(bad.url()), claude(good.url())]).await;
    assert_eq!(gateway.post("/v1/messages", STREAMED).await.status, 200);
    let marks = gateway.snapshot.load().accounts[0].state.marks(gateway.proxy.clock.now());
    assert_eq!(marks[0].kind, MarkKind::Overloaded);
}

#[tokio::test]
async fn a_refused_credential_is_tested_once_and_not_by_the_clients() {
    let bad = Upstream::always(json(401, r#"{"error":{"message":"invalid x-api-key"}}"#)).await;
    let good = good().await;
    let gateway = Gateway::start(vec![claude(bad.url()), claude(good.url())]).await;
    for _ in 0..3 {
        assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
    }
    until("the test was sent", || bad.received().len() == 4).await;
    let tests = bad
        .received()
        .iter()
        .filter(|received| received.header("content-length") != Some(&MESSAGES.len().to_string()))
        .count();
    assert_eq!(tests, 1);
}

#[tokio::test]
async fn when_all_accounts_fail_the_client_is_told_and_the_record_holds_all_attempts() {
    for (status, told) in [(500, 502), (529, 529), (429, 429), (401, 502), (504, 504)] {
        let bad = Upstream::always(json(status, "{}")).await;
        let gateway = Gateway::limited(vec![claude(bad.url()), claude(bad.url())], |limits| {
            // No time to come back to an account that failed for the moment.
            limits.plain_deadline = Duration::from_millis(500);
        })
        .await;
        let answer = gateway.post("/v1/messages", MESSAGES).await;
        assert_eq!(answer.status.as_u16(), told, "{}", answer.text());
        assert_eq!(answer.json()["type"], "error");
        let record = gateway.records(1).await.remove(0);
        assert_eq!(
            (record.outcome(), record.status, record.attempts.len()),
            (Outcome::UpstreamError, u32::from(told), 2)
        );
        let mut tried: Vec<_> = record.attempts.iter().map(|attempt| attempt.account_id.clone()).collect();
        tried.dedup();
        assert_eq!(tried.len(), 2, "no account twice");
    }
}

#[tokio::test]
async fn a_lone_account_that_failed_for_the_moment_is_tried_again_after_a_while() {
    let upstream =
        Upstream::start(|number, _| if number == 0 { json(500, "{}") } else { json(200, GOOD) }).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let started = std::time::Instant::now();
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(700));
    assert_eq!(gateway.records(1).await[0].attempts.len(), 2);
}

#[tokio::test]
async fn the_deadline_bounds_all_attempts_together() {
    let hanging = Upstream::always(vec![Step::Hang]).await;
    let accounts = (0..20).map(|_| claude(hanging.url())).collect();
    let gateway = Gateway::limited(accounts, |limits| {
        limits.first_byte = Duration::from_millis(40);
        limits.deadline = Duration::from_millis(100);
    })
    .await;
    let answer = gateway.post("/v1/messages", STREAMED).await;
    assert_eq!(answer.status, 504);
    let record = gateway.records(1).await.remove(0);
    assert_eq!(record.attempts.last().unwrap().reason, "deadline");
    assert!(record.attempts.len() <= 4, "{}", record.attempts.len());
}

#[tokio::test]
async fn an_answer_that_is_no_stream_may_take_longer_than_a_streams_head() {
    let hanging = Upstream::always(vec![Step::Hang]).await;
    let gateway = Gateway::limited(vec![claude(hanging.url()), claude(hanging.url())], |limits| {
        limits.first_byte = Duration::from_millis(20);
        limits.plain_deadline = Duration::from_millis(200);
    })
    .await;
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 504);
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.attempts.len(), record.attempts[0].reason.as_str()), (1, "deadline"));
}

#[tokio::test]
async fn a_messages_stream_that_breaks_behind_its_first_content_breaks_off_behind_a_whole_frame() {
    let quick = |limits: &mut crate::snapshot::Policy| limits.idle = Duration::from_millis(50);
    for (ending, reason) in [(Step::Cut, "cut"), (Step::Hang, "stall")] {
        let upstream =
            Upstream::always(vec![sse_head(), send(START), send(DELTA), send("event: content_bl"), ending])
                .await;
        let gateway = Gateway::limited(vec![claude(upstream.url()), claude(upstream.url())], quick).await;
        let answer = gateway.send_and_wait(gateway.request("/v1/messages", STREAMED)).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, &*[START, DELTA].concat()));
        assert!(!answer.whole, "a client must see that it is not whole");
        let record = gateway.records(1).await.remove(0);
        assert_eq!(
            (record.outcome(), record.status, record.attempts.len()),
            (Outcome::UpstreamError, 200, 1)
        );
        assert_eq!(record.attempts[0].reason, reason);
        assert_eq!(record.attempts[0].usage.unwrap().input, 7);
        assert!(record.estimated, "the output was not reported in full");
    }
}

#[tokio::test]
async fn an_error_that_the_upstream_tells_behind_content_reaches_the_client_as_it_is() {
    let upstream = Upstream::always(sse(&[START, DELTA, OVERLOADED])).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let answer = gateway.post("/v1/messages", STREAMED).await;
    assert_eq!(answer.text(), [START, DELTA, OVERLOADED].concat());
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), &*record.attempts[0].reason), (Outcome::UpstreamError, "stream_error"));
}

#[tokio::test]
async fn a_chat_stream_that_breaks_ends_with_an_error_chunk() {
    let content = "data: {\"id\":\"c\",\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
    let upstream = Upstream::always(vec![sse_head(), send(content), Step::Cut]).await;
    let gateway = Gateway::start(vec![openai(upstream.url())]).await;
    let answer =
        gateway.post("/v1/chat/completions", r#"{"model":"gpt-5","stream":true,"messages":[]}"#).await;
    let rest = answer.text().strip_prefix(content).unwrap();
    assert!(rest.starts_with("data: {\"error\":{"), "{rest}");
}

#[tokio::test]
async fn the_head_goes_at_a_ping_or_when_it_was_held_for_long_enough() {
    use http_body_util::BodyExt as _;
    for (script, first) in
        [(vec![send(START), send(PING)], [START, PING].concat()), (vec![send(START)], START.to_owned())]
    {
        let gate = Gate::new();
        let rest = [Step::Wait(gate.clone()), send(DELTA), send(STOP), super::upstream::end()];
        let script: Script = [sse_head()].into_iter().chain(script).chain(rest).collect();
        let upstream = Upstream::always(script).await;
        let gateway = Gateway::limited(vec![claude(upstream.url())], |limits| {
            limits.commit_hold = Duration::from_millis(50)
        })
        .await;
        let mut body = gateway.open(gateway.request("/v1/messages", STREAMED)).await.into_body();
        let mut seen = String::new();
        while seen.len() < first.len() {
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            seen.push_str(std::str::from_utf8(&frame).unwrap());
        }
        assert_eq!(seen, first, "the content is not there yet");
        gate.open();
        let rest = body.collect().await.unwrap().to_bytes();
        assert_eq!(rest, [DELTA, STOP].concat());
        assert_eq!(gateway.records(1).await[0].outcome(), Outcome::Completed);
    }
}

#[tokio::test]
async fn a_refusal_told_in_the_stream_is_passed_on_too() {
    let refusal = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"no\"}}\n\n";
    let (bad, good) = (Upstream::always(sse(&[refusal])).await, good().await);
    let gateway = Gateway::start(vec![claude(bad.url()), claude(good.url())]).await;
    assert_eq!(gateway.post("/v1/messages", STREAMED).await.text(), refusal);
    assert_eq!(gateway.records(1).await[0].outcome(), Outcome::Refused);
    assert!(good.received().is_empty());
}

/// A connection that ends in order in the middle of a frame is as good as one that broke.
#[tokio::test]
async fn a_converted_stream_that_ends_inside_a_frame_was_cut() {
    let half = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"del";
    let block = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    let claudes = Upstream::always(sse(&[START, block, DELTA, half])).await;
    let gateway = Gateway::start(vec![claude(claudes.url())]).await;
    let chat = r#"{"model":"claude-opus-5","stream":true,"messages":[{"role":"user","content":"a"}]}"#;
    let answer = gateway.post("/v1/chat/completions", chat).await;
    let text = answer.text();
    assert!(text.contains("hi") && text.contains("stream_interrupted"), "{text}");
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), &*record.attempts[0].reason), (Outcome::UpstreamError, "cut"));

    let chunk = r#"data: {"id":"c","object":"chat.completion.chunk","model":"gpt-4o","choices":[{"index":0,"delta":{"content":"hi"}}]}"#;
    let chats = Upstream::always(sse(&[chunk, "\n\n", "data: {\"id\":\"c\",\"obj"])).await;
    let gateway = Gateway::start(vec![openai(chats.url())]).await;
    let messages =
        r#"{"model":"gpt-4o","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"a"}]}"#;
    let answer = gateway.send_and_wait(gateway.request("/v1/messages", messages)).await;
    let text = answer.text();
    assert!(text.contains("hi") && !text.contains("event: error") && !answer.whole, "{text}");
}
