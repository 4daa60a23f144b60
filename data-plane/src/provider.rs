//! How upstreams are reached: URL, headers, authentication, failure classes, reset headers. No JSON bodies here.
//!
//! [`Provider`] is one upstream's manners, and [`for_type`] the table of them. [`failure`] says what an upstream's
//! refusal means, [`upstream`] is the HTTP client that all share, and [`tester`] sends the smallest request there is
//! to learn whether an account works.
//!
//! To add a provider: a file with its [`Provider`], and a row in [`for_type`].

mod claude;
pub mod failure;
mod headers;
mod openai;
mod private;
mod reset;
pub mod tester;
pub mod upstream;

use http::{HeaderMap, HeaderValue, Uri};
use shared::{account::AccountType, clock::Millis, wire::Wire};
use std::time::Duration;

pub use headers::{strip_request_headers, strip_response_headers};
pub use tester::Tester;
pub use upstream::{OutboundSettings, UpstreamClient};

use crate::snapshot::{Account, Credential};

/// What is asked of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Chat,
    Embeddings,
    Messages,
    CountTokens,
}

impl Operation {
    pub const ALL: [Self; 4] = [Self::Chat, Self::Embeddings, Self::Messages, Self::CountTokens];

    /// The wire of request and answer.
    #[must_use]
    pub const fn wire(self) -> Wire {
        match self {
            Self::Chat | Self::Embeddings => Wire::Chat,
            Self::Messages | Self::CountTokens => Wire::Messages,
        }
    }

    /// Whether tokens are consumed, so that the request goes into the ledger.
    #[must_use]
    pub const fn metered(self) -> bool {
        !matches!(self, Self::CountTokens)
    }
}

/// An account's upstream can't be addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unaddressable {
    #[error("the account has no base URL")]
    NoBaseUrl,
    #[error("the base URL and the path make no valid URL")]
    InvalidUrl,
    #[error("the account has no credential of the form that its type needs")]
    NoCredential,
    #[error("the account's credential or options hold characters that no HTTP header may have")]
    InvalidHeader,
}

/// One upstream's manners.
pub trait Provider: Sync {
    /// Where the operation lives, from the base URL; `None` where the upstream has none.
    fn path(&self, operation: Operation) -> Option<&'static str>;

    /// Whether requests can be signed with this form of credential.
    fn takes(&self, credential: &Credential) -> bool;

    /// Adds what the upstream wants to see: the credential, and the headers that go with it.
    ///
    /// # Errors
    /// See [`Unaddressable`].
    fn sign(&self, account: &Account, headers: &mut HeaderMap) -> Result<(), Unaddressable>;

    /// How long the upstream says that its limits last; `None` where it doesn't say.
    fn limited_for(&self, headers: &HeaderMap, now: Millis) -> Option<Duration>;
}

/// The providers that this build has.
#[must_use]
pub const fn for_type(kind: AccountType) -> Option<&'static dyn Provider> {
    match kind {
        // A Claude Code Router takes what the console takes.
        AccountType::ClaudeConsole | AccountType::Ccr => Some(&claude::ClaudeConsole),
        AccountType::Openai => Some(&openai::OpenAi),
        AccountType::ClaudeOfficial
        | AccountType::Bedrock
        | AccountType::OpenaiResponses
        | AccountType::AzureOpenai
        | AccountType::Gemini
        | AccountType::GeminiApi
        | AccountType::Droid => None,
    }
}

#[must_use]
pub fn for_account(account: &Account) -> Option<&'static dyn Provider> {
    account.kind.and_then(for_type)
}

/// Whether this build can carry the operation to this account.
#[must_use]
pub fn serves(account: &Account, operation: Operation) -> bool {
    let upstream = &account.upstream;
    for_account(account).is_some_and(|provider| {
        upstream.base_url.is_some()
            && provider.takes(&upstream.credential)
            && provider.path(operation).is_some()
    })
}

/// The account types that this build can reach.
#[must_use]
pub fn served_types() -> Vec<AccountType> {
    AccountType::ALL.into_iter().filter(|kind| for_type(*kind).is_some()).collect()
}

/// The wires that clients can speak with this build.
#[must_use]
pub fn served_wires() -> Vec<Wire> {
    let served = |wire: &Wire| Operation::ALL.iter().any(|operation| operation.wire() == *wire);
    Wire::ALL.into_iter().filter(served).collect()
}

/// The operation's address: the base URL, the provider's path, the client's query.
///
/// A base URL that already ends with the path's first segment (`…/v1`) is taken as it is often written.
///
/// # Errors
/// See [`Unaddressable`].
pub fn url(account: &Account, path: &str, query: Option<&str>) -> Result<Uri, Unaddressable> {
    let base = account.upstream.base_url.as_ref().ok_or(Unaddressable::NoBaseUrl)?;
    let base = base.as_str().trim_end_matches('/');
    let base = if path.starts_with("/v1/") { base.strip_suffix("/v1").unwrap_or(base) } else { base };
    let mut text = String::with_capacity(base.len() + path.len() + query.map_or(0, |query| query.len() + 1));
    text.push_str(base);
    text.push_str(path);
    if let Some(query) = query {
        text.push('?');
        text.push_str(query);
    }
    Uri::from_maybe_shared(bytes::Bytes::from(text)).map_err(|_| Unaddressable::InvalidUrl)
}

/// A header's value that logs and `Debug` don't show.
fn sensitive(parts: &[&str]) -> Result<HeaderValue, Unaddressable> {
    let text = zeroize::Zeroizing::new(parts.concat());
    let mut value = HeaderValue::from_str(&text).map_err(|_| Unaddressable::InvalidHeader)?;
    value.set_sensitive(true);
    Ok(value)
}
