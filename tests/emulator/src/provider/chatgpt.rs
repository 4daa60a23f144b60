//! The backend behind a ChatGPT subscription: responses only, streamed only, nothing stored.

use http::{HeaderMap, HeaderName, request::Parts};
use serde_json::{Map, Value, json};

use crate::{
    provider::{
        Call, Failure, Provider, bearer,
        openai::{self, OPENAI, responses},
        set,
    },
    refusal::{Refusal, Refused},
    template::Draft,
};

pub(crate) static CHATGPT: ChatGpt = ChatGpt;

const EXPIRED: &str = "Provided authentication token is expired. Please try signing in again.";
const NOT_INCLUDED: &str = "usage_not_included";
const LIMIT_REACHED: &str = "usage_limit_reached";
const RESETS_IN_SECONDS: u64 = 3_600;
/// What may be asked for; all else is refused by name.
const FIELDS: &[&str] = &[
    "client_metadata",
    "include",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt_cache_key",
    "reasoning",
    "service_tier",
    "store",
    "stream",
    "text",
    "tool_choice",
    "tools",
    "truncation",
];

#[derive(Debug)]
pub(crate) struct ChatGpt;

/// A refusal of the backend's own, which has no more than this text.
fn detail(status: u16, text: impl Into<String>) -> Failure {
    Failure::new(status, "", text)
}

fn unsupported_model(model: &str) -> Failure {
    detail(400, format!("The '{model}' model is not supported when using Codex with a ChatGPT account."))
}

fn expired() -> Failure {
    Failure::new(401, "invalid_request_error", EXPIRED).with_code("token_expired")
}

/// POST /responses
pub(crate) fn answer(call: &Call<'_>) -> Result<Draft, Failure> {
    let Ok(body) = serde_json::from_slice::<Map<String, Value>>(call.body) else {
        return Err(openai::bad_json());
    };
    if let Some(name) = body.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(detail(400, format!("Unsupported parameter: {name}")));
    }
    if body.get("store") != Some(&Value::Bool(false)) {
        return Err(detail(400, "Store must be set to false"));
    }
    if body.get("stream") != Some(&Value::Bool(true)) {
        return Err(detail(400, "Stream must be set to true"));
    }
    if body.get("input").is_some_and(|input| !input.is_array()) {
        return Err(detail(400, "Input must be a list"));
    }
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    if !model.starts_with("gpt-5") && !model.contains("codex") && !model.is_empty() {
        return Err(unsupported_model(model));
    }
    responses::answer(call)
}

impl Provider for ChatGpt {
    fn credential(&self, parts: &Parts) -> Result<String, Failure> {
        bearer(&parts.headers).map(str::to_owned).ok_or_else(|| detail(401, "Unauthorized"))
    }

    fn unknown_credential(&self, _key: &str) -> Failure {
        detail(401, "Unauthorized")
    }

    fn check_head(&self, parts: &Parts) -> Result<(), Failure> {
        if bearer(&parts.headers).is_some_and(|token| token.contains("expired")) {
            return Err(expired());
        }
        let account = parts.headers.get("chatgpt-account-id").and_then(|value| value.to_str().ok());
        match account.map(str::trim) {
            Some(account) if !account.is_empty() => Ok(()),
            _ => Err(detail(401, "Unauthorized")),
        }
    }

    fn no_such_path(&self, _parts: &Parts) -> Failure {
        detail(404, "Not Found")
    }

    fn failure(&self, status: u16) -> Failure {
        match status {
            401 => detail(401, "Unauthorized"),
            403 => detail(403, "Forbidden"),
            404 => detail(404, "Not Found"),
            429 => Failure::new(429, LIMIT_REACHED, "The usage limit has been reached"),
            _ => OPENAI.failure(status),
        }
    }

    fn refuses(&self, call: Refused<'_>) -> Failure {
        match call.refusal {
            Refusal::NoCredit => Failure::new(429, NOT_INCLUDED, "Codex is not included in this plan"),
            Refusal::ModelForbidden | Refusal::ModelUnknown => unsupported_model(call.model),
            Refusal::KeyInvalid => detail(401, "Unauthorized"),
            Refusal::CredentialExpired => expired(),
            Refusal::AccountDisabled => detail(402, "").with_code("deactivated_workspace"),
            Refusal::RegionUnsupported => OPENAI.refuses(call),
        }
    }

    fn error_body(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        if failure.status == 402 && failure.kind.is_empty() {
            return json!({"detail": {"code": failure.code}}).to_string().into_bytes();
        }
        if failure.kind == NOT_INCLUDED {
            let error = json!({"type": failure.kind, "message": failure.message, "plan_type": "free"});
            return json!({"error": error}).to_string().into_bytes();
        }
        if failure.kind.is_empty() {
            return json!({"detail": failure.message}).to_string().into_bytes();
        }
        if failure.kind == LIMIT_REACHED {
            let error = json!({"type": failure.kind, "message": failure.message, "plan_type": "plus",
                "resets_in_seconds": RESETS_IN_SECONDS});
            return json!({"error": error}).to_string().into_bytes();
        }
        if failure.status == 401 {
            let error = json!({"message": failure.message, "type": failure.kind, "param": null, "code": failure.code});
            return json!({"error": error, "status": failure.status}).to_string().into_bytes();
        }
        OPENAI.error_body(failure, request_id)
    }

    fn error_event(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        responses::error_event(failure, request_id)
    }

    fn malformed_event(&self) -> Vec<u8> {
        responses::malformed_event()
    }

    fn request_id_header(&self) -> HeaderName {
        OPENAI.request_id_header()
    }

    fn limits(&self, status: u16, retry_after: Option<u64>, headers: &mut HeaderMap) {
        let refused = status == 429;
        let resets = retry_after.unwrap_or(RESETS_IN_SECONDS).to_string();
        set(headers, "x-codex-plan-type", "plus");
        for (used, window, reset, minutes) in [
            (
                "x-codex-primary-used-percent",
                "x-codex-primary-window-minutes",
                "x-codex-primary-reset-after-seconds",
                "300",
            ),
            (
                "x-codex-secondary-used-percent",
                "x-codex-secondary-window-minutes",
                "x-codex-secondary-reset-after-seconds",
                "10080",
            ),
        ] {
            set(headers, used, if refused { "100" } else { "1" });
            set(headers, window, minutes);
            set(headers, reset, &resets);
        }
    }
}
