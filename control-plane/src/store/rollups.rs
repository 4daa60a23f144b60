//! Sums of usage by UTC quarter-hour and, beside them, by UTC day. Every column is additive; a sum that would overflow
//! stays at the most that a column holds. What the transactions that close requests add is in [`super::rollup_additions`]
//! until it is folded in.
//!
//! Of accounts and groups, attempts are counted where the others count requests, each with its own usage: an account
//! answers for what was tried on it. So its sums of tokens and costs are those of the others, and its number of requests is not.

use std::collections::BTreeMap;

use shared::clock::Millis;
/// Milliseconds of a roll-up's period.
pub use shared::clock::QUARTER_MS;
use shared::id::IncarnationId;

use super::{
    StoreError, Tx,
    db::{execute, fetch_all, with_tx},
};

pub const DAY_MS: i64 = 24 * 3600 * 1000;
/// Of quarter-hours and days: the model that stands for all of them.
pub const ALL_MODELS: &str = "";
/// The day that holds all that is older than what is kept by day.
pub const BEFORE: i64 = 0;

/// The start of the quarter-hour that a time is in.
#[must_use]
pub const fn quarter_of(at: Millis) -> i64 {
    at.quarter_start().0
}

/// The start of the UTC day that a time is in.
#[must_use]
pub const fn day_of(start: i64) -> i64 {
    start - start.rem_euclid(DAY_MS)
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
    pub fn add(&mut self, other: &Self) {
        let (mut sums, others) = (self.as_array(), other.as_array());
        for (sum, other) in sums.iter_mut().zip(others) {
            *sum = sum.saturating_add(other);
        }
        *self = Self::from_array(sums);
    }

    /// What takes these away again.
    #[must_use]
    pub fn negated(&self) -> Self {
        Self::from_array(self.as_array().map(i64::saturating_neg))
    }

    /// In the order of the fields.
    #[must_use]
    pub const fn as_array(&self) -> [i64; 10] {
        let Self {
            requests,
            errors,
            input_tokens,
            cache_read_tokens,
            cache_write_5m_tokens,
            cache_write_1h_tokens,
            output_tokens,
            reasoning_tokens,
            real_cost,
            rated_cost,
        } = *self;
        [
            requests,
            errors,
            input_tokens,
            cache_read_tokens,
            cache_write_5m_tokens,
            cache_write_1h_tokens,
            output_tokens,
            reasoning_tokens,
            real_cost,
            rated_cost,
        ]
    }

    #[must_use]
    pub const fn from_array(counts: [i64; 10]) -> Self {
        let [
            requests,
            errors,
            input_tokens,
            cache_read_tokens,
            cache_write_5m_tokens,
            cache_write_1h_tokens,
            output_tokens,
            reasoning_tokens,
            real_cost,
            rated_cost,
        ] = counts;
        Self {
            requests,
            errors,
            input_tokens,
            cache_read_tokens,
            cache_write_5m_tokens,
            cache_write_1h_tokens,
            output_tokens,
            reasoning_tokens,
            real_cost,
            rated_cost,
        }
    }
}

/// What sums are of. The numbers are those of the `dimension` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// Everything; the subject is empty.
    Total = 0,
    Key = 1,
    User = 2,
    Account = 3,
    Group = 4,
    /// As statistics call it.
    Model = 5,
    /// A key's id and, behind it, a family of models.
    KeyFamily = 6,
    UserFamily = 7,
    Wire = 8,
    /// Of a key.
    Tag = 9,
    /// An open incarnation's id and, behind it, a key's.
    OpenKey = 10,
    OpenUser = 11,
    OpenAccount = 12,
    OpenGroup = 13,
}

impl Dimension {
    /// Those with an incarnation's id at the subject's start.
    pub const OPEN: [Self; 4] = [Self::OpenKey, Self::OpenUser, Self::OpenAccount, Self::OpenGroup];

    pub(super) const fn number(self) -> i64 {
        self as i64
    }
}

/// A subject of two parts.
#[must_use]
pub fn pair(first: [u8; 16], second: &[u8]) -> Vec<u8> {
    let mut subject = Vec::with_capacity(16 + second.len());
    subject.extend_from_slice(&first);
    subject.extend_from_slice(second);
    subject
}

/// Columns of the counts.
pub(super) const COUNTS: &str = "requests, errors, input_tokens, cache_read_tokens, cache_write_5m_tokens, \
    cache_write_1h_tokens, output_tokens, reasoning_tokens, real_cost, rated_cost";
