//! /api/admin/accounts and its groups, over HTTP.

use super::*;

const ACCOUNTS: &str = "/api/admin/accounts";
const GROUPS: &str = "/api/admin/account-groups";
const KEY: &str = "sk-ant-api03-0123456789abcdef";

async fn operator() -> (TestApi, String) {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("olga", Role::Operator).await;
    (api, token)
}

fn console(name: &str) -> Value {
    json!({"name": name, "type": "claude-console", "credentials": {"api_key": KEY}})
}

fn path(of: &str, answer: &Answer) -> String {
    format!("{of}/{}", answer.body["id"].as_str().unwrap())
}

/// The fields at fault.
fn faults(answer: &Answer) -> Vec<&str> {
    assert_eq!(answer.refusal(), (422, "invalid_fields"), "{}", answer.text);
    answer.body["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_account_is_made_read_changed_and_deleted() {
    let (api, token) = operator().await;
    let before = api.version().await;
    let made = api.post(ACCOUNTS).by(&token).json(console("main")).send().await.expect(StatusCode::CREATED);
    let id = path(ACCOUNTS, &made);
    assert_eq!((made.etag().as_str(), made.body["status"].as_str()), ("\"1\"", Some("valid")));
    assert_eq!(
        (&made.body["priority"], &made.body["weight"], &made.body["enabled"], &made.body["client_gone"]),
        (&json!(50), &json!(100), &json!(true), &json!("drain"))
    );

    let read = api.get(&id).by(&token).send().await.expect(StatusCode::OK);
    assert_eq!((read.etag(), &read.body), (made.etag(), &made.body));
    let change = json!({"priority": 7, "enabled": false, "model_mapping": {"opus": "claude-opus-5"}});
    let changed =
        api.put(&id).by(&token).if_match(read.etag()).json(change).send().await.expect(StatusCode::OK);
    assert_eq!((changed.etag().as_str(), &changed.body["name"]), ("\"2\"", &json!("main")));
    assert_eq!(changed.body["model_mapping"], json!({"opus": "claude-opus-5"}));
    let late = api.put(&id).by(&token).if_match(read.etag()).json(json!({"priority": 8})).send().await;
    assert_eq!(late.refusal(), (412, "stale_revision"));
    let same = api.put(&id).by(&token).if_match(changed.etag()).json(json!({"priority": 7})).send().await;
    assert_eq!(same.expect(StatusCode::OK).etag(), changed.etag(), "nothing changed");

    api.delete(&id).by(&token).send().await.expect(StatusCode::NO_CONTENT);
    assert_eq!(api.get(&id).by(&token).send().await.refusal(), (404, "not_found"));
    assert_eq!(api.delete(&id).by(&token).send().await.refusal(), (404, "not_found"));
    for action in ["account.create", "account.update", "account.delete"] {
        assert_eq!(api.audited(action).await, 1, "{action}");
    }
    assert_eq!(api.version().await, before + 3);
}

#[tokio::test]
async fn credentials_go_in_and_never_come_out() {
    let (api, token) = operator().await;
    let made = api.post(ACCOUNTS).by(&token).json(console("secret")).send().await.expect(StatusCode::CREATED);
    let id = path(ACCOUNTS, &made);
    assert_eq!(made.body["credential"], json!({"kind": "api_key", "set": true, "hint": "cdef"}));
    let kept = api.put(&id).by(&token).if_match(made.etag()).json(json!({"name": "kept"})).send().await;
    assert_eq!(kept.body["credential"], made.body["credential"]);
    let replaced = json!({"credentials": {"api_key": "sk-short"}});
    let replaced =
        api.put(&id).by(&token).if_match(kept.etag()).json(replaced).send().await.expect(StatusCode::OK);
    assert_eq!(replaced.body["credential"], json!({"kind": "api_key", "set": true}));
    let list = api.get(ACCOUNTS).by(&token).send().await;
    let audit = api.get("/api/admin/audit").by(&token).send().await.expect(StatusCode::OK);
    for answer in [&made, &kept, &replaced, &list, &audit] {
        assert!(!answer.text.contains("0123456789") && !answer.text.contains("sk-short"), "{}", answer.text);
    }
    assert!(audit.text.contains("credentials"), "that they were replaced is told: {}", audit.text);
}

/// The latest entry of the audit log about this action.
async fn entry(api: &TestApi, token: &str, action: &str) -> Value {
    let path = format!("/api/admin/audit?action={action}");
    api.get(path).by(token).send().await.expect(StatusCode::OK).body["entries"][0].clone()
}

#[tokio::test]
async fn the_audit_log_has_each_field_that_changed_before_and_after() {
    let (api, token) = operator().await;
    let group = api.post(GROUPS).by(&token).json(json!({"name": "team"})).send().await.body["id"].clone();
    let made = api.post(ACCOUNTS).by(&token).json(console("main")).send().await.expect(StatusCode::CREATED);
    let id = path(ACCOUNTS, &made);
    let all = json!({
        "name": "main", "description": "", "type": "claude-console", "base_url": null, "credential_kind": "api_key",
        "options": {}, "enabled": true, "schedulable": true, "priority": 50, "weight": 100, "concurrency": null,
        "model_mapping": [], "allowed_models": [], "group_ids": [], "tags": [], "client_gone": "drain",
        "expires_at": null, "invalid_reason": null,
    });
    let created = entry(&api, &token, "account.create").await;
    assert_eq!(created["detail"], json!({"name": "main", "after": all}));

    let change = json!({
        "name": "second", "description": "d", "base_url": "https://api.anthropic.com/x", "enabled": false,
        "schedulable": false, "priority": 7, "weight": 8, "concurrency": 9, "model_mapping": {"a": "b"},
        "allowed_models": ["b"], "group_ids": [group], "tags": ["t"], "client_gone": "cancel",
        "expires_at": START.0 + 1, "credentials": {"api_key": "sk-another"},
    });
    let changed =
        api.put(&id).by(&token).if_match(made.etag()).json(change).send().await.expect(StatusCode::OK);
    let (mut before, mut after) = (all.clone(), all.clone());
    let fields = json!({
        "name": "second", "description": "d", "base_url": "https://api.anthropic.com/x", "enabled": false,
        "schedulable": false, "priority": 7, "weight": 8, "concurrency": 9, "model_mapping": [["a", "b"]],
        "allowed_models": ["b"], "group_ids": [group], "tags": ["t"], "client_gone": "cancel",
        "expires_at": START.0 + 1, "credentials": "*** (another one)",
    });
    after.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let everything = after.clone();
    before["credentials"] = json!("***");
    for same in ["type", "credential_kind", "options", "invalid_reason"] {
        before.as_object_mut().unwrap().remove(same);
        after.as_object_mut().unwrap().remove(same);
    }
    let updated = entry(&api, &token, "account.update").await;
    assert_eq!(updated["detail"], json!({"name": "second", "before": before, "after": after}));
    assert_eq!(updated["target_id"], made.body["id"]);

    let same = json!({"credentials": {"api_key": "sk-another"}});
    let again = api.put(&id).by(&token).if_match(changed.etag()).json(same).send().await;
    assert_eq!(again.expect(StatusCode::OK).etag(), changed.etag(), "it had that credential");
    let same = json!({"credentials": {"api_key": "sk-another"}, "priority": 1});
    // Entries of one millisecond have no order.
    api.app.clock.advance(Duration::from_millis(1));
    api.put(&id).by(&token).if_match(changed.etag()).json(same).send().await.expect(StatusCode::OK);
    let updated = entry(&api, &token, "account.update").await;
    assert_eq!(
        updated["detail"],
        json!({"name": "second", "before": {"priority": 7}, "after": {"priority": 1}})
    );
    assert_eq!(api.audited("account.update").await, 2);

    api.delete(&id).by(&token).send().await.expect(StatusCode::NO_CONTENT);
    let mut last = everything;
    last.as_object_mut().unwrap().remove("credentials");
    last["priority"] = json!(1);
    let deleted = entry(&api, &token, "account.delete").await;
    assert_eq!(deleted["detail"], json!({"name": "second", "before": last}));
}

#[tokio::test]
async fn an_account_of_a_later_release_hides_no_other_and_can_be_deleted() {
    let (api, token) = operator().await;
    let mut made = Vec::new();
    for name in ["one", "two", "three"] {
        api.app.clock.advance(Duration::from_millis(1));
        made.push(path(ACCOUNTS, &api.post(ACCOUNTS).by(&token).json(console(name)).send().await));
    }
    let mut tx = api.app.store.begin().await.unwrap();
    let sql = "UPDATE accounts SET account_type = 'quantum', options = '{new' WHERE name = 'two'";
    crate::store::db::execute!(&mut tx, sql).unwrap();
    tx.commit().await.unwrap();
    let page = async |cursor: &str| {
        let page = api.get(format!("{ACCOUNTS}?limit=2{cursor}")).by(&token).send().await;
        let body = page.expect(StatusCode::OK).body;
        let names = body["accounts"].as_array().unwrap().iter().map(|account| account["name"].clone());
        (names.collect::<Vec<_>>(), body["next_cursor"].clone())
    };
    let (names, next) = page("").await;
    assert_eq!(names, ["one"]);
    let next = format!("&cursor={}", next.as_str().expect("there is more"));
    assert_eq!(page(&next).await, (vec![json!("three")], Value::Null));

    assert_eq!(api.get(&made[1]).by(&token).send().await.status, StatusCode::INTERNAL_SERVER_ERROR);
    api.delete(&made[1]).by(&token).send().await.expect(StatusCode::NO_CONTENT);
    let deleted = &entry(&api, &token, "account.delete").await["detail"]["before"];
    assert_eq!((&deleted["type"], &deleted["options"]), (&json!("quantum"), &json!("{new")));
}

#[tokio::test]
async fn faults_name_their_fields_and_never_repeat_a_secret() {
    let (api, token) = operator().await;
    for (body, fields) in [
        (json!({}), vec!["type"]),
        (json!({"type": "quantum"}), vec!["type"]),
        (
            json!({"name": "a", "type": "bedrock", "credentials": {}}),
            vec!["options.region", "credentials.access_key_id", "credentials.secret_access_key"],
        ),
        (
            json!({"name": "a", "type": "claude-console", "credentials": {"api_key": "two words"}}),
            vec!["credentials.api_key"],
        ),
        (
            json!({"name": "a", "type": "claude-console", "credentials": {"key": "sk-secret"}}),
            vec!["credentials.key"],
        ),
        (json!({"name": "a", "type": "claude-console", "credentials": "sk-secret"}), vec!["credentials"]),
        (
            json!({"name": "a", "type": "claude-console", "credentials": {"api_key": ["sk-secret"]}}),
            vec!["credentials.api_key"],
        ),
        (
            json!({"name": "a", "type": "claude-console", "credentials": {"api_key": "k"}, "base_url": "http://10.0.0.1"}),
            vec!["base_url"],
        ),
        (
            json!({"name": "a", "type": "claude-console", "credentials": {"api_key": "k"}, "options": {"region": "x"}}),
            vec!["options.region"],
        ),
        (
            json!({"name": "a", "type": "claude-console", "credentials": {"api_key": "k"}, "group_ids": ["01ARZ3NDEKTSV4RRFFQ69G5FAV"]}),
            vec!["group_ids"],
        ),
        (
            json!({"name": "a", "type": "claude-console", "credentials": {"api_key": "k"}, "priority": -1}),
            vec!["priority"],
        ),
        (
            json!({"name": "a", "type": "claude-console", "credentials": {"api_key": "k"}, "status": "valid"}),
            vec!["status"],
        ),
    ] {
        let answer = api.post(ACCOUNTS).by(&token).json(body.clone()).send().await;
        assert_eq!(faults(&answer), fields, "{body}");
        assert!(!answer.text.contains("sk-secret") && !answer.text.contains("two words"), "{}", answer.text);
    }
    assert_eq!(api.audited("account.create").await, 0);
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let (api, token) = operator().await;
    api.post(ACCOUNTS).by(&token).json(console("once")).send().await.expect(StatusCode::CREATED);
    let again = api.post(ACCOUNTS).by(&token).json(console("once")).send().await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.text.contains("name"), "{}", again.text);
    assert_eq!(
        api.audited("account.create").await,
        1,
        "the row of the refused one went with its transaction"
    );
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let (api, token) = operator().await;
    for index in 0..5 {
        api.app.clock.advance(Duration::from_millis(1));
        let mut body = console(&format!("account {index}"));
        if index == 2 {
            body = json!({"name": "azure 2", "type": "azure-openai", "base_url": "https://x.openai.azure.com",
                "credentials": {"api_key": KEY}, "options": {"api_version": "2024-10-21"}});
        }
        api.post(ACCOUNTS).by(&token).json(body).send().await.expect(StatusCode::CREATED);
    }
    let names = |answer: &Answer| -> Vec<String> {
        let accounts = answer.body["accounts"].as_array().unwrap();
        accounts.iter().map(|account| account["name"].as_str().unwrap().to_owned()).collect()
    };
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            api.get(format!("{ACCOUNTS}?limit=2{cursor}")).by(&token).send().await.expect(StatusCode::OK);
        seen.extend(names(&page));
        let Some(next) = page.body["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["account 0", "account 1", "azure 2", "account 3", "account 4"]);
    for (query, expected) in [
        ("type=azure-openai", vec!["azure 2"]),
        ("search=AZURE", vec!["azure 2"]),
        ("status=invalid", vec![]),
        ("status=valid&search=3", vec!["account 3"]),
    ] {
        let found = api.get(format!("{ACCOUNTS}?{query}")).by(&token).send().await.expect(StatusCode::OK);
        assert_eq!(names(&found), expected, "{query}");
    }
    for query in ["type=quantum", "status=limited", "group=x", "colour=red"] {
        let refused = api.get(format!("{ACCOUNTS}?{query}")).by(&token).send().await;
        assert_eq!(faults(&refused), [query.split('=').next().unwrap()]);
    }
}

#[tokio::test]
async fn a_group_and_its_accounts_know_each_other() {
    let (api, token) = operator().await;
    let one = api.post(ACCOUNTS).by(&token).json(console("one")).send().await;
    let group = json!({"name": "team", "account_ids": [one.body["id"]]});
    let group = api.post(GROUPS).by(&token).json(group).send().await.expect(StatusCode::CREATED);
    let mut two = console("two");
    two["group_ids"] = json!([group.body["id"]]);
    let two = api.post(ACCOUNTS).by(&token).json(two).send().await.expect(StatusCode::CREATED);

    let group_path = path(GROUPS, &group);
    let late = json!({"account_ids": []});
    let late = api.put(&group_path).by(&token).if_match(group.etag()).json(late).send().await;
    assert_eq!(late.refusal(), (412, "stale_revision"), "an account joined meanwhile");
    let group = api.get(&group_path).by(&token).send().await.expect(StatusCode::OK);
    assert_eq!(group.body["account_ids"].as_array().unwrap().len(), 2);
    let listed = api.get(GROUPS).by(&token).send().await.expect(StatusCode::OK);
    assert_eq!(listed.body["account_groups"], json!([group.body]));
    let members = format!("{ACCOUNTS}?group={}", group.body["id"].as_str().unwrap());
    assert_eq!(api.get(members).by(&token).send().await.body["accounts"].as_array().unwrap().len(), 2);

    let only_two = json!({"account_ids": [two.body["id"]], "description": "second"});
    let changed = api.put(&group_path).by(&token).if_match(group.etag()).json(only_two).send().await;
    assert_eq!(changed.expect(StatusCode::OK).body["account_ids"], json!([two.body["id"]]));
    let one = api.get(path(ACCOUNTS, &one)).by(&token).send().await;
    assert_eq!(one.body["group_ids"], json!([]));

    let before = api.version().await;
    api.delete(&group_path).by(&token).send().await.expect(StatusCode::NO_CONTENT);
    assert_eq!(api.changes_since(before).await.len(), 2, "the group and its member");
    assert_eq!(api.get(path(ACCOUNTS, &two)).by(&token).send().await.body["group_ids"], json!([]));
    let missing = json!({"name": "ghosts", "account_ids": ["01ARZ3NDEKTSV4RRFFQ69G5FAV"]});
    assert_eq!(faults(&api.post(GROUPS).by(&token).json(missing).send().await), ["account_ids"]);
    let again = api.post(GROUPS).by(&token).json(json!({"name": "ghosts"})).send().await;
    again.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn ten_types_are_described() {
    let (api, token) = operator().await;
    let types = api.get("/api/admin/accounts/types").by(&token).send().await.expect(StatusCode::OK);
    let types = types.body["types"].as_array().unwrap();
    assert_eq!(types.len(), 10);
    let console = types.iter().find(|kind| kind["type"] == "claude-console").unwrap();
    assert_eq!(console["base_url"]["default"], json!("https://api.anthropic.com"));
    let field = &console["credentials"][0]["fields"][0];
    assert_eq!(
        (&field["name"], &field["required"], &field["secret"]),
        (&json!("api_key"), &json!(true), &json!(true))
    );
}

#[tokio::test]
async fn routes_and_mappings_are_made_changed_and_deleted() {
    let (api, token) = operator().await;
    for (collection, body, change, bad, field) in [
        (
            "/api/admin/model-routes",
            json!({"pattern": "opus*", "account_type": "bedrock"}),
            json!({"position": 3}),
            json!({"account_type": "openai"}),
            "account_type",
        ),
        (
            "/api/admin/model-mappings",
            json!({"from": "opus", "to": "claude-opus-5"}),
            json!({"to": "claude-opus-6"}),
            json!({"to": "claude-*"}),
            "to",
        ),
    ] {
        let made =
            api.post(collection).by(&token).json(body.clone()).send().await.expect(StatusCode::CREATED);
        let id = path(collection, &made);
        let again = api.post(collection).by(&token).json(body).send().await;
        assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.text);
        let refused = api.put(&id).by(&token).if_match(made.etag()).json(bad).send().await;
        assert_eq!(faults(&refused), [field]);
        let changed =
            api.put(&id).by(&token).if_match(made.etag()).json(change).send().await.expect(StatusCode::OK);
        assert_eq!(changed.etag(), "\"2\"");
        let listed = api.get(collection).by(&token).send().await.expect(StatusCode::OK);
        let name = collection.rsplit('/').next().unwrap().replace('-', "_");
        assert_eq!(listed.body[name.as_str()], json!([changed.body]));
        assert_eq!(api.get(&id).by(&token).send().await.body, changed.body);
        let late = api.put(&id).by(&token).if_match(made.etag()).json(json!({"enabled": false})).send().await;
        assert_eq!(late.refusal(), (412, "stale_revision"));
        api.delete(&id).by(&token).send().await.expect(StatusCode::NO_CONTENT);
        assert_eq!(api.get(&id).by(&token).send().await.refusal(), (404, "not_found"));
    }
}

#[tokio::test]
async fn models_show_the_price_in_force_in_dollars() {
    use crate::store::models::{self, ModelRow, PriceRow};
    use shared::{
        id::{ModelId, PriceId},
        price::{PerMillion, Price, Rates},
    };
    let (api, token) = operator().await;
    let id = ModelId::new(START);
    let model = ModelRow {
        id,
        name: "claude-test-1".to_owned(),
        platform: "claude".to_owned(),
        display_name: None,
        context_window: None,
        max_output: None,
        released_at: None,
        created_at: START.0,
        updated_at: START.0,
        revision: 1,
    };
    let price = |from: i64, input: u64| PriceRow {
        id: PriceId::new(Millis(START.0 + from)),
        model: "claude-test-1".to_owned(),
        model_id: id,
        effective_from: Millis(START.0 + from),
        price: Price { rates: Rates { input: PerMillion(input), ..Rates::default() }, long_context: None },
        source: "test".to_owned(),
        created_at: START,
    };
    let mut tx = api.app.store.begin().await.unwrap();
    models::insert(&mut tx, &model).await.unwrap();
    for price in [price(-2, 1), price(0, 3_750_000), price(1, 9)] {
        models::add_price(&mut tx, &price).await.unwrap();
    }
    tx.commit().await.unwrap();
    let list = api.get("/api/admin/models").by(&token).send().await.expect(StatusCode::OK);
    let model = &list.body["models"][0];
    assert_eq!((&model["price"]["input"], &model["price"]["output"]), (&json!("3.75"), &json!("0")));
    assert_eq!(model["prices"].as_array().unwrap().len(), 3);
}
