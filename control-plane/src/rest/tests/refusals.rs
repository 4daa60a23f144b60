//! Refused requests: what the key's owner sees, what who reads all sees, and what neither may ask.

use proto::v1 as contract;
use shared::id::{IncarnationId, KeyId, RequestId};

use super::*;
use crate::refusals::take;

/// A quarter of an hour before the tests' time.
const BEFORE: Millis = Millis(START.0 - 900_000);

fn refused(user: UserId, key: KeyId, code: &str) -> contract::RefusedRequest {
    contract::RefusedRequest {
        request_id: RequestId::new(BEFORE).to_bytes().to_vec(),
        refused_at_ms: BEFORE.0,
        code: code.into(),
        status: 503,
        wire: contract::Wire::Messages.into(),
        key_id: key.to_bytes().to_vec(),
        user_id: user.to_bytes().to_vec(),
        model: "claude-sonnet-5".into(),
        message: "no account can serve this request now (1 disabled)".into(),
        explanation: "a secret name: disabled".into(),
    }
}

fn count(user: UserId, key: KeyId, code: &str, requests: u64) -> contract::RefusalCount {
    contract::RefusalCount {
        quarter_start_ms: BEFORE.0,
        code: code.into(),
        key_id: key.to_bytes().to_vec(),
        user_id: user.to_bytes().to_vec(),
        model: "claude-sonnet-5".into(),
        others: false,
        requests,
    }
}

/// One request of a key in full, and more that are counted, also of nobody's key.
async fn refusals(api: &TestApi, user: UserId, key: KeyId, requests: u64) -> String {
    let nobody = contract::RefusalCount {
        quarter_start_ms: BEFORE.0,
        code: "invalid_api_key".into(),
        requests: 40,
        ..contract::RefusalCount::default()
    };
    let request = refused(user, key, "no_account");
    let id = RequestId::try_from(request.request_id.as_slice()).unwrap();
    let incarnation = IncarnationId::new(BEFORE);
    let report = contract::RefusalReport {
        node_id: "node-1".into(),
        incarnation_id: incarnation.to_bytes().to_vec(),
        sequence: 1,
        counts: vec![count(user, key, "no_account", requests), count(user, key, "unknown_id", 1), nobody],
        requests: vec![request],
    };
    assert_eq!(take(&api.app.store, &api.app.clock, incarnation, report).await.unwrap(), 1);
    id.to_string()
}

