//! The change log of what nodes hold, and the counter that gives each change its version.
//!
//! The counter is one row, updated inside the transaction of the change and locked until that transaction ends: so
//! versions are committed in their order, without a gap.
//!
//! Each version draws a random stamp with it. A database that was restored from a backup counts on from an older
//! version and draws others, which tells the two histories of one epoch apart.

use proto::v1::ResourceKind;
use shared::{
    clock::{Clock, Millis},
    id::RequestId,
};

use super::{
    StoreError, Tx,
    db::{execute, fetch_all, fetch_one, fetch_optional},
    migrate::random_bytes,
};

/// Names one state of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    pub epoch: [u8; 16],
    /// 0 in an empty database.
    pub version: u64,
}

/// What a version was drawn with; zeros for version 0, with which every history of an epoch begins.
pub type Stamp = [u8; 16];

/// Stamps of so many of the latest versions are kept, and those of older versions that a node holds, as far as nodes are
/// remembered. Of a version without a stamp nobody can tell any more which history it is of: the control plane takes
/// it as no sign of anything, and a node that holds it does not follow.
pub const STAMPS_KEPT: u64 = 100_000;

/// Deletions within so many of the latest versions are kept, for nodes that were away. Who holds an older version, or
/// publishes one, can't be told any more what is gone since: it takes everything anew.
pub const DELETIONS_KEPT: u64 = 100_000;

/// The oldest version from which all deletions up to `version` are kept.
#[must_use]
pub const fn deletions_kept_from(version: u64) -> u64 {
    version.saturating_sub(DELETIONS_KEPT)
}

/// Where the configuration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub revision: Revision,
    pub stamp: Stamp,
    /// The operator adopted this epoch after a restore.
    pub adopted: bool,
    /// Nothing of this epoch is published until the operator adopts it.
    pub withheld: Option<Withheld>,
}

/// Why nothing of an epoch is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    pub reason: Contradiction,
    /// The version that was proven.
    pub version: u64,
    /// Who proved it. `None`: a control plane that had published it.
    pub node_id: Option<String>,
    pub since: Millis,
}

/// What a proven version says against this database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    /// The database does not have that version yet, or is at an earlier epoch.
    HigherVersion,
    /// In the database that version has another stamp.
    OtherHistory,
}

impl Contradiction {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HigherVersion => "higher_version",
            Self::OtherHistory => "other_history",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        let known =
            [Self::HigherVersion, Self::OtherHistory].into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| StoreError::corrupt("the reason for withholding is unknown"))
    }
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
    execute!(tx, INSERT_STAMP, version, random_bytes()?.to_vec())?;
    let sql = tx.sql(MYSQL, SQLITE);
    execute!(tx, sql, i32::from(kind), id.to_vec(), version, deleted)?;
    Ok(revision.version)
}

const INSERT_STAMP: &str = "INSERT INTO revisions (version, stamp) VALUES (?, ?)";

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

#[derive(sqlx::FromRow)]
struct StoredState {
    epoch: Vec<u8>,
    version: i64,
    adopted: bool,
    stamp: Option<Vec<u8>>,
    withheld_reason: Option<String>,
    withheld_version: Option<i64>,
    withheld_node: Option<String>,
    withheld_at: Option<i64>,
}

impl StoredState {
    fn withheld(&mut self) -> Result<Option<Withheld>, StoreError> {
        let (Some(reason), Some(version), Some(at)) =
            (self.withheld_reason.as_deref(), self.withheld_version, self.withheld_at)
        else {
            return Ok(None);
        };
        Ok(Some(Withheld {
            reason: Contradiction::parse(reason)?,
            version: number(version)?,
            node_id: self.withheld_node.take(),
            since: Millis(at),
        }))
    }
}

/// Where the configuration stands, as this transaction sees it.
///
/// # Errors
/// What the database says; `Corrupt` where the version has no stamp.
pub async fn state(tx: &mut Tx) -> Result<State, StoreError> {
    let mut row = fetch_one!(
        tx,
        StoredState,
        "SELECT c.epoch, c.version, c.adopted, r.stamp, c.withheld_reason, c.withheld_version, c.withheld_node,
            c.withheld_at
        FROM configuration_revision c LEFT JOIN revisions r ON r.version = c.version WHERE c.id = 1"
    )?;
    let withheld = row.withheld()?;
    let stamp = match row.stamp {
        Some(stamp) => id(stamp)?,
        None if row.version == 0 => Stamp::default(),
        None => return Err(StoreError::corrupt("the configuration's version has no stamp")),
    };
    let revision = Revision { epoch: id(row.epoch)?, version: number(row.version)? };
    Ok(State { revision, stamp, adopted: row.adopted, withheld })
}

