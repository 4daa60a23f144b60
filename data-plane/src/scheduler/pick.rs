//! The choice among eligible accounts. Allocates nothing.

use std::sync::Arc;

use rand::Rng;
use shared::{clock::Millis, id::AccountId};
use smallvec::SmallVec;

use super::{Wanted, eligible};
use crate::{live::InFlight, snapshot::Account};

/// The accounts that failed this request already. On the stack until there are more than eight.
pub type Tried = SmallVec<[AccountId; 8]>;

/// An account, and one of its slots.
#[derive(Debug)]
pub struct Picked<'a> {
    pub account: &'a Arc<Account>,
    /// The name to send upstream.
    pub model: &'a str,
    /// Given back when dropped.
    pub slot: InFlight,
}

/// Picks from the best priority tier that has an eligible account. Inside it the draw is by weight; among accounts
/// of the weight drawn the least loaded one wins, and chance decides between equals.
///
/// `accounts` are ordered by priority. `None`: no account is eligible; [`super::explain()`] says why.
pub fn pick<'a, R: Rng + ?Sized>(
    accounts: &'a [Arc<Account>],
    wanted: &Wanted<'a>,
    tried: &[AccountId],
    now: Millis,
    random: &mut R,
) -> Option<Picked<'a>> {
    loop {
        let drawn = draw(accounts, wanted, tried, now, random)?;
        let (account, model) = least_loaded(drawn, wanted, tried, now, random);
        // Another request may have taken the last slot since: then the predicate sees that now, and the draw goes on
        // among the others.
        if let Some(slot) = account.state.enter(account.concurrency) {
            return Some(Picked { account, model, slot });
        }
    }
}

/// What was drawn: its tier, and its weight.
struct Drawn<'a> {
    tier: &'a [Arc<Account>],
    account: &'a Arc<Account>,
    model: &'a str,
    /// No other account of the tier is eligible.
    alone: bool,
}

/// One pass: each eligible account takes the place of the one drawn so far with a chance of its weight in the sum.
fn draw<'a, R: Rng + ?Sized>(
    accounts: &'a [Arc<Account>],
    wanted: &Wanted<'a>,
    tried: &[AccountId],
    now: Millis,
    random: &mut R,
) -> Option<Drawn<'a>> {
    let mut drawn: Option<Drawn<'a>> = None;
    let mut sum = 0_u64;
    for (index, account) in accounts.iter().enumerate() {
        if drawn.as_ref().is_some_and(|drawn| drawn.account.priority != account.priority) {
            break;
        }
        let Some(model) = candidate(account, wanted, tried, now) else {
            continue;
        };
        let weight = u64::from(account.weight.max(1));
        sum += weight;
        match &mut drawn {
            None => drawn = Some(Drawn { tier: &accounts[index..], account, model, alone: true }),
            Some(drawn) => {
                drawn.alone = false;
                if random.random_range(0..sum) < weight {
                    (drawn.account, drawn.model) = (account, model);
                }
            }
        }
    }
    drawn
}

fn least_loaded<'a, R: Rng + ?Sized>(
    drawn: Drawn<'a>,
    wanted: &Wanted<'a>,
    tried: &[AccountId],
    now: Millis,
    random: &mut R,
) -> (&'a Arc<Account>, &'a str) {
    let mut best = (drawn.account, drawn.model);
    if drawn.alone {
        return best;
    }
    let mut load = drawn.account.state.in_flight();
    let mut equals = 1_u32;
    let tier = drawn.tier.iter().take_while(|account| account.priority == drawn.account.priority);
    for account in
        tier.filter(|account| account.weight == drawn.account.weight && account.id != drawn.account.id)
    {
        let Some(model) = candidate(account, wanted, tried, now) else {
            continue;
        };
        let in_flight = account.state.in_flight();
        if in_flight > load {
            continue;
        }
        equals = if in_flight < load { 1 } else { equals + 1 };
        if in_flight < load || random.random_range(0..equals) == 0 {
            best = (account, model);
        }
        load = in_flight;
    }
    best
}

fn candidate<'a>(
    account: &'a Account,
    wanted: &Wanted<'a>,
    tried: &[AccountId],
    now: Millis,
) -> Option<&'a str> {
    if tried.contains(&account.id) {
        return None;
    }
    eligible(account, wanted, now).ok()
}
