//! /api/profile: what people see and change of themselves.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::{clock::Millis, id::UserId, secret::Secret};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    auth,
    error::{ApiResult, Problem},
    etag::{IfMatch, Tagged},
    extract::JsonBody,
};
use crate::{
    app::App,
    domain::{password::Password, patch::Patch, user::Language},
    ops::Caller,
    store::{
        StoreError, audit, sessions,
        throttle::{self, Attempt, Purpose},
        users::{self, User},
    },
    words::role::Role,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get, put)).routes(routes!(put_password))
}

/// A person, as they see themselves.
#[derive(Serialize, ToSchema)]
pub(super) struct Profile {
    #[schema(value_type = String)]
    id: UserId,
    name: String,
    role: Role,
    /// A language tag. Null: as the browser has it.
    language: Option<String>,
    #[schema(value_type = i64)]
    created_at: Millis,
}

impl Profile {
    pub(super) fn of(user: &User) -> Self {
        Self {
            id: user.id,
            name: user.name.clone(),
            role: user.role,
            language: user.language.clone(),
            created_at: user.created_at,
        }
    }
}

/// What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ProfileChange {
    /// A language tag such as `en` or `zh-CN`. Null: as the browser has it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    language: Patch<Language>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PasswordChange {
    #[schema(value_type = String, format = Password)]
    current_password: Secret,
    #[schema(value_type = String, format = Password)]
    new_password: Password,
}

/// Your own profile.
#[utoipa::path(get, path = "/api/profile", tag = "profile", responses((status = OK, body = Profile)))]
async fn get(State(app): State<App>, caller: Caller) -> ApiResult<Tagged<Profile>> {
    let mut tx = app.store.read().await?;
    let user = users::get(&mut tx, caller.user).await?.ok_or(StoreError::NotFound)?;
    tx.commit().await?;
    Ok(Tagged { revision: user.revision, body: Profile::of(&user) })
}

/// Changes your own profile.
#[utoipa::path(put, path = "/api/profile", tag = "profile", params(("If-Match" = String, Header)), request_body = ProfileChange, responses(
    (status = OK, body = Profile),
    (status = PRECONDITION_FAILED, description = "`stale_revision`"),
))]
async fn put(
    State(app): State<App>,
    caller: Caller,
    if_match: IfMatch,
    JsonBody(change): JsonBody<ProfileChange>,
) -> ApiResult<Tagged<Profile>> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let mut user = users::get(&mut tx, caller.user).await?.ok_or(StoreError::NotFound)?;
    if_match.holds_for(user.revision)?;
    user.language = Language::patched(user.language, change.language);
    user.updated_at = now;
    let revision = users::update(&mut tx, &user, if_match.0).await?;
    let detail = serde_json::json!({ "fields": ["language"] });
    audit::write(&mut tx, &caller.audit("profile.update", "user", user.id, detail, now)).await?;
    tx.commit().await?;
    app.changed();
    Ok(Tagged { revision, body: Profile::of(&user) })
}

/// Changes your own password, and ends all your logins but this one.
#[utoipa::path(put, path = "/api/profile/password", tag = "profile",
    params(("If-Match" = String, Header, description = "The profile's ETag")), request_body = PasswordChange, responses(
    (status = OK, body = Profile),
    (status = UNPROCESSABLE_ENTITY, description = "The current password is wrong, or the new one too short"),
    (status = PRECONDITION_FAILED, description = "`stale_revision`"),
    (status = TOO_MANY_REQUESTS, description = "`too_many_attempts`, with Retry-After"),
))]
async fn put_password(
    State(app): State<App>,
    caller: Caller,
    if_match: IfMatch,
    JsonBody(change): JsonBody<PasswordChange>,
) -> ApiResult<Tagged<Profile>> {
    let name = caller.user.to_string();
    let mut tx = app.store.read().await?;
    let mut user = users::get(&mut tx, caller.user).await?.ok_or(StoreError::NotFound)?;
    tx.commit().await?;
    if_match.holds_for(user.revision)?;
    let receipt =
        auth::admit(&app, &Attempt { purpose: Purpose::PasswordChange, name: &name, address: None }).await?;
    // A wrong one is 422: 401 would tell clients that the login has ended.
    if !auth::check(&app, &receipt, &change.current_password, Some(&user.password_hash)).await? {
        return Err(Problem::invalid("current_password", "it is not your password"));
    }
    user.password_hash = app.passwords.hash(&change.new_password).await?;
    let now = app.clock.now();
    user.updated_at = now;
    let mut tx = app.store.begin().await?;
    let revision = users::update(&mut tx, &user, if_match.0).await?;
    sessions::delete_of_user(&mut tx, user.id, Some(caller.session)).await?;
    throttle::succeeded(&mut tx, &receipt, now).await?;
    let detail = serde_json::json!({ "fields": ["password"] });
    audit::write(&mut tx, &caller.audit("profile.password", "user", user.id, detail, now)).await?;
    tx.commit().await?;
    app.changed();
    Ok(Tagged { revision, body: Profile::of(&user) })
}
