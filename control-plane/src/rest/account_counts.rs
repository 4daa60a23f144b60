//! GET /api/admin/accounts/counts: how many accounts are in which state.

use axum::{Json, extract::State};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::error::ApiResult;
use crate::{app::App, ops::accounts as ops, words::account_state::StateCounts};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(counts))
}

/// How many accounts are in each state, each counted once.
#[utoipa::path(get, path = "/api/admin/accounts/counts", tag = "accounts", responses((status = OK, body = StateCounts)))]
async fn counts(State(app): State<App>) -> ApiResult<Json<StateCounts>> {
    Ok(Json(ops::counts(&app).await?))
}
