//! Anthropic's API: with a console's key, and with a Claude login.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::AUTHORIZATION, request::Parts};
use shared::clock::Millis;

use super::{
    Asked, Endpoint, ErrorAnswer, Front, Provider, RequestBody, Unaddressable,
    failure::{Class, class_of},
    reset,
};
use crate::snapshot::{Account, Credential};

pub(super) struct ClaudeConsole;
pub(super) struct ClaudeOfficial;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
pub(super) const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");
/// Sent for clients that name no version.
pub(super) const DEFAULT_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");
/// What the API wants to see with an access token.
const OAUTH_BETA: &str = "oauth-2025-04-20";

impl Provider for ClaudeConsole {
    fn front(&self, _account: &Account, _model: &str) -> Front {
        Front::Anthropic
    }

    fn takes(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::ApiKey(_))
    }

    fn url(&self, account: &Account, asked: &Asked<'_>) -> Result<Uri, Unaddressable> {
        account.address(asked, path(asked)?)
    }

    fn sign(
        &self,
        account: &Account,
        request: &mut Parts,
        _body: &RequestBody,
        _now: Millis,
    ) -> Result<(), Unaddressable> {
        let headers = &mut request.headers;
        let key = account.api_key()?;
        if key.starts_with("sk-ant-") {
            headers.insert(X_API_KEY, account.bare_key()?);
        } else {
            headers.insert(AUTHORIZATION, account.bearer(key)?);
        }
        headers.entry(ANTHROPIC_VERSION).or_insert(DEFAULT_VERSION);
        Ok(())
    }

    fn class(&self, error: &ErrorAnswer<'_>) -> Class {
        class(error)
    }

    fn limited_for(&self, headers: &HeaderMap, now: Millis) -> Option<Duration> {
        reset::anthropic(headers, now)
    }
}

impl Provider for ClaudeOfficial {
    fn front(&self, _account: &Account, _model: &str) -> Front {
        Front::Anthropic
    }

    fn takes(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::AccessToken { .. })
    }

    fn url(&self, account: &Account, asked: &Asked<'_>) -> Result<Uri, Unaddressable> {
        account.address(asked, path(asked)?)
    }

    fn sign(
        &self,
        account: &Account,
        request: &mut Parts,
        _body: &RequestBody,
        _now: Millis,
    ) -> Result<(), Unaddressable> {
        let headers = &mut request.headers;
        headers.insert(AUTHORIZATION, account.bearer(account.access_token()?)?);
        headers.entry(ANTHROPIC_VERSION).or_insert(DEFAULT_VERSION);
        add_beta(headers, OAUTH_BETA);
        Ok(())
    }

    fn class(&self, error: &ErrorAnswer<'_>) -> Class {
        class(error)
    }

    fn limited_for(&self, headers: &HeaderMap, now: Millis) -> Option<Duration> {
        reset::anthropic(headers, now)
    }
}

pub(super) fn class(error: &ErrorAnswer<'_>) -> Class {
    documented(error).unwrap_or_else(|| class_of(error.status))
}

/// What Anthropic's API says where the status alone does not. Whoever has no credit is told so with a type of 400 that
/// stands for much else, as is whose organization is shut; there is nothing but the message to know these by. Its validator
/// begins with a key of the client's, and says what is wrong with it behind a colon.
pub(super) fn documented(error: &ErrorAnswer<'_>) -> Option<Class> {
    const NO_CREDIT: [&str; 3] = [
        "Your credit balance is too low to access the ",
        // Limits that the organization set itself.
        "You have reached your specified API usage limits. You will regain access on ",
        "You have reached your specified workspace API usage limits. You will regain access on ",
    ];
    const SHUT: [&str; 1] = ["This organization has been disabled"];
    match (error.status, error.kind()) {
        (402, _) | (_, "billing_error") => Some(Class::Billing),
        (400, "invalid_request_error") if error.begins(&NO_CREDIT) => Some(Class::Billing),
        (400, "invalid_request_error") if error.is(&SHUT) => Some(Class::Credential),
        // The month's cap of the organization's tier has the type of a rate limit, and no end that is worth waiting for.
        (429, "rate_limit_error") if error.code() == "enforced_spend_limit_reached" => Some(Class::Billing),
        // What a request names besides, such as a file, is not found in other words, and a tool's own model is another.
        (404, "not_found_error") if error.is_of_model("model: ", "") => Some(Class::ModelDenied),
        _ => None,
    }
}

fn path(asked: &Asked<'_>) -> Result<&'static str, Unaddressable> {
    match asked.endpoint {
        Endpoint::Messages => Ok("/v1/messages"),
        Endpoint::CountTokens => Ok("/v1/messages/count_tokens"),
        _ => Err(Unaddressable::NoEndpoint),
    }
}

/// The client's own betas stay.
fn add_beta(headers: &mut HeaderMap, beta: &'static str) {
    if !betas(headers).any(|named| named == beta) {
        headers.append(ANTHROPIC_BETA, HeaderValue::from_static(beta));
    }
}

/// The betas that a client names, one by one.
pub fn betas(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(ANTHROPIC_BETA).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|beta| !beta.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_betas_stay_and_ours_is_added_once() {
        let mut headers = HeaderMap::new();
        headers.insert(ANTHROPIC_BETA, HeaderValue::from_static("one, two"));
        add_beta(&mut headers, OAUTH_BETA);
        add_beta(&mut headers, OAUTH_BETA);
        assert_eq!(betas(&headers).collect::<Vec<_>>(), ["one", "two", OAUTH_BETA]);
    }
}
