//! kill -9 of a node in mid-stream: nothing is forgotten, nothing counts twice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::time::Duration;

use emulator::{Behaviour, Condition, Position, UsageScript};
use reqwest::Response;
use serde_json::{Value, json};
use tests::{Caller, Split, eventually, messages_body, read};

const CLAUDE: &str = "sk-ant-crash";
const PATIENCE: Duration = Duration::from_secs(20);
const USAGE: UsageScript = UsageScript {
    input: Some(1_000),
    cache_read: None,
    cache_write_5m: None,
    cache_write_1h: None,
    output: Some(50),
    reasoning: None,
};

async fn start() -> (Split, Caller) {
    let split = Split::start(1).await;
    split.account("claude-console", CLAUDE).await;
    let caller = split.callers().await.remove(0);
    caller.offered("claude-sonnet-5").await;
    (split, caller)
}

/// One request that completes, and one that its provider holds in mid-stream.
async fn one_done_and_one_under_way(split: &Split, caller: &Caller) -> Response {
    let credential = split.emulator.credential(CLAUDE);
    credential.next(Behaviour::default().with_usage(USAGE)).unwrap();
    assert_eq!(caller.messages(&messages_body("x", false)).await.status, 200);
    let held = Behaviour::chunked(8).with_usage(USAGE).with_hold(Position::Content(2));
    credential.next(held).unwrap();
    let body = serde_json::to_vec(&messages_body("one two three four five six", true)).unwrap();
    let stream = caller.post("/v1/messages", body).await;
    credential.wait_for(Condition::held(1), PATIENCE).await.unwrap();
    stream
}

/// All records, open ones included, once none is open.
async fn records(split: &Split, count: usize) -> Vec<Value> {
    eventually("every request to be in the ledger, closed", async || {
        let answer = split.admin.get("/api/admin/usage/records?limit=200").await.ok();
        let records = answer["records"].as_array().unwrap().clone();
        let closed = records.iter().all(|record| record["outcome"] != "open");
        (closed && records.len() >= count).then_some(records)
    })
    .await
}

/// Newest first: the request that was cut off, then the one that completed.
fn cut_off_and_completed(records: &[Value]) {
    assert_eq!(records.len(), 2, "{records:#?}");
    let (cut_off, completed) = (&records[0], &records[1]);
    assert_eq!((&cut_off["outcome"], &cut_off["estimated"]), (&json!("cut_off"), &json!(true)), "{cut_off}");
    assert_eq!(cut_off["model_requested"], "claude-sonnet-5", "{cut_off}");
    let attempt = &cut_off["attempts"][0];
    assert!(
        attempt["account_id"].is_string() && attempt["estimate"]["input_tokens"].as_u64() > Some(0),
        "{cut_off}"
    );
    assert_ne!(cut_off["real_cost"], "0", "the account's: {cut_off}");
    assert_eq!(cut_off["cost"], "0", "what reached the user is not known: {cut_off}");
    assert_eq!(
        [&completed["outcome"], &completed["input_tokens"], &completed["output_tokens"]],
        [&json!("completed"), &json!(1_000), &json!(50)],
        "{completed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_in_mid_stream_reports_the_request_as_cut_off_once_it_is_back() {
    let (mut split, caller) = start().await;
    let stream = one_done_and_one_under_way(&split, &caller).await;
    eventually("the request to be in the ledger as open", async || {
        let open = split.admin.get("/api/admin/usage/records?outcome=open").await.ok();
        (open["records"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    split.nodes[0].program.kill();
    assert!(!read(stream).await.whole, "the client sees that it broke off");
    split.nodes[0].restart();
    cut_off_and_completed(&records(&split, 2).await);

    // Another crash, and what comes after it, add nothing to that.
    split.nodes[0].crash_and_restart();
    let again = Caller::new(&split.nodes[0].url, &caller.key);
    again.offered("claude-sonnet-5").await;
    assert_eq!(again.messages(&messages_body("x", false)).await.status, 200);
    let all = records(&split, 3).await;
    assert_eq!(all[0]["outcome"], "completed");
    cut_off_and_completed(&all[1..]);
    let summary = split.admin.get("/api/admin/usage/summary").await.ok();
    assert_eq!(summary["requests"], 3, "{summary}");
    split.node_seen("node-0", |node| node["spool_depth"] == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_leaves_behind_for_good_is_drained_from_its_folder() {
    let (mut split, caller) = start().await;
    // Nothing of it has reached the ledger when the node dies.
    split.controls[0].program.kill();
    let stream = one_done_and_one_under_way(&split, &caller).await;
    split.nodes[0].program.kill();
    assert!(!read(stream).await.whole);
    split.restart_control().await;
    assert_eq!(split.admin.get("/api/admin/usage/records").await.ok()["records"], json!([]));
    split.nodes[0].drain();
    cut_off_and_completed(&records(&split, 2).await);
    // Draining twice counts once.
    split.nodes[0].drain();
    cut_off_and_completed(&records(&split, 2).await);
}
