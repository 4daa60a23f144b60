//! Claude Code Routers: they take what Anthropic's API takes, and ask the provider that they have for the model.

use std::time::Duration;

use http::{HeaderMap, Uri, request::Parts};
use shared::clock::Millis;
use wire::raw::body::facts_of_error;

use super::{
    Asked, ErrorAnswer, Front, Provider, RequestBody, Unaddressable,
    claude::{self, ClaudeConsole},
    failure::Class,
    gemini, openai,
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

    fn class(&self, error: &ErrorAnswer<'_>) -> Class {
        match (error.status, error.code()) {
            (400..=404, "provider_response_error") => of_provider(error),
            (404, "provider_not_found") => Class::ModelDenied,
            _ => claude::class(error),
        }
    }

    fn limited_for(&self, headers: &HeaderMap, now: Millis) -> Option<Duration> {
        ClaudeConsole.limited_for(headers, now)
    }
}

/// What the router's own provider answers comes with its status. A refusal of the router's key there says nothing of the
/// key for the router: models that it asks of others go on.
fn of_provider(error: &ErrorAnswer<'_>) -> Class {
    match error.status {
        401 => Class::ModelDenied,
        402 if openai::wants_fewer_tokens(error) => Class::Refused,
        402 => Class::Billing,
        403 | 404 if denies_model(error) => Class::ModelDenied,
        _ => Class::Refused,
    }
}

/// Whether the provider's body, which the message ends with, denies the model in the words of any provider. All ahead of
/// it is the router's, and the model that was asked for: `Error from provider(openrouter,x/y: 404): {"error":…}`.
fn denies_model(error: &ErrorAnswer<'_>) -> bool {
    let rest = error.said.message.strip_prefix("Error from provider(").unwrap_or_default();
    let parts = rest.split_once(&format!(": {}): ", error.status));
    let Some((asked, body)) = parts.and_then(|(asked, body)| Some((asked.split_once(',')?.1, body))) else {
        return false;
    };
    let said = facts_of_error(body.as_bytes());
    let nested = ErrorAnswer { said: &said, model: asked, ..*error };
    let documented = claude::documented(&nested)
        .or_else(|| openai::documented(&nested))
        .or_else(|| gemini::documented(&nested));
    documented == Some(Class::ModelDenied) || is_of_open_router(&nested)
}

/// What OpenRouter, which many routers ask, says of a model, and of its key's own limit. Of a model that has no endpoint
/// for what is asked of it, it says more.
fn is_of_open_router(error: &ErrorAnswer<'_>) -> bool {
    let message = &error.said.message;
    let missing = message.strip_prefix("No endpoints found for ").and_then(|rest| rest.strip_suffix('.'));
    missing.is_some_and(|model| !model.contains(' ')) || error.begins(&["Key limit exceeded"])
}
