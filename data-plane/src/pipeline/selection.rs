//! Whom a request goes to, one account after the other: what was tried, and what is configured by now.
//!
//! Each pick takes the newest configuration. A body may take minutes to arrive and an attempt to fail; an account that is
//! gone meanwhile gets nothing more, and neither does a key.

use std::{sync::Arc, time::Duration};

use rand::Rng as _;
use shared::{clock::Millis, id::AccountId};

use super::{
    failure::Failure,
    filter::Admitted,
    refusal::{Refusal, Unconvertible, UpstreamFailed},
};
use crate::{
    faults::{self, Place},
    live::MarkKind,
    provider::failure::{Class, Reason},
    proxy::Proxy,
    scheduler::{Explanation, Picked, Tried, Wanted, explain, pick},
    snapshot::{Account, Retries, Snapshot},
};

#[derive(Debug)]
pub(super) struct Selection {
    /// The account that knows what the request builds on.
    bound: Option<AccountId>,
    tried: Tried,
    /// Those of them that may be tried again.
    transient: Tried,
    rounds: u32,
    last: Option<UpstreamFailed>,
    /// Of the first account that could not be asked for that.
    unconvertible: Option<Unconvertible>,
    /// Nothing more is to be begun: the key may not go on, or the node has no room for the request.
    ended: Option<Refusal>,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// An attempt has begun.
    Taken,
    /// No account is eligible now; those that failed for the moment are after so long.
    Wait(Duration),
    /// Nothing more.
    Over,
}

impl Selection {
    pub(super) fn of(bound: Option<AccountId>) -> Self {
        Self {
            bound,
            tried: Tried::default(),
            transient: Tried::default(),
            rounds: 0,
            last: None,
            unconvertible: None,
            ended: None,
        }
    }

