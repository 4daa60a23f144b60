//! What the gateway refuses without a record shows where people look: in full by the id that the client got, and counted,
//! each request once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use serde_json::{Value, json};
use tests::{ADMIN_PASSWORD, Admin, Caller, Gateway, Split, eventually, messages_body};

const ONE: &str = "sk-ant-one";
const TWO: &str = "sk-ant-two";
const MODEL: &str = "claude-sonnet-5";

/// Waits until the node offers the model no more.
async fn withdrawn(caller: &Caller) {
    eventually("the model to be gone", async || {
        let url = format!("{}/v1/models/{MODEL}", caller.url);
        let found = caller.http.get(url).bearer_auth(&caller.key).send().await.unwrap();
        (found.status() == 404).then_some(())
    })
    .await;
}

async fn counts(admin: &Admin) -> Value {
    admin.get("/api/admin/usage/refusals/counts").await.ok()
}

fn of_code(counts: &Value, code: &str) -> u64 {
    let codes = counts["codes"].as_array().unwrap();
    codes.iter().find(|of| of["code"] == code).map_or(0, |of| of["requests"].as_u64().unwrap())
}

/// Waits until so many are counted, and never more.
async fn counted(admin: &Admin, code: &str, requests: u64) {
    eventually(&format!("{requests} times {code}"), async || {
        let counts = counts(admin).await;
        let found = of_code(&counts, code);
        assert!(found <= requests, "{requests} times {code}: {counts}");
        (found == requests).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_every_account_shows_with_code_key_model_and_the_reasons() {
    let gateway = Gateway::standalone().await;
    let accounts =
        [gateway.account("claude-console", ONE).await, gateway.account("claude-console", TWO).await];
    let caller = gateway.caller().await;
    caller.offered(MODEL).await;
    for account in &accounts {
        let path = format!("/api/admin/accounts/{account}");
        gateway.admin.put(&path, &path, json!({ "enabled": false })).await.ok();
    }
    withdrawn(&caller).await;
    let reply = caller.messages(&messages_body("x", false)).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    let id = reply.headers["x-request-id"].to_str().unwrap();
    let told = reply.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(!told.contains("claude-console one"), "clients hear no name of an account: {told}");

    let shown = eventually("the refused request", async || {
        let found = gateway.admin.get(&format!("/api/admin/usage/refusals?request_id={id}")).await.ok();
        found["refusals"].get(0).cloned()
    })
    .await;
    let key = gateway.admin.get("/api/api-keys").await.ok()["api_keys"][0]["id"].clone();
    assert_eq!(
        (&shown["code"], &shown["status"], &shown["model"]),
        (&json!("no_account"), &json!(503), &json!(MODEL))
    );
    assert_eq!(
        (&shown["key_id"], &shown["key_name"], &shown["wire"]),
        (&key, &json!("test"), &json!("messages"))
    );
    assert_eq!(shown["message"], told);
    let why = shown["explanation"].as_str().unwrap();
    assert!(
        why.contains("claude-console one: disabled") && why.contains("claude-console two: disabled"),
        "{why}"
    );
    counted(&gateway.admin, "no_account", 1).await;
    let frequent = counts(&gateway.admin).await["frequent"].clone();
    let same = |of: &&Value| of["code"] == "no_account" && of["key_id"] == key && of["model"] == MODEL;
    assert_eq!(frequent.as_array().unwrap().iter().filter(same).count(), 1, "{frequent}");
    let records = gateway.admin.get("/api/admin/usage/records").await.ok();
    assert_eq!(records["records"], json!([]), "no account was tried");

    // Whoever asked sees it too, in the words that they were told; a person of no concern does not.
    let own = gateway.admin.get(&format!("/api/usage/refusals?request_id={id}")).await.ok();
    assert_eq!((&own["refusals"][0]["message"], own["refusals"][0].get("explanation")), (&json!(told), None));
    let other = gateway.caller_of("ada").await;
    let ada = Admin::log_in(gateway.admin_url(), "ada", ADMIN_PASSWORD).await;
    assert_eq!(ada.get("/api/usage/refusals").await.ok()["refusals"], json!([]));
    assert_eq!(other.messages(&messages_body("x", false)).await.status, 503);
    eventually("her own", async || {
        let own = ada.get("/api/usage/refusals/counts").await.ok();
        (own["requests"] == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_are_counted_and_nothing_of_them_is_kept() {
    let gateway = Gateway::standalone().await;
    let stranger = Caller::new(gateway.url(), "sk-a-stranger");
    for _ in 0..7 {
        assert_eq!(stranger.messages(&messages_body("x", false)).await.status, 401);
    }
    counted(&gateway.admin, "invalid_api_key", 7).await;
    let counts = counts(&gateway.admin).await;
    let of = &counts["frequent"][0];
    assert_eq!(
        (&of["code"], &of["key_id"], &of["model"]),
        (&json!("invalid_api_key"), &Value::Null, &Value::Null)
    );
    assert_eq!(gateway.admin.get("/api/admin/usage/refusals").await.ok()["refusals"], json!([]));
    let metrics =
        stranger.http.get(format!("{}/metrics", gateway.url())).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains(r#"switchyard_refusals_total{code="invalid_api_key"} 7"#), "{metrics}");
    assert_eq!(
        gateway.admin.get("/api/usage/refusals/counts").await.ok()["requests"],
        0,
        "they are nobody's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_is_away_for_a_while_loses_none() {
    let mut split = Split::start(2).await;
    split.account("claude-console", ONE).await;
    let callers = split.callers().await;
    // No account offers this model, on either node.
    let unknown = json!({ "model": "no-such-model", "max_tokens": 1, "messages": [] });
    let refuse = async |caller: &Caller, times: u64| {
        let mut last = String::new();
        for _ in 0..times {
            let reply = caller.messages(&unknown).await;
            assert_eq!(reply.status, 404, "{}", reply.text());
            reply.headers["x-request-id"].to_str().unwrap().clone_into(&mut last);
        }
        last
    };
    refuse(&callers[0], 3).await;
    counted(&split.admin, "model_not_found", 3).await;

    split.controls[0].program.kill();
    let (first, second) = (refuse(&callers[0], 20).await, refuse(&callers[1], 30).await);
    for node in &split.nodes {
        eventually("the node to be alone", async || {
            (node.metric("switchyard_control_plane_connected").await == Some(0.0)).then_some(())
        })
        .await;
    }
    refuse(&callers[0], 5).await;
    split.restart_control().await;
    counted(&split.admin, "model_not_found", 58).await;
    for (id, node) in [(first, "node-0"), (second, "node-1")] {
        let found = split.admin.get(&format!("/api/admin/usage/refusals?request_id={id}")).await.ok();
        assert_eq!(found["refusals"][0]["node"], node, "{found}");
    }

    // What came last ahead of an orderly end is reported with it.
    refuse(&callers[0], 9).await;
    split.nodes[0].program.terminate();
    assert!(split.nodes[0].program.ended().success());
    assert_eq!(of_code(&counts(&split.admin).await, "model_not_found"), 67);
}
