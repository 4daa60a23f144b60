//! What an attempt costs.
//!
//! **Which price.** The names of the model are tried in this order: as served, as mapped, as requested (without an
//! account type or `models/` in front). For each, first the exact name; then, for a name with a date or a version at
//! its end (`claude-sonnet-4-5-20250929`, `gpt-5-2025-08-07`, `claude-opus-4@20250514`), the longest priced name that
//! it begins with and that `-20…` or `@` follows. Of a model's prices the one counts that was in force when the
//! request started.
//!
//! **How much.** The tokens of each kind times their price are summed exactly, in the tier that the context's size
//! calls for, and rounded half to even to nano-dollars once per attempt: as they are for the real cost, times the
//! user's price rate for the rated cost. Where the provider did not report all that was used, the node's estimate counts.
//! What failed ahead of all content for a client that waited has a real cost only.

use std::collections::HashMap;

use shared::{
    clock::Millis,
    model::split_account_type,
    money::{Nanos, Ppm},
    price::Price,
};

use super::record::Attempt;

/// All prices, by model.
#[derive(Debug, Clone, Default)]
pub struct PriceList(HashMap<String, Vec<Dated>>);

/// A price from a time on.
#[derive(Debug, Clone, Copy)]
struct Dated {
    effective_from: Millis,
    price: Price,
}

/// The price found for an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// The model's name in the price list.
    pub model: &'a str,
    pub effective_from: Millis,
    pub price: Price,
}

/// What one attempt costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptCost<'a> {
    pub real: Nanos,
    pub rated: Nanos,
    pub found: Option<Found<'a>>,
    /// Tokens were used, and there is no price for them.
    pub unpriced: bool,
}

impl PriceList {
    /// Adds a price of a model. The order of calls does not matter.
    pub fn add(&mut self, model: String, effective_from: Millis, price: Price) {
        let prices = self.0.entry(model).or_default();
        prices.push(Dated { effective_from, price });
        prices.sort_by_key(|dated| std::cmp::Reverse(dated.effective_from));
    }

    /// The price for the first of `names` that has one in force at `at`.
    pub fn find<'a>(&'a self, names: &[&str], at: Millis) -> Option<Found<'a>> {
        names.iter().find_map(|name| self.find_one(name, at))
    }

    fn find_one(&self, name: &str, at: Millis) -> Option<Found<'_>> {
        let name = bare(name);
        self.exact(name, at).or_else(|| undated(name).find_map(|stem| self.exact(stem, at)))
    }

    fn exact(&self, name: &str, at: Millis) -> Option<Found<'_>> {
        let (model, prices) = self.0.get_key_value(name)?;
        let dated = prices.iter().find(|dated| dated.effective_from <= at)?;
        Some(Found { model, effective_from: dated.effective_from, price: dated.price })
    }
}

/// The cost of an attempt of a request for `requested` that started at `at`, for a user with the price rate given.
#[must_use]
pub fn of_attempt<'a>(
    prices: &'a PriceList,
    attempt: &Attempt,
    requested: &str,
    at: Millis,
    rate: Ppm,
) -> AttemptCost<'a> {
    let found = prices.find(&[&attempt.model_served, &attempt.model_mapped, requested], at);
    let usage = attempt.charged();
    match found {
        Some(found) => {
            let exact = found.price.cost(&usage);
            let rated = if attempt.rated { exact.rated(rate) } else { Nanos(0) };
            AttemptCost { real: exact.round(), rated, found: Some(found), unpriced: false }
        }
        None => AttemptCost { real: Nanos(0), rated: Nanos(0), found: None, unpriced: !usage.is_zero() },
    }
}

fn bare(name: &str) -> &str {
    let name = split_account_type(name).1;
    name.strip_prefix("models/").unwrap_or(name)
}

/// What stands before a date or a version at the name's end, longest first.
fn undated(name: &str) -> impl Iterator<Item = &str> {
    let ends = name.char_indices().rev().filter_map(move |(at, sign)| {
        let rest = &name[at + sign.len_utf8()..];
        let dated = match sign {
            '@' => !rest.is_empty(),
            '-' => rest.starts_with("20") && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'),
            _ => false,
        };
        dated.then_some(at)
    });
    ends.map(move |at| &name[..at])
}

#[cfg(test)]
mod tests {
    use shared::{
        price::{LongContext, PerMillion, Rates},
        usage::Usage,
    };

    use super::*;
    use crate::ledger::record::Outcome;

