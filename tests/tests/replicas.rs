//! Control planes that share a database are one control plane: the same revisions, and every node within reach.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use emulator::Behaviour;
use futures_util::future::{join, join_all};
use prost::Message as _;
use proto::v1::HeartbeatRequest;
use serde_json::{Value, json};
use tests::{Admin, Caller, Split, eventually, messages_body};

const CLAUDE: &str = "sk-ant-replicas";
/// Changes of each kind at each replica.
const EACH: usize = 15;

/// Two replicas with a node at each, and the admin at each.
async fn start() -> (Split, [Admin; 2]) {
    let mut split = Split::start_with(1, &[("SWITCHYARD_HEARTBEAT_INTERVAL", "200ms")]).await;
    split.add_control();
    split.add_node_at(1);
    let admins = [split.admin.clone(), split.admin.at(&split.controls[1].admin_url)];
    (split, admins)
}

/// Accounts and keys, all at the same time; gives the keys.
async fn commit_many(split: &Split, admin: &Admin, replica: usize) -> Vec<String> {
    let made = (0..EACH).map(async |number| {
        let account = json!({
            "name": format!("{replica}-{number}"),
            "type": "claude-console",
            "base_url": split.emulator.base_url(),
            "credentials": { "api_key": format!("sk-ant-{replica}-{number}") },
        });
        let key = json!({ "name": format!("{replica}-{number}") });
        let (account, key) =
            join(admin.post("/api/admin/accounts", account), admin.post("/api/api-keys", key)).await;
        account.ok();
        key.ok()["key"].as_str().unwrap().to_owned()
    });
    join_all(made).await
}

/// What the node said last: the version it is at, if at any, and the digest of what it received.
fn heard_of(split: &Split, node: &str) -> (Option<u64>, Vec<u8>) {
    let hex = split.sql(&format!("SELECT HEX(report) FROM nodes WHERE node_id = '{node}'"));
    let bytes: Vec<u8> = (0..hex.trim().len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    let report = HeartbeatRequest::decode(bytes.as_slice()).unwrap();
    (report.revision.map(|revision| revision.version), report.digest)
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_commit_at_once_publish_the_same_revisions() {
    let (mut split, admins) = start().await;
    let (one, other) = join(commit_many(&split, &admins[0], 0), commit_many(&split, &admins[1], 1)).await;
    for key in one.iter().chain(&other) {
        for node in &split.nodes {
            Caller::new(&node.url, key).admitted().await;
        }
    }
    // One who comes later gets at once what the others got bit by bit.
    split.add_node_at(1);

    let desired = admins[0].get("/api/admin/nodes").await.ok()["desired"].clone();
    assert_eq!(admins[1].get("/api/admin/nodes").await.ok()["desired"], desired);
    let version = desired["version"].as_u64().unwrap();
    for control in &split.controls {
        let published = control.metric("switchyard_control_snapshot_version").await;
        assert_eq!(published, Some(version as f64));
    }
    let mut digests = Vec::new();
    for node in &split.nodes {
        split.node_seen(&node.name, |seen| seen["acknowledged"] == desired).await;
        let digest = eventually("a heartbeat at that version", async || {
            let (at, digest) = heard_of(&split, &node.name);
            (at == Some(version)).then_some(digest)
        })
        .await;
        digests.push(digest);
    }
    assert_eq!(digests[0].len(), 16);
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_edits_of_the_same_thing_at_once_one_is_told_that_it_came_too_late() {
    let (split, admins) = start().await;
    let account = split.account("claude-console", CLAUDE).await;
    let path = format!("/api/admin/accounts/{account}");
    for priority in 1..=10 {
        let edits = admins.iter().enumerate().map(async |(replica, admin)| {
            let change = json!({ "priority": priority, "description": format!("by {replica}") });
            admin.put(&path, &path, change).await.status.as_u16()
        });
        let mut answers = join_all(edits).await;
        answers.sort_unstable();
        // Both may also come one after the other.
        assert!(matches!(answers[..], [200, 412] | [200, 200]), "{answers:?}");
    }
    let etag = admins[0].get(&path).await.headers["etag"].to_str().unwrap().to_owned();
    let edits = admins.iter().map(async |admin| {
        let change = Some(json!({ "priority": 50 }));
        let answer = admin.call(reqwest::Method::PUT, &path, change, Some(etag.clone())).await;
        answer.status.as_u16()
    });
    let mut answers = join_all(edits).await;
    answers.sort_unstable();
    assert_eq!(answers, [200, 412]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_nodes_through_whichever_replica() {
    let (mut split, [_, second]) = start().await;
    let account = split.account("claude-console", CLAUDE).await;
    let callers = split.callers().await;
    for caller in &callers {
        caller.offered("claude-sonnet-5").await;
    }
    let credential = split.emulator.credential(CLAUDE);
    credential.next(Behaviour::retry_after(429, 3600)).unwrap();
    assert_eq!(callers[0].messages(&messages_body("x", false)).await.status, 429);
    for caller in &callers {
        eventually("the limit to be known", async || {
            (caller.messages(&messages_body("x", false)).await.status == 429).then_some(())
        })
        .await;
    }

    // Given at the second replica: the first node is connected to the first.
    let path = format!("/api/admin/accounts/{account}");
    let status = json!({ "status": "valid" });
    let set = second.put(&format!("{path}/status"), &path, status).await.ok();
    let outcomes: Vec<_> = set["nodes"].as_array().unwrap().iter().map(outcome).collect();
    assert_eq!(outcomes, [("node-0", "cleared"), ("node-1", "cleared")], "{set}");
    for caller in &callers {
        let reply = caller.messages(&messages_body("x", false)).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
    }

    // With the second node gone, only the first replica leads to one.
    split.nodes[1].program.terminate();
    assert!(split.nodes[1].program.ended().success());
    let asked = credential.counters().requests;
    let test = second.post(&format!("{path}/test"), json!({})).await.ok();
    assert_eq!((&test["node_id"], &test["ok"]), (&json!("node-0"), &json!(true)), "{test}");
    assert_eq!(credential.counters().requests, asked + 1);
}

fn outcome(node: &Value) -> (&str, &str) {
    (node["node_id"].as_str().unwrap(), node["outcome"].as_str().unwrap())
}
