//! Keeps the ledger's size in bounds: months ahead get their partition, what is older than the operators want goes.

use shared::{
    clock::{Clock, Millis},
    id::IncarnationId,
};

use super::folding;
use crate::store::{
    Store, StoreError, Tx, former_keys, incarnations, latency, ledger as rows,
    ledger_partitions::{self, Month, Partitioning},
    ledger_rejected, rollups, settings,
    usage_queries::first_id_of,
};

/// How long requests stay where operators set nothing.
pub const DEFAULT_RETENTION_DAYS: u64 = 400;
/// How long sums stay by day. They are small, and statistics outlive what they were made of; then they are folded into
/// one row of each subject, so that totals stay exact.
pub const DAYS_RETENTION_DAYS: u64 = 1_200;
/// How long sums stay by quarter-hour.
pub const QUARTERS_RETENTION_DAYS: u64 = 400;
/// Months that have a partition before they begin.
const MONTHS_AHEAD: usize = 2;
/// Rows that one statement removes.
const ROWS_AT_ONCE: i64 = 1_000;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// One bounded step. True: there may be more to remove.
///
/// # Errors
/// What the database says; the next step goes on from where this one came to.
pub async fn step(store: &Store, clock: &Clock) -> Result<bool, StoreError> {
    let now = clock.now();
    let keep_from = before(now, retention_days(store).await?);
    let mut more = false;
    match ledger_partitions::arrange(store, &months(now), keep_from).await? {
        Partitioning::Arranged { split, dropped } if !split.is_empty() || !dropped.is_empty() => {
            tracing::info!(?split, ?dropped, "the ledger's partitions were arranged");
        }
        Partitioning::Arranged { .. } | Partitioning::Elsewhere | Partitioning::None => {}
    }
    let mut tx = store.begin().await?;
    // Of a partition that is not over yet, the days that are.
    more |= is_full(rows::delete_before(&mut tx, first_id_of(keep_from), ROWS_AT_ONCE).await?);
    tx.commit().await?;
    let mut tx = store.begin().await?;
    more |= is_full(ledger_rejected::delete_before(&mut tx, keep_from, ROWS_AT_ONCE).await?);
    // What is open stays until its incarnation ends: it has not been charged yet.
    more |= rows::delete_beside_before(&mut tx, first_id_of(keep_from), ROWS_AT_ONCE).await?;
    // Whose a key was need not be known longer than what it was used for.
    more |= is_full(former_keys::date(&mut tx, now, ROWS_AT_ONCE).await?);
    more |= is_full(former_keys::delete_before(&mut tx, keep_from, ROWS_AT_ONCE).await?);
    tx.commit().await?;
    Ok(more | rollup_step(store, now).await?)
}

async fn rollup_step(store: &Store, now: Millis) -> Result<bool, StoreError> {
    let (quarters, days) = (quarters_from(now), before(now, DAYS_RETENTION_DAYS));
    let mut tx = store.read().await?;
    let over = incarnations::unswept(&mut tx).await?;
    tx.commit().await?;
    // Behind this, nothing that is kept is of the incarnation.
    match folding::all(store).await {
        Err(StoreError::Busy(_)) => return Ok(true),
        done => done?,
    }
    let mut tx = store.begin().await?;
    let mut more = rollups::delete_quarters(&mut tx, quarters, ROWS_AT_ONCE).await?;
    more |= latency::delete_before(&mut tx, quarters, days, ROWS_AT_ONCE).await?;
    more |= rollups::fold_days(&mut tx, days, ROWS_AT_ONCE).await?;
    if let Some(incarnation) = over {
        more |= sweep(&mut tx, incarnation).await?;
    }
    tx.commit().await?;
    Ok(more)
}

/// Removes sums of an incarnation that is open no more.
async fn sweep(tx: &mut Tx, incarnation: IncarnationId) -> Result<bool, StoreError> {
    if !rollups::delete_open(tx, incarnation, ROWS_AT_ONCE).await? {
        incarnations::swept(tx, incarnation).await?;
    }
    Ok(true)
}

/// Sums by quarter-hour are there from this time on; before it, only by day.
#[must_use]
pub fn quarters_from(now: Millis) -> Millis {
    Millis(rollups::day_of(before(now, QUARTERS_RETENTION_DAYS).0))
}

async fn retention_days(store: &Store) -> Result<u64, StoreError> {
    let mut tx = store.read().await?;
    let (settings, _) = settings::load(&mut tx).await?;
    Ok(settings.ledger_retention_days.unwrap_or(DEFAULT_RETENTION_DAYS))
}

fn before(now: Millis, days: u64) -> Millis {
    let span = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_MS);
    Millis(now.0.saturating_sub(span).max(0))
}

/// This month and those ahead.
fn months(now: Millis) -> Vec<Month> {
    std::iter::successors(Month::of(now), |month| Some(month.next())).take(MONTHS_AHEAD + 1).collect()
}

fn is_full(removed: u64) -> bool {
    removed >= ROWS_AT_ONCE.unsigned_abs()
}
