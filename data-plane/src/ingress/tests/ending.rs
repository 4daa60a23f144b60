//! How attempts end: who pays for them, what is learned from them, and what the record says.

use std::time::Duration;

use http_body_util::BodyExt as _;
use proto::v1::{Attempt, CloseRecord, Outcome, Usage};
use shared::{account::AccountType, secret::Secret};

use super::{
    gateway::{Gateway, Given, claude, openai, read, until},
    upstream::{Gate, Script, Step, Upstream, end, json, send, sse, sse_head},
};
use crate::{
    live::MarkKind,
    snapshot::{Credential, Policy},
};

const MESSAGES: &str =
    r#"{"model":"claude-opus-5","messages":[{"role":"user","content":"a question"}],"max_tokens":64}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5","stream":true,"messages":[{"role":"user","content":"a question"}],"max_tokens":64}"#;
const CHAT: &str = r#"{"model":"claude-opus-5","messages":[{"role":"user","content":"a question"}]}"#;
const CHAT_STREAMED: &str =
    r#"{"model":"gpt-5","stream":true,"messages":[{"role":"user","content":"a question"}]}"#;
const GOOD: &str = r#"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"hi"}],"model":"claude-opus-5","stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const STOP: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const OVERLOADED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";

async fn good() -> Upstream {
    Upstream::start(|_, received| {
        match received.body.windows(13).any(|window| window == b"\"stream\":true") {
            true => sse(&[START, DELTA, STOP]),
            false => json(200, GOOD),
        }
    })
    .await
}

/// No second try at the same account, and limits that are soon over.
fn hasty(policy: &mut Policy) {
    let soon = Duration::from_millis(100);
    policy.retries.max = 0;
    (policy.first_byte, policy.plain_attempt, policy.idle) = (soon, soon, soon);
}

/// What became of a request whose first account does so, and whose second one is good.
async fn behind(script: Script, body: &str) -> CloseRecord {
    let (bad, good) = (Upstream::always(script).await, good().await);
    let gateway = Gateway::limited(vec![claude(bad.url()), claude(good.url())], hasty).await;
    assert_eq!(gateway.post("/v1/messages", body).await.status, 200);
    gateway.records(1).await.remove(0)
}

fn tokens(usage: Option<&Usage>) -> (u64, u64) {
    usage.map_or((0, 0), |usage| (usage.input, usage.output))
}

/// Charged to the account by an estimate that lies within its bounds.
fn assert_estimated(attempt: &Attempt, name: &str) {
    let (known, estimate, bound) =
        (tokens(attempt.usage.as_ref()), tokens(attempt.estimate.as_ref()), tokens(attempt.bound.as_ref()));
    assert!(estimate.0 > 0, "{name}: {attempt:?}");
    assert!(known.0 <= estimate.0 && estimate.0 <= bound.0, "{name}: {attempt:?}");
    assert!(known.1 <= estimate.1 && estimate.1 <= bound.1, "{name}: {attempt:?}");
    assert_eq!(bound.1, 64, "{name}: what the request allows");
}

