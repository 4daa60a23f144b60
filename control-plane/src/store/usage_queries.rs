//! What people ask of the ledger: pages of records over named indexes, and sums over the roll-ups.

use std::collections::HashMap;

use shared::{
    clock::Millis,
    id::{AccountId, KeyId, RequestId, UserId},
};

use super::{
    StoreError, Tx,
    db::{fetch_all, fetch_in},
    ledger::{COLUMNS, LedgerRow},
    rollups::{Counts, Metric},
    statement::{Statement, Value},
};
use crate::ledger::record::Outcome;

/// Which records are wanted. All that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    pub request_id: Option<RequestId>,
    pub user_id: Option<UserId>,
    pub key_id: Option<KeyId>,
    pub account_id: Option<AccountId>,
    /// As statistics call it, see [`LedgerRow::model`].
    pub model: Option<String>,
    pub wire: Option<String>,
    pub outcome: Option<Outcome>,
    /// Whether the outcome counts as an error, see [`Outcome::is_error`].
    pub failed: Option<bool>,
    /// Requests of this time or later.
    pub from: Option<Millis>,
    /// Requests before this time.
    pub to: Option<Millis>,
    /// Only requests older than this one.
    pub before: Option<RequestId>,
}

impl RecordFilter {
    /// The index that serves the filter, with its order: of what is usually most selective.
    fn index(&self) -> &'static str {
        let indexes = [
            ("PRIMARY", self.request_id.is_some()),
            ("ledger_by_key", self.key_id.is_some()),
            ("ledger_by_user", self.user_id.is_some()),
            ("ledger_by_account", self.account_id.is_some()),
            ("ledger_by_model", self.model.is_some()),
            ("ledger_by_outcome", self.outcome.is_some()),
            ("ledger_by_wire", self.wire.is_some()),
        ];
        indexes.into_iter().find(|(_, serves)| *serves).map_or("PRIMARY", |(index, _)| index)
    }

    /// The bounds of request ids: from the first one on, up to and without the second one.
    fn bounds(&self) -> (RequestId, RequestId) {
        let first = self.from.map_or(RequestId::from_bytes([0; 16]), first_id_of);
        let end = self.to.map_or(RequestId::from_bytes([0xff; 16]), first_id_of);
        (first, self.before.map_or(end, |before| before.min(end)))
    }

    /// Together they find what is wanted, each by an index that also gives the order. Failures are few among many and
    /// have several outcomes, so where nothing better narrows them they are found by one outcome at a time.
    fn statements(&self, tx: &Tx, limit: u32) -> Vec<Statement> {
        let by_outcome = self.failed == Some(true)
            && self.outcome.is_none()
            && matches!(self.index(), "PRIMARY" | "ledger_by_wire")
            && self.request_id.is_none();
        if !by_outcome {
            return vec![self.statement(tx, limit)];
        }
        let failures = Outcome::ALL.into_iter().filter(|outcome| outcome.is_error());
        failures
            .map(|outcome| Self { outcome: Some(outcome), failed: None, ..self.clone() }.statement(tx, limit))
            .collect()
    }

    fn statement(&self, tx: &Tx, limit: u32) -> Statement {
        // Without the hint MySQL may walk the primary key in search of a few rows.
        let hint = match (tx, self.index()) {
            (Tx::MySql(_), index) => format!(" FORCE INDEX ({index})"),
            (Tx::Sqlite { .. }, "PRIMARY") => String::new(),
            (Tx::Sqlite { .. }, index) => format!(" INDEXED BY {index}"),
        };
        let (first, end) = self.bounds();
        Statement::new(format!("SELECT {COLUMNS} FROM ledger{hint}"))
            .given("request_id >= ?", Some(first.to_bytes()))
            .given("request_id < ?", Some(end.to_bytes()))
            .given("request_id = ?", self.request_id.map(RequestId::to_bytes))
            .given("key_id = ?", self.key_id.map(KeyId::to_bytes))
            .given("user_id = ?", self.user_id.map(UserId::to_bytes))
            .given("account_id = ?", self.account_id.map(AccountId::to_bytes))
            .given("model = ?", self.model.as_deref())
            .given("outcome = ?", self.outcome.map(Outcome::as_str))
            .given("wire = ?", self.wire.as_deref())
            .holding(self.failed.map(failed).as_deref())
            .first("request_id DESC", limit)
    }
}

