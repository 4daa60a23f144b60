//! Sums over the roll-ups: whole days are read from the days, what is left at either end from quarter-hours; what is not
//! folded in yet comes on top. They are added up here and not by the databases, of which one fails and the other rounds where a sum overflows.

use std::collections::BTreeMap;

use shared::{
    clock::Millis,
    id::{AccountId, GroupId, IncarnationId, KeyId, UserId},
};

use super::{
    StoreError, Tx,
    db::placeholders,
    incarnations, rollup_additions,
    rollups::{COUNTS, Counts, DAY_MS, DAYS, Dimension, QUARTERS, Table, day_of, pair},
    statement::{Statement, Value},
};

/// Whose sums are wanted: one dimension at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    Total,
    User(UserId),
    Key(KeyId),
    Account(AccountId),
    Group(GroupId),
    Model(String),
    /// A key's requests for models of a family.
    KeyFamily(KeyId, String),
    UserFamily(UserId, String),
    Wire(String),
    Tag(String),
}

impl Scope {
    fn place(&self) -> (Dimension, Vec<u8>) {
        match self {
            Self::Total => (Dimension::Total, Vec::new()),
            Self::User(id) => (Dimension::User, id.to_bytes().to_vec()),
            Self::Key(id) => (Dimension::Key, id.to_bytes().to_vec()),
            Self::Account(id) => (Dimension::Account, id.to_bytes().to_vec()),
            Self::Group(id) => (Dimension::Group, id.to_bytes().to_vec()),
            Self::Model(name) => (Dimension::Model, name.as_bytes().to_vec()),
            Self::KeyFamily(id, family) => (Dimension::KeyFamily, pair(id.to_bytes(), family.as_bytes())),
            Self::UserFamily(id, family) => (Dimension::UserFamily, pair(id.to_bytes(), family.as_bytes())),
            Self::Wire(name) => (Dimension::Wire, name.as_bytes().to_vec()),
            Self::Tag(name) => (Dimension::Tag, name.as_bytes().to_vec()),
        }
    }

    /// Where the sums of open incarnations are, without the incarnation. `None`: they are not kept.
    const fn open_place(&self) -> Option<(Dimension, [u8; 16])> {
        match self {
            Self::User(id) => Some((Dimension::OpenUser, id.to_bytes())),
            Self::Key(id) => Some((Dimension::OpenKey, id.to_bytes())),
            Self::Account(id) => Some((Dimension::OpenAccount, id.to_bytes())),
            Self::Group(id) => Some((Dimension::OpenGroup, id.to_bytes())),
            _ => None,
        }
    }
}

/// How long a period of sums is. Periods begin by UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    Day,
    Hour,
}

/// Sums of a period, by the time it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct PeriodCounts {
    pub start: i64,
    #[sqlx(flatten)]
    pub counts: Counts,
}

/// A part of a span, which is read from one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) whole_days: bool,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// The parts of a span from `from` on and before `to`, by time.
pub(super) fn parts(from: Millis, to: Millis) -> Vec<Part> {
    let (from, to) = (from.0.max(0), to.0);
    let (first_day, end_day) = (day_of(from.saturating_add(DAY_MS - 1)), day_of(to));
    let parts = if first_day < end_day {
        vec![
            Part { whole_days: false, from, to: first_day },
            Part { whole_days: true, from: first_day, to: end_day },
            Part { whole_days: false, from: end_day, to },
        ]
    } else {
        vec![Part { whole_days: false, from, to }]
    };
    parts.into_iter().filter(|part| part.from < part.to).collect()
}

/// What is not folded in yet of one subject, by quarter-hour.
async fn additions(
    tx: &mut Tx,
    dimension: Dimension,
    subject: &[u8],
    from: Millis,
    to: Millis,
) -> Result<Vec<PeriodCounts>, StoreError> {
    let is_wanted = |of: Dimension, whose: &[u8]| of == dimension && whose == subject;
    let sums = rollup_additions::sums(tx, is_wanted, from, to).await?;
    Ok(sums.into_iter().map(|((start, ..), counts)| PeriodCounts { start, counts }).collect())
}

async fn read(
    tx: &mut Tx,
    dimension: Dimension,
    subject: &[u8],
    part: Part,
) -> Result<Vec<PeriodCounts>, StoreError> {
    let Table { name, start } = if part.whole_days { DAYS } else { QUARTERS };
    Statement::new(format!("SELECT {start} AS start, {COUNTS} FROM {name}"))
        .given("dimension = ?", Some(dimension.number()))
        .given("subject = ?", Some(subject.to_vec()))
        .given(&format!("{start} >= ?"), Some(part.from))
        .given(&format!("{start} < ?"), Some(part.to))
        .fetch(tx)
        .await
}

