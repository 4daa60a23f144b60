//! /api/auth: signing in and out.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::secret::Secret;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{auth_layer::ClientAddress, error::ApiResult, extract::JsonBody, profile::Profile};
use crate::{
    app::App,
    domain::{password::LoginRequest, user::RegisterRequest},
    ops::{
        Caller,
        sessions::{self as ops, SignedIn},
        users,
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(register))
        .routes(routes!(refresh))
        .routes(routes!(logout))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RefreshRequest {
    #[schema(value_type = String)]
    refresh_token: Secret,
}

#[derive(Serialize, ToSchema)]
struct TokenResponse {
    /// To be sent as `Authorization: Bearer`.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds that the access token is good for.
    expires_in: u64,
    /// For one refresh. One whose answer was lost can be made again at once, and gives the same token.
    refresh_token: String,
    user: Profile,
}

/// Signs in.
#[utoipa::path(post, path = "/api/auth/login", tag = "auth", security(()), request_body = LoginRequest, responses(
    (status = OK, body = TokenResponse),
    (status = UNAUTHORIZED, description = "`invalid_credentials`"),
    (status = FORBIDDEN, description = "`user_disabled`, told only to who has the password"),
    (status = TOO_MANY_REQUESTS, description = "`too_many_attempts`, with Retry-After"),
))]
async fn login(
    State(app): State<App>,
    address: ClientAddress,
    JsonBody(request): JsonBody<LoginRequest>,
) -> ApiResult<Json<TokenResponse>> {
    Ok(Json(ops::sign_in(&app, address.0, &request).await?.into()))
}

/// Makes an own user with the role `user`, where the setting `registration_enabled` allows it.
#[utoipa::path(post, path = "/api/auth/register", tag = "auth", security(()), request_body = RegisterRequest, responses(
    (status = CREATED, body = Profile),
    (status = FORBIDDEN, description = "`registration_disabled`"),
    (status = CONFLICT, description = "The name is taken"),
    (status = TOO_MANY_REQUESTS, description = "`too_many_attempts`, with Retry-After"),
))]
async fn register(
    State(app): State<App>,
    address: ClientAddress,
    JsonBody(request): JsonBody<RegisterRequest>,
) -> ApiResult<(StatusCode, Json<Profile>)> {
    let user = users::register(&app, address.0, request).await?;
    Ok((StatusCode::CREATED, Json(Profile::of(&user))))
}

/// Gives a new access token and a new refresh token for the old one.
///
/// A refresh made again within `--refresh-grace`, while the new refresh token has not been used, gives the same one.
#[utoipa::path(post, path = "/api/auth/refresh", tag = "auth", security(()), request_body = RefreshRequest, responses(
    (status = OK, body = TokenResponse),
    (status = UNAUTHORIZED, description = "`refresh_invalid`; or `refresh_reused`, which ended the login"),
))]
async fn refresh(
    State(app): State<App>,
    address: ClientAddress,
    JsonBody(request): JsonBody<RefreshRequest>,
) -> ApiResult<Json<TokenResponse>> {
    Ok(Json(ops::refresh(&app, address.0, &request.refresh_token).await?.into()))
}

/// Ends this login.
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", responses((status = NO_CONTENT)))]
async fn logout(State(app): State<App>, caller: Caller) -> ApiResult<StatusCode> {
    ops::sign_out(&app, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<SignedIn> for TokenResponse {
    fn from(signed_in: SignedIn) -> Self {
        Self {
            access_token: signed_in.access.expose().to_owned(),
            token_type: "Bearer",
            expires_in: signed_in.access_lifetime.as_secs(),
            refresh_token: signed_in.refresh.text.expose().to_owned(),
            user: Profile::of(&signed_in.user),
        }
    }
}
