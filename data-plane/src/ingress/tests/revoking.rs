//! A key or an account that is taken away while a request is under way: from then on nothing more is begun with it.

use proto::v1::Outcome;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    gateway::{Gateway, KEY, claude, until},
    upstream::{Gate, Step, Upstream, json},
};
use crate::snapshot::{Revision, Snapshot};

const BODY: &str = r#"{"model":"claude-opus-5","messages":[{"role":"user","content":"a"}],"max_tokens":1}"#;
const GOOD: &str = r#"{"id":"m","type":"message","role":"assistant","model":"claude-opus-5","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":9}}"#;

/// What becomes of the configuration.
type Change = fn(&mut Snapshot);

fn take_keys(snapshot: &mut Snapshot) {
    snapshot.keys.clear();
}

fn take_accounts(snapshot: &mut Snapshot) {
    snapshot.accounts.clear();
}

fn change(gateway: &Gateway, change: impl Fn(&mut Snapshot)) {
    let mut changed = (*gateway.snapshot.load_full()).clone();
    change(&mut changed);
    gateway.snapshot.publish(changed, Revision { epoch: [1; 16], version: 2 });
}

#[tokio::test]
async fn what_is_taken_away_while_a_body_arrives_serves_it_no_more() {
    let changes: [(Change, &str, &str); 2] =
        [(take_keys, "401", "invalid_api_key"), (take_accounts, "404", "not_found_error")];
    for (taken, status, said) in changes {
        let upstream = Upstream::always(json(200, GOOD)).await;
        let gateway = Gateway::start(vec![claude(upstream.url())]).await;
        let mut client = TcpStream::connect(gateway.base.trim_start_matches("http://")).await.unwrap();
        let (half, rest) = BODY.split_at(20);
        let length = BODY.len();
        let head = format!(
            "POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ncontent-length: {length}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
        );
        client.write_all([&head, half].concat().as_bytes()).await.unwrap();
        // Said once the body is read, and so behind the look at the key.
        let mut go_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
        client.read_exact(&mut go_on).await.unwrap();
        change(&gateway, taken);
        client.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains(said), "{answer}");
        assert!(upstream.received().is_empty());
    }
}

#[tokio::test]
async fn what_is_taken_away_during_an_attempt_is_not_tried_next() {
    let changes: [(Change, u16); 2] = [(take_keys, 401), (take_accounts, 502)];
    for (taken, status) in changes {
        let gate = Gate::new();
        let script = [vec![Step::Wait(gate.clone())], json(500, r#"{"type":"error"}"#)].concat();
        let (one, other) = (Upstream::always(script.clone()).await, Upstream::always(script).await);
        let gateway = Gateway::start(vec![claude(one.url()), claude(other.url())]).await;
        let asked = || one.received().len() + other.received().len();
        let taking = async {
            until("an upstream is asked", || asked() == 1).await;
            change(&gateway, taken);
            gate.open();
        };
        let (answer, ()) = tokio::join!(gateway.post("/v1/messages", BODY), taking);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(asked(), 1);
        let record = gateway.records(1).await.remove(0);
        let outcome = if status == 401 { Outcome::Refused } else { Outcome::UpstreamError };
        assert_eq!((record.outcome(), record.status, record.attempts.len()), (outcome, u32::from(status), 1));
    }
}
