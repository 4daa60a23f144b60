//! Requests that are over, each a row that is written once, and what stands beside it for lists.

use std::collections::HashSet;

use shared::id::{IncarnationId, RequestId};

use super::{
    StoreError, Tx,
    db::{execute, fetch_in, fetch_optional, placeholders, with_tx},
    rollups::pieces,
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
    /// See [`crate::words::purpose::Purpose`].
    pub purpose: String,
    /// What statistics call the model: its name in the price list where it has a price.
    pub model: String,
    pub model_requested: String,
    pub model_mapped: String,
    pub model_served: String,
    pub status: i64,
    pub outcome: String,
    /// JSON, see [`crate::ledger::attempts`].
    pub attempts: String,
    pub input_tokens: i64,
    pub cache_read_tokens: i64,
    pub cache_write_5m_tokens: i64,
    pub cache_write_1h_tokens: i64,
    pub output_tokens: i64,
    pub reasoning_tokens: i64,
    pub real_cost: i64,
    pub rated_cost: i64,
    pub started_at: i64,
    pub first_token_ms: Option<i64>,
    pub total_ms: Option<i64>,
    pub estimated: bool,
    /// JSON: `["drained", …]`.
    pub conditions: String,
    /// JSON, see [`crate::ledger::entry::Details`].
    pub details: String,
    /// Of the trace that the client is in, 16 bytes.
    pub trace_id: Option<Vec<u8>>,
}

/// The columns of [`LedgerRow`].
pub(super) const COLUMNS: [&str; 30] = [
    "request_id",
    "key_id",
    "user_id",
    "account_id",
    "node",
    "wire",
    "stream",
    "purpose",
    "model",
    "model_requested",
    "model_mapped",
    "model_served",
    "status",
    "outcome",
    "attempts",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "real_cost",
    "rated_cost",
    "started_at",
    "first_token_ms",
    "total_ms",
    "estimated",
    "conditions",
    "details",
    "trace_id",
];

/// Rows in one statement. A few sizes only, so that a connection keeps them all prepared.
const SIZES: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];
/// Bytes of JSON of a row that goes in with others, so that a statement stays below what MySQL takes at once.
const MAX_ROW_BYTES: usize = 32 * 1024;

/// Adds rows. False: one of the requests has one already, and of these rows none was added.
///
/// # Errors
/// What the database says.
pub async fn insert(tx: &mut Tx, rows: &[&LedgerRow]) -> Result<bool, StoreError> {
    match write(tx, rows).await {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict { .. }) => Ok(false),
        Err(other) => Err(other),
    }
}

/// The rows in pieces of which each is one statement.
pub fn statements<'a>(rows: &'a [&'a LedgerRow]) -> impl Iterator<Item = &'a [&'a LedgerRow]> {
    let is_large = |row: &&LedgerRow| row.attempts.len() + row.details.len() > MAX_ROW_BYTES;
    let same = move |one: &&LedgerRow, other: &&LedgerRow| is_large(one) == is_large(other);
    rows.chunk_by(same).flat_map(move |rows| {
        let sizes = if rows.first().is_some_and(is_large) { [1; 9] } else { SIZES };
        pieces(rows, sizes)
    })
}

async fn write(tx: &mut Tx, rows: &[&LedgerRow]) -> Result<(), StoreError> {
    let columns = COLUMNS.join(", ");
    let places = vec![placeholders(COLUMNS.len()); rows.len()].join(", ");
    let sql = format!("INSERT INTO ledger ({columns}) VALUES {places}");
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
                .bind(&row.purpose)
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
                .bind(row.started_at)
                .bind(row.first_token_ms)
                .bind(row.total_ms)
                .bind(row.estimated)
                .bind(&row.conditions)
                .bind(&row.details)
                .bind(&row.trace_id);
        }
        query.execute(connection).await.map(drop).map_err(StoreError::from)
    })
}

