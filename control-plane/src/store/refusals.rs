//! What nodes refused by themselves: how far each run's reports are taken, counts, and the latest in full.

use shared::{
    clock::Millis,
    id::{IncarnationId, KeyId, RequestId, UserId},
};

use super::{
    StoreError, Tx,
    db::{execute, fetch_one, fetch_optional},
    statement::Statement,
    usage_queries::first_id_of,
};

/// Stands for a key or a user that is not known.
pub const NOBODY: [u8; 16] = [0; 16];

/// What one node refused within a quarter-hour. Ordered as its key is, so that all transactions lock in one order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CountRow {
    pub quarter_start: i64,
    pub code: String,
    pub key_id: [u8; 16],
    /// Empty: not known.
    pub model: String,
    /// What the node does not tell apart.
    pub others: bool,
    pub user_id: [u8; 16],
    pub requests: i64,
}

/// One refused request. Ids are 16 bytes.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RefusalRow {
    pub request_id: Vec<u8>,
    pub refused_at: i64,
    pub code: String,
    /// HTTP status that the client got.
    pub status: i64,
    pub wire: String,
    pub node_id: String,
    pub key_id: Vec<u8>,
    pub user_id: Vec<u8>,
    /// Empty: not known.
    pub model: String,
    /// What the client was told.
    pub message: String,
    /// What only operators are told. Empty: nothing more.
    pub explanation: String,
}

const COLUMNS: &str =
    "request_id, refused_at, code, status, wire, node_id, key_id, user_id, model, message, explanation";

/// The last report of a node's run that was taken, 0 for none, with the row locked until the transaction ends. The row
/// is made when it is missing.
///
/// # Errors
/// `Busy` where the wait for the lock is too long.
pub async fn lock_cursor(
    tx: &mut Tx,
    node: &str,
    incarnation: IncarnationId,
    now: Millis,
) -> Result<u64, StoreError> {
    // As with the spools' cursors, the no-op update takes the row's exclusive lock on MySQL.
    let sql = tx.sql(
        "INSERT INTO refusal_cursors (node_id, incarnation_id, acknowledged, updated_at) VALUES (?, ?, 0, ?)
            ON DUPLICATE KEY UPDATE acknowledged = acknowledged",
        "INSERT INTO refusal_cursors (node_id, incarnation_id, acknowledged, updated_at) VALUES (?, ?, 0, ?)
            ON CONFLICT (node_id, incarnation_id) DO NOTHING",
    );
    let incarnation = incarnation.to_bytes().to_vec();
    execute!(&mut *tx, sql, node, incarnation.clone(), now.0)?;
    let sql = tx.sql(
        "SELECT acknowledged FROM refusal_cursors WHERE node_id = ? AND incarnation_id = ? FOR UPDATE",
        "SELECT acknowledged FROM refusal_cursors WHERE node_id = ? AND incarnation_id = ?",
    );
    let (acknowledged,) = fetch_one!(&mut *tx, (i64,), sql, node, incarnation)?;
    u64::try_from(acknowledged).map_err(StoreError::corrupt)
}

/// Notes that a run's reports are taken up to and with `acknowledged`.
///
/// # Errors
/// What the database says.
pub async fn advance_cursor(
    tx: &mut Tx,
    node: &str,
    incarnation: IncarnationId,
    acknowledged: u64,
    now: Millis,
) -> Result<(), StoreError> {
    execute!(
        tx,
        "UPDATE refusal_cursors SET acknowledged = ?, updated_at = ? WHERE node_id = ? AND incarnation_id = ?",
        i64::try_from(acknowledged).map_err(StoreError::corrupt)?,
        now.0,
        node,
        incarnation.to_bytes().to_vec()
    )?;
    Ok(())
}

/// Adds to the counts of a node.
///
/// # Errors
/// What the database says.
pub async fn add(tx: &mut Tx, node: &str, count: &CountRow) -> Result<(), StoreError> {
    let sql = tx.sql(
        "INSERT INTO refusal_counts (quarter_start, code, node_id, key_id, model, others, user_id, requests)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE requests = requests + ?",
        "INSERT INTO refusal_counts (quarter_start, code, node_id, key_id, model, others, user_id, requests)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (quarter_start, code, node_id, key_id, model, others)
            DO UPDATE SET requests = requests + ?",
    );
    execute!(
        tx,
        sql,
        count.quarter_start,
        count.code.as_str(),
        node,
        count.key_id.to_vec(),
        count.model.as_str(),
        count.others,
        count.user_id.to_vec(),
        count.requests,
        count.requests,
    )?;
    Ok(())
}

