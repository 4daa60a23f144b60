//! Frames that take long to read: the worker serves its other clients meanwhile.

use std::sync::mpsc;

use http_body_util::BodyExt as _;
use proto::v1::{Outcome, Usage};

use super::{
    gateway::{Gateway, PATIENCE, claude, read, until},
    upstream::{Step, Upstream, end, json, send, sse_head},
};
use crate::{compute::LARGE, snapshot::ClientGone};

const MESSAGES: &str =
    r#"{"model":"claude-opus-5","stream":true,"messages":[{"role":"user","content":"a"}],"max_tokens":1}"#;
const CHAT: &str = r#"{"model":"claude-opus-5","stream":true,"messages":[{"role":"user","content":"a"}]}"#;
const PLAIN: &str =
    r#"{"model":"claude-opus-5","messages":[{"role":"user","content":"plain"}],"max_tokens":1}"#;
const GOOD: &str = r#"{"id":"m","type":"message","role":"assistant","model":"claude-opus-5","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":9}}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-opus-5\",\"content\":[],\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const STOP: &str = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

fn long_frame() -> String {
    let text = "x".repeat(2 * LARGE);
    format!(
        "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
    )
}

/// Streams a long frame, and answers at once who wants no stream.
async fn upstream(last: Vec<Step>) -> Upstream {
    Upstream::start(move |_, received| match String::from_utf8_lossy(&received.body).contains("plain") {
        true => json(200, GOOD),
        false => [vec![sse_head(), send(START), send(&long_frame())], last.clone()].concat(),
    })
    .await
}

/// Keeps all threads for long work busy until it is dropped.
async fn occupied(gateway: &Gateway) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (tell, begun) = mpsc::channel();
    let compute = gateway.proxy.compute.clone();
    gateway.tasks.spawn(async move {
        let work = move || {
            tell.send(()).unwrap();
            _ = held.recv();
        };
        compute.run(work).await.unwrap();
    });
    until("the thread is occupied", || begun.try_recv().is_ok()).await;
    release
}

#[tokio::test]
async fn other_clients_are_served_while_a_long_frame_is_read() {
    for (path, body) in [("/v1/messages", MESSAGES), ("/v1/chat/completions", CHAT)] {
        let upstream = upstream(vec![send(STOP), end()]).await;
        let gateway = Gateway::start(vec![claude(upstream.url())]).await;
        let release = occupied(&gateway).await;
        let mut response = gateway.open(gateway.request(path, body)).await;
        let first = tokio::time::timeout(PATIENCE, response.body_mut().frame()).await.unwrap();
        let first = first.unwrap().unwrap().into_data().unwrap();
        assert!(first.len() < LARGE && String::from_utf8_lossy(&first).contains("hi"));
        assert_eq!(gateway.post("/v1/messages", PLAIN).await.status, 200);
        drop(release);
        let (rest, whole) = tokio::time::timeout(PATIENCE, read(response.into_body())).await.unwrap();
        let all = [first, rest].concat();
        assert!(whole);
        match path {
            "/v1/messages" => {
                assert!(all == [START, &long_frame(), STOP].concat().as_bytes(), "bytes stay bytes");
            }
            _ => {
                let text = String::from_utf8_lossy(&all);
                assert!(text.matches('x').count() >= 2 * LARGE && text.contains("[DONE]"));
            }
        }
        let records = gateway.records(2).await;
        assert_eq!(records[1].attempts[0].usage, Some(Usage { input: 7, output: 9, ..Usage::default() }));
    }
}

/// Many short frames for a client that wants one answer.
#[tokio::test]
async fn what_a_gathered_stream_used_is_known_while_the_answer_is_made_of_it() {
    let frame = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"and so on and on\"}}\n\n";
    let frames = frame.repeat(LARGE / frame.len() + 1);
    let total = [START, &frames, STOP].concat().len() as u64;
    let upstream = Upstream::always(vec![sse_head(), send(START), send(&frames), send(STOP), end()]).await;
    let change = |account: &mut crate::snapshot::Account| account.client_gone = ClientGone::Cancel;
    let gateway = Gateway::start(vec![claude(upstream.url()).but(change)]).await;
    let release = occupied(&gateway).await;
    let request = gateway.request("/v1/messages", PLAIN);
    let mut asking = Box::pin(gateway.open(request));
    let gathered = until("all of it came", || gateway.proxy.answers.held() >= total);
    tokio::select! {
        _ = &mut asking => panic!("there is no thread to make the answer"),
        () = gathered => {}
    }
    drop(asking);
    let record = gateway.records(1).await.remove(0);
    assert_eq!(record.outcome(), Outcome::ClientGone);
    let used = Usage { input: 7, output: 9, ..Usage::default() };
    assert_eq!((record.attempts[0].usage, record.estimated), (Some(used), false));
    drop(release);
}

#[tokio::test]
async fn a_client_may_leave_while_a_long_frame_is_read() {
    for (gone, known) in [
        (ClientGone::Drain, Usage { input: 7, output: 9, ..Usage::default() }),
        (ClientGone::Cancel, Usage { input: 7, output: 1, ..Usage::default() }),
    ] {
        let upstream = upstream(vec![send(STOP), end()]).await;
        let change = match gone {
            ClientGone::Drain => {
                |account: &mut crate::snapshot::Account| account.client_gone = ClientGone::Drain
            }
            ClientGone::Cancel => {
                |account: &mut crate::snapshot::Account| account.client_gone = ClientGone::Cancel
            }
        };
        let gateway = Gateway::start(vec![claude(upstream.url()).but(change)]).await;
        let release = occupied(&gateway).await;
        let mut response = gateway.open(gateway.request("/v1/messages", MESSAGES)).await;
        tokio::time::timeout(PATIENCE, response.body_mut().frame()).await.unwrap().unwrap().unwrap();
        drop(response);
        until("the client is seen to be gone", || gateway.proxy.metrics.node.streams() == 0).await;
        if gone == ClientGone::Drain {
            drop(release);
        }
        let record = gateway.records(1).await.remove(0);
        assert_eq!(record.outcome(), Outcome::ClientGone);
        assert_eq!(record.attempts[0].usage, Some(known), "{gone:?}");
    }
}
