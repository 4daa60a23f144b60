//! Proxy tests, with a fake data plane on loopback and nodes that are rows.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{extract::State, response::Response};
use futures_util::{StreamExt as _, future::join_all};
use parking_lot::Mutex;
use proto::v1::{HeartbeatRequest, ResourceKind};
use shared::id::KeyId;
use tokio::{net::TcpListener, sync::mpsc};

use super::{
    nodes::{heartbeat, node},
    *,
};
use crate::store::{api_keys, nodes as node_rows};

const PATIENCE: Duration = Duration::from_secs(20);
const CHAT: &str = "/api/proxy-test/chat";

/// Something on loopback that takes every request, and says what it was told to.
struct DataPlane {
    url: String,
    state: Arc<Fake>,
}

#[derive(Default)]
struct Fake {
    received: Mutex<Vec<Received>>,
    /// Without one, `{}`.
    answers: Mutex<VecDeque<Response>>,
    /// It answers nothing at all.
    silent: AtomicBool,
}

#[derive(Debug, Clone)]
struct Received {
    uri: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

async fn take(State(fake): State<Arc<Fake>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 26).await.unwrap().to_vec();
    fake.received.lock().push(Received { uri: parts.uri.to_string(), headers: parts.headers, body });
    if fake.silent.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
    let answer = fake.answers.lock().pop_front();
    answer.unwrap_or_else(|| Response::new(Body::from("{}")))
}

impl DataPlane {
    async fn start(tasks: &Tasks) -> Self {
        let state = Arc::<Fake>::default();
        let router = Router::new().fallback(take).with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stopping = tasks.stopping();
        tasks.spawn(async move {
            stopping
                .run_until_cancelled(std::future::IntoFuture::into_future(axum::serve(listener, router)))
                .await
        });
        Self { url, state }
    }

    fn will_answer(&self, answer: http::response::Builder, body: Body) {
        self.state.answers.lock().push_back(answer.body(body).unwrap());
    }

    /// Its next answer is a stream of what is sent here.
    fn will_stream(&self) -> mpsc::Sender<Result<&'static str, std::io::Error>> {
        let (sender, receiver) = mpsc::channel(1);
        let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(receiver));
        self.will_answer(Response::builder().header("content-type", "text/event-stream"), body);
        sender
    }

    fn received(&self) -> Vec<Received> {
        self.state.received.lock().clone()
    }
}

/// The API, one node that follows it, and a data plane that it knows the address of.
async fn start() -> (TestApi, DataPlane) {
    start_on(test_support::sqlite().await).await
}

async fn start_on(database: Database) -> (TestApi, DataPlane) {
    let tasks = Tasks::new();
    let data_plane = DataPlane::start(&tasks).await;
    let url = data_plane.url.parse().unwrap();
    let api = TestApi::on_with(database, |settings| settings.data_plane.public_api_url = Some(url));
    node(&api, heartbeat("node-1")).await;
    follow(&api, "node-1");
    (api, data_plane)
}