/// Sums of the quarter-hours that begin from `from` on and before `to`. From 0 on it is all there ever was; else
/// only whole days count where quarter-hours are not kept any more.
///
/// # Errors
/// What the database says.
pub async fn sums(tx: &mut Tx, scope: &Scope, from: Millis, to: Millis) -> Result<Counts, StoreError> {
    let (dimension, subject) = scope.place();
    let mut sum = Counts::default();
    additions(tx, dimension, &subject, from, to).await?.iter().for_each(|period| sum.add(&period.counts));
    for part in parts(from, to) {
        read(tx, dimension, &subject, part).await?.iter().for_each(|period| sum.add(&period.counts));
    }
    Ok(sum)
}

/// What of [`sums`] is by incarnations that are open, each with its sums. For a user, a key, an account or a group; of
/// other scopes there is nothing.
///
/// # Errors
/// What the database says.
pub async fn open_sums(
    tx: &mut Tx,
    scope: &Scope,
    from: Millis,
    to: Millis,
) -> Result<Vec<(IncarnationId, Counts)>, StoreError> {
    let Some((dimension, id)) = scope.open_place() else { return Ok(Vec::new()) };
    let open = incarnations::open(tx).await?;
    let mut sums: BTreeMap<IncarnationId, Counts> = BTreeMap::new();
    let is_wanted = |of: Dimension, whose: &[u8]| of == dimension && whose.get(16..) == Some(&id);
    for ((_, _, subject), counts) in rollup_additions::sums(tx, is_wanted, from, to).await? {
        let incarnation = incarnation_of(&subject)?;
        if open.contains(&incarnation) {
            sums.entry(incarnation).or_default().add(&counts);
        }
    }
    for some in open.chunks(AT_ONCE) {
        let subjects: Vec<Value> =
            some.iter().map(|incarnation| pair(incarnation.to_bytes(), &id).into()).collect();
        for part in parts(from, to) {
            for row in read_open(tx, dimension, subjects.clone(), part).await? {
                sums.entry(incarnation_of(&row.subject)?).or_default().add(&row.counts);
            }
        }
    }
    Ok(sums.into_iter().collect())
}

fn incarnation_of(subject: &[u8]) -> Result<IncarnationId, StoreError> {
    IncarnationId::try_from(subject.get(..16).unwrap_or_default()).map_err(StoreError::corrupt)
}

/// Incarnations that one statement asks for.
const AT_ONCE: usize = 200;

#[derive(sqlx::FromRow)]
struct OpenRow {
    subject: Vec<u8>,
    #[sqlx(flatten)]
    counts: Counts,
}

async fn read_open(
    tx: &mut Tx,
    dimension: Dimension,
    subjects: Vec<Value>,
    part: Part,
) -> Result<Vec<OpenRow>, StoreError> {
    let Table { name, start } = if part.whole_days { DAYS } else { QUARTERS };
    Statement::new(format!("SELECT subject, {COUNTS} FROM {name}"))
        .given("dimension = ?", Some(dimension.number()))
        .given_all(&format!("subject IN {}", placeholders(subjects.len())), subjects)
        .given(&format!("{start} >= ?"), Some(part.from))
        .given(&format!("{start} < ?"), Some(part.to))
        .fetch(tx)
        .await
}

/// [`sums`] by rising period; periods without any request are left out.
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
    let (dimension, subject) = scope.place();
    let (parts, length) = match period {
        Period::Day => (parts(from, to), DAY_MS),
        Period::Hour => (vec![Part { whole_days: false, from: from.0, to: to.0 }], 3_600_000),
    };
    let mut found = additions(tx, dimension, &subject, from, to).await?;
    for part in parts {
        found.extend(read(tx, dimension, &subject, part).await?);
    }
    let mut periods: BTreeMap<i64, Counts> = BTreeMap::new();
    for PeriodCounts { start, counts } in found {
        periods.entry(start - start.rem_euclid(length)).or_default().add(&counts);
    }
    Ok(periods.into_iter().map(|(start, counts)| PeriodCounts { start, counts }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q: i64 = 900_000;

    #[test]
    fn whole_days_are_read_as_such() {
        let split = |from: i64, to: i64| {
            let parts = parts(Millis(from), Millis(to)).into_iter();
            parts.map(|part| (part.whole_days, part.from, part.to)).collect::<Vec<_>>()
        };
        let day = |n: i64| n * DAY_MS;
        assert_eq!(split(day(1), day(1001)), [(true, day(1), day(1001))]);
        assert_eq!(split(day(1) + Q, day(2) - Q), [(false, day(1) + Q, day(2) - Q)]);
        assert_eq!(split(day(2) - Q, day(2) + Q), [(false, day(2) - Q, day(2) + Q)]);
        assert_eq!(
            split(day(1) - Q, day(3) + Q),
            [(false, day(1) - Q, day(1)), (true, day(1), day(3)), (false, day(3), day(3) + Q)]
        );
        assert_eq!(split(i64::MIN, day(1)), [(true, 0, day(1))]);
        assert_eq!(split(5, 5), []);
    }
}
