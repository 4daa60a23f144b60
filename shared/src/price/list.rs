//! Which price counts.
//!
//! The names of the model are tried in this order: as served, as mapped, as requested (without an account type or
//! `models/` in front). For each, first the exact name; then, for a name with a date or a version at its end
//! (`claude-sonnet-4-5-20250929`, `gpt-5-2025-08-07`, `claude-opus-4@20250514`), the longest priced name that it begins
//! with and that `-20…` or `@` follows. Of a model's prices the one counts that was in force when the request started;
//! of several from the same time on, the one with the highest id, which was made last.

use std::collections::HashMap;

use super::Price;
use crate::{clock::Millis, id::PriceId, model::split_account_type};

/// All prices, by model.
#[derive(Debug, Clone, Default)]
pub struct PriceList(HashMap<String, Vec<Dated>>);

/// A price from a time on, until the model's next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dated {
    pub id: PriceId,
    pub effective_from: Millis,
    pub price: Price,
}

/// A price, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found<'a> {
    /// The model's name in the price list.
    pub model: &'a str,
    pub id: PriceId,
    pub effective_from: Millis,
    pub price: Price,
}

impl PriceList {
    /// Adds a price of a model. The order of calls does not matter.
    pub fn add(&mut self, model: &str, dated: Dated) {
        if !self.0.contains_key(model) {
            self.0.insert(model.to_owned(), Vec::new());
        }
        if let Some(prices) = self.0.get_mut(model) {
            let at = prices
                .partition_point(|other| (other.effective_from, other.id) > (dated.effective_from, dated.id));
            prices.insert(at, dated);
        }
    }

    /// The price for the first of `names` that has one in force at `at`.
    #[must_use]
    pub fn find<'a>(&'a self, names: &[&str], at: Millis) -> Option<Found<'a>> {
        names.iter().find_map(|name| self.find_one(name, at))
    }

    /// The model that a name means, also one whose prices are all to come.
    #[must_use]
    pub fn model_of(&self, name: &str) -> Option<&str> {
        let name = bare(name);
        let exact = |name: &str| self.0.get_key_value(name).map(|(model, _)| model.as_str());
        exact(name).or_else(|| undated(name).find_map(exact))
    }

    fn find_one(&self, name: &str, at: Millis) -> Option<Found<'_>> {
        let name = bare(name);
        self.exact(name, at).or_else(|| undated(name).find_map(|stem| self.exact(stem, at)))
    }

    fn exact(&self, name: &str, at: Millis) -> Option<Found<'_>> {
        let (model, prices) = self.0.get_key_value(name)?;
        let dated = prices.iter().find(|dated| dated.effective_from <= at)?;
        Some(Found { model, id: dated.id, effective_from: dated.effective_from, price: dated.price })
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
    use super::*;
    use crate::price::{PerMillion, Rates};

    const AT: Millis = Millis(1_790_000_000_000);

    fn dated(id: u8, from: i64, rate: u64) -> Dated {
        let rates = Rates { input: PerMillion(rate), ..Rates::default() };
        let price = Price { rates, long_context: None };
        Dated { id: PriceId::from_bytes([id; 16]), effective_from: Millis(from), price }
    }

    fn list(names: &[&str]) -> PriceList {
        let mut list = PriceList::default();
        for name in names {
            list.add(name, dated(1, 0, 1_000_000));
        }
        list
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
        list.add("m", dated(1, 2_000, 2));
        list.add("m", dated(2, 1_000, 1));
        let rate =
            |list: &PriceList, at| list.find(&["m"], Millis(at)).map(|found| found.price.rates.input.0);
        let rates = [999, 1_000, 1_999, 2_000].map(|at| rate(&list, at));
        assert_eq!(rates, [None, Some(1), Some(1), Some(2)]);
        list.add("m", dated(4, 1_000, 4));
        list.add("m", dated(3, 1_000, 3));
        assert_eq!(rate(&list, 1_500), Some(4), "the last that was made stands");
    }

    #[test]
    fn a_model_is_known_before_its_price_is_in_force() {
        let mut list = PriceList::default();
        list.add("gpt-5", dated(1, i64::MAX, 1));
        assert_eq!(list.model_of("models/gpt-5-2025-08-07"), Some("gpt-5"));
        assert_eq!((list.model_of("gpt-6"), list.find(&["gpt-5"], AT)), (None, None));
    }
}
