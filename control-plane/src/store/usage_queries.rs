//! What people ask of the ledger: pages of records over named indexes, and sums over the roll-ups.

use std::collections::HashMap;

use shared::{
    clock::Millis,
    id::{AccountId, KeyId, RequestId, UserId},
};

use super::{
    StoreError, Tx,
    db::{fetch_all, fetch_in, fetch_one, with_tx},
    ledger::{COLUMNS, LedgerRow},
    rollups::{Counts, Metric},
};

/// Which records are wanted. All that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    pub user_id: Option<UserId>,
    pub key_id: Option<KeyId>,
    pub account_id: Option<AccountId>,
    /// As statistics call it, see [`LedgerRow::model`].
    pub model: Option<String>,
    pub wire: Option<String>,
    pub outcome: Option<String>,
    /// Requests of this time or later.
    pub from: Option<Millis>,
    /// Requests before this time.
    pub to: Option<Millis>,
    /// Only requests older than this one.
    pub before: Option<RequestId>,
}

/// A value to bind.
#[derive(Debug, Clone)]
enum Value {
    Bytes(Vec<u8>),
    Text(String),
}

/// A condition on an equal value, with the index that serves it.
struct Condition {
    index: &'static str,
    sql: &'static str,
    value: Value,
}

impl RecordFilter {
    /// The conditions, most selective first as a rule: the first one's index is used.
    fn conditions(&self) -> Vec<Condition> {
        let bytes = |index, sql, id: Option<[u8; 16]>| {
            id.map(|id| Condition { index, sql, value: Value::Bytes(id.to_vec()) })
        };
        let text = |index, sql, text: &Option<String>| {
            text.clone().map(|text| Condition { index, sql, value: Value::Text(text) })
        };
        let all = [
            bytes("ledger_by_key", "key_id = ?", self.key_id.map(KeyId::to_bytes)),
            bytes("ledger_by_user", "user_id = ?", self.user_id.map(UserId::to_bytes)),
            bytes("ledger_by_account", "account_id = ?", self.account_id.map(AccountId::to_bytes)),
            text("ledger_by_model", "model = ?", &self.model),
            text("ledger_by_outcome", "outcome = ?", &self.outcome),
            text("ledger_by_wire", "wire = ?", &self.wire),
        ];
        all.into_iter().flatten().collect()
    }

    /// The bounds of request ids: from the first one on, up to and without the second one.
    fn bounds(&self) -> (RequestId, RequestId) {
        let first = self.from.map_or(RequestId::from_bytes([0; 16]), first_id_of);
        let end = self.to.map_or(RequestId::from_bytes([0xff; 16]), first_id_of);
        (first, self.before.map_or(end, |before| before.min(end)))
    }

    fn statement(&self, tx: &Tx, limit: i64) -> (String, Vec<Value>) {
        let conditions = self.conditions();
        let index = conditions.first().map(|condition| condition.index);
        // Without the hint MySQL may walk the primary key in search of a few rows.
        let hint = match (tx, index) {
            (Tx::MySql(_), index) => format!(" FORCE INDEX ({})", index.unwrap_or("PRIMARY")),
            (Tx::Sqlite { .. }, Some(index)) => format!(" INDEXED BY {index}"),
            (Tx::Sqlite { .. }, None) => String::new(),
        };
        let mut sql = format!("SELECT {COLUMNS} FROM ledger{hint} WHERE request_id >= ? AND request_id < ?");
        let (first, end) = self.bounds();
        let mut values = vec![Value::Bytes(first.to_bytes().to_vec()), Value::Bytes(end.to_bytes().to_vec())];
        for condition in conditions {
            sql.push_str(" AND ");
            sql.push_str(condition.sql);
            values.push(condition.value);
        }
        sql.push_str(" ORDER BY request_id DESC LIMIT ");
        sql.push_str(&limit.clamp(0, 1_000).to_string());
        (sql, values)
    }
}

/// The least id of a time: ids are ULIDs, so that a range of time is a range of ids.
#[must_use]
pub fn first_id_of(at: Millis) -> RequestId {
    let mut bytes = [0; 16];
    let milliseconds = u64::try_from(at.0).unwrap_or(0).min((1 << 48) - 1);
    bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
    RequestId::from_bytes(bytes)
}

