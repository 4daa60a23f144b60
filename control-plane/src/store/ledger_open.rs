//! Requests that are not over, as far as is known: few, each with what was reserved for it.

use std::collections::HashSet;

use shared::id::{IncarnationId, RequestId};

use super::{
    StoreError, Tx,
    db::{fetch_all, fetch_in, placeholders, with_tx},
    ledger::{LedgerRow, padded, request_ids},
    rollups::pieces,
};

/// One request. Ids are 16 bytes, times milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OpenRow {
    pub request_id: Vec<u8>,
    pub incarnation_id: Vec<u8>,
    pub key_id: Vec<u8>,
    pub user_id: Vec<u8>,
    pub node: String,
    pub wire: String,
    pub stream: bool,
    pub purpose: String,
    /// What statistics would call the model.
    pub model: String,
    pub model_requested: String,
    pub started_at: i64,
    /// JSON: `["clock_skew", …]`.
    pub conditions: String,
    /// JSON, see [`crate::ledger::entry::Details`].
    pub details: String,
    pub trace_id: Option<Vec<u8>>,
}

impl From<OpenRow> for LedgerRow {
    fn from(open: OpenRow) -> Self {
        Self {
            request_id: open.request_id,
            key_id: open.key_id,
            user_id: open.user_id,
            account_id: None,
            node: open.node,
            wire: open.wire,
            stream: open.stream,
            purpose: open.purpose,
            model: open.model,
            model_requested: open.model_requested,
            model_mapped: String::new(),
            model_served: String::new(),
            status: 0,
            outcome: "open".to_owned(),
            attempts: "[]".to_owned(),
            input_tokens: 0,
            cache_read_tokens: 0,
            cache_write_5m_tokens: 0,
            cache_write_1h_tokens: 0,
            output_tokens: 0,
            reasoning_tokens: 0,
            real_cost: 0,
            rated_cost: 0,
            started_at: open.started_at,
            first_token_ms: None,
            total_ms: None,
            estimated: false,
            conditions: open.conditions,
            details: open.details,
            trace_id: open.trace_id,
        }
    }
}

/// The columns of [`OpenRow`].
pub(super) const COLUMNS: &str = "request_id, incarnation_id, key_id, user_id, node, wire, stream, purpose, model, \
    model_requested, started_at, conditions, details, trace_id";

/// Rows in one statement.
const SIZES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// Which of the requests have a row.
///
/// # Errors
/// What the database says.
pub async fn there(tx: &mut Tx, requests: &[RequestId]) -> Result<HashSet<RequestId>, StoreError> {
    let ids = padded(requests);
    request_ids(fetch_in!(
        tx,
        (Vec<u8>,),
        "SELECT request_id FROM ledger_open WHERE request_id IN ",
        "",
        ids
    )?)
}

/// Adds rows; one of a request that has one is left out.
///
/// # Errors
/// What the database says.
pub async fn insert(tx: &mut Tx, rows: &[OpenRow]) -> Result<(), StoreError> {
    for rows in pieces(rows, SIZES) {
        match write(tx, rows).await {
            Err(StoreError::Conflict { .. }) => {}
            done => {
                done?;
                continue;
            }
        }
        for row in rows {
            match write(tx, std::slice::from_ref(row)).await {
                Ok(()) | Err(StoreError::Conflict { .. }) => {}
                Err(other) => return Err(other),
            }
        }
    }
    Ok(())
}

async fn write(tx: &mut Tx, rows: &[OpenRow]) -> Result<(), StoreError> {
    let places = vec![placeholders(14); rows.len()].join(", ");
    let sql = format!("INSERT INTO ledger_open ({COLUMNS}) VALUES {places}");
    with_tx!(tx, |connection| {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for row in rows {
            query = query
                .bind(&row.request_id)
                .bind(&row.incarnation_id)
                .bind(&row.key_id)
                .bind(&row.user_id)
                .bind(&row.node)
                .bind(&row.wire)
                .bind(row.stream)
                .bind(&row.purpose)
                .bind(&row.model)
                .bind(&row.model_requested)
                .bind(row.started_at)
                .bind(&row.conditions)
                .bind(&row.details)
                .bind(&row.trace_id);
        }
        query.execute(connection).await.map(drop).map_err(StoreError::from)
    })
}

/// Removes the rows of these requests.
///
/// # Errors
/// What the database says.
pub async fn delete(tx: &mut Tx, requests: &[RequestId]) -> Result<(), StoreError> {
    for ids in padded(requests).chunks(200) {
        let sql = format!("DELETE FROM ledger_open WHERE request_id IN {}", placeholders(ids.len()));
        with_tx!(&mut *tx, |connection| {
            let query = ids.iter().fold(sqlx::query(sqlx::AssertSqlSafe(sql)), |query, id| query.bind(id));
            query.execute(connection).await.map(drop).map_err(StoreError::from)
        })?;
    }
    Ok(())
}

/// At most `limit` of an incarnation, oldest first, locked until the transaction ends.
///
/// # Errors
/// `Busy` where the wait for a lock is too long.
pub async fn lock_of(
    tx: &mut Tx,
    incarnation: IncarnationId,
    limit: i64,
) -> Result<Vec<OpenRow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM ledger_open WHERE incarnation_id = ? ORDER BY request_id LIMIT ?{}",
        tx.locking()
    );
    fetch_all!(tx, OpenRow, sqlx::AssertSqlSafe(sql), incarnation.to_bytes().to_vec(), limit)
}
