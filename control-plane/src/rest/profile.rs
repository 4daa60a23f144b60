//! /api/profile: what people see and change of themselves.

use axum::extract::State;
use serde::Serialize;
use shared::{clock::Millis, id::UserId};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::ApiResult,
    etag::{IfMatch, Tagged},
    extract::JsonBody,
};
use crate::{
    app::App,
    domain::{password::PasswordChange, user::ProfileChange},
    ops::{Caller, profile as ops, users::User},
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

/// Your own profile.
#[utoipa::path(get, path = "/api/profile", tag = "profile", responses((status = OK, body = Profile)))]
async fn get(State(app): State<App>, caller: Caller) -> ApiResult<Tagged<Profile>> {
    Ok(tagged(&ops::get(&app, &caller).await?))
}

/// Changes your own profile.
#[utoipa::path(put, path = "/api/profile", tag = "profile", params(("If-Match" = String, Header)), request_body = ProfileChange, responses(
    (status = OK, body = Profile),
    (status = PRECONDITION_FAILED, description = "`stale_revision`"),
))]
async fn put(
    State(app): State<App>,
    caller: Caller,
    IfMatch(revision): IfMatch,
    JsonBody(change): JsonBody<ProfileChange>,
) -> ApiResult<Tagged<Profile>> {
    Ok(tagged(&ops::update(&app, &caller, revision, change).await?))
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
    IfMatch(revision): IfMatch,
    JsonBody(change): JsonBody<PasswordChange>,
) -> ApiResult<Tagged<Profile>> {
    Ok(tagged(&ops::change_password(&app, &caller, revision, change).await?))
}

fn tagged(user: &User) -> Tagged<Profile> {
    Tagged { revision: user.revision, body: Profile::of(user) }
}
