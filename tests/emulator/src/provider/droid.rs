//! Factory's proxy in front of other providers: their wires as they are, its own keys.

use http::{HeaderMap, HeaderName, request::Parts};
use serde_json::{Value, json};

use crate::{
    provider::{
        Call, Failure, Profile, Provider,
        anthropic::{self, ANTHROPIC},
        bearer,
        openai::{self, OPENAI, responses::RESPONSES},
    },
    refusal::{Refusal, Refused},
    template::Draft,
};

pub(crate) static DROID_ANTHROPIC: Droid = Droid { behind: &ANTHROPIC, kind: "authentication_error" };
pub(crate) static DROID_RESPONSES: Droid = Droid { behind: &RESPONSES, kind: "invalid_request_error" };
pub(crate) static DROID_CHAT: Droid = Droid { behind: &OPENAI, kind: "invalid_request_error" };

const KEY_PREFIX: &str = "fk-";
const BAD_KEY: &str = "Invalid API key";
const UNPAID: &str = "Ready to get started? Subscribe at https://app.factory.ai/settings/billing";

pub(crate) struct Droid {
    behind: &'static dyn Provider,
    /// What the provider behind calls an error of credentials.
    kind: &'static str,
}

/// POST /a/v1/messages
pub(crate) fn messages(call: &Call<'_>) -> Result<Draft, Failure> {
    anthropic::messages::answer(call)
}

/// POST /o/v1/responses
pub(crate) fn responses(call: &Call<'_>) -> Result<Draft, Failure> {
    openai::responses::answer(call)
}

/// POST /o/v1/chat/completions, which serves models of many makers.
pub(crate) fn chat(call: &Call<'_>) -> Result<Draft, Failure> {
    let body = serde_json::from_slice::<Value>(call.body).unwrap_or_default();
    let asked = body.get("model").and_then(Value::as_str).unwrap_or_default();
    let models = call.profile.has_model(asked, &[""]).then(|| vec![asked.to_owned()]);
    let profile = Profile { models: models.or_else(|| Some(Vec::new())), ..call.profile.clone() };
    openai::chat::answer(&Call { profile: &profile, ..*call })
}

impl Droid {
    fn bad_key(&self) -> Failure {
        Failure::new(401, self.kind, BAD_KEY)
    }
}

impl Provider for Droid {
    fn credential(&self, parts: &Parts) -> Result<String, Failure> {
        let key = bearer(&parts.headers).filter(|key| key.starts_with(KEY_PREFIX));
        key.map(str::to_owned).ok_or_else(|| self.bad_key())
    }

    fn unknown_credential(&self, _key: &str) -> Failure {
        self.bad_key()
    }

    fn check_head(&self, parts: &Parts) -> Result<(), Failure> {
        self.behind.check_head(parts)
    }

    fn no_such_path(&self, parts: &Parts) -> Failure {
        self.behind.no_such_path(parts)
    }

    fn failure(&self, status: u16) -> Failure {
        if status == 401 { self.bad_key() } else { self.behind.failure(status) }
    }

    fn refuses(&self, call: Refused<'_>) -> Failure {
        match call.refusal {
            Refusal::NoCredit => Failure::new(402, "", UNPAID),
            Refusal::KeyInvalid | Refusal::CredentialExpired => self.bad_key(),
            _ => self.behind.refuses(call),
        }
    }

    fn error_body(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        // What the proxy itself refuses is not in the form of who stands behind it.
        if failure.status == 402 && failure.kind.is_empty() {
            let body = json!({"detail": failure.message, "status": 402, "title": "Payment Required",
                "requestId": request_id});
            return body.to_string().into_bytes();
        }
        self.behind.error_body(failure, request_id)
    }

    fn error_event(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        self.behind.error_event(failure, request_id)
    }

    fn malformed_event(&self) -> Vec<u8> {
        self.behind.malformed_event()
    }

    fn ping_event(&self) -> Vec<u8> {
        self.behind.ping_event()
    }

    fn request_id_header(&self) -> HeaderName {
        self.behind.request_id_header()
    }

    fn limits(&self, status: u16, retry_after: Option<u64>, headers: &mut HeaderMap) {
        self.behind.limits(status, retry_after, headers);
    }
}
