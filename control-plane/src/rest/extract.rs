//! What handlers take: JSON bodies, query parameters and ids, each refused as a [`Problem`] that names the field.

use std::{borrow::Cow, str::FromStr, time::Duration};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
};
use http::{HeaderMap, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::error::Problem;

/// The longest body of the REST API, in bytes.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// How long a caller may take for the next piece of it, and for all of it. The routes' own time (see `rest.rs`) is
/// longer.
const BODY_IDLE: Duration = Duration::from_secs(30);
const BODY_TIMEOUT: Duration = Duration::from_secs(80);

/// How long the rest of a body is waited for at a shutdown.
const STOPPING_TIME: Duration = Duration::from_secs(1);

/// The listener ends. Among a request's extensions.
#[derive(Debug, Clone)]
pub struct Stopping(pub CancellationToken);

/// The request came over TLS to this very listener. Among its extensions.
#[derive(Debug, Clone, Copy)]
pub struct OverTls;

/// A JSON body of type `T`.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        OptionalJsonBody::from_request(request, state).await?.0.map(Self).ok_or_else(|| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                "invalid_json",
                "a JSON body is expected, and there is none",
            )
        })
    }
}

/// A JSON body of type `T`, or none at all.
#[derive(Debug)]
pub struct OptionalJsonBody<T>(pub Option<T>);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let bytes = read_body(request, MAX_BODY_BYTES).await?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        if !is_json {
            return Err(json_expected());
        }
        parse(&bytes).map(Some).map(Self)
    }
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = content_type.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("application/json")
}

pub(super) fn json_expected() -> Problem {
    let detail = "send the body with Content-Type: application/json";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "json_expected", detail)
}

pub(super) fn body_too_large(limit: usize) -> Problem {
    let detail = format!("the body is larger than {limit} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// The whole body, of at most `limit` bytes.
pub(super) async fn read_body(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let stopping = request.extensions().get::<Stopping>().cloned();
    let reading = read_in_time(request, limit);
    let Some(Stopping(stopping)) = stopping else { return reading.await };
    tokio::select! {
        read = reading => read,
        () = async { stopping.cancelled().await; sleep(STOPPING_TIME).await } => {
            Err(Problem::unavailable("stopping", "this server is stopping; send the request again"))
        }
    }
}

async fn read_in_time(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", "the body took too long");
    let mut body = Limited::new(request.into_body(), limit);
    let deadline = Instant::now() + BODY_TIMEOUT;
    let mut read = Vec::new();
    loop {
        let next = deadline.min(Instant::now() + BODY_IDLE);
        match timeout_at(next, body.frame()).await.map_err(late)? {
            None => return Ok(read.into()),
            Some(Ok(frame)) => read.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Some(Err(error)) if error.is::<LengthLimitError>() => return Err(body_too_large(limit)),
            Some(Err(_)) => {
                let detail = "the body broke off";
                return Err(Problem::new(StatusCode::BAD_REQUEST, "body_unreadable", detail));
            }
        }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        problem_of(&path, error.inner())
    })?;
    deserializer.end().map_err(|error| problem_of("", &error))?;
    Ok(value)
}

fn problem_of(path: &str, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        let detail = format!("the body is not JSON: line {}, column {}", error.line(), error.column());
        return Problem::new(StatusCode::BAD_REQUEST, "invalid_json", detail);
    }
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    let path = if path == "." { "" } else { path };
    let field = match misnamed_field(message) {
        Some(name) if path.is_empty() => name.to_owned(),
        Some(name) if path.rsplit('.').next() != Some(name) => format!("{path}.{name}"),
        _ => path.to_owned(),
    };
    Problem::invalid(field, without_the_value(message))
}

/// The field that serde's message is about, where the path ends one step before it.
fn misnamed_field(message: &str) -> Option<&str> {
    ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix))
        .and_then(|rest| rest.split('`').next())
}

/// Serde repeats the value it met; the value may be a secret in the wrong place.
fn without_the_value(message: &str) -> String {
    let repeats = ["invalid type: ", "invalid value: ", "unknown variant "]
        .iter()
        .any(|start| message.starts_with(start));
    match message.rfind("expected ") {
        Some(at) if repeats => message.get(at..).unwrap_or("not valid").to_owned(),
        _ if repeats => "not valid".to_owned(),
        _ => message.to_owned(),
    }
}

/// The query's parameters as `T`, which denies unknown fields.
#[derive(Debug)]
pub struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        params(query_pairs(parts)).map(Self)
    }
}

/// The query's parameters as `T`, which denies unknown fields, besides those of [`super::cursor::Page`].
#[derive(Debug)]
pub struct ListParams<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for ListParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        params(query_pairs(parts).filter(|(name, _)| name != "limit" && name != "cursor")).map(Self)
    }
}

fn params<'a, T: DeserializeOwned>(
    pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
) -> Result<T, Problem> {
    let own = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let deserializer = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(own.as_bytes()));
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        let field = misnamed_field(&message).map_or(path, ToOwned::to_owned);
        Problem::invalid(field, without_the_value(&message))
    })
}

pub(super) fn query_pairs(parts: &Parts) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    url::form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes())
}

/// The id in the path. A text that is no id is 404: there is no such thing.
#[derive(Debug, Clone, Copy)]
pub struct PathId<I>(pub I);

impl<I: FromStr + Send, S: Send + Sync> FromRequestParts<S> for PathId<I> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = axum::extract::Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::not_found())?;
        text.0.parse().map(Self).map_err(|_| Problem::not_found())
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused matters here")]
    struct Thing {
        name: String,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused matters here")]
    struct Inner {
        weights: Vec<u8>,
    }

    fn refused(body: &str) -> (u16, serde_json::Value) {
        use axum::response::IntoResponse as _;
        let problem = parse::<Thing>(body.as_bytes()).unwrap_err();
        let status = problem.status().as_u16();
        let bytes = futures_util::FutureExt::now_or_never(axum::body::to_bytes(
            problem.into_response().into_body(),
            4096,
        ));
        (status, serde_json::from_slice(&bytes.unwrap().unwrap()).unwrap())
    }

    #[test]
    fn the_field_at_fault_is_named() {
        for (body, field) in [
            (r#"{}"#, "name"),
            (r#"{"name":"a","admin":true}"#, "admin"),
            (r#"{"name":1}"#, "name"),
            (r#"{"name":"a","name":"b"}"#, "name"),
            (r#"{"name":"a","inner":{"weights":[1,2,-3]}}"#, "inner.weights[2]"),
            (r#"{"name":"a","inner":{"weights":[],"x":1}}"#, "inner.x"),
            (r#"{"name":"a","inner":{}}"#, "inner.weights"),
            (r#"[]"#, ""),
        ] {
            let (status, problem) = refused(body);
            assert_eq!(
                (status, problem["errors"][0]["field"].as_str()),
                (422, Some(field)),
                "{body}: {problem}"
            );
        }
    }

    #[test]
    fn the_value_at_fault_is_not_repeated() {
        let (_, problem) = refused(r#"{"name":"a","inner":{"weights":["sk-secret, expected x"]}}"#);
        assert!(!problem.to_string().contains("sk-secret"), "{problem}");
    }

    #[test]
    fn what_is_no_json_is_400() {
        for body in ["{", r#"{"name":"a"} x"#, "\u{feff}{}", r#"{"name":"\ud800"}"#, &"[".repeat(100_000)] {
            let (status, problem) = refused(body);
            assert!(status == 400 || status == 422, "{problem}");
        }
        assert_eq!(refused("{").0, 400);
    }
}
