//! In what state an account is: one word that each account has exactly one of.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The first that applies. A limit or an overload counts where it is of the account as a whole, on any live node; one
/// of a single family of models leaves the account available, as it still serves the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountState {
    /// Switched off by a person.
    Disabled,
    /// On, and kept from new requests by a person.
    Paused,
    Expired,
    /// Its credential does not work.
    Invalid,
    RateLimited,
    Overloaded,
    Available,
}

/// What is configured and known of an account for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, sqlx::FromRow)]
pub struct Standing {
    pub enabled: bool,
    pub schedulable: bool,
    pub expired: bool,
    pub invalid: bool,
}

/// What live nodes have marked an account as, for all its models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marked {
    pub rate_limited: bool,
    pub overloaded: bool,
}

/// How many accounts are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct StateCounts {
    disabled: i64,
    paused: i64,
    expired: i64,
    invalid: i64,
    rate_limited: i64,
    overloaded: i64,
    available: i64,
    /// All of them.
    total: i64,
}

impl StateCounts {
    /// Of how many accounts have which standing, and of the standing of each that is marked.
    #[must_use]
    pub fn of(standings: &[(Standing, i64)], marked: impl IntoIterator<Item = (Standing, Marked)>) -> Self {
        let mut counts = Self::default();
        for (standing, accounts) in standings {
            *counts.of_state(AccountState::of(*standing, Marked::default())) += accounts;
            counts.total += accounts;
        }
        for (standing, marked) in marked {
            *counts.of_state(AccountState::of(standing, Marked::default())) -= 1;
            *counts.of_state(AccountState::of(standing, marked)) += 1;
        }
        counts
    }

    const fn of_state(&mut self, state: AccountState) -> &mut i64 {
        match state {
            AccountState::Disabled => &mut self.disabled,
            AccountState::Paused => &mut self.paused,
            AccountState::Expired => &mut self.expired,
            AccountState::Invalid => &mut self.invalid,
            AccountState::RateLimited => &mut self.rate_limited,
            AccountState::Overloaded => &mut self.overloaded,
            AccountState::Available => &mut self.available,
        }
    }
}

impl AccountState {
    #[must_use]
    pub const fn of(standing: Standing, marked: Marked) -> Self {
        match (standing, marked) {
            (Standing { enabled: false, .. }, _) => Self::Disabled,
            (Standing { schedulable: false, .. }, _) => Self::Paused,
            (Standing { expired: true, .. }, _) => Self::Expired,
            (Standing { invalid: true, .. }, _) => Self::Invalid,
            (_, Marked { rate_limited: true, .. }) => Self::RateLimited,
            (_, Marked { overloaded: true, .. }) => Self::Overloaded,
            _ => Self::Available,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_applies_counts() {
        let mut standing = Standing { enabled: false, schedulable: false, expired: true, invalid: true };
        let mut marked = Marked { rate_limited: true, overloaded: true };
        assert_eq!(AccountState::of(standing, marked), AccountState::Disabled);
        standing.enabled = true;
        assert_eq!(AccountState::of(standing, marked), AccountState::Paused);
        standing.schedulable = true;
        assert_eq!(AccountState::of(standing, marked), AccountState::Expired);
        standing.expired = false;
        assert_eq!(AccountState::of(standing, marked), AccountState::Invalid);
        standing.invalid = false;
        assert_eq!(AccountState::of(standing, marked), AccountState::RateLimited);
        marked.rate_limited = false;
        assert_eq!(AccountState::of(standing, marked), AccountState::Overloaded);
        marked.overloaded = false;
        assert_eq!(AccountState::of(standing, marked), AccountState::Available);
    }
}
