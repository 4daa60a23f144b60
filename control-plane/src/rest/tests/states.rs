//! What state accounts are in, and what was last wrong with them.

use prost::Message as _;
use proto::v1::{self as contract, AccountLive, HeartbeatRequest, StatusMark, status_mark::Kind};
use shared::id::{AccountId, IncarnationId, KeyId, RequestId};

use super::*;
use crate::store::nodes;

const ACCOUNTS: &str = "/api/admin/accounts";
const COUNTS: &str = "/api/admin/accounts/counts";

async fn account(api: &TestApi, token: &str, name: &str, more: Value) -> AccountId {
    let mut body = json!({"name": name, "type": "claude-console", "credentials": {"api_key": "sk-x"}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = api.post(ACCOUNTS).by(token).json(body).send().await.expect(StatusCode::CREATED);
    made.body["id"].as_str().unwrap().parse().unwrap()
}

fn mark(account: AccountId, kind: Kind, family: Option<&str>) -> AccountLive {
    let mark = StatusMark {
        kind: kind.into(),
        until_ms: START.0 + 3_600_000,
        reason: "status_429".into(),
        model_family: family.map(ToOwned::to_owned),
    };
    AccountLive { account_id: account.to_bytes().to_vec(), in_flight: 0, marks: vec![mark] }
}

async fn report(api: &TestApi, node: &str, accounts: Vec<AccountLive>) {
    let heartbeat =
        HeartbeatRequest { node_id: node.into(), ready: true, accounts, ..HeartbeatRequest::default() };
    let mut tx = api.app.store.begin().await.unwrap();
    nodes::heard(&mut tx, &heartbeat, api.app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn each_account_is_in_one_state_and_counted_once() {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("olga", Role::Operator).await;
    let (_, viewer) = api.signed_in("vera", Role::Viewer).await;
    let none = api.get(COUNTS).by(&viewer).send().await.expect(StatusCode::OK);
    assert_eq!(none.body.as_object().unwrap().len(), 8);
    assert!(none.body.as_object().unwrap().values().all(|count| count == 0), "{}", none.text);

    let soon = json!({"expires_at": START.0 + 1_000});
    let expired = account(&api, &token, "expired", soon).await;
    let disabled = account(&api, &token, "disabled", json!({"enabled": false, "schedulable": false})).await;
    let paused = account(&api, &token, "paused", json!({"schedulable": false})).await;
    let invalid = account(&api, &token, "invalid", json!({})).await;
    let limited = account(&api, &token, "limited", json!({})).await;
    let overloaded = account(&api, &token, "overloaded", json!({})).await;
    let of_family = account(&api, &token, "of a family", json!({})).await;
    let quiet = account(&api, &token, "quiet", json!({})).await;
    let path = format!("{ACCOUNTS}/{invalid}/status");
    let status = json!({"status": "invalid"});
    api.put(&path).by(&token).if_match("\"1\"").json(status).send().await.expect(StatusCode::OK);
    api.app.clock.advance(Duration::from_secs(1));
    let gone = AccountId::new(START);
    let all_limited = [expired, disabled, paused, invalid, limited, gone];
    let mut marks: Vec<_> = all_limited.map(|id| mark(id, Kind::RateLimited, None)).into();
    marks.push(mark(of_family, Kind::RateLimited, Some("opus")));
    report(&api, "node-1", marks).await;
    report(
        &api,
        "node-2",
        vec![mark(overloaded, Kind::Overloaded, None), mark(limited, Kind::Overloaded, None)],
    )
    .await;

    let list = api.get(ACCOUNTS).by(&viewer).send().await.expect(StatusCode::OK);
    let state_of = |id: AccountId| {
        let accounts = list.body["accounts"].as_array().unwrap();
        accounts.iter().find(|account| account["id"] == id.to_string()).unwrap()["state"].clone()
    };
    for (id, state) in [
        (disabled, "disabled"),
        (paused, "paused"),
        (expired, "expired"),
        (invalid, "invalid"),
        (limited, "rate_limited"),
        (overloaded, "overloaded"),
        (of_family, "available"),
        (quiet, "available"),
    ] {
        assert_eq!(state_of(id), state);
        let one = api.get(format!("{ACCOUNTS}/{id}")).by(&viewer).send().await.expect(StatusCode::OK);
        assert_eq!(one.body["state"], state);
    }
    let counts = api.get(COUNTS).by(&viewer).send().await.expect(StatusCode::OK);
    let expected = json!({
        "disabled": 1, "paused": 1, "expired": 1, "invalid": 1, "rate_limited": 1, "overloaded": 1,
        "available": 2, "total": 8,
    });
    assert_eq!(counts.body, expected);

    api.app.clock.advance(Duration::from_secs(60));
    let later = api.get(COUNTS).by(&viewer).send().await.expect(StatusCode::OK);
    assert_eq!(
        (&later.body["available"], &later.body["rate_limited"]),
        (&json!(4), &json!(0)),
        "no live node says otherwise"
    );
}

#[tokio::test]
async fn an_account_shows_the_last_attempt_that_failed() {
    let api = TestApi::start().await;
    let (olga, token) = api.signed_in("olga", Role::Operator).await;
    let id = account(&api, &token, "failing", json!({})).await;
    let path = format!("{ACCOUNTS}/{id}");
    let before = api.get(&path).by(&token).send().await.expect(StatusCode::OK);
    assert_eq!(before.body["last_error"], Value::Null);
    let request = RequestId::new(START);
    let open = contract::OpenRecord {
        request_id: request.to_bytes().to_vec(),
        key_id: KeyId::new(START).to_bytes().to_vec(),
        user_id: olga.to_bytes().to_vec(),
        started_at_ms: START.0 - 5_000,
        ..contract::OpenRecord::default()
    };
    let attempt = contract::Attempt {
        account_id: id.to_bytes().to_vec(),
        outcome: contract::Outcome::UpstreamError.into(),
        http_status: 529,
        reason: "overloaded".into(),
        started_at_ms: START.0 - 4_000,
        total_ms: 900,
        ..contract::Attempt::default()
    };
    let close = contract::CloseRecord {
        open: Some(open),
        outcome: contract::Outcome::UpstreamError.into(),
        attempts: vec![attempt],
        ..contract::CloseRecord::default()
    };
    let record = contract::Record { record: Some(contract::record::Record::Close(close)) };
    let batch = contract::SpoolRecords {
        spool: 0,
        gone: 0,
        first_sequence: 1,
        records: vec![record.encode_to_vec().into()],
    };
    let (incarnation, batch) = (IncarnationId::new(START), contract::RecordBatch { spools: vec![batch] });
    api.app.ledger.hello("node-1", incarnation, 1).await.unwrap();
    api.app.ledger.take(incarnation, batch).await.unwrap();

    let after = api.get(&path).by(&token).send().await.expect(StatusCode::OK);
    let error = json!({
        "at": START.0 - 3_100, "reason": "overloaded", "http_status": 529, "request_id": request.to_string(),
    });
    assert_eq!((&after.body["last_error"], after.etag()), (&error, before.etag()));
    let list = api.get(ACCOUNTS).by(&token).send().await.expect(StatusCode::OK);
    assert_eq!(list.body["accounts"][0]["last_error"], error);
    let put = api.put(&path).by(&token).if_match(after.etag()).json(json!({"priority": 7})).send().await;
    assert_eq!(put.expect(StatusCode::OK).body["last_error"], error);
}
