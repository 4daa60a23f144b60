//! Usage: what its owner sees, what who reads all sees, and what neither may ask.

use prost::Message as _;
use proto::v1 as contract;
use shared::id::{AccountId, IncarnationId, KeyId, RequestId};

use super::*;
use crate::ledger::prices::{self, PriceFile};

/// A quarter of an hour before the tests' time.
const BEFORE: Millis = Millis(START.0 - 900_000);

fn close(user: UserId, key: KeyId, account: AccountId, at: Millis) -> contract::CloseRecord {
    let open = contract::OpenRecord {
        request_id: RequestId::new(at).to_bytes().to_vec(),
        key_id: key.to_bytes().to_vec(),
        user_id: user.to_bytes().to_vec(),
        wire: contract::Wire::Messages.into(),
        model_requested: "claude-sonnet-4-5".into(),
        started_at_ms: at.0,
        stream: true,
        trace_id: (0..16).collect(),
        price_rate_ppm: Some(1_000_000),
        ..contract::OpenRecord::default()
    };
    let usage = contract::Usage {
        input: 1_000,
        cache_write_5m: 10,
        cache_write_1h: 5,
        output: 100,
        ..contract::Usage::default()
    };
    let attempt = contract::Attempt {
        account_id: account.to_bytes().to_vec(),
        outcome: contract::Outcome::Completed.into(),
        http_status: 200,
        usage: Some(usage),
        model_mapped: "claude-sonnet-4-5".into(),
        model_served: "claude-sonnet-4-5-20250929".into(),
        started_at_ms: at.0,
        total_ms: 900,
        ..contract::Attempt::default()
    };
    contract::CloseRecord {
        open: Some(open),
        outcome: contract::Outcome::Completed.into(),
        status: 200,
        attempts: vec![attempt],
        first_token_ms: Some(250),
        total_ms: 950,
        ..contract::CloseRecord::default()
    }
}

/// `count` requests of a key, a second apart.
async fn requests(api: &TestApi, user: UserId, key: KeyId, count: u64) -> AccountId {
    let (app, account) = (&api.app, AccountId::new(BEFORE));
    prices::seed(&app.store, &app.clock, &PriceFile::embedded().unwrap()).await.unwrap();
    let records = (1..=count).map(|sequence| {
        let at = BEFORE.plus(Duration::from_secs(sequence));
        let close = contract::record::Record::Close(close(user, key, account, at));
        contract::Record { record: Some(close) }.encode_to_vec().into()
    });
    let batch = contract::SpoolRecords { spool: 0, gone: 0, first_sequence: 1, records: records.collect() };
    let (incarnation, batch) = (IncarnationId::new(BEFORE), contract::RecordBatch { spools: vec![batch] });
    app.ledger.hello("node-1", incarnation, 1).await.unwrap();
    assert_eq!(app.ledger.take(incarnation, batch).await.unwrap().of(0), count);
    account
}

async fn key(api: &TestApi, token: &str, name: &str) -> KeyId {
    api.new_key(token, name).await["id"].as_str().unwrap().parse().unwrap()
}

