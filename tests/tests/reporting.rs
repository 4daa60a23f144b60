//! Usage is reported exactly once, however long the control plane was away.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeSet;

use emulator::{Behaviour, UsageScript};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Caller, Split, chat_body, eventually, messages_body};

const CLAUDE: &str = "sk-ant-reporting";
const OPENAI: &str = "sk-reporting";
/// Requests of each kind (wire × streaming or not) at each node.
const EACH: usize = 10;

/// What the providers counted: uncached input, cache reads, output.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums([u64; 3]);

impl Sums {
    fn add(&mut self, counts: [u64; 3]) {
        for (sum, count) in self.0.iter_mut().zip(counts) {
            *sum += count;
        }
    }
}

/// One after the other at each node: every wire, plain and streaming, each with counts of its own.
async fn burst(split: &Split, callers: &[Caller]) -> Sums {
    let (claude, openai) = (split.emulator.credential(CLAUDE), split.emulator.credential(OPENAI));
    let mut reported = Sums::default();
    for number in 0..EACH as u64 {
        for stream in [false, true] {
            let counts = [100 + number, 7 * number, 10 + number + u64::from(stream)];
            let [input, cache_read, output] = counts;
            let usage = UsageScript {
                input: Some(input),
                cache_read: Some(cache_read),
                output: Some(output),
                ..UsageScript::default()
            };
            for credential in [&claude, &openai] {
                let behaviour = Behaviour::default().with_usage(usage);
                credential.next_all(vec![behaviour; callers.len()]).unwrap();
            }
            for _ in 0..2 * callers.len() {
                reported.add(counts);
            }
            let (messages, chat) = (messages_body("x", stream), chat_body("x", stream));
            let asked = callers.iter().map(async |caller| {
                for reply in [caller.messages(&messages).await, caller.chat(&chat).await] {
                    assert!(reply.status == 200 && reply.whole, "{reply:?}");
                }
            });
            join_all(asked).await;
        }
    }
    reported
}

async fn records(split: &Split) -> Vec<Value> {
    let answer = split.admin.get("/api/admin/usage/records?limit=200").await.ok();
    answer["records"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_served_while_the_control_plane_was_away_counts_once_and_to_the_token() {
    let mut split = Split::start_with(2, &[("SWITCHYARD_HEARTBEAT_INTERVAL", "200ms")]).await;
    split.account("claude-console", CLAUDE).await;
    split.account("openai", OPENAI).await;
    let callers = split.callers().await;
    for caller in &callers {
        caller.offered("claude-sonnet-5").await;
        caller.offered("gpt-4o").await;
    }
    let served = 4 * EACH * callers.len();

    split.controls[0].program.kill();
    let reported = burst(&split, &callers).await;
    for node in &split.nodes {
        // An open and a close record for each request.
        let waiting = node.metric("switchyard_spool_depth").await.unwrap();
        assert_eq!(waiting, (2 * served / callers.len()) as f64);
    }
    // Back, it dies again as soon as it has taken something: what it did not acknowledge comes once more.
    split.restart_control().await;
    eventually("a first record", async || (!records(&split).await.is_empty()).then_some(())).await;
    split.controls[0].program.kill();
    split.restart_control().await;
    for node in &split.nodes {
        split.node_seen(&node.name, |node| node["spool_depth"] == 0 && node["health"] == "live").await;
        assert_eq!(node.metric("switchyard_spool_depth").await, Some(0.0));
    }

    let records = records(&split).await;
    let ids: BTreeSet<_> = records.iter().map(|record| record["request_id"].as_str().unwrap()).collect();
    assert_eq!((records.len(), ids.len()), (served, served));
    let mut recorded = Sums::default();
    for record in &records {
        assert_eq!(
            (&record["outcome"], &record["status"], &record["estimated"]),
            (&json!("completed"), &json!(200), &json!(false)),
            "{record}"
        );
        recorded.add(counts(record));
    }
    assert_eq!(recorded, reported);
    let summary = split.admin.get("/api/admin/usage/summary").await.ok();
    assert_eq!(summary["requests"], served, "{summary}");
    assert_eq!(counts(&summary), reported.0, "{summary}");
}

fn counts(of: &Value) -> [u64; 3] {
    ["input_tokens", "cache_read_tokens", "output_tokens"].map(|kind| of[kind].as_u64().unwrap())
}