    const AT: Millis = Millis(1_790_000_000_000);

    fn flat(rate: u64) -> Price {
        let rate = PerMillion(rate);
        let rates =
            Rates { input: rate, cache_read: rate, cache_write_5m: rate, cache_write_1h: rate, output: rate };
        Price { rates, long_context: None }
    }

    fn list(names: &[&str]) -> PriceList {
        let mut list = PriceList::default();
        for name in names {
            list.add((*name).to_owned(), Millis(0), flat(1_000_000));
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
        assert_eq!((cost.real, cost.rated), (Nanos(5_000_000), Nanos(5_000_000)));
        let unrated = Attempt { rated: false, ..estimated };
        let cost = of_attempt(&list, &unrated, "m", AT, Ppm::ONE);
        assert_eq!((cost.real, cost.rated), (Nanos(5_000_000), Nanos(0)));
    }

    #[test]
    fn dated_names_find_their_model() {
        let list = list(&["claude-sonnet-4", "claude-sonnet-4-5", "gpt-5", "gpt-5-mini", "gemini-2.5-pro"]);
        for (name, model) in [
            ("claude-sonnet-4-5", Some("claude-sonnet-4-5")),
            ("claude-sonnet-4-5-20250929", Some("claude-sonnet-4-5")),
            ("claude-sonnet-4@20250514", Some("claude-sonnet-4")),
            ("gpt-5-2025-08-07", Some("gpt-5")),
            ("gpt-5-mini-2025-08-07", Some("gpt-5-mini")),
            ("models/gemini-2.5-pro", Some("gemini-2.5-pro")),
            ("ccr,gpt-5", Some("gpt-5")),
            ("gpt-5-turbo", None),
            ("gpt-5-20b", None),
            ("gpt-5@", None),
            ("claude-sonnet-4-6", None),
            ("", None),
        ] {
            assert_eq!(list.find(&[name], AT).map(|found| found.model), model, "{name}");
        }
    }

    #[test]
    fn served_goes_before_mapped_before_requested() {
        let list = list(&["served", "mapped", "requested"]);
        let model = |names: [&str; 3]| list.find(&names, AT).map(|found| found.model);
        assert_eq!(model(["served", "mapped", "requested"]), Some("served"));
        assert_eq!(model(["other", "mapped", "requested"]), Some("mapped"));
        assert_eq!(model(["", "other", "requested"]), Some("requested"));
        assert_eq!(model(["", "", ""]), None);
    }

    #[test]
    fn the_price_in_force_at_the_start_counts() {
        let mut list = PriceList::default();
        list.add("m".into(), Millis(2_000), flat(2));
        list.add("m".into(), Millis(1_000), flat(1));
        let rate = |at| list.find(&["m"], Millis(at)).map(|found| found.price.rates.input.0);
        assert_eq!([rate(999), rate(1_000), rate(1_999), rate(2_000)], [None, Some(1), Some(1), Some(2)]);
    }

    #[test]
    fn each_cost_is_rounded_once_half_to_even() {
        let mut list = PriceList::default();
        // 1 token is 500 pico-dollars: just half a nano-dollar.
        list.add("m".into(), Millis(0), flat(500));
        let cost = |tokens, rate| {
            let usage = Usage { output: tokens, ..Usage::default() };
            let cost = of_attempt(&list, &attempt("m", "m", usage), "m", AT, Ppm(rate));
            (cost.real.0, cost.rated.0)
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
        let mut list = PriceList::default();
        let long = LongContext { threshold: 200_000, rates: flat(2_000_000).rates };
        list.add("m".into(), Millis(0), Price { long_context: Some(long), ..flat(1_000_000) });
        let cost = |cache_read| {
            let usage = Usage { input: 100_000, cache_read, output: 10, ..Usage::default() };
            of_attempt(&list, &attempt("m", "m", usage), "m", AT, Ppm::ONE).real.0
        };
        assert_eq!(cost(100_000), 200_010_000);
        assert_eq!(cost(100_001), 2 * 200_011_000);
    }

    #[test]
    fn tokens_without_a_price_are_told_from_no_tokens() {
        let list = PriceList::default();
        let none = attempt("m", "m", Usage::default());
        let some = attempt("m", "m", Usage { input: 1, ..Usage::default() });
        assert!(!of_attempt(&list, &none, "m", AT, Ppm::ONE).unpriced);
        assert!(of_attempt(&list, &some, "m", AT, Ppm::ONE).unpriced);
    }
}
