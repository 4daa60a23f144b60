//! Model routes: which platform serves a model.

use serde_json::{Value, json};
use shared::id::RouteId;

use super::{Audited, Caller, Change, Done, Entry};
use crate::{
    app::App,
    domain::model_route::RouteInput,
    store::{StoreError, Tx, routes},
};

pub use crate::store::routes::{RouteFilter, RouteRow};

impl Audited for RouteRow {
    const KIND: &'static str = "model_route";

    fn audit_id(&self) -> String {
        self.id.to_string()
    }

    fn audit_name(&self) -> Option<&str> {
        Some(&self.pattern)
    }

    fn record(&self) -> Value {
        json!({
            "pattern": self.pattern,
            "platform": self.platform,
            "account_type": self.account_type,
            "position": self.position,
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
    filter: &RouteFilter,
    after: Option<RouteId>,
    limit: u32,
) -> Done<Vec<RouteRow>> {
    let mut tx = app.store.read().await?;
    let rows = routes::list(&mut tx, filter, after, limit).await?;
    tx.commit().await?;
    Ok(rows)
}

/// # Errors
/// `NotFound`.
pub async fn get(app: &App, id: RouteId) -> Done<RouteRow> {
    let mut tx = app.store.read().await?;
    let row = read(&mut tx, id).await?;
    tx.commit().await?;
    Ok(row)
}

/// # Errors
/// The input is not valid, or the pattern is taken.
pub async fn create(app: &App, caller: &Caller, input: RouteInput) -> Done<RouteRow> {
    let now = app.clock.now();
    let row = input.create(RouteId::new(now), now)?;
    let mut change = Change::begin(app, caller).await?;
    routes::insert(&mut change.tx, &row).await?;
    change.publish(Entry::made("model_route.create", &row)).await?;
    Ok(row)
}

/// `revision`: the one that the caller has seen.
///
/// # Errors
/// The input is not valid, the pattern is taken, or the route was changed meanwhile.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: RouteId,
    revision: i64,
    input: RouteInput,
) -> Done<RouteRow> {
    let mut change = Change::begin(app, caller).await?;
    let before = read(&mut change.tx, id).await?;
    let mut after = input.update(&before, change.now)?;
    after.revision = routes::update(&mut change.tx, &after, revision).await?;
    change.publish(Entry::changed("model_route.update", &before, &after)).await?;
    Ok(after)
}

/// # Errors
/// `NotFound`.
pub async fn delete(app: &App, caller: &Caller, id: RouteId) -> Done<()> {
    let mut change = Change::begin(app, caller).await?;
    let row = read(&mut change.tx, id).await?;
    routes::delete(&mut change.tx, id).await?;
    change.publish(Entry::removed("model_route.delete", &row)).await
}

async fn read(tx: &mut Tx, id: RouteId) -> Done<RouteRow> {
    Ok(routes::get(tx, id).await?.ok_or(StoreError::NotFound)?)
}
