//! Nodes as they were last heard of.

use prost::Message as _;
use proto::v1::HeartbeatRequest;
use shared::clock::Millis;

use super::{
    StoreError, Tx,
    changes::Revision,
    db::{execute, fetch_all, fetch_one, fetch_optional},
    statement::Statement,
};
use crate::words::node_health::NodeHealth;

mod accounts;

pub use accounts::{AccountOnNode, account_live, all_account_live};

/// Text of a node's build that is kept.
const BUILD_MAX: usize = 64;

/// One node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeRow {
    pub node_id: String,
    pub build: String,
    /// False: the node is shutting down.
    pub ready: bool,
    pub first_seen_at: Millis,
    pub heard_at: Millis,
    /// What the node serves from: as last acknowledged or reported. `None`: nothing yet.
    pub revision: Option<Revision>,
    /// The last heartbeat, without its status writes.
    pub report: HeartbeatRequest,
}

#[derive(sqlx::FromRow)]
struct Stored {
    node_id: String,
    build: String,
    ready: bool,
    first_seen_at: i64,
    heard_at: i64,
    epoch: Option<Vec<u8>>,
    version: Option<i64>,
    report: Vec<u8>,
}

impl TryFrom<Stored> for NodeRow {
    type Error = StoreError;

    fn try_from(row: Stored) -> Result<Self, StoreError> {
        let revision = match (row.epoch, row.version) {
            (Some(epoch), Some(version)) => Some(Revision {
                epoch: epoch
                    .try_into()
                    .map_err(|_| StoreError::corrupt("a node's epoch has not 16 bytes"))?,
                version: u64::try_from(version).map_err(StoreError::corrupt)?,
            }),
            _ => None,
        };
        Ok(Self {
            node_id: row.node_id,
            build: row.build,
            ready: row.ready,
            first_seen_at: Millis(row.first_seen_at),
            heard_at: Millis(row.heard_at),
            revision,
            report: HeartbeatRequest::decode(row.report.as_slice()).map_err(StoreError::corrupt)?,
        })
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT node_id, build, ready, first_seen_at, heard_at, epoch, version, report FROM nodes ",
            $rest
        )
    };
}

/// Keeps a heartbeat as the node's state of `now`.
///
/// # Errors
/// What the database says.
pub async fn heard(tx: &mut Tx, heartbeat: &HeartbeatRequest, now: Millis) -> Result<(), StoreError> {
    const MYSQL: &str =
        "INSERT INTO nodes (node_id, build, ready, first_seen_at, heard_at, epoch, version, report)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON DUPLICATE KEY UPDATE build = VALUES(build), ready = VALUES(ready), heard_at = VALUES(heard_at),
            epoch = VALUES(epoch), version = VALUES(version), report = VALUES(report)";
    const SQLITE: &str =
        "INSERT INTO nodes (node_id, build, ready, first_seen_at, heard_at, epoch, version, report)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (node_id) DO UPDATE SET build = excluded.build, ready = excluded.ready,
            heard_at = excluded.heard_at, epoch = excluded.epoch, version = excluded.version, report = excluded.report";
    let kept = HeartbeatRequest { status_writes: Vec::new(), ..heartbeat.clone() };
    let revision = heartbeat.revision.as_ref().filter(|revision| revision.epoch.len() == 16);
    let version = revision.map(|revision| stored_version(revision.version));
    let build: String = heartbeat.build.chars().take(BUILD_MAX).collect();
    let sql = tx.sql(MYSQL, SQLITE);
    execute!(
        tx,
        sql,
        heartbeat.node_id.as_str(),
        build.as_str(),
        heartbeat.ready,
        now.0,
        now.0,
        revision.map(|revision| revision.epoch.as_slice()),
        version,
        kept.encode_to_vec(),
    )?;
    Ok(())
}

/// Notes the revision that a node acknowledged, ahead of its next heartbeat. A node never heard of has no row yet.
///
/// # Errors
/// What the database says.
pub async fn acknowledged(tx: &mut Tx, node_id: &str, revision: Revision) -> Result<(), StoreError> {
    let epoch = revision.epoch.to_vec();
    let sql = "UPDATE nodes SET epoch = ?, version = ? WHERE node_id = ?";
    execute!(tx, sql, epoch.as_slice(), stored_version(revision.version), node_id)?;
    Ok(())
}

/// Which nodes to list; `None` is any.
#[derive(Debug, Clone, Copy, Default)]
pub struct NodeFilter {
    /// As it is where nodes heard of at this time or later are live.
    pub health: Option<(NodeHealth, Millis)>,
}

/// By name; those after `after` only.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    filter: NodeFilter,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<NodeRow>, StoreError> {
    let statement = Statement::new(select!("")).given("node_id > ?", Some(after.unwrap_or_default()));
    // What `NodeHealth::of` says of a row.
    let statement = match filter.health {
        None => statement,
        Some((NodeHealth::Silent, since)) => statement.given("heard_at < ?", Some(since.0)),
        Some((NodeHealth::Stopping, since)) => {
            statement.given("heard_at >= ?", Some(since.0)).given("ready = ?", Some(false))
        }
        Some((NodeHealth::Live, since)) => {
            statement.given("heard_at >= ?", Some(since.0)).given("ready = ?", Some(true))
        }
    };
    let rows: Vec<Stored> = statement.first("node_id", limit).fetch(tx).await?;
    rows.into_iter().map(NodeRow::try_from).collect()
}

/// # Errors
/// What the database says.
pub async fn get(tx: &mut Tx, node_id: &str) -> Result<Option<NodeRow>, StoreError> {
    let row = fetch_optional!(tx, Stored, select!("WHERE node_id = ?"), node_id)?;
    row.map(NodeRow::try_from).transpose()
}

/// Nodes heard of at `since` or later, by name.
///
/// # Errors
/// What the database says.
pub async fn live(tx: &mut Tx, since: Millis) -> Result<Vec<NodeRow>, StoreError> {
    let rows = fetch_all!(tx, Stored, select!("WHERE heard_at >= ? ORDER BY node_id"), since.0)?;
    rows.into_iter().map(NodeRow::try_from).collect()
}

/// How many nodes were heard of at `since` or later.
///
/// # Errors
/// What the database says.
pub async fn count_live(tx: &mut Tx, since: Millis) -> Result<u32, StoreError> {
    let (count,) = fetch_one!(tx, (i64,), "SELECT COUNT(*) FROM nodes WHERE heard_at >= ?", since.0)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Forgets a node. False: there was none of that name.
///
/// # Errors
/// What the database says.
pub async fn delete(tx: &mut Tx, node_id: &str) -> Result<bool, StoreError> {
    Ok(execute!(tx, "DELETE FROM nodes WHERE node_id = ?", node_id)? > 0)
}

/// Forgets nodes that were last heard of before `before`. Returns how many.
///
/// # Errors
/// What the database says.
pub async fn delete_silent(tx: &mut Tx, before: Millis) -> Result<u64, StoreError> {
    execute!(tx, "DELETE FROM nodes WHERE heard_at < ?", before.0)
}

fn stored_version(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}
