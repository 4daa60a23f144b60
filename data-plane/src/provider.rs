//! How upstreams are reached: URL, headers, authentication, failure classes, reset headers. No JSON bodies here.
//!
//! [`Provider`] is one upstream's manners, and [`for_type`] the table of them. [`passage`] is the table of how each
//! wire gets to each kind of upstream. [`failure`] says what an upstream's refusal means, and [`tester`] sends the smallest
//! request there is to learn whether an account works.
//!
//! To add a provider: a file with its [`Provider`], and a row in [`for_type`].

mod answer;
mod azure;
mod bedrock;
mod ccr;
mod claude;
mod droid;
pub mod failure;
mod gemini;
mod headers;
mod openai;
pub mod passage;
mod percent;
mod reset;
mod trace;
pub mod words;

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Uri, request::Parts};
use shared::{account::AccountType, clock::Millis, wire::Wire};

pub use answer::ErrorAnswer;
pub use bedrock::knows_beta as bedrock_knows;
pub use claude::betas as client_betas;
pub use headers::{fresh_request_headers, strip_request_headers, strip_response_headers};
pub use passage::{Endpoint, Front, Passage, lacks_endpoint};
pub use trace::TraceId;

use crate::{
    snapshot::{Account, Credential},
    upstream::RequestBody,
};
use failure::Class;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Chat,
    Embeddings,
    Responses,
    Messages,
    CountTokens,
    Gemini,
    /// Gemini's `countTokens`.
    CountContents,
}

impl Operation {
    pub const ALL: [Self; 7] = [
        Self::Chat,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
        Self::Gemini,
        Self::CountContents,
    ];

    /// The wire of request and answer.
    #[must_use]
    pub const fn wire(self) -> Wire {
        match self {
            Self::Chat | Self::Embeddings => Wire::Chat,
            Self::Responses => Wire::Responses,
            Self::Messages | Self::CountTokens => Wire::Messages,
            Self::Gemini | Self::CountContents => Wire::Gemini,
        }
    }

    /// Whether tokens are consumed, so that the request goes into the ledger.
    #[must_use]
    pub const fn metered(self) -> bool {
        !self.counts()
    }

    /// Whether it only counts tokens.
    #[must_use]
    pub const fn counts(self) -> bool {
        matches!(self, Self::CountTokens | Self::CountContents)
    }

    /// Whether its answers may come as streams.
    #[must_use]
    pub const fn streams(self) -> bool {
        matches!(self, Self::Chat | Self::Responses | Self::Messages | Self::Gemini)
    }
}

/// An account's upstream can't be addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unaddressable {
    #[error("the account has no base URL")]
    NoBaseUrl,
    #[error("the base URL and the path make no valid URL")]
    InvalidUrl,
    #[error("the account's options lack what its address is made of")]
    NoOptions,
    #[error("the account's upstream has no such endpoint")]
    NoEndpoint,
    #[error("the account has no credential of the form that its type needs")]
    NoCredential,
    #[error("the account's credential or options hold characters that no HTTP header may have")]
    InvalidHeader,
    #[error("the request can't be signed")]
    Unsigned,
}

/// What is called.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    pub endpoint: Endpoint,
    /// As the upstream knows it.
    pub model: &'a str,
    pub stream: bool,
    /// The client's, on the raw path.
    pub query: Option<&'a str>,
}

/// One upstream's manners.
pub trait Provider: Sync {
    /// What kind of upstream this is, for the account and the model.
    fn front(&self, account: &Account, model: &str) -> Front;

    /// Whether requests can be signed with this form of credential.
    fn takes(&self, credential: &Credential) -> bool;

    /// Whether the account has what its addresses are made of.
    fn complete(&self, account: &Account) -> bool {
        account.upstream.base_url.is_some()
    }

    /// Whether the upstream counts tokens on its own.
    fn counts(&self) -> bool {
        true
    }

    /// The upstream's own name for an account's model.
    fn model<'a>(&self, _account: &'a Account, model: &'a str) -> &'a str {
        model
    }

    /// # Errors
    /// See [`Unaddressable`].
    fn url(&self, account: &Account, asked: &Asked<'_>) -> Result<Uri, Unaddressable>;

    /// Adds what the upstream wants to see: the credential, and the headers that go with it. All else of the request is
    /// in place.
    ///
    /// # Errors
    /// See [`Unaddressable`].
    fn sign(
        &self,
        account: &Account,
        request: &mut Parts,
        body: &RequestBody,
        now: Millis,
    ) -> Result<(), Unaddressable>;

    /// Whether nothing but the model can be meant by an upstream that does not find something and does not say what. Asked
    /// of the request as it is sent, whose body and headers may name files, caches, or another model for a tool.
    fn names_only_the_model(&self, _account: &Account, _request: &Request<RequestBody>) -> bool {
        false
    }

    /// What follows from an error, by what the provider documents: whether it is about the request, the account, or the
    /// model that the account may not use.
    fn class(&self, error: &ErrorAnswer<'_>) -> Class;

    /// How long the upstream's headers say that its limits last; `None` where they don't say.
    fn limited_for(&self, headers: &HeaderMap, now: Millis) -> Option<Duration>;
}

/// The providers.
#[must_use]
pub const fn for_type(kind: AccountType) -> &'static dyn Provider {
    match kind {
        AccountType::ClaudeOfficial => &claude::ClaudeOfficial,
        AccountType::ClaudeConsole => &claude::ClaudeConsole,
        AccountType::Ccr => &ccr::ClaudeCodeRouter,
        AccountType::Bedrock => &bedrock::Bedrock,
        AccountType::Openai => &openai::OpenAi,
        AccountType::OpenaiResponses => &openai::OpenAiResponses,
        AccountType::AzureOpenai => &azure::AzureOpenAi,
        AccountType::Gemini => &gemini::Gemini,
        AccountType::GeminiApi => &gemini::GeminiApi,
        AccountType::Droid => &droid::Droid,
    }
}

/// `None`: a type that this build doesn't know.
#[must_use]
pub fn for_account(account: &Account) -> Option<&'static dyn Provider> {
    account.kind.map(for_type)
}

