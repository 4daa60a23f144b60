//! Stage 4: the next account to try.

use shared::{clock::Millis, id::AccountId};

use super::refusal::Refusal;
use crate::{
    ingress::Proxy,
    scheduler::{Picked, Wanted, explain, pick},
    snapshot::Snapshot,
};

/// The next account and a slot of it; `None` where no account is eligible that was not tried.
pub(super) fn next<'a>(
    snapshot: &'a Snapshot,
    wanted: &Wanted<'a>,
    tried: &[AccountId],
    now: Millis,
) -> Option<Picked<'a>> {
    let (accounts, random) = (&snapshot.accounts, &mut rand::rng());
    let rested = pick(accounts, wanted, tried, now, random);
    rested.or_else(|| pick(accounts, &Wanted { last_resort: true, ..*wanted }, tried, now, random))
}

/// Why there is none: in full in the log, in short for the client.
pub(super) fn no_account(
    proxy: &Proxy,
    snapshot: &Snapshot,
    wanted: &Wanted<'_>,
    asked: &str,
    now: Millis,
) -> Refusal {
    let explanation = explain(&snapshot.accounts, &Wanted { last_resort: true, ..*wanted }, &[], now);
    proxy.metrics.pick_failed();
    if explanation.bound_account_gone() {
        return Refusal::BoundAccountGone;
    }
    tracing::warn!(model = asked, excluded = %explanation, "no account is eligible");
    Refusal::NoAccount(explanation)
}
