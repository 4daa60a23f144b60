//! Models with their prices over time.

use std::collections::BTreeMap;

use shared::{clock::Millis, id::ModelId};

use super::Done;
use crate::{app::App, store::models};

pub use crate::store::models::{ModelFilter, ModelRow, PriceRow};

/// A model and what it costs.
#[derive(Debug, Clone)]
pub struct Model {
    pub row: ModelRow,
    /// All, by rising time.
    pub prices: Vec<PriceRow>,
}

impl Model {
    /// In force at that time; `None` where there is none yet.
    #[must_use]
    pub fn price_at(&self, at: Millis) -> Option<&PriceRow> {
        self.prices.iter().rfind(|price| price.effective_from <= at)
    }
}

/// The oldest entry first, after the one named.
///
/// # Errors
/// What the database says.
pub async fn list(app: &App, filter: &ModelFilter, after: Option<ModelId>, limit: u32) -> Done<Vec<Model>> {
    let mut tx = app.store.read().await?;
    let rows = models::list(&mut tx, filter, after, limit).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let mut by_model: BTreeMap<ModelId, Vec<PriceRow>> = BTreeMap::new();
    for price in models::prices_of(&mut tx, &ids).await? {
        by_model.entry(price.model_id).or_default().push(price);
    }
    tx.commit().await?;
    let models = rows.into_iter().map(|row| {
        let prices = by_model.remove(&row.id).unwrap_or_default();
        Model { row, prices }
    });
    Ok(models.collect())
}