/// The node acknowledges whatever is configured.
fn follow(api: &TestApi, node_id: &'static str) {
    let (store, stopping) = (api.app.store.clone(), api.app.tasks.stopping());
    api.app.tasks.spawn(async move {
        while !stopping.is_cancelled() {
            let mut tx = store.begin().await.unwrap();
            let (revision, _) = changes::revision(&mut tx).await.unwrap();
            node_rows::acknowledged(&mut tx, node_id, revision).await.unwrap();
            tx.commit().await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

/// The answer's head; its body follows as it comes.
async fn ask(api: &TestApi, token: &str, path: &str, body: impl Into<Body>) -> Response {
    let request = Request::post(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "one")
        .header("anthropic-beta", "two")
        .header(header::COOKIE, "session=secret")
        .header("x-api-key", "sk-of-the-caller")
        .header("x-forwarded-for", "203.0.113.1")
        .body(body.into())
        .unwrap();
    api.router.clone().oneshot(request).await.unwrap()
}

async fn refusal(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    assert!(!answer.headers().contains_key("x-switchyard-relayed"));
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    (status, body["code"].as_str().unwrap().to_owned())
}

/// Keys that nodes are told of and people are not, by the latest change of each: whether it is gone.
async fn test_keys(api: &TestApi) -> Vec<(KeyId, bool)> {
    let changes = api.changes_since(0).await.into_iter();
    changes
        .filter(|(kind, _, _)| *kind == ResourceKind::ApiKey)
        .map(|(_, id, deleted)| (KeyId::from_bytes(id), deleted))
        .collect()
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
}

async fn all_keys_gone(api: &TestApi) {
    eventually("the keys to be gone", async || test_keys(api).await.iter().all(|(_, gone)| *gone)).await;
}

async fn text(answer: Response) -> String {
    let body = axum::body::to_bytes(answer.into_body(), 1 << 26).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn the_request_goes_on_with_a_key_of_the_caller_s_and_nothing_else_of_theirs() {
    let (api, data_plane) = start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let bytes = r#"{ "model":"claude-console,claude-sonnet-5",  "x":"ä" }"#;
    assert_eq!(text(ask(&api, &token, "/api/proxy-test/messages", bytes).await).await, "{}");
    let received = data_plane.received().remove(0);
    assert_eq!((received.uri.as_str(), received.body.as_slice()), ("/v1/messages", bytes.as_bytes()));
    let mut names: Vec<_> = received.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "anthropic-beta",
        "anthropic-version",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    ];
    assert_eq!(names, expected);
    assert_eq!(received.headers["content-type"], "application/json");
    assert_eq!(received.headers.get_all("anthropic-beta").iter().collect::<Vec<_>>(), ["one", "two"]);
    let presented = received.headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    assert!(presented.starts_with("sk-") && presented != token && presented.len() == 67, "{presented}");

    all_keys_gone(&api).await;
    let [(id, _)] = test_keys(&api).await[..] else { panic!("one key was made") };
    let log = api.get("/api/admin/audit?action=proxy_test.start");
    let (_, viewer) = api.signed_in("viewer", Role::Viewer).await;
    let log = log.by(&viewer).send().await.expect(StatusCode::OK);
    let entry = &log.body["entries"][0];
    assert_eq!((&entry["actor"], &entry["target_id"]), (&json!(ann.to_string()), &json!(id.to_string())));
    assert_eq!(entry["detail"], json!({ "wire": "messages" }));
    assert!(!log.text.contains(presented), "{}", log.text);
}

#[tokio::test]
async fn each_wire_goes_to_its_path_and_only_messages_takes_its_headers_along() {
    let (api, data_plane) = start().await;
    let all = [
        proto::v1::Wire::Chat,
        proto::v1::Wire::Responses,
        proto::v1::Wire::Messages,
        proto::v1::Wire::Gemini,
    ];
    node(&api, HeartbeatRequest { wires: all.map(Into::into).to_vec(), ..heartbeat("node-1") }).await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    for (path, uri) in [
        ("chat", "/v1/chat/completions"),
        ("responses", "/v1/responses"),
        ("gemini?model=gemini-3&stream=true", "/v1beta/models/gemini-3:streamGenerateContent?alt=sse"),
        ("gemini?model=gemini-3&stream=false", "/v1beta/models/gemini-3:generateContent"),
    ] {
        let answer = ask(&api, &token, &format!("/api/proxy-test/{path}"), "{}").await;
        assert_eq!(text(answer).await, "{}", "{path}");
        let received = data_plane.received().pop().unwrap();
        assert_eq!(received.uri, uri);
        assert!(!received.headers.contains_key("anthropic-version"), "{path}");
    }
}

#[tokio::test]
async fn the_answer_comes_back_without_what_is_not_for_the_browser() {
    let (api, data_plane) = start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let answer = Response::builder()
        .status(429)
        .header("content-type", "application/json")
        .header("x-request-id", "01K")
        .header("request-id", "req_up")
        .header("retry-after", "7")
        .header("anthropic-ratelimit-requests-remaining", "0")
        .header("set-cookie", "a=b")
        .header("location", "https://evil.example")
        .header("content-security-policy", "default-src *")
        .header("access-control-allow-origin", "*")
        .header("clear-site-data", "\"*\"")
        .header("www-authenticate", "Basic")
        .header("keep-alive", "timeout=5");
    data_plane.will_answer(answer, Body::from("{\"error\":{}}"));
    let answer = ask(&api, &token, CHAT, "{}").await;
    assert_eq!(answer.status(), 429);
    let headers: Vec<_> = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    let expected = [
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("cache-control", "no-store, no-transform"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("content-type", "application/json"),
        ("request-id", "req_up"),
        ("retry-after", "7"),
        ("x-accel-buffering", "no"),
        ("x-content-type-options", "nosniff"),
        ("x-request-id", "01K"),
        ("x-switchyard-relayed", "true"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(text(answer).await, "{\"error\":{}}");
}

#[tokio::test]
async fn the_stream_arrives_piece_by_piece_and_the_key_lives_as_long_and_in_no_list() {
    let (api, data_plane) = start().await;
    let (_, admin) = api.signed_in("admin", Role::Admin).await;
    let pieces = data_plane.will_stream();
    let mut body = ask(&api, &admin, CHAT, "{}").await.into_body().into_data_stream();
    for piece in ["data: 1\n\n", "data: 2\n\n"] {
        pieces.send(Ok(piece)).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), piece);
    }
    let keys = test_keys(&api).await;
    let [(id, false)] = keys[..] else { panic!("one key, and it lives: {keys:?}") };
    let mut tx = api.app.store.read().await.unwrap();
    let published = api_keys::by_ids(&mut tx, &[id]).await.unwrap();
    drop(tx);
    assert_eq!(published[0].expires_at, Some(START.plus(Duration::from_secs(300))));
    let list = api.get("/api/api-keys").by(&admin).send().await;
    assert_eq!(list.body["api_keys"], json!([]));
    let path = format!("/api/api-keys/{id}");
    let toggle = format!("{path}/toggle");
    for call in [
        api.get(&path),
        api.put(&path).if_match("\"1\"").json(json!({ "expires_at": null })),
        api.put(&toggle).if_match("\"1\""),
        api.delete(&path),
    ] {
        assert_eq!(call.by(&admin).send().await.refusal(), (404, "not_found"));
    }
    drop(pieces);
    assert!(body.next().await.is_none());
    all_keys_gone(&api).await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_here_too() {
    let (api, data_plane) = start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let pieces = data_plane.will_stream();
    let mut body = ask(&api, &token, CHAT, "{}").await.into_body().into_data_stream();
    pieces.send(Ok("data: 1\n\n")).await.unwrap();
    body.next().await.unwrap().unwrap();
    pieces.send(Err(std::io::Error::other("gone"))).await.unwrap();
    body.next().await.unwrap().unwrap_err();
    all_keys_gone(&api).await;
}

#[tokio::test]
async fn whoever_leaves_takes_request_and_key_along() {
    let (api, data_plane) = start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let pieces = data_plane.will_stream();
    let answer = ask(&api, &token, CHAT, "{}").await;
    drop(answer);
    tokio::time::timeout(PATIENCE, pieces.closed()).await.expect("the data plane sees its client leave");
    all_keys_gone(&api).await;
}

#[tokio::test]
async fn shutdown_cuts_what_still_streams() {
    let (api, data_plane) = start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let pieces = data_plane.will_stream();
    let mut body = ask(&api, &token, CHAT, "{}").await.into_body().into_data_stream();
    assert!(api.app.edge.shutdown(PATIENCE).await);
    body.next().await.unwrap().unwrap_err();
    tokio::time::timeout(PATIENCE, pieces.closed()).await.expect("the data plane sees its client leave");
    let answer = ask(&api, &token, CHAT, "{}").await;
    assert_eq!(refusal(answer).await, (503, "stopping".into()));
    all_keys_gone(&api).await;
}

#[tokio::test]
async fn bodies_may_be_large_and_not_too_large() {
    let (api, data_plane) = start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let most = "a".repeat(10 << 20);
    assert_eq!(text(ask(&api, &token, CHAT, most.clone()).await).await, "{}");
    assert_eq!(data_plane.received().remove(0).body.len(), most.len());
    let over = most + "a";
    let pieces: Vec<_> =
        over.as_bytes().chunks(1 << 16).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    let streamed = Body::from_stream(futures_util::stream::iter(pieces));
    assert_eq!(refusal(ask(&api, &token, CHAT, streamed).await).await, (413, "body_too_large".into()));
    all_keys_gone(&api).await;
    let by_length = api.post(CHAT).by(&token).json(json!(over)).send().await;
    assert_eq!(by_length.refusal(), (413, "body_too_large"));
    assert_eq!(data_plane.received().len(), 1);
}

#[tokio::test]
async fn what_can_not_be_asked_is_refused_ahead_of_any_key() {
    let (api, data_plane) = start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    for (path, code) in [
        ("/api/proxy-test/embeddings", (404, "unknown_wire")),
        ("/api/proxy-test/..%2Fapi-keys", (404, "unknown_wire")),
        ("/api/proxy-test/gemini?model=gemini-3", (409, "wire_not_served")),
        ("/api/proxy-test/gemini", (422, "invalid_fields")),
        ("/api/proxy-test/chat?model=gpt-5", (422, "invalid_fields")),
        ("/api/proxy-test/chat?key=x", (422, "invalid_fields")),
    ] {
        let answer = ask(&api, &token, path, "{}").await;
        assert_eq!(refusal(answer).await, (code.0, code.1.to_owned()), "{path}");
    }
    let no_json = api.post(CHAT).by(&token).send().await;
    assert_eq!(no_json.refusal(), (415, "json_expected"));
    assert_eq!(api.get(CHAT).by(&token).send().await.refusal(), (405, "method_not_allowed"));
    assert!(data_plane.received().is_empty() && test_keys(&api).await.is_empty());
}

#[tokio::test]
async fn without_nodes_or_an_address_nothing_is_made() {
    let api = TestApi::start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    assert_eq!(refusal(ask(&api, &token, CHAT, "{}").await).await, (409, "public_api_url_missing".into()));
    let (api, data_plane) = start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    node(&api, HeartbeatRequest { ready: false, ..heartbeat("node-1") }).await;
    assert_eq!(refusal(ask(&api, &token, CHAT, "{}").await).await, (503, "no_live_node".into()));
    node(&api, heartbeat("node-1")).await;
    api.app.clock.advance(Duration::from_secs(16));
    assert_eq!(refusal(ask(&api, &token, CHAT, "{}").await).await, (503, "no_live_node".into()));
    assert!(data_plane.received().is_empty() && test_keys(&api).await.is_empty());
}

#[tokio::test]
async fn one_node_that_knows_the_key_will_do_and_none_will_not() {
    let (api, data_plane) = start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    node(&api, heartbeat("behind")).await;
    let started = tokio::time::Instant::now();
    assert_eq!(text(ask(&api, &token, CHAT, "{}").await).await, "{}");
    assert!(started.elapsed() >= Duration::from_secs(2), "it waits for the node that is behind");

    node(&api, HeartbeatRequest { ready: false, ..heartbeat("node-1") }).await;
    assert_eq!(refusal(ask(&api, &token, CHAT, "{}").await).await, (503, "not_acknowledged".into()));
    assert_eq!(data_plane.received().len(), 1);
    all_keys_gone(&api).await;
}

#[tokio::test]
async fn a_data_plane_out_of_reach_is_told_without_an_inner_address() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    for (public, inner, shown) in [(Some(url.as_str()), None, true), (None, Some(url.as_str()), false)] {
        let api = TestApi::start_with(|settings| {
            settings.data_plane.public_api_url = public.map(|url| url.parse().unwrap());
            settings.data_plane.data_plane_url = inner.map(|url| url.parse().unwrap());
        })
        .await;
        node(&api, heartbeat("node-1")).await;
        follow(&api, "node-1");
        let (_, token) = api.signed_in("ann", Role::User).await;
        let answer = api.post(CHAT).by(&token).json(json!({})).send().await;
        assert_eq!(answer.refusal(), (502, "data_plane_unreachable"));
        assert_eq!(answer.text.contains(&url), shown, "{}", answer.text);
        assert!(answer.text.contains("--data-plane-url"), "{}", answer.text);
        all_keys_gone(&api).await;
    }
}

#[tokio::test]
async fn a_data_plane_that_never_answers_is_told_after_its_own_deadline_is_over() {
    let (api, data_plane) = start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    data_plane.state.silent.store(true, Ordering::Relaxed);
    let patience = async {
        eventually("the request to arrive", async || !data_plane.received().is_empty()).await;
        tokio::time::pause();
        tokio::time::Instant::now()
    };
    let (answer, arrived) = tokio::join!(ask(&api, &token, CHAT, "{}"), patience);
    assert!(arrived.elapsed() > Duration::from_secs(190), "{:?}", arrived.elapsed());
    tokio::time::resume();
    assert_eq!(refusal(answer).await, (504, "data_plane_timeout".into()));
    all_keys_gone(&api).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (api, data_plane) = start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let elsewhere = format!("{}/elsewhere", data_plane.url);
    data_plane.will_answer(Response::builder().status(307).header("location", elsewhere), Body::empty());
    assert_eq!(ask(&api, &token, CHAT, "{}").await.status(), 307);
    assert_eq!(data_plane.received().len(), 1);
}

#[tokio::test]
async fn five_at_a_time_are_enough() {
    let (api, data_plane) = start().await;
    let (_, token) = api.signed_in("ann", Role::User).await;
    let (_, other) = api.signed_in("bob", Role::User).await;
    let streams: Vec<_> = (0..5).map(|_| data_plane.will_stream()).collect();
    let running = join_all((0..5).map(|_| ask(&api, &token, CHAT, "{}"))).await;
    assert!(running.iter().all(|answer| answer.status() == 200));
    let sixth = api.post(CHAT).by(&token).json(json!({})).send().await;
    assert_eq!((sixth.refusal(), sixth.retry_after()), ((429, "too_many_proxy_tests"), 10));
    assert_eq!(text(ask(&api, &other, CHAT, "{}").await).await, "{}");
    drop((running, streams));
    all_keys_gone(&api).await;
    assert_eq!(text(ask(&api, &token, CHAT, "{}").await).await, "{}");
}

#[tokio::test]
async fn who_was_disabled_gets_no_key() {
    let (api, data_plane) = start().await;
    let (ann, token) = api.signed_in("ann", Role::User).await;
    let mut tx = api.app.store.begin().await.unwrap();
    let user = users::get(&mut tx, ann).await.unwrap().unwrap();
    users::update(&mut tx, &User { enabled: false, ..user }, 1).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(refusal(ask(&api, &token, CHAT, "{}").await).await, (401, "session_ended".into()));
    assert!(data_plane.received().is_empty() && test_keys(&api).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_on_mariadb() {
    let (api, data_plane) = start_on(test_support::mariadb().await).await;
    let tests = (0..12).map(|n| {
        let api = &api;
        async move {
            let (_, token) = api.signed_in(&format!("user{n}"), Role::User).await;
            for _ in 0..3 {
                assert_eq!(text(ask(api, &token, CHAT, "{}").await).await, "{}");
            }
        }
    });
    join_all(tests).await;
    assert_eq!(data_plane.received().len(), 36);
    assert_eq!(api.audited("proxy_test.start").await, 36);
    all_keys_gone(&api).await;
}
