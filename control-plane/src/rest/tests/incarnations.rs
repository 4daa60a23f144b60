//! Runs of nodes: what state they are in, who may close one, and what could not be taken.

use prost::Message as _;
use proto::v1 as contract;
use shared::id::{IncarnationId, KeyId, RequestId};

use super::*;

const RUNS: &str = "/api/admin/incarnations";

async fn open_request(api: &TestApi, user: UserId) -> IncarnationId {
    let (ledger, id) = (&api.app.ledger, IncarnationId::new(START));
    let open = contract::OpenRecord {
        request_id: RequestId::new(START).to_bytes().to_vec(),
        key_id: KeyId::new(START).to_bytes().to_vec(),
        user_id: user.to_bytes().to_vec(),
        wire: contract::Wire::Chat.into(),
        model_requested: "claude-sonnet-4-5".into(),
        started_at_ms: START.0,
        reserved: Some(contract::Reserved { real_cost: 7, rated_cost: 9, ..contract::Reserved::default() }),
        ..contract::OpenRecord::default()
    };
    let open = contract::Record { record: Some(contract::record::Record::Open(open)) };
    let records = vec![open.encode_to_vec().into(), "no record".as_bytes().into()];
    let spool = contract::SpoolRecords { spool: 0, gone: 3, first_sequence: 4, records };
    ledger.hello("node-1", id, 1).await.unwrap();
    ledger.take(id, contract::RecordBatch { spools: vec![spool] }).await.unwrap();
    id
}

#[tokio::test]
async fn a_lost_run_is_closed_by_an_operator_and_no_other() {
    let api = TestApi::start().await;
    let (ann, _) = api.signed_in("ann", Role::User).await;
    let (_, viewer) = api.signed_in("vera", Role::Viewer).await;
    let (_, operator) = api.signed_in("olga", Role::Operator).await;
    let id = open_request(&api, ann).await;
    let close = format!("{RUNS}/{id}/close");
    let run = async |state: &str| {
        let list = api.get(format!("{RUNS}?state={state}")).by(&viewer).send().await.expect(StatusCode::OK);
        list.body["incarnations"].as_array().unwrap().clone()
    };
    let open = &run("open").await[0];
    assert_eq!((&open["id"], &open["open_requests"]), (&json!(id.to_string()), &json!(1)));
    assert_eq!((&open["records"], &open["node_id"]), (&json!(3), &json!("node-1")));
    assert!(run("lost").await.is_empty());
    assert_eq!(api.post(&close).by(&viewer).send().await.status, StatusCode::FORBIDDEN);
    let alive = api.post(&close).by(&operator).send().await.expect(StatusCode::CONFLICT);
    assert_eq!(alive.code(), "incarnation_is_alive");

    api.app.clock.advance(Duration::from_secs(601));
    assert_eq!(run("lost").await[0]["state"], "lost");
    assert!(run("open").await.is_empty());
    let closed = api.post(&close).by(&operator).send().await.expect(StatusCode::OK);
    assert_eq!(
        (&closed.body["state"], &closed.body["open_requests"]),
        (&json!("closed_by_person"), &json!(0))
    );
    assert_eq!(run("closed_by_person").await.len(), 1);
    let again = api.post(&close).by(&operator).send().await.expect(StatusCode::CONFLICT);
    assert_eq!(again.code(), "incarnation_is_closed");
    let gone = format!("{RUNS}/{}/close", IncarnationId::new(START));
    assert_eq!(api.post(&gone).by(&operator).send().await.status, StatusCode::NOT_FOUND);

    let records = api.get("/api/admin/usage/records").by(&viewer).send().await.expect(StatusCode::OK);
    let record = &records.body["records"][0];
    assert_eq!(
        (&record["outcome"], &record["conditions"]),
        (&json!("cut_off"), &json!(["closed_by_person"]))
    );
    assert_eq!(
        (&record["cost"], &record["reserved"]["real_cost"]),
        (&json!("0.000000009"), &json!("0.000000007"))
    );
    let audit = api.get("/api/admin/audit?action=incarnation.close").by(&viewer).send().await;
    let entry = &audit.expect(StatusCode::OK).body["entries"][0];
    assert_eq!(entry["target_id"], json!(id.to_string()));
    let detail = json!({
        "node": "node-1", "last_seen_at": START.0, "records": 3,
        "before": { "state": "open" }, "after": { "state": "closed_by_person" },
    });
    assert_eq!(entry["detail"], detail);
}

#[tokio::test]
async fn what_could_not_be_taken_is_shown() {
    let api = TestApi::start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let (_, viewer) = api.signed_in("vera", Role::Viewer).await;
    let id = open_request(&api, ann).await;
    let rejected = "/api/admin/usage/rejected";
    assert_eq!(api.get(rejected).by(&token).send().await.status, StatusCode::FORBIDDEN);
    let first = api.get(format!("{rejected}?limit=1")).by(&viewer).send().await.expect(StatusCode::OK);
    let record = &first.body["records"][0];
    assert_eq!((&first.body["total"], &record["reason"]), (&json!(2), &json!("no_content")));
    assert_eq!((&record["first_sequence"], &record["payload"]), (&json!(5), &json!("bm8gcmVjb3Jk")));
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let next = api.get(format!("{rejected}?limit=1&cursor={cursor}")).by(&viewer).send().await;
    let next = next.expect(StatusCode::OK);
    let record = &next.body["records"][0];
    assert_eq!((&record["reason"], &record["incarnation_id"]), (&json!("gone"), &json!(id.to_string())));
    assert_eq!((&record["first_sequence"], &record["last_sequence"]), (&json!(1), &json!(3)));
    assert_eq!(next.body["next_cursor"], Value::Null);
}
