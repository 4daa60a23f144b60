//! Canonical token counts.

use serde::{Deserialize, Serialize};

/// Tokens of one attempt, by kind. The kinds do not overlap, save that `reasoning` is a part of `output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Input that was neither read from nor written to a cache.
    pub input: u64,
    pub cache_read: u64,
    /// Written to a cache that lives for 5 minutes; also writes of unstated life.
    pub cache_write_5m: u64,
    pub cache_write_1h: u64,
    /// Includes `reasoning`.
    pub output: u64,
    /// Informative: priced as output.
    pub reasoning: u64,
}

impl Usage {
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.input == 0
            && self.cache_read == 0
            && self.cache_write_5m == 0
            && self.cache_write_1h == 0
            && self.output == 0
    }

    /// All that the model read: what long-context tiers are measured by.
    #[must_use]
    pub const fn context(&self) -> u64 {
        self.input
            .saturating_add(self.cache_read)
            .saturating_add(self.cache_write_5m)
            .saturating_add(self.cache_write_1h)
    }

    #[must_use]
    pub const fn plus(&self, other: &Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write_5m: self.cache_write_5m.saturating_add(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
        }
    }
}
