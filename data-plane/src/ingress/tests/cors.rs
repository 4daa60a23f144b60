//! Pages of other origins call the API from a browser, where the operators let them.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::Full;

use super::{
    gateway::{Answer, Gateway, claude},
    upstream::{Upstream, json_with, sse},
};
use crate::ingress::{Cors, ServerSettings};

const PAGE: &str = "https://app.example.com";
const MESSAGES: &str = r#"{"model":"claude-opus-5","messages":[],"max_tokens":1}"#;
const STREAMED: &str = r#"{"model":"claude-opus-5","messages":[],"max_tokens":1,"stream":true}"#;
const MESSAGE: &str = r#"{"id":"m","type":"message","usage":{"input_tokens":7,"output_tokens":3}}"#;
/// What an upstream says of itself.
const OF_UPSTREAM: &str = "access-control-allow-origin: *\r\naccess-control-allow-credentials: true\r\naccess-control-expose-headers: a\r\nretry-after: 1\r\n";

async fn gateway(url: String, origins: &str) -> Gateway {
    let origins = origins.split(',').filter(|origin| !origin.is_empty());
    let cors = Cors::of(origins.map(|origin| origin.parse().unwrap()).collect()).map(Arc::new);
    Gateway::serving(vec![claude(url)], ServerSettings { cors, ..ServerSettings::default() }).await
}

fn from(page: &str, mut request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    request.headers_mut().insert("origin", page.parse().unwrap());
    request.headers_mut().insert("referer", format!("{page}/secret/path").parse().unwrap());
    request
}

fn said_to_browsers(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("access-control-")).collect()
}

fn may_be_read_by(answer: &Answer, page: &str) -> bool {
    let allowed = answer.headers.get_all("access-control-allow-origin").iter().collect::<Vec<_>>();
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    allowed.len() == 1 && (allowed[0] == page || allowed[0] == "*")
}

#[tokio::test]
async fn a_page_reads_answers_and_errors_and_the_upstream_hears_nothing_of_it() {
    let upstream = Upstream::always(json_with(200, OF_UPSTREAM, MESSAGE)).await;
    let gateway = gateway(upstream.url(), PAGE).await;
    let answer = gateway.send(from(PAGE, gateway.request("/v1/messages", MESSAGES))).await;
    assert_eq!(answer.status, 200);
    assert!(may_be_read_by(&answer, PAGE), "{:?}", answer.headers);
    assert_eq!(answer.headers["access-control-expose-headers"], "*");
    assert_eq!(answer.headers["vary"], "origin");
    let received = &upstream.received()[0];
    assert_eq!((received.header("origin"), received.header("referer")), (None, None));

    let mut refused = from(PAGE, gateway.request("/v1/messages", MESSAGES));
    refused.headers_mut().remove("authorization");
    let refused = gateway.send(refused).await;
    assert_eq!(refused.status, 401);
    assert!(may_be_read_by(&refused, PAGE));
    let lost = gateway.get("/v1/nowhere", &[("origin", PAGE)]).await;
    assert_eq!(lost.status, 404);
    assert!(may_be_read_by(&lost, PAGE));
}

#[tokio::test]
async fn a_stream_may_be_read_too() {
    let stop = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
    let upstream = Upstream::always(sse(&[stop])).await;
    let gateway = gateway(upstream.url(), "*").await;
    let answer = gateway.send(from(PAGE, gateway.request("/v1/messages", STREAMED))).await;
    assert!(may_be_read_by(&answer, PAGE), "{:?}", answer.headers);
}

#[tokio::test]
async fn a_page_of_another_origin_is_told_nothing() {
    let upstream = Upstream::always(json_with(200, OF_UPSTREAM, MESSAGE)).await;
    for origins in [PAGE, ""] {
        let gateway = gateway(upstream.url(), origins).await;
        let request = from("https://evil.example", gateway.request("/v1/messages", MESSAGES));
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, 200, "whoever has a key may call");
        assert_eq!(said_to_browsers(&answer.headers), [] as [&str; 0], "{origins}");
        assert_eq!(answer.headers["retry-after"], "1");
    }
}

fn preflight(gateway: &Gateway, path: &str, page: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method("OPTIONS")
        .uri(format!("{}{path}", gateway.base))
        .header("origin", page)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-api-key,anthropic-version,x-stainless-lang")
        .body(Full::default())
        .unwrap()
}

#[tokio::test]
async fn a_browser_that_asks_ahead_needs_no_key() {
    let upstream = Upstream::always(json_with(200, "", MESSAGE)).await;
    let gateway = gateway(upstream.url(), PAGE).await;
    let answer = gateway.send(preflight(&gateway, "/v1/messages", PAGE)).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (204, ""));
    assert!(may_be_read_by(&answer, PAGE));
    assert_eq!(
        answer.headers["access-control-allow-headers"],
        "x-api-key, anthropic-version, x-stainless-lang"
    );
    let evil = gateway.send(preflight(&gateway, "/v1/messages", "https://evil.example")).await;
    assert_eq!(said_to_browsers(&evil.headers), [] as [&str; 0]);
    let metrics = gateway.send(preflight(&gateway, "/metrics", PAGE)).await;
    assert_eq!(metrics.status, 405);
    let read = gateway.get("/metrics", &[("origin", PAGE)]).await;
    assert_eq!((read.status.as_u16(), said_to_browsers(&read.headers).len()), (200, 0));
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn without_origins_a_preflight_is_a_call_of_the_wrong_method() {
    let upstream = Upstream::always(json_with(200, "", MESSAGE)).await;
    let gateway = gateway(upstream.url(), "").await;
    let answer = gateway.send(preflight(&gateway, "/v1/messages", PAGE)).await;
    assert_eq!((answer.status.as_u16(), said_to_browsers(&answer.headers).len()), (405, 0));
}
