//! What the gateway itself refuses: clearly, in the client's wire, and without a record.

use http::header::CONTENT_LENGTH;
use shared::account::AccountType;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    gateway::{Gateway, Given, KEY, claude, openai, pattern, until},
    upstream::{Gate, Step, Upstream, json},
};
use crate::live::{Mark, MarkKind};

const MESSAGES: &str = r#"{"model":"claude-opus-5","messages":[],"max_tokens":1}"#;
const CHAT: &str = r#"{"model":"gpt-5","messages":[]}"#;

#[tokio::test]
async fn every_refusal_is_said_in_the_clients_wire_and_leaves_no_record() {
    let gateway =
        Gateway::limited(vec![claude("http://127.0.0.1:1".into())], |limits| limits.max_body = 1000).await;
    let long = format!(r#"{{"model":"claude-opus-5","messages":["{}"]}}"#, "x".repeat(1000));
    for (path, body, status, kind) in [
        ("/v1/messages", "{", 400, "invalid_request_error"),
        ("/v1/messages", "", 400, "invalid_request_error"),
        ("/v1/messages", r#"{"messages":[]}"#, 400, "invalid_request_error"),
        ("/v1/messages", long.as_str(), 413, "request_too_large"),
        ("/v1/messages", r#"{"model":"mystery","messages":[]}"#, 404, "not_found_error"),
        ("/v1/messages/nothing", MESSAGES, 404, "not_found_error"),
        ("/openai/v1/messages", MESSAGES, 404, "not_found_error"),
    ] {
        let answer = gateway.post(path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {body}: {}", answer.text());
        let json = answer.json();
        assert_eq!((&json["type"], &json["error"]["type"]), (&"error".into(), &kind.into()), "{json}");
        assert_eq!(json["request_id"], answer.headers["x-request-id"].to_str().unwrap());
    }
    for (path, status) in
        [("/v1/chat/nothing", 404), ("/v1/responses", 404), ("/v1beta/models/gemini-3:generateContent", 404)]
    {
        let answer = gateway.post(path, CHAT).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert!(answer.json()["error"]["message"].is_string(), "{}", answer.text());
    }
    let wrong_method = gateway.get("/v1/messages", &[]).await;
    assert_eq!(
        (wrong_method.status.as_u16(), &wrong_method.headers["allow"]),
        (405, &"POST".parse().unwrap())
    );
    assert_eq!(gateway.journal_now().0, 0, "no upstream was called");
}

#[tokio::test]
async fn a_key_that_is_missing_wrong_or_expired_does_not_enter() {
    let gateway = Gateway::start(vec![claude("http://127.0.0.1:1".into())]).await;
    for (key, code) in [(None, "missing_api_key"), (Some("Bearer sk-wrong"), "invalid_api_key")] {
        let mut request = gateway.request("/v1/messages", MESSAGES);
        request.headers_mut().remove("authorization");
        if let Some(key) = key {
            request.headers_mut().insert("authorization", key.parse().unwrap());
        }
        let answer = gateway.send(request).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (401, &code.into()));
        assert!(!answer.text().contains("sk-wrong"));
    }
    let mut chat = gateway.request("/v1/chat/completions", CHAT);
    chat.headers_mut().remove("authorization");
    chat.headers_mut().insert("api-key", KEY.parse().unwrap());
    let answer = gateway.send(chat).await;
    assert_eq!(answer.status, 404, "the key is good: there is no account: {}", answer.text());
}

#[tokio::test]
async fn a_body_without_stated_length_is_cut_at_the_limit_and_the_client_gets_to_see_why() {
    let gateway = Gateway::limited(vec![], |limits| limits.max_body = 1000).await;
    let mut stream = TcpStream::connect(gateway.base.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"400\r\n".as_slice(), &[b' '; 1024], b"\r\n"].concat();
    for _ in 0..1000 {
        stream.write_all(&chunk).await.unwrap();
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer[..read]));
}

#[tokio::test]
async fn a_stated_length_over_the_limit_is_refused_before_the_body() {
    let gateway = Gateway::limited(vec![], |limits| limits.max_body = 1000).await;
    let mut stream = TcpStream::connect(gateway.base.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n{CONTENT_LENGTH}: 99999999\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer[..read]));
}

#[tokio::test]
async fn a_client_that_sends_its_body_too_slowly_is_not_waited_for() {
    let gateway =
        Gateway::limited(vec![], |limits| limits.deadline = std::time::Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(gateway.base.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\n{CONTENT_LENGTH}: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer[..read]));
}

#[tokio::test]
async fn the_client_learns_in_short_why_there_is_no_account() {
    let nowhere = || "http://127.0.0.1:1".to_owned();
    let gateway = Gateway::start(vec![
        claude(nowhere()).but(|account| account.enabled = false),
        claude(nowhere()).but(|account| account.invalid_reason = Some("unauthorized".into())),
        Given { kind: AccountType::Bedrock, url: nowhere(), change: |_| {} },
        openai(nowhere()),
        openai(nowhere()).but(|account| account.allowed_models = vec![pattern("other")]),
    ])
    .await;
    let answer = gateway.post("/v1/messages", MESSAGES).await;
    assert_eq!(answer.status, 503);
    let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("1 unsupported_by_node, 1 disabled, 1 invalid"), "{message}");
    let bedrock = gateway.post("/v1/messages", &MESSAGES.replace("claude-", "bedrock,claude-")).await;
    assert_eq!(
        (bedrock.status.as_u16(), &bedrock.json()["error"]["code"]),
        (501, &"unsupported_by_node".into())
    );
}

