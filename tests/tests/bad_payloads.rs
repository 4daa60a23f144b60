//! A payload that nodes can't read spoils only itself, its last good form serves on, and its envelope always applies.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use serde_json::{Value, json};
use tests::{Caller, Split, adopt_epoch, eventually, messages_body};

const SPOILED: &str = "sk-ant-spoiled";
const OTHER: &str = "sk-ant-other";
const ACCOUNT_KIND: u8 = 1;

/// Writes SQL over the account's row, and gives the change its version as the store does.
fn spoil(split: &Split, name: &str, assignment: &str) {
    let id = format!("(SELECT id FROM accounts WHERE name = '{name}')");
    _ = split.sql(&format!(
        "START TRANSACTION;
         UPDATE configuration_revision SET version = version + 1;
         INSERT INTO revisions (version, stamp)
            SELECT version, UNHEX(MD5(RAND())) FROM configuration_revision;
         UPDATE changes SET version = (SELECT version FROM configuration_revision)
            WHERE kind = {ACCOUNT_KIND} AND id = {id};
         UPDATE accounts SET {assignment} WHERE name = '{name}';
         COMMIT"
    ));
}

/// The node has all there is, and refuses the account's payload.
async fn refuses(split: &Split, account: &str) {
    for node in &split.nodes {
        let seen = split
            .node_seen(&node.name, |node| {
                node["lag"] == 0 && node["refused_payloads"] != json!([]) && node["refused"] == Value::Null
            })
            .await;
        let refused = seen["refused_payloads"].as_array().unwrap();
        assert_eq!(refused.len(), 1, "{seen}");
        assert_eq!((&refused[0]["kind"], &refused[0]["id"]), (&json!("account"), &json!(account)));
        assert!(refused[0]["reason"].as_str().unwrap().contains("base URL"), "{seen}");
    }
}

/// The status, and the credential that was asked for it.
async fn ask(split: &Split, caller: &Caller) -> (u16, Option<&'static str>) {
    let served = |credential: &str| split.emulator.credential(credential).counters().requests;
    let before = [SPOILED, OTHER].map(served);
    let status = caller.messages(&messages_body("x", false)).await.status.as_u16();
    let after = [SPOILED, OTHER].map(served);
    let asked = [SPOILED, OTHER].into_iter().enumerate();
    let mut asked = asked.filter(|(at, _)| after[*at] > before[*at]).map(|(_, credential)| credential);
    (status, asked.next())
}

async fn enable(split: &Split, account: &str, enabled: bool) {
    let path = format!("/api/admin/accounts/{account}");
    let change = json!({ "enabled": enabled });
    split.admin.put(&path, &path, change).await.ok();
}

async fn eventually_asked(split: &Split, caller: &Caller, credential: &'static str) {
    eventually(&format!("{credential} to be asked"), async || {
        let (status, asked) = ask(split, caller).await;
        assert_eq!(status, 200);
        (asked == Some(credential)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_payload_spoils_only_itself_through_resync_and_restart_and_never_undoes_a_revocation() {
    let mut split = Split::start_with(1, &[("SWITCHYARD_HEARTBEAT_INTERVAL", "200ms")]).await;
    let account =
        split.account_with("claude-console", SPOILED, json!({ "name": "spoiled", "priority": 1 })).await;
    split.account_with("claude-console", OTHER, json!({ "name": "other", "priority": 2 })).await;
    let caller = split.callers().await.remove(0);
    caller.offered("claude-sonnet-5").await;
    assert_eq!(ask(&split, &caller).await, (200, Some(SPOILED)));

    spoil(&split, "spoiled", "base_url = 'not a URL'");
    refuses(&split, &account).await;
    assert_eq!(ask(&split, &caller).await, (200, Some(SPOILED)), "the last good form serves on");
    // Nothing else waits for it.
    let caller = split.callers().await.remove(0);
    assert_eq!(ask(&split, &caller).await, (200, Some(SPOILED)));
    refuses(&split, &account).await;

    // A revocation applies, though its payload comes with it; and so does its end.
    enable(&split, &account, false).await;
    eventually_asked(&split, &caller, OTHER).await;
    refuses(&split, &account).await;
    enable(&split, &account, true).await;
    eventually_asked(&split, &caller, SPOILED).await;

    // After a restart of the control plane, and after everything was sent anew.
    split.controls[0].program.kill();
    split.restart_control().await;
    refuses(&split, &account).await;
    assert_eq!(ask(&split, &caller).await, (200, Some(SPOILED)));
    let full = r#"switchyard_control_updates_sent_total{form="full"}"#;
    assert_eq!(split.controls[0].metric(full).await.unwrap_or_default(), 0.0);
    _ = adopt_epoch(split.database_url());
    eventually("everything to be sent", async || {
        (split.controls[0].metric(full).await == Some(1.0)).then_some(())
    })
    .await;
    refuses(&split, &account).await;
    assert_eq!(ask(&split, &caller).await, (200, Some(SPOILED)));

    // After a restart of the node, with and without the control plane.
    split.nodes[0].crash_and_restart();
    let caller = Caller::new(&split.nodes[0].url, &caller.key);
    assert_eq!(ask(&split, &caller).await, (200, Some(SPOILED)));
    refuses(&split, &account).await;
    enable(&split, &account, false).await;
    eventually_asked(&split, &caller, OTHER).await;
    split.nodes[0].program.terminate();
    assert!(split.nodes[0].program.ended().success());
    split.controls[0].program.kill();
    split.nodes[0].restart();
    let caller = Caller::new(&split.nodes[0].url, &caller.key);
    assert_eq!(ask(&split, &caller).await, (200, Some(OTHER)), "the copy keeps the revocation");
    split.restart_control().await;
    enable(&split, &account, true).await;
    eventually_asked(&split, &caller, SPOILED).await;

    // A node that never had a good form goes without this one account.
    split.add_node();
    let newcomer = Caller::new(&split.nodes[1].url, &caller.key);
    newcomer.offered("claude-sonnet-5").await;
    refuses(&split, &account).await;
    assert_eq!(ask(&split, &newcomer).await, (200, Some(OTHER)));

    // Set right, it is an account like any other.
    let path = format!("/api/admin/accounts/{account}");
    let change = json!({ "base_url": split.emulator.base_url(), "credentials": { "api_key": SPOILED } });
    split.admin.put(&path, &path, change).await.ok();
    eventually_asked(&split, &newcomer, SPOILED).await;
    for node in &split.nodes {
        split.node_seen(&node.name, |node| node["lag"] == 0 && node["refused_payloads"] == json!([])).await;
    }
}
