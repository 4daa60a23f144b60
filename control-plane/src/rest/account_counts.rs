//! GET /api/admin/accounts/counts: how many accounts are in which state.

use axum::{Json, extract::State};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{error::ApiResult, nodes::account_live};
use crate::{
    app::App,
    store::accounts,
    words::account_state::{Marked, StateCounts},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(counts))
}

/// How many accounts are in each state, each counted once.
#[utoipa::path(get, path = "/api/admin/accounts/counts", tag = "accounts", responses((status = OK, body = StateCounts)))]
async fn counts(State(app): State<App>) -> ApiResult<Json<StateCounts>> {
    let now = app.clock.now();
    let mut tx = app.store.read().await?;
    let standings = accounts::count_standings(&mut tx, now).await?;
    let mut marked = account_live(&app, &mut tx).await?;
    marked.retain(|_, live| live.marked() != Marked::default());
    let ids: Vec<_> = marked.keys().copied().collect();
    let of_marked = accounts::standings(&mut tx, &ids, now).await?;
    tx.commit().await?;
    let of_marked =
        of_marked.into_iter().filter_map(|(id, standing)| Some((standing, marked.get(&id)?.marked())));
    Ok(Json(StateCounts::of(&standings, of_marked)))
}
