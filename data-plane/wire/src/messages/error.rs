//! Anthropic's error: `{"type":"error","error":{"type","message"},"request_id"}`, the same as a body and as the data
//! of a stream's `error` event.

use bytes::Bytes;
use serde::Serialize;

use crate::error::{ErrorKind, WireError, render};

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    event: &'static str,
    error: Error<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct Error<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
    /// Not Anthropic's: the gateway's own stable word, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
}

pub(crate) fn body(error: &WireError<'_>) -> Bytes {
    render(&Body {
        event: "error",
        error: Error { kind: word(error.kind), message: error.message, code: error.code },
        request_id: error.request_id,
    })
}

const fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest => "invalid_request_error",
        ErrorKind::Authentication => "authentication_error",
        ErrorKind::Billing => "billing_error",
        ErrorKind::Permission => "permission_error",
        ErrorKind::NotFound => "not_found_error",
        ErrorKind::TooLarge => "request_too_large",
        ErrorKind::RateLimited => "rate_limit_error",
        ErrorKind::Api | ErrorKind::Unavailable => "api_error",
        ErrorKind::Timeout => "timeout_error",
        ErrorKind::Overloaded => "overloaded_error",
    }
}
