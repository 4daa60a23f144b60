//! Rules that send models to a platform.

use proto::v1::ResourceKind;
use shared::{id::RouteId, wire::Platform};

use super::{
    StoreError, Tx, changes,
    db::{execute, fetch_all, fetch_in, fetch_optional},
    statement::Statement,
};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RouteRow {
    #[sqlx(try_from = "Vec<u8>")]
    pub id: RouteId,
    /// An exact name, or a pattern with `*`.
    pub pattern: String,
    pub platform: String,
    /// `None`: any type of the platform.
    pub account_type: Option<String>,
    /// Tried by rising position, then id.
    pub position: i64,
    pub enabled: bool,
    pub description: String,
    /// Milliseconds since 1970, as all times here.
    pub created_at: i64,
    pub updated_at: i64,
    pub revision: i64,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, pattern, platform, account_type, position, enabled, description, created_at, updated_at, revision ",
            "FROM model_routes ",
            $rest
        )
    };
}

/// # Errors
/// What the database says.
pub async fn get(tx: &mut Tx, id: RouteId) -> Result<Option<RouteRow>, StoreError> {
    fetch_optional!(tx, RouteRow, select!("WHERE id = ?"), id.to_bytes().to_vec())
}

/// By rising id.
///
/// # Errors
/// What the database says.
pub async fn all(tx: &mut Tx) -> Result<Vec<RouteRow>, StoreError> {
    fetch_all!(tx, RouteRow, select!("ORDER BY id"))
}

/// Those that exist, in no order.
///
/// # Errors
/// What the database says.
pub async fn by_ids(tx: &mut Tx, ids: &[RouteId]) -> Result<Vec<RouteRow>, StoreError> {
    let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    fetch_in!(tx, RouteRow, select!("WHERE id IN "), "", keys)
}

/// Which routes to list; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct RouteFilter {
    pub platform: Option<Platform>,
    /// Part of the pattern, in any case.
    pub search: Option<String>,
}

/// By rising id, those after `after` only.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    filter: &RouteFilter,
    after: Option<RouteId>,
    limit: u32,
) -> Result<Vec<RouteRow>, StoreError> {
    Statement::new(select!(""))
        .after("id > ?", after.map(RouteId::to_bytes))
        .given("platform = ?", filter.platform.map(Platform::as_str))
        .containing(&["pattern"], filter.search.as_deref())
        .first("id", limit)
        .fetch(tx)
        .await
}

/// Returns the version of the change.
///
/// # Errors
/// `Conflict` where the pattern has a route.
pub async fn insert(tx: &mut Tx, row: &RouteRow) -> Result<u64, StoreError> {
    let version = changes::record(tx, ResourceKind::ModelRoute, row.id.to_bytes(), false).await?;
    execute!(
        tx,
        "INSERT INTO model_routes (id, pattern, platform, account_type, position, enabled, description, created_at,
            updated_at, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row.id.to_bytes().to_vec(),
        row.pattern.as_str(),
        row.platform.as_str(),
        row.account_type.as_deref(),
        row.position,
        row.enabled,
        row.description.as_str(),
        row.created_at,
        row.updated_at,
        row.revision,
    )
    .map_err(|error| error.about("the route's pattern"))?;
    Ok(version)
}

/// Writes all but `id`, `created_at` and `revision`; returns the new revision.
///
/// # Errors
/// `NotFound`; `Stale` where the row is at another revision; `Conflict` where the pattern has a route.
pub async fn update(tx: &mut Tx, row: &RouteRow, expected_revision: i64) -> Result<i64, StoreError> {
    changes::record(tx, ResourceKind::ModelRoute, row.id.to_bytes(), false).await?;
    let matched = execute!(
        tx,
        "UPDATE model_routes SET pattern = ?, platform = ?, account_type = ?, position = ?, enabled = ?,
            description = ?, updated_at = ?, revision = revision + 1 WHERE id = ? AND revision = ?",
        row.pattern.as_str(),
        row.platform.as_str(),
        row.account_type.as_deref(),
        row.position,
        row.enabled,
        row.description.as_str(),
        row.updated_at,
        row.id.to_bytes().to_vec(),
        expected_revision,
    )
    .map_err(|error| error.about("the route's pattern"))?;
    if matched > 0 {
        return Ok(expected_revision + 1);
    }
    let sql = tx.sql(
        "SELECT revision FROM model_routes WHERE id = ? FOR UPDATE",
        "SELECT revision FROM model_routes WHERE id = ?",
    );
    let there = fetch_optional!(tx, (i64,), sql, row.id.to_bytes().to_vec())?.is_some();
    Err(if there { StoreError::Stale } else { StoreError::NotFound })
}

/// # Errors
/// `NotFound`.
pub async fn delete(tx: &mut Tx, id: RouteId) -> Result<(), StoreError> {
    changes::record(tx, ResourceKind::ModelRoute, id.to_bytes(), true).await?;
    match execute!(tx, "DELETE FROM model_routes WHERE id = ?", id.to_bytes().to_vec())? {
        0 => Err(StoreError::NotFound),
        _ => Ok(()),
    }
}
