//! Settings of the installation, and the audit log.

use super::*;

#[tokio::test]
async fn what_is_left_out_stays_and_null_is_the_default() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let read = api.get("/api/admin/settings").by(&admin).send().await.expect(StatusCode::OK);
    assert_eq!(
        (&read.body["registration_enabled"], &read.body["public_api_url"]),
        (&json!(false), &Value::Null)
    );
    let put =
        |tag: String, body: Value| api.put("/api/admin/settings").by(&admin).if_match(tag).json(body).send();
    let first =
        put(read.etag(), json!({ "public_api_url": "https://api.example.com/", "deadline_ms": 60_000 }))
            .await;
    let first = first.expect(StatusCode::OK);
    assert_eq!(first.body["public_api_url"], "https://api.example.com");
    let second = put(first.etag(), json!({ "deadline_ms": null })).await.expect(StatusCode::OK);
    assert_eq!(
        (&second.body["deadline_ms"], &second.body["public_api_url"]),
        (&Value::Null, &first.body["public_api_url"])
    );
    for (days, status) in [(0, 422), (1, 200), (36_500, 200), (36_501, 422)] {
        let etag = api.get("/api/admin/settings").by(&admin).send().await.etag();
        let answer = put(etag, json!({ "audit_retention_days": days })).await;
        assert_eq!(answer.status.as_u16(), status, "{days}");
        assert!(status != 200 || answer.body["audit_retention_days"] == days, "{}", answer.text);
    }
    let etag = api.get("/api/admin/settings").by(&admin).send().await.etag();
    let second = put(etag, json!({ "audit_retention_days": null })).await.expect(StatusCode::OK);
    let again = api.get("/api/admin/settings").by(&admin).send().await;
    assert_eq!((again.etag(), &again.body), (second.etag(), &second.body));
}

#[tokio::test]
async fn all_faults_are_named_at_once() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let etag = api.get("/api/admin/settings").by(&admin).send().await.etag();
    let body =
        json!({ "public_api_url": "javascript:alert(1)", "deadline_ms": 0, "max_body_bytes": u64::MAX });
    let answer = api.put("/api/admin/settings").by(&admin).if_match(&etag).json(body).send().await;
    let fields: Vec<_> =
        answer.body["errors"].as_array().unwrap().iter().map(|error| error["field"].clone()).collect();
    assert_eq!(fields, ["deadline_ms", "max_body_bytes", "public_api_url"]);
    assert_eq!(api.get("/api/admin/settings").by(&admin).send().await.etag(), etag);
}

#[tokio::test]
async fn the_audit_log_says_who_did_what_to_what_from_where() {
    let api = TestApi::start().await;
    let (id, admin) = api.signed_in("admin", Role::Admin).await;
    let key = api.new_key(&admin, "laptop").await;
    let entries = |query: &str| api.get(format!("/api/admin/audit?{query}")).by(&admin).send();
    let log = entries("action=api_key.create").await.expect(StatusCode::OK);
    let entry = &log.body["entries"][0];
    assert_eq!(entry["actor"], id.to_string());
    assert_eq!((&entry["target_kind"], &entry["target_id"]), (&json!("api_key"), &key["id"]));
    assert_eq!((&entry["address"], &entry["at"]), (&json!(HOME), &json!(START.0)));
    assert_eq!(entry["detail"]["name"], "laptop");
    assert_eq!(entry["detail"]["after"]["prefix"], key["prefix"]);
    assert!(!log.text.contains(key["key"].as_str().unwrap()), "{}", log.text);
    for (query, count) in [("", 1), ("target_kind=user", 0), (&format!("actor={id}"), 1), ("limit=1", 1)] {
        assert_eq!(entries(query).await.body["entries"].as_array().unwrap().len(), count, "{query}");
    }
    assert_eq!(entries("actor=nobody").await.refusal(), (422, "invalid_fields"));
}

#[tokio::test]
async fn the_audit_log_keeps_what_was_before_and_after() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let detail = async |action: &str| {
        let log = api.get(format!("/api/admin/audit?action={action}")).by(&admin).send().await;
        log.expect(StatusCode::OK).body["entries"][0]["detail"].clone()
    };
    let put =
        |path: String, tag: String, body: Value| api.put(path).by(&admin).if_match(tag).json(body).send();

    let key = api.new_key(&admin, "laptop").await;
    let path = format!("/api/api-keys/{}", key["id"].as_str().unwrap());
    put(path.clone(), "\"1\"".into(), json!({ "name": "desktop", "tags": ["a"], "enabled": true })).await;
    let changed = json!({
        "name": "desktop", "before": { "name": "laptop", "tags": [] }, "after": { "name": "desktop", "tags": ["a"] },
    });
    assert_eq!(detail("api_key.update").await, changed);
    api.delete(&path).by(&admin).send().await.expect(StatusCode::NO_CONTENT);
    assert_eq!(detail("api_key.delete").await["before"]["tags"], json!(["a"]));

    let path = "/api/admin/settings".to_owned();
    let etag = api.get(&path).by(&admin).send().await.etag();
    put(path, etag, json!({ "deadline_ms": 5_000, "registration_enabled": false })).await;
    let changed = json!({ "before": { "deadline_ms": null }, "after": { "deadline_ms": 5_000 } });
    assert_eq!(detail("settings.update").await, changed);

    let route = json!({ "pattern": "opus", "platform": "claude" });
    let route = api.post("/api/admin/model-routes").by(&admin).json(route).send().await;
    let path = format!("/api/admin/model-routes/{}", route.body["id"].as_str().unwrap());
    put(path, route.etag(), json!({ "position": 7 })).await.expect(StatusCode::OK);
    let changed = json!({ "name": "opus", "before": { "position": 100 }, "after": { "position": 7 } });
    assert_eq!(detail("model_route.update").await, changed);

    let mapping = json!({ "from": "opus", "to": "claude-opus-5" });
    let mapping = api.post("/api/admin/model-mappings").by(&admin).json(mapping).send().await;
    let path = format!("/api/admin/model-mappings/{}", mapping.body["id"].as_str().unwrap());
    put(path, mapping.etag(), json!({ "enabled": false })).await.expect(StatusCode::OK);
    let changed = json!({ "name": "opus", "before": { "enabled": true }, "after": { "enabled": false } });
    assert_eq!(detail("model_mapping.update").await, changed);
}
