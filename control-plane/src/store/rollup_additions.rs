//! What batches of requests add to the roll-ups, in a row each until it is folded in.
//!
//! A batch changes hundreds of sums, and the next one mostly the same ones: folding many batches in at once is a fraction
//! of the work, and no batch waits for the locks of another. Whoever reads sums reads these rows, too.

use prost::Message as _;
use shared::clock::Millis;

use super::{
    Store, StoreError, Tx,
    db::{execute, fetch_all, placeholders, with_tx},
    latency::{self, Histogram, Metric, Times},
    rollups::{self, Counts, Dimension, NumberedSums, Sums, dimension_of, pieces},
};

/// Bytes of a row, about: what MySQL takes in one statement is more.
const ROW_BYTES: usize = 1024 * 1024;
/// Rows that one transaction folds in.
const ROWS_AT_ONCE: i64 = 64;
/// Ids in one statement.
const SIZES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// What a batch of requests adds to the roll-ups. Ordered as the tables are, so that all transactions take row locks
/// in one order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Additions {
    /// By quarter-hour.
    pub counts: Sums,
    pub latency: Times,
}

impl Additions {
    pub fn add(&mut self, quarter: i64, dimension: Dimension, subject: Vec<u8>, counts: &Counts) {
        self.counts.entry((quarter, dimension, subject)).or_default().add(counts);
    }
}

/// One of [`Sums`].
type Sum = ((i64, i64, Vec<u8>), Counts);

/// As `rollup_additions.sums` holds them.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredSums {
    #[prost(message, repeated, tag = "1")]
    sums: Vec<StoredSum>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredSum {
    #[prost(int64, tag = "1")]
    quarter: i64,
    #[prost(int64, tag = "2")]
    dimension: i64,
    #[prost(bytes = "vec", tag = "3")]
    subject: Vec<u8>,
    /// As [`Counts`] has them.
    #[prost(sint64, repeated, tag = "4")]
    counts: Vec<i64>,
}

/// As `rollup_additions.times` holds them.
#[derive(Clone, PartialEq, prost::Message)]
struct StoredTimes {
    #[prost(message, repeated, tag = "1")]
    times: Vec<StoredTime>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredTime {
    #[prost(int64, tag = "1")]
    quarter: i64,
    #[prost(string, tag = "2")]
    model: String,
    /// It is of whole requests, not of their first tokens.
    #[prost(bool, tag = "3")]
    total: bool,
    #[prost(bytes = "vec", tag = "4")]
    histogram: Vec<u8>,
}

impl StoredSum {
    fn of(((quarter, dimension, subject), counts): (&(i64, Dimension, Vec<u8>), &Counts)) -> Self {
        Self {
            quarter: *quarter,
            dimension: dimension.number(),
            subject: subject.clone(),
            counts: counts.as_array().to_vec(),
        }
    }

    fn read(self) -> Result<Sum, StoreError> {
        // A later release may count more, and of other dimensions.
        let counts = self.counts.first_chunk::<10>();
        let counts = counts
            .ok_or_else(|| StoreError::corrupt("an addition to the roll-ups does not have ten counts"))?;
        Ok(((self.quarter, self.dimension, self.subject), Counts::from_array(*counts)))
    }
}

impl StoredTime {
    fn of(((quarter, model, metric), histogram): (&(i64, String, Metric), &Histogram)) -> Self {
        Self {
            quarter: *quarter,
            model: model.clone(),
            total: *metric == Metric::Total,
            histogram: histogram.encode(),
        }
    }

