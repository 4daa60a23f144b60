//! Model mappings: another name for a model, for all accounts.

use serde_json::{Value, json};
use shared::id::MappingId;

use super::{Audited, Caller, Change, Done, Entry};
use crate::{
    app::App,
    domain::model_route::MappingInput,
    store::{StoreError, Tx, mappings},
};

pub use crate::store::mappings::MappingRow;

impl Audited for MappingRow {
    const KIND: &'static str = "model_mapping";

    fn audit_id(&self) -> String {
        self.id.to_string()
    }

    fn audit_name(&self) -> Option<&str> {
        Some(&self.from_model)
    }

    fn record(&self) -> Value {
        json!({
            "from": self.from_model,
            "to": self.to_model,
            "enabled": self.enabled,
            "description": self.description,
        })
    }
}

/// The oldest first, after the one named.
///
/// # Errors
/// What the database says.
pub async fn list(
    app: &App,
    search: Option<&str>,
    after: Option<MappingId>,
    limit: u32,
) -> Done<Vec<MappingRow>> {
    let mut tx = app.store.read().await?;
    let rows = mappings::list(&mut tx, search, after, limit).await?;
    tx.commit().await?;
    Ok(rows)
}

/// # Errors
/// `NotFound`.
pub async fn get(app: &App, id: MappingId) -> Done<MappingRow> {
    let mut tx = app.store.read().await?;
    let row = read(&mut tx, id).await?;
    tx.commit().await?;
    Ok(row)
}

/// # Errors
/// The input is not valid, or the name is mapped already.
pub async fn create(app: &App, caller: &Caller, input: MappingInput) -> Done<MappingRow> {
    let now = app.clock.now();
    let row = input.create(MappingId::new(now), now)?;
    let mut change = Change::begin(app, caller).await?;
    mappings::insert(&mut change.tx, &row).await?;
    change.publish(Entry::made("model_mapping.create", &row)).await?;
    Ok(row)
}

/// `revision`: the one that the caller has seen.
///
/// # Errors
/// The input is not valid, the name is mapped already, or the mapping was changed meanwhile.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: MappingId,
    revision: i64,
    input: MappingInput,
) -> Done<MappingRow> {
    let mut change = Change::begin(app, caller).await?;
    let before = read(&mut change.tx, id).await?;
    let mut after = input.update(&before, change.now)?;
    after.revision = mappings::update(&mut change.tx, &after, revision).await?;
    change.publish(Entry::changed("model_mapping.update", &before, &after)).await?;
    Ok(after)
}

/// # Errors
/// `NotFound`.
pub async fn delete(app: &App, caller: &Caller, id: MappingId) -> Done<()> {
    let mut change = Change::begin(app, caller).await?;
    let row = read(&mut change.tx, id).await?;
    mappings::delete(&mut change.tx, id).await?;
    change.publish(Entry::removed("model_mapping.delete", &row)).await
}

async fn read(tx: &mut Tx, id: MappingId) -> Done<MappingRow> {
    Ok(mappings::get(tx, id).await?.ok_or(StoreError::NotFound)?)
}
