//! Nodes learn of limits from one another through Redis, and go on by themselves, visibly, while it is away.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::time::Duration;

use emulator::Behaviour;
use serde_json::json;
use tests::{Caller, Split, Traffic, eventually, messages_body};

const FIRST: &str = "sk-ant-preferred";
const SECOND: &str = "sk-ant-spare";
/// No request waits for Redis; the rest is for a noisy machine.
const PROMPT: Duration = Duration::from_secs(3);

/// Two nodes, a preferred account (whose id is given) and a spare one.
async fn start() -> (Split, Vec<Caller>, String) {
    let split = Split::start_with(2, &[("SWITCHYARD_HEARTBEAT_INTERVAL", "200ms")]).await;
    let first = split.account_with("claude-console", FIRST, json!({ "priority": 1 })).await;
    split.account_with("claude-console", SECOND, json!({ "priority": 2 })).await;
    let callers = split.callers().await;
    for caller in &callers {
        caller.offered("claude-sonnet-5").await;
    }
    degraded(&split, false).await;
    (split, callers, first)
}

/// Waits until every node says so, in its metrics and to the control plane.
async fn degraded(split: &Split, degraded: bool) {
    for node in &split.nodes {
        eventually(&format!("live_degraded to be {degraded}"), async || {
            let shown = node.metric("switchyard_live_degraded").await;
            (shown == Some(f64::from(u8::from(degraded)))).then_some(())
        })
        .await;
        let seen = split.node_seen(&node.name, |node| node["statistics"]["live_degraded"] == degraded).await;
        assert_eq!(seen["statistics"]["live_backend"], "redis");
        eventually("the node to be ready", async || (node.readiness().await.0 == 200).then_some(())).await;
    }
}

/// The credential that a request is answered with.
async fn answered_by(split: &Split, caller: &Caller) -> &'static str {
    let served = |credential: &str| split.emulator.credential(credential).counters().requests;
    let before = served(FIRST);
    let reply = caller.messages(&messages_body("x", false)).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    if served(FIRST) > before { FIRST } else { SECOND }
}

async fn eventually_answered_by(split: &Split, caller: &Caller, credential: &'static str) {
    eventually(&format!("{credential} to be asked"), async || {
        (answered_by(split, caller).await == credential).then_some(())
    })
    .await;
}

/// The preferred account answers that node with 429; the node takes the spare one.
async fn limit(split: &Split, caller: &Caller) {
    let credential = split.emulator.credential(FIRST);
    credential.next(Behaviour::retry_after(429, 3600)).unwrap();
    assert_eq!(caller.messages(&messages_body("x", false)).await.status, 200);
    assert_eq!(credential.counters().queued, 0);
    assert_eq!(answered_by(split, caller).await, SECOND);
}

/// As a person does who knows better.
async fn set_valid(split: &Split, account: &str) {
    let path = format!("/api/admin/accounts/{account}");
    let status = json!({ "status": "valid" });
    split.admin.put(&format!("{path}/status"), &path, status).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_one_node_meets_is_kept_by_all_and_lasts_over_restarts() {
    let (mut split, callers, account) = start().await;
    limit(&split, &callers[0]).await;
    eventually_answered_by(&split, &callers[1], SECOND).await;
    let ttl = split.redis.command(&format!("PTTL sy:{{a:{account}}}:status"));
    let ttl: i64 = ttl.trim().trim_start_matches(':').parse().unwrap();
    assert!((3_500_000..=3_600_000).contains(&ttl), "{ttl}");
    // A node that starts later knows it from Redis.
    split.nodes[1].crash_and_restart();
    degraded(&split, false).await;
    let restarted = Caller::new(&split.nodes[1].url, &callers[1].key);
    restarted.offered("claude-sonnet-5").await;
    assert_eq!(answered_by(&split, &restarted).await, SECOND);
    let live = split.admin.get(&format!("/api/admin/accounts/{account}")).await.ok()["live"].clone();
    assert_eq!(live["marks"][0]["kind"], "rate_limited", "{live}");

    set_valid(&split, &account).await;
    for caller in [&callers[0], &restarted] {
        assert_eq!(answered_by(&split, caller).await, FIRST);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_nodes_go_on_by_themselves_and_share_again_once_it_is_back() {
    let (mut split, callers, account) = start().await;
    let traffic = Traffic::start(&callers);
    traffic.more(20).await;
    split.redis.kill();
    traffic.more(20).await;
    degraded(&split, true).await;
    traffic.more(40).await;
    let report = traffic.stop().await;
    assert!(report.failed.is_empty() && report.slowest < PROMPT, "{report:?}");

    // What a node learns now it knows alone, until Redis is back; that one is empty.
    limit(&split, &callers[0]).await;
    assert_eq!(answered_by(&split, &callers[1]).await, FIRST);
    split.redis.restart();
    degraded(&split, false).await;
    eventually_answered_by(&split, &callers[1], SECOND).await;
    assert_eq!(answered_by(&split, &callers[0]).await, SECOND);
    set_valid(&split, &account).await;
    for caller in &callers {
        assert_eq!(answered_by(&split, caller).await, FIRST);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_holds_nobody_up() {
    let (split, callers, _) = start().await;
    let traffic = Traffic::start(&callers);
    traffic.more(20).await;
    split.redis.pause();
    degraded(&split, true).await;
    traffic.more(40).await;
    split.redis.resume();
    degraded(&split, false).await;
    traffic.more(20).await;
    let report = traffic.stop().await;
    assert!(report.failed.is_empty() && report.slowest < PROMPT, "{report:?}");
    limit(&split, &callers[1]).await;
    eventually_answered_by(&split, &callers[0], SECOND).await;
}
