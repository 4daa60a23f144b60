//! What the node counts and times, for `GET /metrics`.
//!
//! A request touches atomics that were looked up when the process started: no label is made and no lock is taken on
//! the way. To add a metric: a field, its line in [`Metrics::new`]; whoever measures something that is not a request
//! registers a collector with [`Metrics::register`].

mod timings;

use std::{fmt, sync::atomic::AtomicI64, time::Duration};

use parking_lot::Mutex;
use prometheus_client::{
    collector::Collector,
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use shared::wire::Wire;
use wire::loss::LossCode;

use crate::provider::failure::Reason;
use timings::Timings;

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

/// The node's registry, and the handles of the request path.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: [[Counter; Ending::ALL.len()]; Wire::ALL.len()],
    failed_attempts: Family<AttemptLabels, Counter>,
    picks_failed: Counter,
    losses: Family<LossLabels, Counter>,
    first_token: Timings,
    total: Timings,
    open_streams: Gauge,
    in_flight: Gauge,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("switchyard");
        let requests = Family::<RequestLabels, Counter>::default();
        let handles = Wire::ALL.map(|wire| {
            Ending::ALL.map(|ending| {
                let labels = RequestLabels { wire: wire.as_str(), outcome: ending.as_str() };
                requests.get_or_create(&labels).clone()
            })
        });
        let failed_attempts = Family::default();
        let picks_failed = Counter::default();
        let (first_token, total) = (Timings::default(), Timings::default());
        let (open_streams, in_flight) = (Gauge::default(), Gauge::default());
        registry.register("requests", "Requests of clients that ended, by wire and outcome", requests);
        let help = "Attempts at an upstream that gave no answer, by reason";
        registry.register("failed_attempts", help, failed_attempts.clone());
        registry.register("picks_failed", "Requests that found no eligible account", picks_failed.clone());
        let losses = Family::default();
        let help = "Parts of requests that could not be said in the upstream's wire, by code";
        registry.register("conversion_losses", help, losses.clone());
        let help = "From a request's arrival to its first content";
        registry.register("first_token_seconds", help, first_token.clone());
        registry.register("request_seconds", "From a request's arrival to its end", total.clone());
        registry.register("open_streams", "Streams that run", open_streams.clone());
        registry.register("requests_in_flight", "Requests that have not ended", in_flight.clone());
        let registry = Mutex::new(registry);
        Self {
            registry,
            requests: handles,
            failed_attempts,
            picks_failed,
            losses,
            first_token,
            total,
            open_streams,
            in_flight,
        }
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

    pub fn ended(&self, wire: Wire, ending: Ending) {
        self.requests[wire as usize][ending as usize].inc();
    }

    pub fn took(&self, first_token: Option<Duration>, total: Duration) {
        if let Some(first_token) = first_token {
            self.first_token.observe(first_token);
        }
        self.total.observe(total);
    }

    pub fn attempt_failed(&self, reason: Reason) {
        let labels = AttemptLabels { reason: reason.code().into_owned() };
        self.failed_attempts.get_or_create(&labels).inc();
    }

    /// Something of a request could not be said in the upstream's wire.
    pub fn lost(&self, code: LossCode) {
        self.losses.get_or_create(&LossLabels { code: code.as_str() }).inc();
    }

    pub fn pick_failed(&self) {
        self.picks_failed.inc();
    }

    /// Counts as running until the guard is dropped.
    #[must_use]
    pub fn open_stream(&self) -> Running {
        Running::new(&self.open_streams)
    }

    /// Counts as in flight until the guard is dropped.
    #[must_use]
    pub fn request(&self) -> Running {
        Running::new(&self.in_flight)
    }

    /// Requests that ended, and those of them that the gateway or an upstream failed.
    #[must_use]
    pub fn requests_and_errors(&self) -> (u64, u64) {
        let count =
            |ending: Ending| self.requests.iter().map(|of_wire| of_wire[ending as usize].get()).sum::<u64>();
        let all = Ending::ALL.into_iter().map(count).sum();
        (all, count(Ending::UpstreamError) + count(Ending::CutOff))
    }

    #[must_use]
    pub fn streams(&self) -> u64 {
        u64::try_from(self.open_streams.get()).unwrap_or(0)
    }

    #[must_use]
    pub fn in_flight(&self) -> u64 {
        u64::try_from(self.in_flight.get()).unwrap_or(0)
    }
}

/// Something that runs; dropping it counts it off.
#[derive(Debug)]
pub struct Running(Gauge<i64, AtomicI64>);

impl Running {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::new();
        metrics.ended(Wire::Messages, Ending::Completed);
        metrics.ended(Wire::Chat, Ending::UpstreamError);
        metrics.took(Some(Duration::from_millis(30)), Duration::from_secs(2));
        metrics.attempt_failed(Reason::Status(529));
        let running = metrics.open_stream();
        let text = metrics.text();
        for line in [
            r#"switchyard_requests_total{wire="messages",outcome="completed"} 1"#,
            r#"switchyard_requests_total{wire="chat",outcome="upstream_error"} 1"#,
            r#"switchyard_failed_attempts_total{reason="status_529"} 1"#,
            "switchyard_open_streams 1",
            "switchyard_first_token_seconds_count 1",
            r#"switchyard_request_seconds_bucket{le="2.5"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
        drop(running);
        assert_eq!(metrics.streams(), 0);
        assert_eq!(metrics.requests_and_errors(), (2, 1));
    }
}
