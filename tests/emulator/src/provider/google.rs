//! Google: the Gemini API, Vertex AI and Code Assist, which speak one wire through different doors.
//!
//! A body is read as the real one reads it: by the tables in [`messages`], which refuse every name they don't have, and
//! then by the checks in [`request`].

use http::{HeaderMap, HeaderName, request::Parts};
use serde_json::{Value, json};

use crate::{
    control::decoded,
    provider::{Failure, Provider, bearer, query},
    refusal::{Refusal, Refused},
    template::identifier,
};

pub(crate) mod answer;
pub(crate) mod count_tokens;
pub(crate) mod embed;
pub(crate) mod generate;
mod generation_config;
mod history;
mod messages;
pub(crate) mod models;
mod proto;
mod request;
mod schema;
mod signature;
mod tools;

pub use request::BLOCK_PROMPT;

pub(crate) static GEMINI: Google = Google { surface: Surface::Gemini };
pub(crate) static VERTEX: Google = Google { surface: Surface::Vertex };
pub(crate) static CODE_ASSIST: Google = Google { surface: Surface::CodeAssist };

/// Names that belong to this provider.
pub(crate) const MODEL_PREFIXES: &[&str] = &["gemini-", "gemma-", "learnlm-"];

const NO_KEY: &str = "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.";
const BAD_KEY: &str = "API key not valid. Please pass a valid API key.";
const OLD_KEY: &str = "API key expired. Please renew the API key.";
const NO_CREDIT: &str = "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your project and billing. Learn more at https://ai.google.dev/gemini-api/docs/billing#prepay.";
const NO_BILLING: &str = "This API method requires billing to be enabled. Please enable billing on project #1 by visiting https://console.developers.google.com/billing/enable?project=1 then retry. If you enabled billing for this project recently, wait a few minutes for the action to propagate to our systems and retry.";
const NO_LICENSE: &str = "You are currently configured to use a Google Cloud Project but lack a Gemini Code Assist license. Please contact your administrator to request a license. (#3501)";
const NO_LOCATION: &str = "User location is not supported for the API use.";
const SUSPENDED: &str = "Permission denied: Consumer 'project_number:1' has been suspended.";
const NO_TOKEN: &str = "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.";
const KEY_FOR_TOKEN: &str = "API keys are not supported by this API. Expected OAuth2 access token or other authentication credentials that assert a principal. See https://cloud.google.com/docs/authentication";
const BAD_TOKEN: &str = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.";

#[derive(Debug)]
pub(crate) struct Google {
    surface: Surface,
}

/// The door that a call comes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    /// generativelanguage.googleapis.com
    Gemini,
    /// {location}-aiplatform.googleapis.com
    Vertex,
    /// cloudcode-pa.googleapis.com
    CodeAssist,
}

impl Surface {
    const fn service(self) -> &'static str {
        match self {
            Self::Gemini => "generativelanguage.googleapis.com",
            Self::Vertex => "aiplatform.googleapis.com",
            Self::CodeAssist => "cloudcode-pa.googleapis.com",
        }
    }

    /// Where the names of messages live, as errors write them.
    const fn package(self) -> &'static str {
        match self {
            Self::Gemini => "google.ai.generativelanguage.v1beta",
            Self::Vertex => "google.cloud.aiplatform.v1",
            Self::CodeAssist => "google.internal.cloud.code.v1internal",
        }
    }
}

pub(crate) fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(400, "INVALID_ARGUMENT", message)
}

/// `path` is the whole path of the call, which names the model where the surface does.
pub(crate) fn no_such_model(surface: Surface, path: &str, model: &str, method: &str) -> Failure {
    let message = match surface {
        Surface::Gemini => {
            let version = if path.contains("/v1/") { "v1" } else { "v1beta" };
            format!(
                "models/{model} is not found for API version {version}, or is not supported for {method}. Call ListModels to see the list of available models and their supported methods."
            )
        }
        Surface::Vertex => {
            let name = path.rfind("/projects/").and_then(|at| path.get(at + 1..)).unwrap_or(path);
            let name = name.strip_suffix(method).map_or(name, |name| name.trim_end_matches(':'));
            format!(
                "Publisher Model `{name}` was not found or your project does not have access to it. Please ensure you are using a valid model version. For more information, see: https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions"
            )
        }
        Surface::CodeAssist => "Requested entity was not found.".to_owned(),
    };
    Failure::new(404, "NOT_FOUND", message)
}