/// Every name of a field in a body, at any depth.
fn fields(body: &Value, into: &mut Vec<String>) {
    match body {
        Value::Object(fields_of) => {
            for (name, value) in fields_of {
                into.push(name.clone());
                fields(value, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| fields(item, into)),
        _ => {}
    }
}

#[tokio::test]
async fn a_person_sees_their_own_requests_and_no_account() {
    let api = TestApi::start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let (bob, of_bob) = api.signed_in("bob", Role::User).await;
    let (laptop, other) = (key(&api, &token, "laptop").await, key(&api, &of_bob, "other").await);
    requests(&api, ann, laptop, 3).await;
    requests(&api, bob, other, 2).await;

    let answer = api.get("/api/usage/records").by(&token).send().await.expect(StatusCode::OK);
    let records = answer.body["records"].as_array().unwrap();
    assert_eq!(records.len(), 3);
    let newest = &records[0];
    assert_eq!(newest["started_at"], json!(BEFORE.0 + 3_000));
    assert_eq!((&newest["key_id"], &newest["key_name"]), (&json!(laptop.to_string()), &json!("laptop")));
    assert_eq!((&newest["status"], &newest["outcome"]), (&json!(200), &json!("completed")));
    assert_eq!(
        (&newest["model_requested"], &newest["model_served"]),
        (&json!("claude-sonnet-4-5"), &json!("claude-sonnet-4-5-20250929"))
    );
    assert_eq!(
        (&newest["input_tokens"], &newest["cache_write_tokens"], &newest["cache_write_1h_tokens"]),
        (&json!(1_000), &json!(15), &json!(5))
    );
    // 3 000 + 37.5 + 30 + 1 500 micro-dollars.
    assert_eq!((&newest["cost"], &newest["attempts"][0]["cost"]), (&json!("0.0045675"), &json!("0.0045675")));
    assert_eq!(newest["trace_id"], "000102030405060708090a0b0c0d0e0f");
    assert_eq!(
        (&newest["first_token_ms"], &newest["total_ms"], &newest["wire"]),
        (&json!(250), &json!(950), &json!("messages"))
    );

    let mut seen = Vec::new();
    fields(&answer.body, &mut seen);
    for path in ["/api/usage/summary", "/api/usage/daily", "/api/usage/hourly"] {
        fields(&api.get(path).by(&token).send().await.expect(StatusCode::OK).body, &mut seen);
    }
    for hidden in ["account_id", "account_name", "real_cost", "price_rate", "user_id", "user_name", "node"] {
        assert!(!seen.iter().any(|name| name == hidden), "{hidden} is shown");
    }
}

#[tokio::test]
async fn who_reads_all_sees_accounts_and_real_costs() {
    let api = TestApi::start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let (_, viewer) = api.signed_in("viewer", Role::Viewer).await;
    let laptop = key(&api, &token, "laptop").await;
    let account = requests(&api, ann, laptop, 2).await;
    let records = |filter: String| {
        let path = format!("/api/admin/usage/records?{filter}");
        api.get(path).by(&viewer).send()
    };
    let answer = records(String::new()).await.expect(StatusCode::OK);
    let record = &answer.body["records"][0];
    assert_eq!((&record["account_id"], &record["user_name"]), (&json!(account.to_string()), &json!("ann")));
    assert_eq!(
        (&record["attempts"][0]["account_id"], &record["real_cost"]),
        (&json!(account.to_string()), &json!("0.0045675"))
    );
    for (filter, expected) in [
        (format!("account_id={account}"), 2),
        (format!("user_id={ann}&key_id={laptop}"), 2),
        (format!("user_id={}", UserId::new(START)), 0),
        ("model=claude-sonnet-4-5&wire=messages&outcome=completed".to_owned(), 2),
        ("wire=chat".to_owned(), 0),
        ("failed=true".to_owned(), 0),
        ("failed=false&wire=messages".to_owned(), 2),
        (format!("request_id={}", record["request_id"].as_str().unwrap()), 1),
        (format!("request_id={}", RequestId::new(START)), 0),
        (format!("from={}", BEFORE.0 + 2_000), 1),
        (format!("to={}", BEFORE.0 + 2_000), 1),
    ] {
        let answer = records(filter.clone()).await.expect(StatusCode::OK);
        assert_eq!(answer.body["records"].as_array().unwrap().len(), expected, "{filter}");
    }
}

#[tokio::test]
async fn records_page_to_the_end() {
    let api = TestApi::start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let laptop = key(&api, &token, "laptop").await;
    requests(&api, ann, laptop, 7).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(format!("/api/usage/records?limit=3{cursor}")).by(&token).send().await;
        let page = page.expect(StatusCode::OK).body;
        let ids = page["records"].as_array().unwrap().iter().map(|record| record["request_id"].to_string());
        seen.extend(ids);
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "{seen:?}");
}

#[tokio::test]
async fn sums_are_of_one_person_or_of_one_dimension() {
    let api = TestApi::start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let (_, of_bob) = api.signed_in("bob", Role::User).await;
    let (_, viewer) = api.signed_in("viewer", Role::Viewer).await;
    let (laptop, unused) = (key(&api, &token, "laptop").await, key(&api, &token, "unused").await);
    let account = requests(&api, ann, laptop, 4).await;
    let sums =
        async |path: String, token: &str| api.get(path).by(token).send().await.expect(StatusCode::OK).body;

    let own = sums("/api/usage/summary".into(), &token).await;
    assert_eq!((&own["requests"], &own["errors"], &own["cost"]), (&json!(4), &json!(0), &json!("0.01827")));
    assert_eq!(sums(format!("/api/usage/summary?key_id={unused}"), &token).await["requests"], 0);
    assert_eq!(sums("/api/usage/summary".into(), &of_bob).await["requests"], 0);
    let days = sums(format!("/api/usage/daily?key_id={laptop}"), &token).await;
    assert_eq!((&days["days"][0]["date"], &days["days"][0]["requests"]), (&json!("2027-01-15"), &json!(4)));

    let all = sums("/api/admin/usage/summary".into(), &viewer).await;
    assert_eq!((&all["requests"], &all["real_cost"]), (&json!(4), &json!("0.01827")));
    let p50 = all["first_token_ms"]["p50"].as_u64().unwrap();
    assert!(p50.abs_diff(250) * 8 <= 250, "{p50}");
    for one in [format!("account_id={account}"), format!("user_id={ann}"), "model=claude-sonnet-4-5".into()] {
        assert_eq!(
            sums(format!("/api/admin/usage/daily?{one}"), &viewer).await["days"][0]["output_tokens"],
            400,
            "{one}"
        );
        let hours = sums(format!("/api/admin/usage/hourly?{one}"), &viewer).await;
        let hour = &hours["hours"][0];
        assert_eq!((&hour["output_tokens"], &hour["real_cost"]), (&json!(400), &json!("0.01827")), "{one}");
    }
    let hours = sums(format!("/api/usage/hourly?key_id={laptop}"), &token).await;
    let hour = START.0 - 900_000 - (START.0 - 900_000) % 3_600_000;
    assert_eq!(hours["hours"].as_array().unwrap().len(), 1, "{hours}");
    assert_eq!((&hours["hours"][0]["hour_start"], &hours["hours"][0]["requests"]), (&json!(hour), &json!(4)));
    assert_eq!(sums("/api/usage/hourly".into(), &of_bob).await["hours"], json!([]));
}

#[tokio::test]
async fn another_person_s_request_is_not_found_by_its_id() {
    let api = TestApi::start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let (_, of_bob) = api.signed_in("bob", Role::User).await;
    let laptop = key(&api, &token, "laptop").await;
    requests(&api, ann, laptop, 1).await;
    let own = api.get("/api/usage/records").by(&token).send().await.expect(StatusCode::OK);
    let path =
        format!("/api/usage/records?request_id={}", own.body["records"][0]["request_id"].as_str().unwrap());
    assert_eq!(api.get(&path).by(&token).send().await.body["records"], own.body["records"]);
    assert_eq!(api.get(&path).by(&of_bob).send().await.body["records"], json!([]));
}

/// For staff, and for who owned it.
#[tokio::test]
async fn what_a_deleted_key_used_stays_to_be_seen() {
    let api = TestApi::start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let (_, of_bob) = api.signed_in("bob", Role::User).await;
    let (_, viewer) = api.signed_in("viewer", Role::Viewer).await;
    let (laptop, unused) = (key(&api, &token, "laptop").await, key(&api, &token, "unused").await);
    requests(&api, ann, laptop, 4).await;
    for key in [laptop, unused] {
        let gone = api.delete(format!("/api/api-keys/{key}")).by(&token).send().await;
        gone.expect(StatusCode::NO_CONTENT);
        let shown = api.get(format!("/api/api-keys/{key}")).by(&token).send().await;
        assert_eq!(shown.status, StatusCode::NOT_FOUND);
    }
    let of = |path: &str, key: KeyId, who: &str| api.get(format!("{path}?key_id={key}")).by(who).send();
    for (path, who) in [("/api/usage/summary", &token), ("/api/admin/usage/summary", &viewer)] {
        let sums = of(path, laptop, who).await.expect(StatusCode::OK);
        assert_eq!(sums.body["requests"], 4, "{path}");
        assert_eq!(of(path, unused, who).await.expect(StatusCode::OK).body["requests"], 0, "{path}");
    }
    let days = of("/api/usage/daily", laptop, &token).await.expect(StatusCode::OK);
    assert_eq!(days.body["days"][0]["requests"], 4);
    let hours = of("/api/usage/hourly", laptop, &token).await.expect(StatusCode::OK);
    assert_eq!(hours.body["hours"][0]["requests"], 4);
    let records = of("/api/usage/records", laptop, &token).await.expect(StatusCode::OK);
    assert!(!records.body["records"].as_array().unwrap().is_empty());
    let paths = ["/api/usage/summary", "/api/usage/daily", "/api/usage/hourly", "/api/usage/records"];
    for path in paths {
        assert_eq!(of(path, laptop, &of_bob).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn what_can_t_be_asked_is_refused_by_name() {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let (_, of_bob) = api.signed_in("bob", Role::User).await;
    let (_, viewer) = api.signed_in("viewer", Role::Viewer).await;
    let others = key(&api, &of_bob, "other").await;
    let (some, day) = (UserId::new(START), 86_400_000_i64);
    for (path, who, status) in [
        (format!("/api/usage/summary?key_id={others}"), &token, 404),
        (format!("/api/usage/daily?key_id={}", KeyId::new(START)), &token, 404),
        (format!("/api/usage/records?key_id={others}"), &token, 404),
        (format!("/api/usage/refusals?key_id={others}"), &token, 404),
        (format!("/api/usage/refusals/counts?key_id={others}"), &token, 404),
        ("/api/usage/summary?limit=1".into(), &token, 422),
        ("/api/usage/refusals/counts?cursor=x".into(), &token, 422),
        (format!("/api/usage/records?user_id={some}"), &token, 422),
        (format!("/api/usage/summary?account_id={some}"), &token, 422),
        ("/api/admin/usage/summary".into(), &token, 403),
        (format!("/api/admin/usage/summary?user_id={some}&model=x"), &viewer, 422),
        ("/api/admin/usage/summary?region=eu".into(), &viewer, 422),
        (format!("/api/admin/usage/daily?from={}&to={}", START.0, START.0 - day), &viewer, 422),
        ("/api/admin/usage/daily?from=0".into(), &viewer, 422),
        (format!("/api/usage/summary?to={}", i64::MIN), &token, 422),
        (format!("/api/usage/summary?from={}", i64::MIN), &token, 422),
        (format!("/api/usage/hourly?from={0}&to={0}", i64::MIN), &token, 422),
        (format!("/api/usage/daily?from={}&to={}", i64::MIN, i64::MIN + day), &token, 422),
        (format!("/api/usage/summary?from={0}&to={0}", i64::MAX), &token, 422),
        ("/api/usage/summary?from=-1&to=0".into(), &token, 422),
        ("/api/usage/summary?from=0&to=0".into(), &token, 200),
        (format!("/api/admin/usage/summary?to={}", i64::MIN), &viewer, 422),
        (format!("/api/usage/refusals/counts?to={}", i64::MIN), &token, 422),
        (format!("/api/admin/usage/refusals/counts?from={0}&to={0}", i64::MAX), &viewer, 422),
        (format!("/api/admin/usage/hourly?from={}", START.0 - 7 * day - 1), &viewer, 422),
        (format!("/api/usage/hourly?from={}", START.0 - 7 * day), &token, 200),
        (format!("/api/usage/hourly?key_id={others}"), &token, 404),
        (format!("/api/usage/hourly?user_id={some}"), &token, 422),
        ("/api/admin/usage/hourly".into(), &token, 403),
        ("/api/admin/usage/records?request_id=1".into(), &viewer, 422),
        ("/api/admin/usage/records?failed=maybe".into(), &viewer, 422),
        ("/api/admin/usage/records?wire=converse".into(), &viewer, 422),
        ("/api/admin/usage/records?outcome=lost".into(), &viewer, 422),
        ("/api/admin/usage/records?user_id=ann".into(), &viewer, 422),
        ("/api/admin/usage/records?from=yesterday".into(), &viewer, 422),
        ("/api/admin/usage/records?cursor=AAAA".into(), &viewer, 422),
    ] {
        let answer = api.get(path.clone()).by(who).send().await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
        assert_eq!(answer.code().is_empty(), status == 200, "{path}");
    }
}
