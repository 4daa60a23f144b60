//! The one place where errors become answers: error × client's wire → status, headers, body.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER},
};
use shared::{id::RequestId, wire::Wire};
use wire::{
    convert::ConvertError,
    error::{ErrorKind, WireError, body},
    raw::view::BodyError,
};

use super::{conversion_memory::NoRoom, request_id::set_request_id};
use crate::{
    coding::{self, Broken, Unsupported},
    compute::NotDone,
    live::MarkKind,
    provider::failure::{Class, Reason},
    scheduler::{Explanation, Unroutable},
};

/// What the SDKs of Anthropic and OpenAI go by.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// Why the gateway itself does not give a client what it asked for. The text of an error is for the client.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("no API key was sent; send it as `Authorization: Bearer …` or `x-api-key: …`")]
    NoKey,
    #[error("this API key is not valid; check that it is complete and not disabled")]
    UnknownKey,
    #[error("this API key has expired; ask for a new one")]
    ExpiredKey,
    #[error("the gateway has no configuration yet; try again shortly")]
    NotConfigured,
    #[error("the gateway is shutting down; send the request again")]
    Stopping,
    #[error("the gateway can't write usage records and takes no requests; its operators have to make room")]
    NoRoomForRecords,
    #[error("the gateway has too much to do to handle this request in time; send it again")]
    NotInTime,
    #[error("the gateway has as many connections as it may; send the request again in a second")]
    TooManyConnections,
    #[error(
        "the gateway failed to handle this request; send it again, and tell its operators if that does not help"
    )]
    Failed,
    #[error(
        "the gateway holds as many long requests and answers as it has memory for; send the request again shortly"
    )]
    NoMemory,
    #[error("the request body is larger than {limit} bytes; send a smaller one")]
    BodyTooLarge { limit: u64 },
    #[error(
        "the request has more parts (messages, blocks of content and other values) than the gateway has memory to \
         convert; split it into smaller ones"
    )]
    TooManyParts,
    #[error("the request body did not arrive in time; send it faster")]
    BodyTimeout,
    #[error("the request body broke off")]
    BodyLost,
    /// The body's content coding.
    #[error(transparent)]
    Coding(#[from] Unsupported),
    #[error("{0}; compress it again, or send it as it is")]
    Undecoded(#[from] Broken),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Unroutable(#[from] Unroutable),
    #[error("{}", no_account(.0))]
    NoAccount(Explanation),
    #[error("{}", failed(.0))]
    UpstreamFailed(UpstreamFailed),
    /// Every account that could serve speaks another wire, and the body can't be read or said there.
    #[error(transparent)]
    Unconvertible(#[from] ConvertError),
    #[error("the request builds on an id that is not known here; send the whole conversation instead")]
    UnknownId,
    #[error(
        "the request builds on what an upstream account keeps, and that account is not in use any more; send the whole \
         conversation instead"
    )]
    BoundAccountGone,
    #[error("this gateway speaks HTTP only; send the request as POST")]
    NoWebSocket,
    #[error(transparent)]
    Route(#[from] RouteError),
}

/// Why an account can't be asked for that.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Unconvertible {
    /// The client has to change something.
    #[error(transparent)]
    Request(ConvertError),
    #[error(transparent)]
    NoRoom(NoRoom),
}

impl From<NotDone> for Refusal {
    fn from(_: NotDone) -> Self {
        Self::Failed
    }
}

impl From<Unconvertible> for Refusal {
    fn from(why: Unconvertible) -> Self {
        match why {
            Unconvertible::Request(error) => Self::Unconvertible(error),
            Unconvertible::NoRoom(NoRoom::Ever) => Self::TooManyParts,
            Unconvertible::NoRoom(NoRoom::Now) => Self::NoMemory,
        }
    }
}

/// The path leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error(
        "there is nothing at this path; check the base URL: clients of OpenAI's API take the gateway's address with /v1 \
         at its end, those of Anthropic's and Google's without"
    )]
    NotFound,
    #[error("this path takes {0} only")]
    MethodNotAllowed(&'static str),
}

