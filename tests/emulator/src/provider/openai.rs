//! OpenAI: credentials, errors and limits as api.openai.com has them.

use http::{HeaderMap, HeaderName, request::Parts};
use serde::Serialize;

use crate::{
    provider::{Failure, Provider, bearer, set},
    refusal::{Refusal, Refused},
};

pub(crate) mod chat;
mod chat_logprobs;
pub(crate) mod chat_request;
pub(crate) mod chat_stream;
pub(crate) mod compatible;
pub(crate) mod embeddings;
pub(crate) mod model;
pub(crate) mod models;
pub(crate) mod responses;

pub(crate) static OPENAI: OpenAi = OpenAi;

/// Names that belong to this provider.
pub(crate) const MODEL_PREFIXES: &[&str] =
    &["gpt-", "o1", "o3", "o4", "chatgpt-", "codex-", "text-embedding-", "ft:"];

const NO_KEY: &str = "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the API from your browser and are prompted for a username and password. You can obtain an API key from https://platform.openai.com/account/api-keys.";
const DEACTIVATED: &str = "The OpenAI account associated with this API key has been deactivated. If you are the developer for this OpenAI app, please check your email for more information. If you are seeing this error while using another app or site, please reach out to them for more help.";
const BAD_JSON: &str = "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have trouble figuring out how to fix this, please contact us through our help center at help.openai.com.)";

#[derive(Debug)]
pub(crate) struct OpenAi;

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorPart<'a>,
}

#[derive(Serialize)]
struct ErrorPart<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(400, "invalid_request_error", message)
}

pub(crate) fn missing(name: &str) -> Failure {
    invalid(format!("Missing required parameter: '{name}'."))
        .with_param(name)
        .with_code("missing_required_parameter")
}

pub(crate) fn wrong_type(name: &str, wanted: &str) -> Failure {
    invalid(format!("Invalid type for '{name}': expected {wanted}."))
        .with_param(name)
        .with_code("invalid_type")
}

pub(crate) fn no_such_model(model: &str) -> Failure {
    let message = format!("The model `{model}` does not exist or you do not have access to it.");
    Failure::new(404, "invalid_request_error", message).with_code("model_not_found")
}

/// More than the model reads, of what `param` names.
fn overflow(message: impl Into<String>, param: &str) -> Failure {
    invalid(message).with_param(param).with_code("context_length_exceeded")
}

pub(crate) fn bad_json() -> Failure {
    invalid(BAD_JSON)
}

/// As the provider shows a key in an error: the ends, and stars.
fn masked(key: &str) -> String {
    let chars: Vec<char> = key.chars().collect();
    let (Some(start), Some(end)) = (chars.get(..8), chars.get(chars.len().saturating_sub(4)..)) else {
        return "*".repeat(chars.len());
    };
    let stars = "*".repeat(chars.len().saturating_sub(12));
    format!("{}{stars}{}", start.iter().collect::<String>(), end.iter().collect::<String>())
}

impl Provider for OpenAi {
    fn credential(&self, parts: &Parts) -> Result<String, Failure> {
        let key = bearer(&parts.headers).map(str::to_owned);
        key.ok_or_else(|| Failure::new(401, "invalid_request_error", NO_KEY))
    }

    fn unknown_credential(&self, key: &str) -> Failure {
        let message = format!(
            "Incorrect API key provided: {}. You can find your API key at https://platform.openai.com/account/api-keys.",
            masked(key)
        );
        Failure::new(401, "invalid_request_error", message).with_code("invalid_api_key")
    }

    fn check_head(&self, _parts: &Parts) -> Result<(), Failure> {
        Ok(())
    }

    fn no_such_path(&self, parts: &Parts) -> Failure {
        let message = format!("Invalid URL ({} {})", parts.method, parts.uri.path());
        Failure::new(404, "invalid_request_error", message)
    }

    fn failure(&self, status: u16) -> Failure {
        let plain = |kind, message: &str| Failure::new(status, kind, message);
        match status {
            401 => self.unknown_credential("sk-scripted-refusal"),
            402 => plain("insufficient_quota", "You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.").with_code("insufficient_quota"),
            403 => plain("request_forbidden", "Country, region, or territory not supported").with_code("unsupported_country_region_territory"),
            404 => plain("invalid_request_error", "The requested resource does not exist."),
            408 => plain("timeout", "Request timed out."),
            413 => plain("invalid_request_error", "Request body is too large.").with_code("request_too_large"),
            429 => plain("requests", "Rate limit reached for requests in organization org-emulator on requests per min (RPM): Limit 10000, Used 10000, Requested 1. Please try again in 6ms. Visit https://platform.openai.com/account/rate-limits to learn more.").with_code("rate_limit_exceeded"),
            502 | 504 => plain("server_error", "Bad gateway."),
            503 | 529 => plain("service_unavailable_error", "The engine is currently overloaded, please try again later."),
            500.. => plain("server_error", "The server had an error while processing your request. Sorry about that!"),
            _ => plain("invalid_request_error", "Invalid request."),
        }
    }

    fn refuses(&self, call: Refused<'_>) -> Failure {
        match call.refusal {
            Refusal::NoCredit => Failure { status: 429, ..self.failure(402) },
            Refusal::ModelForbidden => {
                let message =
                    format!("Project `proj_emulator` does not have access to model `{}`", call.model);
                Failure::new(403, "invalid_request_error", message).with_code("model_not_found")
            }
            Refusal::ModelUnknown => no_such_model(call.model),
            Refusal::KeyInvalid | Refusal::CredentialExpired => self.failure(401),
            Refusal::AccountDisabled => {
                Failure::new(401, "invalid_request_error", DEACTIVATED).with_code("account_deactivated")
            }
            Refusal::RegionUnsupported => self.failure(403),
        }
    }

    fn error_body(&self, failure: &Failure, _request_id: &str) -> Vec<u8> {
        let error = ErrorPart {
            message: &failure.message,
            r#type: &failure.kind,
            param: failure.param.as_deref(),
            code: failure.code.as_deref(),
        };
        serde_json::to_vec(&ErrorBody { error }).unwrap_or_default()
    }

    fn error_event(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        let mut event = b"data: ".to_vec();
        event.extend(self.error_body(failure, request_id));
        event.extend(b"\n\n");
        event
    }

    fn malformed_event(&self) -> Vec<u8> {
        b"data: {\"id\":\"chatcmpl-broken\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"del\n\n".to_vec()
    }

    fn request_id_header(&self) -> HeaderName {
        HeaderName::from_static("x-request-id")
    }

    fn limits(&self, status: u16, retry_after: Option<u64>, headers: &mut HeaderMap) {
        let refused = status == 429;
        let reset = format!("{}s", retry_after.unwrap_or(if refused { 60 } else { 1 }));
        set(headers, "x-ratelimit-limit-requests", "10000");
        set(headers, "x-ratelimit-limit-tokens", "2000000");
        set(headers, "x-ratelimit-remaining-requests", if refused { "0" } else { "9999" });
        set(headers, "x-ratelimit-remaining-tokens", if refused { "0" } else { "1999000" });
        set(headers, "x-ratelimit-reset-requests", &reset);
        set(headers, "x-ratelimit-reset-tokens", &reset);
        set(headers, "openai-organization", "org-emulator");
        set(headers, "openai-version", "2020-10-01");
        set(headers, "openai-processing-ms", "1");
    }
}