    fn read(self) -> Result<((i64, String, Metric), Histogram), StoreError> {
        let metric = if self.total { Metric::Total } else { Metric::FirstToken };
        Ok(((self.quarter, self.model, metric), Histogram::decode(&self.histogram)?))
    }
}

/// Keeps what a transaction adds, to be folded in later.
///
/// # Errors
/// What the database says.
pub async fn keep(tx: &mut Tx, additions: &Additions) -> Result<(), StoreError> {
    let mut sums = additions.counts.iter().map(StoredSum::of).peekable();
    let mut times = StoredTimes { times: additions.latency.iter().map(StoredTime::of).collect() };
    while sums.peek().is_some() || !times.times.is_empty() {
        let (mut row, mut bytes) = (StoredSums::default(), 0);
        while let Some(sum) = sums.next_if(|_| bytes < ROW_BYTES) {
            bytes += sum.encoded_len();
            row.sums.push(sum);
        }
        execute!(
            &mut *tx,
            "INSERT INTO rollup_additions (sums, times) VALUES (?, ?)",
            row.encode_to_vec(),
            std::mem::take(&mut times).encode_to_vec()
        )?;
    }
    Ok(())
}

/// What is kept, of some, within quarter-hours that begin from `from` on and before `to`.
///
/// # Errors
/// What the database says, or `Corrupt`.
pub(super) async fn sums(
    tx: &mut Tx,
    is_wanted: impl Fn(Dimension, &[u8]) -> bool,
    from: Millis,
    to: Millis,
) -> Result<Sums, StoreError> {
    let mut sums = Sums::new();
    for (row,) in fetch_all!(tx, (Vec<u8>,), "SELECT sums FROM rollup_additions")? {
        for sum in decoded::<StoredSums>(&row)?.sums {
            let Ok(dimension) = dimension_of(sum.dimension) else { continue };
            if (from.0..to.0).contains(&sum.quarter) && is_wanted(dimension, &sum.subject) {
                let ((quarter, _, subject), counts) = sum.read()?;
                sums.entry((quarter, dimension, subject)).or_default().add(&counts);
            }
        }
    }
    Ok(sums)
}

/// All histograms that are kept.
///
/// # Errors
/// What the database says, or `Corrupt`.
pub(super) async fn times(tx: &mut Tx) -> Result<Times, StoreError> {
    let mut times = Times::new();
    for (row,) in fetch_all!(tx, (Vec<u8>,), "SELECT times FROM rollup_additions")? {
        add_times(&mut times, &row)?;
    }
    Ok(times)
}

fn add_times(times: &mut Times, row: &[u8]) -> Result<(), StoreError> {
    for time in decoded::<StoredTimes>(row)?.times {
        let (of, histogram) = time.read()?;
        times.entry(of).or_default().add(&histogram);
    }
    Ok(())
}

fn decoded<T: prost::Message + Default>(row: &[u8]) -> Result<T, StoreError> {
    T::decode(row).map_err(StoreError::corrupt)
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    sums: Vec<u8>,
    times: Vec<u8>,
}

/// Folds a bounded number of rows into the roll-ups, each of them once. True: there may be more.
///
/// # Errors
/// `Busy` where others do the same; what the database says; `Corrupt`.
pub async fn fold(store: &Store) -> Result<bool, StoreError> {
    const SQL: &str = "SELECT id, sums, times FROM rollup_additions ORDER BY id LIMIT ?";
    let mut tx = store.begin().await?;
    let rows = fetch_all!(&mut tx, Row, SQL, ROWS_AT_ONCE)?;
    let (mut sums, mut times) = (NumberedSums::new(), Times::new());
    for row in &rows {
        for sum in decoded::<StoredSums>(&row.sums)?.sums {
            let (of, counts) = sum.read()?;
            sums.entry(of).or_default().add(&counts);
        }
        add_times(&mut times, &row.times)?;
    }
    // Whoever removes a row has it: where another transaction did, it added what the row holds.
    if delete(&mut tx, &rows).await? != rows.len() as u64 {
        tx.rollback().await?;
        return Err(StoreError::Busy(None));
    }
    rollups::add(&mut tx, &sums).await?;
    latency::add(&mut tx, &times).await?;
    tx.commit().await?;
    Ok(rows.len() as u64 >= ROWS_AT_ONCE.unsigned_abs())
}

async fn delete(tx: &mut Tx, rows: &[Row]) -> Result<u64, StoreError> {
    let mut removed = 0;
    for rows in pieces(rows, SIZES) {
        let sql = format!("DELETE FROM rollup_additions WHERE id IN {}", placeholders(rows.len()));
        removed += with_tx!(&mut *tx, |connection| {
            let query = sqlx::query(sqlx::AssertSqlSafe(sql));
            let query = rows.iter().fold(query, |query, row| query.bind(row.id));
            query.execute(connection).await.map(|done| done.rows_affected()).map_err(StoreError::from)
        })?;
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_stored_reads_back(
            counts: [i64; 10], quarter in 0..i64::MAX, dimension in 0..14_i64, subject: Vec<u8>, total: bool, took: u32,
        ) {
            let of = (quarter, dimension_of(dimension).unwrap(), subject.clone());
            let counts = Counts::from_array(counts);
            let bytes = StoredSum::of((&of, &counts)).encode_to_vec();
            prop_assert_eq!(decoded::<StoredSum>(&bytes).unwrap().read().unwrap(), ((quarter, dimension, subject), counts));
            let metric = if total { Metric::Total } else { Metric::FirstToken };
            let (of, mut histogram) = ((quarter, "m".to_owned(), metric), Histogram::default());
            histogram.count(u64::from(took));
            let bytes = StoredTime::of((&of, &histogram)).encode_to_vec();
            prop_assert_eq!(decoded::<StoredTime>(&bytes).unwrap().read().unwrap(), (of, histogram));
        }
    }

    #[test]
    fn what_is_no_addition_is_told_so() {
        assert!(decoded::<StoredSums>(&[0xff]).is_err());
        assert!(StoredSum { counts: vec![1; 9], ..StoredSum::default() }.read().is_err());
    }
}