/// No account gave an answer that could be passed on; what the last one's trouble was.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamFailed {
    pub reason: Reason,
    pub class: Class,
    pub attempts: usize,
    pub retry_after: Option<Duration>,
}

/// Every account is denied the model by its upstream.
const DENIED: &str = "no account of the gateway has access to this model; check its name, ask for another model, or ask \
                      the gateway's operators to get access to it";

fn no_account(explanation: &Explanation) -> String {
    match explanation.missing() {
        Some(missing) => {
            format!("{missing}; ask for another model, or ask the gateway's operators for an account")
        }
        None if explanation.model_denied() => DENIED.to_owned(),
        None => format!("no account can serve this request now ({})", explanation.for_client()),
    }
}

fn failed(failed: &UpstreamFailed) -> String {
    if failed.class == Class::ModelDenied {
        return DENIED.to_owned();
    }
    let (reason, attempts) = (failed.reason.code(), failed.attempts);
    let tries = if attempts == 1 { "attempt" } else { "attempts" };
    format!("no upstream account gave an answer ({attempts} {tries}, the last one ended with {reason})")
}

impl Refusal {
    /// What SDKs tell apart, the status, and a stable word for programs.
    #[must_use]
    pub fn classify(&self, wire: Wire) -> (ErrorKind, u16, Option<&'static str>) {
        let plain = |kind: ErrorKind, code| (kind, kind.status(), Some(code));
        match self {
            Self::NoKey => (ErrorKind::Authentication, 401, Some("missing_api_key")),
            Self::UnknownKey => (ErrorKind::Authentication, 401, Some("invalid_api_key")),
            Self::ExpiredKey => (ErrorKind::Authentication, 401, Some("expired_api_key")),
            Self::NotConfigured => plain(ErrorKind::Unavailable, "not_configured"),
            Self::Stopping => plain(ErrorKind::Unavailable, "shutting_down"),
            Self::NoMemory => plain(ErrorKind::Unavailable, "out_of_memory"),
            Self::TooManyConnections => plain(ErrorKind::Unavailable, "too_many_connections"),
            Self::NotInTime => plain(ErrorKind::Timeout, "not_in_time"),
            Self::Failed => plain(ErrorKind::Api, "internal_error"),
            Self::NoRoomForRecords => plain(ErrorKind::Unavailable, "no_room_for_records"),
            Self::BodyTooLarge { .. } => plain(ErrorKind::TooLarge, "body_too_large"),
            Self::TooManyParts => plain(ErrorKind::TooLarge, "too_many_parts"),
            Self::BodyTimeout => (ErrorKind::Timeout, 408, Some("body_timeout")),
            Self::BodyLost => plain(ErrorKind::InvalidRequest, "body_incomplete"),
            Self::Coding(_) => (ErrorKind::InvalidRequest, 415, Some("unsupported_content_encoding")),
            Self::Undecoded(_)
            | Self::Body(_)
            | Self::Unconvertible(ConvertError::Body(_) | ConvertError::Unreadable(_)) => {
                plain(ErrorKind::InvalidRequest, "invalid_body")
            }
            Self::Unroutable(Unroutable::UnknownModel(_)) => plain(ErrorKind::NotFound, "model_not_found"),
            Self::Unroutable(_) => plain(ErrorKind::InvalidRequest, "account_type_pinned"),
            Self::NoAccount(explanation) => no_account_kind(explanation, wire),
            Self::UpstreamFailed(failed) => upstream_kind(failed, wire),
            Self::Unconvertible(ConvertError::Rejected(_)) => {
                plain(ErrorKind::InvalidRequest, "unsupported_by_account")
            }
            Self::UnknownId => plain(ErrorKind::InvalidRequest, "unknown_id"),
            Self::BoundAccountGone => plain(ErrorKind::InvalidRequest, "bound_account_gone"),
            Self::NoWebSocket => (ErrorKind::InvalidRequest, 426, Some("no_websocket")),
            Self::Route(RouteError::NotFound) => plain(ErrorKind::NotFound, "unknown_path"),
            Self::Route(_) => (ErrorKind::InvalidRequest, 405, Some("method_not_allowed")),
        }
    }

