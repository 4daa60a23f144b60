//! What an attempt costs.
//!
//! **Which price.** The one that the node reckoned with, where it names one that there is; else the one that
//! [`shared::price::list`] finds by the names of the model.
//!
//! **How much.** The tokens of each kind times their price are summed exactly, in the tier that the context's size
//! calls for, and rounded half to even to nano-dollars once per attempt: as they are for the real cost, times the
//! user's price rate for the rated cost. Where the provider did not report all that was used, the node's estimate counts.
//! What failed ahead of all content for a client that waited has a real cost only.

use std::collections::HashMap;

use shared::{
    clock::Millis,
    id::PriceId,
    money::Ppm,
    price::{
        Charge, Price,
        list::{Dated, Found, PriceList},
    },
};

use super::record::Attempt;

/// Every price that there is or was.
#[derive(Debug, Clone, Default)]
pub struct Prices {
    /// Of the models that there are.
    pub list: PriceList,
    by_id: HashMap<PriceId, (String, Millis, Price)>,
}

impl Prices {
    /// Adds a price of a model. The order of calls does not matter. `current`: the model is still there.
    pub fn add(&mut self, model: &str, dated: Dated, current: bool) {
        if current {
            self.list.add(model, dated);
        }
        self.by_id.insert(dated.id, (model.to_owned(), dated.effective_from, dated.price));
    }

    #[must_use]
    pub fn by_id(&self, id: PriceId) -> Option<Found<'_>> {
        let (model, effective_from, price) = self.by_id.get(&id)?;
        Some(Found { model, id, effective_from: *effective_from, price: *price })
    }
}

/// What one attempt costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptCost<'a> {
    pub charge: Charge,
    pub found: Option<Found<'a>>,
    /// Tokens were used, and there is no price for them.
    pub unpriced: bool,
}

/// The cost of an attempt of a request for `requested` that started at `at`, for a user with the price rate given.
#[must_use]
pub fn of_attempt<'a>(
    prices: &'a Prices,
    attempt: &Attempt,
    requested: &str,
    at: Millis,
    rate: Ppm,
) -> AttemptCost<'a> {
    let named = attempt.price_id.and_then(|id| prices.by_id(id));
    let names = [&attempt.model_served, &attempt.model_mapped, requested];
    let found = named.or_else(|| prices.list.find(&names, at));
    let usage = attempt.charged();
    match found {
        Some(found) => {
            let charge = found.price.charge(&usage, attempt.rated.then_some(rate));
            AttemptCost { charge, found: Some(found), unpriced: false }
        }
        None => AttemptCost { charge: Charge::default(), found: None, unpriced: !usage.is_zero() },
    }
}

#[cfg(test)]
mod tests {
    use shared::{
        money::Nanos,
        price::{LongContext, PerMillion, Rates},
        usage::Usage,
    };

    use super::*;
    use crate::words::outcome::Outcome;

    const AT: Millis = Millis(1_790_000_000_000);

    fn flat(rate: u64) -> Price {
        let rate = PerMillion(rate);
        let rates =
            Rates { input: rate, cache_read: rate, cache_write_5m: rate, cache_write_1h: rate, output: rate };
        Price { rates, long_context: None }
    }

    fn dated(price: Price) -> Dated {
        Dated { id: PriceId::from_bytes([1; 16]), effective_from: Millis(0), price }
    }

    fn list(names: &[&str]) -> Prices {
        let mut list = Prices::default();
        for name in names {
            list.add(name, dated(flat(1_000_000)), true);
        }
        list
    }

    fn attempt(served: &str, mapped: &str, usage: Usage) -> Attempt {
        Attempt {
            account_id: None,
            outcome: Outcome::Completed,
            http_status: 200,
            reason: String::new(),
            detail: String::new(),
            usage: Some(usage),
            estimate: None,
            bound: None,
            rated: true,
            model_mapped: mapped.into(),
            model_served: served.into(),
            started_at: AT,
            total_ms: 1,
            price_id: None,
            group_ids: Vec::new(),
            region: String::new(),
        }
    }

