//! Heartbeats, and commands through whichever replica.

use std::{sync::Arc, time::Duration};

use proto::v1::{
    AccountLive, Ack, ClearStatus, ClearStatusResult, CommandResult, HeartbeatRequest, RecordBatch,
    ReportRequest, StatusMark, StatusWrite, TestAccount, TestAccountResult, WatchRequest, command,
    command_result, node_service_client::NodeServiceClient, report_request,
    snapshot_service_client::SnapshotServiceClient, status_mark, usage_service_client::UsageServiceClient,
    watch_request,
};
use shared::id::AccountId;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::{
    databases::{Database, both},
    node::Node,
    replica::{NOW, PATIENCE, Replica, add_account},
};
use crate::{
    ops::{
        node_commands::{self, Answer, NoResult},
        nodes::live_since,
    },
    store::{
        accounts,
        audit::{self, AuditFilter},
        changes,
        nodes::{self, NodeFilter},
    },
};

both! {
    a_command_reaches_a_node_of_another_replica,
    a_node_that_says_nothing_is_told_apart_from_one_that_refuses,
    a_test_of_an_account_may_take_as_long_as_an_upstream_does,
    a_node_that_comes_back_takes_its_newest_stream,
    live_nodes_are_those_heard_of_lately,
    a_confirmed_status_write_is_published,
    marks_of_live_nodes_are_seen,
    an_acknowledged_revision_is_noted_before_the_next_heartbeat,
    what_is_no_hello_or_no_id_is_refused,
}

fn clear(id: AccountId) -> command::Command {
    command::Command::ClearStatus(ClearStatus { account_id: id.to_bytes().to_vec() })
}

pub(super) fn heartbeat(node_id: &str) -> HeartbeatRequest {
    HeartbeatRequest {
        node_id: node_id.to_owned(),
        build: "test".into(),
        ready: true,
        ..HeartbeatRequest::default()
    }
}

pub(super) async fn beat(replica: &Replica, heartbeat: HeartbeatRequest) -> u32 {
    NodeServiceClient::new(replica.channel().await)
        .heartbeat(heartbeat)
        .await
        .unwrap()
        .into_inner()
        .live_nodes
}

/// Opens a node's command stream and answers every command as `answer` says; `None` says nothing.
pub(super) async fn serve_commands(
    replica: &Replica,
    node_id: &str,
    answer: fn() -> Option<command_result::Result>,
) {
    serve_commands_once(replica, node_id, Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), answer).await;
}

/// The same, each answer behind a permit of `gate`.
async fn serve_commands_once(
    replica: &Replica,
    node_id: &str,
    gate: Arc<Semaphore>,
    answer: fn() -> Option<command_result::Result>,
) {
    let (results, outgoing) = mpsc::channel(8);
    let first = CommandResult { node_id: node_id.to_owned(), ..CommandResult::default() };
    results.send(first).await.unwrap();
    let mut client = NodeServiceClient::new(replica.channel().await);
    let mut commands = client.commands(ReceiverStream::new(outgoing)).await.unwrap().into_inner();
    replica.app.tasks.spawn(async move {
        while let Ok(Some(command)) = commands.message().await {
            gate.acquire().await.unwrap().forget();
            if let Some(result) = answer() {
                let result =
                    CommandResult { id: command.id, result: Some(result), ..CommandResult::default() };
                _ = results.send(result).await;
            }
        }
    });
}

fn cleared() -> Option<command_result::Result> {
    Some(command_result::Result::ClearStatus(ClearStatusResult {}))
}

async fn a_command_reaches_a_node_of_another_replica(database: Database) {
    let (one, two) = (database.replica().await, database.replica().await);
    beat(&one, heartbeat("node-1")).await;
    beat(&two, heartbeat("node-2")).await;
    serve_commands(&one, "node-1", cleared).await;
    serve_commands(&two, "node-2", cleared).await;
    for asked in [&one, &two] {
        let answers = node_commands::run_on_all(&asked.app, &clear(AccountId::new(NOW))).await.unwrap();
        let done = |node_id: &str| Answer { node_id: node_id.into(), outcome: Ok(cleared().unwrap()) };
        assert_eq!(answers, [done("node-1"), done("node-2")]);
    }
    one.stop().await;
    two.stop().await;
}

