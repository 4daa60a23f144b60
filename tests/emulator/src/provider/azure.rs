//! Azure OpenAI: OpenAI's endpoints behind deployments, a key header, and a filter of contents.
//!
//! A deployment is known unless its name contains `unknown`, and serves the model that it is named after, or
//! [`DEFAULT_MODEL`]. A prompt that holds [`FILTER`] is filtered.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, request::Parts};
use serde_json::{Map, Value, json};

use crate::{
    provider::{
        Call, Failure, Profile, Provider,
        openai::{MODEL_PREFIXES, OPENAI, responses},
        query, set,
    },
    refusal::{Refusal, Refused},
};

pub(crate) mod endpoints;
mod filter;

pub(crate) static AZURE: Azure = Azure { responses: false };
/// Within the streams of responses.
pub(crate) static AZURE_RESPONSES: Azure = Azure { responses: true };

/// A prompt with this is refused by the content filter.
pub const FILTER: &str = "Filter this.";
/// What a deployment serves whose name says nothing.
const DEFAULT_MODEL: &str = "gpt-4o";
const BAD_KEY: &str = "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.";
const FILTERED: &str = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry. To learn more about our content filtering policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766";
const BLOCKED: &str = "Your resource has been temporarily blocked because we detected behavior that may violate our content policy.";
const FILTER_CODE: &str = "content_filter";

#[derive(Debug)]
pub(crate) struct Azure {
    responses: bool,
}

/// A refusal of the gateway ahead of the models: a code and a message, nothing else.
fn plain(status: u16, code: impl Into<Cow<'static, str>>, message: &str) -> Failure {
    Failure { code: Some(code.into()), ..Failure::new(status, "", message) }
}

fn no_such_deployment() -> Failure {
    plain(
        404,
        "DeploymentNotFound",
        "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.",
    )
}

fn no_such_resource() -> Failure {
    plain(404, "404", "Resource not found")
}

fn filtered() -> Failure {
    Failure::new(400, "", FILTERED).with_param("prompt").with_code(FILTER_CODE)
}

/// The model behind a deployment that this credential may use.
fn model<'d>(deployment: &'d str, profile: &Profile) -> Result<&'d str, Failure> {
    if deployment.is_empty() || !profile.has_model(deployment, &[""]) {
        return Err(no_such_deployment());
    }
    let named = MODEL_PREFIXES.iter().any(|prefix| deployment.starts_with(prefix));
    Ok(if named { deployment } else { DEFAULT_MODEL })
}

