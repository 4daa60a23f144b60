//! How long requests took: histograms with logarithmic buckets by model, by UTC quarter-hour and day.
//!
//! A histogram is one value of its row, read, added to and written back by the transaction that folds additions in: the
//! roll-ups' sums of the total, which it adds to first, keep others out of the same quarter-hour meanwhile.

use std::collections::BTreeMap;

use shared::clock::Millis;

use super::{
    StoreError, Tx,
    db::{execute, fetch_all, with_tx},
    rollup_additions,
    rollups::{DAY_MS, day_of, pieces},
};

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

/// How many requests fell into each bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Histogram(BTreeMap<u8, u64>);

impl Histogram {
    /// Counts a request that took so long.
    pub fn count(&mut self, milliseconds: u64) {
        let bucket = u8::try_from(bucket_of(milliseconds)).unwrap_or(u8::MAX);
        let count = self.0.entry(bucket).or_default();
        *count = count.saturating_add(1);
    }

    pub fn add(&mut self, other: &Self) {
        for (bucket, requests) in &other.0 {
            let count = self.0.entry(*bucket).or_default();
            *count = count.saturating_add(*requests);
        }
    }

    /// (bucket, requests), by rising bucket.
    #[must_use]
    pub fn buckets(&self) -> Vec<(i64, i64)> {
        let count = |requests: u64| i64::try_from(requests).unwrap_or(i64::MAX);
        self.0.iter().map(|(bucket, requests)| (i64::from(*bucket), count(*requests))).collect()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * 3);
        for (bucket, requests) in &self.0 {
            bytes.push(*bucket);
            prost::encoding::encode_varint(*requests, &mut bytes);
        }
        bytes
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, StoreError> {
        let mut buckets = BTreeMap::new();
        while let Some((bucket, rest)) = bytes.split_first() {
            bytes = rest;
            let requests = prost::encoding::decode_varint(&mut bytes).map_err(StoreError::corrupt)?;
            buckets.insert(*bucket, requests);
        }
        Ok(Self(buckets))
    }
}

/// Histograms by quarter-hour, model and metric.
pub type Times = BTreeMap<(i64, String, Metric), Histogram>;

/// Rows in one statement.
const SIZES: [usize; 6] = [32, 16, 8, 4, 2, 1];

#[derive(Clone, Copy)]
struct Table {
    name: &'static str,
    start: &'static str,
}

const QUARTERS: Table = Table { name: "latency_quarters", start: "quarter_start" };
const DAYS: Table = Table { name: "latency_days", start: "day_start" };

/// Adds to the histograms of quarter-hours and days, behind the transaction's additions to the sums of the total.
///
/// # Errors
/// `Busy` where another transaction is in the way for too long.
pub(super) async fn add(tx: &mut Tx, additions: &Times) -> Result<(), StoreError> {
    let mut days = Times::new();
    for ((quarter, model, metric), histogram) in additions {
        days.entry((day_of(*quarter), model.clone(), *metric)).or_default().add(histogram);
    }
    add_to(tx, QUARTERS, additions).await?;
    add_to(tx, DAYS, &days).await
}

async fn add_to(tx: &mut Tx, table: Table, additions: &Times) -> Result<(), StoreError> {
    let mut wanted = additions.clone();
    let starts: std::collections::BTreeSet<i64> = additions.keys().map(|(start, ..)| *start).collect();
    let Table { name, start } = table;
    for at in starts {
        // All of the period: there are a few hundred models at most.
        let sql = format!("SELECT model, metric, buckets FROM {name} WHERE {start} = ?{}", tx.locking());
        let rows = fetch_all!(&mut *tx, (String, String, Vec<u8>), sqlx::AssertSqlSafe(sql), at)?;
        for (model, metric, buckets) in rows {
            let metric = if metric == Metric::Total.as_str() { Metric::Total } else { Metric::FirstToken };
            if let Some(histogram) = wanted.get_mut(&(at, model, metric)) {
                histogram.add(&Histogram::decode(&buckets)?);
            }
        }
    }
    let rows: Vec<_> = wanted.iter().collect();
    for rows in pieces(&rows, SIZES) {
        let places = vec!["(?, ?, ?, ?)"; rows.len()].join(", ");
        let end = match tx {
            Tx::MySql(_) => "ON DUPLICATE KEY UPDATE buckets = VALUES(buckets)".to_owned(),
            Tx::Sqlite(_) => {
                format!("ON CONFLICT ({start}, model, metric) DO UPDATE SET buckets = excluded.buckets")
            }
        };
        let sql = format!("INSERT INTO {name} ({start}, model, metric, buckets) VALUES {places} {end}");
        with_tx!(&mut *tx, |connection| {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
            for ((start, model, metric), histogram) in rows {
                query =
                    query.bind(*start).bind(model.as_str()).bind(metric.as_str()).bind(histogram.encode());
            }
            query.execute(connection).await.map(drop).map_err(StoreError::from)
        })?;
    }
    Ok(())
}

