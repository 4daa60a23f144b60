//! What the gateway refuses is noted once, with what is known of it; what has a record is not.

use std::collections::BTreeMap;

use proto::v1::{RefusalCount, RefusalReport, RefusedRequest, Wire};
use shared::{clock::Millis, id::RequestId};

use super::{
    gateway::{Gateway, KEY, claude, snapshot_of},
    upstream::{Upstream, json},
};
use crate::snapshot::Revision;

const MESSAGES: &str = r#"{"model":"claude-opus-5","messages":[],"max_tokens":1}"#;
const CHAT: &str = r#"{"model":"claude-opus-5","messages":"hello"}"#;

fn reported(gateway: &Gateway) -> (Vec<RefusalCount>, Vec<RefusedRequest>) {
    let RefusalReport { counts, requests, .. } = gateway.proxy.refusals.report().unwrap_or_default();
    (counts, requests)
}

async fn with_key(gateway: &Gateway, path: &str, key: Option<&'static str>) -> u16 {
    let mut request = gateway.request(path, MESSAGES);
    request.headers_mut().remove("authorization");
    if let Some(key) = key {
        request.headers_mut().insert("x-api-key", key.parse().unwrap());
    }
    gateway.send(request).await.status.as_u16()
}

#[tokio::test]
async fn every_refusal_is_counted_by_what_is_known_of_it() {
    let gateway = Gateway::limited(
        vec![claude("http://127.0.0.1:1".into()).but(|account| account.enabled = false)],
        |limits| {
            limits.max_body = 1000;
        },
    )
    .await;
    let long = format!(r#"{{"model":"claude-opus-5","messages":["{}"]}}"#, "x".repeat(1000));
    for _ in 0..2 {
        assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 503);
    }
    gateway.post("/v1/messages", &MESSAGES.replace("claude-opus-5", "claude-console,claude-opus-5")).await;
    gateway.post("/v1/messages", &MESSAGES.replace("claude-opus-5", "mystery")).await;
    gateway.post("/v1/messages", "{").await;
    gateway.post("/v1/messages", &long).await;
    gateway.post("/v1beta/models/gemini-3:generateContent", "{").await;
    gateway.post("/v1/nothing", MESSAGES).await;
    gateway.get("/v1/messages", &[]).await;
    gateway.get("/v1/models/no%2Fsuch", &[("authorization", "Bearer sk-test")]).await;
    assert_eq!(with_key(&gateway, "/v1/messages", None).await, 401);
    assert_eq!(with_key(&gateway, "/v1/messages", Some("sk-wrong")).await, 401);
    assert_eq!(with_key(&gateway, "/v1beta/models/gemini-3:generateContent", Some("sk-wrong")).await, 401);

    let (counts, kept) = reported(&gateway);
    let found: BTreeMap<_, _> = counts
        .iter()
        .map(|count| ((count.code.as_str(), !count.key_id.is_empty(), count.model.as_str()), count.requests))
        .collect();
    let expected = [
        (("body_too_large", true, ""), 1),
        (("invalid_api_key", false, ""), 2),
        (("invalid_body", true, ""), 1),
        (("invalid_body", true, "gemini-3"), 1),
        (("method_not_allowed", false, ""), 1),
        (("missing_api_key", false, ""), 1),
        (("model_not_found", true, "mystery"), 1),
        (("model_not_found", true, "no/such"), 1),
        (("no_account", true, "claude-console,claude-opus-5"), 1),
        (("no_account", true, "claude-opus-5"), 2),
        (("unknown_path", false, ""), 1),
    ];
    assert_eq!(found, BTreeMap::from(expected));
    assert_eq!(kept.len(), 8, "those whose key is known");
    let everything = format!("{counts:?} {kept:?}");
    assert!(!everything.contains("sk-wrong") && !everything.contains(KEY), "{everything}");
    let metrics = &gateway.proxy.metrics.node;
    assert_eq!(metrics.requests_and_errors(), (counts.iter().map(|count| count.requests).sum(), 0));
    let text = metrics.text();
    for line in [
        r#"switchyard_refusals_total{code="no_account"} 3"#,
        r#"switchyard_refusals_total{code="invalid_api_key"} 2"#,
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
}

#[tokio::test]
async fn a_refused_request_is_found_by_the_id_that_its_client_got_with_why_each_account_was_left_out() {
    let nowhere = || "http://127.0.0.1:1".to_owned();
    let gateway = Gateway::start(vec![
        claude(nowhere()).but(|account| account.enabled = false),
        claude(nowhere()).but(|account| account.invalid_reason = Some("unauthorized".into())),
    ])
    .await;
    let answer = gateway.post("/v1/messages", MESSAGES).await;
    let id: RequestId = answer.headers["x-request-id"].to_str().unwrap().parse().unwrap();
    let (_, kept) = reported(&gateway);
    let [kept] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!(kept.request_id, id.to_bytes());
    assert_eq!((kept.status, kept.code.as_str(), kept.wire()), (503, "no_account", Wire::Messages));
    assert_eq!(kept.message, answer.json()["error"]["message"].as_str().unwrap(), "as the client was told");
    let names: Vec<_> =
        gateway.snapshot.load_full().accounts.iter().map(|account| account.name.clone()).collect();
    assert_eq!(kept.explanation, format!("{}: disabled, {}: invalid", names[0], names[1]));
    let key = gateway.snapshot.load_full().keys.values().next().unwrap().clone();
    assert_eq!((&kept.key_id[..], &kept.user_id[..]), (&key.id.to_bytes()[..], &key.user_id.to_bytes()[..]));
}

#[tokio::test]
async fn a_key_that_has_expired_is_told_from_an_unknown_one() {
    let gateway = Gateway::start(vec![claude("http://127.0.0.1:1".into())]).await;
    let mut configured = snapshot_of(&gateway.proxy.live, Vec::new());
    let key = configured.keys.values_mut().next().unwrap();
    *key = std::sync::Arc::new(crate::snapshot::ApiKey {
        expires_at: Some(Millis(1)),
        id: key.id,
        user_id: key.user_id,
        name: key.name.clone(),
        tags: Vec::new(),
        metadata: std::collections::HashMap::new(),
    });
    let id = key.id;
    gateway.snapshot.publish(configured, Revision { epoch: [1; 16], version: 2 });
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 401);
    let (counts, _) = reported(&gateway);
    assert_eq!((counts[0].code.as_str(), &counts[0].key_id[..]), ("expired_api_key", &id.to_bytes()[..]));
}

#[tokio::test]
async fn what_has_a_record_is_no_refusal() {
    let upstream = Upstream::always(json(500, "{}")).await;
    let gateway = Gateway::limited(vec![claude(upstream.url())], |limits| limits.retries.max = 0).await;
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 502);
    // An account was picked, and then could not be asked for that.
    assert_eq!(gateway.post("/v1/chat/completions", CHAT).await.status, 400);
    assert_eq!(gateway.records(2).await.len(), 2);
    // Codex asks for a socket ahead of each plain request.
    let socket = [("upgrade", "websocket"), ("connection", "Upgrade")];
    assert_eq!(gateway.get("/v1/responses", &socket).await.status, 426);
    assert_eq!((gateway.proxy.refusals.waiting(), reported(&gateway)), (0, (Vec::new(), Vec::new())));
    let text = gateway.proxy.metrics.node.text();
    assert!(text.contains(r#"switchyard_requests_total{wire="chat",outcome="rejected"} 0"#), "{text}");
}
