//! API keys: whose they are, and what is shown of them.

use proto::v1::ResourceKind;
use shared::{id::KeyId, secret::KeyHash};

use super::*;
use crate::store::api_keys;

#[tokio::test]
async fn a_key_is_shown_once_and_only_its_hash_is_kept() {
    let api = TestApi::start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let before = api.version().await;
    let made = api.new_key(&token, "laptop").await;
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with("sk-") && key.len() == 67, "{key}");
    assert_eq!(made["prefix"], key[..12]);
    assert_eq!((&made["status"], &made["user_id"]), (&json!("active"), &json!(ann.to_string())));
    let id: KeyId = made["id"].as_str().unwrap().parse().unwrap();
    let mut tx = api.app.store.read().await.unwrap();
    let row = api_keys::get(&mut tx, id).await.unwrap().unwrap();
    drop(tx);
    assert_eq!(row.hash, KeyHash::of(key.as_bytes()));
    for path in ["/api/api-keys".to_owned(), format!("/api/api-keys/{id}")] {
        let answer = api.get(path).by(&token).send().await.expect(StatusCode::OK);
        assert!(!answer.text.contains(&key[13..]) && !answer.text.contains("hash"), "{}", answer.text);
    }
    assert_eq!(api.changes_since(before).await, [(ResourceKind::ApiKey, id.to_bytes(), false)]);
}

#[tokio::test]
async fn what_is_not_yours_is_not_there() {
    let api = TestApi::start().await;
    let (ann, by_ann) = api.signed_in("ann", Role::User).await;
    let (_, by_bob) = api.signed_in("bob", Role::User).await;
    let id = api.new_key(&by_ann, "laptop").await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/api-keys/{id}");
    let toggle = format!("{path}/toggle");
    for call in [
        api.get(&path),
        api.put(&path).if_match("\"1\"").json(json!({ "name": "mine" })),
        api.put(&toggle).if_match("\"1\""),
        api.delete(&path),
    ] {
        assert_eq!(call.by(&by_bob).send().await.refusal(), (404, "not_found"));
    }
    let list = api.get("/api/api-keys").by(&by_bob).send().await.expect(StatusCode::OK);
    assert_eq!(list.body, json!({ "api_keys": [], "next_cursor": null }));
    let asked = api.get(format!("/api/api-keys?user_id={ann}")).by(&by_bob).send().await;
    assert_eq!(asked.refusal(), (403, "forbidden"));
    let for_ann = json!({ "name": "hers", "user_id": ann });
    assert_eq!(
        api.post("/api/api-keys").by(&by_bob).json(for_ann).send().await.refusal(),
        (403, "forbidden")
    );
    assert_eq!(api.get(&path).by(&by_ann).send().await.body["name"], "laptop");
}

#[tokio::test]
async fn viewers_and_operators_see_all_keys_and_change_their_own_only() {
    let api = TestApi::start().await;
    let (ann, by_ann) = api.signed_in("ann", Role::User).await;
    let id = api.new_key(&by_ann, "laptop").await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/api-keys/{id}");
    for role in [Role::Viewer, Role::Operator] {
        let (own, token) = api.signed_in(role.as_str(), role).await;
        api.new_key(&token, "own").await;
        let all = api.get("/api/api-keys").by(&token).send().await;
        assert!(all.body["api_keys"].as_array().unwrap().len() >= 2, "{}", all.text);
        for (user, count) in [(own, 1), (ann, 1), (UserId::new(START), 0)] {
            let list = api.get(format!("/api/api-keys?user_id={user}")).by(&token).send().await;
            assert_eq!(list.body["api_keys"].as_array().unwrap().len(), count);
        }
        api.get(&path).by(&token).send().await.expect(StatusCode::OK);
        let put = api.put(&path).by(&token).if_match("\"1\"").json(json!({ "enabled": false }));
        assert_eq!(put.send().await.refusal(), (403, "forbidden"));
        assert_eq!(api.delete(&path).by(&token).send().await.refusal(), (403, "forbidden"));
    }
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let put = api.put(&path).by(&admin).if_match("\"1\"").json(json!({ "enabled": false }));
    assert_eq!(put.send().await.expect(StatusCode::OK).body["status"], "disabled");
    api.delete(&path).by(&admin).send().await.expect(StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_admin_makes_keys_for_others_that_exist() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let ann = api.person("ann", Role::User).await;
    let post = |user: UserId| {
        api.post("/api/api-keys").by(&admin).json(json!({ "name": "a", "user_id": user })).send()
    };
    assert_eq!(post(ann).await.expect(StatusCode::CREATED).body["user_id"], ann.to_string());
    let nobody = post(UserId::new(START)).await;
    assert_eq!((nobody.status.as_u16(), &nobody.body["errors"][0]["field"]), (422, &json!("user_id")));
}

#[tokio::test]
async fn a_key_is_toggled_with_a_word_or_without() {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let id = api.new_key(&token, "laptop").await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/api-keys/{id}/toggle");
    let off = api.put(&path).by(&token).if_match("\"1\"").send().await.expect(StatusCode::OK);
    assert_eq!((&off.body["enabled"], &off.body["status"]), (&json!(false), &json!("disabled")));
    let still = api.put(&path).by(&token).if_match(off.etag()).json(json!({ "enabled": false })).send().await;
    assert_eq!(still.body["enabled"], false);
    let on = api.put(&path).by(&token).if_match(still.etag()).send().await.expect(StatusCode::OK);
    assert_eq!(on.body["status"], "active");
    assert_eq!(api.audited("api_key.update").await, 3);
}

#[tokio::test]
async fn a_key_expires_by_the_clock() {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let post = |at: Value| {
        api.post("/api/api-keys").by(&token).json(json!({ "name": "a", "expires_at": at })).send()
    };
    for bad in [json!(START.0), json!(-1), json!(i64::MAX), json!("tomorrow"), json!(1.5)] {
        let answer = post(bad.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["errors"][0]["field"]),
            (422, &json!("expires_at")),
            "{bad}"
        );
    }
    let made = post(json!(START.0 + 1000)).await.expect(StatusCode::CREATED);
    let path = format!("/api/api-keys/{}", made.body["id"].as_str().unwrap());
    api.app.clock.advance(Duration::from_secs(1));
    assert_eq!(api.get(&path).by(&token).send().await.body["status"], "expired");
    let forever =
        api.put(&path).by(&token).if_match("\"1\"").json(json!({ "expires_at": null })).send().await;
    assert_eq!((&forever.body["status"], &forever.body["expires_at"]), (&json!("active"), &Value::Null));
}

