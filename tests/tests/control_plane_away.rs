//! The control plane may die: nodes go on with what they have, start from their own copy, and resume where they were.

use std::fs;

use serde_json::{Value, json};
use tests::{Caller, Split, Traffic, eventually, messages_body};

const CLAUDE: &str = "sk-ant-away";
const FULL: &str = r#"switchyard_control_updates_sent_total{form="full"}"#;
const DELTA: &str = r#"switchyard_control_updates_sent_total{form="delta"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_dies_is_not_noticed_and_goes_on_where_it_was() {
    let mut split = Split::start_with(2, &[("SWITCHYARD_HEARTBEAT_INTERVAL", "200ms")]).await;
    split.account("claude-console", CLAUDE).await;
    let callers = split.callers().await;
    for caller in &callers {
        caller.offered("claude-sonnet-5").await;
    }

    let traffic = Traffic::start(&callers);
    traffic.more(20).await;
    split.controls[0].program.kill();
    traffic.more(60).await;
    for node in &split.nodes {
        eventually("the node to be alone", async || {
            (node.metric("switchyard_control_plane_connected").await == Some(0.0)).then_some(())
        })
        .await;
        assert_eq!(node.readiness().await.0, 200);
    }
    split.restart_control().await;
    for node in &split.nodes {
        eventually("the node to be back", async || {
            (node.metric("switchyard_control_plane_connected").await == Some(1.0)).then_some(())
        })
        .await;
    }
    traffic.more(20).await;
    let report = traffic.stop().await;
    assert!(report.failed.is_empty(), "{report:?}");

    // Later changes arrive, as differences from what the nodes had.
    for caller in split.callers().await {
        assert_eq!(caller.messages(&messages_body("later", false)).await.status, 200);
    }
    for node in &split.nodes {
        let seen = split.node_seen(&node.name, |node| node["lag"] == 0).await;
        assert_eq!(seen["refused"], Value::Null);
    }
    let control = &split.controls[0];
    assert_eq!(control.metric(FULL).await.unwrap_or_default(), 0.0);
    // At least the greeting and the new key, for each node.
    let deltas = control.metric(DELTA).await.unwrap_or_default();
    assert!(deltas >= 4.0, "{deltas}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_from_its_copy_and_without_a_good_one_waits_for_the_control_plane() {
    let mut split = Split::start_with(1, &[("SWITCHYARD_REPORT_GRACE", "300ms")]).await;
    split.account("claude-console", CLAUDE).await;
    let caller = split.callers().await.remove(0);
    caller.offered("claude-sonnet-5").await;
    let made = split.admin.post("/api/api-keys", json!({ "name": "revoked" })).await.ok();
    let revoked = Caller::new(&caller.url, made["key"].as_str().unwrap());
    revoked.admitted().await;
    let path = format!("/api/api-keys/{}", made["id"].as_str().unwrap());
    split.admin.put(&format!("{path}/toggle"), &path, json!({ "enabled": false })).await.ok();
    eventually("the key to be refused", async || {
        (revoked.messages(&messages_body("x", false)).await.status == 401).then_some(())
    })
    .await;
    let copy = split.nodes[0].data_folder().join("snapshot.sealed");

    split.controls[0].program.kill();
    split.nodes[0].program.terminate();
    assert!(split.nodes[0].program.ended().success());
    for start in ["after an orderly end", "after a crash"] {
        split.nodes[0].restart();
        let node = &mut split.nodes[0];
        let said = node.program.logged("starting with the local copy of the configuration");
        assert_eq!(said["level"], "INFO", "{start}: {said}");
        assert_eq!(node.readiness().await.0, 200, "{start}");
        assert_eq!(ask(&node.url, &caller).await, 200, "{start}");
        assert_eq!(ask(&node.url, &revoked).await, 401, "{start}");
        node.program.kill();
    }

    let mut damaged = fs::read(&copy).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&copy, damaged).unwrap();
    split.nodes[0].restart();
    let node = &mut split.nodes[0];
    let said = node.program.logged("the local copy of the configuration can't be used and is set aside; the node starts with none. If the seal key was wrong, stop the node, put the copy back, and start it with the right one");
    assert_eq!(said["level"], "ERROR", "{said}");
    assert!(fs::exists(said["aside"].as_str().unwrap()).unwrap() && !copy.exists(), "{said}");
    let (status, text) = node.readiness().await;
    assert_eq!((status, text.trim()), (503, "no configuration yet"));
    // Nobody is told that their key is wrong, as nobody knows.
    assert_eq!(ask(&node.url, &caller).await, 503);

    split.restart_control().await;
    let url = split.nodes[0].url.clone();
    eventually("the node to be ready", async || (split.nodes[0].readiness().await.0 == 200).then_some(()))
        .await;
    assert_eq!((ask(&url, &caller).await, ask(&url, &revoked).await), (200, 401));
    eventually("a new copy", async || copy.exists().then_some(())).await;
    split.controls[0].program.kill();
    split.nodes[0].crash_and_restart();
    assert_eq!(ask(&split.nodes[0].url, &caller).await, 200);
}

/// The status that the caller's key gets from the node, which has another address after each start.
async fn ask(url: &str, caller: &Caller) -> u16 {
    let caller = Caller::new(url, &caller.key);
    caller.messages(&messages_body("x", false)).await.status.as_u16()
}
