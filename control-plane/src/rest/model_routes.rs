//! Model routes: which platform serves a model.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
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
    ops::Caller,
    store::{
        StoreError, Tx,
        audit::{self, AuditEntry},
        routes::{self as store, RouteFilter, RouteRow},
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
    let mut tx = app.store.read().await?;
    let mut rows = store::list(&mut tx, &filter, after, page.fetch()).await?;
    tx.commit().await?;
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
    let now = app.clock.now();
    let row = input.create(RouteId::new(now), now)?;
    let mut tx = app.store.begin().await?;
    store::insert(&mut tx, &row).await?;
    log(&mut tx, &app, &caller, "model_route.create", &row).await?;
    tx.commit().await?;
    app.changed();
    Ok((StatusCode::CREATED, tagged(row)))
}

/// One route.
#[utoipa::path(get, path = "/api/admin/model-routes/{id}", tag = "model routes", params(("id" = String, Path)), responses((status = OK, body = RouteView)))]
async fn get(State(app): State<App>, PathId(id): PathId<RouteId>) -> ApiResult<Tagged<RouteView>> {
    let mut tx = app.store.read().await?;
    let row = store::get(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    tx.commit().await?;
    Ok(tagged(row))
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
    let mut tx = app.store.begin().await?;
    let present = store::get(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    let mut row = input.update(&present, app.clock.now())?;
    row.revision = store::update(&mut tx, &row, revision).await?;
    log(&mut tx, &app, &caller, "model_route.update", &row).await?;
    tx.commit().await?;
    app.changed();
    Ok(tagged(row))
}

/// Deletes a route.
#[utoipa::path(delete, path = "/api/admin/model-routes/{id}", tag = "model routes", params(("id" = String, Path)), responses((status = NO_CONTENT)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<RouteId>,
) -> ApiResult<StatusCode> {
    let mut tx = app.store.begin().await?;
    let row = store::get(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    store::delete(&mut tx, id).await?;
    log(&mut tx, &app, &caller, "model_route.delete", &row).await?;
    tx.commit().await?;
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}

async fn log(tx: &mut Tx, app: &App, caller: &Caller, action: &str, row: &RouteRow) -> ApiResult<()> {
    let detail = json!({
        "pattern": row.pattern, "platform": row.platform, "account_type": row.account_type,
        "position": row.position, "enabled": row.enabled,
    });
    let entry = AuditEntry {
        actor: Some(caller.user),
        action,
        target_kind: "model_route",
        target_id: Some(row.id.to_string()),
        detail,
        at: app.clock.now(),
        address: caller.address,
    };
    Ok(audit::write(tx, &entry).await?)
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
