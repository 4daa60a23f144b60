//! Model mappings: another name for a model, for all accounts.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Serialize;
use shared::id::MappingId;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cursor::{Page, PageParams},
    error::ApiResult,
    etag::{IfMatch, Tagged},
    extract::{JsonBody, ListParams, PathId},
    search::SearchQuery,
};
use crate::{
    app::App,
    domain::model_route::MappingInput,
    ops::{
        Caller,
        model_mappings::{self as ops, MappingRow},
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

#[derive(Debug, Serialize, ToSchema)]
struct MappingView {
    #[schema(value_type = String)]
    id: MappingId,
    from: String,
    to: String,
    enabled: bool,
    description: String,
    created_at: i64,
    updated_at: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct MappingList {
    model_mappings: Vec<MappingView>,
    /// Null: this is the last page.
    next_cursor: Option<String>,
}

/// Mappings, the oldest first.
#[utoipa::path(get, path = "/api/admin/model-mappings", tag = "model mappings", params(SearchQuery, PageParams), responses((status = OK, body = MappingList)))]
async fn list(
    State(app): State<App>,
    ListParams(query): ListParams<SearchQuery>,
    page: Page,
) -> ApiResult<Json<MappingList>> {
    let after = page.after::<16>()?.map(MappingId::from_bytes);
    let mut rows = ops::list(&app, query.search.text(), after, page.fetch()).await?;
    let next_cursor = page.cut(&mut rows, |row| row.id.to_bytes());
    Ok(Json(MappingList { model_mappings: rows.into_iter().map(MappingView::from).collect(), next_cursor }))
}

/// A new mapping.
#[utoipa::path(post, path = "/api/admin/model-mappings", tag = "model mappings", request_body = MappingInput, responses((status = CREATED, body = MappingView)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    JsonBody(input): JsonBody<MappingInput>,
) -> ApiResult<(StatusCode, Tagged<MappingView>)> {
    Ok((StatusCode::CREATED, tagged(ops::create(&app, &caller, input).await?)))
}

/// One mapping.
#[utoipa::path(get, path = "/api/admin/model-mappings/{id}", tag = "model mappings", params(("id" = String, Path)), responses((status = OK, body = MappingView)))]
async fn get(State(app): State<App>, PathId(id): PathId<MappingId>) -> ApiResult<Tagged<MappingView>> {
    Ok(tagged(ops::get(&app, id).await?))
}

/// Changes a mapping: absent fields keep their values.
#[utoipa::path(put, path = "/api/admin/model-mappings/{id}", tag = "model mappings", params(("id" = String, Path), ("If-Match" = String, Header)), request_body = MappingInput, responses((status = OK, body = MappingView)))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<MappingId>,
    IfMatch(revision): IfMatch,
    JsonBody(input): JsonBody<MappingInput>,
) -> ApiResult<Tagged<MappingView>> {
    Ok(tagged(ops::update(&app, &caller, id, revision, input).await?))
}

/// Deletes a mapping.
#[utoipa::path(delete, path = "/api/admin/model-mappings/{id}", tag = "model mappings", params(("id" = String, Path)), responses((status = NO_CONTENT)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<MappingId>,
) -> ApiResult<StatusCode> {
    ops::delete(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn tagged(row: MappingRow) -> Tagged<MappingView> {
    Tagged { revision: row.revision, body: row.into() }
}

impl From<MappingRow> for MappingView {
    fn from(row: MappingRow) -> Self {
        Self {
            id: row.id,
            from: row.from_model,
            to: row.to_model,
            enabled: row.enabled,
            description: row.description,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
