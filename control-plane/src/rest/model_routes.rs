//! Model routes: which platform serves a model.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Serialize;
use shared::id::RouteId;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cursor::{Page, PageParams},
    error::ApiResult,
    etag::{IfMatch, Tagged},
    extract::{JsonBody, ListParams, PathId},
    search::PlatformQuery,
};
use crate::{
    app::App,
    domain::model_route::RouteInput,
    ops::{
        Caller,
        model_routes::{self as ops, RouteFilter, RouteRow},
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

#[derive(Debug, Serialize, ToSchema)]
struct RouteView {
    #[schema(value_type = String)]
    id: RouteId,
    pattern: String,
    platform: String,
    /// Null: any type of the platform.
    account_type: Option<String>,
    /// Routes are tried by rising position; the first that matches wins.
    position: i64,
    enabled: bool,
    description: String,
    created_at: i64,
    updated_at: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct RouteList {
    model_routes: Vec<RouteView>,
    /// Null: this is the last page.
    next_cursor: Option<String>,
}

/// Routes, the oldest first.
#[utoipa::path(get, path = "/api/admin/model-routes", tag = "model routes", params(PlatformQuery, PageParams), responses((status = OK, body = RouteList)))]
async fn list(
    State(app): State<App>,
    ListParams(query): ListParams<PlatformQuery>,
    page: Page,
) -> ApiResult<Json<RouteList>> {
    let filter = RouteFilter { platform: query.platform, search: query.search.into_text() };
    let after = page.after::<16>()?.map(RouteId::from_bytes);
    let mut rows = ops::list(&app, &filter, after, page.fetch()).await?;
    let next_cursor = page.cut(&mut rows, |row| row.id.to_bytes());
    Ok(Json(RouteList { model_routes: rows.into_iter().map(RouteView::from).collect(), next_cursor }))
}

/// A new route.
#[utoipa::path(post, path = "/api/admin/model-routes", tag = "model routes", request_body = RouteInput, responses((status = CREATED, body = RouteView)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    JsonBody(input): JsonBody<RouteInput>,
) -> ApiResult<(StatusCode, Tagged<RouteView>)> {
    Ok((StatusCode::CREATED, tagged(ops::create(&app, &caller, input).await?)))
}

/// One route.
#[utoipa::path(get, path = "/api/admin/model-routes/{id}", tag = "model routes", params(("id" = String, Path)), responses((status = OK, body = RouteView)))]
async fn get(State(app): State<App>, PathId(id): PathId<RouteId>) -> ApiResult<Tagged<RouteView>> {
    Ok(tagged(ops::get(&app, id).await?))
}

/// Changes a route: absent fields keep their values.
#[utoipa::path(put, path = "/api/admin/model-routes/{id}", tag = "model routes", params(("id" = String, Path), ("If-Match" = String, Header)), request_body = RouteInput, responses((status = OK, body = RouteView)))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<RouteId>,
    IfMatch(revision): IfMatch,
    JsonBody(input): JsonBody<RouteInput>,
) -> ApiResult<Tagged<RouteView>> {
    Ok(tagged(ops::update(&app, &caller, id, revision, input).await?))
}

/// Deletes a route.
#[utoipa::path(delete, path = "/api/admin/model-routes/{id}", tag = "model routes", params(("id" = String, Path)), responses((status = NO_CONTENT)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<RouteId>,
) -> ApiResult<StatusCode> {
    ops::delete(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn tagged(row: RouteRow) -> Tagged<RouteView> {
    Tagged { revision: row.revision, body: row.into() }
}

impl From<RouteRow> for RouteView {
    fn from(row: RouteRow) -> Self {
        Self {
            id: row.id,
            pattern: row.pattern,
            platform: row.platform,
            account_type: row.account_type,
            position: row.position,
            enabled: row.enabled,
            description: row.description,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
