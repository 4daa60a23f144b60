//! The OpenAI API with an API key, the many that speak it, and the backend behind ChatGPT logins.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::AUTHORIZATION, request::Parts};
use shared::clock::Millis;

use super::{
    Asked, Endpoint, ErrorAnswer, Front, Provider, RequestBody, Unaddressable,
    failure::{Class, class_of},
    reset,
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
                Endpoint::Responses => account.address(asked, "/responses"),
                _ => Err(Unaddressable::NoEndpoint),
            };
        }
        account.address(asked, path(asked.endpoint)?)
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
            headers.insert(AUTHORIZATION, account.bearer(account.access_token()?)?);
            set(headers, CHATGPT_ACCOUNT_ID, chatgpt)?;
        } else {
            headers.insert(AUTHORIZATION, account.bearer(account.api_key()?)?);
        }
        // The client's own would speak of another account.
        set(headers, ORGANIZATION, organization)?;
        set(headers, PROJECT, project)
    }

    fn class(&self, error: &ErrorAnswer<'_>) -> Class {
        class(error)
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
        account.address(asked, path(asked.endpoint)?)
    }

    fn sign(
        &self,
        account: &Account,
        request: &mut Parts,
        _body: &RequestBody,
        _now: Millis,
    ) -> Result<(), Unaddressable> {
        let headers = &mut request.headers;
        headers.insert(AUTHORIZATION, account.bearer(account.api_key()?)?);
        set(headers, ORGANIZATION, None)?;
        set(headers, PROJECT, None)
    }

    fn class(&self, error: &ErrorAnswer<'_>) -> Class {
        class(error)
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

fn class(error: &ErrorAnswer<'_>) -> Class {
    documented(error).unwrap_or_else(|| class_of(error.status))
}

/// What OpenAI's API says where the status alone does not, and the servers that speak its language: Groq, Mistral, vLLM,
/// Ollama, DeepSeek, OpenRouter. Their validators begin with words of their own, and types and codes are never a client's.
pub(super) fn documented(error: &ErrorAnswer<'_>) -> Option<Class> {
    // A quota that is spent comes as 429, as a rate limit does, and does not come back by itself.
    const NO_CREDIT: [&str; 8] = [
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
        // A ChatGPT plan without this.
        "usage_not_included",
    ];
    const SHUT: [&str; 3] = ["account_deactivated", "invalid_api_key", "organization_restricted"];
    const CONTENT: [&str; 3] = ["content_policy_violation", "content_filter", "moderation_blocked"];
    let is = |words: &[&str]| words.contains(&error.kind()) || words.contains(&error.code());
    match error.status {
        402 if wants_fewer_tokens(error) => Some(Class::Refused),
        400..=499 if is(&NO_CREDIT) => Some(Class::Billing),
        400..=499 if is(&SHUT) => Some(Class::Credential),
        403 if is(&CONTENT) || error.holds("Your input was flagged") => Some(Class::Refused),
        400 | 403 | 404 => denied(error),
        // It is larger than what the account may use in a minute: too large for ever, and smaller ones go on.
        429 if error.begins(&["Request too large"]) => Some(Class::Refused),
        _ => None,
    }
}

/// OpenRouter, where there is credit for less than the request asks for.
pub(super) fn wants_fewer_tokens(error: &ErrorAnswer<'_>) -> bool {
    error.holds("fewer max_tokens") || error.holds("can only afford")
}

/// What is said of a model. Where that is a tool's, which the client named, it is the request's.
fn denied(error: &ErrorAnswer<'_>) -> Option<Class> {
    const CODES: [&str; 4] = [
        "model_not_found",
        "model_permission_blocked_org",
        "model_permission_blocked_project",
        "unknown_model",
    ];
    let of_any = CODES.contains(&error.code())
        || error.kind() == "invalid_model"
        || error.begins(&["Your organization must be verified to use the model "]);
    if of_any && is_of_another_model(error) {
        return Some(Class::Refused);
    }
    let denied = of_any
        || error.is(&["Model Not Exist"])
        || error.is_between("You are not allowed to ", " from this model")
        || error.status == 404 && is_missing(error)
        || error.is_of_model("The '", "' model is not supported when using Codex with a ChatGPT account");
    denied.then_some(Class::ModelDenied)
}

/// Servers that have no code for a model that they don't have.
fn is_missing(error: &ErrorAnswer<'_>) -> bool {
    let missing = |rest: &str| rest.starts_with(" does not exist") || rest.starts_with(" not found");
    error.begins(&["The model `", "model \"", "model '"])
        && named(error).is_some_and(|(named, rest)| is_asked_for(named, error.model) && missing(rest))
}

fn is_of_another_model(error: &ErrorAnswer<'_>) -> bool {
    error.said.param.as_deref().is_some_and(|param| param.starts_with("tools"))
        || named(error).is_some_and(|(named, _)| !is_asked_for(named, error.model))
}

/// The first model that an error names in quotes, and what follows.
fn named<'a>(error: &ErrorAnswer<'a>) -> Option<(&'a str, &'a str)> {
    ["model `", "model '", "model \""].iter().find_map(|start| {
        let (_, rest) = error.said.message.split_once(start)?;
        rest.split_once(|sign| start.ends_with(sign))
    })
}

/// Whether an error that names this model is about the one that was asked for: a name that stands for another is told by
/// that one's, as `gpt-4-turbo-preview` by `gpt-4-0125-preview`. No tool's model is of the same family.
fn is_asked_for(named: &str, model: &str) -> bool {
    let family = |name| {
        let mut parts = str::splitn(name, 3, '-');
        (parts.next(), parts.next())
    };
    named.starts_with(model) || family(named) == family(model)
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
