//! Runs of nodes' processes, and how far each of their spools is taken.

use shared::{clock::Millis, id::IncarnationId};

use super::{
    StoreError, Tx,
    db::{execute, fetch_all, fetch_optional},
    statement::Statement,
};

/// Where an incarnation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// More may come.
    Open,
    /// All of its spools have ended and are in the ledger.
    Closed,
    /// A person has said that nothing more is expected; what comes all the same is taken.
    ClosedByPerson,
}

impl State {
    const ALL: [Self; 3] = [Self::Open, Self::Closed, Self::ClosedByPerson];

    /// As in SQL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::ClosedByPerson => "closed_by_person",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| StoreError::corrupt("an incarnation in no known state"))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incarnation {
    pub id: IncarnationId,
    pub node: String,
    /// How many spools it writes, numbered from 0.
    pub spools: u32,
    pub state: State,
    pub first_seen: Millis,
    pub last_seen: Millis,
    /// Records taken.
    pub records: i64,
    pub closed_at: Option<Millis>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: Vec<u8>,
    node: String,
    spools: i64,
    state: String,
    first_seen: i64,
    last_seen: i64,
    records: i64,
    closed_at: Option<i64>,
}

impl TryFrom<Row> for Incarnation {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: IncarnationId::try_from(row.id).map_err(StoreError::corrupt)?,
            node: row.node,
            spools: u32::try_from(row.spools).map_err(StoreError::corrupt)?,
            state: State::parse(&row.state)?,
            first_seen: Millis(row.first_seen),
            last_seen: Millis(row.last_seen),
            records: row.records,
            closed_at: row.closed_at.map(Millis),
        })
    }
}

const COLUMNS: &str = "id, node, spools, state, first_seen, last_seen, records, closed_at";

/// Notes that an incarnation reports; makes its row where it is new, and knows of as many spools as were ever stated.
///
/// # Errors
/// `Busy` where the wait for its lock is too long.
pub async fn hello(
    tx: &mut Tx,
    id: IncarnationId,
    node: &str,
    spools: u32,
    now: Millis,
) -> Result<(), StoreError> {
    const MYSQL: &str = "INSERT INTO incarnations
            (id, node, spools, state, first_seen, last_seen, records, closed_at, swept)
        VALUES (?, ?, ?, 'open', ?, ?, 0, NULL, 0)
        ON DUPLICATE KEY UPDATE last_seen = GREATEST(last_seen, VALUES(last_seen)),
            spools = GREATEST(spools, VALUES(spools))";
    const SQLITE: &str = "INSERT INTO incarnations
            (id, node, spools, state, first_seen, last_seen, records, closed_at, swept)
        VALUES (?, ?, ?, 'open', ?, ?, 0, NULL, 0)
        ON CONFLICT (id) DO UPDATE SET last_seen = MAX(last_seen, excluded.last_seen),
            spools = MAX(spools, excluded.spools)";
    let sql = tx.sql(MYSQL, SQLITE);
    execute!(tx, sql, id.to_bytes().to_vec(), node, i64::from(spools), now.0, now.0)?;
    Ok(())
}

/// Notes that a node's incarnation lives; one that never reported has no row.
///
/// # Errors
/// `Busy` where the wait for its lock is too long.
pub async fn heard(tx: &mut Tx, id: IncarnationId, node: &str, now: Millis) -> Result<(), StoreError> {
    let sql = "UPDATE incarnations SET last_seen = ? WHERE id = ? AND node = ?";
    execute!(tx, sql, now.0, id.to_bytes().to_vec(), node)?;
    Ok(())
}

/// The incarnation, with its row locked until the transaction ends.
///
/// # Errors
/// `NotFound`, or `Busy` where the wait for the lock is too long.
pub async fn lock(tx: &mut Tx, id: IncarnationId) -> Result<Incarnation, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM incarnations WHERE id = ?{}", tx.locking());
    let row = fetch_optional!(tx, Row, sqlx::AssertSqlSafe(sql), id.to_bytes().to_vec())?;
    row.ok_or(StoreError::NotFound)?.try_into()
}

/// Notes what a batch came to. The row is locked.
///
/// # Errors
/// What the database says.
pub async fn advance(tx: &mut Tx, id: IncarnationId, records: u64, now: Millis) -> Result<(), StoreError> {
    execute!(
        tx,
        "UPDATE incarnations SET last_seen = ?, records = records + ? WHERE id = ?",
        now.0,
        i64::try_from(records).unwrap_or(0),
        id.to_bytes().to_vec()
    )?;
    Ok(())
}

/// Closes it. The row is locked.
///
/// # Errors
/// What the database says.
pub async fn close(tx: &mut Tx, id: IncarnationId, state: State, now: Millis) -> Result<(), StoreError> {
    execute!(
        tx,
        "UPDATE incarnations SET state = ?, closed_at = ? WHERE id = ?",
        state.as_str(),
        now.0,
        id.to_bytes().to_vec()
    )?;
    Ok(())
}

/// Takes back that it is closed. The row is locked.
///
/// # Errors
/// What the database says.
pub async fn reopen(tx: &mut Tx, id: IncarnationId) -> Result<(), StoreError> {
    let sql = "UPDATE incarnations SET state = 'open', closed_at = NULL, swept = 0 WHERE id = ?";
    execute!(tx, sql, id.to_bytes().to_vec())?;
    Ok(())
}

