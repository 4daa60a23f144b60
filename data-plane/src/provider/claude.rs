//! The Claude API with an API key: the console's, and Claude Code Routers, which speak the same.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use shared::clock::Millis;

use super::{Operation, Provider, Unaddressable, reset, sensitive};
use crate::snapshot::{Account, Credential};

pub(super) struct ClaudeConsole;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// Sent for clients that name no version.
const DEFAULT_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

impl Provider for ClaudeConsole {
    fn path(&self, operation: Operation) -> Option<&'static str> {
        match operation {
            Operation::Messages => Some("/v1/messages"),
            Operation::CountTokens => Some("/v1/messages/count_tokens"),
            Operation::Chat | Operation::Embeddings => None,
        }
    }

    fn takes(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::ApiKey(_))
    }

    fn sign(&self, account: &Account, headers: &mut HeaderMap) -> Result<(), Unaddressable> {
        let Credential::ApiKey(key) = &account.upstream.credential else {
            return Err(Unaddressable::NoCredential);
        };
        if key.expose().starts_with("sk-ant-") {
            headers.insert(X_API_KEY, sensitive(&[key.expose()])?);
        } else {
            headers.insert(AUTHORIZATION, sensitive(&["Bearer ", key.expose()])?);
        }
        headers.entry(ANTHROPIC_VERSION).or_insert(DEFAULT_VERSION);
        Ok(())
    }

    fn limited_for(&self, headers: &HeaderMap, now: Millis) -> Option<Duration> {
        reset::anthropic(headers, now)
    }
}
