//! Sums of usage by UTC quarter-hour, a table per dimension. Every column is additive, and added to in the
//! transaction that closes the request.
//!
//! `rollup_account` counts attempts where the others count requests, each with its own usage: an account answers for
//! what was tried on it. So its sums of tokens and costs are those of the others, and its number of requests is not.

use std::collections::BTreeMap;

use shared::clock::Millis;
/// Milliseconds of a roll-up's period.
pub use shared::clock::QUARTER_MS;

use super::{StoreError, Tx, db::execute};

/// The start of the quarter-hour that a time is in.
#[must_use]
pub const fn quarter_of(at: Millis) -> i64 {
    at.quarter_start().0
}

/// What is summed. Costs in nano-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, sqlx::FromRow)]
pub struct Counts {
    pub requests: i64,
    pub errors: i64,
    pub input_tokens: i64,
    pub cache_read_tokens: i64,
    pub cache_write_5m_tokens: i64,
    pub cache_write_1h_tokens: i64,
    pub output_tokens: i64,
    pub reasoning_tokens: i64,
    pub real_cost: i64,
    pub rated_cost: i64,
}

impl Counts {
    pub const fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.cache_read_tokens = self.cache_read_tokens.saturating_add(other.cache_read_tokens);
        self.cache_write_5m_tokens = self.cache_write_5m_tokens.saturating_add(other.cache_write_5m_tokens);
        self.cache_write_1h_tokens = self.cache_write_1h_tokens.saturating_add(other.cache_write_1h_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(other.reasoning_tokens);
        self.real_cost = self.real_cost.saturating_add(other.real_cost);
        self.rated_cost = self.rated_cost.saturating_add(other.rated_cost);
    }
}

/// What a latency roll-up measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// From a request's arrival to its first content.
    FirstToken,
    /// From a request's arrival to the end of a completed answer.
    Total,
}

impl Metric {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstToken => "first_token",
            Self::Total => "total",
        }
    }
}

/// The number of the bucket that a time falls into: 4 a doubling, so that a bucket's middle is at most an eighth off.
#[must_use]
pub const fn bucket_of(milliseconds: u64) -> i64 {
    if milliseconds < 4 {
        return milliseconds.cast_signed();
    }
    let doubling = milliseconds.ilog2();
    let quarter = (milliseconds >> (doubling - 2)) & 3;
    ((doubling as i64) - 1) * 4 + quarter.cast_signed()
}

/// The middle of a bucket, in milliseconds.
#[must_use]
pub const fn middle_of(bucket: i64) -> u64 {
    if bucket < 4 {
        return if bucket < 0 { 0 } else { bucket.cast_unsigned() };
    }
    let bucket = if bucket > 240 { 240 } else { bucket.cast_unsigned() };
    let (doubling, quarter) = (bucket / 4 + 1, bucket % 4);
    let width = 1_u64 << (doubling - 2);
    (4 + quarter) * width + width / 2
}

type Id = [u8; 16];

/// What a batch of requests adds to the roll-ups. Ordered, so that all transactions take row locks in one order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Additions {
    pub total: BTreeMap<i64, Counts>,
    pub user: BTreeMap<(Id, i64), Counts>,
    pub key: BTreeMap<(Id, i64), Counts>,
    pub account: BTreeMap<(Id, i64), Counts>,
    pub model: BTreeMap<(String, i64), Counts>,
    pub latency: BTreeMap<(String, Metric, i64, i64), i64>,
}

/// The statement that adds to a table, for one database: the counts are bound twice.
macro_rules! upsert {
    ($table:literal, $keys:literal, $places:literal, $conflict:expr) => {
        concat!(
            "INSERT INTO ",
            $table,
            " (",
            $keys,
            ", requests, errors, input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens,
            output_tokens, reasoning_tokens, real_cost, rated_cost) VALUES (",
            $places,
            ", ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ",
            $conflict,
            " requests = requests + ?, errors = errors + ?, input_tokens = input_tokens + ?,
            cache_read_tokens = cache_read_tokens + ?, cache_write_5m_tokens = cache_write_5m_tokens + ?,
            cache_write_1h_tokens = cache_write_1h_tokens + ?, output_tokens = output_tokens + ?,
            reasoning_tokens = reasoning_tokens + ?, real_cost = real_cost + ?, rated_cost = rated_cost + ?"
        )
    };
}

/// [`upsert!`] for (MySQL, SQLite).
macro_rules! upserts {
    ($table:literal, $keys:literal, $places:literal) => {
        (
            upsert!($table, $keys, $places, "ON DUPLICATE KEY UPDATE"),
            upsert!($table, $keys, $places, concat!("ON CONFLICT (", $keys, ") DO UPDATE SET")),
        )
    };
}

/// The statement that removes old rows, for (MySQL, SQLite): SQLite has no DELETE … LIMIT as it is usually built.
macro_rules! deletes {
    ($table:literal, $keys:literal) => {
        (
            concat!("DELETE FROM ", $table, " WHERE quarter_start < ? ORDER BY quarter_start LIMIT ?"),
            concat!(
                "DELETE FROM ",
                $table,
                " WHERE (",
                $keys,
                ") IN (SELECT ",
                $keys,
                " FROM ",
                $table,
                " WHERE quarter_start < ? ORDER BY quarter_start LIMIT ?)"
            ),
        )
    };
}