#[tokio::test]
async fn key_names_are_any_text_that_looks_like_what_it_is() {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    for name in ["笔记本", "<img src=x onerror=alert(1)>", "'; DROP TABLE api_keys; --", "👩\u{200d}💻"]
    {
        assert_eq!(api.new_key(&token, name).await["name"], name);
    }
    for bad in ["", " x", "a\nb", "\u{202e}evil", &"字".repeat(101)] {
        let answer = api.post("/api/api-keys").by(&token).json(json!({ "name": bad })).send().await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["errors"][0]["field"]),
            (422, &json!("name")),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn strange_queries_are_refused_by_name() {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("ann", Role::Viewer).await;
    for (query, field) in
        [("user_id=me", "user_id"), ("colour=red", "colour"), ("limit=0", "limit"), ("cursor=AAAA", "cursor")]
    {
        let answer = api.get(format!("/api/api-keys?{query}")).by(&token).send().await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["errors"][0]["field"]),
            (422, &json!(field)),
            "{query}"
        );
    }
    assert_eq!(api.get("/api/api-keys/not-an-id").by(&token).send().await.refusal(), (404, "not_found"));
    assert_eq!(api.get("/api/api-keys/..%2fusers").by(&token).send().await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_person_has_so_many_keys_and_no_more() {
    let api = TestApi::start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let mut tx = api.app.store.begin().await.unwrap();
    for _ in 0..1000 {
        let id = KeyId::new(START);
        let key = api_keys::ApiKey {
            id,
            user: ann,
            name: "one of many".to_owned(),
            hash: KeyHash::of(&id.to_bytes()),
            prefix: "sk-0123".to_owned(),
            enabled: true,
            expires_at: None,
            tags: Vec::new(),
            metadata: std::collections::BTreeMap::new(),
            created_at: START,
            updated_at: START,
            revision: 1,
        };
        api_keys::insert(&mut tx, &key).await.unwrap();
    }
    tx.commit().await.unwrap();
    let more = api.post("/api/api-keys").by(&token).json(json!({ "name": "one more" })).send().await;
    assert_eq!(more.refusal(), (409, "too_many_keys"));
    let (_, other) = api.signed_in("bob", Role::User).await;
    api.new_key(&other, "his first").await;
}

#[tokio::test]
async fn keys_carry_tags_and_metadata() {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let plain = api.new_key(&token, "plain").await;
    assert_eq!((&plain["tags"], &plain["metadata"]), (&json!([]), &json!({})));
    let labels = json!({ "name": "n", "tags": ["b", "a", "b"], "metadata": { "cost-centre": "17" } });
    let made = api.post("/api/api-keys").by(&token).json(labels).send().await.expect(StatusCode::CREATED);
    assert_eq!(made.body["tags"], json!(["b", "a"]));
    assert_eq!(made.body["metadata"], json!({ "cost-centre": "17" }));
    let path = format!("/api/api-keys/{}", made.body["id"].as_str().unwrap());
    let put = |change: Value, revision: &'static str| {
        api.put(&path).by(&token).if_match(revision).json(change).send()
    };
    let renamed = put(json!({ "name": "m" }), "\"1\"").await.expect(StatusCode::OK);
    assert_eq!(renamed.body["tags"], json!(["b", "a"]), "what is left out stays");
    let cleared = put(json!({ "tags": [], "metadata": {} }), "\"2\"").await.expect(StatusCode::OK);
    assert_eq!((&cleared.body["tags"], &cleared.body["metadata"]), (&json!([]), &json!({})));
    for wrong in [
        json!({ "tags": [""] }),
        json!({ "tags": vec!["t"; 17] }),
        json!({ "metadata": { "a": "two\nlines" } }),
    ] {
        assert_eq!(put(wrong, "\"3\"").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
}
