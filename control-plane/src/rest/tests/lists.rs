//! What lists can be asked for, over HTTP.

use proto::v1::HeartbeatRequest;

use super::*;
use crate::store::nodes;

async fn listed(api: &TestApi, token: &str, path: &str, of: &str, name: &str) -> Vec<String> {
    let answer = api.get(path).by(token).send().await.expect(StatusCode::OK);
    let rows = answer.body[of].as_array().unwrap();
    rows.iter().map(|row| row[name].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn people_and_their_keys_are_found() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("root", Role::Admin).await;
    api.app.clock.advance(Duration::from_millis(1));
    let (ann, by_ann) = api.signed_in("ann", Role::User).await;
    api.app.clock.advance(Duration::from_millis(1));
    let (_, by_bob) = api.signed_in("Bob", Role::Viewer).await;
    let laptop = api.new_key(&by_ann, "Laptop").await;
    api.app.clock.advance(Duration::from_millis(1));
    api.new_key(&by_bob, "laptop, too").await;
    assert_eq!(laptop["user_name"], "ann");
    let people = |query: &str| {
        let path = format!("/api/admin/users?{query}");
        let (api, admin) = (&api, &admin);
        async move { listed(api, admin, &path, "users", "name").await }
    };
    assert_eq!(people("search=").await.len(), 3);
    assert_eq!(people("search=%20BO%20").await, ["Bob"]);
    assert_eq!(people("role=user").await, ["ann"]);
    assert_eq!(people("role=user&enabled=false").await.len(), 0);
    assert_eq!(people("enabled=true&search=o&limit=1").await, ["root"]);

    let keys = |query: &str, token: &str| {
        let (path, token) = (format!("/api/api-keys?{query}"), token.to_owned());
        let api = &api;
        async move { listed(api, &token, &path, "api_keys", "user_name").await }
    };
    assert_eq!(keys("search=laptop", &by_bob).await, ["ann", "Bob"]);
    assert_eq!(keys("search=LAPTOP", &by_ann).await, ["ann"], "and nobody else's");
    assert_eq!(keys(&format!("user_id={ann}&status=active"), &by_bob).await, ["ann"]);
    assert_eq!(keys(&format!("search={}", laptop["prefix"].as_str().unwrap()), &by_bob).await, ["ann"]);
    assert_eq!(keys("status=expired", &by_bob).await.len(), 0);
    let path = format!("/api/api-keys/{}", laptop["id"].as_str().unwrap());
    let off = api.put(&path).by(&by_ann).if_match("\"1\"").json(json!({ "enabled": false })).send().await;
    assert_eq!((&off.body["user_name"], &off.body["status"]), (&json!("ann"), &json!("disabled")));
    assert_eq!(keys("status=disabled", &by_bob).await, ["ann"]);
    assert_eq!(api.get(&path).by(&by_bob).send().await.body["user_name"], "ann");
}

#[tokio::test]
async fn what_is_configured_is_found() {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("olga", Role::Operator).await;
    let account = |name: &str, enabled: bool| json!({"name": name, "type": "claude-console", "enabled": enabled, "credentials": {"api_key": "sk-x"}});
    for (path, body) in [
        ("/api/admin/accounts", account("Spare", false)),
        ("/api/admin/accounts", account("Main", true)),
        ("/api/admin/account-groups", json!({"name": "Team A"})),
        ("/api/admin/account-groups", json!({"name": "Team B"})),
        ("/api/admin/model-routes", json!({"pattern": "opus*", "platform": "claude"})),
        ("/api/admin/model-routes", json!({"pattern": "gpt*", "platform": "openai"})),
        ("/api/admin/model-mappings", json!({"from": "opus", "to": "claude-opus-5"})),
        ("/api/admin/model-mappings", json!({"from": "fast", "to": "claude-haiku-5"})),
    ] {
        api.post(path).by(&token).json(body).send().await.expect(StatusCode::CREATED);
    }
    for (path, of, name, expected) in [
        ("accounts?enabled=false", "accounts", "name", vec!["Spare"]),
        ("accounts?enabled=true&search=a", "accounts", "name", vec!["Main"]),
        ("account-groups?search=team%20a", "account_groups", "name", vec!["Team A"]),
        ("account-groups?search=team_", "account_groups", "name", vec![]),
        ("model-routes?platform=openai", "model_routes", "pattern", vec!["gpt*"]),
        ("model-routes?search=OPUS", "model_routes", "pattern", vec!["opus*"]),
        ("model-routes?search=opus&platform=gemini", "model_routes", "pattern", vec![]),
        ("model-mappings?search=haiku", "model_mappings", "from", vec!["fast"]),
        ("model-mappings?search=OPUS", "model_mappings", "from", vec!["opus"]),
        ("models?search=opus&platform=claude", "models", "name", vec![]),
    ] {
        assert_eq!(listed(&api, &token, &format!("/api/admin/{path}"), of, name).await, expected, "{path}");
    }
}

#[tokio::test]
async fn nodes_page_to_the_end() {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("viewer", Role::Viewer).await;
    let longest = "节".repeat(128);
    for (name, ready) in [("node-1", true), ("node-2", false), ("node-3", true), (&longest, true)] {
        let heartbeat = HeartbeatRequest { node_id: name.to_owned(), ready, ..HeartbeatRequest::default() };
        let mut tx = api.app.store.begin().await.unwrap();
        nodes::heard(&mut tx, &heartbeat, api.app.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(format!("/api/admin/nodes?limit=1{cursor}")).by(&token).send().await;
        let page = page.expect(StatusCode::OK).body;
        assert_eq!(page["live_nodes"], 4);
        seen.push(page["nodes"][0]["node_id"].as_str().unwrap().to_owned());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["node-1", "node-2", "node-3", &longest]);
    let live = "/api/admin/nodes?health=live&limit=2";
    assert_eq!(listed(&api, &token, live, "nodes", "node_id").await, ["node-1", "node-3"]);
    let stopping = "/api/admin/nodes?health=stopping";
    assert_eq!(listed(&api, &token, stopping, "nodes", "node_id").await, ["node-2"]);
    assert_eq!(listed(&api, &token, "/api/admin/nodes?health=silent", "nodes", "node_id").await.len(), 0);
}

#[tokio::test]
async fn what_can_not_be_asked_for_is_named() {
    let api = TestApi::start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let long = format!("search={}", "x".repeat(201));
    let searchable = [
        "admin/users",
        "api-keys",
        "admin/accounts",
        "admin/account-groups",
        "admin/model-routes",
        "admin/model-mappings",
        "admin/models",
    ];
    let too_long = searchable.map(|list| (list, long.as_str(), "search"));
    let others = [
        ("admin/users", "role=king", "role"),
        ("admin/users", "enabled=yes", "enabled"),
        ("api-keys", "status=lost", "status"),
        ("admin/accounts", "enabled=1", "enabled"),
        ("admin/model-routes", "platform=azure", "platform"),
        ("admin/models", "platform=", "platform"),
        ("admin/nodes", "health=ill", "health"),
        ("admin/nodes", "search=x", "search"),
        ("admin/nodes", "cursor=_w", "cursor"),
        ("admin/users", "search=a&search=b", "search"),
    ];
    for (list, query, field) in too_long.into_iter().chain(others) {
        let answer = api.get(format!("/api/{list}?{query}")).by(&admin).send().await;
        assert_eq!(answer.refusal(), (422, "invalid_fields"), "{list} {query}: {}", answer.text);
        assert_eq!(answer.body["errors"][0]["field"], field, "{list} {query}: {}", answer.text);
    }
}
