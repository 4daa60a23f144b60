//! Why an attempt gave no answer, and how attempts end.

use std::time::Duration;

use http::HeaderMap;
use proto::v1::Outcome;
use shared::clock::Millis;
use wire::{
    error::upstream::UpstreamError,
    raw::watch::{FailureCause, StreamFailure, TOO_LARGE},
};

use super::refusal::Unconvertible;
use crate::provider::{
    Provider,
    failure::{Class, Reason, class_of, limited_for},
};

/// Why an attempt gave no answer, or not all of one.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: Reason,
    pub(super) class: Class,
    /// For classes that leave the account alone for a while: how long the provider asks for.
    pub(super) limited_for: Option<Duration>,
    /// The provider's words, for operators.
    pub(super) detail: String,
    /// What is wrong with the request, where the account could not be asked for that.
    pub(super) unconvertible: Option<Unconvertible>,
}

/// The one end that an attempt has, whenever it comes: before, during or behind the content, read on or given up.
#[derive(Debug)]
pub(super) enum End {
    /// The answer is whole.
    Completed,
    /// The provider refused the request itself, in these words.
    Refused(String),
    /// The account gave no answer, or not all of one.
    Failed(Failure),
    /// The node ended it, for a reason that says nothing of the account.
    CutOff(Reason),
    /// The client left; with what the account failed of by itself meanwhile.
    ClientGone(Option<Failure>),
}

impl Failure {
    pub(super) const fn of(reason: Reason) -> Self {
        Self { reason, class: reason.class(), limited_for: None, detail: String::new(), unconvertible: None }
    }

    pub(super) fn unconvertible(why: Unconvertible) -> Self {
        let reason = match why {
            Unconvertible::Request(_) => Reason::Unconvertible,
            Unconvertible::NoRoom(_) => Reason::NoMemory,
        };
        Self { detail: why.to_string(), unconvertible: Some(why), ..Self::of(reason) }
    }

    /// Of an answer that is no success.
    pub(super) fn status(
        (status, class): (u16, Class),
        provider: &dyn Provider,
        headers: &HeaderMap,
        said: UpstreamError,
        now: Millis,
    ) -> Self {
        let limited_for = limit(class, provider, headers, &said, now);
        Self { class, limited_for, detail: said.message, ..Self::of(Reason::Status(status)) }
    }

    /// Of a success that reports an error, or says nothing.
    pub(super) fn no_answer(provider: &dyn Provider, said: UpstreamError, now: Millis) -> Self {
        let class = match said.status.map(|status| provider.class(status, &said)) {
            // The request can't be at fault where the status says that it was served.
            None | Some(Class::Refused) => Class::Transient,
            Some(class) => class,
        };
        let limited_for = limit(class, provider, &HeaderMap::new(), &said, now);
        Self { class, limited_for, detail: said.message, ..Self::of(Reason::NoAnswer) }
    }

    /// Of an error inside a stream.
    pub(super) fn in_stream(
        failure: StreamFailure,
        provider: &dyn Provider,
        headers: &HeaderMap,
        now: Millis,
    ) -> Self {
        let error = match failure.cause {
            FailureCause::Reported(error) => error,
            FailureCause::Malformed(TOO_LARGE) => return Self::of(Reason::TooLarge),
            FailureCause::Malformed(_) => return Self::of(Reason::Malformed),
        };
        let class = error.status.map_or(Class::Transient, |status| provider.class(status, &error));
        let limited_for = limit(class, provider, headers, &error, now);
        Self { class, limited_for, detail: error.message, ..Self::of(Reason::StreamError) }
    }
}

/// What can go wrong while an answer is read that the client has got nothing of.
#[derive(Debug)]
pub(super) enum Trouble {
    Read(Reason),
    Stream(StreamFailure),
}

impl Trouble {
    pub(super) fn blame(self, provider: &dyn Provider, headers: &HeaderMap, now: Millis) -> Failure {
        match self {
            Self::Read(reason) => Failure::of(reason),
            Self::Stream(failure) => Failure::in_stream(failure, provider, headers, now),
        }
    }
}

/// The provider refuses the request ahead of all content: no other account would answer otherwise.
pub(super) fn is_about_the_request(failure: &StreamFailure) -> bool {
    match &failure.cause {
        FailureCause::Reported(UpstreamError { status: Some(status), .. }) => {
            failure.before_content && class_of(*status) == Class::Refused
        }
        _ => false,
    }
}

fn limit(
    class: Class,
    provider: &dyn Provider,
    headers: &HeaderMap,
    said: &UpstreamError,
    now: Millis,
) -> Option<Duration> {
    match class {
        Class::Limited(kind) => limited_for(kind, provider, headers, said, now),
        _ => None,
    }
}

impl End {
    /// What ends an answer that had begun.
    pub(super) fn early(reason: Reason) -> Self {
        match reason {
            Reason::Stopped | Reason::MaxStream | Reason::Revoked => Self::CutOff(reason),
            reason => Self::Failed(Failure::of(reason)),
        }
    }

    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::Completed => Outcome::Completed,
            Self::Refused(_) => Outcome::Refused,
            // Where the node has no room, or stops, that says nothing of the account.
            Self::Failed(Failure { reason: Reason::NoMemory | Reason::Stopped, .. }) | Self::CutOff(_) => {
                Outcome::CutOff
            }
            Self::Failed(_) => Outcome::UpstreamError,
            Self::ClientGone(_) => Outcome::ClientGone,
        }
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        match self {
            Self::CutOff(reason) => Some(*reason),
            end => end.failure().map(|failure| failure.reason),
        }
    }

    /// What the account failed of.
    pub(super) const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::ClientGone(Some(failure)) => Some(failure),
            Self::Completed | Self::Refused(_) | Self::CutOff(_) | Self::ClientGone(None) => None,
        }
    }

    /// The provider's own words.
    pub(super) fn detail(&self) -> &str {
        match self {
            Self::Refused(words) => words,
            end => end.failure().map_or("", |failure| &failure.detail),
        }
    }
}