const PLACES: &str = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

macro_rules! each_count {
    ($before:literal, $between:literal, $after:literal) => {
        each_count!(@ $before, $between, $after, "requests", "errors", "input_tokens", "cache_read_tokens",
            "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "real_cost")
    };
    (@ $before:literal, $between:literal, $after:literal, $($column:literal),+) => {
        concat!($($column, " = ", $before, $column, $between, $column, $after, ", ",)+
            "rated_cost = ", $before, "rated_cost", $between, "rated_cost", $after)
    };
}

/// What follows the rows in order to add to those that are there, for (MySQL, SQLite). MySQL fails where a sum of
/// BIGINTs overflows, SQLite goes on with a floating-point number: neither may come to that.
const ADD: (&str, &str) = (
    concat!(
        " ON DUPLICATE KEY UPDATE ",
        each_count!("LEAST(", " + CAST(VALUES(", ") AS DECIMAL(20,0)), 9223372036854775807)")
    ),
    each_count!("MIN(", " + excluded.", ", 9223372036854775807)"),
);

/// Rows in one statement. A few sizes only, so that a connection keeps them all prepared.
const SIZES: [usize; 8] = [128, 64, 32, 16, 8, 4, 2, 1];

/// The items in pieces of which each is one statement.
pub(super) fn pieces<T, const N: usize>(mut items: &[T], sizes: [usize; N]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = sizes.into_iter().find(|size| *size <= items.len())?;
        let (piece, rest) = items.split_at(size);
        items = rest;
        Some(piece)
    })
}

/// A table of sums.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) start: &'static str,
}

pub(super) const QUARTERS: Table = Table { name: "rollup_quarters", start: "quarter_start" };
pub(super) const DAYS: Table = Table { name: "rollup_days", start: "day_start" };

/// What is summed of whom, and when.
pub type Sums = BTreeMap<(i64, Dimension, Vec<u8>), Counts>;
/// As the tables have them: a later release may sum by what this one does not know.
pub(super) type NumberedSums = BTreeMap<(i64, i64, Vec<u8>), Counts>;

/// Adds sums of quarter-hours, and to the days that they are in.
///
/// # Errors
/// `Busy` where another transaction is in the way for too long.
pub(super) async fn add(tx: &mut Tx, sums: &NumberedSums) -> Result<(), StoreError> {
    let mut days = NumberedSums::new();
    for ((quarter, dimension, subject), counts) in sums {
        days.entry((day_of(*quarter), *dimension, subject.clone())).or_default().add(counts);
    }
    add_counts(tx, QUARTERS, sums).await?;
    add_counts(tx, DAYS, &days).await
}

async fn add_counts(tx: &mut Tx, table: Table, sums: &NumberedSums) -> Result<(), StoreError> {
    let rows: Vec<_> = sums.iter().collect();
    let Table { name, start } = table;
    for rows in pieces(&rows, SIZES) {
        let places = vec![PLACES; rows.len()].join(", ");
        let (conflict, add) = match tx {
            Tx::MySql(_) => (String::new(), ADD.0),
            Tx::Sqlite(_) => (format!(" ON CONFLICT ({start}, dimension, subject) DO UPDATE SET "), ADD.1),
        };
        let sql = format!(
            "INSERT INTO {name} ({start}, dimension, subject, {COUNTS}) VALUES {places}{conflict}{add}"
        );
        with_tx!(&mut *tx, |connection| {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
            for ((start, dimension, subject), counts) in rows {
                query = query.bind(*start).bind(*dimension).bind(subject.as_slice());
                query = counts.as_array().into_iter().fold(query, |query, count| query.bind(count));
            }
            query.execute(connection).await.map(drop).map_err(StoreError::from)
        })?;
    }
    Ok(())
}

/// A row of days.
#[derive(Debug, sqlx::FromRow)]
struct OldDay {
    day_start: i64,
    dimension: i64,
    subject: Vec<u8>,
    #[sqlx(flatten)]
    counts: Counts,
}

