//! An account that one node finds to be invalid, and what others find.

use proto::v1::{AccountType, HeartbeatRequest, StatusWrite, TestAccountResult, command_result};
use shared::id::AccountId;

use super::{
    commands::{beat, heartbeat, reason, serve_commands},
    databases::{Database, both},
    replica::{PATIENCE, Replica, add_account},
};
use crate::store::audit::{self, AuditFilter};

both! {
    an_account_is_invalid_once_a_second_node_finds_it_so,
    one_nodes_word_takes_no_account_from_the_others,
    a_node_that_gives_no_answer_is_passed_over,
    a_node_that_does_not_reach_the_account_is_not_asked,
}

fn reaching(node_id: &str) -> HeartbeatRequest {
    HeartbeatRequest { account_types: vec![AccountType::ClaudeConsole.into()], ..heartbeat(node_id) }
}

fn found(credential_fault: &str) -> Option<command_result::Result> {
    Some(command_result::Result::TestAccount(TestAccountResult {
        ok: credential_fault.is_empty(),
        credential_fault: credential_fault.into(),
        ..TestAccountResult::default()
    }))
}

/// A node among those heard of says so of a new account.
async fn said(replica: &Replica) -> AccountId {
    let (id, account_version) = add_account(&replica.app, "a").await;
    let write = StatusWrite {
        account_id: id.to_bytes().to_vec(),
        account_version,
        reason: "unauthorized".into(),
        detail: "no such key".into(),
    };
    beat(replica, HeartbeatRequest { status_writes: vec![write], ..reaching("node-1") }).await;
    id
}

/// The detail of the one entry of that kind, once it is there.
async fn entry(replica: &Replica, action: &str) -> serde_json::Value {
    let filter = AuditFilter { action: Some(action.into()), ..AuditFilter::default() };
    let looking = async {
        loop {
            let mut tx = replica.app.store.read().await.unwrap();
            let rows = audit::list(&mut tx, &filter, None, 10).await.unwrap();
            tx.rollback().await.unwrap();
            if let [row] = rows.as_slice() {
                return serde_json::from_str(&row.detail).unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("it is in the log in time")
}

async fn an_account_is_invalid_once_a_second_node_finds_it_so(database: Database) {
    let replica = database.replica().await;
    beat(&replica, reaching("node-2")).await;
    serve_commands(&replica, "node-2", || found("forbidden")).await;
    let id = said(&replica).await;
    let detail = entry(&replica, "account.mark_invalid").await;
    assert_eq!((&detail["node"], &detail["confirmed_by"]), (&"node-1".into(), &"node-2".into()));
    assert_eq!(reason(&replica, id).await.as_deref(), Some("unauthorized"));
    replica.stop().await;
}

async fn one_nodes_word_takes_no_account_from_the_others(database: Database) {
    let replica = database.replica().await;
    beat(&replica, reaching("node-2")).await;
    serve_commands(&replica, "node-2", || found("")).await;
    let id = said(&replica).await;
    assert_eq!(entry(&replica, "account.not_confirmed").await["works_for"], "node-2");
    assert_eq!(reason(&replica, id).await, None);
    replica.stop().await;
}

async fn a_node_that_gives_no_answer_is_passed_over(database: Database) {
    let replica = database.replica().await;
    beat(&replica, reaching("node-2")).await;
    beat(&replica, reaching("node-3")).await;
    serve_commands(&replica, "node-2", || Some(command_result::Result::Error("stopping".into()))).await;
    serve_commands(&replica, "node-3", || found("expired")).await;
    // Whichever is asked first.
    let id = said(&replica).await;
    assert_eq!(entry(&replica, "account.mark_invalid").await["confirmed_by"], "node-3");
    assert!(reason(&replica, id).await.is_some());
    replica.stop().await;
}

async fn a_node_that_does_not_reach_the_account_is_not_asked(database: Database) {
    let replica = database.replica().await;
    beat(&replica, heartbeat("node-2")).await;
    beat(&replica, HeartbeatRequest { ready: false, ..reaching("node-3") }).await;
    let id = said(&replica).await;
    assert_eq!(entry(&replica, "account.mark_invalid").await["confirmed_by"], serde_json::Value::Null);
    assert_eq!(reason(&replica, id).await.as_deref(), Some("unauthorized"));
    replica.stop().await;
}