type Pair = (&'static str, &'static str);
const TOTAL: Pair = upserts!("rollup_total", "quarter_start", "?");
const USER: Pair = upserts!("rollup_user", "user_id, quarter_start", "?, ?");
const KEY: Pair = upserts!("rollup_key", "key_id, quarter_start", "?, ?");
const ACCOUNT: Pair = upserts!("rollup_account", "account_id, quarter_start", "?, ?");
const MODEL: Pair = upserts!("rollup_model", "model, quarter_start", "?, ?");
const LATENCY: Pair = (
    "INSERT INTO rollup_latency (model, metric, quarter_start, bucket, requests) VALUES (?, ?, ?, ?, ?)
        ON DUPLICATE KEY UPDATE requests = requests + ?",
    "INSERT INTO rollup_latency (model, metric, quarter_start, bucket, requests) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (model, metric, quarter_start, bucket) DO UPDATE SET requests = requests + ?",
);

/// `execute!` with the counts bound after the keys, twice.
macro_rules! add_counts {
    ($tx:expr, $sql:expr, $counts:expr $(, $key:expr)+) => {
        execute!(
            $tx,
            $sql,
            $($key,)+
            $counts.requests,
            $counts.errors,
            $counts.input_tokens,
            $counts.cache_read_tokens,
            $counts.cache_write_5m_tokens,
            $counts.cache_write_1h_tokens,
            $counts.output_tokens,
            $counts.reasoning_tokens,
            $counts.real_cost,
            $counts.rated_cost,
            $counts.requests,
            $counts.errors,
            $counts.input_tokens,
            $counts.cache_read_tokens,
            $counts.cache_write_5m_tokens,
            $counts.cache_write_1h_tokens,
            $counts.output_tokens,
            $counts.reasoning_tokens,
            $counts.real_cost,
            $counts.rated_cost,
        )
    };
}

/// Adds to the roll-ups. Last in a transaction: the rows of the present quarter-hour are locked by it until the end.
///
/// # Errors
/// `Busy` where another transaction is in the way for too long.
pub async fn add(tx: &mut Tx, additions: &Additions) -> Result<(), StoreError> {
    for ((model, metric, quarter, bucket), requests) in &additions.latency {
        let sql = tx.sql(LATENCY.0, LATENCY.1);
        execute!(&mut *tx, sql, model, metric.as_str(), quarter, bucket, requests, requests)?;
    }
    for ((model, quarter), counts) in &additions.model {
        let sql = tx.sql(MODEL.0, MODEL.1);
        add_counts!(&mut *tx, sql, counts, model, quarter)?;
    }
    add_by_id(tx, ACCOUNT, &additions.account).await?;
    add_by_id(tx, KEY, &additions.key).await?;
    add_by_id(tx, USER, &additions.user).await?;
    for (quarter, counts) in &additions.total {
        let sql = tx.sql(TOTAL.0, TOTAL.1);
        add_counts!(&mut *tx, sql, counts, quarter)?;
    }
    Ok(())
}

async fn add_by_id(tx: &mut Tx, sql: Pair, rows: &BTreeMap<(Id, i64), Counts>) -> Result<(), StoreError> {
    let sql = tx.sql(sql.0, sql.1);
    for ((id, quarter), counts) in rows {
        add_counts!(&mut *tx, sql, counts, id.to_vec(), quarter)?;
    }
    Ok(())
}

/// Removes at most `limit` rows of each table that are older than `end`. True: one of them had that many.
///
/// # Errors
/// What the database says.
pub async fn delete_before(tx: &mut Tx, end: Millis, limit: i64) -> Result<bool, StoreError> {
    const STATEMENTS: [Pair; 6] = [
        deletes!("rollup_total", "quarter_start"),
        deletes!("rollup_user", "user_id, quarter_start"),
        deletes!("rollup_key", "key_id, quarter_start"),
        deletes!("rollup_account", "account_id, quarter_start"),
        deletes!("rollup_model", "model, quarter_start"),
        deletes!("rollup_latency", "model, metric, quarter_start, bucket"),
    ];
    let mut full = false;
    for sql in STATEMENTS {
        let sql = tx.sql(sql.0, sql.1);
        full |= execute!(&mut *tx, sql, end.0, limit)? >= limit.unsigned_abs();
    }
    Ok(full)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_begin_where_the_one_before_ends() {
        let buckets: Vec<i64> = (0..64).map(bucket_of).collect();
        assert!(buckets.windows(2).all(|pair| pair[1] == pair[0] || pair[1] == pair[0] + 1), "{buckets:?}");
        assert_eq!(bucket_of(u64::from(u32::MAX)), 123);
    }

    #[test]
    fn a_quarter_begins_on_the_quarter() {
        assert_eq!(quarter_of(Millis(QUARTER_MS * 7 + 1)), QUARTER_MS * 7);
        assert_eq!(quarter_of(Millis(QUARTER_MS * 7)), QUARTER_MS * 7);
        assert_eq!(quarter_of(Millis(-1)), -QUARTER_MS);
    }

    proptest! {
        #[test]
        fn a_bucket_s_middle_is_near_and_in_the_bucket(milliseconds in 0_u64..u64::from(u32::MAX)) {
            let middle = middle_of(bucket_of(milliseconds));
            prop_assert_eq!(bucket_of(middle), bucket_of(milliseconds));
            prop_assert!(middle.abs_diff(milliseconds) * 8 <= milliseconds.max(1) + 8);
        }
    }
}
