//! What an upstream's refusal or silence means, and what follows from it.

use std::{borrow::Cow, io, time::Duration};

use http::HeaderMap;
use shared::clock::Millis;
use wire::error::upstream::UpstreamError;

use super::{Provider, reset};
use crate::{
    live::MarkKind,
    upstream::{CallError, LinkError, is_private_address, source},
};

/// An account is left alone this long where a 429 doesn't say how long.
pub const DEFAULT_RATE_LIMITED: Duration = Duration::from_secs(60);
/// The same for 503 and 529.
pub const DEFAULT_OVERLOADED: Duration = Duration::from_secs(30);

/// What went wrong with an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The account's settings make no request.
    Unaddressable,
    /// What is asked for can't be said in the account's wire.
    Unconvertible,
    PrivateAddress,
    Connect,
    ConnectTimeout,
    FirstByteTimeout,
    /// No plain answer in the time that one attempt has.
    AttemptTimeout,
    /// No content in time, over all attempts.
    Deadline,
    /// Nothing came for too long.
    Stall,
    /// The connection broke, or the answer ended early.
    Cut,
    Malformed,
    /// The answer, or a frame of it, is larger than what is held. It would be as large from any account.
    TooLarge,
    /// A success that reports an error, or says nothing.
    NoAnswer,
    /// The upstream reported an error inside its stream.
    StreamError,
    /// The stream ran for longer than streams may.
    MaxStream,
    /// The node was stopped.
    Stopped,
    /// The key or the account was revoked.
    Revoked,
    /// The node has no memory to convert the request.
    NoMemory,
    /// The gateway failed.
    Panicked,
    Status(u16),
}

impl Reason {
    /// Why no answer came.
    #[must_use]
    pub fn of(error: &CallError) -> Self {
        match error {
            CallError::Over => Self::Stopped,
            CallError::Link(LinkError::Malformed(_)) | CallError::Coding(_) => Self::Malformed,
            CallError::Link(_) => Self::Cut,
            CallError::Connect(error) if is_private_address(&**error) => Self::PrivateAddress,
            CallError::Connect(error) => match source::<io::Error>(&**error) {
                Some(error) if error.kind() == io::ErrorKind::TimedOut => Self::ConnectTimeout,
                _ => Self::Connect,
            },
        }
    }

    /// The short code that records and logs carry.
    #[must_use]
    pub fn code(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Unaddressable => "unaddressable",
            Self::Unconvertible => "unconvertible",
            Self::PrivateAddress => "private_address",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::AttemptTimeout => "attempt_timeout",
            Self::Deadline => "deadline",
            Self::Stall => "stall",
            Self::Cut => "cut",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::NoAnswer => "no_answer",
            Self::StreamError => "stream_error",
            Self::MaxStream => "max_stream",
            Self::Stopped => "stopped",
            Self::Revoked => "revoked",
            Self::NoMemory => "no_memory",
            Self::Panicked => "panicked",
            Self::Status(status) => return Cow::Owned(format!("status_{status}")),
        })
    }
}

impl Reason {
    /// Whether another attempt can't help, whoever makes it.
    #[must_use]
    pub const fn is_last(self) -> bool {
        matches!(self, Self::Deadline | Self::Stopped | Self::TooLarge | Self::NoMemory)
    }

    /// What follows from it, where no answer says more.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            // The same again would end the same way, and the account needs no pause but a person.
            Self::Unaddressable
            | Self::Unconvertible
            | Self::PrivateAddress
            | Self::TooLarge
            | Self::NoMemory => Class::Refused,
            Self::Status(status) => class_of(status),
            _ => Class::Transient,
        }
    }
}

