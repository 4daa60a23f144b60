//! Why no account was picked: in full for operators, in short for clients.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use shared::{clock::Millis, id::AccountId};

use super::{Exclusion, Target, Wanted, eligible};
use crate::snapshot::Account;

/// Each account with the reason it was left out. `Display` is the form for operators.
#[derive(Debug, Clone)]
pub struct Explanation {
    excluded: Vec<(String, Exclusion)>,
    frees_in: Option<Duration>,
    target: Target,
    model: String,
}

/// Goes over all accounts again. Accounts that have become eligible in the meantime are left out of the list.
#[must_use]
pub fn explain(
    accounts: &[Arc<Account>],
    wanted: &Wanted<'_>,
    tried: &[AccountId],
    now: Millis,
) -> Explanation {
    let mut excluded = Vec::with_capacity(accounts.len());
    let mut frees_in: Option<Duration> = None;
    for account in accounts {
        let reason = match eligible(account, wanted, now) {
            _ if tried.contains(&account.id) => Exclusion::Tried,
            Err(reason) => reason,
            Ok(_) => continue,
        };
        if matches!(reason, Exclusion::RateLimited | Exclusion::Overloaded) {
            let latest = account.state.marks(now).iter().map(|mark| mark.remaining(now)).max();
            frees_in = match (frees_in, latest) {
                (Some(soonest), Some(latest)) => Some(soonest.min(latest)),
                (soonest, latest) => soonest.or(latest),
            };
        }
        excluded.push((account.name.clone(), reason));
    }
    Explanation { excluded, frees_in, target: wanted.target, model: wanted.model.to_owned() }
}

impl Explanation {
    /// Counts by reason, of the accounts of the right platform and type; empty where there is none.
    #[must_use]
    pub fn for_client(&self) -> String {
        let mut counts = BTreeMap::<Exclusion, usize>::new();
        for reason in self.fitting() {
            *counts.entry(reason).or_default() += 1;
        }
        let parts: Vec<_> =
            counts.iter().map(|(reason, count)| format!("{count} {}", reason.as_str())).collect();
        parts.join(", ")
    }

    /// What there would have to be an account for; none where there is one, whatever is wrong with it.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        let Self { target, model, .. } = self;
        self.fitting().next().is_none().then(|| match target.account_type {
            Some(kind) => {
                format!("no account of the type {kind} is set up, so the model `{model}` can't be had there")
            }
            None => format!(
                "`{model}` is a model of the platform {}, and no account of that platform is set up",
                target.platform
            ),
        })
    }

    /// Whether there is an account that only has to become free: one that is limited, overloaded or full.
    #[must_use]
    pub fn passing(&self) -> bool {
        self.fitting()
            .any(|reason| matches!(reason, Exclusion::RateLimited | Exclusion::Overloaded | Exclusion::Full))
    }

    /// Whether every account that could serve is rate limited or full.
    #[must_use]
    pub fn limited(&self) -> bool {
        self.passing()
            && self.fitting().all(|reason| reason != Exclusion::Overloaded && reason != Exclusion::Tried)
    }

    /// Whether accounts of the platform exist, and none of them offers the model.
    #[must_use]
    pub fn model_unknown(&self) -> bool {
        let mut reasons = self.fitting().peekable();
        reasons.peek().is_some() && reasons.all(|reason| reason == Exclusion::ModelNotAllowed)
    }

    /// Whether nobody has the model: of the accounts that people have in use, some are denied it by their upstreams, and
    /// the others don't offer it.
    #[must_use]
    pub fn model_denied(&self) -> bool {
        let out_of_use = |reason: &_| {
            matches!(reason, Exclusion::Disabled | Exclusion::Unschedulable | Exclusion::Expired)
        };
        let lacking = |reason| {
            use Exclusion::{ModelDenied, ModelNotAllowed, NoCounterpart, UnsupportedByNode};
            matches!(reason, ModelDenied | ModelNotAllowed | NoCounterpart | UnsupportedByNode)
        };
        self.fitting().any(|reason| reason == Exclusion::ModelDenied)
            && self.fitting().filter(|reason| !out_of_use(reason)).all(lacking)
    }

    /// Whether the account that the request is bound to is gone, or taken out of use: waiting would not help.
    #[must_use]
    pub fn bound_account_gone(&self) -> bool {
        self.excluded.iter().any(|(_, reason)| *reason == Exclusion::NotBound) && !self.passing()
    }

    /// Whether no account of the platform has a counterpart for what is asked for.
    #[must_use]
    pub fn unsupported(&self) -> bool {
        let mut reasons = self.fitting().peekable();
        reasons.peek().is_some()
            && reasons.all(|reason| matches!(reason, Exclusion::UnsupportedByNode | Exclusion::NoCounterpart))
    }

    /// When the first marked account comes back.
    #[must_use]
    pub const fn frees_in(&self) -> Option<Duration> {
        self.frees_in
    }

    fn fitting(&self) -> impl Iterator<Item = Exclusion> {
        let reasons = self.excluded.iter().map(|(_, reason)| *reason);
        reasons.filter(|reason| {
            !matches!(reason, Exclusion::OtherPlatform | Exclusion::OtherType | Exclusion::NotBound)
        })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.excluded.is_empty() {
            return f.write_str("there are no accounts");
        }
        for (index, (name, reason)) in self.excluded.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{name}: {}", reason.as_str())?;
        }
        Ok(())
    }
}
