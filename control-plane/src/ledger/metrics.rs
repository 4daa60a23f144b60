//! What ingestion counts. One set for the process: records reach it through several services.

use std::sync::LazyLock;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Debug, Default)]
pub(super) struct LedgerMetrics {
    /// Records entered.
    pub(super) records: Counter,
    /// Records that had been taken before.
    pub(super) repeated: Counter,
    /// Close records of a request that was closed already.
    pub(super) closed_twice: Counter,
    /// Records of requests whose end had been assumed.
    pub(super) replaced: Counter,
    /// Records that could not be understood, or not in full.
    pub(super) rejected: Family<RejectedLabels, Counter>,
    /// Attempts whose tokens have no price.
    pub(super) unpriced: Counter,
    /// Batches that began beyond the next sequence.
    pub(super) gaps: Counter,
    /// Transactions that were tried again because another one was in the way.
    pub(super) retried: Counter,
    /// Times that additions could not be folded into the roll-ups.
    pub(super) fold_failures: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RejectedLabels {
    pub(super) reason: &'static str,
}

static METRICS: LazyLock<LedgerMetrics> = LazyLock::new(LedgerMetrics::default);

pub(super) fn metrics() -> &'static LedgerMetrics {
    &METRICS
}

/// Shows the ledger's numbers on a page of metrics.
pub fn register(all: &mut Registry) {
    let own = metrics();
    all.register("ledger_records", "Usage records entered into the ledger", own.records.clone());
    all.register("ledger_repeated_records", "Usage records that were entered before", own.repeated.clone());
    all.register(
        "ledger_closed_twice",
        "Close records of requests that were closed",
        own.closed_twice.clone(),
    );
    all.register("ledger_replaced", "Records of requests whose end had been assumed", own.replaced.clone());
    all.register(
        "ledger_rejected_records",
        "Usage records that were not understood in full",
        own.rejected.clone(),
    );
    all.register(
        "ledger_unpriced_attempts",
        "Attempts with tokens and without a price",
        own.unpriced.clone(),
    );
    all.register("ledger_gaps", "Batches that began beyond the next sequence", own.gaps.clone());
    all.register("ledger_retried_transactions", "Ingestions tried again", own.retried.clone());
    all.register(
        "ledger_fold_failures",
        "Times that usage could not be folded into its sums",
        own.fold_failures.clone(),
    );
}
