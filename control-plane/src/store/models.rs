//! Models that have a price, and their prices over time.

use std::collections::HashMap;

use proto::v1::ResourceKind;
use shared::{
    clock::Millis,
    id::{ModelId, PriceId},
    price::Price,
    wire::Platform,
};

use super::{
    StoreError, Tx, changes,
    db::{execute, fetch_all, fetch_in, fetch_optional},
    statement::Statement,
};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ModelRow {
    #[sqlx(try_from = "Vec<u8>")]
    pub id: ModelId,
    pub name: String,
    pub platform: String,
    pub display_name: Option<String>,
    /// Tokens.
    pub context_window: Option<i64>,
    pub max_output: Option<i64>,
    /// Milliseconds since 1970, as all times here.
    pub released_at: Option<i64>,
    pub created_at: i64,
    pub updated_at: i64,
    pub revision: i64,
}

/// What a model costs from a time on, until its next price. It never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceRow {
    pub id: PriceId,
    pub model_id: ModelId,
    /// The model's name when the price was made.
    pub model: String,
    pub effective_from: Millis,
    pub price: Price,
    /// A version of the price file, or `operator`.
    pub source: String,
    pub created_at: Millis,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, platform, display_name, context_window, max_output, released_at, created_at, updated_at, ",
            "revision FROM models ",
            $rest
        )
    };
}

/// # Errors
/// What the database says.
pub async fn get(tx: &mut Tx, id: ModelId) -> Result<Option<ModelRow>, StoreError> {
    fetch_optional!(tx, ModelRow, select!("WHERE id = ?"), id.to_bytes().to_vec())
}

/// # Errors
/// What the database says.
pub async fn by_name(tx: &mut Tx, name: &str) -> Result<Option<ModelRow>, StoreError> {
    fetch_optional!(tx, ModelRow, select!("WHERE name = ?"), name)
}

/// By rising id.
///
/// # Errors
/// What the database says.
pub async fn all(tx: &mut Tx) -> Result<Vec<ModelRow>, StoreError> {
    fetch_all!(tx, ModelRow, select!("ORDER BY id"))
}

/// Those that exist, in no order.
///
/// # Errors
/// What the database says.
pub async fn by_ids(tx: &mut Tx, ids: &[ModelId]) -> Result<Vec<ModelRow>, StoreError> {
    let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    fetch_in!(tx, ModelRow, select!("WHERE id IN "), "", keys)
}

/// Which models to list; `None` is any.
#[derive(Debug, Clone, Default)]
pub struct ModelFilter {
    pub platform: Option<Platform>,
    /// Part of the name or of the display name, in any case.
    pub search: Option<String>,
}

/// By rising id, those after `after` only.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx,
    filter: &ModelFilter,
    after: Option<ModelId>,
    limit: u32,
) -> Result<Vec<ModelRow>, StoreError> {
    Statement::new(select!(""))
        .after("id > ?", after.map(ModelId::to_bytes))
        .given("platform = ?", filter.platform.map(Platform::as_str))
        .containing(&["name", "display_name"], filter.search.as_deref())
        .first("id", limit)
        .fetch(tx)
        .await
}

/// A model that people may ask for.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct PricedModel {
    pub name: String,
    pub platform: String,
    pub display_name: Option<String>,
}

/// Models that have a price at a time, by name.
///
/// # Errors
/// What the database says.
pub async fn priced(tx: &mut Tx, at: Millis, limit: u32) -> Result<Vec<PricedModel>, StoreError> {
    fetch_all!(
        tx,
        PricedModel,
        "SELECT name, platform, display_name FROM models
         WHERE EXISTS (SELECT 1 FROM model_prices WHERE model_id = models.id AND effective_from <= ?)
         ORDER BY name LIMIT ?",
        at.0,
        i64::from(limit)
    )
}

/// Returns the version of the change.
///
/// # Errors
/// `Conflict` where the name is taken.
pub async fn insert(tx: &mut Tx, row: &ModelRow) -> Result<u64, StoreError> {
    let version = changes::record(tx, ResourceKind::Model, row.id.to_bytes(), false).await?;
    execute!(
        tx,
        "INSERT INTO models (id, name, platform, display_name, context_window, max_output, released_at, created_at,
            updated_at, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row.id.to_bytes().to_vec(),
        row.name.as_str(),
        row.platform.as_str(),
        row.display_name.as_deref(),
        row.context_window,
        row.max_output,
        row.released_at,
        row.created_at,
        row.updated_at,
        row.revision,
    )
    .map_err(|error| error.about("the model's name"))?;
    Ok(version)
}

/// Writes all but `id`, `created_at` and `revision`; returns the new revision.
///
/// # Errors
/// `NotFound`; `Stale` where the row is at another revision; `Conflict` where the name is taken.
pub async fn update(tx: &mut Tx, row: &ModelRow, expected_revision: i64) -> Result<i64, StoreError> {
    changes::record(tx, ResourceKind::Model, row.id.to_bytes(), false).await?;
    let matched = execute!(
        tx,
        "UPDATE models SET name = ?, platform = ?, display_name = ?, context_window = ?, max_output = ?,
            released_at = ?, updated_at = ?, revision = revision + 1 WHERE id = ? AND revision = ?",
        row.name.as_str(),
        row.platform.as_str(),
        row.display_name.as_deref(),
        row.context_window,
        row.max_output,
        row.released_at,
        row.updated_at,
        row.id.to_bytes().to_vec(),
        expected_revision,
    )
    .map_err(|error| error.about("the model's name"))?;
    if matched > 0 {
        return Ok(expected_revision + 1);
    }
    let sql = tx.sql(
        "SELECT revision FROM models WHERE id = ? FOR UPDATE",
        "SELECT revision FROM models WHERE id = ?",
    );
    let there = fetch_optional!(tx, (i64,), sql, row.id.to_bytes().to_vec())?.is_some();
    Err(if there { StoreError::Stale } else { StoreError::NotFound })
}

