//! What a node measures beside requests, asked at each scrape.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::gauge::ConstGauge,
};
use shared::clock::Clock;

use crate::{
    budget::Budget,
    control::{Link, LinkState},
    live::Live,
    proxy::Common,
    snapshot::Configuration,
    usage::Journal,
};

#[derive(Debug)]
pub(super) struct Gauges {
    configuration: Configuration,
    journal: Journal,
    live: Arc<Live>,
    state: Arc<LinkState>,
    clock: Clock,
    requests: Arc<Budget>,
    answers: Arc<Budget>,
}

impl Gauges {
    pub(super) fn new(link: &Link, common: &Common) -> Self {
        Self {
            configuration: link.configuration.clone(),
            journal: link.journal.clone(),
            live: Arc::clone(&link.live),
            state: Arc::clone(&link.state),
            clock: link.clock.clone(),
            requests: Arc::clone(&common.requests),
            answers: Arc::clone(&common.answers),
        }
    }

    fn values(&self) -> [(&'static str, &'static str, i64); 19] {
        let report = self.configuration.report();
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let version = report.revision.map_or(-1, |revision| count(revision.revision.version));
        let age =
            self.configuration.applied_at().map_or(-1, |at| count(self.clock.now().since(at).as_secs()));
        let oldest = self.journal.oldest_open();
        let payloads = i64::try_from(report.refused_payloads.len()).unwrap_or(i64::MAX);
        [
            ("snapshot_version", "Version of the configuration in force; -1: none", version),
            ("snapshot_age_seconds", "Since the configuration in force was received; -1: none", age),
            (
                "snapshot_refused",
                "1: the control plane offers a configuration that is not followed",
                report.refused.is_some().into(),
            ),
            (
                "snapshot_withheld",
                "1: the control plane sends nothing, since its database is an old copy",
                self.state.withheld().into(),
            ),
            (
                "snapshot_copy_outdated",
                "1: the copy of the configuration on this node's disk is not yet, or can't be, written",
                self.configuration.copy_is_outdated().into(),
            ),
            ("snapshot_refused_payloads", "Resources whose payload is refused", payloads),
            ("control_plane_connected", "1: the configuration is watched", self.state.watching().into()),
            ("live_nodes", "Nodes that the control plane heard of lately", self.state.live_nodes().into()),
            (
                "live_degraded",
                "1: Redis is out of reach and marks stay on this node",
                self.live.degraded().into(),
            ),
            ("spool_depth", "Usage records that the ledger does not have yet", count(self.journal.depth())),
            ("spool_bytes", "What usage records take on the disk", count(self.journal.bytes())),
            (
                "spool_oldest_open_seconds",
                "Since the oldest request began that is not over; 0: none is open",
                count(oldest.map_or(0, |began| self.clock.now().since(began).as_secs())),
            ),
            (
                "spool_set_aside",
                "Folders of usage records that can't be read or don't say whose they are; they are kept and not delivered",
                i64::try_from(self.journal.set_aside()).unwrap_or(i64::MAX),
            ),
            (
                "spool_missing",
                "Usage records of earlier runs that this start did not find on the disk",
                count(self.journal.missing()),
            ),
            (
                "spool_healthy",
                "0: usage records can't be written and no requests are taken",
                self.journal.healthy().into(),
            ),
            (
                "request_memory_used_bytes",
                "Taken by requests' bodies, and by what they are converted in",
                count(self.requests.held()),
            ),
            (
                "request_memory_limit_bytes",
                "What they may take; beyond it requests are answered 503",
                count(self.requests.most()),
            ),
            ("answer_memory_used_bytes", "Taken by answers that are read whole", count(self.answers.held())),
            ("answer_memory_limit_bytes", "Above it requests are answered 503", count(self.answers.most())),
        ]
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, value) in self.values() {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
