//! The OpenAI API with an API key, the many that speak it, and the backend behind ChatGPT logins.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::AUTHORIZATION, request::Parts};
use shared::clock::Millis;
use wire::error::upstream::UpstreamError;

use super::{
    Asked, Endpoint, Front, Provider, RequestBody, Unaddressable,
    failure::{Class, class_of_words},
    join, reset, sensitive,
};
use crate::snapshot::{Account, Credential, Options};

pub(super) struct OpenAi;
pub(super) struct OpenAiResponses;

const ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
const PROJECT: HeaderName = HeaderName::from_static("openai-project");
const CHATGPT_ACCOUNT_ID: HeaderName = HeaderName::from_static("chatgpt-account-id");

impl Provider for OpenAi {
    fn front(&self, account: &Account, _model: &str) -> Front {
        match account.upstream.credential {
            Credential::AccessToken { .. } => Front::ChatGpt,
            _ => Front::OpenAi,
        }
    }

    fn takes(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::ApiKey(_) | Credential::AccessToken { .. })
    }

    fn url(&self, account: &Account, asked: &Asked<'_>) -> Result<Uri, Unaddressable> {
        if matches!(account.upstream.credential, Credential::AccessToken { .. }) {
            return match asked.endpoint {
                Endpoint::Responses => join(account.base()?, "/responses", asked.query),
                _ => Err(Unaddressable::NoEndpoint),
            };
        }
        join(account.base()?, path(asked.endpoint)?, asked.query)
    }

    fn sign(
        &self,
        account: &Account,
        request: &mut Parts,
        _body: &RequestBody,
        _now: Millis,
    ) -> Result<(), Unaddressable> {
        let headers = &mut request.headers;
        let (organization, project, chatgpt) = match &account.upstream.options {
            Options::OpenAi { organization, project, chatgpt_account_id } => {
                (organization.as_deref(), project.as_deref(), chatgpt_account_id.as_deref())
            }
            _ => (None, None, None),
        };
        if matches!(account.upstream.credential, Credential::AccessToken { .. }) {
            headers.insert(AUTHORIZATION, sensitive(&["Bearer ", account.access_token()?])?);
            set(headers, CHATGPT_ACCOUNT_ID, chatgpt)?;
        } else {
            headers.insert(AUTHORIZATION, sensitive(&["Bearer ", account.api_key()?])?);
        }
        // The client's own would speak of another account.
        set(headers, ORGANIZATION, organization)?;
        set(headers, PROJECT, project)
    }

    fn class(&self, status: u16, said: &UpstreamError) -> Class {
        class(status, said)
    }

    fn limited_for(&self, headers: &HeaderMap, _now: Millis) -> Option<Duration> {
        reset::openai(headers)
    }
}

impl Provider for OpenAiResponses {
    fn front(&self, _account: &Account, _model: &str) -> Front {
        Front::Responses
    }

    fn takes(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::ApiKey(_))
    }

    fn url(&self, account: &Account, asked: &Asked<'_>) -> Result<Uri, Unaddressable> {
        join(account.base()?, path(asked.endpoint)?, asked.query)
    }

    fn sign(
        &self,
        account: &Account,
        request: &mut Parts,
        _body: &RequestBody,
        _now: Millis,
    ) -> Result<(), Unaddressable> {
        let headers = &mut request.headers;
        headers.insert(AUTHORIZATION, sensitive(&["Bearer ", account.api_key()?])?);
        set(headers, ORGANIZATION, None)?;
        set(headers, PROJECT, None)
    }

    fn class(&self, status: u16, said: &UpstreamError) -> Class {
        class(status, said)
    }

    fn limited_for(&self, headers: &HeaderMap, _now: Millis) -> Option<Duration> {
        reset::openai(headers)
    }
}

/// Whether it is one of OpenAI's models that think, by its name: from the fifth generation on, and `o1`, `o3` ….
pub(super) fn thinks(model: &str) -> bool {
    let generation = |name: &str| {
        let digits = name.find(|c: char| !c.is_ascii_digit()).unwrap_or(name.len());
        name.get(..digits).and_then(|digits| digits.parse::<u32>().ok())
    };
    if let Some(rest) = model.strip_prefix("gpt-") {
        return generation(rest).is_some_and(|generation| generation >= 5) && !rest.contains("chat");
    }
    model.starts_with("codex-") || model.strip_prefix('o').is_some_and(|rest| generation(rest).is_some())
}

/// A quota that is spent comes as 429 too, and does not come back by itself. So does a request that is larger than what
/// the account may use in a minute: it is too large for ever, and smaller ones go on.
pub(super) fn class(status: u16, said: &UpstreamError) -> Class {
    if status == 429 && said.code.as_deref() == Some("insufficient_quota") {
        return Class::Credential;
    }
    if status == 429 && said.message.starts_with("Request too large") {
        return Class::Refused;
    }
    class_of_words(status, said)
}

fn path(endpoint: Endpoint) -> Result<&'static str, Unaddressable> {
    match endpoint {
        Endpoint::ChatCompletions => Ok("/v1/chat/completions"),
        Endpoint::Embeddings => Ok("/v1/embeddings"),
        Endpoint::Responses => Ok("/v1/responses"),
        Endpoint::InputTokens => Ok("/v1/responses/input_tokens"),
        _ => Err(Unaddressable::NoEndpoint),
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: Option<&str>) -> Result<(), Unaddressable> {
    match text {
        Some(text) => {
            headers.insert(name, HeaderValue::from_str(text).map_err(|_| Unaddressable::InvalidHeader)?);
        }
        None => {
            headers.remove(name);
        }
    }
    Ok(())
}
