//! Keeps the ledger's size in bounds: months ahead get their partition, what is older than the operators want goes.

use shared::clock::{Clock, Millis};

use crate::store::{
    Store, StoreError, ledger as rows,
    ledger_partitions::{self, Month, Partitioning},
    rollups, settings,
    usage_queries::first_id_of,
};

/// How long requests stay where operators set nothing.
pub const DEFAULT_RETENTION_DAYS: u64 = 400;
/// How long roll-ups stay. They are small, and statistics outlive what they were made of.
pub const ROLLUP_RETENTION_DAYS: u64 = 1_200;
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
        Partitioning::None => {
            let mut tx = store.begin().await?;
            more |= is_full(rows::delete_before(&mut tx, first_id_of(keep_from), ROWS_AT_ONCE).await?);
            tx.commit().await?;
        }
        Partitioning::Arranged { split, dropped } if !split.is_empty() || !dropped.is_empty() => {
            tracing::info!(?split, ?dropped, "the ledger's partitions were arranged");
        }
        Partitioning::Arranged { .. } | Partitioning::Elsewhere => {}
    }
    let mut tx = store.begin().await?;
    more |= is_full(rows::delete_rejected_before(&mut tx, keep_from, ROWS_AT_ONCE).await?);
    more |= rollups::delete_before(&mut tx, before(now, ROLLUP_RETENTION_DAYS), ROWS_AT_ONCE).await?;
    tx.commit().await?;
    Ok(more)
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
