//! Anthropic: credentials, versions, errors and limits as api.anthropic.com has them.

use http::{HeaderMap, HeaderName, header, request::Parts};
use serde::Serialize;

use crate::{
    clock,
    provider::{Failure, Provider, bearer, set},
    refusal::{Refusal, Refused},
};

pub(crate) mod count_tokens;
pub(crate) mod message_stream;
pub(crate) mod messages;
pub(crate) mod model;
pub(crate) mod models;
pub(crate) mod request;

pub(crate) static ANTHROPIC: Anthropic = Anthropic;

/// Names that belong to this provider.
pub(crate) const MODEL_PREFIXES: &[&str] = &["claude-"];

const VERSIONS: &[&str] = &["2023-01-01", "2023-06-01", "2026-10-21"];
/// How access tokens of a person's account begin.
const OAUTH_TOKEN: &str = "sk-ant-oat";
const OAUTH_BETA: &str = "oauth-2025-04-20";
const NO_CREDIT: &str = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.";
const EXPIRED: &str = "OAuth token has expired. Please obtain a new token or refresh your existing token.";
const REQUESTS_LIMIT: &str = "4000";
const TOKENS_LIMIT: &str = "400000";

#[derive(Debug)]
pub(crate) struct Anthropic;

#[derive(Serialize)]
struct ErrorBody<'a> {
    r#type: &'static str,
    error: ErrorPart<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct ErrorPart<'a> {
    r#type: &'a str,
    message: &'a str,
}

pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(400, "invalid_request_error", message)
}

pub(crate) fn no_such_model(model: &str) -> Failure {
    Failure::new(404, "not_found_error", format!("model: {model}"))
}

fn unauthorized(message: &str) -> Failure {
    Failure::new(401, "authentication_error", message)
}

/// One of the features that the caller opts into, over all `anthropic-beta` headers, is wanted.
pub(crate) fn has_beta(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> bool {
    let values = headers.get_all("anthropic-beta").into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|beta| wanted(beta.trim()))
}

fn api_key(headers: &HeaderMap) -> Option<&str> {
    let key = headers.get("x-api-key")?.to_str().ok()?.trim();
    (!key.is_empty()).then_some(key)
}

impl Provider for Anthropic {
    fn credential(&self, parts: &Parts) -> Result<String, Failure> {
        match api_key(&parts.headers).or_else(|| bearer(&parts.headers)) {
            Some(key) => Ok(key.to_owned()),
            None if parts.headers.contains_key(header::AUTHORIZATION) => {
                Err(unauthorized("Invalid bearer token"))
            }
            None => Err(unauthorized("x-api-key header is required")),
        }
    }

    fn unknown_credential(&self, key: &str) -> Failure {
        unauthorized(if key.starts_with(OAUTH_TOKEN) { "Invalid bearer token" } else { "invalid x-api-key" })
    }

    fn check_credential(&self, parts: &Parts, key: &str) -> Result<(), Failure> {
        if !key.starts_with(OAUTH_TOKEN) {
            return Ok(());
        }
        if api_key(&parts.headers).is_some() {
            return Err(unauthorized("invalid x-api-key"));
        }
        if !has_beta(&parts.headers, |beta| beta == OAUTH_BETA) {
            return Err(unauthorized("OAuth authentication is currently not supported."));
        }
        if key.contains("expired") {
            return Err(unauthorized(EXPIRED));
        }
        Ok(())
    }

    fn check_head(&self, parts: &Parts) -> Result<(), Failure> {
        let Some(version) = parts.headers.get("anthropic-version") else {
            return Err(invalid("anthropic-version: header is required"));
        };
        let version = version.to_str().unwrap_or_default();
        if VERSIONS.contains(&version) {
            return Ok(());
        }
        Err(invalid(format!("anthropic-version: \"{version}\" is not a valid version")))
    }

    fn no_such_path(&self, _parts: &Parts) -> Failure {
        Failure::new(404, "not_found_error", "Not Found")
    }

    fn failure(&self, status: u16) -> Failure {
        let (kind, message) = match status {
            401 => ("authentication_error", "invalid x-api-key"),
            402 => ("billing_error", NO_CREDIT),
            403 => {
                ("permission_error", "Your API key does not have permission to use the specified resource.")
            }
            404 => ("not_found_error", "The requested resource could not be found."),
            408 | 504 => ("timeout_error", "Request timed out"),
            413 => ("request_too_large", "Request exceeds the maximum size"),
            429 => (
                "rate_limit_error",
                "This request would exceed your organization's rate limit of 4,000 requests per minute. Please reduce the prompt length or the maximum tokens requested, or try again later.",
            ),
            529 => ("overloaded_error", "Overloaded"),
            502 | 503 => ("api_error", "Service temporarily unavailable"),
            500.. => ("api_error", "Internal server error"),
            _ => ("invalid_request_error", "There was an issue with the format or content of your request."),
        };
        Failure::new(status, kind, message)
    }

    fn refuses(&self, call: Refused<'_>) -> Failure {
        match call.refusal {
            Refusal::NoCredit => invalid(NO_CREDIT),
            Refusal::ModelForbidden | Refusal::ModelUnknown => no_such_model(call.model),
            Refusal::KeyInvalid => unauthorized("invalid x-api-key"),
            Refusal::CredentialExpired => unauthorized(EXPIRED),
            Refusal::AccountDisabled => invalid("This organization has been disabled."),
            Refusal::RegionUnsupported => Failure::new(403, "forbidden", "Request not allowed"),
        }
    }

    fn error_body(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        let error = ErrorPart { r#type: &failure.kind, message: &failure.message };
        serde_json::to_vec(&ErrorBody { r#type: "error", error, request_id }).unwrap_or_default()
    }

    fn error_event(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        let mut event = b"event: error\ndata: ".to_vec();
        event.extend(self.error_body(failure, request_id));
        event.extend(b"\n\n");
        event
    }

    fn malformed_event(&self) -> Vec<u8> {
        b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_\n\n"
            .to_vec()
    }

    fn ping_event(&self) -> Vec<u8> {
        b"event: ping\ndata: {\"type\": \"ping\"}\n\n".to_vec()
    }

    fn request_id_header(&self) -> HeaderName {
        HeaderName::from_static("request-id")
    }

    fn limits(&self, status: u16, retry_after: Option<u64>, headers: &mut HeaderMap) {
        let refused = status == 429;
        let reset = clock::rfc3339_in(retry_after.unwrap_or(if refused { 60 } else { 1 }));
        set(headers, "anthropic-ratelimit-requests-limit", REQUESTS_LIMIT);
        set(headers, "anthropic-ratelimit-requests-remaining", if refused { "0" } else { "3999" });
        set(headers, "anthropic-ratelimit-requests-reset", &reset);
        set(headers, "anthropic-ratelimit-tokens-limit", TOKENS_LIMIT);
        set(headers, "anthropic-ratelimit-tokens-remaining", if refused { "0" } else { "399000" });
        set(headers, "anthropic-ratelimit-tokens-reset", &reset);
        set(headers, "anthropic-organization-id", "00000000-0000-4000-8000-000000000000");
    }
}