/// The stamp of a version of this history; `None` where there is none, or none any more.
///
/// # Errors
/// What the database says.
pub async fn stamp_of(tx: &mut Tx, version: u64) -> Result<Option<Stamp>, StoreError> {
    let sql = "SELECT stamp FROM revisions WHERE version = ?";
    let row = fetch_optional!(tx, (Vec<u8>,), sql, stored(version)?)?;
    row.map(|(stamp,)| id(stamp)).transpose()
}

/// The latest versions above `version` with their stamps, at most `limit`.
///
/// # Errors
/// What the database says.
pub async fn stamps_since(tx: &mut Tx, version: u64, limit: u32) -> Result<Vec<(u64, Stamp)>, StoreError> {
    let rows = fetch_all!(
        tx,
        (i64, Vec<u8>),
        "SELECT version, stamp FROM revisions WHERE version > ? ORDER BY version DESC LIMIT ?",
        stored(version)?,
        i64::from(limit)
    )?;
    rows.into_iter().map(|(version, stamp)| Ok((number(version)?, id(stamp)?))).collect()
}

/// Forgets old stamps, see [`STAMPS_KEPT`], the oldest first. Returns how many.
///
/// # Errors
/// What the database says.
pub async fn delete_old_stamps(tx: &mut Tx, limit: i64) -> Result<u64, StoreError> {
    const MYSQL: &str = "DELETE FROM revisions WHERE version < ?
            AND version NOT IN (SELECT version FROM nodes WHERE version IS NOT NULL)
        ORDER BY version LIMIT ?";
    const SQLITE: &str =
        "DELETE FROM revisions WHERE version IN (SELECT version FROM revisions WHERE version < ?
            AND version NOT IN (SELECT version FROM nodes WHERE version IS NOT NULL)
        ORDER BY version LIMIT ?)";
    let (revision, _) = revision(tx).await?;
    let Some(before) = revision.version.checked_sub(STAMPS_KEPT) else { return Ok(0) };
    let sql = tx.sql(MYSQL, SQLITE);
    execute!(tx, sql, stored(before)?, limit)
}

/// Forgets old deletions, see [`DELETIONS_KEPT`], the oldest first. Returns how many.
///
/// # Errors
/// What the database says.
pub async fn delete_old_deletions(tx: &mut Tx, limit: i64) -> Result<u64, StoreError> {
    let (revision, _) = revision(tx).await?;
    let sql = tx.sql(
        "DELETE FROM changes WHERE deleted = 1 AND version <= ? ORDER BY version LIMIT ?",
        "DELETE FROM changes WHERE version IN (SELECT version FROM changes WHERE deleted = 1 AND version <= ?
            ORDER BY version LIMIT ?)",
    );
    execute!(tx, sql, stored(deletions_kept_from(revision.version))?, limit)
}

/// Has nothing of this epoch be published until the operator adopts it. Call it under [`lock`].
///
/// # Errors
/// What the database says.
pub async fn withhold(tx: &mut Tx, withheld: &Withheld) -> Result<(), StoreError> {
    execute!(
        tx,
        "UPDATE configuration_revision SET withheld_reason = ?, withheld_version = ?, withheld_node = ?,
            withheld_at = ? WHERE id = 1",
        withheld.reason.as_str(),
        stored(withheld.version)?,
        withheld.node_id.as_deref(),
        withheld.since.0,
    )?;
    Ok(())
}

/// The resources that changed after `version`, by rising version of their latest change. Of what was deleted before
/// [`deletions_kept_from`] nothing is told.
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
    let epoch = new_epoch();
    execute!(
        tx,
        "UPDATE configuration_revision SET epoch = ?, version = version + 1, adopted = 1, withheld_reason = NULL,
            withheld_version = NULL, withheld_node = NULL, withheld_at = NULL WHERE id = 1",
        epoch.to_vec()
    )?;
    let (adopted, _) = revision(tx).await?;
    // Of the epoch that ends here.
    execute!(tx, "DELETE FROM revisions")?;
    execute!(tx, INSERT_STAMP, stored(adopted.version)?, random_bytes()?.to_vec())?;
    Ok(adopted)
}

/// Of two epochs, the one that was begun later is the larger one, as far as clocks agree: 48 bits of Unix time in
/// milliseconds, and random ones.
pub(super) fn new_epoch() -> [u8; 16] {
    RequestId::new(Clock::System.now()).to_bytes()
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
