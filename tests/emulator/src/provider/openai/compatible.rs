//! A server that speaks OpenAI's older wire and nothing else: chats and a list of its models, of whatever maker.

use http::{HeaderMap, HeaderName, request::Parts};
use serde_json::json;

use crate::{
    provider::{Failure, Provider, openai::OPENAI, set},
    refusal::{Refusal, Refused},
};

pub(crate) static COMPATIBLE: Compatible = Compatible;

#[derive(Debug)]
pub(crate) struct Compatible;

/// A refusal by the server's framework, which has no more than this text.
fn detail(status: u16, text: &str) -> Failure {
    Failure::new(status, "", text)
}

impl Provider for Compatible {
    fn credential(&self, parts: &Parts) -> Result<String, Failure> {
        OPENAI.credential(parts)
    }

    fn unknown_credential(&self, key: &str) -> Failure {
        OPENAI.unknown_credential(key)
    }

    fn check_head(&self, _parts: &Parts) -> Result<(), Failure> {
        Ok(())
    }

    fn no_such_path(&self, _parts: &Parts) -> Failure {
        detail(404, "Not Found")
    }

    fn failure(&self, status: u16) -> Failure {
        OPENAI.failure(status)
    }

    /// The model has no code here.
    fn refuses(&self, call: Refused<'_>) -> Failure {
        match call.refusal {
            Refusal::ModelForbidden | Refusal::ModelUnknown => {
                let message = format!("The model `{}` does not exist.", call.model);
                Failure::new(404, "NotFoundError", message).with_param("model")
            }
            _ => OPENAI.refuses(call),
        }
    }

    fn error_body(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        if failure.kind.is_empty() {
            return json!({"detail": failure.message}).to_string().into_bytes();
        }
        OPENAI.error_body(failure, request_id)
    }

    fn error_event(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        OPENAI.error_event(failure, request_id)
    }

    fn malformed_event(&self) -> Vec<u8> {
        OPENAI.malformed_event()
    }

    fn request_id_header(&self) -> HeaderName {
        OPENAI.request_id_header()
    }

    /// It has none to speak of.
    fn limits(&self, status: u16, retry_after: Option<u64>, headers: &mut HeaderMap) {
        if let Some(seconds) = retry_after.filter(|_| status == 429) {
            set(headers, "x-ratelimit-reset-requests", &format!("{seconds}s"));
        }
    }
}
