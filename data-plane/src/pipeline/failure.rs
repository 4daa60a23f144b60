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
    ErrorAnswer, Provider,
    failure::{Class, Reason, limited_for},
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
}

/// What can go wrong while an answer is read that the client has got nothing of.
#[derive(Debug)]
pub(super) enum Trouble {
    Read(Reason),
    Stream(StreamFailure),
}

/// What says whose fault it is that an answer is none: the account's provider knows its errors.
pub(super) struct Judge<'a> {
    pub(super) provider: &'static dyn Provider,
    /// As the provider knows it.
    pub(super) model: &'a str,
    /// See [`ErrorAnswer::only_model`].
    pub(super) only_model: bool,
    /// Of the answer; empty where they say nothing more.
    pub(super) headers: &'a HeaderMap,
    pub(super) now: Millis,
}

impl Judge<'_> {
    pub(super) fn class(&self, status: u16, said: &UpstreamError) -> Class {
        let Self { headers, model, only_model, .. } = *self;
        self.provider.class(&ErrorAnswer { status, headers, said, model, only_model })
    }

    /// An answer that is no success.
    pub(super) fn status(&self, (status, class): (u16, Class), said: UpstreamError) -> Failure {
        self.failure(Reason::Status(status), class, said)
    }

    /// A success that reports an error, or says nothing.
    pub(super) fn no_answer(&self, said: UpstreamError) -> Failure {
        let class = said.status.map_or(Class::Transient, |status| self.class(status, &said));
        self.failure(Reason::NoAnswer, class, said)
    }

    pub(super) fn trouble(&self, trouble: Trouble) -> Failure {
        match trouble {
            Trouble::Read(reason) => Failure::of(reason),
            Trouble::Stream(failure) => self.in_stream(failure),
        }
    }

    /// A failure inside a stream.
    pub(super) fn in_stream(&self, failure: StreamFailure) -> Failure {
        let said = match failure.cause {
            FailureCause::Reported(said) => said,
            FailureCause::Malformed(TOO_LARGE) => return Failure::of(Reason::TooLarge),
            FailureCause::Malformed(_) => return Failure::of(Reason::Malformed),
        };
        let class = said.status.map_or(Class::Transient, |status| self.class(status, &said));
        self.failure(Reason::StreamError, class, said)
    }

    /// Whether the provider refuses the request ahead of all content: no other account would answer otherwise.
    pub(super) fn is_about_the_request(&self, failure: &StreamFailure) -> bool {
        match &failure.cause {
            FailureCause::Reported(said) if failure.before_content => {
                said.status.is_some_and(|status| self.class(status, said) == Class::Refused)
            }
            _ => false,
        }
    }

    fn failure(&self, reason: Reason, class: Class, said: UpstreamError) -> Failure {
        let limited_for = match class {
            Class::Limited(kind) => limited_for(kind, self.provider, self.headers, &said, self.now),
            _ => None,
        };
        Failure { class, limited_for, detail: said.message, ..Failure::of(reason) }
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
