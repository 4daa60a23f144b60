//! /api/api-keys: what clients present to the data plane. Everyone has their own; whoever may read all sees those of
//! others too, and admins change them.

use std::collections::BTreeMap;

use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::{
    clock::Millis,
    id::{KeyId, UserId},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cursor::{Page, PageParams},
    error::ApiResult,
    etag::{IfMatch, Tagged},
    extract::{JsonBody, ListParams, OptionalJsonBody, PathId},
    search::Search,
};
use crate::{
    app::App,
    domain::api_key::{KeyChange, KeyToggle, NewKey},
    ops::{
        Caller,
        api_keys::{self as ops, Key, KeyFilter},
    },
    words::key_status::KeyStatus,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, post)).routes(routes!(get, put, delete)).routes(routes!(toggle))
}

/// A key, without what it is presented as.
#[derive(Serialize, ToSchema)]
struct KeyBody {
    #[schema(value_type = String)]
    id: KeyId,
    /// The owner.
    #[schema(value_type = String)]
    user_id: UserId,
    /// The owner's name. Null: the owner has just been deleted.
    user_name: Option<String>,
    name: String,
    /// The first 12 characters of the key.
    prefix: String,
    /// What comes of `enabled`, `expires_at` and the time.
    status: KeyStatus,
    enabled: bool,
    /// Null: does not expire.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Millis>,
    /// What its usage is counted under.
    tags: Vec<String>,
    /// Goes into the records of its requests as it is.
    metadata: BTreeMap<String, String>,
    #[schema(value_type = i64)]
    created_at: Millis,
    #[schema(value_type = i64)]
    updated_at: Millis,
}

impl KeyBody {
    fn of(Key { row, owner_name }: Key, now: Millis) -> Self {
        Self {
            id: row.id,
            user_id: row.user,
            user_name: owner_name,
            name: row.name,
            prefix: row.prefix,
            status: KeyStatus::of(row.enabled, row.expires_at, now),
            enabled: row.enabled,
            expires_at: row.expires_at,
            tags: row.tags,
            metadata: row.metadata,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct NewKeyBody {
    #[serde(flatten)]
    body: KeyBody,
    /// The key itself, shown this once.
    key: String,
}

#[derive(Serialize, ToSchema)]
struct KeyList {
    api_keys: Vec<KeyBody>,
    /// Null: this was the last page.
    next_cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct KeyQuery {
    /// Only keys of this person. Left out: all that the caller may see. Those with the role `user` see their own only.
    #[param(value_type = Option<String>)]
    user_id: Option<UserId>,
    status: Option<KeyStatus>,
    /// Part of the name or of the prefix, in any case.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    search: Search,
}

/// Keys, in the order of their creation.
#[utoipa::path(get, path = "/api/api-keys", tag = "api-keys", params(KeyQuery, PageParams), responses(
    (status = OK, body = KeyList),
    (status = FORBIDDEN, description = "The keys of someone else were asked for"),
))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ListParams(query): ListParams<KeyQuery>,
    page: Page,
) -> ApiResult<Json<KeyList>> {
    let now = app.clock.now();
    let status = query.status.map(|status| (status, now));
    let filter = KeyFilter { user: query.user_id, status, search: query.search.into_text() };
    let after = page.after()?.map(KeyId::from_bytes);
    let mut keys = ops::list(&app, &caller, filter, after, page.fetch()).await?;
    let next_cursor = page.cut(&mut keys, |key| key.row.id.to_bytes());
    let api_keys = keys.into_iter().map(|key| KeyBody::of(key, now)).collect();
    Ok(Json(KeyList { api_keys, next_cursor }))
}

/// Makes a key. The answer is the only one that shows it.
#[utoipa::path(post, path = "/api/api-keys", tag = "api-keys", request_body = NewKey, responses(
    (status = CREATED, body = NewKeyBody),
    (status = FORBIDDEN, description = "Only an admin makes keys for others"),
    (status = CONFLICT, description = "`too_many_keys`"),
))]
async fn post(
    State(app): State<App>,
    caller: Caller,
    JsonBody(new): JsonBody<NewKey>,
) -> ApiResult<impl IntoResponse> {
    let (key, secret) = ops::create(&app, &caller, new).await?;
    let Tagged { revision, body } = tagged(&app, key);
    let body = NewKeyBody { body, key: secret.expose().to_owned() };
    Ok((StatusCode::CREATED, Tagged { revision, body }))
}

/// One key.
#[utoipa::path(get, path = "/api/api-keys/{id}", tag = "api-keys", params(("id" = String, Path)), responses(
    (status = OK, body = KeyBody),
    (status = NOT_FOUND, description = "Also for a key that is not yours"),
))]
async fn get(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<KeyId>,
) -> ApiResult<Tagged<KeyBody>> {
    Ok(tagged(&app, ops::get(&app, &caller, id).await?))
}

/// Changes a key's name, expiry, enabling, tags or metadata.
#[utoipa::path(put, path = "/api/api-keys/{id}", tag = "api-keys", params(("id" = String, Path), ("If-Match" = String, Header)),
    request_body = KeyChange, responses(
    (status = OK, body = KeyBody),
    (status = NOT_FOUND, description = "Also for a key that is not yours"),
    (status = PRECONDITION_FAILED, description = "`stale_revision`"),
))]
async fn put(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<KeyId>,
    IfMatch(revision): IfMatch,
    JsonBody(change): JsonBody<KeyChange>,
) -> ApiResult<Tagged<KeyBody>> {
    Ok(tagged(&app, ops::update(&app, &caller, id, revision, change).await?))
}

/// Enables or disables a key: to what the body says, or to the other where there is no body.
#[utoipa::path(put, path = "/api/api-keys/{id}/toggle", tag = "api-keys", params(("id" = String, Path), ("If-Match" = String, Header)),
    request_body(content = Option<KeyToggle>), responses(
    (status = OK, body = KeyBody),
    (status = NOT_FOUND, description = "Also for a key that is not yours"),
    (status = PRECONDITION_FAILED, description = "`stale_revision`"),
))]
async fn toggle(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<KeyId>,
    IfMatch(revision): IfMatch,
    OptionalJsonBody(toggle): OptionalJsonBody<KeyToggle>,
) -> ApiResult<Tagged<KeyBody>> {
    Ok(tagged(&app, ops::toggle(&app, &caller, id, revision, toggle).await?))
}

/// Deletes a key. What it used stays in the ledger.
#[utoipa::path(delete, path = "/api/api-keys/{id}", tag = "api-keys", params(("id" = String, Path)), responses(
    (status = NO_CONTENT),
    (status = NOT_FOUND, description = "Also for a key that is not yours"),
))]
async fn delete(State(app): State<App>, caller: Caller, PathId(id): PathId<KeyId>) -> ApiResult<StatusCode> {
    ops::delete(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn tagged(app: &App, key: Key) -> Tagged<KeyBody> {
    Tagged { revision: key.row.revision, body: KeyBody::of(key, app.clock.now()) }
}
