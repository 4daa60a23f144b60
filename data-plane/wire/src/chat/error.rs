//! OpenAI's error object: `{"error":{"message","type","param","code"}}`. SDKs pick their exception by HTTP status and
//! show `type` and `code`, which are what OpenAI itself sends for each case.

use bytes::Bytes;
use serde::Serialize;

use crate::error::{ErrorKind, WireError, render};

#[derive(Serialize)]
struct Body<'a> {
    error: Error<'a>,
}

#[derive(Serialize)]
pub(crate) struct Error<'a> {
    pub(crate) message: &'a str,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) param: Option<&'a str>,
    pub(crate) code: Option<&'a str>,
}

impl<'a> Error<'a> {
    pub(crate) fn new(error: &WireError<'a>) -> Self {
        let (kind, code) = words(error.kind);
        Self { message: error.message, kind, param: error.param, code: error.code.or(code) }
    }
}

pub(crate) fn body(error: &WireError<'_>) -> Bytes {
    render(&Body { error: Error::new(error) })
}

/// OpenAI's `type` and usual `code`.
const fn words(kind: ErrorKind) -> (&'static str, Option<&'static str>) {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::NotFound => ("invalid_request_error", None),
        ErrorKind::Authentication => ("invalid_request_error", Some("invalid_api_key")),
        ErrorKind::Billing => ("insufficient_quota", Some("insufficient_quota")),
        ErrorKind::Permission => ("invalid_request_error", Some("permission_denied")),
        ErrorKind::TooLarge => ("invalid_request_error", Some("request_too_large")),
        ErrorKind::RateLimited => ("rate_limit_error", Some("rate_limit_exceeded")),
        ErrorKind::Api => ("server_error", None),
        ErrorKind::Unavailable => ("service_unavailable_error", None),
        ErrorKind::Timeout => ("server_error", Some("timeout")),
        ErrorKind::Overloaded => ("service_unavailable_error", Some("server_is_overloaded")),
    }
}
