//! AWS Bedrock's runtime: signatures and keys, errors as exceptions, answers as JSON and as event streams.

use http::{HeaderMap, HeaderName, header, request::Parts};
use serde_json::json;

use crate::{
    clock,
    control::decoded,
    provider::{Call, Failure, Profile, Provider, bearer, set},
    refusal::{Refusal, Refused},
};

pub(crate) mod converse;
mod converse_block;
mod converse_content;
mod converse_request;
mod converse_stream;
pub(crate) mod count_tokens;
mod event_stream;
pub(crate) mod invoke;
mod sigv4;

pub(crate) static BEDROCK: Bedrock = Bedrock;

const SERVICE: &str = "bedrock";
const BAD_TOKEN: &str = "The security token included in the request is invalid.";
const BAD_KEY: &str = "Authentication failed: Please make sure your API Key is valid.";
const EXPIRED: &str = "The security token included in the request is expired";
const SHUT: &str = "Your account is not authorized to invoke this API operation.";
const NO_PAYMENT: &str = "Model access is denied due to INVALID_PAYMENT_INSTRUMENT:A valid payment instrument must be provided.. Your AWS Marketplace subscription for this model cannot be completed at this time. If you recently fixed this issue, try again after 2 minutes.";
/// Said of a prompt that is beyond a model's window.
const TOO_LONG: &str = "Input is too long for requested model.";
/// What the service itself refuses carries its namespace.
const NAMESPACE: &str = "http://internal.amazon.com/coral/com.amazon.bedrock/";

#[derive(Debug)]
pub(crate) struct Bedrock;

pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(400, "ValidationException", message)
}

/// A refusal that comes from the model behind the service.
pub(crate) fn model_says(message: &str) -> Failure {
    invalid(format!("The model returned the following errors: {message}"))
}

/// More was asked for than the model says at most.
fn says_too_much(most: u64) -> Failure {
    invalid(format!(
        "The maximum tokens you requested exceeds the model limit of {most}. Try again with a maximum tokens value that is lower than {most}."
    ))
}

fn no_such_model() -> Failure {
    invalid("The provided model identifier is invalid.")
}

/// The model id of the path, which the caller may use.
fn model_id(call: &Call<'_>) -> Result<String, Failure> {
    let id = call.name.and_then(decoded).unwrap_or_default();
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "._:/-".contains(letter);
    let known = match &call.profile.models {
        Some(models) => models.contains(&id),
        None => !id.contains("unknown"),
    };
    if known && id.chars().all(legal) { Ok(id) } else { Err(no_such_model()) }
}

/// The name that the model's maker gives it: `claude-…` without the version of the Bedrock model.
fn claude(id: &str) -> Option<&str> {
    let name = id.get(id.find("claude-")?..)?;
    let end = name.rfind("-v").filter(|at| {
        let version = name.get(at + 2..).unwrap_or_default();
        version.starts_with(|first: char| first.is_ascii_digit())
    });
    Some(name.get(..end.unwrap_or(name.len())).unwrap_or(name))
}

/// An id that stands for a model in several regions, or for one with its bill.
fn is_profile(id: &str) -> bool {
    id.contains("inference-profile/") || id.split('.').nth(1).is_some_and(|maker| maker == "anthropic")
}

/// Newer models are called through a profile only, which `strict` insists on.
fn check_on_demand(id: &str, strict: bool) -> Result<(), Failure> {
    let needs_profile = claude(id).is_some_and(|name| !name.starts_with("claude-3-") && name != "claude-3");
    if !strict || !needs_profile || id.contains("arn:") || is_profile(id) {
        return Ok(());
    }
    Err(invalid(format!(
        "Invocation of model ID {id} with on-demand throughput isn\u{2019}t supported. Retry your request with the ID or ARN of an inference profile that contains this model."
    )))
}

fn is_api_key(token: &str) -> bool {
    token.starts_with("bedrock-api-key-") || token.starts_with("ABSK")
}

fn forbidden(kind: &'static str, message: &str) -> Failure {
    Failure::new(403, kind, message)
}

