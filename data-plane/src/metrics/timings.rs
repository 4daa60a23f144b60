//! A histogram of durations in atomics: the library's takes a lock for each observation.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

/// Upper bounds in seconds; there is one more bucket without one.
const BOUNDS: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0];

/// What one worker timed.
#[derive(Debug, Default)]
pub(super) struct Timings {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

impl Timings {
    pub(super) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// What all workers timed.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [u64; BOUNDS.len() + 1],
    sum_micros: u64,
}

impl<'a> FromIterator<&'a Timings> for Histogram {
    fn from_iter<I: IntoIterator<Item = &'a Timings>>(all: I) -> Self {
        let mut sum = Self::default();
        for timings in all {
            for (sum, bucket) in sum.buckets.iter_mut().zip(&timings.buckets) {
                *sum += bucket.load(Ordering::Relaxed);
            }
            sum.sum_micros += timings.sum_micros.load(Ordering::Relaxed);
        }
        sum
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let bounds = BOUNDS.into_iter().chain([f64::MAX]);
        let buckets: Vec<_> = bounds.zip(self.buckets).collect();
        let count = self.buckets.iter().sum();
        let sum = Duration::from_micros(self.sum_micros).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}
