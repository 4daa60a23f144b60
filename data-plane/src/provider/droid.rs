//! Factory's Droid: one key, three endpoints in three wires, of which an account uses one.

use std::time::Duration;

use http::{HeaderMap, Uri, header::AUTHORIZATION, request::Parts};
use proto::v1::droid_options::Endpoint as Kind;
use shared::clock::Millis;

use super::{
    Asked, Endpoint, ErrorAnswer, Front, Provider, RequestBody, Unaddressable,
    claude::{self, ANTHROPIC_VERSION, DEFAULT_VERSION},
    failure::{Class, class_of},
    openai, reset,
};
use crate::snapshot::{Account, Credential, Options};

pub(super) struct Droid;

impl Provider for Droid {
    fn front(&self, account: &Account, _model: &str) -> Front {
        match kind(account) {
            Kind::Anthropic => Front::Anthropic,
            Kind::Openai => Front::Responses,
            Kind::Unspecified | Kind::Common => Front::Chat,
        }
    }

    fn takes(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::ApiKey(_))
    }

    fn counts(&self) -> bool {
        false
    }

    fn url(&self, account: &Account, asked: &Asked<'_>) -> Result<Uri, Unaddressable> {
        let path = match asked.endpoint {
            Endpoint::Messages => "/a/v1/messages",
            Endpoint::Responses => "/o/v1/responses",
            Endpoint::ChatCompletions => "/o/v1/chat/completions",
            _ => return Err(Unaddressable::NoEndpoint),
        };
        account.address(asked, path)
    }

    fn sign(
        &self,
        account: &Account,
        request: &mut Parts,
        _body: &RequestBody,
        _now: Millis,
    ) -> Result<(), Unaddressable> {
        request.headers.insert(AUTHORIZATION, account.bearer(account.api_key()?)?);
        if kind(account) == Kind::Anthropic {
            request.headers.entry(ANTHROPIC_VERSION).or_insert(DEFAULT_VERSION);
        }
        Ok(())
    }

    /// Of its own it has the statuses: 401 for its key, 402 where nobody subscribes. All else is in the words of the
    /// provider behind it, and no word of one means something else to the other.
    fn class(&self, error: &ErrorAnswer<'_>) -> Class {
        let documented = claude::documented(error).or_else(|| openai::documented(error));
        documented.unwrap_or_else(|| class_of(error.status))
    }

    fn limited_for(&self, headers: &HeaderMap, now: Millis) -> Option<Duration> {
        reset::anthropic(headers, now).or_else(|| reset::openai(headers))
    }
}

fn kind(account: &Account) -> Kind {
    match &account.upstream.options {
        Options::Droid { endpoint } => *endpoint,
        _ => Kind::Common,
    }
}
