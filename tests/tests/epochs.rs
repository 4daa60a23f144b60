//! A control plane that lost its database or got an older one back: nodes refuse it, serve on, show it, and follow
//! once the operator says so; never back to where they left.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::fmt;

use serde_json::{Value, json};
use tests::{Caller, Split, adopt_epoch, eventually, messages_body};

const CLAUDE: &str = "sk-ant-epochs";
const QUICK: (&str, &str) = ("SWITCHYARD_HEARTBEAT_INTERVAL", "200ms");

/// Two nodes that serve a key.
async fn start() -> (Split, Vec<Caller>) {
    let split = Split::start_with(2, &[QUICK]).await;
    split.account("claude-console", CLAUDE).await;
    let callers = split.callers().await;
    for caller in &callers {
        caller.offered("claude-sonnet-5").await;
    }
    (split, callers)
}

/// The epoch that the control plane stands for.
async fn desired(split: &Split) -> String {
    let answer = split.admin.get("/api/admin/nodes").await.ok();
    answer["desired"]["epoch"].as_str().unwrap().to_owned()
}

async fn all_serve(callers: &[Caller], what: impl fmt::Display) {
    for caller in callers {
        let reply = caller.messages(&messages_body("x", false)).await;
        assert_eq!(reply.status, 200, "{what}: {:?}", reply.body);
    }
}

/// Every node refuses what the control plane has, for that reason, and serves on from the epoch it had.
async fn all_refuse(split: &Split, callers: &[Caller], reason: &str, serving: &str) {
    let offered = desired(split).await;
    for node in &split.nodes {
        let seen = split.node_seen(&node.name, |node| node["refused"] != Value::Null).await;
        assert_eq!(seen["refused"]["reason"], reason, "{seen}");
        assert_eq!(seen["refused"]["revision"]["epoch"], *offered, "{seen}");
        assert_eq!(seen["acknowledged"]["epoch"], *serving, "{seen}");
        assert_eq!(seen["health"], "live", "{seen}");
        // One that was started again has yet to meet it, whatever the control plane remembers.
        eventually("the node to show it too", async || {
            (node.metric("switchyard_snapshot_refused").await == Some(1.0)).then_some(())
        })
        .await;
        assert_eq!(node.readiness().await.0, 200);
    }
    // What changes meanwhile is refused as well.
    let made = split.admin.post("/api/api-keys", json!({ "name": "unheard of" })).await.ok();
    let later = split.admin.get("/api/admin/nodes").await.ok()["desired"]["version"].clone();
    for (node, caller) in split.nodes.iter().zip(callers) {
        split.node_seen(&node.name, |node| node["refused"]["revision"]["version"] == later).await;
        let unheard_of = Caller::new(&caller.url, made["key"].as_str().unwrap());
        assert_eq!(unheard_of.messages(&messages_body("x", false)).await.status, 401);
    }
    all_serve(callers, reason).await;
}

/// Every node serves from the control plane's configuration, and hears of changes.
async fn all_follow(split: &Split) -> Vec<Caller> {
    let epoch = desired(split).await;
    for node in &split.nodes {
        let seen = split
            .node_seen(&node.name, |node| {
                node["acknowledged"]["epoch"] == *epoch && node["refused"] == Value::Null && node["lag"] == 0
            })
            .await;
        assert_eq!(seen["health"], "live", "{seen}");
    }
    let callers = split.callers().await;
    for node in &split.nodes {
        assert_eq!(node.metric("switchyard_snapshot_refused").await, Some(0.0));
    }
    callers
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_database_is_not_followed_until_it_is_adopted() {
    let (mut split, callers) = start().await;
    let first = desired(&split).await;
    let emptied = split.mariadb.database();
    split.move_control_to(&emptied).await;
    assert_ne!(desired(&split).await, first);
    all_refuse(&split, &callers, "unknown_epoch", &first).await;

    // Not by coming back either.
    split.nodes[0].crash_and_restart();
    let restarted = [Caller::new(&split.nodes[0].url, &callers[0].key), callers[1].clone()];
    all_refuse(&split, &restarted, "unknown_epoch", &first).await;

    let said = adopt_epoch(split.database_url());
    assert!(said.contains(&desired(&split).await), "{said}");
    let followed = all_follow(&split).await;
    // The new database knows neither the old key nor the old account.
    assert_eq!(restarted[0].messages(&messages_body("x", false)).await.status, 401);
    split.account("claude-console", CLAUDE).await;
    for caller in &followed {
        caller.offered("claude-sonnet-5").await;
    }
    all_serve(&followed, "the new database").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_not_followed_until_it_is_adopted_and_no_way_leads_back() {
    let (mut split, callers) = start().await;
    let (current, first) = (split.database_url().to_owned(), desired(&split).await);
    let backup = split.mariadb.copy(&current);
    // After the backup: one key comes, the other goes.
    let later = split.callers().await;
    let keys = split.admin.get("/api/api-keys").await.ok();
    let oldest = keys["api_keys"][0]["id"].as_str().unwrap().to_owned();
    assert!(split.admin.delete(&format!("/api/api-keys/{oldest}")).await.status.is_success());
    for caller in &callers {
        eventually("the deleted key to be refused", async || {
            (caller.messages(&messages_body("x", false)).await.status == 401).then_some(())
        })
        .await;
    }

    // The restored database would bring the deleted key back, under a lower version of the same epoch.
    split.move_control_to(&backup).await;
    assert_eq!(desired(&split).await, first);
    for node in &split.nodes {
        let seen = split.node_seen(&node.name, |node| node["refused"] != Value::Null).await;
        assert_eq!(seen["refused"]["reason"], "lower_version", "{seen}");
        assert_eq!(node.metric("switchyard_snapshot_refused").await, Some(1.0));
    }
    all_serve(&later, "refusing the backup").await;
    for caller in &callers {
        assert_eq!(caller.messages(&messages_body("x", false)).await.status, 401);
    }

    // Nor once it has counted on to a version that the nodes do not have yet: its history is another one.
    for number in 0..8 {
        let key = json!({ "name": format!("of the backup {number}") });
        split.admin.post("/api/api-keys", key).await.ok();
    }
    all_serve(&later, "refusing the backup that caught up").await;
    for (node, caller) in split.nodes.iter().zip(&callers) {
        split.node_seen(&node.name, |node| node["refused"]["reason"] == "lower_version").await;
        assert_eq!(caller.messages(&messages_body("x", false)).await.status, 401);
    }

    // The operator's answer: the backup is the truth.
    _ = adopt_epoch(&backup);
    let second = desired(&split).await;
    assert_ne!(second, first);
    all_follow(&split).await;
    all_serve(&callers, "the backup's key").await;
    for caller in &later {
        assert_eq!(caller.messages(&messages_body("x", false)).await.status, 401);
    }

    // A copy of the second epoch, with its mark of adoption; then a third epoch. The copy is a way back, and closed.
    let way_back = split.mariadb.copy(&backup);
    _ = adopt_epoch(&backup);
    let third = desired(&split).await;
    let callers = all_follow(&split).await;
    split.move_control_to(&way_back).await;
    assert_eq!(desired(&split).await, second);
    all_refuse(&split, &callers, "unknown_epoch", &third).await;
    // What was left is remembered over a restart.
    split.nodes[1].crash_and_restart();
    let callers = [callers[0].clone(), Caller::new(&split.nodes[1].url, &callers[1].key)];
    all_refuse(&split, &callers, "unknown_epoch", &third).await;

    split.move_control_to(&backup).await;
    all_follow(&split).await;
}