/// At most `limit` records, newest first.
///
/// # Errors
/// What the database says.
pub async fn records(tx: &mut Tx, filter: &RecordFilter, limit: i64) -> Result<Vec<LedgerRow>, StoreError> {
    let (sql, values) = filter.statement(tx, limit);
    with_tx!(tx, |connection| {
        let mut query = sqlx::query_as::<_, LedgerRow>(sqlx::AssertSqlSafe(sql));
        for value in values {
            query = match value {
                Value::Bytes(bytes) => query.bind(bytes),
                Value::Text(text) => query.bind(text),
            };
        }
        query.fetch_all(connection).await.map_err(StoreError::from)
    })
}

/// How the database would find the records: on SQLite the lines of its query plan, on MySQL the type of access, the
/// index and what else it does.
///
/// # Errors
/// What the database says.
#[cfg(test)]
pub(crate) async fn plan(tx: &mut Tx, filter: &RecordFilter) -> Result<String, StoreError> {
    use sqlx::Row as _;
    let (sql, values) = filter.statement(tx, 50);
    let sql = tx.sql("EXPLAIN ", "EXPLAIN QUERY PLAN ").to_owned() + &sql;
    let mut lines = Vec::new();
    match tx {
        Tx::MySql(transaction) => {
            let query = bound(sqlx::query(sqlx::AssertSqlSafe(sql)), values);
            for row in query.fetch_all(&mut **transaction).await? {
                let texts = ["type", "key", "Extra"].map(|column| row.get::<Option<String>, _>(column));
                lines.extend(texts.into_iter().flatten());
            }
        }
        Tx::Sqlite { transaction, .. } => {
            let query = bound(sqlx::query(sqlx::AssertSqlSafe(sql)), values);
            let rows = query.fetch_all(&mut **transaction).await?;
            lines.extend(rows.iter().map(|row| row.get::<String, _>("detail")));
        }
    }
    Ok(lines.join(" | "))
}

#[cfg(test)]
fn bound<'q, D: sqlx::Database>(
    query: sqlx::query::Query<'q, D, D::Arguments>,
    values: Vec<Value>,
) -> sqlx::query::Query<'q, D, D::Arguments>
where
    Vec<u8>: sqlx::Encode<'q, D> + sqlx::Type<D>,
    String: sqlx::Encode<'q, D> + sqlx::Type<D>,
{
    values.into_iter().fold(query, |query, value| match value {
        Value::Bytes(bytes) => query.bind(bytes),
        Value::Text(text) => query.bind(text),
    })
}

/// Whose sums are wanted: one dimension, as each has its own roll-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Total,
    User(UserId),
    Key(KeyId),
    Account(AccountId),
    Model(String),
}

/// Statements over a roll-up, from one list of sums: (of all, by day).
macro_rules! sums {
    ($table:literal, $condition:literal) => {
        (
            sums!(@select "", $table, $condition, ""),
            sums!(@select "quarter_start - quarter_start % 86400000 AS day, ", $table, $condition,
                " GROUP BY quarter_start - quarter_start % 86400000 ORDER BY 1 LIMIT 1000"),
        )
    };
    (@select $first:literal, $table:literal, $condition:literal, $tail:literal) => {
        concat!(
            "SELECT ", $first,
            "CAST(COALESCE(SUM(requests), 0) AS SIGNED) AS requests,
            CAST(COALESCE(SUM(errors), 0) AS SIGNED) AS errors,
            CAST(COALESCE(SUM(input_tokens), 0) AS SIGNED) AS input_tokens,
            CAST(COALESCE(SUM(cache_read_tokens), 0) AS SIGNED) AS cache_read_tokens,
            CAST(COALESCE(SUM(cache_write_5m_tokens), 0) AS SIGNED) AS cache_write_5m_tokens,
            CAST(COALESCE(SUM(cache_write_1h_tokens), 0) AS SIGNED) AS cache_write_1h_tokens,
            CAST(COALESCE(SUM(output_tokens), 0) AS SIGNED) AS output_tokens,
            CAST(COALESCE(SUM(reasoning_tokens), 0) AS SIGNED) AS reasoning_tokens,
            CAST(COALESCE(SUM(real_cost), 0) AS SIGNED) AS real_cost,
            CAST(COALESCE(SUM(rated_cost), 0) AS SIGNED) AS rated_cost
            FROM ", $table, " WHERE quarter_start >= ? AND quarter_start < ?", $condition, $tail
        )
    };
}

