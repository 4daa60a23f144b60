//! The change log of what nodes hold, and the counter that gives each change its version.
//!
//! The counter is one row, updated inside the transaction of the change and locked until that transaction ends: so
//! versions are committed in their order, without a gap.

use proto::v1::ResourceKind;

use super::{
    StoreError, Tx,
    db::{execute, fetch_all, fetch_one, fetch_optional},
    migrate::new_epoch,
};

/// Names one state of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    pub epoch: [u8; 16],
    /// 0 in an empty database.
    pub version: u64,
}

/// The latest change of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub kind: ResourceKind,
    pub id: [u8; 16],
    pub version: u64,
    pub deleted: bool,
}

/// The id of the one [`ResourceKind::Settings`].
pub const SETTINGS_ID: [u8; 16] = [0; 16];

/// Makes other writers of published rows wait until this transaction ends. Call it before a read that decides a write.
///
/// # Errors
/// `Busy` where the wait is too long.
pub async fn lock(tx: &mut Tx) -> Result<(), StoreError> {
    match execute!(tx, "UPDATE configuration_revision SET version = version WHERE id = 1")? {
        1 => Ok(()),
        _ => Err(StoreError::corrupt("the configuration has no revision")),
    }
}

/// Gives a change its version. Call it before writing the row: it takes the lock that keeps writers in one order.
///
/// # Errors
/// `Busy` where the wait for that lock is too long.
pub async fn record(tx: &mut Tx, kind: ResourceKind, id: [u8; 16], deleted: bool) -> Result<u64, StoreError> {
    const MYSQL: &str = "INSERT INTO changes (kind, id, version, deleted) VALUES (?, ?, ?, ?)
        ON DUPLICATE KEY UPDATE version = VALUES(version), deleted = VALUES(deleted)";
    const SQLITE: &str = "INSERT INTO changes (kind, id, version, deleted) VALUES (?, ?, ?, ?)
        ON CONFLICT (kind, id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted";
    execute!(tx, "UPDATE configuration_revision SET version = version + 1 WHERE id = 1")?;
    let (revision, _) = revision(tx).await?;
    let version = stored(revision.version)?;
    let sql = tx.sql(MYSQL, SQLITE);
    execute!(tx, sql, i32::from(kind), id.to_vec(), version, deleted)?;
    Ok(revision.version)
}

/// The revision that this transaction sees, and whether the operator adopted its epoch after a restore.
///
/// # Errors
/// What the database says.
pub async fn revision(tx: &mut Tx) -> Result<(Revision, bool), StoreError> {
    let (epoch, version, adopted) = fetch_one!(
        tx,
        (Vec<u8>, i64, bool),
        "SELECT epoch, version, adopted FROM configuration_revision WHERE id = 1"
    )?;
    Ok((Revision { epoch: id(epoch)?, version: number(version)? }, adopted))
}

/// The resources that changed after `version`, by rising version of their latest change.
///
/// # Errors
/// What the database says.
pub async fn since(tx: &mut Tx, version: u64) -> Result<Vec<Change>, StoreError> {
    let rows = fetch_all!(
        tx,
        (i32, Vec<u8>, i64, bool),
        "SELECT kind, id, version, deleted FROM changes WHERE version > ? ORDER BY version",
        stored(version)?
    )?;
    rows.into_iter().map(change).collect()
}

/// The version in which a resource last changed; `None` for one that never did.
///
/// # Errors
/// What the database says.
pub async fn version_of(tx: &mut Tx, kind: ResourceKind, id: [u8; 16]) -> Result<Option<u64>, StoreError> {
    version_row(tx, "SELECT version FROM changes WHERE kind = ? AND id = ?", kind, id).await
}

/// [`version_of`] as committed last, for a transaction that holds the lock.
///
/// # Errors
/// What the database says.
pub async fn latest_version_of(
    tx: &mut Tx,
    kind: ResourceKind,
    id: [u8; 16],
) -> Result<Option<u64>, StoreError> {
    let sql = tx.sql(
        "SELECT version FROM changes WHERE kind = ? AND id = ? FOR UPDATE",
        "SELECT version FROM changes WHERE kind = ? AND id = ?",
    );
    version_row(tx, sql, kind, id).await
}

async fn version_row(
    tx: &mut Tx,
    sql: &'static str,
    kind: ResourceKind,
    id: [u8; 16],
) -> Result<Option<u64>, StoreError> {
    let row = fetch_optional!(tx, (i64,), sql, i32::from(kind), id.to_vec())?;
    row.map(|(version,)| number(version)).transpose()
}

/// Declares that this database, restored from an older copy, is the truth: a new epoch, which nodes may follow.
///
/// # Errors
/// What the database says.
pub async fn adopt_epoch(tx: &mut Tx) -> Result<Revision, StoreError> {
    let epoch = new_epoch()?;
    execute!(
        tx,
        "UPDATE configuration_revision SET epoch = ?, version = version + 1, adopted = 1 WHERE id = 1",
        epoch.to_vec()
    )?;
    Ok(revision(tx).await?.0)
}

fn change((kind, bytes, version, deleted): (i32, Vec<u8>, i64, bool)) -> Result<Change, StoreError> {
    let kind = ResourceKind::try_from(kind).map_err(StoreError::corrupt)?;
    Ok(Change { kind, id: id(bytes)?, version: number(version)?, deleted })
}

fn id(bytes: Vec<u8>) -> Result<[u8; 16], StoreError> {
    bytes.try_into().map_err(|_| StoreError::corrupt("an id has not 16 bytes"))
}

fn number(stored: i64) -> Result<u64, StoreError> {
    u64::try_from(stored).map_err(|_| StoreError::corrupt("a version is negative"))
}

fn stored(version: u64) -> Result<i64, StoreError> {
    i64::try_from(version).map_err(|_| StoreError::corrupt("a version is beyond what the database holds"))
}
