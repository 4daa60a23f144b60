//! Records that could not be taken as they are, kept for a person to look at.

use shared::clock::Millis;

use super::{
    StoreError, Tx,
    db::{execute, fetch_optional},
    statement::Statement,
};

/// How far the count goes.
pub const MOST_COUNTED: i64 = 1_000;

/// A record, or a range of sequences that a node does not have any more.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RejectedRow {
    /// 16 bytes.
    pub incarnation_id: Vec<u8>,
    pub spool: i64,
    pub first_sequence: i64,
    /// Same as the first, save where a range is gone.
    pub last_sequence: i64,
    pub node: String,
    /// Code, see [`crate::ledger::record::Rejection`].
    pub reason: String,
    /// What the database said. Empty: it was not asked.
    pub detail: String,
    /// The record as it came, bounded.
    pub payload: Vec<u8>,
    pub received_at: i64,
}

/// Where a page ends: the key of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RejectedKey {
    pub received_at: i64,
    pub incarnation: [u8; 16],
    pub spool: i64,
    pub first_sequence: i64,
}

/// Keeps it.
///
/// # Errors
/// What the database says.
pub async fn insert(tx: &mut Tx, row: &RejectedRow) -> Result<(), StoreError> {
    execute!(
        tx,
        "INSERT INTO ledger_rejected (received_at, incarnation_id, spool, first_sequence, last_sequence, node, reason,
            detail, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row.received_at,
        row.incarnation_id.as_slice(),
        row.spool,
        row.first_sequence,
        row.last_sequence,
        row.node.as_str(),
        row.reason.as_str(),
        row.detail.as_str(),
        row.payload.as_slice(),
    )?;
    Ok(())
}

/// At most `limit` behind `after`, newest first.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    after: Option<RejectedKey>,
    limit: u32,
) -> Result<Vec<RejectedRow>, StoreError> {
    let mut statement = Statement::new(
        "SELECT received_at, incarnation_id, spool, first_sequence, last_sequence, node, reason, detail, payload
            FROM ledger_rejected",
    );
    if let Some(key) = after {
        // MySQL finds its way by the first condition.
        statement = statement.given("received_at <= ?", Some(key.received_at)).given_all(
            "(received_at, incarnation_id, spool, first_sequence) < (?, ?, ?, ?)",
            vec![key.received_at.into(), key.incarnation.into(), key.spool.into(), key.first_sequence.into()],
        );
    }
    let order = "received_at DESC, incarnation_id DESC, spool DESC, first_sequence DESC";
    statement.first(order, limit).fetch(tx).await
}

/// How many there are, up to [`MOST_COUNTED`].
///
/// # Errors
/// What the database says.
pub async fn count(tx: &mut Tx) -> Result<i64, StoreError> {
    let row = fetch_optional!(
        tx,
        (i64,),
        "SELECT COUNT(*) FROM (SELECT 1 FROM ledger_rejected LIMIT 1000) counted"
    )?;
    Ok(row.map_or(0, |(count,)| count))
}

/// Removes at most `limit` that were received before `end`.
///
/// # Errors
/// What the database says.
pub async fn delete_before(tx: &mut Tx, end: Millis, limit: i64) -> Result<u64, StoreError> {
    let sql = tx.sql(
        "DELETE FROM ledger_rejected WHERE received_at < ? ORDER BY received_at LIMIT ?",
        "DELETE FROM ledger_rejected WHERE (received_at, incarnation_id, spool, first_sequence) IN
            (SELECT received_at, incarnation_id, spool, first_sequence FROM ledger_rejected WHERE received_at < ?
            ORDER BY received_at LIMIT ?)",
    );
    execute!(tx, sql, end.0, limit)
}