async fn a_node_that_says_nothing_is_told_apart_from_one_that_refuses(database: Database) {
    let replica =
        database.replica_with(|settings| settings.planes.command_timeout = Duration::from_millis(500)).await;
    serve_commands(&replica, "refuses", || Some(command_result::Result::Error("no such account".into())))
        .await;
    serve_commands(&replica, "says-nothing", || None).await;
    let asked = ["refuses", "says-nothing", "is-not-there"].map(ToOwned::to_owned);
    let answers = node_commands::run(&replica.app, &asked, &clear(AccountId::new(NOW))).await.unwrap();
    let outcomes: Vec<_> = answers.into_iter().map(|answer| answer.outcome.unwrap_err()).collect();
    assert_eq!(outcomes, [NoResult::Refused("no such account".into()), NoResult::Silent, NoResult::Silent]);
    replica.stop().await;
}

async fn a_test_of_an_account_may_take_as_long_as_an_upstream_does(database: Database) {
    let replica =
        database.replica_with(|settings| settings.planes.command_timeout = Duration::from_millis(200)).await;
    let (tests, clears) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let tested = || Some(command_result::Result::TestAccount(TestAccountResult::default()));
    serve_commands_once(&replica, "tests", Arc::clone(&tests), tested).await;
    serve_commands_once(&replica, "clears", Arc::clone(&clears), cleared).await;
    let account_id = AccountId::new(NOW).to_bytes().to_vec();
    let test = command::Command::TestAccount(TestAccount { account_id, model: None, account: None });
    let testing = [String::from("tests")];
    let testing = node_commands::run(&replica.app, &testing, &test);
    let clearing = async {
        let asked = [String::from("clears")];
        let answers = node_commands::run(&replica.app, &asked, &clear(AccountId::new(NOW))).await.unwrap();
        // By now the time of other commands is over.
        tests.add_permits(1);
        answers
    };
    let (tested_at_last, cleared_too_late) = tokio::join!(testing, clearing);
    assert_eq!(cleared_too_late[0].outcome, Err(NoResult::Silent));
    assert_eq!(tested_at_last.unwrap()[0].outcome, Ok(tested().unwrap()));
    clears.add_permits(1);
    replica.stop().await;
}

async fn a_node_that_comes_back_takes_its_newest_stream(database: Database) {
    let replica = database.replica().await;
    serve_commands(&replica, "node-1", || Some(command_result::Result::Error("the older stream".into())))
        .await;
    // A stream counts from when its first message arrived, which travels by itself: the newer one is opened once
    // the older one is in use, and gets what is sent some time after that.
    answers_at_last(&replica, "node-1", Err(NoResult::Refused("the older stream".into()))).await;
    serve_commands(&replica, "node-1", cleared).await;
    answers_at_last(&replica, "node-1", Ok(cleared().unwrap())).await;
    replica.stop().await;
}