/// What follows from an answer that is no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Worth another account; and, where there is none, the same one again after a while.
    Transient,
    /// Worth another account; this one is left alone for a while.
    Limited(MarkKind),
    /// Worth another account; whether this one's credential works must be found out.
    Credential,
    /// Worth another account; nobody pays for this one any more, which must be found out.
    Billing,
    /// Worth another account; this one may not use the model, or its upstream does not have it. It serves others.
    ModelDenied,
    /// Reasoning in the history that another of the provider's accounts or models made. Worth the same account again,
    /// without it.
    Reasoning,
    /// The upstream does not count for the model. The node estimates: to a client that learns nothing it would be worth
    /// many requests that cost.
    Counting,
    /// The server does not have the endpoint. Worth the same account again, by the other one.
    NoEndpoint,
    /// The model does not know the search for tools that the request offers. Worth the same account again, with a
    /// function in its place.
    ToolSearch,
    /// About the request itself: no other account would answer otherwise.
    Refused,
}

impl Class {
    /// Whether the account failed, and not for what was asked of it: it might answer the same request another time.
    #[must_use]
    pub const fn is_of_account(self) -> bool {
        matches!(self, Self::Transient | Self::Limited(_) | Self::Credential | Self::Billing)
    }
}

/// The class of an HTTP status that is not 2xx, or of the status that an error in a stream stands for, where the
/// provider documents nothing more.
#[must_use]
pub const fn class_of(status: u16) -> Class {
    match status {
        401 | 403 => Class::Credential,
        402 => Class::Billing,
        408 => Class::Transient,
        429 => Class::Limited(MarkKind::RateLimited),
        503 | 529 => Class::Limited(MarkKind::Overloaded),
        400..=499 => Class::Refused,
        // Also what no model API should answer: redirects, and the codes that CDNs make up.
        _ => Class::Transient,
    }
}

/// Whether a refusal is about reasoning in the history. Each line is in a provider's own words; nothing else of the
/// request is at fault then, and without an answer to this a conversation would be dead for good. A client that has an
/// upstream repeat the words gets its own request sent once more, without its reasoning, and only its own proofs count as
/// refused from then on.
#[must_use]
pub fn refuses_reasoning(status: u16, said: &UpstreamError) -> bool {
    const WORDS: [&str; 7] = [
        // Anthropic, also on Bedrock
        "Invalid `signature` in `thinking` block",
        "thinking.signature: Field required",
        // AWS, of a model that knows none, or none that is signed
        "doesn't support the reasoningContent",
        // OpenAI: an item whose answer never came, and one that is not kept
        "of type 'reasoning' was provided without its required following item",
        "Item with id 'rs_",
        // Google
        "Thought signature is not valid",
        // Google again: Vertex and Code Assist do not take a proof whose text is empty, as the developer's API gives them
        "it has an empty text parameter",
    ];
    let coded = said.code.as_deref() == Some("invalid_encrypted_content");
    matches!(status, 400 | 404) && (coded || WORDS.iter().any(|words| said.message.contains(words)))
}

/// Whether OpenAI says that the model has no `tool_search`. What a client made up stands behind other words, or ahead of a
/// colon.
#[must_use]
pub fn refuses_tool_search(status: u16, said: &UpstreamError) -> bool {
    let words = &said.message;
    status == 400 && words.starts_with("Tool 'tool_search' is not supported with ") && !words.contains(": ")
}

/// How long the upstream asks to be left alone, in headers or in its error, bounded; none where it does not say.
#[must_use]
pub fn limited_for(
    kind: MarkKind,
    provider: &dyn Provider,
    headers: &HeaderMap,
    said: &UpstreamError,
    now: Millis,
) -> Option<Duration> {
    let after = reset::retry_after(headers, now).or(said.retry_after);
    let lasts = match kind {
        MarkKind::RateLimited => after.or_else(|| provider.limited_for(headers, now)),
        // Rate limit headers come with every answer and say nothing about the overload.
        MarkKind::Overloaded => after,
    };
    lasts.map(|lasts| lasts.clamp(Duration::from_millis(100), reset::MAX_LIMITED))
}