/// Those of the requests that have a row, as committed last, with these rows locked until the transaction ends.
///
/// # Errors
/// `Busy` where the wait for a lock is too long.
pub async fn lock_closed(tx: &mut Tx, requests: &[RequestId]) -> Result<HashSet<RequestId>, StoreError> {
    let (ids, locking) = (padded(requests), tx.locking());
    // By the key alone: whatever else is looked through on the way is locked too.
    let select = tx.sql(
        "SELECT request_id FROM ledger FORCE INDEX (PRIMARY) WHERE request_id IN ",
        "SELECT request_id FROM ledger WHERE request_id IN ",
    );
    request_ids(fetch_in!(tx, (Vec<u8>,), select, locking, ids)?)
}

/// Those of the requests that have a row, as this transaction sees it.
///
/// # Errors
/// What the database says.
pub async fn closed(tx: &mut Tx, requests: &[RequestId]) -> Result<HashSet<RequestId>, StoreError> {
    let ids = padded(requests);
    request_ids(fetch_in!(tx, (Vec<u8>,), "SELECT request_id FROM ledger WHERE request_id IN ", "", ids)?)
}

/// The ids, the last one repeated up to one of a few numbers, so that few statements have to be prepared.
pub(super) fn padded(requests: &[RequestId]) -> Vec<Vec<u8>> {
    const STEPS: [usize; 4] = [1, 8, 50, 200];
    let mut ids: Vec<Vec<u8>> = requests.iter().map(|id| id.to_bytes().to_vec()).collect();
    let rest = ids.len() % 200;
    let step = STEPS.into_iter().find(|step| *step >= rest).unwrap_or(200);
    if let (Some(last), true) = (ids.last().cloned(), rest > 0) {
        ids.extend(std::iter::repeat_n(last, step - rest));
    }
    ids
}

pub(super) fn request_ids(rows: Vec<(Vec<u8>,)>) -> Result<HashSet<RequestId>, StoreError> {
    rows.into_iter().map(|(id,)| RequestId::try_from(id).map_err(StoreError::corrupt)).collect()
}

/// The scopes in which a request that did not complete is found, and its id in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndedScope {
    All,
    Key,
    User,
    Account,
    Model,
}

impl EndedScope {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Key => "key",
            Self::User => "user",
            Self::Account => "account",
            Self::Model => "model",
        }
    }
}

/// Makes the requests that did not complete be found by their outcome.
///
/// # Errors
/// What the database says.
pub async fn note_ended(tx: &mut Tx, rows: &[&LedgerRow]) -> Result<(), StoreError> {
    let mut ended: Vec<(EndedScope, &[u8], &LedgerRow)> = Vec::new();
    for row in rows.iter().filter(|row| row.outcome != "completed") {
        ended.push((EndedScope::All, &[], row));
        ended.push((EndedScope::Key, &row.key_id, row));
        ended.push((EndedScope::User, &row.user_id, row));
        if let Some(account) = &row.account_id {
            ended.push((EndedScope::Account, account, row));
        }
        ended.push((EndedScope::Model, row.model.as_bytes(), row));
    }
    for ended in pieces(&ended, SIZES) {
        let places = vec!["(?, ?, ?, ?)"; ended.len()].join(", ");
        // Those of a row that went already may still be there.
        let end = tx.sql(" ON DUPLICATE KEY UPDATE request_id = request_id", " ON CONFLICT DO NOTHING");
        let sql =
            format!("INSERT INTO ledger_ended (scope, subject, outcome, request_id) VALUES {places}{end}");
        with_tx!(&mut *tx, |connection| {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
            for (scope, subject, row) in ended {
                query = query.bind(scope.as_str()).bind(*subject).bind(&row.outcome).bind(&row.request_id);
            }
            query.execute(connection).await.map(drop).map_err(StoreError::from)
        })?;
    }
    Ok(())
}