/// Folds at most `limit` rows of days before `end` into the day [`BEFORE`], so that totals stay exact. True: there
/// may be more.
///
/// # Errors
/// What the database says.
pub async fn fold_days(tx: &mut Tx, end: Millis, limit: i64) -> Result<bool, StoreError> {
    let sql = format!(
        "SELECT day_start, dimension, subject, {COUNTS} FROM rollup_days
            WHERE day_start > 0 AND day_start < ? ORDER BY day_start, dimension, subject LIMIT ?{}",
        tx.locking()
    );
    let days = fetch_all!(&mut *tx, OldDay, sqlx::AssertSqlSafe(sql), end.0, limit)?;
    let mut folded = NumberedSums::new();
    for day in &days {
        let sum: &mut Counts = folded.entry((BEFORE, day.dimension, day.subject.clone())).or_default();
        sum.add(&day.counts);
        execute!(
            &mut *tx,
            "DELETE FROM rollup_days WHERE day_start = ? AND dimension = ? AND subject = ?",
            day.day_start,
            day.dimension,
            day.subject.as_slice()
        )?;
    }
    add_counts(tx, DAYS, &folded).await?;
    Ok(is_full(days.len() as u64, limit))
}

pub(crate) fn dimension_of(number: i64) -> Result<Dimension, StoreError> {
    use Dimension::{
        Account, Group, Key, KeyFamily, Model, OpenAccount, OpenGroup, OpenKey, OpenUser, Tag, Total, User,
        UserFamily, Wire,
    };
    let all = [
        Total,
        Key,
        User,
        Account,
        Group,
        Model,
        KeyFamily,
        UserFamily,
        Wire,
        Tag,
        OpenKey,
        OpenUser,
        OpenAccount,
        OpenGroup,
    ];
    let found = all.into_iter().find(|dimension| dimension.number() == number);
    found.ok_or_else(|| StoreError::corrupt("a roll-up of no known dimension"))
}

/// Removes at most `limit` rows of quarter-hours before `end`: the days hold their sums. True: there may be more.
///
/// # Errors
/// What the database says.
pub async fn delete_quarters(tx: &mut Tx, end: Millis, limit: i64) -> Result<bool, StoreError> {
    const SQL: (&str, &str) = (
        "DELETE FROM rollup_quarters WHERE quarter_start < ? ORDER BY quarter_start LIMIT ?",
        "DELETE FROM rollup_quarters WHERE (quarter_start, dimension, subject) IN
            (SELECT quarter_start, dimension, subject FROM rollup_quarters WHERE quarter_start < ?
            ORDER BY quarter_start LIMIT ?)",
    );
    let sql = tx.sql(SQL.0, SQL.1);
    Ok(is_full(execute!(tx, sql, end.0, limit)?, limit))
}

/// Removes at most `limit` rows of each table that hold the sums of an incarnation, as it is open no more. True: there
/// may be more.
///
/// # Errors
/// What the database says.
pub async fn delete_open(tx: &mut Tx, incarnation: IncarnationId, limit: i64) -> Result<bool, StoreError> {
    let first = incarnation.to_bytes().to_vec();
    let last = pair(incarnation.to_bytes(), &[0xff; 17]);
    let mut more = false;
    for Table { name, start } in [QUARTERS, DAYS] {
        for dimension in Dimension::OPEN {
            let sql = match tx {
                Tx::MySql(_) => format!(
                    "DELETE FROM {name} WHERE dimension = ? AND subject >= ? AND subject < ? ORDER BY subject LIMIT ?"
                ),
                Tx::Sqlite(_) => format!(
                    "DELETE FROM {name} WHERE ({start}, dimension, subject) IN (SELECT {start}, dimension, subject
                        FROM {name} WHERE dimension = ? AND subject >= ? AND subject < ? LIMIT ?)"
                ),
            };
            let removed = execute!(
                &mut *tx,
                sqlx::AssertSqlSafe(sql),
                dimension.number(),
                first.as_slice(),
                last.as_slice(),
                limit
            )?;
            more |= is_full(removed, limit);
        }
    }
    Ok(more)
}

const fn is_full(removed: u64, limit: i64) -> bool {
    removed >= limit.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_begins_on_the_quarter_and_a_day_at_midnight() {
        assert_eq!(quarter_of(Millis(QUARTER_MS * 7 + 1)), QUARTER_MS * 7);
        assert_eq!(quarter_of(Millis(QUARTER_MS * 7)), QUARTER_MS * 7);
        assert_eq!(quarter_of(Millis(-1)), -QUARTER_MS);
        assert_eq!([day_of(DAY_MS * 3 + QUARTER_MS), day_of(-QUARTER_MS)], [DAY_MS * 3, -DAY_MS]);
    }
}