/// How long an account is left alone whose upstream did not say.
#[must_use]
pub const fn guess(kind: MarkKind) -> Duration {
    match kind {
        MarkKind::RateLimited => DEFAULT_RATE_LIMITED,
        MarkKind::Overloaded => DEFAULT_OVERLOADED,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::provider::for_type;

    #[test]
    fn the_table() {
        for status in [408, 500, 502, 504, 520, 524, 301] {
            assert_eq!(class_of(status), Class::Transient, "{status}");
        }
        for status in [401, 403] {
            assert_eq!(class_of(status), Class::Credential, "{status}");
        }
        assert_eq!(class_of(402), Class::Billing);
        for status in [400, 404, 405, 409, 413, 415, 422] {
            assert_eq!(class_of(status), Class::Refused, "{status}");
        }
        assert_eq!(class_of(429), Class::Limited(MarkKind::RateLimited));
        assert_eq!(class_of(503), Class::Limited(MarkKind::Overloaded));
        assert_eq!(class_of(529), Class::Limited(MarkKind::Overloaded));
    }

    #[test]
    fn refusals_of_reasoning_are_known_by_the_providers_words() {
        let said = |code: Option<&str>, message: &str| UpstreamError {
            code: code.map(Into::into),
            message: message.into(),
            ..UpstreamError::default()
        };
        for said in [
            said(None, "messages.1.content.0: Invalid `signature` in `thinking` block"),
            said(
                Some("invalid_encrypted_content"),
                "The encrypted content for item rs_1 could not be verified.",
            ),
            said(
                None,
                "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false.",
            ),
            said(None, "messages.1.content.0.thinking.signature: Field required"),
            said(
                None,
                "This model doesn't support the reasoningContent.text.signature field. Remove reasoningContent.text.signature and try again.",
            ),
            said(None, "Unable to submit request because it has an empty text parameter."),
        ] {
            assert!(refuses_reasoning(400, &said), "{said:?}");
        }
        assert!(!refuses_reasoning(400, &said(None, "Item with id 'msg_1' not found.")));
    }

    #[test]
    fn a_search_for_tools_that_the_model_lacks_is_told_from_the_clients_own_words() {
        let refuses = |message: &str| {
            refuses_tool_search(400, &UpstreamError { message: message.into(), ..UpstreamError::default() })
        };
        assert!(refuses("Tool 'tool_search' is not supported with gpt-5.1."));
        assert!(!refuses("Unknown parameter: 'Tool 'tool_search' is not supported with gpt-5.1.'."));
        assert!(!refuses(
            "Tool 'tool_search' is not supported with gpt-5.1.: Extra inputs are not permitted"
        ));
    }

    #[test]
    fn the_upstream_says_how_long_or_nobody_does() {
        let provider = for_type(shared::account::AccountType::Openai);
        let said = UpstreamError::default();
        let mut headers = HeaderMap::new();
        let now = Millis(0);
        assert_eq!(limited_for(MarkKind::RateLimited, provider, &headers, &said, now), None);
        assert_eq!(limited_for(MarkKind::Overloaded, provider, &headers, &said, now), None);
        headers.insert("x-ratelimit-remaining-requests", HeaderValue::from_static("0"));
        headers.insert("x-ratelimit-reset-requests", HeaderValue::from_static("5s"));
        assert_eq!(
            limited_for(MarkKind::RateLimited, provider, &headers, &said, now),
            Some(Duration::from_secs(5))
        );
        assert_eq!(limited_for(MarkKind::Overloaded, provider, &headers, &said, now), None);
        headers.insert("retry-after", HeaderValue::from_static("2"));
        assert_eq!(
            limited_for(MarkKind::RateLimited, provider, &headers, &said, now),
            Some(Duration::from_secs(2))
        );
        assert_eq!(
            limited_for(MarkKind::Overloaded, provider, &headers, &said, now),
            Some(Duration::from_secs(2))
        );
        headers.insert("retry-after", HeaderValue::from_static("0"));
        let shortest = limited_for(MarkKind::RateLimited, provider, &headers, &said, now);
        assert!(shortest.unwrap() > Duration::ZERO, "an end that is past would be no mark");
    }
}