/// Those that are open.
///
/// # Errors
/// What the database says.
pub async fn open(tx: &mut Tx) -> Result<Vec<IncarnationId>, StoreError> {
    let rows = fetch_all!(tx, (Vec<u8>,), "SELECT id FROM incarnations WHERE state = 'open' ORDER BY id")?;
    rows.into_iter().map(|(id,)| IncarnationId::try_from(id).map_err(StoreError::corrupt)).collect()
}

/// Which incarnations are wanted. All that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct IncarnationFilter {
    pub state: Option<State>,
    /// Not heard of from this time on.
    pub silent_since: Option<Millis>,
    /// Heard of at this time or later.
    pub heard_since: Option<Millis>,
    /// Only older ones than this.
    pub before: Option<IncarnationId>,
}

/// At most `limit`, newest first.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    filter: &IncarnationFilter,
    limit: u32,
) -> Result<Vec<Incarnation>, StoreError> {
    let rows: Vec<Row> = Statement::new(format!("SELECT {COLUMNS} FROM incarnations"))
        .given("state = ?", filter.state.map(State::as_str))
        .given("last_seen < ?", filter.silent_since.map(|at| at.0))
        .given("last_seen >= ?", filter.heard_since.map(|at| at.0))
        .given("id < ?", filter.before.map(IncarnationId::to_bytes))
        .first("id DESC", limit)
        .fetch(tx)
        .await?;
    rows.into_iter().map(Incarnation::try_from).collect()
}

/// How many requests of each are open, as far as is known; the count stops at a thousand.
///
/// # Errors
/// What the database says.
pub async fn open_requests(tx: &mut Tx, id: IncarnationId) -> Result<i64, StoreError> {
    let row = fetch_optional!(
        tx,
        (i64,),
        "SELECT COUNT(*) FROM (SELECT 1 FROM ledger_open WHERE incarnation_id = ? LIMIT 1000) counted",
        id.to_bytes().to_vec()
    )?;
    Ok(row.map_or(0, |(count,)| count))
}

/// One that is closed and whose sums of open incarnations are still there.
///
/// # Errors
/// What the database says.
pub async fn unswept(tx: &mut Tx) -> Result<Option<IncarnationId>, StoreError> {
    let row = fetch_optional!(
        tx,
        (Vec<u8>,),
        "SELECT id FROM incarnations WHERE swept = 0 AND state <> 'open' ORDER BY id LIMIT 1"
    )?;
    row.map(|(id,)| IncarnationId::try_from(id).map_err(StoreError::corrupt)).transpose()
}

/// Notes that they are gone.
///
/// # Errors
/// What the database says.
pub async fn swept(tx: &mut Tx, id: IncarnationId) -> Result<(), StoreError> {
    execute!(tx, "UPDATE incarnations SET swept = 1 WHERE id = ?", id.to_bytes().to_vec())?;
    Ok(())
}

/// How far a spool is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// All sequences up to and with this one. 0: none.
    pub acknowledged: u64,
    /// Its end record is among them.
    pub ended: bool,
}

/// Of those spools of which something was taken, by number. Read behind the incarnation's lock.
///
/// # Errors
/// What the database says.
pub async fn cursors(tx: &mut Tx, id: IncarnationId) -> Result<Vec<(u32, Cursor)>, StoreError> {
    let rows = fetch_all!(
        tx,
        (i64, i64, bool),
        "SELECT spool, acknowledged, ended FROM spool_cursors WHERE incarnation_id = ? ORDER BY spool",
        id.to_bytes().to_vec()
    )?;
    let cursor = |(spool, acknowledged, ended): (i64, i64, bool)| {
        let acknowledged = u64::try_from(acknowledged).map_err(StoreError::corrupt)?;
        Ok((u32::try_from(spool).map_err(StoreError::corrupt)?, Cursor { acknowledged, ended }))
    };
    rows.into_iter().map(cursor).collect()
}

/// Moves a cursor. The incarnation is locked.
///
/// # Errors
/// What the database says.
pub async fn set_cursor(
    tx: &mut Tx,
    id: IncarnationId,
    spool: u32,
    cursor: Cursor,
    now: Millis,
) -> Result<(), StoreError> {
    const MYSQL: &str = "INSERT INTO spool_cursors (incarnation_id, spool, acknowledged, ended, updated_at)
        VALUES (?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE acknowledged = VALUES(acknowledged), ended = VALUES(ended),
            updated_at = VALUES(updated_at)";
    const SQLITE: &str = "INSERT INTO spool_cursors (incarnation_id, spool, acknowledged, ended, updated_at)
        VALUES (?, ?, ?, ?, ?) ON CONFLICT (incarnation_id, spool) DO UPDATE SET
            acknowledged = excluded.acknowledged, ended = excluded.ended, updated_at = excluded.updated_at";
    let sql = tx.sql(MYSQL, SQLITE);
    let acknowledged = i64::try_from(cursor.acknowledged).map_err(StoreError::corrupt)?;
    execute!(tx, sql, id.to_bytes().to_vec(), i64::from(spool), acknowledged, cursor.ended, now.0)?;
    Ok(())
}
