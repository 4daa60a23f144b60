//! Upstream accounts. Credentials go in and never come out.

mod view;

use axum::{Json, extract::State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::{
    account::AccountType,
    id::{AccountId, GroupId},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::view::{AccountView, tagged};
use super::{
    cursor::{Page, PageParams},
    error::ApiResult,
    etag::{IfMatch, Tagged},
    extract::{JsonBody, ListParams, PathId},
    search::Search,
};
use crate::{
    app::App,
    domain::account::{AccountInput, Status},
    ops::{
        Caller,
        accounts::{self as ops, AccountFilter},
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

#[derive(Debug, Serialize, ToSchema)]
struct AccountList {
    accounts: Vec<AccountView>,
    /// Null: this is the last page.
    next_cursor: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccountQuery {
    #[serde(rename = "type")]
    #[param(value_type = Option<String>)]
    kind: Option<AccountType>,
    status: Option<Status>,
    /// Id of a group: only its members.
    #[param(value_type = Option<String>)]
    group: Option<GroupId>,
    enabled: Option<bool>,
    /// Part of the name or the description, in any case.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    search: Search,
}

/// Accounts, the oldest first.
#[utoipa::path(get, path = "/api/admin/accounts", tag = "accounts", params(AccountQuery, PageParams), responses((status = OK, body = AccountList)))]
async fn list(
    State(app): State<App>,
    ListParams(query): ListParams<AccountQuery>,
    page: Page,
) -> ApiResult<Json<AccountList>> {
    let filter = AccountFilter {
        account_type: query.kind.map(|kind| kind.as_str().to_owned()),
        valid: query.status.map(|status| status == Status::Valid),
        group: query.group,
        enabled: query.enabled,
        search: query.search.into_text(),
    };
    let after = page.after::<16>()?.map(AccountId::from_bytes);
    let mut listed = ops::list(&app, &filter, after, page.fetch()).await?;
    let next_cursor = page.cut(&mut listed, |listed| listed.id.to_bytes());
    let accounts = listed.into_iter().filter_map(|listed| listed.known).map(AccountView::from).collect();
    Ok(Json(AccountList { accounts, next_cursor }))
}

/// A new account.
#[utoipa::path(post, path = "/api/admin/accounts", tag = "accounts", request_body = AccountInput, responses((status = CREATED, body = AccountView)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    JsonBody(input): JsonBody<AccountInput>,
) -> ApiResult<(StatusCode, Tagged<AccountView>)> {
    Ok((StatusCode::CREATED, tagged(ops::create(&app, &caller, input).await?)))
}

/// One account.
#[utoipa::path(get, path = "/api/admin/accounts/{id}", tag = "accounts", params(("id" = String, Path)), responses((status = OK, body = AccountView)))]
async fn get(State(app): State<App>, PathId(id): PathId<AccountId>) -> ApiResult<Tagged<AccountView>> {
    Ok(tagged(ops::get(&app, id).await?))
}

/// Changes an account: absent fields keep their values, credentials among them. These have to be given again where
/// `base_url` leads to another host, scheme or port.
#[utoipa::path(put, path = "/api/admin/accounts/{id}", tag = "accounts", params(("id" = String, Path), ("If-Match" = String, Header)), request_body = AccountInput, responses((status = OK, body = AccountView)))]
async fn update(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<AccountId>,
    IfMatch(revision): IfMatch,
    JsonBody(input): JsonBody<AccountInput>,
) -> ApiResult<Tagged<AccountView>> {
    Ok(tagged(ops::update(&app, &caller, id, revision, input).await?))
}

/// Deletes an account. Its records stay.
#[utoipa::path(delete, path = "/api/admin/accounts/{id}", tag = "accounts", params(("id" = String, Path)), responses((status = NO_CONTENT)))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<AccountId>,
) -> ApiResult<StatusCode> {
    ops::delete(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