    #[test]
    fn an_estimate_is_charged_in_place_of_what_is_known_and_the_user_pays_for_what_reached_them() {
        let tokens = |output| Usage { output, ..Usage::default() };
        let list = list(&["m"]);
        let known = attempt("m", "m", tokens(1_000));
        let estimated = Attempt { estimate: Some(tokens(5_000)), bound: Some(tokens(9_000)), ..known };
        let cost = of_attempt(&list, &estimated, "m", AT, Ppm::ONE);
        assert_eq!((cost.charge.real, cost.charge.rated), (Nanos(5_000_000), Nanos(5_000_000)));
        let unrated = Attempt { rated: false, ..estimated };
        let cost = of_attempt(&list, &unrated, "m", AT, Ppm::ONE);
        assert_eq!((cost.charge.real, cost.charge.rated), (Nanos(5_000_000), Nanos(0)));
    }

    #[test]
    fn the_price_that_the_node_names_counts_also_once_its_model_is_gone() {
        let mut list = list(&["m"]);
        let gone = Dated { id: PriceId::from_bytes([9; 16]), ..dated(flat(7_000_000)) };
        list.add("old", gone, false);
        let tokens = Usage { output: 1_000, ..Usage::default() };
        let cost = |price_id| {
            let attempt = Attempt { price_id, ..attempt("m", "m", tokens) };
            let cost = of_attempt(&list, &attempt, "m", AT, Ppm::ONE);
            (cost.charge.real.0, cost.found.map(|found| found.model))
        };
        assert_eq!(cost(Some(gone.id)), (7_000_000, Some("old")));
        let unheard_of = PriceId::from_bytes([8; 16]);
        assert_eq!(cost(Some(unheard_of)), (1_000_000, Some("m")));
        assert_eq!(cost(None), (1_000_000, Some("m")));
        assert_eq!(list.list.find(&["old"], AT), None, "for new requests it is no price");
    }

    #[test]
    fn each_cost_is_rounded_once_half_to_even() {
        let mut list = Prices::default();
        // 1 token is 500 pico-dollars: just half a nano-dollar.
        list.add("m", dated(flat(500)), true);
        let cost = |tokens, rate| {
            let usage = Usage { output: tokens, ..Usage::default() };
            let cost = of_attempt(&list, &attempt("m", "m", usage), "m", AT, Ppm(rate));
            (cost.charge.real.0, cost.charge.rated.0)
        };
        assert_eq!(cost(1, 1_000_000), (0, 0));
        assert_eq!(cost(3, 1_000_000), (2, 2));
        assert_eq!(cost(5, 1_000_000), (2, 2));
        // 1 500 × 1.1 is 1 650 and rounds to 2; from the rounded 2 it would be 2.2. 500 × 3 is 1 500, not 3 × 0.
        assert_eq!(cost(3, 1_100_000), (2, 2));
        assert_eq!(cost(1, 3_000_000), (0, 2));
        assert_eq!(cost(7, 0), (4, 0));
    }

    #[test]
    fn the_long_tier_counts_cached_input_and_prices_the_whole_attempt() {
        let mut list = Prices::default();
        let long = LongContext { threshold: 200_000, rates: flat(2_000_000).rates };
        list.add("m", dated(Price { long_context: Some(long), ..flat(1_000_000) }), true);
        let cost = |cache_read| {
            let usage = Usage { input: 100_000, cache_read, output: 10, ..Usage::default() };
            of_attempt(&list, &attempt("m", "m", usage), "m", AT, Ppm::ONE).charge.real.0
        };
        assert_eq!(cost(100_000), 200_010_000);
        assert_eq!(cost(100_001), 2 * 200_011_000);
    }

    #[test]
    fn tokens_without_a_price_are_told_from_no_tokens() {
        let list = Prices::default();
        let none = attempt("m", "m", Usage::default());
        let some = attempt("m", "m", Usage { input: 1, ..Usage::default() });
        assert!(!of_attempt(&list, &none, "m", AT, Ppm::ONE).unpriced);
        assert!(of_attempt(&list, &some, "m", AT, Ppm::ONE).unpriced);
    }
}
