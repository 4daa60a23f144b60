//! POST /api/proxy-test/{wire}: a person tries the data plane from the admin pages, as themselves.
//!
//! The request goes to the data plane with a key of theirs that lasts five minutes (see [`crate::ops::proxy_tests`]), and
//! the answer back to them ([`relay`]), streaming. What comes back is what any client would get; it carries the gateway's `x-request-id`, by which the record in the ledger is found, and
//! `x-switchyard-relayed: true`, which tells it from a refusal of the control plane's own. Of the caller's request only
//! the body goes on, and the two headers of the Messages API; the login does not.

mod relay;

use std::time::Duration;

use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderName, StatusCode, header};
use serde::Deserialize;
use shared::wire::Wire;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::{ApiResult, Problem},
    extract::{self, Params},
};
use crate::{
    app::App,
    domain::proxy_test::TestPath,
    ops::{
        Caller,
        proxy_tests::{self as ops, NoAnswer},
    },
};

/// The longest body that is relayed, in bytes.
const MAX_BODY_BYTES: usize = 10 << 20;
/// From the request to the head of its answer: the body's time, the nodes' and the data plane's, and a little.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3900);
/// What clients of the Messages API say beside the body.
const PASSED_ON: [HeaderName; 2] =
    [HeaderName::from_static("anthropic-version"), HeaderName::from_static("anthropic-beta")];

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(post))
}

/// What is in the path of the `gemini` wire, and in the body of the others.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct GeminiCall {
    /// `gemini` only, and needed there: the model.
    model: Option<String>,
    /// `gemini` only: whether to stream the answer. Left out: no.
    stream: Option<bool>,
}

/// Sends a request through the data plane as the caller. The body is the wire's own, JSON of at most 10 MiB; so is the
/// answer, streamed as it arrives, with the header `x-switchyard-relayed: true`.
#[utoipa::path(post, path = "/api/proxy-test/{wire}", tag = "proxy-test",
    params(
        ("wire" = String, Path, description = "`chat`, `responses`, `messages` or `gemini`"), GeminiCall,
        ("anthropic-version" = Option<String>, Header, description = "`messages` only: passed on"),
        ("anthropic-beta" = Option<String>, Header, description = "`messages` only: passed on"),
    ),
    request_body(content = Object, description = "What a client of this wire would send"),
    responses(
        (status = OK, description = "The data plane's answer, whatever its status; `x-request-id` is the record's id"),
        (status = NOT_FOUND, description = "`unknown_wire`"),
        (status = CONFLICT, description = "`public_api_url_missing`: nobody said where the data plane is; `wire_not_served`: by no running node"),
        (status = PAYLOAD_TOO_LARGE, description = "`body_too_large`"),
        (status = TOO_MANY_REQUESTS, description = "`too_many_proxy_tests`: five at a time"),
        (status = BAD_GATEWAY, description = "`data_plane_unreachable`"),
        (status = SERVICE_UNAVAILABLE, description = "`no_live_node`; `not_acknowledged`: no node took the key in time; `stopping`"),
        (status = GATEWAY_TIMEOUT, description = "`data_plane_timeout`: it did not answer for an hour"),
    ))]
async fn post(
    State(app): State<App>,
    caller: Caller,
    Path(wire): Path<String>,
    Params(call): Params<GeminiCall>,
    request: Request,
) -> ApiResult<Response> {
    let wire = wire_named(&wire)?;
    let path = TestPath::of(wire, call.model.as_deref(), call.stream)?;
    acceptable(request.headers())?;
    let passed_on = passed_on(wire, request.headers());
    let test = ops::start(&app, &caller, &path).await?;
    let body = extract::read_body(request, MAX_BODY_BYTES);
    let known = async { Ok(test.acknowledged(&app).await?) };
    let (body, ()) = tokio::try_join!(body, known)?;
    let stopping = app.edge.stopping();
    match stopping.run_until_cancelled(test.ask(&app, passed_on, body)).await {
        Some(answer) => Ok(relay::pass(&app, answer?, test.into_key())),
        None => Err(Problem::unavailable("stopping", "the control plane is being restarted; try again")),
    }
}

impl From<NoAnswer> for Problem {
    fn from(cause: NoAnswer) -> Self {
        let (status, code) = match cause {
            NoAnswer::Unreachable(_) => (StatusCode::BAD_GATEWAY, "data_plane_unreachable"),
            NoAnswer::Late => (StatusCode::GATEWAY_TIMEOUT, "data_plane_timeout"),
        };
        Self::new(status, code, cause.to_string())
    }
}

fn wire_named(name: &str) -> ApiResult<Wire> {
    Wire::ALL.into_iter().find(|wire| wire.as_str() == name).ok_or_else(|| {
        let detail = "the wires are chat, responses, messages and gemini";
        Problem::new(StatusCode::NOT_FOUND, "unknown_wire", detail)
    })
}

/// Refuses what can be refused ahead of the body.
fn acceptable(headers: &HeaderMap) -> ApiResult<()> {
    if !extract::is_json(headers) {
        return Err(extract::json_expected());
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > MAX_BODY_BYTES) {
        return Err(extract::body_too_large(MAX_BODY_BYTES));
    }
    Ok(())
}

fn passed_on(wire: Wire, headers: &HeaderMap) -> HeaderMap {
    let mut passed_on = HeaderMap::new();
    for name in PASSED_ON.into_iter().filter(|_| wire == Wire::Messages) {
        for value in headers.get_all(&name) {
            passed_on.append(&name, value.clone());
        }
    }
    passed_on
}
