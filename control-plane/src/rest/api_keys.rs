//! /api/api-keys: what clients present to the data plane. Everyone has their own; whoever may read all sees those of
//! others too, and admins change them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::{
    clock::Millis,
    id::{KeyId, UserId},
    secret::{self, KeyHash},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cursor::{Page, PageParams},
    error::{ApiResult, Problem},
    etag::{IfMatch, Tagged},
    extract::{JsonBody, ListParams, OptionalJsonBody, PathId},
    search::Search,
};
use crate::{
    app::App,
    domain::{
        labels::{Metadata, Tags},
        name::Name,
        patch::Patch,
    },
    ops::Caller,
    store::{
        StoreError, Tx,
        api_keys::{self, ApiKey, KeyFilter},
        audit, changes,
        usage_queries::{self, Named},
        users,
    },
    words::key_status::KeyStatus,
};

/// Keys that one person may have.
const MAX_KEYS: i64 = 1000;
/// The end of the year 9999.
pub(super) const MAX_TIME: Millis = Millis(253_402_300_799_999);
/// What the audit log says of a new key.
const FIELDS: [&str; 5] = ["name", "enabled", "expires_at", "tags", "metadata"];
pub(super) const PREFIX_CHARACTERS: usize = 12;

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
    fn of(key: ApiKey, names: &HashMap<Vec<u8>, String>, now: Millis) -> Self {
        Self {
            id: key.id,
            user_id: key.user,
            user_name: names.get(key.user.to_bytes().as_slice()).cloned(),
            name: key.name,
            prefix: key.prefix,
            status: KeyStatus::of(key.enabled, key.expires_at, now),
            enabled: key.enabled,
            expires_at: key.expires_at,
            tags: key.tags,
            metadata: key.metadata,
            created_at: key.created_at,
            updated_at: key.updated_at,
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

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewKey {
    #[schema(value_type = String)]
    name: Name,
    /// Milliseconds since 1970. Left out or null: does not expire.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Millis>,
    /// Left out: true.
    enabled: Option<bool>,
    /// What its usage is counted under: at most 16, of 1–64 characters each. Left out: none.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    tags: Tags,
    /// Goes into the records of its requests as it is: at most 16 pairs. Left out: none.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    metadata: Metadata,
    /// The owner, where an admin makes a key for someone else. Left out: the caller.
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
}

/// What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeyChange {
    #[schema(value_type = Option<String>)]
    name: Option<Name>,
    enabled: Option<bool>,
    /// Milliseconds since 1970; a time in the past ends the key. Null: does not expire.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    expires_at: Patch<Millis>,
    /// All of them: at most 16, of 1–64 characters each.
    #[schema(value_type = Option<Vec<String>>)]
    tags: Option<Tags>,
    /// All of it: at most 16 pairs.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    metadata: Option<Metadata>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct KeyToggle {
    enabled: bool,
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
    let user = match query.user_id {
        Some(other) if other != caller.user && !caller.role.reads_all() => return Err(Problem::forbidden()),
        None if !caller.role.reads_all() => Some(caller.user),
        asked => asked,
    };
    let now = app.clock.now();
    let status = query.status.map(|status| (status, now));
    let filter = KeyFilter { user, status, search: query.search.into_text() };
    let after = page.after()?.map(KeyId::from_bytes);
    let mut tx = app.store.read().await?;
    let mut rows = api_keys::list(&mut tx, &filter, after, page.fetch()).await?;
    let next_cursor = page.cut(&mut rows, |key| key.id.to_bytes());
    let names = owners(&mut tx, &rows).await?;
    tx.commit().await?;
    let api_keys = rows.into_iter().map(|key| KeyBody::of(key, &names, now)).collect();
    Ok(Json(KeyList { api_keys, next_cursor }))
}

/// The names of the keys' owners, by id.
async fn owners(tx: &mut Tx, keys: &[ApiKey]) -> Result<HashMap<Vec<u8>, String>, StoreError> {
    let ids: BTreeSet<_> = keys.iter().map(|key| key.user.to_bytes().to_vec()).collect();
    usage_queries::names(tx, Named::Users, &Vec::from_iter(ids)).await
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
    let now = app.clock.now();
    let owner = new.user_id.unwrap_or(caller.user);
    if owner != caller.user && !caller.role.manages_users() {
        return Err(Problem::forbidden());
    }
    if new.expires_at.is_some_and(|at| at <= now || at > MAX_TIME) {
        return Err(Problem::invalid("expires_at", "must be a time to come, in milliseconds since 1970"));
    }
    let secret = secret::new_api_key().map_err(|_| StoreError::Random)?;
    let key = ApiKey {
        id: KeyId::new(now),
        user: owner,
        name: new.name.into_string(),
        hash: KeyHash::of(secret.expose().as_bytes()),
        prefix: secret.expose().chars().take(PREFIX_CHARACTERS).collect(),
        enabled: new.enabled.unwrap_or(true),
        expires_at: new.expires_at,
        tags: new.tags.into_vec(),
        metadata: new.metadata.into_map(),
        created_at: now,
        updated_at: now,
        revision: 1,
    };
    let body = insert(&app, &caller, key, now).await?;
    let body = NewKeyBody { body, key: secret.expose().to_owned() };
    Ok((StatusCode::CREATED, Tagged { revision: 1, body }))
}

async fn insert(app: &App, caller: &Caller, key: ApiKey, now: Millis) -> ApiResult<KeyBody> {
    let mut tx = app.store.begin().await?;
    changes::lock(&mut tx).await?;
    if users::get_latest(&mut tx, key.user).await?.is_none() {
        return Err(Problem::invalid("user_id", "there is no such user"));
    }
    if api_keys::count_of_user(&mut tx, key.user).await? >= MAX_KEYS {
        let detail = format!("a person may have {MAX_KEYS} keys; delete some first");
        return Err(Problem::conflict("too_many_keys", detail));
    }
    api_keys::insert(&mut tx, &key).await?;
    write_audit(&mut tx, caller, "api_key.create", &key, &FIELDS, now).await?;
    let body = body(&mut tx, key, now).await?;
    tx.commit().await?;
    app.changed();
    Ok(body)
}

async fn body(tx: &mut Tx, key: ApiKey, now: Millis) -> Result<KeyBody, StoreError> {
    let names = owners(tx, std::slice::from_ref(&key)).await?;
    Ok(KeyBody::of(key, &names, now))
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
    let mut tx = app.store.read().await?;
    let key = api_keys::get(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    if key.user != caller.user && !caller.role.reads_all() {
        return Err(Problem::not_found());
    }
    let revision = key.revision;
    let body = body(&mut tx, key, app.clock.now()).await?;
    tx.commit().await?;
    Ok(Tagged { revision, body })
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
    if_match: IfMatch,
    JsonBody(change): JsonBody<KeyChange>,
) -> ApiResult<Tagged<KeyBody>> {
    if matches!(change.expires_at, Patch::Set(at) if at.0 < 0 || at > MAX_TIME) {
        return Err(Problem::invalid("expires_at", "must be milliseconds since 1970"));
    }
    let fields = [
        ("name", change.name.is_some()),
        ("enabled", change.enabled.is_some()),
        ("expires_at", !change.expires_at.is_keep()),
        ("tags", change.tags.is_some()),
        ("metadata", change.metadata.is_some()),
    ];
    let fields: Vec<_> = fields.into_iter().filter_map(|(name, given)| given.then_some(name)).collect();
    update(&app, &caller, id, if_match, &fields, |key| {
        if let Some(name) = change.name {
            key.name = name.into_string();
        }
        key.enabled = change.enabled.unwrap_or(key.enabled);
        key.expires_at = change.expires_at.over_optional(key.expires_at);
        if let Some(tags) = change.tags {
            key.tags = tags.into_vec();
        }
        if let Some(metadata) = change.metadata {
            key.metadata = metadata.into_map();
        }
    })
    .await
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
    if_match: IfMatch,
    OptionalJsonBody(toggle): OptionalJsonBody<KeyToggle>,
) -> ApiResult<Tagged<KeyBody>> {
    update(&app, &caller, id, if_match, &["enabled"], |key| {
        key.enabled = toggle.map_or(!key.enabled, |toggle| toggle.enabled);
    })
    .await
}

async fn update(
    app: &App,
    caller: &Caller,
    id: KeyId,
    if_match: IfMatch,
    fields: &[&str],
    change: impl FnOnce(&mut ApiKey),
) -> ApiResult<Tagged<KeyBody>> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let mut key = writable(&mut tx, caller, id).await?;
    if_match.holds_for(key.revision)?;
    change(&mut key);
    key.updated_at = now;
    key.revision = api_keys::update(&mut tx, &key, if_match.0).await?;
    write_audit(&mut tx, caller, "api_key.update", &key, fields, now).await?;
    let revision = key.revision;
    let body = body(&mut tx, key, now).await?;
    tx.commit().await?;
    app.changed();
    Ok(Tagged { revision, body })
}

/// Deletes a key. What it used stays in the ledger.
#[utoipa::path(delete, path = "/api/api-keys/{id}", tag = "api-keys", params(("id" = String, Path)), responses(
    (status = NO_CONTENT),
    (status = NOT_FOUND, description = "Also for a key that is not yours"),
))]
async fn delete(State(app): State<App>, caller: Caller, PathId(id): PathId<KeyId>) -> ApiResult<StatusCode> {
    let mut tx = app.store.begin().await?;
    let key = writable(&mut tx, &caller, id).await?;
    api_keys::delete(&mut tx, id).await?;
    write_audit(&mut tx, &caller, "api_key.delete", &key, &[], app.clock.now()).await?;
    tx.commit().await?;
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}

/// The key, where the caller may change it: 403 for who may only see it, 404 for who may not even that.
async fn writable(tx: &mut Tx, caller: &Caller, id: KeyId) -> ApiResult<ApiKey> {
    let key = api_keys::get(tx, id).await?.ok_or(StoreError::NotFound)?;
    if key.user == caller.user || caller.role.manages_users() {
        return Ok(key);
    }
    Err(if caller.role.reads_all() { Problem::forbidden() } else { Problem::not_found() })
}

async fn write_audit(
    tx: &mut Tx,
    caller: &Caller,
    action: &str,
    key: &ApiKey,
    fields: &[&str],
    now: Millis,
) -> Result<(), StoreError> {
    let detail = serde_json::json!({
        "name": key.name, "user_id": key.user, "prefix": key.prefix, "enabled": key.enabled, "fields": fields,
    });
    audit::write(tx, &caller.audit(action, "api_key", key.id, detail, now)).await
}
