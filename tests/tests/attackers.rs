//! What people with a role of their own try, to get at what they may not see.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use serde_json::{Value, json};
use tests::{Admin, Gateway, Split};
use tokio::net::{TcpSocket, TcpStream};

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

/// One address opens more connections than there may be in all, and says nothing on any of them.
async fn silent_connections(to: SocketAddr) -> Vec<TcpStream> {
    const MANY: usize = 4_200;
    let mut silent = Vec::new();
    for _ in 0..MANY {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, 66), 0).into()).unwrap();
        silent.push(socket.connect(to).await.unwrap());
    }
    silent
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_nobody_out_of_standalone() {
    let gateway = Gateway::standalone().await;
    let _silent = silent_connections(gateway.admin.address()).await;
    // On a connection of their own.
    let admin =
        Admin::log_in(&format!("http://{}", gateway.admin.address()), "admin", tests::ADMIN_PASSWORD).await;
    admin.get("/api/admin/accounts").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_neither_people_nor_nodes_out_with_split_planes() {
    let mut split = Split::start(1).await;
    let nodes_address = split.controls[0].planes_url.trim_start_matches("https://").parse().unwrap();
    let _silent = silent_connections(split.admin.address()).await;
    let _of_nodes = silent_connections(nodes_address).await;
    split.nodes[0].crash_and_restart();
    let name = split.nodes[0].name.clone();
    split.node_seen(&name, |node| node["health"] == "live" && node["lag"] == 0).await;
    let made = split.admin.post("/api/api-keys", json!({ "name": "made under attack" })).await;
    made.ok();
}

/// Who makes and deletes keys in a loop leaves a trace of each for good.
async fn changes_are_bounded(admin: &Admin) {
    const MANY: usize = 2_000;
    for number in 1..=MANY {
        let made = admin.post("/api/api-keys", json!({ "name": "again" })).await;
        let refused = if made.status == 429 {
            made
        } else {
            let id = made.id();
            admin.delete(&format!("/api/api-keys/{id}")).await
        };
        if refused.status == 429 {
            assert_eq!(refused.body["code"], "too_many_changes");
            assert!(refused.headers.contains_key("retry-after"));
            break;
        }
        assert!(number < MANY, "so many keys were made and deleted");
    }
    // What only reads goes on.
    admin.get("/api/api-keys").await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_bounded_in_standalone() {
    changes_are_bounded(&Gateway::standalone().await.admin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_bounded_with_split_planes() {
    changes_are_bounded(&Split::start(1).await.admin).await;
}