/// Deletes the model. Its prices stay: records name them.
///
/// # Errors
/// `NotFound`.
pub async fn delete(tx: &mut Tx, id: ModelId) -> Result<(), StoreError> {
    changes::record(tx, ResourceKind::Model, id.to_bytes(), true).await?;
    match execute!(tx, "DELETE FROM models WHERE id = ?", id.to_bytes().to_vec())? {
        0 => Err(StoreError::NotFound),
        _ => Ok(()),
    }
}

#[derive(Debug, sqlx::FromRow)]
struct StoredPrice {
    #[sqlx(try_from = "Vec<u8>")]
    id: PriceId,
    #[sqlx(try_from = "Vec<u8>")]
    model_id: ModelId,
    model: String,
    effective_from: i64,
    price: String,
    source: String,
    created_at: i64,
}

macro_rules! select_prices {
    ($rest:literal) => {
        concat!(
            "SELECT id, model_id, model, effective_from, price, source, created_at FROM model_prices ",
            $rest
        )
    };
}

/// All prices, by model and rising time; also those of models that are gone.
///
/// # Errors
/// `Corrupt` where a price can't be read.
pub async fn all_prices(tx: &mut Tx) -> Result<Vec<PriceRow>, StoreError> {
    let rows = fetch_all!(tx, StoredPrice, select_prices!("ORDER BY model_id, effective_from, id"))?;
    rows.into_iter().map(price_row).collect()
}

/// The prices of these models, by model and rising time.
///
/// # Errors
/// `Corrupt` where a price can't be read.
pub async fn prices_of(tx: &mut Tx, ids: &[ModelId]) -> Result<Vec<PriceRow>, StoreError> {
    let keys: Vec<Vec<u8>> = ids.iter().map(|id| id.to_bytes().to_vec()).collect();
    let rows = fetch_in!(tx, StoredPrice, select_prices!("WHERE model_id IN "), "", keys)?;
    let mut rows = rows.into_iter().map(price_row).collect::<Result<Vec<_>, _>>()?;
    rows.sort_by_key(|row| (row.model_id, row.effective_from, row.id));
    Ok(rows)
}

/// The price in force at a time; `None` where the model has none yet.
///
/// # Errors
/// `Corrupt` where the price can't be read.
pub async fn price_at(tx: &mut Tx, id: ModelId, at: Millis) -> Result<Option<PriceRow>, StoreError> {
    let row = fetch_optional!(
        tx,
        StoredPrice,
        select_prices!(
            "WHERE model_id = ? AND effective_from <= ? ORDER BY effective_from DESC, id DESC LIMIT 1"
        ),
        id.to_bytes().to_vec(),
        at.0,
    )?;
    row.map(price_row).transpose()
}

/// Adds what a model costs from a time on. It is a change of the model, so that whoever keeps prices sees by the
/// configuration's version that there is another.
///
/// # Errors
/// `Conflict` where the id is taken.
pub async fn add_price(tx: &mut Tx, row: &PriceRow) -> Result<(), StoreError> {
    changes::record(tx, ResourceKind::Model, row.model_id.to_bytes(), false).await?;
    let price = serde_json::to_string(&row.price).map_err(StoreError::corrupt)?;
    execute!(
        tx,
        "INSERT INTO model_prices (id, model_id, model, effective_from, price, source, created_at)
            VALUES (?, ?, ?, ?, ?, ?, ?)",
        row.id.to_bytes().to_vec(),
        row.model_id.to_bytes().to_vec(),
        row.model.as_str(),
        row.effective_from.0,
        price.as_str(),
        row.source.as_str(),
        row.created_at.0,
    )
    .map_err(|error| error.about("the price's id"))?;
    Ok(())
}

/// A model with all of its prices, by rising time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogued {
    pub id: ModelId,
    pub row: ModelRow,
    pub prices: Vec<PriceRow>,
}

/// Those that exist, in no order.
///
/// # Errors
/// `Corrupt` where a price can't be read.
pub async fn catalogued(tx: &mut Tx, ids: &[ModelId]) -> Result<Vec<Catalogued>, StoreError> {
    let rows = by_ids(tx, ids).await?;
    let mut by_model: HashMap<ModelId, Vec<PriceRow>> = HashMap::new();
    for price in prices_of(tx, ids).await? {
        by_model.entry(price.model_id).or_default().push(price);
    }
    let with_prices =
        |row: ModelRow| Catalogued { id: row.id, prices: by_model.remove(&row.id).unwrap_or_default(), row };
    Ok(rows.into_iter().map(with_prices).collect())
}

fn price_row(stored: StoredPrice) -> Result<PriceRow, StoreError> {
    Ok(PriceRow {
        id: stored.id,
        model_id: stored.model_id,
        model: stored.model,
        effective_from: Millis(stored.effective_from),
        price: serde_json::from_str(&stored.price).map_err(StoreError::corrupt)?,
        source: stored.source,
        created_at: Millis(stored.created_at),
    })
}
