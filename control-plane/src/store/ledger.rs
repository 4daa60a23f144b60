//! Rows of the ledger, how far each spool is taken, and what was rejected.

use std::collections::{HashMap, HashSet};

use shared::{
    clock::Millis,
    id::{IncarnationId, RequestId},
};

use super::{
    StoreError, Tx,
    db::{execute, fetch_in, fetch_one, fetch_optional, with_tx},
};

/// One request. Ids are 16 bytes, costs nano-dollars, times milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LedgerRow {
    pub request_id: Vec<u8>,
    pub key_id: Vec<u8>,
    pub user_id: Vec<u8>,
    /// Of the last attempt.
    pub account_id: Option<Vec<u8>>,
    pub node: String,
    pub wire: String,
    pub stream: bool,
    /// What statistics call the model: its name in the price list where it has a price.
    pub model: String,
    pub model_requested: String,
    pub model_mapped: String,
    pub model_served: String,
    pub status: i64,
    pub outcome: String,
    /// JSON, see [`crate::ledger::entry::AttemptEntry`].
    pub attempts: String,
    pub input_tokens: i64,
    pub cache_read_tokens: i64,
    pub cache_write_5m_tokens: i64,
    pub cache_write_1h_tokens: i64,
    pub output_tokens: i64,
    pub reasoning_tokens: i64,
    pub real_cost: i64,
    pub rated_cost: i64,
    /// Since when the last attempt's price is in force. NULL: it has none.
    pub price_version: Option<i64>,
    pub started_at: i64,
    pub first_token_ms: Option<i64>,
    pub total_ms: Option<i64>,
    pub estimated: bool,
    /// JSON: `["drained", …]`.
    pub conditions: String,
    /// Of the trace that the client is in, 16 bytes.
    pub trace_id: Option<Vec<u8>>,
}

macro_rules! complete {
    ($conflict:literal, $new:literal, $end:literal) => {
        complete!(@ $conflict, $new, $end, "account_id", "model", "model_mapped", "model_served", "status", "outcome",
            "attempts", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
            "output_tokens", "reasoning_tokens", "real_cost", "rated_cost", "price_version", "first_token_ms",
            "total_ms", "estimated")
    };
    (@ $conflict:literal, $new:literal, $end:literal, $($column:literal),+) => {
        concat!(" ", $conflict, " ", $($column, " = ", $new, $column, $end, ", ",)+ "conditions = ", $new, "conditions", $end)
    };
}

/// The columns of [`LedgerRow`].
pub(super) const COLUMNS: &str = "request_id, key_id, user_id, account_id, node, wire, stream, model, \
    model_requested, model_mapped, model_served, status, outcome, attempts, input_tokens, cache_read_tokens, \
    cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, real_cost, rated_cost, \
    price_version, started_at, first_token_ms, total_ms, estimated, conditions, trace_id";

/// Placeholders of one row, with those that follow it.
const PLACES: &str =
    "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// What follows the rows in order to complete those that are there, for (MySQL, SQLite).
const COMPLETE: (&str, &str) = (
    complete!("ON DUPLICATE KEY UPDATE", "VALUES(", ")"),
    complete!("ON CONFLICT (request_id) DO UPDATE SET", "excluded.", ""),
);

/// Rows in one statement. A few sizes only, so that a connection keeps them all prepared.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// What of a spool has been taken, with the row locked until the transaction ends, so that two streams of one spool
/// take turns. The row is made when it is missing.
///
/// # Errors
/// `Busy` where the wait for the lock is too long.
pub async fn lock_cursor(
    tx: &mut Tx,
    node: &str,
    spool: IncarnationId,
    now: Millis,
) -> Result<u64, StoreError> {
    // On MySQL the no-op update takes the row's exclusive lock; INSERT IGNORE would take a shared one, and two of
    // those block each other for good.
    const MYSQL: &str =
        "INSERT INTO spool_cursors (node_id, spool_id, acknowledged, updated_at) VALUES (?, ?, 0, ?)
        ON DUPLICATE KEY UPDATE acknowledged = acknowledged";
    const SQLITE: &str =
        "INSERT INTO spool_cursors (node_id, spool_id, acknowledged, updated_at) VALUES (?, ?, 0, ?)
        ON CONFLICT (node_id, spool_id) DO NOTHING";
    let sql = tx.sql(MYSQL, SQLITE);
    let spool = spool.to_bytes().to_vec();
    execute!(&mut *tx, sql, node, spool.clone(), now.0)?;
    let sql = tx.sql(
        "SELECT acknowledged FROM spool_cursors WHERE node_id = ? AND spool_id = ? FOR UPDATE",
        "SELECT acknowledged FROM spool_cursors WHERE node_id = ? AND spool_id = ?",
    );
    let (acknowledged,) = fetch_one!(&mut *tx, (i64,), sql, node, spool)?;
    u64::try_from(acknowledged).map_err(StoreError::corrupt)
}

