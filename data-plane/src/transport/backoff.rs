//! How long to wait before the next try.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// After an end that is no failure: long enough that nodes don't all come at the same moment.
const CALM: Duration = Duration::from_millis(200);

/// Waits that double from failure to failure, each cut by chance to between a half and the whole.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    random: StdRng,
}

impl Backoff {
    pub(crate) fn new(seed: u64) -> Self {
        Self { failures: 0, random: StdRng::seed_from_u64(seed) }
    }

    /// The wait after another failure.
    pub(crate) fn failed(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        full.mul_f64(self.random.random_range(0.5..=1.0))
    }

    /// The wait after something worked and ended.
    pub(crate) fn worked(&mut self) -> Duration {
        self.failures = 0;
        CALM.mul_f64(self.random.random_range(0.0..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew_after_success() {
        let mut backoff = Backoff::new(7);
        let waits: Vec<_> = (0..20).map(|_| backoff.failed()).collect();
        assert!(waits[0] <= FIRST && waits[0] >= FIRST / 2);
        assert!(waits[4] > waits[1]);
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        assert!(waits[19] >= LONGEST / 2);
        assert!(backoff.worked() <= CALM);
        assert!(backoff.failed() <= FIRST);
    }
}
