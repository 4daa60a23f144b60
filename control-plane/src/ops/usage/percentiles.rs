//! Percentiles of how long requests took.

use crate::store::latency::middle_of;

/// Times in milliseconds, each at most an eighth off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    pub p50: u64,
    pub p95: u64,
    pub p99: u64,
}

/// The percentiles of requests counted in buckets, by rising bucket; `None` where there are none.
pub(super) fn percentiles(buckets: &[(i64, i64)]) -> Option<Percentiles> {
    let total = buckets.iter().fold(0_i64, |total, (_, requests)| total.saturating_add(*requests));
    let at = |percent: i64| {
        // The smallest time that so many percent of the requests did not exceed.
        let rank = (total.saturating_mul(percent).saturating_add(99) / 100).max(1);
        let mut seen = 0_i64;
        let bucket = buckets.iter().find(|(_, requests)| {
            seen = seen.saturating_add(*requests);
            seen >= rank
        });
        bucket.map(|(bucket, _)| middle_of(*bucket))
    };
    Some(Percentiles { p50: at(50)?, p95: at(95)?, p99: at(99)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::latency::bucket_of;

    #[test]
    fn percentiles_are_of_the_bucket_that_the_rank_falls_into() {
        assert_eq!(percentiles(&[]), None);
        let middle = |milliseconds| middle_of(bucket_of(milliseconds));
        let one = [(bucket_of(700), 1)];
        assert_eq!(
            percentiles(&one),
            Some(Percentiles { p50: middle(700), p95: middle(700), p99: middle(700) })
        );
        let many = [(bucket_of(10), 50), (bucket_of(100), 45), (bucket_of(5_000), 5)];
        assert_eq!(
            percentiles(&many),
            Some(Percentiles { p50: middle(10), p95: middle(100), p99: middle(5_000) })
        );
    }
}