/// Calls with a date are to a version; a preview of one is a version too.
fn is_version(version: &str) -> bool {
    let date = version.strip_suffix("-preview").unwrap_or(version);
    let parts: Vec<&str> = date.split('-').collect();
    let sizes: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    sizes == [4, 2, 2] && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Provider for Azure {
    fn credential(&self, parts: &Parts) -> Result<String, Failure> {
        let key = parts.headers.get("api-key").and_then(|value| value.to_str().ok()).map(str::trim);
        let key = key.filter(|key| !key.is_empty());
        key.map(str::to_owned).ok_or_else(|| plain(401, "401", BAD_KEY))
    }

    fn unknown_credential(&self, _key: &str) -> Failure {
        plain(401, "401", BAD_KEY)
    }

    /// Deployments need a version; the newer paths have none, but for two words.
    fn check_head(&self, parts: &Parts) -> Result<(), Failure> {
        let version = query(parts, "api-version");
        if parts.uri.path().contains("/openai/deployments/") {
            return match version {
                Some(version) if is_version(version) => Ok(()),
                _ => Err(no_such_resource()),
            };
        }
        match version {
            None | Some("preview" | "latest" | "v1") => Ok(()),
            Some(_) => Err(plain(
                400,
                "BadRequest",
                "api-version query parameter is not allowed when using /v1 path",
            )),
        }
    }

    fn no_such_path(&self, _parts: &Parts) -> Failure {
        no_such_resource()
    }

    fn failure(&self, status: u16) -> Failure {
        match status {
            401 => plain(401, "401", BAD_KEY),
            403 => plain(403, "403", "Access denied due to Virtual Network/Firewall rules."),
            404 => no_such_resource(),
            408 => plain(408, "Timeout", "The operation was timeout."),
            413 => plain(413, "413", "Request body too large."),
            429 => plain(
                429,
                "429",
                "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 60 seconds. Please go here: https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit.",
            ),
            503 | 529 => plain(
                status,
                status.to_string(),
                "The service is temporarily unable to process your request. Please try again later.",
            ),
            500.. => plain(status, "InternalServerError", "Internal server error"),
            _ => OPENAI.failure(status),
        }
    }

    /// The bill of a resource is its subscription's: without one there is no such key.
    fn refuses(&self, call: Refused<'_>) -> Failure {
        match call.refusal {
            Refusal::ModelForbidden | Refusal::ModelUnknown => no_such_deployment(),
            Refusal::NoCredit | Refusal::KeyInvalid | Refusal::CredentialExpired => {
                plain(401, "401", BAD_KEY)
            }
            Refusal::AccountDisabled => plain(403, "403", BLOCKED),
            Refusal::RegionUnsupported => self.failure(403),
        }
    }

    fn error_body(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        let code = failure.code.as_deref();
        if code == Some(FILTER_CODE) {
            let inner =
                json!({"code": "ResponsibleAIPolicyViolation", "content_filter_result": filter::refusal()});
            let error = json!({"message": failure.message, "type": null, "param": failure.param, "code": code,
                "status": failure.status, "innererror": inner});
            return json!({"error": error}).to_string().into_bytes();
        }
        if failure.kind.is_empty() {
            return json!({"error": {"code": code, "message": failure.message}}).to_string().into_bytes();
        }
        OPENAI.error_body(failure, request_id)
    }

    fn error_event(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        if self.responses {
            return responses::error_event(failure, request_id);
        }
        let mut event = b"data: ".to_vec();
        event.extend(self.error_body(failure, request_id));
        event.extend(b"\n\n");
        event
    }

    fn malformed_event(&self) -> Vec<u8> {
        if self.responses { responses::malformed_event() } else { OPENAI.malformed_event() }
    }

    fn request_id_header(&self) -> HeaderName {
        HeaderName::from_static("apim-request-id")
    }

    fn limits(&self, status: u16, retry_after: Option<u64>, headers: &mut HeaderMap) {
        let refused = status == 429;
        set(headers, "x-ratelimit-limit-requests", "1000");
        set(headers, "x-ratelimit-limit-tokens", "100000");
        set(headers, "x-ratelimit-remaining-requests", if refused { "0" } else { "999" });
        set(headers, "x-ratelimit-remaining-tokens", if refused { "0" } else { "99900" });
        if refused {
            let millis = retry_after.unwrap_or(60).saturating_mul(1_000);
            set(headers, "retry-after-ms", &millis.to_string());
        }
        set(headers, "x-ms-region", "Sweden Central");
        set(headers, "azureml-model-session", "d000-emulator");
    }
}

/// The body with this model in it. What is no object stays as it is, to be refused.
fn with_model(body: &[u8], model: &str) -> Vec<u8> {
    match serde_json::from_slice::<Map<String, Value>>(body) {
        Ok(mut map) => {
            map.insert("model".to_owned(), model.into());
            Value::Object(map).to_string().into_bytes()
        }
        Err(_) => body.to_vec(),
    }
}

/// The deployment that a body asks for.
fn deployment(call: &Call<'_>) -> String {
    let body = serde_json::from_slice::<Value>(call.body).unwrap_or_default();
    body.get("model").and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_dates() {
        for (version, is) in [
            ("2024-10-21", true),
            ("2025-04-01-preview", true),
            ("preview", false),
            ("2024-10", false),
            ("2024-1x-21", false),
            ("", false),
        ] {
            assert_eq!(is_version(version), is, "{version}");
        }
    }
}