/// Notes that a spool is taken up to and with `acknowledged`.
///
/// # Errors
/// What the database says.
pub async fn advance_cursor(
    tx: &mut Tx,
    node: &str,
    spool: IncarnationId,
    acknowledged: u64,
    now: Millis,
) -> Result<(), StoreError> {
    let acknowledged = i64::try_from(acknowledged).map_err(StoreError::corrupt)?;
    execute!(
        tx,
        "UPDATE spool_cursors SET acknowledged = ?, updated_at = ? WHERE node_id = ? AND spool_id = ?",
        acknowledged,
        now.0,
        node,
        spool.to_bytes().to_vec()
    )?;
    Ok(())
}

/// What of a spool has been taken; 0 for one that was never seen.
///
/// # Errors
/// What the database says.
pub async fn acknowledged(tx: &mut Tx, node: &str, spool: IncarnationId) -> Result<u64, StoreError> {
    let row = fetch_optional!(
        tx,
        (i64,),
        "SELECT acknowledged FROM spool_cursors WHERE node_id = ? AND spool_id = ?",
        node,
        spool.to_bytes().to_vec()
    )?;
    row.map_or(Ok(0), |(acknowledged,)| u64::try_from(acknowledged).map_err(StoreError::corrupt))
}

/// Which of the requests have a row, and whether that is still open.
///
/// # Errors
/// What the database says.
pub async fn open_rows(tx: &mut Tx, requests: &[RequestId]) -> Result<HashMap<RequestId, bool>, StoreError> {
    let ids: Vec<Vec<u8>> = requests.iter().map(|id| id.to_bytes().to_vec()).collect();
    let rows: Vec<(Vec<u8>, String)> = fetch_in!(
        tx,
        (Vec<u8>, String),
        "SELECT request_id, outcome FROM ledger WHERE request_id IN ",
        "",
        ids
    )?;
    rows.into_iter()
        .map(|(id, outcome)| {
            let id = RequestId::try_from(id.as_slice()).map_err(StoreError::corrupt)?;
            Ok((id, outcome == "open"))
        })
        .collect()
}

/// Which of the requests have a row that is open, with these rows locked until the transaction ends.
///
/// # Errors
/// `Busy` where the wait for a lock is too long.
pub async fn lock_open(tx: &mut Tx, requests: &[RequestId]) -> Result<HashSet<RequestId>, StoreError> {
    let ids: Vec<Vec<u8>> = requests.iter().map(|id| id.to_bytes().to_vec()).collect();
    let locking = tx.locking();
    // By the key alone: whatever else is looked through on the way is locked too.
    let select = tx.sql(
        "SELECT request_id, outcome FROM ledger FORCE INDEX (PRIMARY) WHERE request_id IN ",
        "SELECT request_id, outcome FROM ledger WHERE request_id IN ",
    );
    let rows: Vec<(Vec<u8>, String)> = fetch_in!(tx, (Vec<u8>, String), select, locking, ids)?;
    let open = rows.into_iter().filter(|(_, outcome)| outcome == "open");
    open.map(|(id, _)| RequestId::try_from(id.as_slice()).map_err(StoreError::corrupt)).collect()
}

