//! What people with a role of their own try, to get at what they may not see.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{io::ErrorKind, net::TcpListener};

use serde_json::{Value, json};
use tests::{Admin, Gateway, Split};

const CREDENTIAL: &str = "sk-ant-nobody-may-read-this";

/// An operator points the account at a listener of their own, presses *test*, and reads what comes.
async fn an_account_is_not_led_astray(admin: &Admin, account: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let path = format!("/api/admin/accounts/{account}");
    let before = admin.get(&path).await.ok();
    for elsewhere in [json!(format!("http://{}", listener.local_addr().unwrap())), Value::Null] {
        let answer = admin.put(&path, &path, json!({ "base_url": elsewhere })).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["errors"][0]["field"]),
            (422, &json!("credentials"))
        );
    }
    assert_eq!(admin.get(&path).await.ok()["base_url"], before["base_url"]);
    _ = admin.post(&format!("{path}/test"), json!({ "model": "claude-sonnet-5" })).await;
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody came");
    // With a credential of their own they may.
    let theirs = json!({
        "base_url": format!("http://{}", listener.local_addr().unwrap()), "credentials": { "api_key": "sk-ant-theirs" },
    });
    admin.put(&path, &path, theirs).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_keep_to_their_origin_in_standalone() {
    let gateway = Gateway::standalone().await;
    let account = gateway.account("claude-console", CREDENTIAL).await;
    an_account_is_not_led_astray(&gateway.admin, &account).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_keep_to_their_origin_with_split_planes() {
    let split = Split::start(1).await;
    let account = split.account("claude-console", CREDENTIAL).await;
    an_account_is_not_led_astray(&split.admin, &account).await;
}