/// Keeps a request that is not kept yet.
///
/// # Errors
/// What the database says.
pub async fn keep(tx: &mut Tx, row: &RefusalRow) -> Result<(), StoreError> {
    let sql = tx.sql(
        "INSERT INTO refusals (request_id, refused_at, code, status, wire, node_id, key_id, user_id, model, message,
            explanation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON DUPLICATE KEY UPDATE refused_at = refused_at",
        "INSERT INTO refusals (request_id, refused_at, code, status, wire, node_id, key_id, user_id, model, message,
            explanation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (request_id) DO NOTHING",
    );
    execute!(
        tx,
        sql,
        row.request_id.as_slice(),
        row.refused_at,
        row.code.as_str(),
        row.status,
        row.wire.as_str(),
        row.node_id.as_str(),
        row.key_id.as_slice(),
        row.user_id.as_slice(),
        row.model.as_str(),
        row.message.as_str(),
        row.explanation.as_str(),
    )?;
    Ok(())
}

/// Which refused requests are wanted. All that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct RefusalFilter {
    pub request_id: Option<RequestId>,
    pub user_id: Option<UserId>,
    pub key_id: Option<KeyId>,
    pub code: Option<String>,
    /// As the client asked for it.
    pub model: Option<String>,
    /// Requests of this time or later.
    pub from: Option<Millis>,
    /// Requests before this time.
    pub to: Option<Millis>,
    /// Only requests older than this one.
    pub before: Option<RequestId>,
}

impl RefusalFilter {
    /// The index that serves the filter, with its order: of what is usually most selective.
    fn index(&self) -> &'static str {
        let indexes = [
            ("PRIMARY", self.request_id.is_some()),
            ("refusals_by_key", self.key_id.is_some()),
            ("refusals_by_user", self.user_id.is_some()),
            ("refusals_by_model", self.model.is_some()),
            ("refusals_by_code", self.code.is_some()),
        ];
        indexes.into_iter().find(|(_, serves)| *serves).map_or("PRIMARY", |(index, _)| index)
    }

    fn statement(&self, tx: &Tx, limit: u32) -> Statement {
        // Without the hint MySQL may walk the primary key in search of a few rows.
        let hint = match (tx, self.index()) {
            (Tx::MySql(_), index) => format!(" FORCE INDEX ({index})"),
            (Tx::Sqlite(_), "PRIMARY") => String::new(),
            (Tx::Sqlite(_), index) => format!(" INDEXED BY {index}"),
        };
        Statement::new(format!("SELECT {COLUMNS} FROM refusals{hint}"))
            .given("request_id >= ?", self.from.map(|from| first_id_of(from).to_bytes()))
            .given("request_id < ?", self.to.map(|to| first_id_of(to).to_bytes()))
            .given("request_id < ?", self.before.map(RequestId::to_bytes))
            .given("request_id = ?", self.request_id.map(RequestId::to_bytes))
            .given("key_id = ?", self.key_id.map(KeyId::to_bytes))
            .given("user_id = ?", self.user_id.map(UserId::to_bytes))
            .given("code = ?", self.code.as_deref())
            .given("model = ?", self.model.as_deref())
            .first("request_id DESC", limit)
    }
}

/// At most `limit` refused requests, newest first.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx, filter: &RefusalFilter, limit: u32) -> Result<Vec<RefusalRow>, StoreError> {
    filter.statement(tx, limit).fetch(tx).await
}

/// Whose refusals are summed. All that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct CountFilter {
    pub user_id: Option<UserId>,
    pub key_id: Option<KeyId>,
    pub code: Option<String>,
    pub model: Option<String>,
}

/// Refused requests that have something in common.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Sum {
    pub code: String,
    pub key_id: Vec<u8>,
    pub model: String,
    pub others: bool,
    pub requests: i64,
}

impl CountFilter {
    fn sums(&self, columns: &str, from: Millis, to: Millis) -> Statement {
        let select =
            format!("SELECT {columns}, CAST(SUM(requests) AS SIGNED) AS requests FROM refusal_counts");
        Statement::new(select)
            .given("quarter_start >= ?", Some(from.0))
            .given("quarter_start < ?", Some(to.0))
            .given("user_id = ?", self.user_id.map(UserId::to_bytes))
            .given("key_id = ?", self.key_id.map(KeyId::to_bytes))
            .given("code = ?", self.code.as_deref())
            .given("model = ?", self.model.as_deref())
            .grouped(columns)
    }
}

