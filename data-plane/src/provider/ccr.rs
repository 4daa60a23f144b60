//! Claude Code Routers: they take what Anthropic's API takes, and ask the provider that they have for the model.

use std::time::Duration;

use http::{HeaderMap, Uri, request::Parts};
use shared::clock::Millis;

use super::{
    Asked, ErrorAnswer, Front, Provider, RequestBody, Unaddressable,
    claude::{self, ClaudeConsole},
    failure::Class,
};
use crate::snapshot::{Account, Credential};

pub(super) struct ClaudeCodeRouter;

impl Provider for ClaudeCodeRouter {
    fn front(&self, account: &Account, model: &str) -> Front {
        ClaudeConsole.front(account, model)
    }

    fn takes(&self, credential: &Credential) -> bool {
        ClaudeConsole.takes(credential)
    }

    fn url(&self, account: &Account, asked: &Asked<'_>) -> Result<Uri, Unaddressable> {
        ClaudeConsole.url(account, asked)
    }

    fn sign(
        &self,
        account: &Account,
        request: &mut Parts,
        body: &RequestBody,
        now: Millis,
    ) -> Result<(), Unaddressable> {
        ClaudeConsole.sign(account, request, body, now)
    }

    /// What the router's own provider answers comes with its status and its body in the message. A refusal of the
    /// router's key there says nothing of the key for the router: models that it asks of others go on.
    fn class(&self, error: &ErrorAnswer<'_>) -> Class {
        match (error.status, error.code()) {
            (400..=404, "provider_response_error") if is_about_the_request(error) => Class::Refused,
            (401..=404, "provider_response_error") | (404, "provider_not_found") => Class::ModelDenied,
            _ => claude::class(error),
        }
    }

    fn limited_for(&self, headers: &HeaderMap, now: Millis) -> Option<Duration> {
        ClaudeConsole.limited_for(headers, now)
    }
}

/// Of what OpenRouter, which many routers ask, answers with 403 and 404.
fn is_about_the_request(error: &ErrorAnswer<'_>) -> bool {
    error.holds("Your input was flagged") || error.holds("No endpoints found that support")
}
