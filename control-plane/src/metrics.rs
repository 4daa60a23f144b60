//! What `/metrics` tells.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The process's numbers. Clones are the same numbers.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    /// Version of the configuration that this replica publishes.
    pub snapshot_version: Gauge,
    pub snapshot_resources: Gauge,
    /// Rows that can't be encoded now.
    pub snapshot_unencodable: Gauge,
    /// 1: nothing of the configuration's epoch is published until it is adopted.
    pub snapshot_withheld: Gauge,
    /// Looks at the change log that failed.
    pub snapshot_failures: Counter,
    /// Nodes that watch through this replica.
    pub watchers: Gauge,
    pub updates_sent: Family<UpdateLabels, Counter>,
    pub payloads_refused: Counter,
    /// Nodes heard of lately, on any replica.
    pub nodes_live: Gauge,
    pub commands: Family<CommandLabels, Counter>,
    pub logins: Family<LoginLabels, Counter>,
    pub usage_records: Counter,
    pub tls_reload_failures: Counter,
    http_requests: Family<RequestLabels, Counter>,
    http_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct UpdateLabels {
    /// `full` or `delta`.
    pub form: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CommandLabels {
    /// `answered` or `unanswered`.
    pub outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LoginLabels {
    /// `ok`, `wrong`, `disabled` or `throttled`.
    pub outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Arc::new(Mutex::new(Registry::with_prefix("switchyard_control"))),
            snapshot_version: Gauge::default(),
            snapshot_resources: Gauge::default(),
            snapshot_unencodable: Gauge::default(),
            snapshot_withheld: Gauge::default(),
            snapshot_failures: Counter::default(),
            watchers: Gauge::default(),
            updates_sent: Family::default(),
            payloads_refused: Counter::default(),
            nodes_live: Gauge::default(),
            commands: Family::default(),
            logins: Family::default(),
            usage_records: Counter::default(),
            tls_reload_failures: Counter::default(),
            http_requests: Family::default(),
            http_seconds: Family::new_with_constructor(request_seconds),
        };
        metrics.register_own();
        metrics
    }
}

fn request_seconds() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0])
}

impl Metrics {
    /// Adds numbers of another module; `add` names them without the program's prefix.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock());
    }

    fn register_own(&self) {
        self.register(|all| {
            all.register(
                "snapshot_version",
                "Version of the configuration published",
                self.snapshot_version.clone(),
            );
            all.register("snapshot_resources", "Resources published", self.snapshot_resources.clone());
            all.register(
                "snapshot_unencodable",
                "Rows that can't be encoded",
                self.snapshot_unencodable.clone(),
            );
            all.register(
                "snapshot_withheld",
                "1 while nothing of the configuration's epoch is published",
                self.snapshot_withheld.clone(),
            );
            all.register(
                "snapshot_failures",
                "Failed looks at the change log",
                self.snapshot_failures.clone(),
            );
            all.register("watchers", "Nodes watching through this replica", self.watchers.clone());
            all.register("updates_sent", "Updates sent to nodes", self.updates_sent.clone());
            all.register("payloads_refused", "Payloads that nodes refused", self.payloads_refused.clone());
            all.register("nodes_live", "Nodes heard of lately on any replica", self.nodes_live.clone());
            all.register("commands", "Commands to nodes", self.commands.clone());
            all.register("logins", "Attempts to sign in", self.logins.clone());
            all.register("usage_records", "Usage records received from nodes", self.usage_records.clone());
            all.register(
                "tls_reload_failures",
                "Changed certificates that can't be used",
                self.tls_reload_failures.clone(),
            );
            all.register("http_requests", "REST requests", self.http_requests.clone());
            all.register("http_request_seconds", "Time to answer a REST request", self.http_seconds.clone());
        });
    }

    /// Counts a REST request. `route` is the pattern, never the path itself.
    pub fn count_request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let labels = RequestLabels { method: method.to_owned(), route: route.to_owned(), status };
        self.http_requests.get_or_create(&labels).inc();
        let route = RouteLabels { route: route.to_owned() };
        self.http_seconds.get_or_create(&route).observe(took.as_secs_f64());
    }

    /// All numbers in the OpenMetrics text form.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = String::new();
        if text::encode(&mut page, &self.registry.lock()).is_err() {
            page.clear();
            // Writing to a String does not fail.
            _ = write!(page, "# EOF");
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_what_was_counted() {
        let metrics = Metrics::default();
        metrics.snapshot_version.set(7);
        metrics.count_request("GET", "/api/admin/nodes", 200, Duration::from_millis(3));
        let page = metrics.render();
        assert!(page.contains("switchyard_control_snapshot_version 7"), "{page}");
        assert!(page.contains(r#"switchyard_control_http_requests_total{method="GET",route="/api/admin/nodes",status="200"} 1"#), "{page}");
        assert!(page.ends_with("# EOF\n"), "{page}");
    }
}
