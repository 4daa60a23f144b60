//! Account groups, with the accounts in them.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::Serialize;
use shared::id::{AccountId, GroupId};
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
    domain::account_group::GroupInput,
    ops::{
        Caller,
        account_groups::{self as ops, Group},
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

#[derive(Debug, Serialize, ToSchema)]
struct GroupView {
    #[schema(value_type = String)]
    id: GroupId,
    name: String,
    description: String,
    #[schema(value_type = Vec<String>)]
    account_ids: Vec<AccountId>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct GroupList {
    account_groups: Vec<GroupView>,
    /// Null: this is the last page.
    next_cursor: Option<String>,
}

/// Groups, the oldest first.
#[utoipa::path(get, path = "/api/admin/account-groups", tag = "account groups", params(SearchQuery, PageParams), responses((status = OK, body = GroupList)))]
async fn list(
    State(app): State<App>,
    ListParams(query): ListParams<SearchQuery>,
    page: Page,
) -> ApiResult<Json<GroupList>> {
    let after = page.after::<16>()?.map(GroupId::from_bytes);
    let mut groups = ops::list(&app, query.search.text(), after, page.fetch()).await?;
    let next_cursor = page.cut(&mut groups, |group| group.row.id.to_bytes());
    Ok(Json(GroupList { account_groups: groups.into_iter().map(GroupView::from).collect(), next_cursor }))
}

/// A new group.
#[utoipa::path(post, path = "/api/admin/account-groups", tag = "account groups", request_body = GroupInput, responses((status = CREATED, body = GroupView)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    JsonBody(input): JsonBody<GroupInput>,
) -> ApiResult<(StatusCode, Tagged<GroupView>)> {
    Ok((StatusCode::CREATED, tagged(ops::create(&app, &caller, input).await?)))
}

/// One group.
#[utoipa::path(get, path = "/api/admin/account-groups/{id}", tag = "account groups", params(("id" = String, Path)), responses((status = OK, body = GroupView)))]
async fn get(State(app): State<App>, PathId(id): PathId<GroupId>) -> ApiResult<Tagged<GroupView>> {
    Ok(tagged(ops::get(&app, id).await?))
}

/// Changes a group: absent fields keep their values.
#[utoipa::path(put, path = "/api/admin/account-groups/{id}", tag = "account groups", params(("id" = String, Path), ("If-Match" = String, Header)), request_body = GroupInput, responses((status = OK, body = GroupView)))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<GroupId>,
    IfMatch(revision): IfMatch,
    JsonBody(input): JsonBody<GroupInput>,
) -> ApiResult<Tagged<GroupView>> {
    Ok(tagged(ops::update(&app, &caller, id, revision, input).await?))
}

/// Deletes a group; its accounts stay.
#[utoipa::path(delete, path = "/api/admin/account-groups/{id}", tag = "account groups", params(("id" = String, Path)), responses((status = NO_CONTENT)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<GroupId>,
) -> ApiResult<StatusCode> {
    ops::delete(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn tagged(group: Group) -> Tagged<GroupView> {
    Tagged { revision: group.row.revision, body: group.into() }
}

impl From<Group> for GroupView {
    fn from(Group { row, members }: Group) -> Self {
        Self {
            id: row.id,
            name: row.name,
            description: row.description,
            account_ids: members,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
