//! Keeps refusals in bounds: those that are older than operators want go, and of those that are too many the oldest.

use shared::{
    clock::{Clock, Millis},
    id::RequestId,
};

use crate::store::{Store, StoreError, refusals as rows, settings, usage_queries::first_id_of};

/// How long refusals and their counts stay where operators set nothing, and how many.
pub const DEFAULT_RETENTION_DAYS: u64 = 90;
pub const DEFAULT_KEPT: u64 = 100_000;
/// A run that has reported nothing for so long will not send its last report again.
const CURSOR_DAYS: u64 = 30;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// One step of at most `at_once` rows of each table. True: there may be more to remove.
///
/// # Errors
/// What the database says.
pub async fn step(store: &Store, clock: &Clock, at_once: i64) -> Result<bool, StoreError> {
    let mut tx = store.read().await?;
    let (settings, _) = settings::load(&mut tx).await?;
    let most = settings.refusals_kept.unwrap_or(DEFAULT_KEPT);
    let too_many = rows::newest_too_many(&mut tx, most).await?;
    tx.commit().await?;
    let days = settings.refusal_retention_days.unwrap_or(DEFAULT_RETENTION_DAYS);
    let keep_from = before(clock.now(), days);
    let too_old = last_before(first_id_of(keep_from));
    let mut more = false;
    if let Some(last) = too_many.max(too_old) {
        let mut tx = store.begin().await?;
        more |= is_full(rows::delete_to(&mut tx, last, at_once).await?, at_once);
        tx.commit().await?;
    }
    let mut tx = store.begin().await?;
    more |= is_full(rows::delete_counts_before(&mut tx, keep_from, at_once).await?, at_once);
    let silent = before(clock.now(), CURSOR_DAYS);
    more |= is_full(rows::delete_cursors_before(&mut tx, silent, at_once).await?, at_once);
    tx.commit().await?;
    Ok(more)
}

fn before(now: Millis, days: u64) -> Millis {
    let span = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(DAY_MS);
    Millis(now.0.saturating_sub(span).max(0))
}

/// The id before this one; none before the first.
fn last_before(id: RequestId) -> Option<RequestId> {
    let number = u128::from_be_bytes(id.to_bytes()).checked_sub(1)?;
    Some(RequestId::from_bytes(number.to_be_bytes()))
}

fn is_full(removed: u64, at_once: i64) -> bool {
    removed >= at_once.unsigned_abs()
}
