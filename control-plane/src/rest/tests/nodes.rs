//! Nodes, and what people have done on them.

use proto::v1::{
    AccountLive, AccountType, ClearStatusResult, CommandResult, HeartbeatRequest, NodeStatistics,
    RefusedRevision, Revision, StatusMark, TestAccountResult, Wire, command, command_result, status_mark,
};
use shared::id::{AccountId, CommandId};

use super::*;
use crate::store::{accounts, changes, commands, nodes};

/// Puts a node into the database, as its heartbeat would.
pub(super) async fn node(api: &TestApi, heartbeat: HeartbeatRequest) {
    let mut tx = api.app.store.begin().await.unwrap();
    nodes::heard(&mut tx, &heartbeat, api.app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
}

pub(super) fn heartbeat(node_id: &str) -> HeartbeatRequest {
    HeartbeatRequest {
        node_id: node_id.to_owned(),
        build: "0.1.0".into(),
        ready: true,
        wires: vec![Wire::Chat.into(), Wire::Messages.into()],
        account_types: vec![AccountType::ClaudeConsole.into()],
        ..HeartbeatRequest::default()
    }
}

/// A heartbeat that says the node has all that is configured now.
async fn up_to_date(api: &TestApi, node_id: &str) -> HeartbeatRequest {
    let mut tx = api.app.store.read().await.unwrap();
    let (revision, _) = changes::revision(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    let revision =
        Revision { epoch: revision.epoch.to_vec(), version: revision.version, ..Revision::default() };
    HeartbeatRequest { revision: Some(revision), ..heartbeat(node_id) }
}

/// Answers commands in the place of a node, and of the replica that it is connected to.
fn answer(api: &TestApi, answer: fn(&command::Command) -> command_result::Result) {
    let app = api.app.clone();
    api.app.tasks.spawn(async move {
        loop {
            let mut tx = app.store.begin().await.unwrap();
            for letter in commands::pending(&mut tx, app.clock.now()).await.unwrap() {
                let id = CommandId::try_from(letter.command.id.as_slice()).unwrap();
                assert!(commands::claim(&mut tx, id).await.unwrap());
                let result = Some(answer(&letter.command.command.unwrap()));
                let result = CommandResult { node_id: letter.node_id, id: letter.command.id, result };
                assert!(commands::answer(&mut tx, id, &result).await.unwrap());
            }
            tx.commit().await.unwrap();
            app.commands.notify();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

async fn console_account(api: &TestApi, token: &str) -> (String, String) {
    let body =
        json!({ "name": "a", "type": "claude-console", "credentials": { "api_key": "sk-ant-api03-x" } });
    let created =
        api.post("/api/admin/accounts").by(token).json(body).send().await.expect(StatusCode::CREATED);
    (created.body["id"].as_str().unwrap().to_owned(), created.etag())
}

#[tokio::test]
async fn each_node_is_shown_with_what_it_should_have_and_what_it_has() {
    let api = TestApi::start().await;
    let (_, viewer) = api.signed_in("viewer", Role::Viewer).await;
    node(&api, heartbeat("silent")).await;
    api.app.clock.advance(Duration::from_secs(60));
    let behind = up_to_date(&api, "behind").await;
    let stranger = Revision { epoch: vec![9; 16], version: 70, ..Revision::default() };
    let refused = RefusedRevision { revision: Some(stranger.clone()), reason: "unknown_epoch".into() };
    node(&api, HeartbeatRequest { refused: Some(refused), spool_depth: 3, ..behind }).await;
    let statistics =
        NodeStatistics { requests: 12, live_backend: "redis".into(), ..NodeStatistics::default() };
    node(
        &api,
        HeartbeatRequest {
            revision: Some(stranger),
            statistics: Some(statistics),
            ready: false,
            ..heartbeat("stopping")
        },
    )
    .await;
    let mut ahead = up_to_date(&api, "ahead").await;
    ahead.revision.as_mut().unwrap().version += 7;
    node(&api, ahead).await;
    let (_, operator) = api.signed_in("operator", Role::Operator).await;
    let list = api.get("/api/admin/nodes").by(&viewer).send().await.expect(StatusCode::OK).body;
    assert_eq!(list["live_nodes"], 3);
    let named =
        |name: &str| list["nodes"].as_array().unwrap().iter().find(|node| node["node_id"] == name).unwrap();
    assert_eq!(named("silent")["health"], "silent");
    assert_eq!(named("silent")["acknowledged"], Value::Null);
    let behind = named("behind");
    assert_eq!(
        (&behind["health"], &behind["lag"], &behind["spool_depth"]),
        (&json!("live"), &json!(1), &json!(3))
    );
    assert_eq!(behind["refused"]["reason"], "unknown_epoch");
    assert_eq!(behind["refused"]["revision"]["version"], 70);
    assert_eq!(behind["wires"], json!(["chat", "messages"]));
    assert_eq!(behind["account_types"], json!(["claude-console"]));
    assert_eq!(behind["acknowledged"]["epoch"], list["desired"]["epoch"]);
    assert_eq!(named("ahead")["lag"], Value::Null, "the database does not have that version");
    let stopping = named("stopping");
    assert_eq!((&stopping["health"], &stopping["lag"]), (&json!("stopping"), &Value::Null));
    assert_eq!(stopping["statistics"]["requests"], 12);
    drop(operator);
}

#[tokio::test]
async fn that_nothing_reaches_the_nodes_is_shown() {
    let api = TestApi::start().await;
    let (_, viewer) = api.signed_in("viewer", Role::Viewer).await;
    let list = api.get("/api/admin/nodes").by(&viewer).send().await.expect(StatusCode::OK).body;
    assert_eq!(list["withheld"], Value::Null);
    let withheld = changes::Withheld {
        reason: changes::Contradiction::OtherHistory,
        version: 12,
        node_id: Some("node-1".into()),
        since: START,
    };
    let mut tx = api.app.store.begin().await.unwrap();
    changes::withhold(&mut tx, &withheld).await.unwrap();
    tx.commit().await.unwrap();
    let list = api.get("/api/admin/nodes").by(&viewer).send().await.expect(StatusCode::OK).body;
    let shown = json!({ "reason": "other_history", "version": 12, "node_id": "node-1", "since": START.0 });
    assert_eq!(list["withheld"], shown);
}

#[tokio::test]
async fn only_a_silent_node_can_be_forgotten() {
    let api = TestApi::start().await;
    let (_, operator) = api.signed_in("operator", Role::Operator).await;
    node(&api, heartbeat("node-1")).await;
    let forget = || api.delete("/api/admin/nodes/node-1").by(&operator).send();
    assert_eq!(forget().await.refusal(), (409, "node_is_live"));
    api.app.clock.advance(Duration::from_secs(16));
    forget().await.expect(StatusCode::NO_CONTENT);
    assert_eq!(forget().await.refusal(), (404, "not_found"));
    let entries = entries(&api, &operator, "node.delete").await;
    let before = json!({ "build": "0.1.0", "first_seen_at": START.0, "heard_at": START.0 });
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (&entries[0]["target_id"], &entries[0]["detail"]),
        (&json!("node-1"), &json!({ "before": before }))
    );
}

/// What the audit log has of this action, the latest first.
async fn entries(api: &TestApi, token: &str, action: &str) -> Vec<Value> {
    let list = api.get(format!("/api/admin/audit?action={action}")).by(token).send().await;
    list.expect(StatusCode::OK).body["entries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn setting_an_account_valid_clears_its_marks_on_every_live_node() {
    let api = TestApi::start().await;
    let (_, operator) = api.signed_in("operator", Role::Operator).await;
    let (id, etag) = console_account(&api, &operator).await;
    node(&api, heartbeat("node-1")).await;
    node(&api, heartbeat("node-2")).await;
    answer(&api, |command| {
        assert!(matches!(command, command::Command::ClearStatus(_)));
        command_result::Result::ClearStatus(ClearStatusResult {})
    });
    let path = format!("/api/admin/accounts/{id}/status");
    let put = |etag: String, body| {
        // Entries of one millisecond have no order in the audit log.
        api.app.clock.advance(Duration::from_millis(1));
        api.put(&path).by(&operator).if_match(etag).json(body).send()
    };
    let invalid =
        put(etag.clone(), json!({ "status": "invalid", "reason": "left_us" })).await.expect(StatusCode::OK);
    assert_eq!(invalid.body, json!({ "status": "invalid", "nodes": [] }));
    let seen = api.get(format!("/api/admin/accounts/{id}")).by(&operator).send().await;
    assert_eq!((seen.etag(), &seen.body["invalid_reason"]), (invalid.etag(), &json!("left_us")));
    assert_eq!(put(etag, json!({ "status": "valid" })).await.refusal(), (412, "stale_revision"));
    let valid = put(invalid.etag(), json!({ "status": "valid" })).await.expect(StatusCode::OK);
    let cleared = |node_id: &str| json!({ "node_id": node_id, "outcome": "cleared", "detail": null });
    assert_eq!(valid.body["nodes"], json!([cleared("node-1"), cleared("node-2")]));
    let again = put(valid.etag(), json!({ "status": "valid" })).await.expect(StatusCode::OK);
    assert_eq!(
        (again.etag(), again.body["nodes"].as_array().unwrap().len()),
        (valid.etag(), 2),
        "limits are cleared all the same"
    );
    let mut tx = api.app.store.read().await.unwrap();
    let row = accounts::get(&mut tx, id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(row.invalid_reason, None);
    let details: Vec<_> = entries(&api, &operator, "account.set_status").await;
    let details: Vec<_> = details.iter().map(|entry| &entry["detail"]).collect();
    let of = |status: &str, before: Value, after: Value| json!({ "name": "a", "status": status, "before": before, "after": after });
    let (left, none) = (json!({ "invalid_reason": "left_us" }), json!({ "invalid_reason": null }));
    assert_eq!(
        details,
        [
            &of("valid", json!({}), json!({})),
            &of("valid", left.clone(), none.clone()),
            &of("invalid", none, left)
        ]
    );
}

#[tokio::test]
async fn a_reason_belongs_to_invalid_and_is_a_code() {
    let api = TestApi::start().await;
    let (_, operator) = api.signed_in("operator", Role::Operator).await;
    let (id, etag) = console_account(&api, &operator).await;
    let path = format!("/api/admin/accounts/{id}/status");
    for body in [
        json!({ "status": "valid", "reason": "x" }),
        json!({ "status": "invalid", "reason": "two words" }),
        json!({ "status": "invalid", "reason": "" }),
        json!({ "status": "rate_limited" }),
    ] {
        let answer = api.put(&path).by(&operator).if_match(&etag).json(body.clone()).send().await;
        assert_eq!(answer.refusal(), (422, "invalid_fields"), "{body}");
    }
    let missing = format!("/api/admin/accounts/{}/status", AccountId::new(START));
    let answer =
        api.put(missing).by(&operator).if_match(&etag).json(json!({ "status": "valid" })).send().await;
    assert_eq!(answer.refusal(), (404, "not_found"));
}

#[tokio::test]
async fn a_test_tells_what_the_upstream_said() {
    let api = TestApi::start().await;
    let (user, operator) = api.signed_in("operator", Role::Operator).await;
    let (id, _) = console_account(&api, &operator).await;
    node(&api, up_to_date(&api, "node-1").await).await;
    answer(&api, |command| {
        let command::Command::TestAccount(test) = command else { panic!("{command:?}") };
        command_result::Result::TestAccount(TestAccountResult {
            credential_fault: String::new(),
            ok: false,
            http_status: 401,
            reason: "unauthorized".into(),
            detail: "invalid x-api-key".into(),
            latency_ms: 42,
            model: test.model.clone().unwrap_or_default(),
        })
    });
    let path = format!("/api/admin/accounts/{id}/test");
    let said = api
        .post(&path)
        .by(&operator)
        .json(json!({ "model": "claude-haiku-5" }))
        .send()
        .await
        .expect(StatusCode::OK);
    assert_eq!(
        said.body,
        json!({
            "ok": false, "node_id": "node-1", "http_status": 401, "reason": "unauthorized",
            "detail": "invalid x-api-key", "latency_ms": 42, "model": "claude-haiku-5",
        })
    );
    let blank = api.post(&path).by(&operator).json(json!({ "model": "a b" })).send().await;
    assert_eq!(blank.refusal(), (422, "invalid_fields"));
    let list = entries(&api, &operator, "account.test").await;
    assert_eq!(list.len(), 1);
    assert_eq!((&list[0]["actor"], &list[0]["target_id"]), (&json!(user.to_string()), &json!(id)));
    assert_eq!((&list[0]["target_kind"], &list[0]["address"]), (&json!("account"), &json!(HOME)));
    let detail = json!({
        "name": "a", "node": "node-1", "ok": false, "http_status": 401, "reason": "unauthorized",
        "model": "claude-haiku-5", "latency_ms": 42,
    });
    assert_eq!(list[0]["detail"], detail, "nothing of the provider's own words");
    api.post(&path).by(&operator).send().await.expect(StatusCode::OK);
    assert_eq!(entries(&api, &operator, "account.test").await.len(), 2);
}

#[tokio::test]
async fn a_test_is_in_the_audit_log_also_where_who_asked_hangs_up() {
    let api = TestApi::start().await;
    let (_, operator) = api.signed_in("operator", Role::Operator).await;
    let (id, _) = console_account(&api, &operator).await;
    node(&api, up_to_date(&api, "node-1").await).await;
    let asked = api.app.commands.subscribe();
    let mut test = Box::pin(api.post(format!("/api/admin/accounts/{id}/test")).by(&operator).send());
    let sent = async {
        let mut asked = asked;
        asked.changed().await.unwrap();
    };
    tokio::select! {
        answer = &mut test => panic!("nobody has answered: {}", answer.text),
        () = sent => {}
    }
    drop(test);
    answer(&api, |_| {
        let result = TestAccountResult { ok: true, http_status: 200, ..TestAccountResult::default() };
        command_result::Result::TestAccount(result)
    });
    let noted = async {
        while api.audited("account.test").await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), noted).await.expect("it is in the log");
}

#[tokio::test]
async fn a_test_needs_a_live_node_that_reaches_the_type_and_answers() {
    let api = TestApi::start().await;
    let (_, operator) = api.signed_in("operator", Role::Operator).await;
    let (id, _) = console_account(&api, &operator).await;
    let test = || api.post(format!("/api/admin/accounts/{id}/test")).by(&operator).send();
    assert_eq!(test().await.refusal(), (409, "no_live_node"));
    node(&api, HeartbeatRequest { account_types: vec![AccountType::Droid.into()], ..heartbeat("other") })
        .await;
    node(&api, HeartbeatRequest { ready: false, ..heartbeat("stopping") }).await;
    assert_eq!(test().await.refusal(), (409, "unsupported_by_node"));
    node(&api, up_to_date(&api, "node-1").await).await;
    assert_eq!(api.audited("account.test").await, 0, "nobody was asked");
    answer(&api, |_| command_result::Result::Error("no such account here".into()));
    assert_eq!(test().await.refusal(), (502, "node_refused"));
    let detail = json!({
        "name": "a", "node": "node-1", "ok": false, "http_status": null, "reason": "node_refused", "model": null,
        "latency_ms": null,
    });
    assert_eq!(entries(&api, &operator, "account.test").await[0]["detail"], detail);
    let missing =
        api.post(format!("/api/admin/accounts/{}/test", AccountId::new(START))).by(&operator).send().await;
    assert_eq!(missing.refusal(), (404, "not_found"));
}

#[tokio::test]
async fn accounts_are_shown_with_what_live_nodes_know_of_them() {
    let api = TestApi::start().await;
    let (_, operator) = api.signed_in("operator", Role::Operator).await;
    let (id, _) = console_account(&api, &operator).await;
    let account_id = id.parse::<AccountId>().unwrap().to_bytes().to_vec();
    let with = |node_id: &str, in_flight, until_ms| {
        let kind = status_mark::Kind::RateLimited.into();
        let mark = StatusMark { kind, until_ms, reason: "status_429".into(), model_family: None };
        let live = AccountLive { account_id: account_id.clone(), in_flight, marks: vec![mark] };
        HeartbeatRequest { accounts: vec![live], ..heartbeat(node_id) }
    };
    node(&api, with("node-1", 2, START.0 + 5_000)).await;
    node(&api, with("node-2", 1, START.0 + 9_000)).await;
    let live = json!({
        "in_flight": 3,
        "marks": [{ "kind": "rate_limited", "until": START.0 + 9_000, "reason": "status_429", "model_family": null }],
    });
    let list = api.get("/api/admin/accounts").by(&operator).send().await.expect(StatusCode::OK);
    assert_eq!(list.body["accounts"][0]["live"], live);
    let one = api.get(format!("/api/admin/accounts/{id}")).by(&operator).send().await.expect(StatusCode::OK);
    assert_eq!(one.body["live"], live);
    api.app.clock.advance(Duration::from_secs(60));
    let one = api.get(format!("/api/admin/accounts/{id}")).by(&operator).send().await;
    assert_eq!(one.body["live"], json!({ "in_flight": 0, "marks": [] }), "nodes that are gone know nothing");
}
