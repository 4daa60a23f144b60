//! What the node counts and times, for `GET /metrics`.
//!
//! A request touches atomics of its own worker ([`Counters`]), which are summed at each scrape: no label is made and no
//! lock is taken on the way. To add a metric: a field of [`Counters`] and its line in [`OfWorkers::encode`], or, for what
//! happens seldom, a field and its line in [`Metrics::new`]; whoever measures something that is not a request registers
//! a collector with [`Metrics::register`].

mod counters;
mod load;
mod timings;

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text::encode},
    metrics::{
        MetricType, TypedMetric,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
    },
    registry::Registry,
};
use shared::wire::Wire;
use wire::loss::LossCode;

use crate::provider::failure::Reason;
pub use counters::{Counters, Running};
pub use load::{Counted, Load};
use timings::{Histogram, Timings};

/// How a request ended, as counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Completed,
    UpstreamError,
    ClientGone,
    CutOff,
    /// The provider refused it.
    Refused,
    /// The gateway refused it, and no upstream was called.
    Rejected,
}

impl Ending {
    const ALL: [Self; 6] =
        [Self::Completed, Self::UpstreamError, Self::ClientGone, Self::CutOff, Self::Refused, Self::Rejected];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::UpstreamError => "upstream_error",
            Self::ClientGone => "client_gone",
            Self::CutOff => "cut_off",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    wire: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LossLabels {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WorkerLabels {
    worker: u64,
}

/// The node's registry, and what all workers count together.
pub struct Metrics {
    registry: Mutex<Registry>,
    workers: Arc<[Arc<Counters>]>,
    failed_attempts: Family<AttemptLabels, Counter>,
    picks_failed: Counter,
    losses: Family<LossLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// With a place for each worker.
    #[must_use]
    pub fn new(loads: impl IntoIterator<Item = Arc<Load>>) -> Self {
        let workers: Arc<[_]> = loads.into_iter().map(|load| Arc::new(Counters::of(load))).collect();
        let mut registry = Registry::with_prefix("switchyard");
        let failed_attempts = Family::default();
        let picks_failed = Counter::default();
        let losses = Family::default();
        let refusals = Family::default();
        registry.register_collector(Box::new(OfWorkers(Arc::clone(&workers))));
        let help = "Attempts at an upstream that gave no answer, by reason";
        registry.register("failed_attempts", help, failed_attempts.clone());
        registry.register("picks_failed", "Requests that found no eligible account", picks_failed.clone());
        let help = "Parts of requests that could not be said in the upstream's wire, by code";
        registry.register("conversion_losses", help, losses.clone());
        let help = "Requests that the gateway refused before any account was tried, by code";
        registry.register("refusals", help, refusals.clone());
        Self { registry: Mutex::new(registry), workers, failed_attempts, picks_failed, losses, refusals }
    }

    /// Adds what somebody else measures; it is asked at each scrape.
    pub fn register(&self, collector: Box<dyn Collector>) {
        self.registry.lock().register_collector(collector);
    }

    /// The metrics as Prometheus reads them (`OpenMetrics` text).
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        _ = encode(&mut text, &self.registry.lock());
        text
    }

    /// What each worker has to do, by its number.
    pub fn loads(&self) -> impl Iterator<Item = &Arc<Load>> {
        self.workers.iter().map(|counters| &counters.load)
    }

    /// Requests that ended, and those of them that the gateway or an upstream failed.
    #[must_use]
    pub fn requests_and_errors(&self) -> (u64, u64) {
        let count = |ending: Ending| {
            let of = |counters: &Arc<Counters>| Wire::ALL.map(|wire| counters.requests(wire, ending));
            self.workers.iter().flat_map(of).sum::<u64>()
        };
        let all = Ending::ALL.into_iter().map(count).sum();
        (all, count(Ending::UpstreamError) + count(Ending::CutOff))
    }

    #[must_use]
    pub fn streams(&self) -> u64 {
        u64::try_from(self.workers.iter().map(|counters| counters.streams()).sum::<i64>()).unwrap_or(0)
    }

    #[must_use]
    pub fn in_flight(&self) -> u64 {
        u64::try_from(self.workers.iter().map(|counters| counters.in_flight()).sum::<i64>()).unwrap_or(0)
    }
}

/// The metrics as one worker's requests touch them.
#[derive(Debug, Clone)]
pub struct WorkerMetrics {
    pub node: Arc<Metrics>,
    own: Arc<Counters>,
}

impl WorkerMetrics {
    /// Those of the worker of this number; none: there is no such worker.
    #[must_use]
    pub fn of(node: &Arc<Metrics>, number: usize) -> Option<Self> {
        let own = Arc::clone(node.workers.get(number)?);
        Some(Self { node: Arc::clone(node), own })
    }

    #[must_use]
    pub fn load(&self) -> &Arc<Load> {
        &self.own.load
    }

    pub fn ended(&self, wire: Wire, ending: Ending) {
        self.own.ended(wire, ending);
    }

    pub fn took(&self, first_token: Option<Duration>, total: Duration) {
        self.own.took(first_token, total);
    }

