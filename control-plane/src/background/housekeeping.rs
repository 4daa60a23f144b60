//! Drops what is over: logins, throttle counters, commands, and nodes that were not heard of for a month.

use std::time::Duration;

use shared::clock::{Clock, Millis};

use super::Progress;
use crate::store::{Store, StoreError, commands, nodes, sessions, throttle};

/// Rows that one statement removes.
const ROWS_AT_ONCE: i64 = 500;
/// How long a command stays after it expired, for whoever still waits for its answer.
const COMMAND_AFTERLIFE: Duration = Duration::from_secs(3600);
/// How long a silent node is shown.
const NODE_MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);

pub(super) async fn step(store: &Store, clock: &Clock) -> Result<Progress, StoreError> {
    let now = clock.now();
    let mut tx = store.begin().await?;
    let logins = sessions::delete_expired(&mut tx, now, ROWS_AT_ONCE).await?;
    let counters = throttle::delete_stale(&mut tx, now, ROWS_AT_ONCE).await?;
    commands::delete_expired(&mut tx, before(now, COMMAND_AFTERLIFE)).await?;
    nodes::delete_silent(&mut tx, before(now, NODE_MEMORY)).await?;
    tx.commit().await?;
    let full = [logins, counters]
        .into_iter()
        .any(|removed| removed >= ROWS_AT_ONCE.unsigned_abs());
    Ok(if full { Progress::More } else { Progress::Done })
}

fn before(now: Millis, span: Duration) -> Millis {
    Millis(
        now.0
            .saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
    )
}
