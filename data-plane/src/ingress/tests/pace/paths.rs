//! Paths that answers seldom take, at the pace of life: unreadable bodies, streams that are gathered, drains, uploads, and
//! a process that stood still.

use std::time::Duration;

use http_body_util::BodyExt as _;
use proto::v1::{Outcome, Usage};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::Instant,
};

use super::{
    super::{
        gateway::{Gateway, Given, KEY, claude, openai},
        upstream::{Script, Step, Upstream, chunk, end, send, sse_head},
    },
    at, step_by_step,
};
use crate::snapshot::{Credential, Policy};

const STREAMED: &str = r#"{"model":"claude-opus-5","stream":true,"messages":[],"max_tokens":1}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const STOP: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn gateway(accounts: Vec<Given>, limits: impl FnOnce(&mut Policy)) -> Gateway {
    let gateway = Gateway::limited(accounts, |in_force| {
        in_force.retries.max = 0;
        limits(in_force);
    })
    .await;
    step_by_step(&gateway);
    gateway
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_read_runs_on_behind_the_deadline_too() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: compress\r\ntransfer-encoding: chunked\r\n\r\n";
    let pieces = (0..4).flat_map(|_| [Step::Sleep(secs(60)), send("x")]);
    let script = [Step::Send(head.to_vec())].into_iter().chain(pieces).chain([end()]).collect();
    let upstream = Upstream::always(script).await;
    let gateway = gateway(vec![claude(upstream.url())], |_| {}).await;
    let answer = gateway.send_and_wait(gateway.request("/v1/messages", STREAMED)).await;
    assert_eq!((answer.text(), answer.whole), ("xxxx", true));
    assert_eq!(gateway.records(1).await[0].outcome(), Outcome::Completed);
}

/// A login account, whose upstream is always asked for a stream.
fn login(url: String) -> Given {
    openai(url).but(|account| {
        let token = shared::secret::Secret::new("token".to_owned());
        account.upstream.credential = Credential::AccessToken { token, expires_at: None };
    })
}

const GATHERED: &str = r#"{"model":"gpt-5.1","input":"hi"}"#;

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_gathered_has_a_first_byte_and_hands_no_more_time_on_than_there_is() {
    let silent = Upstream::always(vec![Step::Hang]).await;
    let only = gateway(vec![login(silent.url())], |_| {}).await;
    let started = Instant::now();
    only.send_and_wait(only.request("/v1/responses", GATHERED)).await;
    assert_eq!(only.records(1).await[0].attempts[0].reason, "first_byte_timeout");
    assert!(at(started.elapsed(), secs(60)), "{:?}", started.elapsed());

    // Ends in order, and is no answer: what it said of usage is in the record all the same.
    let created =
        "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"gpt-5.1-x\"}}\n\n";
    let unfinished = Upstream::always(vec![Step::Sleep(secs(50)), sse_head(), send(created), end()]).await;
    let two = gateway(vec![login(unfinished.url()), login(silent.url())], |limits| {
        limits.plain_deadline = secs(80)
    })
    .await;
    let started = Instant::now();
    two.send_and_wait(two.request("/v1/responses", GATHERED)).await;
    assert!(at(started.elapsed(), secs(80)), "{:?}", started.elapsed());
    let record = two.records(1).await.remove(0);
    let reasons: Vec<_> = record.attempts.iter().map(|attempt| attempt.reason.as_str()).collect();
    assert_eq!((reasons, &*record.attempts[0].model_served), (vec!["cut", "deadline"], "gpt-5.1-x"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_left_while_the_model_thought_is_metered_to_the_end() {
    let thinks = [Step::Sleep(secs(100)), send(PING), Step::Sleep(secs(60)), send(DELTA)];
    let script: Script = [sse_head(), send(START), send(PING)]
        .into_iter()
        .chain(thinks)
        .chain([Step::Sleep(secs(40)), send(STOP), end()])
        .collect();
    let upstream = Upstream::always(script).await;
    let gateway = gateway(vec![claude(upstream.url())], |_| {}).await;
    let mut answer = gateway.open(gateway.request("/v1/messages", STREAMED)).await;
    let started = Instant::now();
    while started.elapsed() < secs(150) {
        // Until the model has thought for long.
        let frame = tokio::time::timeout_at(started + secs(150), answer.body_mut().frame()).await;
        assert!(frame.is_err() || frame.is_ok_and(|frame| frame.unwrap().is_ok()));
    }
    drop(answer);
    // The content comes behind the deadline's time, and the end behind that.
    tokio::time::sleep_until(started + secs(205)).await;
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), &*record.conditions), (Outcome::ClientGone, &["drained".to_owned()][..]));
    assert_eq!(record.attempts[0].usage, Some(Usage { input: 7, output: 9, ..Usage::default() }));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_the_arrival_and_not_from_the_bodys_end() {
    let upstream = Upstream::always(vec![Step::Sleep(secs(200)), Step::Cut]).await;
    let gateway = gateway(vec![claude(upstream.url())], |limits| limits.plain_deadline = secs(100)).await;
    let mut client = TcpStream::connect(gateway.base.trim_start_matches("http://")).await.unwrap();
    let started = Instant::now();
    let body = STREAMED.replace("true", "false");
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).await.unwrap();
    for byte in body.as_bytes().chunks(body.len().div_ceil(3)) {
        tokio::time::sleep(secs(20)).await;
        client.write_all(byte).await.unwrap();
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    assert!(at(started.elapsed(), secs(100)), "{:?}", started.elapsed());
}

/// As where a virtual machine is moved: time goes on, nobody has a turn, and the kernel takes what comes.
#[tokio::test(start_paused = true)]
async fn what_came_while_the_process_stood_still_is_read_before_anything_is_called_late() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let account = claude(format!("http://{}", listener.local_addr().unwrap()));
    let gateway = gateway(vec![account], |_| {}).await;
    let upstream = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        _ = stream.read(&mut [0; 4096]).await.unwrap();
        let Step::Send(head) = sse_head() else { unreachable!() };
        stream.write_all(&[head, chunk(START), chunk(DELTA)].concat()).await.unwrap();
        for _ in 0..5 {
            // Long enough for the gateway to wait for more.
            tokio::time::sleep(secs(1)).await;
            assert!(stream.write_all(&chunk(DELTA)).await.is_ok(), "{:?}", gateway.journal_now());
            tokio::time::advance(secs(130)).await;
        }
        stream.write_all(&[chunk(STOP), b"0\r\n\r\n".to_vec()].concat()).await.unwrap();
        stream
    };
    let (answer, _stream) =
        tokio::join!(gateway.send_and_wait(gateway.request("/v1/messages", STREAMED)), upstream);
    assert!(answer.whole && answer.text().ends_with(STOP), "{}", answer.text());
    assert_eq!(gateway.records(1).await[0].outcome(), Outcome::Completed);
}
