//! What tokens cost. [`list`] finds the price of a model; the planes reckon with the same one.

pub mod list;

use serde::{Deserialize, Serialize};

use crate::{
    money::{Nanos, Picos, Ppm},
    usage::Usage,
};

/// Micro-dollars per million tokens, so pico-dollars per token: an exact integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PerMillion(pub u64);

/// The prices of a model's kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    pub input: PerMillion,
    pub cache_read: PerMillion,
    pub cache_write_5m: PerMillion,
    pub cache_write_1h: PerMillion,
    pub output: PerMillion,
}

/// The prices of a model; above a threshold of context, all kinds may cost more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    #[serde(flatten)]
    pub rates: Rates,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_context: Option<LongContext>,
}

/// Applies to the whole request once its context (cached input counts) is above `threshold` tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LongContext {
    pub threshold: u64,
    #[serde(flatten)]
    pub rates: Rates,
}

impl Rates {
    /// Exact; `i128` holds u64 tokens × u64 prices × 5 kinds with room to spare.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Picos {
        let part = |tokens: u64, price: PerMillion| i128::from(tokens).saturating_mul(i128::from(price.0));
        Picos(
            part(usage.input, self.input)
                .saturating_add(part(usage.cache_read, self.cache_read))
                .saturating_add(part(usage.cache_write_5m, self.cache_write_5m))
                .saturating_add(part(usage.cache_write_1h, self.cache_write_1h))
                .saturating_add(part(usage.output, self.output)),
        )
    }
}

impl Price {
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Picos {
        match self.long_context {
            Some(long) if usage.context() > long.threshold => long.rates.cost(usage),
            _ => self.rates.cost(usage),
        }
    }

    /// What these tokens are charged at, to a user with the price rate given. `None`: the user does not pay for them.
    ///
    /// The one place where a cost is rounded: once for each of the two.
    #[must_use]
    pub fn charge(&self, usage: &Usage, rate: Option<Ppm>) -> Charge {
        let exact = self.cost(usage);
        Charge { real: exact.round(), rated: rate.map_or(Nanos(0), |rate| exact.rated(rate)) }
    }

    /// Each kind at the dearest that it can be: the tiers may be crossed by tokens that are not known yet.
    #[must_use]
    pub fn dearest(&self) -> Rates {
        let Some(long) = self.long_context else { return self.rates };
        let (a, b) = (self.rates, long.rates);
        Rates {
            input: a.input.max(b.input),
            cache_read: a.cache_read.max(b.cache_read),
            cache_write_5m: a.cache_write_5m.max(b.cache_write_5m),
            cache_write_1h: a.cache_write_1h.max(b.cache_write_1h),
            output: a.output.max(b.output),
        }
    }

    /// The most that `input` tokens of context, however they are cached, and `output` tokens can cost.
    #[must_use]
    pub fn at_most(&self, input: u64, output: u64, rate: Ppm) -> Charge {
        let Rates { input: plain, cache_read, cache_write_5m, cache_write_1h, output: out } = self.dearest();
        let dearest = plain.max(cache_read).max(cache_write_5m).max(cache_write_1h);
        let rates = Rates { input: dearest, output: out, ..Rates::default() };
        let usage = Usage { input, output, ..Usage::default() };
        Self { rates, long_context: None }.charge(&usage, Some(rate))
    }
}

/// What an attempt costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Charge {
    /// At the list price: what the account is used for.
    pub real: Nanos,
    /// At the user's rate: what the user pays.
    pub rated: Nanos,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::{Nanos, Ppm};

    const SONNET: Price = Price {
        rates: Rates {
            input: PerMillion(3_000_000),
            cache_read: PerMillion(300_000),
            cache_write_5m: PerMillion(3_750_000),
            cache_write_1h: PerMillion(6_000_000),
            output: PerMillion(15_000_000),
        },
        long_context: Some(LongContext {
            threshold: 200_000,
            rates: Rates {
                input: PerMillion(6_000_000),
                cache_read: PerMillion(600_000),
                cache_write_5m: PerMillion(7_500_000),
                cache_write_1h: PerMillion(12_000_000),
                output: PerMillion(22_500_000),
            },
        }),
    };

    #[test]
    fn every_kind_counts_once_at_its_own_price() {
        let usage = Usage {
            input: 10,
            cache_read: 100,
            cache_write_5m: 20,
            cache_write_1h: 3,
            output: 7,
            reasoning: 5,
        };
        // 30 + 30 + 75 + 18 + 105 micro-dollars.
        assert_eq!(SONNET.cost(&usage).round(), Nanos(258_000));
        assert_eq!(SONNET.cost(&usage).rated(Ppm(1_500_000)), Nanos(387_000));
    }

    #[test]
    fn the_long_tier_starts_above_its_threshold_and_counts_cached_input() {
        let at = Usage { input: 100_000, cache_read: 100_000, ..Usage::default() };
        let above = Usage { input: 100_001, ..at };
        assert_eq!(SONNET.cost(&at).0, 330_000_000_000);
        assert_eq!(SONNET.cost(&above).0, 100_001 * 6_000_000 + 100_000 * 600_000);
    }
}
