//! What an upstream reported as an error, in a body or in a stream: all wires put an `error` object into JSON.

use std::time::Duration;

use super::overflow::{self, Overflow};
use crate::json;

/// Longest message, code or type that is kept, in bytes; the rest is cut off.
pub const TEXT_MAX: usize = 2048;

/// An error in the provider's own words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamError {
    /// HTTP status that the error names or that its type stands for. Absent: neither is known.
    pub status: Option<u16>,
    /// The provider's `type` (Gemini: `status`), such as `overloaded_error`.
    pub kind: Option<String>,
    pub code: Option<String>,
    /// OpenAI: the field of the request that is at fault.
    pub param: Option<String>,
    /// Empty: none was given.
    pub message: String,
    /// When to come again: Google says it in the error's details.
    pub retry_after: Option<Duration>,
}

impl UpstreamError {
    /// From the value of an `error` field: an object, or a bare string.
    pub(crate) fn read(value: &str) -> Self {
        let mut error = Self::default();
        let (mut named, mut details) = (None, None);
        if let Some(message) = json::string(value) {
            error.message = cut(&message);
            return error;
        }
        let read = json::object(value, |field| match &*field.name() {
            "message" => error.message = json::string(field.value).map(|text| cut(&text)).unwrap_or_default(),
            "type" => error.kind = word(field.value),
            "param" => error.param = word(field.value),
            "status" => {
                named = named.or(status(field.value));
                error.kind = error.kind.take().or_else(|| word(field.value));
            }
            "status_code" => named = named.or(status(field.value)),
            "details" => details = Some(field.value),
            "code" => {
                named = named.or(status(field.value));
                error.code = word(field.value);
            }
            _ => {}
        });
        if read.is_err() {
            return Self::default();
        }
        if let Some(details) = details {
            error.read_details(details);
        }
        let by_word = |word: &Option<String>| word.as_deref().and_then(status_of);
        error.status = named.or_else(|| by_word(&error.code)).or_else(|| by_word(&error.kind));
        if error.status.is_none() && Overflow::of(&error).is_some() {
            error.status = Some(overflow::STATUS);
        }
        error
    }
}

impl UpstreamError {
    /// Google's `details`: the reason's word, and when to come again. Anthropic's are one object.
    fn read_details(&mut self, details: &str) {
        // Something else says nothing.
        let _ = json::object(details, |field| {
            if field.name() == "error_code" {
                self.code = word(field.value).or(self.code.take());
            }
        });
        let _ = json::array(details, |detail| {
            let _ = json::object(detail, |field| match &*field.name() {
                "reason" => self.code = word(field.value).or(self.code.take()),
                "retryDelay" => self.retry_after = json::string(field.value).and_then(|text| seconds(&text)),
                _ => {}
            });
        });
    }
}

/// `34.5s`.
fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.strip_suffix('s')?.parse().ok()?).ok()
}

fn cut(text: &str) -> String {
    text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or_default().to_owned()
}

/// A string, or a number as text.
fn word(value: &str) -> Option<String> {
    match json::string(value) {
        Some(text) => Some(cut(&text)),
        None => json::count(value).map(|number| number.to_string()),
    }
}

fn status(value: &str) -> Option<u16> {
    let status = match json::string(value) {
        Some(text) => text.parse().ok(),
        None => json::count(value).and_then(|number| u16::try_from(number).ok()),
    };
    status.filter(|status| (400..600).contains(status))
}

/// The HTTP status that comes with a provider's error type or code.
fn status_of(word: &str) -> Option<u16> {
    Some(match word {
        "invalid_request_error"
        | "INVALID_ARGUMENT"
        | "FAILED_PRECONDITION"
        | "context_length_exceeded"
        | "content_filter"
        | "billing_hard_limit_reached" => 400,
        "authentication_error" | "invalid_api_key" | "account_deactivated" | "UNAUTHENTICATED" => 401,
        "billing_error" => 402,
        "permission_error" | "PERMISSION_DENIED" => 403,
        "not_found_error" | "model_not_found" | "NOT_FOUND" => 404,
        "request_too_large" => 413,
        "rate_limit_error"
        | "rate_limit_exceeded"
        | "insufficient_quota"
        | "billing_not_active"
        | "usage_limit_reached"
        | "usage_not_included"
        | "tokens"
        | "requests"
        | "RESOURCE_EXHAUSTED" => 429,
        "api_error" | "server_error" | "internal_server_error" | "INTERNAL" => 500,
        "service_unavailable_error" | "server_is_overloaded" | "slow_down" | "UNAVAILABLE" => 503,
        "timeout_error" | "DEADLINE_EXCEEDED" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_is_named_counts_before_one_that_is_meant() {
        assert_eq!(UpstreamError::read(r#"{"code":503,"type":"rate_limit_error"}"#).status, Some(503));
        assert_eq!(UpstreamError::read(r#"{"code":"529"}"#).status, Some(529));
        assert_eq!(UpstreamError::read(r#"{"code":"slow_down","type":"server_error"}"#).status, Some(503));
        assert_eq!(UpstreamError::read(r#"{"code":42,"type":"odd"}"#).status, None);
    }

    #[test]
    fn a_gemini_error_is_read_by_its_status_word() {
        let error = UpstreamError::read(r#"{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}"#);
        assert_eq!((error.status, error.kind.as_deref()), (Some(429), Some("RESOURCE_EXHAUSTED")));
    }

    #[test]
    fn googles_details_say_the_reason_and_when_to_come_again() {
        let error = UpstreamError::read(
            r#"{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[
                {"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED"},
                {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}]}"#,
        );
        assert_eq!(error.code.as_deref(), Some("RATE_LIMIT_EXCEEDED"));
        assert_eq!(error.retry_after, Some(Duration::from_millis(34_500)));
    }

    #[test]
    fn openais_errors_name_the_field_at_fault() {
        let param = |text: &str| UpstreamError::read(text).param;
        assert_eq!(param(r#"{"message":"m","param":"tools[0].model"}"#).as_deref(), Some("tools[0].model"));
        assert_eq!(param(r#"{"message":"m","param":null}"#), None);
    }

    #[test]
    fn anthropics_details_are_an_object_with_a_code() {
        let error = UpstreamError::read(
            r#"{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}"#,
        );
        assert_eq!((error.status, error.code.as_deref()), (Some(429), Some("enforced_spend_limit_reached")));
        let none = UpstreamError::read(r#"{"type":"rate_limit_error","message":"m","details":null}"#);
        assert_eq!((none.status, none.code), (Some(429), None));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let message = "é".repeat(TEXT_MAX);
        let error = UpstreamError::read(&format!(r#"{{"message":"x{message}"}}"#));
        assert_eq!(error.message.len(), TEXT_MAX - 1);
    }

    #[test]
    fn what_is_no_error_object_is_an_error_without_words() {
        for value in ["true", "7", "[]", "{"] {
            assert_eq!(UpstreamError::read(value), UpstreamError::default());
        }
    }
}