impl Scope {
    const fn statements(&self) -> (&'static str, &'static str) {
        match self {
            Self::Total => sums!("rollup_total", ""),
            Self::User(_) => sums!("rollup_user", " AND user_id = ?"),
            Self::Key(_) => sums!("rollup_key", " AND key_id = ?"),
            Self::Account(_) => sums!("rollup_account", " AND account_id = ?"),
            Self::Model(_) => sums!("rollup_model", " AND model = ?"),
        }
    }

    fn value(&self) -> Option<Value> {
        match self {
            Self::Total => None,
            Self::User(id) => Some(Value::Bytes(id.to_bytes().to_vec())),
            Self::Key(id) => Some(Value::Bytes(id.to_bytes().to_vec())),
            Self::Account(id) => Some(Value::Bytes(id.to_bytes().to_vec())),
            Self::Model(name) => Some(Value::Text(name.clone())),
        }
    }
}

/// A UTC day, by the time it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct DayCounts {
    pub day: i64,
    #[sqlx(flatten)]
    pub counts: Counts,
}

/// Sums of the quarter-hours that begin from `from` on and before `to`.
///
/// # Errors
/// What the database says.
pub async fn summary(tx: &mut Tx, scope: &Scope, from: Millis, to: Millis) -> Result<Counts, StoreError> {
    let (sql, _) = scope.statements();
    match scope.value() {
        None => fetch_one!(tx, Counts, sql, from.0, to.0),
        Some(Value::Bytes(id)) => fetch_one!(tx, Counts, sql, from.0, to.0, id),
        Some(Value::Text(text)) => fetch_one!(tx, Counts, sql, from.0, to.0, text),
    }
}

/// [`summary`] by UTC day, at most a thousand days; days without any request are left out.
///
/// # Errors
/// What the database says.
pub async fn daily(
    tx: &mut Tx,
    scope: &Scope,
    from: Millis,
    to: Millis,
) -> Result<Vec<DayCounts>, StoreError> {
    let (_, sql) = scope.statements();
    match scope.value() {
        None => fetch_all!(tx, DayCounts, sql, from.0, to.0),
        Some(Value::Bytes(id)) => fetch_all!(tx, DayCounts, sql, from.0, to.0, id),
        Some(Value::Text(text)) => fetch_all!(tx, DayCounts, sql, from.0, to.0, text),
    }
}

/// How many requests fell into each bucket of a metric, by rising bucket; of one model or of all.
///
/// # Errors
/// What the database says.
pub async fn latency(
    tx: &mut Tx,
    model: Option<&str>,
    metric: Metric,
    from: Millis,
    to: Millis,
) -> Result<Vec<(i64, i64)>, StoreError> {
    match model {
        Some(model) => fetch_all!(
            tx,
            (i64, i64),
            "SELECT bucket, CAST(SUM(requests) AS SIGNED) FROM rollup_latency
                WHERE metric = ? AND quarter_start >= ? AND quarter_start < ? AND model = ?
                GROUP BY bucket ORDER BY bucket",
            metric.as_str(),
            from.0,
            to.0,
            model
        ),
        None => fetch_all!(
            tx,
            (i64, i64),
            "SELECT bucket, CAST(SUM(requests) AS SIGNED) FROM rollup_latency
                WHERE metric = ? AND quarter_start >= ? AND quarter_start < ?
                GROUP BY bucket ORDER BY bucket",
            metric.as_str(),
            from.0,
            to.0
        ),
    }
}

/// What records refer to, and lists show by name.
#[derive(Debug, Clone, Copy)]
pub enum Named {
    Users,
    Keys,
    Accounts,
}

/// The names of those of `ids` that still exist, by id.
///
/// # Errors
/// What the database says.
pub async fn names(
    tx: &mut Tx,
    named: Named,
    ids: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, String>, StoreError> {
    let sql = match named {
        Named::Users => "SELECT id, name FROM users WHERE id IN ",
        Named::Keys => "SELECT id, name FROM api_keys WHERE id IN ",
        Named::Accounts => "SELECT id, name FROM accounts WHERE id IN ",
    };
    Ok(fetch_in!(tx, (Vec<u8>, String), sql, "", ids)?.into_iter().collect())
}
