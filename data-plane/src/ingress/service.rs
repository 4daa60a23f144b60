//! One request: what it is about, and who answers it.

use std::{convert::Infallible, fmt::Display, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, UPGRADE},
    request,
};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use shared::{id::RequestId, wire::Wire};
use tokio::time::Instant;

use super::{
    connection::Lasts,
    cors::{self, Audience},
    models,
    route::{Route, route, wire_of},
    server::Server,
};
use crate::{
    metrics::Ending,
    pipeline::{
        self, Call, PathModel, Refusal, ResponseBody, RouteError, X_REQUEST_ID, authenticate, set_request_id,
    },
    provider::{Operation, TraceId},
    proxy::{Phase, Proxy},
    refusals::{Asked, Refused},
    scheduler::Pin,
};

/// What a client still sends after it was refused is read for so long, so that it gets to see the answer.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// A worker shows each second that it goes on. One that has not for this long hangs, and the node with it.
pub(crate) const SILENT: Duration = Duration::from_secs(10);

pub(super) async fn serve_request(
    server: Arc<Server>,
    connection: Arc<Lasts>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let (mut parts, body) = request.into_parts();
    let cors = server.settings.cors.as_deref();
    let wire = wire_of(&parts.uri, &parts.headers);
    if let Some(mut answer) = cors.and_then(|cors| cors.preflight(&parts)) {
        name(answer.headers_mut(), wire, &server.proxy);
        return Ok(answer);
    }
    let audience = cors.map_or(Audience::Nobody, |cors| cors.audience(&mut parts));
    let mut response = respond(&server.proxy, parts, body, connection.spare).await;
    name(response.headers_mut(), wire, &server.proxy);
    cors::mark(response.headers_mut(), audience);
    if connection.is_over() {
        // It is closed behind this answer, which hyper sees to.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// What never was a call can be asked about by an id too.
fn name(headers: &mut HeaderMap, wire: Wire, proxy: &Proxy) {
    if !headers.contains_key(X_REQUEST_ID) {
        set_request_id(headers, wire, RequestId::new(proxy.clock.now()).to_string());
    }
}

async fn respond(
    proxy: &Arc<Proxy>,
    parts: request::Parts,
    body: Incoming,
    full: bool,
) -> Response<ResponseBody> {
    let route = route(&parts.method, parts.uri.path());
    if full && !matches!(route, Ok(Route::Health | Route::Ready | Route::Metrics)) {
        return answer(proxy, &parts, |_, _| Err(Refusal::TooManyConnections));
    }
    match route {
        Ok(Route::Call { operation, pin }) => {
            call(proxy, Named { operation, pin, path: None }, parts, body).await
        }
        Ok(Route::Google { operation, pin, model, stream }) => {
            let sse = parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
            let path = PathModel { model: unescaped(model), stream, array: stream && !sse };
            call(proxy, Named { operation, pin, path: Some(path) }, parts, body).await
        }
        Ok(Route::ResponsesSocket) if parts.headers.contains_key(UPGRADE) => {
            answer(proxy, &parts, |_, _| Err(Refusal::NoWebSocket))
        }
        Ok(Route::ResponsesSocket) => {
            answer(proxy, &parts, |_, _| Err(RouteError::MethodNotAllowed("POST").into()))
        }
        Ok(Route::Models { pin }) => answer(proxy, &parts, |wire, asked| {
            let caller = authenticate(proxy, &parts.headers, &parts.uri, asked)?;
            Ok(models::list(&caller.snapshot, wire, pin, proxy.clock.now()))
        }),
        Ok(Route::Model { pin, name }) => answer(proxy, &parts, |wire, asked| {
            let caller = authenticate(proxy, &parts.headers, &parts.uri, asked)?;
            let found = models::get(&caller.snapshot, wire, pin, name, proxy.clock.now());
            found.inspect_err(|_| asked.wants(&unescaped(name)))
        }),
        Err(error) => answer(proxy, &parts, |_, _| Err(error.into())),
        Ok(Route::Root) => Response::new(ResponseBody::empty()),
        Ok(Route::Health) => match silent_worker(proxy) {
            None => text(StatusCode::OK, "text/plain", "ok\n".into()),
            Some(number) => {
                let said = format!("worker {number} does not go on\n");
                text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", said.into())
            }
        },
        Ok(Route::Ready) if proxy.ready() => text(StatusCode::OK, "text/plain", "ready\n".into()),
        Ok(Route::Ready) => text(StatusCode::SERVICE_UNAVAILABLE, "text/plain", unready(proxy).into()),
        Ok(Route::Metrics) => {
            const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            text(StatusCode::OK, OPEN_METRICS, proxy.metrics.node.text().into())
        }
    }
}

/// The number of a worker that has not gone on for long: nothing that it serves goes on either.
fn silent_worker(proxy: &Proxy) -> Option<usize> {
    proxy.metrics.node.loads().position(|load| load.silent_for() > SILENT)
}

/// What a call's path says.
struct Named {
    operation: Operation,
    pin: Option<Pin>,
    path: Option<PathModel>,
}

/// A model's name as it stands in a path; one whose escapes make no text stays as it is.
fn unescaped(name: &str) -> String {
    if !name.contains('%') {
        return name.to_owned();
    }
    let pair = format!("name={}", name.replace('+', "%2B"));
    let parsed = url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned());
    parsed.unwrap_or_else(|| name.to_owned())
}

/// Through the pipeline.
async fn call(
    proxy: &Arc<Proxy>,
    named: Named,
    parts: request::Parts,
    mut body: Incoming,
) -> Response<ResponseBody> {
    let started_at = proxy.clock.now();
    let id = RequestId::new(started_at);
    let request::Parts { uri, headers, .. } = parts;
    let Named { operation, pin, path } = named;
    let mut asked = Asked { model: path.as_ref().map(|path| path.model.clone()), ..Asked::default() };
    let trace = TraceId::of(&headers);
    let call = Call { id, trace, operation, pin, path, uri, headers, arrived: Instant::now(), started_at };
    let running = AssertUnwindSafe(pipeline::run(proxy, call, &mut body, &mut asked)).catch_unwind();
    // What it was in the middle of, it has ended by itself.
    match running.await.unwrap_or(Err(Refusal::Failed)) {
        Ok(response) => response,
        Err(refusal) => {
            if !body.is_end_stream() {
                proxy.tasks.spawn(discard(body));
            }
            refused(proxy, operation.wire(), (id, trace), &refusal, &asked)
        }
    }
}

/// The one place where a refusal becomes an answer, and is noted.
fn refused(
    proxy: &Proxy,
    wire: Wire,
    (id, trace): (RequestId, Option<TraceId>),
    refusal: &Refusal,
    asked: &Asked,
) -> Response<ResponseBody> {
    if !asked.is_tried {
        let (_, status, code) = refusal.classify(wire);
        let code = code.unwrap_or("refused");
        let explanation: Option<&dyn Display> = match refusal {
            Refusal::NoAccount(explanation) => Some(explanation),
            _ => None,
        };
        let at = proxy.clock.now();
        proxy.metrics.ended(wire, Ending::Rejected);
        proxy.metrics.refused(code);
        // To be refused a socket is Codex's way to plain requests, and nothing that anyone has to look into.
        if !matches!(refusal, Refusal::NoWebSocket) {
            proxy.refusals.note(&Refused {
                id,
                at,
                wire,
                code,
                status,
                message: refusal,
                explanation,
                asked,
            });
        }
    }
    tracing::debug!(request = %id, trace = trace.map(tracing::field::display), %refusal, "a request was refused");
    refusal.response(wire, id).map(ResponseBody::full)
}

async fn discard(mut body: Incoming) {
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    // Late is as good as read: the connection is closed then.
    _ = tokio::time::timeout(DISCARD_TIMEOUT, rest).await;
}

/// Answers at once, in the wire that the client seems to speak.
fn answer(
    proxy: &Proxy,
    parts: &request::Parts,
    answer: impl FnOnce(Wire, &mut Asked) -> Result<Bytes, Refusal>,
) -> Response<ResponseBody> {
    let wire = wire_of(&parts.uri, &parts.headers);
    let mut asked = Asked::default();
    match answer(wire, &mut asked) {
        Ok(json) => text(StatusCode::OK, "application/json", json),
        Err(refusal) => {
            let id = RequestId::new(proxy.clock.now());
            refused(proxy, wire, (id, TraceId::of(&parts.headers)), &refusal, &asked)
        }
    }
}

fn unready(proxy: &Proxy) -> &'static str {
    if proxy.lifecycle.phase() != Phase::Serving {
        "shutting down\n"
    } else if proxy.snapshot.has_config() {
        "usage records can't be written\n"
    } else {
        "no configuration yet\n"
    }
}

fn text(status: StatusCode, kind: &'static str, body: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