/// Adds rows. False: one of the requests has one already, and of these rows none was added.
///
/// # Errors
/// What the database says.
pub async fn insert(tx: &mut Tx, rows: &[&LedgerRow]) -> Result<bool, StoreError> {
    match write(tx, rows, "").await {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict { .. }) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Completes the rows of requests whose open rows are locked.
///
/// # Errors
/// What the database says.
pub async fn close(tx: &mut Tx, rows: &[&LedgerRow]) -> Result<(), StoreError> {
    let complete = tx.sql(COMPLETE.0, COMPLETE.1);
    for rows in pieces(rows) {
        write(tx, rows, complete).await?;
    }
    Ok(())
}

/// The rows in pieces of which each is one statement.
pub fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= rows.len())?;
        let (piece, rest) = rows.split_at(size);
        rows = rest;
        Some(piece)
    })
}

async fn write(tx: &mut Tx, rows: &[&LedgerRow], end: &'static str) -> Result<(), StoreError> {
    let places = vec![PLACES; rows.len()].join(", ");
    let sql = format!("INSERT INTO ledger ({COLUMNS}) VALUES {places}{end}");
    with_tx!(tx, |connection| {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for row in rows {
            query = query
                .bind(&row.request_id)
                .bind(&row.key_id)
                .bind(&row.user_id)
                .bind(&row.account_id)
                .bind(&row.node)
                .bind(&row.wire)
                .bind(row.stream)
                .bind(&row.model)
                .bind(&row.model_requested)
                .bind(&row.model_mapped)
                .bind(&row.model_served)
                .bind(row.status)
                .bind(&row.outcome)
                .bind(&row.attempts)
                .bind(row.input_tokens)
                .bind(row.cache_read_tokens)
                .bind(row.cache_write_5m_tokens)
                .bind(row.cache_write_1h_tokens)
                .bind(row.output_tokens)
                .bind(row.reasoning_tokens)
                .bind(row.real_cost)
                .bind(row.rated_cost)
                .bind(row.price_version)
                .bind(row.started_at)
                .bind(row.first_token_ms)
                .bind(row.total_ms)
                .bind(row.estimated)
                .bind(&row.conditions)
                .bind(&row.trace_id);
        }
        query.execute(connection).await.map(drop).map_err(StoreError::from)
    })
}

/// A record that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    pub sequence: u64,
    pub reason: &'static str,
    /// The record as it came, bounded.
    pub payload: Vec<u8>,
}

/// Keeps a rejected record for a person to look at.
///
/// # Errors
/// What the database says.
pub async fn reject(
    tx: &mut Tx,
    node: &str,
    spool: IncarnationId,
    row: &RejectedRow,
    now: Millis,
) -> Result<(), StoreError> {
    let sequence = i64::try_from(row.sequence).map_err(StoreError::corrupt)?;
    execute!(
        tx,
        "INSERT INTO ledger_rejected (node_id, spool_id, sequence, reason, payload, received_at)
            VALUES (?, ?, ?, ?, ?, ?)",
        node,
        spool.to_bytes().to_vec(),
        sequence,
        row.reason,
        &row.payload,
        now.0,
    )?;
    Ok(())
}

/// Removes at most `limit` rows of requests before `end`, oldest first. For SQLite: MySQL drops partitions.
///
/// # Errors
/// What the database says.
pub async fn delete_before(tx: &mut Tx, end: RequestId, limit: i64) -> Result<u64, StoreError> {
    execute!(
        tx,
        "DELETE FROM ledger WHERE request_id IN
            (SELECT request_id FROM ledger WHERE request_id < ? ORDER BY request_id LIMIT ?)",
        end.to_bytes().to_vec(),
        limit
    )
}

/// Removes at most `limit` rejected records received before `end`.
///
/// # Errors
/// What the database says.
pub async fn delete_rejected_before(tx: &mut Tx, end: Millis, limit: i64) -> Result<u64, StoreError> {
    let sql = tx.sql(
        "DELETE FROM ledger_rejected WHERE received_at < ? ORDER BY received_at LIMIT ?",
        "DELETE FROM ledger_rejected WHERE (node_id, spool_id, sequence) IN
            (SELECT node_id, spool_id, sequence FROM ledger_rejected WHERE received_at < ? ORDER BY received_at LIMIT ?)",
    );
    execute!(tx, sql, end.0, limit)
}