#[tokio::test]
async fn what_no_account_of_the_platform_has_is_said_to_be_unsupported() {
    let gateway = Gateway::start(vec![claude("http://127.0.0.1:1".into())]).await;
    let answer = gateway.post("/v1/embeddings", r#"{"model":"claude-opus-5","input":"x"}"#).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["error"]["code"]),
        (501, &"unsupported_by_node".into()),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_body_that_no_account_can_be_asked_with_is_refused_with_the_field_at_fault() {
    let gateway = Gateway::start(vec![claude("http://127.0.0.1:1".into())]).await;
    let audio = r#"[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"UklG","format":"wav"}}]}]"#;
    for (messages, code, param) in
        [(r#""hello""#, "invalid_body", "messages"), (audio, "unsupported_by_account", "content")]
    {
        let body = format!(r#"{{"model":"claude-opus-5","messages":{messages}}}"#);
        let answer = gateway.post("/v1/chat/completions", &body).await;
        let error = &answer.json()["error"];
        assert_eq!(
            (answer.status.as_u16(), error["code"].as_str(), error["param"].as_str()),
            (400, Some(code), Some(param)),
            "{error}"
        );
    }
    let untold = gateway.post("/v1/chat/completions", r#"{"messages":[]}"#).await;
    assert_eq!(untold.json()["error"]["param"], "model");
}

#[tokio::test]
async fn a_body_of_more_parts_than_there_is_memory_to_convert_is_refused_and_waits_for_none() {
    let answer = r#"{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"claude-opus-5","stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
    let upstream = Upstream::always(json(200, answer)).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let body = |pairs: usize| {
        let pair = r#"{"role":"user","content":"a"},{"role":"assistant","content":"a"}"#;
        format!(r#"{{"model":"claude-opus-5","messages":[{}]}}"#, vec![pair; pairs].join(","))
    };
    let requests = &gateway.proxy.requests;
    let never = gateway.post("/v1/chat/completions", &body(50_000)).await;
    assert_eq!((never.status.as_u16(), &never.json()["error"]["code"]), (413, &"too_many_parts".into()));
    let mut others = requests.share();
    assert!(others.grow_to(60 << 20));
    let later = gateway.post("/v1/chat/completions", &body(5_000)).await;
    assert_eq!((later.status.as_u16(), &later.json()["error"]["code"]), (503, &"out_of_memory".into()));
    assert_eq!(later.headers["retry-after"], "1");
    // As much text takes no more than its length.
    let text = body(1).replace("\"a\"", &format!("\"{}\"", "a, [{ ".repeat(50_000)));
    assert_eq!(gateway.post("/v1/chat/completions", &text).await.status, 200);
    drop(others);
    assert_eq!(gateway.post("/v1/chat/completions", &body(5_000)).await.status, 200);
    until("all is given back", || requests.held() == 0).await;
}

#[tokio::test]
async fn a_web_socket_is_declined_so_that_clients_fall_back_to_post() {
    let gateway = Gateway::start(vec![]).await;
    let answer = gateway.get("/v1/responses", &[("upgrade", "websocket"), ("connection", "Upgrade")]).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (426, &"no_websocket".into()));
    let plain = gateway.get("/v1/responses", &[]).await;
    assert_eq!(plain.status, 405);
}

#[tokio::test]
async fn limited_and_busy_accounts_make_429_with_the_time_to_wait() {
    let gate = Gate::new();
    let held = gate.clone();
    let upstream = Upstream::start(move |_, _| {
        [vec![Step::Wait(held.clone())], json(200, r#"{"type":"message"}"#)].concat()
    })
    .await;
    let gateway =
        Gateway::start(vec![claude(upstream.url()).but(|account| account.concurrency = Some(1))]).await;
    let account = gateway.snapshot.load_full().accounts[0].clone();
    let first = gateway.request("/v1/messages", MESSAGES);
    let second = gateway.request("/v1/messages", MESSAGES);
    let full = async {
        until("the slot is taken", || account.state.in_flight() == 1).await;
        let answer = gateway.send(second).await;
        gate.open();
        answer
    };
    let (_, answer) = tokio::join!(gateway.send(first), full);
    assert_eq!(answer.status, 429);
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("1 full"), "{}", answer.text());

    until("the slot is free", || account.state.in_flight() == 0).await;
    let until = gateway.proxy.clock.now().plus(std::time::Duration::from_secs(100));
    let mark = Mark {
        kind: MarkKind::RateLimited,
        until,
        reason: "status_429".into(),
        model_family: None,
        guessed: false,
    };
    gateway.proxy.live.mark(account.id, mark);
    let answer = gateway.post("/v1/messages", MESSAGES).await;
    assert_eq!(answer.status, 429);
    let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((90..=100).contains(&wait), "{wait}");
}

#[tokio::test]
async fn private_upstreams_are_refused_unless_allowed() {
    let upstream = Upstream::always(json(200, "{}")).await;
    let gateway =
        Gateway::with(vec![claude(upstream.url())], |_| {}, std::time::Duration::from_secs(1), false).await;
    let answer = gateway.post("/v1/messages", MESSAGES).await;
    assert_eq!(answer.status, 502);
    assert!(upstream.received().is_empty());
    assert_eq!(gateway.records(1).await[0].attempts[0].reason, "private_address");
}

#[tokio::test]
async fn a_model_that_no_account_is_set_up_for_is_not_found_so_that_clients_do_not_try_again() {
    let gateway = Gateway::start(vec![claude("http://127.0.0.1:9".into())]).await;
    let answer = gateway.post("/v1/chat/completions", r#"{"model":"gpt-5","messages":[]}"#).await;
    let error = &answer.json()["error"];
    assert_eq!((answer.status.as_u16(), &error["code"]), (404, &"model_not_found".into()));
    let said = error["message"].as_str().unwrap();
    assert!(
        said.starts_with(
            "`gpt-5` is a model of the platform openai, and no account of that platform is set up"
        ),
        "{said}"
    );
}

#[tokio::test]
async fn a_request_that_is_too_large_for_an_account_does_not_take_it_away_from_the_others() {
    const TOO_LARGE: &str = r#"{"error":{"message":"Request too large for gpt-5 in organization org-1 on tokens per min (TPM): Limit 30000, Requested 50000.","type":"tokens","code":"rate_limit_exceeded"}}"#;
    let upstream = Upstream::start(|number, _| match number {
        0 => json(429, TOO_LARGE),
        _ => json(200, r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#),
    })
    .await;
    let gateway = Gateway::start(vec![openai(upstream.url())]).await;
    let body = r#"{"model":"gpt-5","messages":[]}"#;
    let answer = gateway.post("/v1/chat/completions", body).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (429, TOO_LARGE));
    assert_eq!(gateway.post("/v1/chat/completions", body).await.status, 200);
}