    /// Gives `take` an account that was not tried, and a slot of it. None: no such one is eligible.
    ///
    /// # Errors
    /// The key is not valid any more, or the model's name leads nowhere.
    pub(super) fn pick<T>(
        &self,
        proxy: &Proxy,
        admitted: &Admitted,
        take: impl FnOnce(Picked<'_>) -> T,
    ) -> Result<Option<T>, Refusal> {
        faults::reach(Place::Select);
        let (snapshot, now) = (proxy.snapshot.load(), proxy.clock.now());
        admitted.caller.check(&snapshot, now)?;
        let wanted = admitted.wanted(&snapshot, self.bound)?;
        Ok(picked(&snapshot, &wanted, &self.tried, now).map(take))
    }

    /// Whether an account that was picked may be asked once more: neither it nor the key is gone meanwhile.
    pub(super) fn may_repeat(&mut self, proxy: &Proxy, admitted: &Admitted, account: &Account) -> bool {
        let snapshot = proxy.snapshot.load();
        if Arc::ptr_eq(&snapshot, &admitted.caller.snapshot) {
            return true;
        }
        if let Err(refusal) = admitted.caller.check(&snapshot, proxy.clock.now()) {
            self.ended = Some(refusal);
            return false;
        }
        snapshot.accounts.iter().any(|other| other.id == account.id && other.enabled)
    }

    /// Gives `take` the next account, and a slot of it.
    pub(super) fn next(&mut self, proxy: &Proxy, admitted: &Admitted, take: impl FnOnce(Picked<'_>)) -> Next {
        if self.is_over() {
            return Next::Over;
        }
        match self.pick(proxy, admitted, take) {
            Ok(Some(())) => Next::Taken,
            Ok(None) => self.delay(&proxy.snapshot.load().policy.retries).map_or(Next::Over, Next::Wait),
            Err(refusal) => {
                self.ended = Some(refusal);
                Next::Over
            }
        }
    }

    /// Why there was none from the first: in full in the log, in short for the client.
    pub(super) fn no_account(&self, proxy: &Proxy, admitted: &Admitted) -> Refusal {
        let explanation = match self.explanation(proxy, admitted) {
            Ok(explanation) => explanation,
            Err(refusal) => return refusal,
        };
        proxy.metrics.pick_failed();
        if explanation.bound_account_gone() {
            return Refusal::BoundAccountGone;
        }
        tracing::warn!(model = admitted.view.model, excluded = %explanation, "no account is eligible");
        Refusal::NoAccount(explanation)
    }

    /// What each account is left out for by now.
    fn explanation(&self, proxy: &Proxy, admitted: &Admitted) -> Result<Explanation, Refusal> {
        let (snapshot, now) = (proxy.snapshot.load(), proxy.clock.now());
        let wanted = Wanted { last_resort: true, ..admitted.wanted(&snapshot, self.bound)? };
        Ok(explain(&snapshot.accounts, &wanted, &[], now))
    }

    /// The attempt at this account failed.
    pub(super) fn note(&mut self, account: &Account, failure: &Failure) {
        self.tried.push(account.id);
        let guessed = matches!(failure.class, Class::Limited(_)) && failure.limited_for.is_none();
        if failure.class == Class::Transient || guessed {
            self.transient.push(account.id);
        }
        match &failure.unconvertible {
            // It would be the same for every account.
            Some(why @ Unconvertible::NoRoom(_)) => self.ended = Some(why.clone().into()),
            Some(why) => _ = self.unconvertible.get_or_insert_with(|| why.clone()),
            None => {}
        }
        let attempts = self.last.map_or(0, |last| last.attempts) + 1;
        let (mut class, mut retry_after) = (failure.class, failure.limited_for);
        // One that only failed may have the model that this one is denied.
        if let Some(last) = self.last.filter(|last| class == Class::ModelDenied && last.class.is_of_account())
        {
            (class, retry_after) = (last.class, last.retry_after);
        }
        self.last = Some(UpstreamFailed { reason: failure.reason, class, attempts, retry_after });
    }

    /// How it ended. Where all that were asked are denied the model, another may only have to become free for it.
    pub(super) fn outcome(&self, proxy: &Proxy, admitted: &Admitted) -> UpstreamFailed {
        let last = self.last();
        if last.class != Class::ModelDenied {
            return last;
        }
        let Ok(explanation) = self.explanation(proxy, admitted) else { return last };
        let class = if explanation.model_denied() {
            return last;
        } else if explanation.limited() {
            Class::Limited(MarkKind::RateLimited)
        } else if explanation.passing() {
            Class::Limited(MarkKind::Overloaded)
        } else {
            Class::Transient
        };
        UpstreamFailed { class, retry_after: explanation.frees_in(), ..last }
    }

    /// How the last attempt failed.
    fn last(&self) -> UpstreamFailed {
        self.last.unwrap_or(UpstreamFailed {
            reason: Reason::Stopped,
            class: Class::Transient,
            attempts: 0,
            retry_after: None,
        })
    }

    /// Why the last attempt gave no answer.
    pub(super) fn last_reason(&self) -> Option<Reason> {
        match &self.ended {
            Some(Refusal::UnknownKey | Refusal::ExpiredKey) => Some(Reason::Revoked),
            _ => self.last.map(|last| last.reason),
        }
    }

    /// What is wrong with the request itself, or with its key by now.
    pub(super) fn refused(&mut self) -> Option<Refusal> {
        let is_last = self.last.is_some_and(|last| last.reason == Reason::Unconvertible);
        let unconvertible = self.unconvertible.take().filter(|_| is_last);
        self.ended.take().or(unconvertible.map(Refusal::from))
    }

    /// Whoever would be next: no time is left, or it is not to go on.
    fn is_over(&self) -> bool {
        self.ended.is_some() || self.last.is_some_and(|last| last.reason.is_last())
    }

    /// How long to wait before those that failed for the moment are tried again; `None`: not any more.
    fn delay(&mut self, retries: &Retries) -> Option<Duration> {
        if self.transient.is_empty() || self.rounds >= retries.max {
            return None;
        }
        let factor =
            (0..self.rounds).fold(rand::rng().random_range(0.75..1.25), |factor, _| factor * retries.backoff);
        self.rounds += 1;
        let transient = std::mem::take(&mut self.transient);
        self.tried.retain(|id| !transient.contains(id));
        Some(retries.delay.mul_f64(factor))
    }
}

/// An account at rest where there is one; else one whose rest is only guessed.
fn picked<'a>(
    snapshot: &'a Snapshot,
    wanted: &Wanted<'a>,
    tried: &[AccountId],
    now: Millis,
) -> Option<Picked<'a>> {
    let (accounts, random) = (&snapshot.accounts, &mut rand::rng());
    let rested = pick(accounts, wanted, tried, now, random);
    rested.or_else(|| pick(accounts, &Wanted { last_resort: true, ..*wanted }, tried, now, random))
}