/// Sums of the quarter-hours that begin from `from` on and before `to`, by code; at most `limit`, the most frequent first.
///
/// # Errors
/// What the database says.
pub async fn by_code(
    tx: &mut Tx,
    filter: &CountFilter,
    from: Millis,
    to: Millis,
    limit: u32,
) -> Result<Vec<(String, i64)>, StoreError> {
    filter.sums("code", from, to).first("2 DESC, 1", limit).fetch(tx).await
}

/// [`by_code`], by code, key and model.
///
/// # Errors
/// What the database says.
pub async fn by_all(
    tx: &mut Tx,
    filter: &CountFilter,
    from: Millis,
    to: Millis,
    limit: u32,
) -> Result<Vec<Sum>, StoreError> {
    filter.sums("code, key_id, model, others", from, to).first("5 DESC, 1, 2, 3, 4", limit).fetch(tx).await
}

/// The newest of those that are too many where `most` are kept. None: there are no more than that.
///
/// # Errors
/// What the database says.
pub async fn newest_too_many(tx: &mut Tx, most: u64) -> Result<Option<RequestId>, StoreError> {
    let (all,) = fetch_one!(&mut *tx, (i64,), "SELECT COUNT(*) FROM refusals")?;
    let too_many = all.saturating_sub(i64::try_from(most).unwrap_or(i64::MAX));
    if too_many <= 0 {
        return Ok(None);
    }
    // Counted from the end where they are few.
    let sql = "SELECT request_id FROM refusals ORDER BY request_id LIMIT 1 OFFSET ?";
    let row = fetch_optional!(tx, (Vec<u8>,), sql, too_many - 1)?;
    row.map(|(id,)| RequestId::try_from(id).map_err(StoreError::corrupt)).transpose()
}

/// Removes at most `limit` of the requests up to and with this one.
///
/// # Errors
/// What the database says.
pub async fn delete_to(tx: &mut Tx, last: RequestId, limit: i64) -> Result<u64, StoreError> {
    let sql = tx.sql(
        "DELETE FROM refusals WHERE request_id <= ? ORDER BY request_id LIMIT ?",
        "DELETE FROM refusals WHERE request_id IN
            (SELECT request_id FROM refusals WHERE request_id <= ? ORDER BY request_id LIMIT ?)",
    );
    execute!(tx, sql, last.to_bytes().to_vec(), limit)
}

/// Removes at most `limit` counts of before `end`.
///
/// # Errors
/// What the database says.
pub async fn delete_counts_before(tx: &mut Tx, end: Millis, limit: i64) -> Result<u64, StoreError> {
    let sql = tx.sql(
        "DELETE FROM refusal_counts WHERE quarter_start < ? ORDER BY quarter_start LIMIT ?",
        "DELETE FROM refusal_counts WHERE (quarter_start, code, node_id, key_id, model, others) IN
            (SELECT quarter_start, code, node_id, key_id, model, others FROM refusal_counts
                WHERE quarter_start < ? ORDER BY quarter_start LIMIT ?)",
    );
    execute!(tx, sql, end.0, limit)
}

/// Removes at most `limit` cursors of runs that have reported nothing since `end`.
///
/// # Errors
/// What the database says.
pub async fn delete_cursors_before(tx: &mut Tx, end: Millis, limit: i64) -> Result<u64, StoreError> {
    let sql = tx.sql(
        "DELETE FROM refusal_cursors WHERE updated_at < ? ORDER BY updated_at LIMIT ?",
        "DELETE FROM refusal_cursors WHERE (node_id, incarnation_id) IN
            (SELECT node_id, incarnation_id FROM refusal_cursors WHERE updated_at < ? ORDER BY updated_at LIMIT ?)",
    );
    execute!(tx, sql, end.0, limit)
}

/// How the database would find a page, and sums.
#[cfg(test)]
pub(crate) async fn plans(
    tx: &mut Tx,
    filter: &RefusalFilter,
    counts: &CountFilter,
) -> Result<[String; 2], StoreError> {
    let (from, to) = (Millis(0), Millis(7 * 86_400_000));
    let page = filter.statement(tx, 50).plan(tx).await?;
    Ok([page, counts.sums("code", from, to).first("2 DESC, 1", 50).plan(tx).await?])
}