/// Sends commands to the node until it answers like this.
async fn answers_at_last(
    replica: &Replica,
    node_id: &str,
    outcome: Result<command_result::Result, NoResult>,
) {
    let asked = [node_id.to_owned()];
    let wanted = [Answer { node_id: node_id.to_owned(), outcome }];
    let answered = async {
        while node_commands::run(&replica.app, &asked, &clear(AccountId::new(NOW))).await.unwrap() != wanted {
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("the stream is used in time");
}

async fn live_nodes_are_those_heard_of_lately(database: Database) {
    let replica = database.replica().await;
    assert_eq!(beat(&replica, heartbeat("node-1")).await, 1);
    assert_eq!(beat(&replica, heartbeat("node-2")).await, 2);
    replica.app.clock.advance(Duration::from_secs(10));
    assert_eq!(beat(&replica, heartbeat("node-2")).await, 2);
    replica.app.clock.advance(Duration::from_secs(6));
    assert_eq!(beat(&replica, heartbeat("node-2")).await, 1, "node-1 was last heard of 16 s ago");
    let mut tx = replica.app.store.read().await.unwrap();
    assert_eq!(
        nodes::list(&mut tx, NodeFilter::default(), None, 9).await.unwrap().len(),
        2,
        "it is still shown"
    );
    tx.rollback().await.unwrap();
    replica.stop().await;
}

async fn a_confirmed_status_write_is_published(database: Database) {
    let replica = database.replica().await;
    let (id, version) = add_account(&replica.app, "a").await;
    let write = |account_version| {
        let account_id = id.to_bytes().to_vec();
        StatusWrite {
            account_id,
            account_version,
            reason: "unauthorized".into(),
            detail: "no such key".into(),
        }
    };
    let stale = HeartbeatRequest { status_writes: vec![write(version - 1)], ..heartbeat("node-1") };
    beat(&replica, stale).await;
    assert_eq!(reason(&replica, id).await, None, "an account that has changed since is left alone");
    let confirmed = HeartbeatRequest { status_writes: vec![write(version)], ..heartbeat("node-1") };
    beat(&replica, confirmed.clone()).await;
    beat(&replica, confirmed).await;
    assert_eq!(reason(&replica, id).await.as_deref(), Some("unauthorized"));
    replica.settled().await;
    let mut tx = replica.app.store.read().await.unwrap();
    assert_eq!(changes::revision(&mut tx).await.unwrap().0.version, version + 1, "once");
    let filter = AuditFilter { action: Some("account.mark_invalid".into()), ..AuditFilter::default() };
    assert_eq!(audit::list(&mut tx, &filter, None, 10).await.unwrap().len(), 1);
    tx.rollback().await.unwrap();
    replica.stop().await;
}

pub(super) async fn reason(replica: &Replica, id: AccountId) -> Option<String> {
    let mut tx = replica.app.store.read().await.unwrap();
    let row = accounts::get(&mut tx, id).await.unwrap().unwrap();
    tx.rollback().await.unwrap();
    row.invalid_reason
}

async fn marks_of_live_nodes_are_seen(database: Database) {
    let replica = database.replica().await;
    let id = AccountId::new(NOW);
    let mark = |until_ms| StatusMark {
        kind: status_mark::Kind::RateLimited.into(),
        until_ms,
        reason: "status_429".into(),
        model_family: None,
    };
    let accounts = |marks: Vec<StatusMark>, in_flight| {
        vec![AccountLive { account_id: id.to_bytes().to_vec(), in_flight, marks }]
    };
    beat(
        &replica,
        HeartbeatRequest { accounts: accounts(vec![mark(NOW.0 + 1), mark(NOW.0)], 2), ..heartbeat("node-1") },
    )
    .await;
    beat(&replica, HeartbeatRequest { accounts: accounts(vec![mark(NOW.0)], 0), ..heartbeat("node-2") })
        .await;
    let mut tx = replica.app.store.read().await.unwrap();
    let (since, now) = (live_since(&replica.app), replica.app.clock.now());
    let known = nodes::account_live(&mut tx, &[id], since, now).await.unwrap();
    assert_eq!(nodes::all_account_live(&mut tx, since, now).await.unwrap(), known);
    tx.rollback().await.unwrap();
    assert_eq!(known.len(), 1, "marks that are over are not shown");
    assert_eq!((known[0].node_id.as_str(), known[0].in_flight, known[0].marks.len()), ("node-1", 2, 1));
    replica.stop().await;
}

async fn an_acknowledged_revision_is_noted_before_the_next_heartbeat(database: Database) {
    let replica = database.replica().await;
    beat(&replica, heartbeat("node-1")).await;
    let (_, version) = add_account(&replica.app, "a").await;
    let mut node = Node::new();
    let mut watch = node.watch(replica.channel().await).await;
    node.take_until(&mut watch, version).await;
    let noted = async {
        loop {
            let mut tx = replica.app.store.read().await.unwrap();
            let row = nodes::get(&mut tx, "node-1").await.unwrap().unwrap();
            tx.rollback().await.unwrap();
            if row.revision.is_some_and(|revision| revision.version == version) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, noted).await.expect("noted in time");
    drop(watch);
    replica.stop().await;
}

async fn what_is_no_hello_or_no_id_is_refused(database: Database) {
    let replica = database.replica().await;
    let channel = replica.channel().await;
    let mut client = NodeServiceClient::new(channel.clone());
    let refused = client.heartbeat(heartbeat("a node with blanks")).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let unnamed = tokio_stream::once(CommandResult::default());
    let mut commands = client.commands(unnamed).await.unwrap().into_inner();
    assert_eq!(commands.message().await.unwrap_err().code(), Code::InvalidArgument);
    let ack = WatchRequest { message: Some(watch_request::Message::Ack(Ack::default())) };
    let mut updates = SnapshotServiceClient::new(channel.clone())
        .watch(tokio_stream::once(ack))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(updates.message().await.unwrap_err().code(), Code::InvalidArgument);
    let batch = ReportRequest { message: Some(report_request::Message::Batch(RecordBatch::default())) };
    let mut answers =
        UsageServiceClient::new(channel).report(tokio_stream::once(batch)).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::InvalidArgument);
    replica.stop().await;
}