    /// The answer in the client's wire.
    #[must_use]
    pub fn response(&self, wire: Wire, id: RequestId) -> Response<Bytes> {
        let (kind, status, code) = self.classify(wire);
        let (id, message) = (id.to_string(), self.to_string());
        let error = WireError { status, kind, message: &message, code, param: self.param(), request_id: &id };
        let mut response = Response::new(body(wire, &error));
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        set_request_id(headers, wire, id);
        // Some clients repeat whatever fails, for minutes, unless they are told.
        if matches!(status, 400..=499) && !matches!(status, 408 | 409 | 425 | 429) {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if let Some(after) = self.retry_after() {
            // Rounded up, so that the client does not come too early.
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_millis().div_ceil(1000).max(1) as u64));
        }
        if let Self::Route(RouteError::MethodNotAllowed(allowed)) = self {
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        if let Self::Coding(_) = self {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding::TAKEN));
        }
        response
    }

    /// The field that the client has to change.
    fn param(&self) -> Option<&str> {
        match self {
            Self::Body(error) => error.field(),
            Self::Unconvertible(error) => error.field(),
            _ => None,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotConfigured | Self::Stopping | Self::NoMemory | Self::TooManyConnections => {
                Some(Duration::from_secs(1))
            }
            Self::NoRoomForRecords => Some(Duration::from_secs(30)),
            Self::NoAccount(explanation) if explanation.passing() => {
                Some(explanation.frees_in().unwrap_or(Duration::from_secs(1)))
            }
            Self::UpstreamFailed(failed) => failed.retry_after,
            _ => None,
        }
    }
}

fn no_account_kind(explanation: &Explanation, wire: Wire) -> (ErrorKind, u16, Option<&'static str>) {
    let code = Some("no_account");
    if explanation.limited() {
        (ErrorKind::RateLimited, 429, code)
    } else if explanation.passing() {
        overloaded(wire, code)
    } else if explanation.missing().is_some() || explanation.model_unknown() || explanation.model_denied() {
        // Clients try again at a 503, some of them for minutes, and it would not help.
        (ErrorKind::NotFound, 404, Some("model_not_found"))
    } else if explanation.unsupported() {
        (ErrorKind::InvalidRequest, 501, Some("unsupported_by_node"))
    } else {
        (ErrorKind::Unavailable, 503, code)
    }
}

fn upstream_kind(failed: &UpstreamFailed, wire: Wire) -> (ErrorKind, u16, Option<&'static str>) {
    let code = Some("upstream_failed");
    match (failed.class, failed.reason) {
        (Class::Limited(MarkKind::RateLimited), _) => (ErrorKind::RateLimited, 429, code),
        (Class::Limited(MarkKind::Overloaded), _) => overloaded(wire, code),
        (_, Reason::Stopped) => (ErrorKind::Unavailable, 503, code),
        (Class::ModelDenied, _) => (ErrorKind::NotFound, 404, Some("model_not_found")),
        (
            _,
            Reason::ConnectTimeout
            | Reason::FirstByteTimeout
            | Reason::AttemptTimeout
            | Reason::Deadline
            | Reason::Stall
            | Reason::Status(408 | 504),
        ) => (ErrorKind::Timeout, 504, code),
        // Not 401 or 403, whatever the upstream said: it is not the client's key that is wrong.
        _ => (ErrorKind::Api, 502, code),
    }
}

/// 529 is a word of the Messages wire only.
fn overloaded(wire: Wire, code: Option<&'static str>) -> (ErrorKind, u16, Option<&'static str>) {
    let status = if wire == Wire::Messages { 529 } else { 503 };
    (ErrorKind::Overloaded, status, code)
}