impl Provider for Bedrock {
    fn credential(&self, parts: &Parts) -> Result<String, Failure> {
        if let Some(token) = bearer(&parts.headers) {
            return Ok(token.to_owned());
        }
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
            return Err(forbidden("MissingAuthenticationTokenException", "Missing Authentication Token"));
        };
        let authorization = sigv4::Authorization::parse(value.to_str().unwrap_or_default())?;
        Ok(authorization.key_id.to_owned())
    }

    fn unknown_credential(&self, key: &str) -> Failure {
        match is_api_key(key) {
            true => forbidden("AccessDeniedException", BAD_KEY),
            false => forbidden("UnrecognizedClientException", BAD_TOKEN),
        }
    }

    fn verify(&self, parts: &Parts, body: &[u8], profile: &Profile) -> Result<(), Failure> {
        if let Some(token) = bearer(&parts.headers) {
            return match token {
                _ if token.contains("expired") => {
                    Err(forbidden("AccessDeniedException", "Bearer Token has expired"))
                }
                _ if is_api_key(token) => Ok(()),
                _ => Err(forbidden("AccessDeniedException", BAD_KEY)),
            };
        }
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let authorization = sigv4::Authorization::parse(value.unwrap_or_default())?;
        let id = authorization.key_id;
        let session = parts.headers.get("x-amz-security-token").and_then(|value| value.to_str().ok());
        // Keys of a session are nothing without its token.
        if !(id.starts_with("AKIA") || id.starts_with("ASIA") && session.is_some()) {
            return Err(forbidden("UnrecognizedClientException", BAD_TOKEN));
        }
        if session.is_some_and(|token| token.contains("expired")) {
            return Err(forbidden("ExpiredTokenException", EXPIRED));
        }
        let secret = profile.secret.clone().unwrap_or_else(|| format!("secret-of-{id}"));
        let now = clock::now_seconds().saturating_add(profile.clock_ahead_seconds);
        sigv4::verify(
            parts,
            body,
            &authorization,
            &sigv4::Expected { secret: &secret, service: SERVICE, now },
        )
    }

    fn check_head(&self, _parts: &Parts) -> Result<(), Failure> {
        Ok(())
    }

    fn no_such_path(&self, _parts: &Parts) -> Failure {
        Failure::new(404, "UnknownOperationException", "Unknown operation")
    }

    fn failure(&self, status: u16) -> Failure {
        let (kind, message) = match status {
            401 => ("UnrecognizedClientException", BAD_TOKEN),
            402 | 403 => {
                ("AccessDeniedException", "You don't have access to the model with the specified model ID.")
            }
            404 => (
                "ResourceNotFoundException",
                "Could not resolve the foundation model from the provided model identifier.",
            ),
            408 | 504 => (
                "ModelTimeoutException",
                "Model has timed out in processing the request. Try your request again.",
            ),
            413 => ("ValidationException", TOO_LONG),
            424 => (
                "ModelErrorException",
                "The system encountered an unexpected error during processing. Try your request again.",
            ),
            429 => ("ThrottlingException", "Too many requests, please wait before trying again."),
            502 | 503 | 529 => ("ServiceUnavailableException", "Bedrock is unable to process your request."),
            500.. => (
                "InternalServerException",
                "The system encountered an unexpected error during processing. Try your request again.",
            ),
            _ => ("ValidationException", "The provided request is not valid"),
        };
        Failure::new(status, kind, message)
    }

    /// Models of other makers are paid for one by one, so nobody paying is about the model too.
    fn refuses(&self, call: Refused<'_>) -> Failure {
        match call.refusal {
            Refusal::NoCredit => forbidden("AccessDeniedException", NO_PAYMENT),
            Refusal::ModelForbidden => self.failure(403),
            Refusal::ModelUnknown => no_such_model(),
            Refusal::KeyInvalid => self.unknown_credential("AKIA"),
            Refusal::CredentialExpired => forbidden("ExpiredTokenException", EXPIRED),
            Refusal::AccountDisabled => forbidden("AccessDeniedException", SHUT),
            Refusal::RegionUnsupported => self.failure(404),
        }
    }

    fn error_body(&self, failure: &Failure, _request_id: &str) -> Vec<u8> {
        json!({"message": failure.message}).to_string().into_bytes()
    }

    fn error_event(&self, failure: &Failure, _request_id: &str) -> Vec<u8> {
        let kind = event_stream::exception_type(&failure.kind);
        let mut payload = json!({"message": failure.message});
        if kind == "modelStreamErrorException" {
            payload["originalStatusCode"] = failure.status.into();
            payload["originalMessage"] = failure.message.as_str().into();
        }
        event_stream::exception(&kind, payload.to_string().as_bytes())
    }

    /// A message whose checksum is wrong.
    fn malformed_event(&self) -> Vec<u8> {
        let mut message = event_stream::event("chunk", br#"{"bytes":"e30="}"#);
        if let Some(last) = message.last_mut() {
            *last ^= 0xff;
        }
        message
    }

    fn request_id_header(&self) -> HeaderName {
        HeaderName::from_static("x-amzn-requestid")
    }

    fn request_id(&self, number: u64) -> String {
        format!("5a5a5a5a-0000-4000-8000-{number:012x}")
    }

    fn refusal_headers(&self, failure: &Failure, headers: &mut HeaderMap) {
        let kind = match failure.status {
            403 => failure.kind.to_string(),
            _ => format!("{}:{NAMESPACE}", failure.kind),
        };
        set(headers, "x-amzn-errortype", &kind);
    }

    fn limits(&self, _status: u16, _retry_after: Option<u64>, _headers: &mut HeaderMap) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_makers_name_is_inside_the_id() {
        for (id, name) in [
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some("claude-sonnet-4-5-20250929")),
            ("anthropic.claude-3-haiku-20240307-v1:0", Some("claude-3-haiku-20240307")),
            ("global.anthropic.claude-opus-4-6-v1", Some("claude-opus-4-6")),
            ("anthropic.claude-sonnet-5", Some("claude-sonnet-5")),
            ("amazon.nova-pro-v1:0", None),
        ] {
            assert_eq!(claude(id), name);
        }
    }
}