/// How the operation gets to the account's upstream. `model` is the account's name for it, `asked` the one before its
/// mapping.
///
/// `None`: this build doesn't know the type, or the account lacks what its type needs.
#[must_use]
pub fn passage_to(
    account: &Account,
    operation: Operation,
    model: &str,
    asked: &str,
    now: Millis,
) -> Option<Passage> {
    let provider = for_account(account)?;
    if !provider.takes(&account.upstream.credential) || !provider.complete(account) {
        return None;
    }
    Some(passage::passage(operation, front(provider, account, model, asked, now)))
}

/// What kind of upstream this is for the model, by what is known of the server. A deployment's name says nothing of the
/// model behind it, so the names that it goes by before count too.
#[must_use]
pub fn front(provider: &dyn Provider, account: &Account, model: &str, asked: &str, now: Millis) -> Front {
    let sent = provider.model(account, model);
    let thinks = || [sent, model, asked].iter().any(|name| openai::thinks(name));
    match provider.front(account, sent) {
        Front::OpenAi | Front::Azure if account.state.learned.lacks_responses(now) => Front::Compatible,
        Front::OpenAi if thinks() => Front::OpenAiThinking,
        Front::Azure if thinks() => Front::AzureThinking,
        front => front,
    }
}

/// The account's name for a model as its upstream knows it.
#[must_use]
pub fn sent_model<'a>(account: &'a Account, model: &'a str) -> &'a str {
    for_account(account).map_or(model, |provider| provider.model(account, model))
}

/// See [`Provider::names_only_the_model`].
#[must_use]
pub fn names_only_the_model(account: &Account, request: &Request<RequestBody>) -> bool {
    for_account(account).is_some_and(|provider| provider.names_only_the_model(account, request))
}

/// The account types that this build can reach.
#[must_use]
pub fn served_types() -> Vec<AccountType> {
    AccountType::ALL.to_vec()
}

/// The wires that clients can speak with this build.
#[must_use]
pub fn served_wires() -> Vec<Wire> {
    Wire::ALL.to_vec()
}

impl Account {
    /// Without a trailing slash.
    fn base(&self) -> Result<&str, Unaddressable> {
        let base = self.upstream.base_url.as_ref().ok_or(Unaddressable::NoBaseUrl)?;
        Ok(base.as_str().trim_end_matches('/'))
    }

    fn api_key(&self) -> Result<&str, Unaddressable> {
        match &self.upstream.credential {
            Credential::ApiKey(key) => Ok(key.expose()),
            _ => Err(Unaddressable::NoCredential),
        }
    }

    fn access_token(&self) -> Result<&str, Unaddressable> {
        match &self.upstream.credential {
            Credential::AccessToken { token, .. } => Ok(token.expose()),
            _ => Err(Unaddressable::NoCredential),
        }
    }
}

impl Account {
    /// Where `asked` goes, whose path is the same whatever the model.
    fn address(&self, asked: &Asked<'_>, path: &str) -> Result<Uri, Unaddressable> {
        match asked.query {
            None => self.upstream.ready.address(asked.endpoint as usize, || join(self.base()?, path, None)),
            query => join(self.base()?, path, query),
        }
    }

    /// The account's `secret` for the `authorization` header. An account has one way to sign: this one, or
    /// [`Self::bare_key`].
    fn bearer(&self, secret: &str) -> Result<HeaderValue, Unaddressable> {
        self.upstream.ready.authorization(|| sensitive(&["Bearer ", secret]))
    }

    /// The account's key, for a header of its own.
    fn bare_key(&self) -> Result<HeaderValue, Unaddressable> {
        let key = self.api_key()?;
        self.upstream.ready.authorization(|| sensitive(&[key]))
    }
}

/// Base URL, path and query as one address.
///
/// A base URL that already ends with the path's first segment (`…/v1`) is taken as it is often written.
fn join(base: &str, path: &str, query: Option<&str>) -> Result<Uri, Unaddressable> {
    let base = base.trim_end_matches('/');
    let base = if path.starts_with("/v1/") { base.strip_suffix("/v1").unwrap_or(base) } else { base };
    let mut text = String::with_capacity(base.len() + path.len() + query.map_or(0, |query| query.len() + 1));
    text.push_str(base);
    text.push_str(path);
    if let Some(query) = query {
        text.push('?');
        text.push_str(query);
    }
    let uri = Uri::from_maybe_shared(bytes::Bytes::from(text)).map_err(|_| Unaddressable::InvalidUrl)?;
    if names_one_host(&uri) { Ok(uri) } else { Err(Unaddressable::InvalidUrl) }
}

/// What stands behind a host is its port and nothing else: what is no port would be passed over, with the rest of a name
/// that was meant to be the host's.
fn names_one_host(uri: &Uri) -> bool {
    let Some(authority) = uri.authority() else { return false };
    let behind = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
    match behind.get(authority.host().len()..) {
        Some("") => true,
        Some(port) => port.starts_with(':') && authority.port_u16().is_some(),
        None => false,
    }
}

/// A header's value that logs and `Debug` don't show.
fn sensitive(parts: &[&str]) -> Result<HeaderValue, Unaddressable> {
    let text = zeroize::Zeroizing::new(parts.concat());
    let mut value = HeaderValue::from_str(&text).map_err(|_| Unaddressable::InvalidHeader)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
