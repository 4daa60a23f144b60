//! Rules that rename a model for all accounts.

use proto::v1::ResourceKind;
use shared::id::MappingId;

use super::{
    StoreError, Tx, changes,
    db::{execute, fetch_all, fetch_in, fetch_optional},
    statement::Statement,
};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct MappingRow {
    #[sqlx(try_from = "Vec<u8>")]
    pub id: MappingId,
    pub from_model: String,
    pub to_model: String,
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
            "SELECT id, from_model, to_model, enabled, description, created_at, updated_at, revision FROM model_mappings ",
            $rest
        )
    };
}

/// # Errors
/// What the database says.
pub async fn get(tx: &mut Tx, id: MappingId) -> Result<Option<MappingRow>, StoreError> {
    fetch_optional!(tx, MappingRow, select!("WHERE id = ?"), id.to_bytes().to_vec())
}

/// By rising id.
///
/// # Errors
/// What the database says.
pub async fn all(tx: &mut Tx) -> Result<Vec<MappingRow>, StoreError> {
    fetch_all!(tx, MappingRow, select!("ORDER BY id"))
}

/// Those that exist, in no order.
///
/// # Errors
/// What the database says.
pub async fn by_ids(tx: &mut Tx, ids: &[MappingId]) -> Result<Vec<MappingRow>, StoreError> {
    let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    fetch_in!(tx, MappingRow, select!("WHERE id IN "), "", keys)
}

/// By rising id, those after `after` only.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    search: Option<&str>,
    after: Option<MappingId>,
    limit: u32,
) -> Result<Vec<MappingRow>, StoreError> {
    Statement::new(select!(""))
        .after("id > ?", after.map(MappingId::to_bytes))
        .containing(&["from_model", "to_model"], search)
        .first("id", limit)
        .fetch(tx)
        .await
}

/// Returns the version of the change.
///
/// # Errors
/// `Conflict` where the source has a mapping.
pub async fn insert(tx: &mut Tx, row: &MappingRow) -> Result<u64, StoreError> {
    let version = changes::record(tx, ResourceKind::ModelMapping, row.id.to_bytes(), false).await?;
    execute!(
        tx,
        "INSERT INTO model_mappings (id, from_model, to_model, enabled, description, created_at, updated_at, revision)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        row.id.to_bytes().to_vec(),
        row.from_model.as_str(),
        row.to_model.as_str(),
        row.enabled,
        row.description.as_str(),
        row.created_at,
        row.updated_at,
        row.revision,
    )
    .map_err(|error| error.about("the mapping's source"))?;
    Ok(version)
}

/// Writes all but `id`, `created_at` and `revision`; returns the new revision.
///
/// # Errors
/// `NotFound`; `Stale` where the row is at another revision; `Conflict` where the source has a mapping.
pub async fn update(tx: &mut Tx, row: &MappingRow, expected_revision: i64) -> Result<i64, StoreError> {
    changes::record(tx, ResourceKind::ModelMapping, row.id.to_bytes(), false).await?;
    let matched = execute!(
        tx,
        "UPDATE model_mappings SET from_model = ?, to_model = ?, enabled = ?, description = ?, updated_at = ?,
            revision = revision + 1 WHERE id = ? AND revision = ?",
        row.from_model.as_str(),
        row.to_model.as_str(),
        row.enabled,
        row.description.as_str(),
        row.updated_at,
        row.id.to_bytes().to_vec(),
        expected_revision,
    )
    .map_err(|error| error.about("the mapping's source"))?;
    if matched > 0 {
        return Ok(expected_revision + 1);
    }
    let sql = tx.sql(
        "SELECT revision FROM model_mappings WHERE id = ? FOR UPDATE",
        "SELECT revision FROM model_mappings WHERE id = ?",
    );
    let there = fetch_optional!(tx, (i64,), sql, row.id.to_bytes().to_vec())?.is_some();
    Err(if there { StoreError::Stale } else { StoreError::NotFound })
}

/// # Errors
/// `NotFound`.
pub async fn delete(tx: &mut Tx, id: MappingId) -> Result<(), StoreError> {
    changes::record(tx, ResourceKind::ModelMapping, id.to_bytes(), true).await?;
    match execute!(tx, "DELETE FROM model_mappings WHERE id = ?", id.to_bytes().to_vec())? {
        0 => Err(StoreError::NotFound),
        _ => Ok(()),
    }
}