fn error_info(reason: &str, surface: Surface) -> Value {
    json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com",
           "metadata": {"service": surface.service()}})
}

impl Google {
    fn unauthenticated(&self, message: &str, reason: &str) -> Failure {
        Failure::new(401, "UNAUTHENTICATED", message).with_details(vec![error_info(reason, self.surface)])
    }

    fn bad_key(&self) -> Failure {
        let said = json!({"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US",
                          "message": BAD_KEY});
        invalid(BAD_KEY).with_details(vec![error_info("API_KEY_INVALID", self.surface), said])
    }

    fn error(&self, failure: &Failure) -> Value {
        // Google has no 529.
        let code = if failure.status == 529 { 503 } else { failure.status };
        let mut error = json!({"code": code, "message": failure.message, "status": failure.kind});
        let details = failure.details.as_deref().and_then(Value::as_array);
        let mut details = details.cloned().unwrap_or_default();
        if let Some(seconds) = failure.retry_after.filter(|_| matches!(failure.status, 429 | 503)) {
            details.push(json!({"@type": "type.googleapis.com/google.rpc.RetryInfo",
                                "retryDelay": format!("{seconds}s")}));
        }
        if !details.is_empty() {
            error["details"] = details.into();
        }
        json!({ "error": error })
    }
}

/// A key as a header or the query has it.
fn api_key(parts: &Parts) -> Option<String> {
    let header = parts.headers.get("x-goog-api-key").and_then(|value| value.to_str().ok());
    let key = match header {
        Some(key) => key.trim().to_owned(),
        None => decoded(query(parts, "key")?)?,
    };
    (!key.is_empty()).then_some(key)
}

impl Provider for Google {
    fn credential(&self, parts: &Parts) -> Result<String, Failure> {
        let token = bearer(&parts.headers).map(str::to_owned);
        match (self.surface, api_key(parts), token) {
            (Surface::Gemini, Some(key), _) => Ok(key),
            (_, _, Some(token)) => Ok(token),
            (Surface::Gemini, None, None) => Err(Failure::new(403, "PERMISSION_DENIED", NO_KEY)),
            (_, Some(_), None) => Err(self.unauthenticated(KEY_FOR_TOKEN, "CREDENTIALS_MISSING")),
            (_, None, None) => Err(self.unauthenticated(NO_TOKEN, "CREDENTIALS_MISSING")),
        }
    }

