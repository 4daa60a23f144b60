//! /api/admin/users: people, their roles and price rates.

use axum::{Json, extract::State, response::IntoResponse};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::{clock::Millis, id::UserId, money::Ppm};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cursor::{Page, PageParams},
    error::{ApiResult, Problem},
    etag::{IfMatch, Tagged},
    extract::{JsonBody, ListParams, PathId},
    search::Search,
};
use crate::{
    app::App,
    domain::{
        password::Password,
        patch::Patch,
        user::{Language, PriceRate, UserName},
    },
    ops::Caller,
    store::{
        StoreError, Tx, audit, changes, sessions,
        users::{self, User, UserFilter},
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

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    #[schema(value_type = String)]
    name: UserName,
    #[schema(value_type = String, format = Password)]
    password: Password,
    role: Role,
    /// Left out: true.
    enabled: Option<bool>,
    /// Left out: `"1"`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    price_rate: PriceRate,
    #[schema(value_type = Option<String>)]
    language: Option<Language>,
}

/// What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UserChange {
    #[schema(value_type = Option<String>)]
    name: Option<UserName>,
    /// Ends all the person's logins.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Password>,
    role: Option<Role>,
    enabled: Option<bool>,
    #[schema(value_type = Option<String>)]
    price_rate: Option<PriceRate>,
    /// Null: as the browser has it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    language: Patch<Language>,
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
    let mut tx = app.store.read().await?;
    let mut rows = users::list(&mut tx, &filter, after, page.fetch()).await?;
    tx.commit().await?;
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
) -> ApiResult<impl IntoResponse> {
    let password_hash = app.passwords.hash(&new.password).await?;
    let now = app.clock.now();
    let user = User {
        id: UserId::new(now),
        name: new.name.into_string(),
        password_hash,
        role: new.role,
        enabled: new.enabled.unwrap_or(true),
        price_rate: new.price_rate.0,
        language: new.language.map(Language::into_string),
        created_at: now,
        updated_at: now,
        revision: 1,
    };
    let mut tx = app.store.begin().await?;
    users::insert(&mut tx, &user).await?;
    let detail = serde_json::json!({ "name": user.name, "role": user.role, "enabled": user.enabled });
    audit::write(&mut tx, &caller.audit("user.create", "user", user.id, detail, now)).await?;
    tx.commit().await?;
    app.changed();
    Ok((StatusCode::CREATED, Tagged { revision: user.revision, body: UserBody::of(user, &caller) }))
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
    let mut tx = app.store.read().await?;
    let user = users::get(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    tx.commit().await?;
    Ok(Tagged { revision: user.revision, body: UserBody::of(user, &caller) })
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
    if_match: IfMatch,
    JsonBody(change): JsonBody<UserChange>,
) -> ApiResult<Tagged<UserBody>> {
    let password_hash = match &change.password {
        Some(password) => Some(app.passwords.hash(password).await?),
        None => None,
    };
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    changes::lock(&mut tx).await?;
    let before = users::get_latest(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    if_match.holds_for(before.revision)?;
    let fields = change.fields();
    let mut user = change.apply(before.clone());
    user.updated_at = now;
    if let Some(hash) = password_hash {
        user.password_hash = hash;
    }
    forbid_own(&caller, &before, &user)?;
    if before.enabled && before.role == Role::Admin && !(user.enabled && user.role == Role::Admin) {
        keep_an_admin(&mut tx, id).await?;
    }
    user.revision = users::update(&mut tx, &user, if_match.0).await?;
    if user.password_hash != before.password_hash || !user.enabled {
        sessions::delete_of_user(&mut tx, id, None).await?;
    }
    let detail = serde_json::json!({ "name": user.name, "fields": fields, "role": user.role, "enabled": user.enabled });
    audit::write(&mut tx, &caller.audit("user.update", "user", id, detail, now)).await?;
    tx.commit().await?;
    app.changed();
    Ok(Tagged { revision: user.revision, body: UserBody::of(user, &caller) })
}

impl UserChange {
    fn fields(&self) -> Vec<&'static str> {
        [
            ("name", self.name.is_some()),
            ("password", self.password.is_some()),
            ("role", self.role.is_some()),
            ("enabled", self.enabled.is_some()),
            ("price_rate", self.price_rate.is_some()),
            ("language", !self.language.is_keep()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect()
    }

    /// All but the password.
    fn apply(self, mut user: User) -> User {
        user.name = self.name.map_or(user.name, UserName::into_string);
        user.role = self.role.unwrap_or(user.role);
        user.enabled = self.enabled.unwrap_or(user.enabled);
        user.price_rate = self.price_rate.map_or(user.price_rate, |rate| rate.0);
        user.language = Language::patched(user.language, self.language);
        user
    }
}

fn forbid_own(caller: &Caller, before: &User, after: &User) -> ApiResult<()> {
    let grave = before.role != after.role
        || before.enabled != after.enabled
        || before.password_hash != after.password_hash;
    if before.id == caller.user && grave {
        let detail = "you can't change your own role or enabling; your password is changed in your profile";
        return Err(Problem::conflict("own_user", detail));
    }
    Ok(())
}

async fn keep_an_admin(tx: &mut Tx, leaving: UserId) -> ApiResult<()> {
    match users::other_admins(tx, leaving).await? {
        0 => Err(Problem::conflict("last_admin", "nobody else is an enabled admin")),
        _ => Ok(()),
    }
}

/// Deletes a person with their keys and logins. What they used stays in the ledger.
#[utoipa::path(delete, path = "/api/admin/users/{id}", tag = "users", params(("id" = String, Path)), responses(
    (status = NO_CONTENT),
    (status = NOT_FOUND),
    (status = CONFLICT, description = "`own_user` or `last_admin`"),
))]
async fn delete(State(app): State<App>, caller: Caller, PathId(id): PathId<UserId>) -> ApiResult<StatusCode> {
    if id == caller.user {
        return Err(Problem::conflict("own_user", "you can't delete yourself"));
    }
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    changes::lock(&mut tx).await?;
    let user = users::get_latest(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    if user.enabled && user.role == Role::Admin {
        keep_an_admin(&mut tx, id).await?;
    }
    users::delete(&mut tx, id).await?;
    let detail = serde_json::json!({ "name": user.name, "role": user.role });
    audit::write(&mut tx, &caller.audit("user.delete", "user", id, detail, now)).await?;
    tx.commit().await?;
    app.changed();
    Ok(StatusCode::NO_CONTENT)
}