/// Notes that a row stands for what is not known.
///
/// # Errors
/// What the database says.
pub async fn note_assumed(
    tx: &mut Tx,
    request: RequestId,
    incarnation: IncarnationId,
) -> Result<(), StoreError> {
    execute!(
        tx,
        "INSERT INTO ledger_assumed (request_id, incarnation_id) VALUES (?, ?)",
        request.to_bytes().to_vec(),
        incarnation.to_bytes().to_vec()
    )?;
    Ok(())
}

/// Takes the assumed row of a request away and answers it. `None`: there is none that is assumed.
///
/// # Errors
/// What the database says.
pub async fn take_assumed(tx: &mut Tx, request: RequestId) -> Result<Option<LedgerRow>, StoreError> {
    let id = request.to_bytes().to_vec();
    if execute!(&mut *tx, "DELETE FROM ledger_assumed WHERE request_id = ?", id.as_slice())? == 0 {
        return Ok(None);
    }
    let sql = format!("SELECT {} FROM ledger WHERE request_id = ?{}", COLUMNS.join(", "), tx.locking());
    let row = fetch_optional!(&mut *tx, LedgerRow, sqlx::AssertSqlSafe(sql), id.as_slice())?;
    remove(tx, &id).await?;
    Ok(row)
}

/// Removes what this transaction has written of an assumed row, as far as it came.
///
/// # Errors
/// What the database says.
pub async fn take_back(tx: &mut Tx, request: RequestId) -> Result<(), StoreError> {
    let id = request.to_bytes().to_vec();
    execute!(&mut *tx, "DELETE FROM ledger_assumed WHERE request_id = ?", id.as_slice())?;
    remove(tx, &id).await
}

async fn remove(tx: &mut Tx, id: &[u8]) -> Result<(), StoreError> {
    execute!(&mut *tx, "DELETE FROM ledger WHERE request_id = ?", id)?;
    execute!(&mut *tx, "DELETE FROM ledger_ended WHERE request_id = ?", id)?;
    Ok(())
}

/// Those of the requests whose end was assumed, also where its row is no longer kept.
///
/// # Errors
/// What the database says.
pub async fn assumed(tx: &mut Tx, requests: &[RequestId]) -> Result<HashSet<RequestId>, StoreError> {
    let ids = padded(requests);
    request_ids(fetch_in!(
        tx,
        (Vec<u8>,),
        "SELECT request_id FROM ledger_assumed WHERE request_id IN ",
        "",
        ids
    )?)
}

/// Removes at most `limit` rows of requests before `end`, oldest first. On MySQL whole partitions are dropped besides.
///
/// # Errors
/// What the database says.
pub async fn delete_before(tx: &mut Tx, end: RequestId, limit: i64) -> Result<u64, StoreError> {
    let sql = tx.sql(
        "DELETE FROM ledger WHERE request_id < ? ORDER BY request_id LIMIT ?",
        "DELETE FROM ledger WHERE request_id IN
            (SELECT request_id FROM ledger WHERE request_id < ? ORDER BY request_id LIMIT ?)",
    );
    execute!(tx, sql, end.to_bytes().to_vec(), limit)
}

/// Removes at most `limit` rows that stand beside requests before `end`. True: there may be more.
///
/// # Errors
/// What the database says.
pub async fn delete_beside_before(tx: &mut Tx, end: RequestId, limit: i64) -> Result<bool, StoreError> {
    const ENDED: (&str, &str) = (
        "DELETE FROM ledger_ended WHERE request_id < ? ORDER BY request_id LIMIT ?",
        "DELETE FROM ledger_ended WHERE (scope, subject, outcome, request_id) IN
            (SELECT scope, subject, outcome, request_id FROM ledger_ended WHERE request_id < ?
            ORDER BY request_id LIMIT ?)",
    );
    let end = end.to_bytes().to_vec();
    let sql = tx.sql(ENDED.0, ENDED.1);
    Ok(execute!(tx, sql, end.as_slice(), limit)? >= limit.unsigned_abs())
}
