//! The ledger's partitions, on MySQL: one a month, split off the last one before it is written to, and dropped whole.
//!
//! Each statement here commits by itself and waits for every transaction that reads the ledger, so it is given up
//! after a few seconds; the next run tries again.

use std::collections::BTreeSet;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use shared::clock::Millis;
use sqlx::{Connection as _, MySqlConnection, MySqlPool};

use super::{
    StoreError,
    db::{Db, Store},
    usage_queries::first_id_of,
};

/// The partition for what is later than all others.
const REST: &str = "p_rest";

/// A month of the calendar in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Month {
    year: i16,
    month: i8,
}

/// What [`arrange`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partitioning {
    /// The database has no partitions: it is SQLite.
    None,
    /// Another process is at it.
    Elsewhere,
    /// The names of those that were made, and of those that are gone with their rows.
    Arranged { split: Vec<String>, dropped: Vec<String> },
}

impl Month {
    /// `None` for a time that no calendar has.
    #[must_use]
    pub fn of(at: Millis) -> Option<Self> {
        let date = Timestamp::from_millisecond(at.0).ok()?.to_zoned_datetime(TimeZone::UTC).date();
        Some(Self { year: date.year(), month: date.month() })
    }

    #[must_use]
    pub const fn next(self) -> Self {
        match self.month {
            12 => Self { year: self.year.saturating_add(1), month: 1 },
            month => Self { month: month + 1, ..self },
        }
    }

    fn begins(self) -> Option<Millis> {
        let date = Date::new(self.year, self.month, 1).ok()?;
        Some(Millis(date.to_zoned_datetime(TimeZone::UTC).ok()?.timestamp().as_millisecond()))
    }

    /// The first moment after it.
    fn ends(self) -> Option<Millis> {
        self.next().begins()
    }

    fn partition(self) -> String {
        format!("p{:04}{:02}", self.year, self.month)
    }

    fn of_partition(name: &str) -> Option<Self> {
        let (year, month) = name.strip_prefix('p')?.split_at_checked(4)?;
        let (year, month) = (year.parse().ok()?, month.parse().ok()?);
        let month = Self { year, month };
        (month.partition() == name && month.begins().is_some()).then_some(month)
    }
}

/// Sees to it that each of `months` has its partition, and drops those that ended at `keep_from` or before.
///
/// # Errors
/// `Busy` where the ledger was in use for too long.
pub async fn arrange(store: &Store, months: &[Month], keep_from: Millis) -> Result<Partitioning, StoreError> {
    match &store.db {
        Db::Sqlite { .. } => Ok(Partitioning::None),
        Db::MySql(pool) => arrange_mysql(pool, months, keep_from).await,
    }
}

async fn arrange_mysql(
    pool: &MySqlPool,
    months: &[Month],
    keep_from: Millis,
) -> Result<Partitioning, StoreError> {
    const LOCK: &str = "SELECT GET_LOCK(CONCAT('partitions:', MD5(DATABASE())), 0)";
    const UNLOCK: &str = "SELECT RELEASE_LOCK(CONCAT('partitions:', MD5(DATABASE())))";
    // Not given back to the pool: its lock and its settings go with it.
    let mut connection = pool.acquire().await?.detach();
    sqlx::query("SET SESSION lock_wait_timeout = 5").execute(&mut connection).await?;
    let (got,): (Option<i64>,) = sqlx::query_as(LOCK).fetch_one(&mut connection).await?;
    let done = if got == Some(1) {
        let done = change(&mut connection, months, keep_from).await;
        // A server that is busy is slow to see that a connection was closed. Where this fails, it will all the same.
        _ = sqlx::query(UNLOCK).execute(&mut connection).await;
        done
    } else {
        Ok(Partitioning::Elsewhere)
    };
    connection.close().await?;
    done
}

async fn change(
    connection: &mut MySqlConnection,
    months: &[Month],
    keep_from: Millis,
) -> Result<Partitioning, StoreError> {
    let there = partitions(connection).await?;
    let mut split = Vec::new();
    if let Some((names, statement)) = splitting(&there, months) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut *connection).await?;
        split = names;
    }
    let dropped: Vec<String> = there
        .iter()
        .filter(|month| month.ends().is_some_and(|end| end <= keep_from))
        .map(|month| month.partition())
        .collect();
    if !dropped.is_empty() {
        let statement = format!("ALTER TABLE ledger DROP PARTITION {}", dropped.join(", "));
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut *connection).await?;
    }
    Ok(Partitioning::Arranged { split, dropped })
}

async fn partitions(connection: &mut MySqlConnection) -> Result<BTreeSet<Month>, StoreError> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT CAST(partition_name AS CHAR) FROM information_schema.partitions
            WHERE table_schema = DATABASE() AND table_name = 'ledger' AND partition_name IS NOT NULL",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.iter().filter_map(|(name,)| Month::of_partition(name)).collect())
}

/// The partitions that are missing at the end, and the statement that makes them. One that is missing before the end
/// stays so: its rows are in the one after it.
fn splitting(there: &BTreeSet<Month>, months: &[Month]) -> Option<(Vec<String>, String)> {
    let last = there.last().copied();
    let missing: BTreeSet<Month> =
        months.iter().copied().filter(|month| last.is_none_or(|last| *month > last)).collect();
    let parts: Vec<(String, String)> = missing.iter().filter_map(|month| definition(*month)).collect();
    if parts.is_empty() {
        return None;
    }
    let (names, definitions): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let statement = format!(
        "ALTER TABLE ledger REORGANIZE PARTITION {REST} INTO ({}, PARTITION {REST} VALUES LESS THAN (MAXVALUE))",
        definitions.join(", ")
    );
    Some((names, statement))
}

fn definition(month: Month) -> Option<(String, String)> {
    use std::fmt::Write as _;
    let mut end = String::with_capacity(32);
    for byte in first_id_of(month.ends()?).to_bytes() {
        // Writing to a String does not fail.
        _ = write!(end, "{byte:02x}");
    }
    let name = month.partition();
    let definition = format!("PARTITION {name} VALUES LESS THAN (x'{end}')");
    Some((name, definition))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn months(names: &[&str]) -> Vec<Month> {
        names.iter().map(|name| Month::of_partition(name).unwrap()).collect()
    }

    #[test]
    fn a_month_knows_its_name_and_its_borders() {
        let december = Month::of(Millis(1_798_761_599_999)).unwrap();
        assert_eq!(december.partition(), "p202612");
        assert_eq!(december.ends(), Some(Millis(1_798_761_600_000)));
        assert_eq!(december.next().partition(), "p202701");
        assert_eq!(Month::of(Millis(1_798_761_600_000)), Some(december.next()));
        assert_eq!(Month::of_partition("p202612"), Some(december));
        for other in ["p_rest", "p202613", "p20261", "202612", "pé2612"] {
            assert_eq!(Month::of_partition(other), None, "{other}");
        }
    }

    #[test]
    fn only_what_is_missing_at_the_end_is_split_off() {
        let there: BTreeSet<Month> = months(&["p202610", "p202612"]).into_iter().collect();
        let (names, statement) = splitting(&there, &months(&["p202611", "p202612", "p202701"])).unwrap();
        assert_eq!(names, ["p202701"]);
        assert_eq!(
            statement,
            "ALTER TABLE ledger REORGANIZE PARTITION p_rest INTO (PARTITION p202701 VALUES LESS THAN \
             (x'01a36e30f80000000000000000000000'), PARTITION p_rest VALUES LESS THAN (MAXVALUE))"
        );
        assert_eq!(splitting(&there, &months(&["p202611", "p202612"])), None);
    }
}