    fn unknown_credential(&self, key: &str) -> Failure {
        match self.surface {
            Surface::Gemini if !key.starts_with("ya29.") => self.bad_key(),
            _ => self.unauthenticated(BAD_TOKEN, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
        }
    }

    fn check_credential(&self, parts: &Parts, _key: &str) -> Result<(), Failure> {
        if self.surface == Surface::Gemini && api_key(parts).is_some() {
            return Ok(());
        }
        match bearer(&parts.headers) {
            Some(token) if token.contains("expired") => {
                Err(self.unauthenticated(BAD_TOKEN, "ACCESS_TOKEN_EXPIRED"))
            }
            // An API key is no token.
            Some(token) if token.starts_with("AIza") => {
                Err(self.unauthenticated(BAD_TOKEN, "ACCESS_TOKEN_TYPE_UNSUPPORTED"))
            }
            _ => Ok(()),
        }
    }

    fn check_head(&self, _parts: &Parts) -> Result<(), Failure> {
        Ok(())
    }

    fn no_such_path(&self, parts: &Parts) -> Failure {
        let path = parts.uri.path();
        Failure::new(404, "NOT_FOUND", format!("The requested URL {path} was not found on this server."))
    }

    fn failure(&self, status: u16) -> Failure {
        let (kind, message) = match status {
            401 => return self.unauthenticated(BAD_TOKEN, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
            403 => ("PERMISSION_DENIED", "The caller does not have permission"),
            404 => ("NOT_FOUND", "Requested entity was not found."),
            408 | 504 => ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
            409 => ("ABORTED", "The operation was aborted."),
            413 => ("INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."),
            402 | 429 if self.surface == Surface::Gemini => (
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
            ),
            402 | 429 => (
                "RESOURCE_EXHAUSTED",
                "Resource exhausted. Please try again later. Please refer to https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details.",
            ),
            499 => ("CANCELLED", "The operation was cancelled."),
            503 | 529 => ("UNAVAILABLE", "The model is overloaded. Please try again later."),
            502 => ("UNAVAILABLE", "The service is currently unavailable."),
            500.. => (
                "INTERNAL",
                "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
            ),
            _ => ("INVALID_ARGUMENT", "Request contains an invalid argument."),
        };
        Failure::new(status, kind, message)
    }

    fn refuses(&self, call: Refused<'_>) -> Failure {
        let has_keys = self.surface == Surface::Gemini;
        let denied = |message: &str, reason: &str| {
            Failure::new(403, "PERMISSION_DENIED", message)
                .with_details(vec![error_info(reason, self.surface)])
        };
        match call.refusal {
            Refusal::NoCredit if has_keys => Failure::new(402, "RESOURCE_EXHAUSTED", NO_CREDIT),
            Refusal::NoCredit if self.surface == Surface::CodeAssist => {
                denied(NO_LICENSE, "SUBSCRIPTION_REQUIRED")
            }
            Refusal::NoCredit => denied(NO_BILLING, "BILLING_DISABLED"),
            Refusal::ModelForbidden | Refusal::ModelUnknown => {
                let method = call.path.rsplit(':').next().unwrap_or_default();
                no_such_model(self.surface, call.path, call.model, method)
            }
            Refusal::KeyInvalid if has_keys => self.bad_key(),
            Refusal::CredentialExpired if has_keys => {
                invalid(OLD_KEY).with_details(vec![error_info("API_KEY_INVALID", self.surface)])
            }
            Refusal::KeyInvalid => self.unauthenticated(BAD_TOKEN, "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
            Refusal::CredentialExpired => self.unauthenticated(BAD_TOKEN, "ACCESS_TOKEN_EXPIRED"),
            Refusal::AccountDisabled => denied(SUSPENDED, "CONSUMER_SUSPENDED"),
            Refusal::RegionUnsupported => Failure::new(400, "FAILED_PRECONDITION", NO_LOCATION),
        }
    }

    fn error_body(&self, failure: &Failure, _request_id: &str) -> Vec<u8> {
        self.error(failure).to_string().into_bytes()
    }

    fn error_event(&self, failure: &Failure, _request_id: &str) -> Vec<u8> {
        format!("data: {}\n\n", self.error(failure)).into_bytes()
    }

    fn malformed_event(&self) -> Vec<u8> {
        b"data: {\"candidates\": [{\"content\": {\"parts\": [{\"te\n\n".to_vec()
    }

    fn request_id_header(&self) -> HeaderName {
        HeaderName::from_static("x-cloudaicompanion-trace-id")
    }

    /// Only Code Assist names its answers in a header.
    fn request_id(&self, number: u64) -> String {
        if self.surface == Surface::CodeAssist { identifier(number) } else { String::new() }
    }

    /// A stream is a list to Google's servers, and so is what comes in its place, unless the door knows of events.
    fn lists_errors(&self, parts: &Parts) -> bool {
        let events = self.surface != Surface::CodeAssist && query(parts, "alt") == Some("sse");
        parts.uri.path().ends_with(":streamGenerateContent") && !events
    }

    /// It is in the error's details instead.
    fn has_retry_after(&self) -> bool {
        false
    }

    fn limits(&self, _status: u16, _retry_after: Option<u64>, _headers: &mut HeaderMap) {}
}
