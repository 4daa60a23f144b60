//! How much memory long bodies may take, in sum over a node.
//!
//! A body carries its share with it ([`Share::with`]), so that it counts for as long as anybody holds a part of it,
//! wherever that is: in a queue towards an upstream, or towards a client that reads slowly. Short bodies don't count; the
//! bound on connections holds for them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;

/// Bodies up to this length don't count.
pub(crate) const FREE: usize = 16 << 10;

/// Bytes that may be held at a time.
#[derive(Debug)]
pub struct Budget {
    held: AtomicU64,
    most: u64,
}

/// Part of a budget, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    #[must_use]
    pub fn of(most: u64) -> Arc<Self> {
        Arc::new(Self { held: AtomicU64::new(0), most })
    }

    #[must_use]
    pub const fn most(&self) -> u64 {
        self.most
    }

    #[must_use]
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.held() >= self.most
    }

    /// A share of nothing so far.
    #[must_use]
    pub fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Share {
    /// Makes the share this large, where there is room for that. A share never shrinks.
    #[must_use]
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let more = (bytes as u64).saturating_sub(self.bytes);
        let fits = |held: u64| held.checked_add(more).filter(|sum| *sum <= self.budget.most);
        let taken =
            more == 0 || self.budget.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if taken {
            self.bytes += more;
        }
        taken
    }

    /// Makes the share this large, also beyond the budget: what it is for is paid already.
    pub fn stretch_to(&mut self, bytes: usize) {
        let more = (bytes as u64).saturating_sub(self.bytes);
        self.budget.held.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
    }

    /// The bytes, which count from now on for as long as anybody holds them.
    #[must_use]
    pub fn with(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Counted { bytes, _share: self })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Counted {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_count_for_as_long_as_a_part_of_them_is_held() {
        let budget = Budget::of(100);
        let mut share = budget.share();
        assert!(share.grow_to(60));
        let bytes = share.with(Bytes::from(vec![b'x'; 60]));
        assert!(!budget.share().grow_to(41));
        let part = bytes.slice(10..12);
        drop(bytes);
        assert_eq!((budget.held(), &*part), (60, &b"xx"[..]));
        drop(part);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn what_is_paid_is_held_beyond_the_budget() {
        let budget = Budget::of(100);
        let mut share = budget.share();
        share.stretch_to(150);
        assert_eq!((budget.held(), budget.is_used_up()), (150, true));
        drop(share);
        assert!(!budget.is_used_up());
    }

    proptest! {
        #[test]
        fn shares_never_sum_up_to_more_than_the_budget(steps in prop::collection::vec((0_usize..4, 0_usize..80), 0..40)) {
            let budget = Budget::of(100);
            let mut shares = [(); 4].map(|()| (budget.share(), 0));
            for (which, bytes) in steps {
                let (share, size) = &mut shares[which];
                if bytes == 0 {
                    (*share, *size) = (budget.share(), 0);
                } else if share.grow_to(bytes) {
                    *size = bytes.max(*size);
                }
                let sum: usize = shares.iter().map(|(_, size)| size).sum();
                prop_assert_eq!(budget.held(), sum as u64);
                prop_assert!(sum <= 100);
            }
        }
    }
}