async fn key(api: &TestApi, token: &str, name: &str) -> KeyId {
    api.new_key(token, name).await["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_person_sees_those_of_their_keys_in_the_clients_words() {
    let api = TestApi::start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let (bob, of_bob) = api.signed_in("bob", Role::User).await;
    let (laptop, other) = (key(&api, &token, "laptop").await, key(&api, &of_bob, "other").await);
    let id = refusals(&api, ann, laptop, 3).await;
    let of_others = refusals(&api, bob, other, 5).await;

    let answer = api.get("/api/usage/refusals").by(&token).send().await.expect(StatusCode::OK);
    let expected = json!({
        "refusals": [{
            "request_id": id,
            "refused_at": BEFORE.0,
            "code": "no_account",
            "status": 503,
            "message": "no account can serve this request now (1 disabled)",
            "wire": "messages",
            "model": "claude-sonnet-5",
            "key_id": laptop.to_string(),
            "key_name": "laptop",
        }],
        "next_cursor": null,
    });
    assert_eq!(answer.body, expected);
    assert!(!answer.text.contains("a secret name"));
    let path = format!("/api/usage/refusals?request_id={of_others}");
    assert_eq!(api.get(&path).by(&token).send().await.body["refusals"], json!([]));

    let counts = api.get("/api/usage/refusals/counts").by(&token).send().await.expect(StatusCode::OK).body;
    assert_eq!(counts["requests"], 4, "nobody's are not among them");
    let codes = json!([{ "code": "no_account", "requests": 3 }, { "code": "unknown_id", "requests": 1 }]);
    assert_eq!(counts["codes"], codes);
}

#[tokio::test]
async fn who_reads_all_sees_why_and_what_came_of_unknown_keys() {
    let api = TestApi::start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let (_, viewer) = api.signed_in("viewer", Role::Viewer).await;
    let laptop = key(&api, &token, "laptop").await;
    let id = refusals(&api, ann, laptop, 3).await;
    let get = async |path: String| api.get(path).by(&viewer).send().await.expect(StatusCode::OK).body;

    let one = get(format!("/api/admin/usage/refusals?request_id={id}")).await;
    let one = &one["refusals"][0];
    assert_eq!((&one["explanation"], &one["node"]), (&json!("a secret name: disabled"), &json!("node-1")));
    assert_eq!((&one["user_id"], &one["user_name"]), (&json!(ann.to_string()), &json!("ann")));
    for (filter, expected) in [
        (String::new(), 1),
        (format!("key_id={laptop}&code=no_account&model=claude-sonnet-5&user_id={ann}"), 1),
        ("code=unknown_id".into(), 0),
        (format!("key_id={}", KeyId::new(START)), 0),
        (format!("from={}", BEFORE.0), 1),
        (format!("to={}", BEFORE.0), 0),
    ] {
        let found = get(format!("/api/admin/usage/refusals?{filter}")).await;
        assert_eq!(found["refusals"].as_array().unwrap().len(), expected, "{filter}");
    }
    let counts = get("/api/admin/usage/refusals/counts".into()).await;
    assert_eq!(counts["requests"], 44);
    let nobody = json!({
        "code": "invalid_api_key", "key_id": null, "key_name": null, "model": null, "others": false, "requests": 40,
    });
    assert_eq!(counts["frequent"][0], nobody);
    assert_eq!(
        (&counts["frequent"][1]["key_name"], &counts["frequent"][1]["model"]),
        (&json!("laptop"), &json!("claude-sonnet-5"))
    );
    for (filter, requests) in [
        ("code=no_account".to_owned(), 3),
        (format!("key_id={laptop}"), 4),
        (format!("user_id={ann}&model=claude-sonnet-5"), 4),
        ("model=gpt-5".into(), 0),
        (format!("from={}", START.0 + 3_600_000 * 24), 0),
    ] {
        let to = START.0 + 3_600_000 * 25;
        let counts = get(format!("/api/admin/usage/refusals/counts?to={to}&{filter}")).await;
        assert_eq!(counts["requests"], requests, "{filter}");
    }
}

#[tokio::test]
async fn refusals_page_to_the_end() {
    let api = TestApi::start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let laptop = key(&api, &token, "laptop").await;
    for _ in 0..5 {
        refusals(&api, ann, laptop, 1).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(format!("/api/usage/refusals?limit=2{cursor}")).by(&token).send().await;
        let page = page.expect(StatusCode::OK).body;
        seen.extend(page["refusals"].as_array().unwrap().iter().map(|one| one["request_id"].to_string()));
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen.len(), 5);
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "{seen:?}");
}

#[tokio::test]
async fn what_can_t_be_asked_of_refusals_is_refused_by_name() {
    let api = TestApi::start().await;
    let (some, token) = api.signed_in("ann", Role::User).await;
    let (_, viewer) = api.signed_in("viewer", Role::Viewer).await;
    for (path, who, status) in [
        (format!("/api/usage/refusals?user_id={some}"), &token, 422),
        (format!("/api/usage/refusals/counts?user_id={some}"), &token, 422),
        ("/api/admin/usage/refusals".into(), &token, 403),
        ("/api/admin/usage/refusals/counts".into(), &token, 403),
        ("/api/admin/usage/refusals?request_id=1".into(), &viewer, 422),
        ("/api/admin/usage/refusals?cursor=AAAA".into(), &viewer, 422),
        ("/api/admin/usage/refusals?wire=chat".into(), &viewer, 422),
        ("/api/admin/usage/refusals/counts?from=0".into(), &viewer, 422),
    ] {
        let answer = api.get(path.clone()).by(who).send().await;
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.text);
    }
}
