//! /api/admin/users: people, their roles and price rates.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::{clock::Millis, id::UserId, money::Ppm};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cursor::{Page, PageParams},
    error::ApiResult,
    etag::{IfMatch, Tagged},
    extract::{JsonBody, ListParams, PathId},
    search::Search,
};
use crate::{
    app::App,
    domain::user::{NewUser, UserChange},
    ops::{
        Caller,
        users::{self as ops, User, UserFilter},
    },
    words::role::Role,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, post)).routes(routes!(get, put, delete))
}

/// A person.
#[derive(Serialize, ToSchema)]
struct UserBody {
    #[schema(value_type = String)]
    id: UserId,
    name: String,
    role: Role,
    enabled: bool,
    /// What costs are multiplied with, as a decimal string. Only admins see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    price_rate: Option<Ppm>,
    /// A language tag. Null: as the browser has it.
    language: Option<String>,
    #[schema(value_type = i64)]
    created_at: Millis,
    #[schema(value_type = i64)]
    updated_at: Millis,
}

impl UserBody {
    fn of(user: User, caller: &Caller) -> Self {
        Self {
            id: user.id,
            name: user.name,
            role: user.role,
            enabled: user.enabled,
            price_rate: caller.role.manages_users().then_some(user.price_rate),
            language: user.language,
            created_at: user.created_at,
            updated_at: user.updated_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct UserList {
    users: Vec<UserBody>,
    /// Null: this was the last page.
    next_cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct UserQuery {
    /// Part of the name, in any case.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    search: Search,
    role: Option<Role>,
    enabled: Option<bool>,
}

/// People, in the order of their creation.
#[utoipa::path(get, path = "/api/admin/users", tag = "users", params(UserQuery, PageParams), responses((status = OK, body = UserList)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ListParams(query): ListParams<UserQuery>,
    page: Page,
) -> ApiResult<Json<UserList>> {
    let filter = UserFilter { role: query.role, enabled: query.enabled, search: query.search.into_text() };
    let after = page.after()?.map(UserId::from_bytes);
    let mut rows = ops::list(&app, &filter, after, page.fetch()).await?;
    let next_cursor = page.cut(&mut rows, |user| user.id.to_bytes());
    Ok(Json(UserList {
        users: rows.into_iter().map(|user| UserBody::of(user, &caller)).collect(),
        next_cursor,
    }))
}

/// Adds a person.
#[utoipa::path(post, path = "/api/admin/users", tag = "users", request_body = NewUser, responses(
    (status = CREATED, body = UserBody),
    (status = CONFLICT, description = "The name is taken"),
))]
async fn post(
    State(app): State<App>,
    caller: Caller,
    JsonBody(new): JsonBody<NewUser>,
) -> ApiResult<(StatusCode, Tagged<UserBody>)> {
    Ok((StatusCode::CREATED, tagged(ops::create(&app, &caller, new).await?, &caller)))
}

/// One person.
#[utoipa::path(get, path = "/api/admin/users/{id}", tag = "users", params(("id" = String, Path)), responses(
    (status = OK, body = UserBody),
    (status = NOT_FOUND),
))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<UserId>,
) -> ApiResult<Tagged<UserBody>> {
    Ok(tagged(ops::get(&app, id).await?, &caller))
}

/// Changes a person. Nobody changes their own role, password or enabling here, and the last admin stays one.
#[utoipa::path(put, path = "/api/admin/users/{id}", tag = "users", params(("id" = String, Path), ("If-Match" = String, Header)),
    request_body = UserChange, responses(
    (status = OK, body = UserBody),
    (status = NOT_FOUND),
    (status = CONFLICT, description = "The name is taken, `own_user` or `last_admin`"),
    (status = PRECONDITION_FAILED, description = "`stale_revision`"),
))]
async fn put(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<UserId>,
    IfMatch(revision): IfMatch,
    JsonBody(change): JsonBody<UserChange>,
) -> ApiResult<Tagged<UserBody>> {
    Ok(tagged(ops::update(&app, &caller, id, revision, change).await?, &caller))
}

/// Deletes a person with their keys and logins. What they used stays in the ledger.
#[utoipa::path(delete, path = "/api/admin/users/{id}", tag = "users", params(("id" = String, Path)), responses(
    (status = NO_CONTENT),
    (status = NOT_FOUND),
    (status = CONFLICT, description = "`own_user` or `last_admin`"),
))]
async fn delete(State(app): State<App>, caller: Caller, PathId(id): PathId<UserId>) -> ApiResult<StatusCode> {
    ops::delete(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn tagged(user: User, caller: &Caller) -> Tagged<UserBody> {
    Tagged { revision: user.revision, body: UserBody::of(user, caller) }
}