    pub fn attempt_failed(&self, reason: Reason) {
        let labels = AttemptLabels { reason: reason.code().into_owned() };
        self.node.failed_attempts.get_or_create(&labels).inc();
    }

    /// Something of a request could not be said in the upstream's wire.
    pub fn lost(&self, code: LossCode) {
        self.node.losses.get_or_create(&LossLabels { code: code.as_str() }).inc();
    }

    /// The gateway refused a request, and no account was tried.
    pub fn refused(&self, code: &'static str) {
        self.node.refusals.get_or_create(&RefusalLabels { code }).inc();
    }

    pub fn pick_failed(&self) {
        self.node.picks_failed.inc();
    }

    /// Counts as running until the guard is dropped.
    #[must_use]
    pub fn open_stream(&self) -> Running {
        Running::stream(&self.own)
    }

    /// Counts as in flight until the guard is dropped.
    #[must_use]
    pub fn request(&self) -> Running {
        Running::request(&self.own)
    }
}

/// What the workers count, summed at each scrape, and what each has to do.
#[derive(Debug)]
struct OfWorkers(Arc<[Arc<Counters>]>);

impl Collector for OfWorkers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.requests(&mut encoder)?;
        let help = "From a request's arrival to its first content";
        self.timings(&mut encoder, ("first_token_seconds", help), |counters| &counters.first_token)?;
        let help = "From a request's arrival to its end";
        self.timings(&mut encoder, ("request_seconds", help), |counters| &counters.total)?;
        self.gauge(&mut encoder, ("open_streams", "Streams that run"), Counters::streams)?;
        let help = "Requests that have not ended";
        self.gauge(&mut encoder, ("requests_in_flight", help), Counters::in_flight)?;
        let help = "Connections of clients, by worker";
        self.by_worker(&mut encoder, ("worker_connections", help), |load| {
            ConstGauge::new(i64::try_from(load.connections()).unwrap_or(i64::MAX))
        })?;
        let help = "Time that a worker has worked, by worker";
        self.by_worker(&mut encoder, ("worker_busy_seconds", help), |load| {
            ConstCounter::new(Duration::from_micros(load.worked_micros()).as_secs_f64())
        })
    }
}

/// A metric's name, and what it says.
type Named = (&'static str, &'static str);

impl OfWorkers {
    fn requests(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests of clients that ended, by wire and outcome";
        let mut family = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for wire in Wire::ALL {
            for ending in Ending::ALL {
                let count: u64 = self.0.iter().map(|counters| counters.requests(wire, ending)).sum();
                let labels = RequestLabels { wire: wire.as_str(), outcome: ending.as_str() };
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn timings(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): Named,
        of: fn(&Counters) -> &Timings,
    ) -> fmt::Result {
        let sum: Histogram = self.0.iter().map(|counters| of(counters)).collect();
        sum.encode(encoder.encode_descriptor(name, help, None, MetricType::Histogram)?)
    }

    fn gauge(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): Named,
        of: fn(&Counters) -> i64,
    ) -> fmt::Result {
        let sum = ConstGauge::new(self.0.iter().map(|counters| of(counters)).sum::<i64>());
        sum.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    fn by_worker<M: EncodeMetric + TypedMetric>(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): Named,
        of: fn(&Load) -> M,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, M::TYPE)?;
        for (worker, counters) in (0..).zip(self.0.iter()) {
            of(&counters.load).encode(family.encode_family(&WorkerLabels { worker })?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Arc::new(Metrics::new([Arc::default(), Arc::default()]));
        let [first, second] = [0, 1].map(|number| WorkerMetrics::of(&metrics, number).unwrap());
        first.ended(Wire::Messages, Ending::Completed);
        second.ended(Wire::Messages, Ending::Completed);
        second.ended(Wire::Chat, Ending::UpstreamError);
        first.took(Some(Duration::from_millis(30)), Duration::from_secs(2));
        second.took(None, Duration::from_secs(2));
        first.attempt_failed(Reason::Status(529));
        first.refused("no_account");
        second.refused("no_account");
        let running = [first.open_stream(), second.open_stream()];
        let _connection = second.load().connection();
        let text = metrics.text();
        for line in [
            r#"switchyard_requests_total{wire="messages",outcome="completed"} 2"#,
            r#"switchyard_requests_total{wire="chat",outcome="upstream_error"} 1"#,
            r#"switchyard_failed_attempts_total{reason="status_529"} 1"#,
            r#"switchyard_refusals_total{code="no_account"} 2"#,
            "switchyard_open_streams 2",
            "switchyard_first_token_seconds_count 1",
            r#"switchyard_request_seconds_bucket{le="2.5"} 2"#,
            r#"switchyard_worker_connections{worker="1"} 1"#,
            r#"switchyard_worker_busy_seconds_total{worker="0"} 0.0"#,
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
        drop(running);
        assert_eq!(metrics.streams(), 0);
        assert_eq!(metrics.requests_and_errors(), (3, 1));
    }
}