/// The condition that the outcome counts as an error, or does not.
fn failed(failed: bool) -> String {
    let outcomes = Outcome::ALL.into_iter().filter(|outcome| outcome.is_error() == failed);
    let names: Vec<_> = outcomes.map(|outcome| format!("'{}'", outcome.as_str())).collect();
    format!("outcome IN ({})", names.join(", "))
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
pub async fn records(tx: &mut Tx, filter: &RecordFilter, limit: u32) -> Result<Vec<LedgerRow>, StoreError> {
    let mut rows: Vec<LedgerRow> = Vec::new();
    for statement in filter.statements(tx, limit) {
        rows.extend(statement.fetch(tx).await?);
    }
    rows.sort_unstable_by(|one, other| other.request_id.cmp(&one.request_id));
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(rows)
}

/// How the database would find the records, a plan for each statement.
///
/// # Errors
/// What the database says.
#[cfg(test)]
pub(crate) async fn plans(tx: &mut Tx, filter: &RecordFilter) -> Result<Vec<String>, StoreError> {
    let mut plans = Vec::new();
    for statement in filter.statements(tx, 50) {
        plans.push(statement.plan(tx).await?);
    }
    Ok(plans)
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

const SUMS: &str = "CAST(COALESCE(SUM(requests), 0) AS SIGNED) AS requests,
    CAST(COALESCE(SUM(errors), 0) AS SIGNED) AS errors,
    CAST(COALESCE(SUM(input_tokens), 0) AS SIGNED) AS input_tokens,
    CAST(COALESCE(SUM(cache_read_tokens), 0) AS SIGNED) AS cache_read_tokens,
    CAST(COALESCE(SUM(cache_write_5m_tokens), 0) AS SIGNED) AS cache_write_5m_tokens,
    CAST(COALESCE(SUM(cache_write_1h_tokens), 0) AS SIGNED) AS cache_write_1h_tokens,
    CAST(COALESCE(SUM(output_tokens), 0) AS SIGNED) AS output_tokens,
    CAST(COALESCE(SUM(reasoning_tokens), 0) AS SIGNED) AS reasoning_tokens,
    CAST(COALESCE(SUM(real_cost), 0) AS SIGNED) AS real_cost,
    CAST(COALESCE(SUM(rated_cost), 0) AS SIGNED) AS rated_cost";

impl Scope {
    /// Sums over its roll-up, with a column ahead of them.
    fn sums(&self, column: &str, from: Millis, to: Millis) -> Statement {
        let (table, condition, value) = match self {
            Self::Total => ("rollup_total", "", None),
            Self::User(id) => ("rollup_user", "user_id = ?", Some(Value::from(id.to_bytes()))),
            Self::Key(id) => ("rollup_key", "key_id = ?", Some(Value::from(id.to_bytes()))),
            Self::Account(id) => ("rollup_account", "account_id = ?", Some(Value::from(id.to_bytes()))),
            Self::Model(name) => ("rollup_model", "model = ?", Some(Value::from(name.as_str()))),
        };
        Statement::new(format!("SELECT {column}{SUMS} FROM {table}"))
            .given(condition, value)
            .given("quarter_start >= ?", Some(from.0))
            .given("quarter_start < ?", Some(to.0))
    }

    fn sums_by(&self, period: Period, from: Millis, to: Millis) -> Statement {
        let start = match period {
            Period::Day => "quarter_start - quarter_start % 86400000",
            Period::Hour => "quarter_start - quarter_start % 3600000",
        };
        self.sums(&format!("{start} AS start, "), from, to).grouped(start).first("1", MAX_PERIODS)
    }
}

/// How long a period of sums is. Periods begin by UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Day,
    Hour,
}

/// Periods of one answer.
const MAX_PERIODS: u32 = 1000;

/// Sums of a period, by the time it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct PeriodCounts {
    pub start: i64,
    #[sqlx(flatten)]
    pub counts: Counts,
}

/// Sums of the quarter-hours that begin from `from` on and before `to`.
///
/// # Errors
/// What the database says.
pub async fn summary(tx: &mut Tx, scope: &Scope, from: Millis, to: Millis) -> Result<Counts, StoreError> {
    Ok(scope.sums("", from, to).fetch(tx).await?.pop().unwrap_or_default())
}

/// [`summary`] by rising period, at most a thousand; periods without any request are left out.
///
/// # Errors
/// What the database says.
pub async fn by_period(
    tx: &mut Tx,
    scope: &Scope,
    period: Period,
    from: Millis,
    to: Millis,
) -> Result<Vec<PeriodCounts>, StoreError> {
    scope.sums_by(period, from, to).fetch(tx).await
}

/// How the database would find sums.
///
/// # Errors
/// What the database says.
#[cfg(test)]
pub(crate) async fn plan_of_sums(tx: &mut Tx, scope: &Scope, period: Period) -> Result<String, StoreError> {
    let (from, to) = (Millis(0), Millis(7 * 86_400_000));
    scope.sums_by(period, from, to).plan(tx).await
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
