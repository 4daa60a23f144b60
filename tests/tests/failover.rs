//! Accounts are picked by priority and left when they fail: the client sees an answer, the record tells the way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use emulator::{Behaviour, Fault, Position, Profile, Refusal};
use serde_json::{Value, json};
use tests::{Caller, Gateway, chat_body, messages_body};

const FIRST: &str = "sk-ant-first";
const SECOND: &str = "sk-ant-second";

/// Two accounts; the first is preferred.
async fn start() -> (Gateway, Caller, [String; 2]) {
    let gateway = Gateway::standalone().await;
    let first = gateway.account_with("claude-console", FIRST, json!({ "priority": 1 })).await;
    let second = gateway.account_with("claude-console", SECOND, json!({ "priority": 2 })).await;
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-5").await;
    (gateway, caller, [first, second])
}

fn served(gateway: &Gateway, credential: &str) -> u64 {
    gateway.emulator.credential(credential).counters().requests
}

/// `(account, reason)` of each attempt.
fn route(record: &Value) -> Vec<(String, String)> {
    let attempts = record["attempts"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    attempts.iter().map(|attempt| (text(&attempt["account_id"]), text(&attempt["reason"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_before_the_first_content_moves_on_to_the_next_account() {
    let faults: Vec<(&str, Behaviour, bool)> = vec![
        ("status_500", Behaviour::status(500), false),
        ("status_502", Behaviour::status(502), true),
        ("status_504", Behaviour::status(504), false),
        ("status_408", Behaviour::status(408), true),
        ("cut", Behaviour::failing(Fault::CloseBeforeHead), false),
        ("cut", Behaviour::failing(Fault::Cut(Position::Frame(1))), true),
        (
            "stream_error",
            Behaviour::failing(Fault::ErrorEvent { at: Position::Frame(0), status: 500, error: None }),
            true,
        ),
        (
            "stream_error",
            Behaviour::failing(Fault::ErrorEvent { at: Position::Frame(1), status: 500, error: None }),
            true,
        ),
        ("malformed", Behaviour::failing(Fault::Malformed(Position::Frame(1))), true),
    ];
    let (gateway, caller, [first, second]) = start().await;
    for (count, (reason, fault, stream)) in faults.into_iter().enumerate() {
        let credential = gateway.emulator.credential(FIRST);
        credential.next(fault.clone()).unwrap();
        if matches!(fault.fault, Some(Fault::CloseBeforeHead)) {
            // The connection had been used before, so the request is sent once more on another one.
            credential.next(fault.clone()).unwrap();
        }
        let reply = caller.messages(&messages_body("the answer", stream)).await;
        assert_eq!(reply.status, 200, "{fault:?}: {:?}", reply.body);
        assert!(reply.whole && reply.text().contains("end_turn"), "{fault:?}");
        assert!(
            !reply.text().contains("error"),
            "{fault:?}: nothing of the failed attempt may show: {}",
            reply.text()
        );
        assert_eq!(served(&gateway, SECOND), 1 + count as u64, "{fault:?}");
        let record = gateway.records(count + 1).await.remove(0);
        let [failed, answered] = route(&record).try_into().unwrap_or_else(|_| panic!("{record}"));
        assert_eq!((failed.0, answered.0), (first.clone(), second.clone()), "{fault:?}");
        assert!(failed.1.contains(reason), "{fault:?} is recorded as {:?}", failed.1);
        assert_eq!((record["outcome"].as_str(), record["status"].as_u64()), (Some("completed"), Some(200)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_account_is_left_alone_until_its_time_is_over() {
    let (gateway, caller, _) = start().await;
    gateway.emulator.credential(FIRST).next(Behaviour::retry_after(429, 3600)).unwrap();
    for _ in 0..3 {
        assert_eq!(caller.messages(&messages_body("x", false)).await.status, 200);
    }
    assert_eq!((served(&gateway, FIRST), served(&gateway, SECOND)), (1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_accounts_are_limited_the_client_is_told_for_how_long() {
    let (gateway, caller, _) = start().await;
    for credential in [FIRST, SECOND] {
        gateway.emulator.credential(credential).next(Behaviour::retry_after(429, 3600)).unwrap();
    }
    let reply = caller.messages(&messages_body("x", false)).await;
    assert_eq!(reply.status, 429, "{:?}", reply.body);
    assert_eq!(reply.json()["error"]["type"], "rate_limit_error");
    let wait: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_request_itself_is_the_clients_and_ends_it() {
    let (gateway, caller, [first, _]) = start().await;
    gateway.emulator.credential(FIRST).next(Behaviour::status(400)).unwrap();
    let reply = caller.messages(&messages_body("x", true)).await;
    let answer = gateway.emulator.credential(FIRST).calls().pop().unwrap().answer.unwrap();
    assert_eq!((reply.status.as_u16(), &reply.body), (400, &answer.body));
    assert_eq!(served(&gateway, SECOND), 0);
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record["outcome"].as_str(), record["status"].as_u64()), (Some("refused"), Some(400)));
    assert_eq!(route(&record)[0].0, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_is_refused_is_tested_and_then_marked_invalid() {
    let (gateway, caller, [first, _]) = start().await;
    gateway.emulator.credential(FIRST).set_default(Behaviour::status(401)).unwrap();
    assert_eq!(caller.messages(&messages_body("x", false)).await.status, 200);
    let account = tests::eventually("the account to be invalid", async || {
        let account = gateway.admin.get(&format!("/api/admin/accounts/{first}")).await.ok();
        (account["status"] == "invalid").then_some(account)
    })
    .await;
    assert!(!account.to_string().contains(FIRST), "a credential must never be read back: {account}");
    // Once the node knows, it is not asked any more, until a person sets it right.
    let asked = tests::eventually("the account to be left alone", async || {
        let before = served(&gateway, FIRST);
        assert_eq!(caller.messages(&messages_body("x", false)).await.status, 200);
        (served(&gateway, FIRST) == before).then_some(before)
    })
    .await;
    gateway.emulator.credential(FIRST).set_default(Behaviour::default()).unwrap();
    let path = format!("/api/admin/accounts/{first}");
    gateway.admin.put(&format!("{path}/status"), &path, json!({ "status": "valid" })).await.ok();
    tests::eventually("the account to be used again", async || {
        assert_eq!(caller.messages(&messages_body("x", false)).await.status, 200);
        (served(&gateway, FIRST) > asked).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_credit_is_left_for_another_and_shown_as_a_matter_of_billing() {
    let (gateway, caller, [first, second]) = start().await;
    gateway.emulator.credential(FIRST).set_default(Behaviour::refused(Refusal::NoCredit)).unwrap();
    for stream in [false, true] {
        let reply = caller.messages(&messages_body("the answer", stream)).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        assert!(!reply.text().contains("credit"), "{}", reply.text());
    }
    let record = gateway.records(2).await.pop().unwrap();
    assert_eq!(route(&record), [(first.clone(), "status_400".to_owned()), (second, String::new())]);
    let account = tests::eventually("the account to be invalid", async || {
        let account = gateway.admin.get(&format!("/api/admin/accounts/{first}")).await.ok();
        (account["status"] == "invalid").then_some(account)
    })
    .await;
    assert_eq!(account["invalid_reason"], "billing", "{account}");
    assert!(account["invalid_detail"].as_str().unwrap().contains("credit balance is too low"), "{account}");
    tests::eventually("the account to be left alone", async || {
        let before = served(&gateway, FIRST);
        assert_eq!(caller.messages(&messages_body("x", false)).await.status, 200);
        (served(&gateway, FIRST) == before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_an_account_may_not_use_is_served_by_another_and_the_account_serves_others() {
    let (gateway, caller, [first, _]) = start().await;
    let others = Profile { models: Some(vec!["claude-haiku-4-5".to_owned()]), ..Profile::default() };
    gateway.emulator.credential(FIRST).set_profile(others.clone());
    let ask = async |model: &str| {
        let mut body = messages_body("x", false);
        body["model"] = model.into();
        caller.messages(&body).await
    };
    for _ in 0..3 {
        assert_eq!(ask("claude-sonnet-5").await.status, 200);
    }
    assert_eq!((served(&gateway, FIRST), served(&gateway, SECOND)), (1, 3));
    assert_eq!(ask("claude-haiku-4-5").await.status, 200);
    assert_eq!((served(&gateway, FIRST), served(&gateway, SECOND)), (2, 3));
    let account = gateway.admin.get(&format!("/api/admin/accounts/{first}")).await.ok();
    assert_eq!(account["status"], "valid", "{account}");

    gateway.emulator.credential(SECOND).set_profile(others);
    for _ in 0..2 {
        let reply = ask("claude-sonnet-5").await;
        assert_eq!((reply.status.as_u16(), &reply.json()["error"]["type"]), (404, &"not_found_error".into()));
        assert!(
            reply.text().contains("no account of the gateway has access to this model"),
            "{}",
            reply.text()
        );
    }
    assert_eq!((served(&gateway, FIRST), served(&gateway, SECOND)), (2, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_type_in_front_of_the_model_decides() {
    let gateway = Gateway::standalone().await;
    gateway.account_with("claude-console", FIRST, json!({ "priority": 1 })).await;
    gateway.account_with("ccr", SECOND, json!({ "priority": 100 })).await;
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-5").await;
    let mut body = messages_body("x", false);
    body["model"] = "ccr,claude-sonnet-5".into();
    let reply = caller.messages(&body).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    assert_eq!((served(&gateway, FIRST), served(&gateway, SECOND)), (0, 1));
    let call = gateway.emulator.credential(SECOND).calls().pop().unwrap();
    let sent: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(sent["model"], "claude-sonnet-5", "the type is the gateway's, not the upstream's");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_account_has_a_counterpart_for_is_said_so() {
    let gateway = Gateway::standalone().await;
    gateway.account_with("claude-console", FIRST, json!({})).await;
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-5").await;
    let body = json!({ "model": "claude-sonnet-5", "input": "x" });
    let reply = caller.ask("/v1/embeddings", &body).await;
    assert_eq!(reply.status, 501, "{:?}", reply.body);
    assert!(reply.text().contains("no_counterpart"), "{}", reply.text());
    assert_eq!(caller.chat(&chat_body("x", false)).await.status, 404);
}