/// How many requests fell into each bucket of a metric within quarter-hours that begin from `from` on and before `to`,
/// by rising bucket; of one model, or of all with [`super::rollups::ALL_MODELS`]. Whole days are read as such.
///
/// # Errors
/// What the database says.
pub async fn of(
    tx: &mut Tx,
    model: &str,
    metric: Metric,
    from: Millis,
    to: Millis,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let mut sum = Histogram::default();
    for ((start, of, measured), histogram) in rollup_additions::times(tx).await? {
        if of == model && measured == metric && (from.0.max(0)..to.0).contains(&start) {
            sum.add(&histogram);
        }
    }
    for (table, from, to) in
        super::usage_sums::parts(from, to).into_iter().map(|part| match part.whole_days {
            true => (DAYS, part.from, part.to),
            false => (QUARTERS, part.from, part.to),
        })
    {
        let Table { name, start } = table;
        let sql = format!(
            "SELECT buckets FROM {name} WHERE model = ? AND metric = ? AND {start} >= ? AND {start} < ?"
        );
        let rows =
            fetch_all!(&mut *tx, (Vec<u8>,), sqlx::AssertSqlSafe(sql), model, metric.as_str(), from, to)?;
        for (buckets,) in rows {
            sum.add(&Histogram::decode(&buckets)?);
        }
    }
    Ok(sum.buckets())
}

/// Removes at most `limit` rows of each table: of quarter-hours before the first time, of days before the second one.
/// True: there may be more.
///
/// # Errors
/// What the database says.
pub async fn delete_before(
    tx: &mut Tx,
    quarters: Millis,
    days: Millis,
    limit: i64,
) -> Result<bool, StoreError> {
    let mut full = false;
    for (Table { name, start }, end) in [(QUARTERS, quarters.0), (DAYS, days.0 - days.0.rem_euclid(DAY_MS))] {
        let sql = match tx {
            Tx::MySql(_) => format!("DELETE FROM {name} WHERE {start} < ? ORDER BY {start} LIMIT ?"),
            Tx::Sqlite(_) => format!(
                "DELETE FROM {name} WHERE ({start}, model, metric) IN
                    (SELECT {start}, model, metric FROM {name} WHERE {start} < ? ORDER BY {start} LIMIT ?)"
            ),
        };
        full |= execute!(&mut *tx, sqlx::AssertSqlSafe(sql), end, limit)? >= limit.unsigned_abs();
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
    fn a_full_histogram_fits_its_column() {
        let full = Histogram((0..=127).map(|bucket| (bucket, u64::MAX)).collect());
        assert!(full.encode().len() <= 1_409 && full.0.len() == 128);
        assert_eq!(Histogram::decode(&full.encode()).unwrap(), full);
        let mut twice = full.clone();
        twice.add(&full);
        assert_eq!(twice, full, "a count stays at the most");
        assert!(Histogram::decode(&[3]).is_err());
    }

    proptest! {
        #[test]
        fn a_bucket_s_middle_is_near_and_in_the_bucket(milliseconds in 0_u64..u64::from(u32::MAX)) {
            let middle = middle_of(bucket_of(milliseconds));
            prop_assert_eq!(bucket_of(middle), bucket_of(milliseconds));
            prop_assert!(middle.abs_diff(milliseconds) * 8 <= milliseconds.max(1) + 8);
        }

        #[test]
        fn histograms_read_back(times in proptest::collection::vec(0_u64..u64::from(u32::MAX), 0..60)) {
            let mut histogram = Histogram::default();
            times.iter().for_each(|time| histogram.count(*time));
            prop_assert_eq!(Histogram::decode(&histogram.encode()).unwrap(), histogram);
        }
    }
}