#[tokio::test]
async fn what_was_sent_and_came_to_nothing_is_the_accounts_by_an_estimate_and_not_the_users() {
    let html = "<html>not found</html>";
    for (reason, body, script) in [
        ("cut", MESSAGES, vec![Step::Cut]),
        ("attempt_timeout", MESSAGES, vec![Step::Hang]),
        ("first_byte_timeout", STREAMED, vec![Step::Hang]),
        ("no_answer", MESSAGES, json(200, html)),
        (
            "cut",
            MESSAGES,
            vec![Step::Send(b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n{".to_vec()), Step::Cut],
        ),
        ("cut", STREAMED, vec![sse_head(), send(START), Step::Cut]),
        ("stall", STREAMED, vec![sse_head(), send(START), Step::Hang]),
        ("malformed", STREAMED, sse(&["data: {nonsense\n\n"])),
        ("stream_error", STREAMED, sse(&[START, OVERLOADED])),
    ] {
        let record = behind(script, body).await;
        let [failed, served] = &record.attempts[..] else { panic!("{record:?}") };
        assert_eq!(failed.reason, reason);
        assert_estimated(failed, reason);
        assert!(failed.unrated, "the user waited, and got nothing of it: {failed:?}");
        assert_eq!((served.unrated, served.estimate), (false, None), "{reason}");
        assert!(record.estimated && record.outcome() == Outcome::Completed, "{record:?}");
    }
}

#[tokio::test]
async fn what_is_told_of_one_side_alone_since_the_other_can_not_be_read_is_charged_by_an_estimate() {
    let odd = |usage: &str| GOOD.replace(r#""input_tokens":1,"output_tokens":1"#, usage);
    for usage in [r#""input_tokens":1,"output_tokens":"1""#, r#""input_tokens":-1,"output_tokens":1"#] {
        let upstream = Upstream::always(json(200, &odd(usage))).await;
        let gateway = Gateway::limited(vec![claude(upstream.url())], hasty).await;
        assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
        let record = gateway.records(1).await.remove(0);
        assert_estimated(&record.attempts[0], usage);
        assert!(record.attempts[0].usage.is_none() && record.estimated, "{record:?}");
        assert_eq!(record.conditions, ["no_usage_reported"]);
    }
    // A stream has told the input before.
    let stop = STOP.replace(":9}", ":\"9\"}");
    let upstream = Upstream::always(sse(&[START, DELTA, &stop])).await;
    let gateway = Gateway::limited(vec![claude(upstream.url())], hasty).await;
    assert_eq!(gateway.post("/v1/messages", STREAMED).await.status, 200);
    let record = gateway.records(1).await.remove(0);
    assert_estimated(&record.attempts[0], "stream");
    assert_eq!(tokens(record.attempts[0].estimate.as_ref()).0, 7, "{record:?}");
}

#[tokio::test]
async fn what_was_not_sent_or_was_refused_costs_nobody_anything() {
    for script in [json(500, "{}"), json(429, "{}"), json(401, "{}"), json(529, "{}")] {
        let record = behind(script, MESSAGES).await;
        assert_eq!((record.attempts[0].estimate, record.attempts[0].usage), (None, None), "{record:?}");
        assert!(!record.estimated);
    }
    let nobody = claude("http://127.0.0.1:9".into());
    let good = good().await;
    let gateway = Gateway::limited(vec![nobody, claude(good.url())], hasty).await;
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
    let record = gateway.records(1).await.remove(0);
    assert_eq!((&*record.attempts[0].reason, record.attempts[0].estimate), ("connect", None));
}

#[tokio::test]
async fn what_reached_the_client_or_what_it_left_behind_is_the_users() {
    let broken = Upstream::always(vec![sse_head(), send(START), send(DELTA), Step::Cut]).await;
    let gateway = Gateway::limited(vec![claude(broken.url())], hasty).await;
    let (_, whole) = read(gateway.open(gateway.request("/v1/messages", STREAMED)).await.into_body()).await;
    assert!(!whole);
    let record = gateway.records(1).await.remove(0);
    assert_estimated(&record.attempts[0], "behind content");
    assert!(!record.attempts[0].unrated && record.estimated, "{record:?}");

    let silent = Upstream::always(vec![Step::Hang]).await;
    let gateway = Gateway::limited(vec![claude(silent.url())], |policy| {
        policy.plain_drain = Duration::from_millis(50);
    })
    .await;
    let request = gateway.request("/v1/messages", MESSAGES);
    let leaving = async {
        until("the upstream was asked", || silent.received().len() == 1).await;
    };
    tokio::select! {
        _ = gateway.send(request) => panic!("nobody answers"),
        () = leaving => {}
    }
    let record = gateway.records(1).await.remove(0);
    assert_eq!(record.outcome(), Outcome::ClientGone);
    assert_estimated(&record.attempts[0], "left behind");
    assert!(!record.attempts[0].unrated, "{record:?}");
}

#[tokio::test]
async fn what_is_too_large_is_not_asked_for_again() {
    let long = GOOD.replace("hi", &"x".repeat(4_000));
    let frame = DELTA.replace("hi", &"x".repeat(4_000));
    for (path, body, script) in [
        ("/v1/chat/completions", CHAT, json(200, &long)),
        ("/v1/messages", STREAMED, sse(&[&frame, STOP])),
        // As a stream, to a client of another wire.
        (
            "/v1/chat/completions",
            &*CHAT.replace("{\"model", "{\"stream\":true,\"model"),
            sse(&[&frame, STOP]),
        ),
    ] {
        let upstream = Upstream::always(script).await;
        let accounts = (0..3).map(|_| claude(upstream.url())).collect();
        let gateway = Gateway::limited(accounts, |policy| {
            (policy.max_answer, policy.max_frame) = (2_000, 2_000);
            policy.retries.delay = Duration::from_millis(1);
        })
        .await;
        let answer = gateway.post(path, body).await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert_eq!(upstream.received().len(), 1, "{path}");
        let record = gateway.records(1).await.remove(0);
        assert_eq!((record.attempts.len(), &*record.attempts[0].reason), (1, "too_large"));
        assert!(record.attempts[0].unrated && record.attempts[0].estimate.is_some(), "{record:?}");
    }
}

#[tokio::test]
async fn an_account_that_hangs_leaves_time_for_another_one() {
    let record = behind(vec![Step::Hang], MESSAGES).await;
    assert_eq!(record.attempts[0].reason, "attempt_timeout");
    assert_eq!(record.attempts[1].outcome(), Outcome::Completed);
}

const REFUSED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"too long\"}}\n\n";

#[tokio::test]
async fn a_refusal_in_a_stream_is_its_end_however_the_connection_ends_and_costs_nobody() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\"}}\n\n";
    for last in [end(), Step::Cut, Step::Hang] {
        let bad = Upstream::always(vec![sse_head(), send(start), send(REFUSED), last]).await;
        let other = good().await;
        let gateway = Gateway::limited(vec![claude(bad.url()), claude(other.url())], hasty).await;
        let (text, _) = read(gateway.open(gateway.request("/v1/messages", STREAMED)).await.into_body()).await;
        assert!(String::from_utf8_lossy(&text).contains("too long"));
        assert!(other.received().is_empty(), "nobody else is asked");
        let record = gateway.records(1).await.remove(0);
        assert_eq!((record.outcome(), record.attempts.len()), (Outcome::Refused, 1), "{record:?}");
        assert_eq!((record.attempts[0].estimate, &*record.attempts[0].detail), (None, "too long"));
    }
}

#[tokio::test]
async fn behind_a_legal_end_without_content_nobody_else_is_asked() {
    for last in [Step::Cut, Step::Hang] {
        let empty = Upstream::always(vec![sse_head(), send(START), send(STOP), last]).await;
        let other = good().await;
        let gateway = Gateway::limited(vec![claude(empty.url()), claude(other.url())], hasty).await;
        let answer = gateway.open(gateway.request("/v1/messages", STREAMED)).await;
        let (text, _) = read(answer.into_body()).await;
        assert_eq!(String::from_utf8_lossy(&text).matches("message_stop").count(), 2, "the frame's two");
        assert!(other.received().is_empty());
        assert_eq!(gateway.records(1).await[0].outcome(), Outcome::Completed);
    }
}

#[tokio::test]
async fn a_refusal_in_a_stream_that_is_gathered_is_the_clients() {
    let refused = "data: {\"error\":{\"message\":\"maximum context length is 1\",\"type\":\"invalid_request_error\",\"code\":\"context_length_exceeded\"}}\n\n";
    let (one, two) = (Upstream::always(sse(&[refused])).await, Upstream::always(sse(&[refused])).await);
    let gateway = Gateway::limited(vec![openai(one.url()), openai(two.url())], hasty).await;
    let answer = gateway.post("/v1/chat/completions", r#"{"model":"gpt-5","messages":[]}"#).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("maximum context length is 1"), "{}", answer.text());
    assert!(two.received().is_empty());
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.attempts[0].estimate), (Outcome::Refused, None));
}

#[tokio::test]
async fn a_success_that_is_no_answer_is_known_in_every_wire() {
    let of = |kind: AccountType| move |url: String| Given { kind, url, change: |_| {} };
    let responses = of(AccountType::OpenaiResponses);
    for (nothing, detail, marked) in [
        ("{}", "", false),
        (r#"{"error":{"code":"server_is_overloaded","status":503,"message":"busy"}}"#, "busy", true),
    ] {
        let answer = r#"{"object":"response","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi"}]}]}"#;
        let (bad, good) =
            (Upstream::always(json(200, nothing)).await, Upstream::always(json(200, answer)).await);
        let gateway = Gateway::limited(vec![responses(bad.url()), responses(good.url())], hasty).await;
        let got =
            gateway.post("/v1/messages", &MESSAGES.replace("claude-opus-5", "openai-responses,gpt-5")).await;
        assert_eq!(got.status, 200, "{}", got.text());
        let record = gateway.records(1).await.remove(0);
        let failed = &record.attempts[0];
        assert_eq!((&*failed.reason, &*failed.detail), ("no_answer", detail));
        let marks = gateway.snapshot.load().accounts[0].state.marks(gateway.proxy.clock.now());
        assert_eq!(!marks.is_empty(), marked, "{nothing}");
    }
}

#[tokio::test]
async fn an_answer_that_is_an_error_teaches_also_behind_a_client_that_left() {
    let gate = Gate::new();
    let script =
        [vec![Step::Wait(gate.clone())], json(429, r#"{"error":{"type":"rate_limit_error"}}"#)].concat();
    let upstream = Upstream::always(script).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let request = gateway.request("/v1/messages", MESSAGES);
    tokio::select! {
        _ = gateway.send(request) => panic!("nobody answers yet"),
        () = until("the upstream was asked", || upstream.received().len() == 1) => {}
    }
    gate.open();
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), &*record.attempts[0].reason), (Outcome::ClientGone, "status_429"));
    let marks = gateway.snapshot.load().accounts[0].state.marks(gateway.proxy.clock.now());
    assert_eq!(marks[0].kind, MarkKind::RateLimited);
}

#[tokio::test]
async fn what_the_body_does_not_show_is_within_the_bound_and_embeddings_write_nothing() {
    let kept = MESSAGES.replace("a question", "see https://example.org/long.pdf");
    let shown = kept.replace("\"see https", "\"http");
    let record = behind(vec![Step::Cut], &shown).await;
    assert!(record.attempts[0].bound.unwrap().input >= 1_000_000, "{record:?}");
    let upstream = Upstream::always(json(200, r#"{"object":"list","data":[{"embedding":[0.1,0.2]}]}"#)).await;
    let gateway = Gateway::start(vec![openai(upstream.url())]).await;
    let body = r#"{"model":"gpt-5","input":"some text to be embedded"}"#;
    assert_eq!(gateway.post("/v1/embeddings", body).await.status, 200);
    let record = gateway.records(1).await.remove(0);
    let (estimate, bound) = (record.attempts[0].estimate.unwrap(), record.attempts[0].bound.unwrap());
    assert_eq!((estimate.output, bound.output), (0, 0), "{record:?}");
    assert!(estimate.input > 0);
}

fn failed_attempts(gateway: &Gateway, reason: &str) -> Option<String> {
    let text = gateway.proxy.metrics.node.text();
    let line = format!("switchyard_failed_attempts_total{{reason=\"{reason}\"}} ");
    text.lines().find_map(|found| found.strip_prefix(&line)).map(ToOwned::to_owned)
}

#[tokio::test]
async fn what_fails_behind_the_first_content_is_learned_from_too() {
    for (script, reason, marked) in [
        (sse(&[START, DELTA, OVERLOADED]), "stream_error", true),
        (vec![sse_head(), send(START), send(DELTA), Step::Cut], "cut", false),
        (vec![sse_head(), send(START), send(DELTA), Step::Hang], "stall", false),
        // An error, and no end behind it.
        (vec![sse_head(), send(START), send(DELTA), send(OVERLOADED), Step::Hang], "stream_error", true),
    ] {
        let upstream = Upstream::always(script).await;
        let gateway = Gateway::limited(vec![claude(upstream.url())], hasty).await;
        read(gateway.open(gateway.request("/v1/messages", STREAMED)).await.into_body()).await;
        let record = gateway.records(1).await.remove(0);
        assert_eq!((record.outcome(), &*record.attempts[0].reason), (Outcome::UpstreamError, reason));
        assert_eq!(failed_attempts(&gateway, reason).as_deref(), Some("1"));
        let marks = gateway.snapshot.load().accounts[0].state.marks(gateway.proxy.clock.now());
        let kinds: Vec<_> = marks.iter().map(|mark| mark.kind).collect();
        assert_eq!(kinds, if marked { vec![MarkKind::Overloaded] } else { vec![] }, "{reason}");
    }
}

#[tokio::test]
async fn what_fails_behind_a_client_that_left_is_learned_from_too() {
    let gate = Gate::new();
    let script =
        vec![sse_head(), send(START), send(DELTA), Step::Wait(gate.clone()), send(OVERLOADED), end()];
    let upstream = Upstream::always(script).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let mut answer = gateway.open(gateway.request("/v1/messages", STREAMED)).await;
    answer.body_mut().frame().await.unwrap().unwrap();
    drop(answer);
    gate.open();
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), &*record.attempts[0].reason), (Outcome::ClientGone, "stream_error"));
    let marks = gateway.snapshot.load().accounts[0].state.marks(gateway.proxy.clock.now());
    assert_eq!(marks[0].kind, MarkKind::Overloaded);
}

/// What the client reads where the first account begins, and the second one refuses what it is to go on with.
async fn refused_late(
    path: &str,
    body: &str,
    account: fn(String) -> Given,
    began: &str,
) -> (String, Gateway) {
    let gate = Gate::new();
    let first = Upstream::always(vec![sse_head(), send(began), Step::Wait(gate.clone()), Step::Cut]).await;
    let refusal = r#"{"type":"error","error":{"type":"invalid_request_error","message":"too hot"}}"#;
    let second = Upstream::always(json(400, refusal)).await;
    let gateway = Gateway::limited(vec![account(first.url()), account(second.url())], |policy| {
        policy.commit_hold = Duration::from_millis(20);
    })
    .await;
    let answer = gateway.open(gateway.request(path, body)).await;
    // The client was told that the answer has begun.
    gate.open();
    let (read, _) = read(answer.into_body()).await;
    (String::from_utf8(read.to_vec()).unwrap(), gateway)
}

#[tokio::test]
async fn a_late_switch_that_is_refused_says_so_and_not_what_failed_ahead_of_it() {
    let chunk = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    for (path, body, account, began, told) in [
        ("/v1/messages", STREAMED, claude as fn(String) -> Given, START, false),
        ("/v1/chat/completions", CHAT_STREAMED, openai, chunk, true),
    ] {
        let (text, gateway) = refused_late(path, body, account, began).await;
        // Messages has no event for it that its clients understand: it breaks off.
        assert_eq!(text.contains("too hot"), told, "{text}");
        let record = gateway.records(1).await.remove(0);
        assert_eq!(record.conditions.last().unwrap(), "switched_late");
        assert_eq!((record.outcome(), record.status), (Outcome::Refused, 200), "{record:?}");
        let [first, second] = &record.attempts[..] else { panic!("{record:?}") };
        assert_eq!((first.outcome(), &*first.reason), (Outcome::UpstreamError, "cut"));
        assert_eq!((second.outcome(), second.http_status, &*second.reason), (Outcome::Refused, 400, ""));
        assert_eq!(second.detail, "too hot");
        assert_eq!(failed_attempts(&gateway, "cut").as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn the_providers_words_are_kept_without_secrets_and_in_bounds() {
    let words = format!("invalid key sk-ant-api03-AAAABBBB of secret, {}", "x".repeat(2_000));
    let body = format!(r#"{{"type":"error","error":{{"type":"api_error","message":"{words}"}}}}"#);
    let with_secret = |url: String| {
        claude(url).but(|account| {
            account.upstream.credential = Credential::ApiKey(Secret::new("secret".to_owned()));
        })
    };
    let failing = Upstream::always(json(500, &body)).await;
    let gateway = Gateway::limited(vec![with_secret(failing.url())], hasty).await;
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 502);
    let record = gateway.records(1).await.remove(0);
    let detail = &record.attempts[0].detail;
    assert!(detail.starts_with("invalid key sk-*** of ***, xxx"), "{detail}");
    assert!(detail.len() <= 512);
    let refused = Upstream::always(json(400, &body.replace("api_error", "invalid_request_error"))).await;
    let gateway = Gateway::start(vec![claude(refused.url())]).await;
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 400);
    assert!(gateway.records(1).await[0].attempts[0].detail.starts_with("invalid key sk-***"));
}

#[tokio::test]
async fn a_success_that_is_no_answer_is_the_accounts_failure() {
    let gemini = |url: String| Given { kind: AccountType::GeminiApi, url, change: |_| {} };
    let overloaded =
        r#"{"error":{"type":"overloaded_error","message":"Overloaded","status":"UNAVAILABLE","code":503}}"#;
    for (path, body, account, answer) in [
        ("/v1/messages", MESSAGES, claude as fn(String) -> Given, GOOD),
        (
            "/v1/chat/completions",
            r#"{"model":"gpt-5","messages":[]}"#,
            openai,
            r#"{"object":"chat.completion","choices":[]}"#,
        ),
        ("/v1/responses", r#"{"model":"gpt-5","input":"a"}"#, openai, r#"{"object":"response","output":[]}"#),
        ("/v1beta/models/gemini-3-pro:generateContent", r#"{"contents":[]}"#, gemini, r#"{"candidates":[]}"#),
    ] {
        for (nothing, marked) in [
            (overloaded, true),
            ("", false),
            ("null", false),
            ("{}", false),
            ("[]", false),
            ("<html><body>Welcome</body></html>", false),
        ] {
            let (bad, good) =
                (Upstream::always(json(200, nothing)).await, Upstream::always(json(200, answer)).await);
            let gateway = Gateway::limited(vec![account(bad.url()), account(good.url())], hasty).await;
            let got = gateway.post(path, body).await;
            assert_eq!((got.status.as_u16(), got.text()), (200, answer), "{path}: {nothing}");
            let record = gateway.records(1).await.remove(0);
            assert_eq!(record.attempts[0].reason, "no_answer", "{path}: {nothing}");
            let marks = gateway.snapshot.load().accounts[0].state.marks(gateway.proxy.clock.now());
            assert_eq!(!marks.is_empty(), marked, "{path}: {nothing}");
        }
    }
}

/// Frames that come at once are read at once, and each may hold many words.
#[tokio::test]
async fn a_burst_is_estimated_by_its_text_and_not_by_the_time_that_it_took() {
    let words = "word ".repeat(80);
    let delta = |text: &str| {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
        )
    };
    for (frames, text) in [(400, "word "), (25, words.as_str())] {
        let shown = (frames * text.split_whitespace().count()) as u64;
        let burst = delta(text).repeat(frames);
        for (path, body) in [
            ("/v1/messages", STREAMED.replace("64", "9000")),
            ("/v1/chat/completions", CHAT_STREAMED.replace("gpt-5", "claude-opus-5")),
        ] {
            let upstream = Upstream::always(vec![sse_head(), send(START), send(&burst), Step::Cut]).await;
            let gateway = Gateway::limited(vec![claude(upstream.url())], hasty).await;
            gateway.send_and_wait(gateway.request(path, &body)).await;
            let record = gateway.records(1).await.remove(0);
            let estimate = record.attempts[0].estimate.as_ref().unwrap().output;
            assert!((shown * 3 / 4..=shown * 3 / 2).contains(&estimate), "{estimate} for {shown} at {path}");
        }
    }
}
