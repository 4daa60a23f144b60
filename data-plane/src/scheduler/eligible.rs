//! The one predicate: may this account serve this request now?

use shared::{clock::Millis, id::AccountId};

use super::Target;
use crate::{
    live::MarkKind,
    provider::{self, Operation, Passage},
    snapshot::Account,
};

/// What a request needs of an account.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    pub target: Target,
    pub operation: Operation,
    /// The only account that knows what the request builds on.
    pub bound: Option<AccountId>,
    /// After the mapping that holds for all accounts.
    pub model: &'a str,
    /// Nobody else can serve: accounts that rest on a guess may.
    pub last_resort: bool,
}

/// Why an account does not serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exclusion {
    OtherPlatform,
    OtherType,
    /// The request builds on what another account keeps.
    NotBound,
    /// The account is of a type that this build doesn't know, or lacks what its type needs.
    UnsupportedByNode,
    /// Its upstream has no counterpart for what is asked for.
    NoCounterpart,
    Disabled,
    Unschedulable,
    Expired,
    /// Its access token is no longer good.
    CredentialExpired,
    Invalid,
    ModelNotAllowed,
    /// Its upstream said lately that it may not use the model, or does not have it.
    ModelDenied,
    RateLimited,
    Overloaded,
    /// All its slots are in use.
    Full,
    /// It failed this very request already.
    Tried,
}

impl Exclusion {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherPlatform => "other_platform",
            Self::OtherType => "other_type",
            Self::NotBound => "not_bound",
            Self::UnsupportedByNode => "unsupported_by_node",
            Self::Disabled => "disabled",
            Self::Unschedulable => "unschedulable",
            Self::NoCounterpart => "no_counterpart",
            Self::Expired => "expired",
            Self::CredentialExpired => "credential_expired",
            Self::Invalid => "invalid",
            Self::ModelNotAllowed => "model_not_allowed",
            Self::ModelDenied => "model_denied",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Full => "full",
            Self::Tried => "tried",
        }
    }
}

/// The name to send upstream, or why the account may not serve.
///
/// # Errors
/// The first reason found.
pub fn eligible<'a>(account: &'a Account, wanted: &Wanted<'a>, now: Millis) -> Result<&'a str, Exclusion> {
    let Some(kind) = account.kind else {
        return Err(Exclusion::UnsupportedByNode);
    };
    if kind.platform() != wanted.target.platform {
        return Err(Exclusion::OtherPlatform);
    }
    if wanted.target.account_type.is_some_and(|asked| asked != kind) {
        return Err(Exclusion::OtherType);
    }
    if wanted.bound.is_some_and(|bound| bound != account.id) {
        return Err(Exclusion::NotBound);
    }
    usable(account, now)?;
    let model = mapped(account, wanted.model).ok_or(Exclusion::ModelNotAllowed)?;
    match provider::passage_to(account, wanted.operation, model, wanted.model, now) {
        None => return Err(Exclusion::UnsupportedByNode),
        Some(Passage::Refused(_)) => return Err(Exclusion::NoCounterpart),
        Some(Passage::Raw(endpoint) | Passage::Via(endpoint)) => {
            let (sent, learned) = (provider::sent_model(account, model), &account.state.learned);
            if learned.denies(sent, endpoint.as_str(), account.version, now) {
                return Err(Exclusion::ModelDenied);
            }
        }
        Some(Passage::Estimate) => {}
    }
    match account.state.marked(model, now, wanted.last_resort) {
        Some(MarkKind::RateLimited) => return Err(Exclusion::RateLimited),
        Some(MarkKind::Overloaded) => return Err(Exclusion::Overloaded),
        None => {}
    }
    if account.concurrency.is_some_and(|slots| account.state.in_flight() >= slots) {
        return Err(Exclusion::Full);
    }
    Ok(model)
}

/// What people decided about the account, and its validity.
fn usable(account: &Account, now: Millis) -> Result<(), Exclusion> {
    if !account.enabled {
        Err(Exclusion::Disabled)
    } else if !account.schedulable {
        Err(Exclusion::Unschedulable)
    } else if account.expires_at.is_some_and(|expiry| expiry <= now) {
        Err(Exclusion::Expired)
    } else if account.upstream.credential.expired(now) {
        Err(Exclusion::CredentialExpired)
    } else if account.invalid_reason.is_some() {
        Err(Exclusion::Invalid)
    } else {
        Ok(())
    }
}

/// The account's own name for `model`; `None` where its allow-list does not have that.
#[must_use]
pub fn mapped<'a>(account: &'a Account, model: &'a str) -> Option<&'a str> {
    let rule = account.model_mapping.iter().find(|(from, _)| from.matches(model));
    let name = rule.map_or(model, |(_, to)| to.as_str());
    let allowed = &account.allowed_models;
    (allowed.is_empty() || allowed.iter().any(|pattern| pattern.matches(name))).then_some(name)
}
