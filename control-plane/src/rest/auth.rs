//! /api/auth: signing in and out.
//!
//! A login gives a short access token and a refresh token. The refresh token counts once: a refresh puts another in
//! its place, see [`crate::domain::refresh`], and one that comes again later ends the login, for then two have it.

use axum::{Json, extract::State};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use shared::{
    clock::Millis,
    id::{SessionId, UserId},
    secret::Secret,
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    auth_layer::ClientAddress,
    error::{ApiResult, Problem},
    extract::JsonBody,
    profile::Profile,
};
use crate::{
    app::App,
    domain::tokens::AccessToken,
    domain::{
        password::{Password, PasswordError},
        refresh::{RefreshToken, Refreshed},
        user::{PriceRate, UserName},
    },
    ops::Caller,
    store::{
        Tx,
        audit::{self, AuditEntry},
        sessions::{self, Session},
        settings,
        throttle::{self, Admission, Attempt, Purpose, Receipt},
        users::{self, User},
    },
    words::role::Role,
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
struct LoginRequest {
    username: String,
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RegisterRequest {
    #[schema(value_type = String)]
    username: UserName,
    #[schema(value_type = String, format = Password)]
    password: Password,
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
    let attempt = Attempt { purpose: Purpose::Login, name: &request.username, address: address.0 };
    let receipt = admit(&app, &attempt).await?;
    let mut tx = app.store.read().await?;
    let user = users::by_name(&mut tx, &request.username).await?;
    tx.commit().await?;
    let hash = user.as_ref().map(|user| &user.password_hash);
    let right = check(&app, &receipt, &request.password, hash).await?;
    let Some(user) = user.filter(|_| right) else {
        return Err(Problem::unauthorized("invalid_credentials", "the name or the password is wrong"));
    };
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    throttle::succeeded(&mut tx, &receipt, now).await?;
    // The password or the person may have changed while the hash was computed.
    let latest = users::get_latest(&mut tx, user.id).await?;
    let Some(user) = latest.filter(|latest| latest.password_hash == user.password_hash) else {
        return Err(Problem::unauthorized("invalid_credentials", "the name or the password is wrong"));
    };
    if !user.enabled {
        tx.commit().await?;
        return Err(Problem::new(StatusCode::FORBIDDEN, "user_disabled", "an admin has disabled this user"));
    }
    let (session, token) = new_session(&app, user.id, now)?;
    sessions::insert(&mut tx, &session).await?;
    let caller = Caller { user: user.id, role: user.role, session: session.id, address: address.0 };
    let detail = serde_json::json!({});
    audit::write(&mut tx, &caller.audit("auth.login", "user", user.id, detail, now)).await?;
    tx.commit().await?;
    respond(&app, &user, &token, now).map(Json)
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
    let mut tx = app.store.read().await?;
    let (settings, _) = settings::load(&mut tx).await?;
    tx.commit().await?;
    if !settings.registration_enabled {
        let detail = "an admin makes users here; registration is off";
        return Err(Problem::new(StatusCode::FORBIDDEN, "registration_disabled", detail));
    }
    admit(&app, &Attempt { purpose: Purpose::Registration, name: "", address: address.0 }).await?;
    let password_hash = app.passwords.hash(&request.password).await?;
    let now = app.clock.now();
    let user = User {
        id: UserId::new(now),
        name: request.username.into_string(),
        password_hash,
        role: Role::User,
        enabled: true,
        price_rate: PriceRate::default().0,
        language: None,
        created_at: now,
        updated_at: now,
        revision: 1,
    };
    let mut tx = app.store.begin().await?;
    users::insert(&mut tx, &user).await?;
    let entry = AuditEntry {
        actor: None,
        action: "user.register",
        target_kind: "user",
        target_id: Some(user.id.to_string()),
        detail: serde_json::json!({ "name": user.name }),
        at: now,
        address: address.0,
    };
    audit::write(&mut tx, &entry).await?;
    tx.commit().await?;
    app.changed();
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
    let invalid = || Problem::unauthorized("refresh_invalid", "sign in again");
    let token = RefreshToken::parse(&request.refresh_token).ok_or_else(invalid)?;
    let id = token.session;
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let session =
        sessions::get(&mut tx, id).await?.filter(|session| session.expires_at > now).ok_or_else(invalid)?;
    let user = users::get(&mut tx, session.user).await?.filter(|user| user.enabled).ok_or_else(invalid)?;
    match app.refresh_tokens.refresh(&mut tx, &token, now).await? {
        Refreshed::Successor(token) => {
            tx.commit().await?;
            respond(&app, &user, &token, now).map(Json)
        }
        Refreshed::Unknown => Err(invalid()),
        Refreshed::Reused => {
            sessions::delete(&mut tx, id).await?;
            let caller = Caller { user: user.id, role: user.role, session: id, address: address.0 };
            let detail = serde_json::json!({ "reason": "refresh_reused" });
            audit::write(&mut tx, &caller.audit("auth.revoke", "user", user.id, detail, now)).await?;
            tx.commit().await?;
            let detail = "this refresh token was used before, so the login was ended; sign in again";
            Err(Problem::unauthorized("refresh_reused", detail))
        }
    }
}

/// Ends this login.
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", responses((status = NO_CONTENT)))]
async fn logout(State(app): State<App>, caller: Caller) -> ApiResult<StatusCode> {
    let mut tx = app.store.begin().await?;
    sessions::delete(&mut tx, caller.session).await?;
    let detail = serde_json::json!({});
    audit::write(&mut tx, &caller.audit("auth.logout", "user", caller.user, detail, app.clock.now())).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Counts the attempt before anything is looked at, in a transaction of its own.
pub(super) async fn admit(app: &App, attempt: &Attempt<'_>) -> ApiResult<Receipt> {
    let mut tx = app.store.begin().await?;
    match throttle::admit(&mut tx, attempt, app.clock.now()).await? {
        Admission::Admitted(receipt) => {
            tx.commit().await?;
            Ok(receipt)
        }
        Admission::Wait(wait) => {
            tx.rollback().await?;
            Err(Problem::too_many_requests("too_many_attempts", "too many attempts; wait a little", wait))
        }
    }
}

/// Whether the password is right. An attempt whose password could not be looked at is not counted.
pub(super) async fn check(
    app: &App,
    receipt: &Receipt,
    password: &Secret,
    hash: Option<&Secret>,
) -> ApiResult<bool> {
    match app.passwords.verify(password, hash).await {
        Ok(right) => Ok(right),
        Err(error) => {
            let mut tx: Tx = app.store.begin().await?;
            throttle::withdrawn(&mut tx, receipt).await?;
            tx.commit().await?;
            Err(error.into())
        }
    }
}

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => {
                Self::unavailable("busy", "too many people sign in at the moment; try again")
            }
            PasswordError::Failed(context) => Self::internal(context),
        }
    }
}

fn new_session(app: &App, user: UserId, now: Millis) -> ApiResult<(Session, RefreshToken)> {
    let id = SessionId::new(now);
    let token = app.refresh_tokens.first(id)?;
    let session = Session {
        id,
        user,
        refresh_hash: token.hash(),
        previous: None,
        created_at: now,
        last_used_at: now,
        expires_at: app.refresh_tokens.expiry(now),
    };
    Ok((session, token))
}

fn respond(app: &App, user: &User, refresh: &RefreshToken, now: Millis) -> ApiResult<TokenResponse> {
    let access = AccessToken { user: user.id, session: refresh.session };
    let access = app.tokens.issue(access, now).map_err(Problem::internal)?;
    Ok(TokenResponse {
        access_token: access.expose().to_owned(),
        token_type: "Bearer",
        expires_in: app.tokens.lifetime().as_secs(),
        refresh_token: refresh.text.expose().to_owned(),
        user: Profile::of(user),
    })
}
