//! /api/auth: signing in and out. The refresh token travels in a cookie, which no script can read.

use axum::{
    Json,
    extract::State,
    response::{AppendHeaders, IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    auth_layer::bearer,
    cookies,
    cross_site::OwnSite,
    error::{ApiResult, Problem},
    extract::JsonBody,
    forwarded::Ends,
    profile::Profile,
    sessions::without_cookie,
};
use crate::{
    app::App,
    domain::{agent, password::LoginRequest, user::RegisterRequest},
    ops::{
        sessions::{self as ops, Client, SignedIn},
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

#[derive(Serialize, ToSchema)]
struct TokenResponse {
    /// To be sent as `Authorization: Bearer`.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds that the access token is good for.
    expires_in: u64,
    user: Profile,
}

/// Signs in.
///
/// The refresh token comes as the cookie `switchyard_refresh`. A second cookie, `switchyard_browser`, lets this browser
/// sign in again however much others guess the password.
#[utoipa::path(post, path = "/api/auth/login", tag = "auth", security(()), request_body = LoginRequest, responses(
    (status = OK, body = TokenResponse, headers(("Set-Cookie" = String))),
    (status = UNAUTHORIZED, description = "`invalid_credentials`"),
    (status = FORBIDDEN, description = "`user_disabled`, told only to who has the password; or `cross_site`"),
    (status = TOO_MANY_REQUESTS, description = "`too_many_attempts`, with Retry-After"),
))]
async fn login(
    State(app): State<App>,
    ends: Ends,
    _: OwnSite,
    headers: HeaderMap,
    JsonBody(request): JsonBody<LoginRequest>,
) -> ApiResult<Response> {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent::shown(agent.as_bytes()));
    let client = Client { address: ends.client, agent, browser: cookies::BROWSER.read(&headers) };
    respond(ops::sign_in(&app, &client, &request).await?, &ends)
}

/// Makes an own user with the role `user`, where the setting `registration_enabled` allows it.
#[utoipa::path(post, path = "/api/auth/register", tag = "auth", security(()), request_body = RegisterRequest, responses(
    (status = CREATED, body = Profile),
    (status = FORBIDDEN, description = "`registration_disabled` or `cross_site`"),
    (status = CONFLICT, description = "The name is taken"),
    (status = TOO_MANY_REQUESTS, description = "`too_many_attempts`, with Retry-After"),
))]
async fn register(
    State(app): State<App>,
    ends: Ends,
    _: OwnSite,
    JsonBody(request): JsonBody<RegisterRequest>,
) -> ApiResult<(StatusCode, Json<Profile>)> {
    let user = users::register(&app, ends.client, request).await?;
    Ok((StatusCode::CREATED, Json(Profile::of(&user))))
}

/// Gives a new access token, and a new refresh token for the old one: both are the cookie `switchyard_refresh`.
///
/// A refresh made again within `--refresh-grace`, while the new refresh token has not been used, gives the same one.
#[utoipa::path(post, path = "/api/auth/refresh", tag = "auth", security(()),
    params(("switchyard_refresh" = Option<String>, Cookie)), responses(
    (status = OK, body = TokenResponse, headers(("Set-Cookie" = String))),
    (status = UNAUTHORIZED, description = "`refresh_invalid`; or `refresh_reused`, which ended the login"),
    (status = FORBIDDEN, description = "`cross_site`"),
))]
async fn refresh(State(app): State<App>, ends: Ends, _: OwnSite, headers: HeaderMap) -> ApiResult<Response> {
    let token = cookies::REFRESH.read(&headers);
    respond(ops::refresh(&app, ends.client, token.as_ref()).await?, &ends)
}

/// Ends the login of the cookie `switchyard_refresh`, and that of the access token where one is sent that is good.
///
/// There need not be any: who is not signed in is signed out.
#[utoipa::path(post, path = "/api/auth/logout", tag = "auth", security((), ("bearer" = [])),
    params(("switchyard_refresh" = Option<String>, Cookie)), responses(
    (status = NO_CONTENT, headers(("Set-Cookie" = String))),
    (status = FORBIDDEN, description = "`cross_site`"),
))]
async fn logout(State(app): State<App>, ends: Ends, _: OwnSite, headers: HeaderMap) -> ApiResult<Response> {
    let token = cookies::REFRESH.read(&headers);
    let done = ops::sign_out(&app, ends.client, bearer(&headers), token.as_ref()).await;
    let done = done.map(|()| StatusCode::NO_CONTENT).map_err(Problem::from);
    // Where the database is away, the browser is signed out at least.
    Ok((without_cookie(&ends)?, done).into_response())
}

fn respond(signed_in: SignedIn, ends: &Ends) -> ApiResult<Response> {
    let refresh = &signed_in.refresh;
    let mut cookies = vec![cookies::REFRESH.set(&refresh.secret, refresh.lifetime, ends.over_tls)?];
    if let Some(mark) = &signed_in.browser {
        cookies.push(cookies::BROWSER.set(&mark.secret, mark.lifetime, ends.over_tls)?);
    }
    let cookies = cookies.into_iter().map(|cookie: HeaderValue| (header::SET_COOKIE, cookie));
    let body = TokenResponse {
        access_token: signed_in.access.secret.expose().to_owned(),
        token_type: "Bearer",
        expires_in: signed_in.access.lifetime.as_secs(),
        user: Profile::of(&signed_in.user),
    };
    Ok((AppendHeaders(cookies), Json(body)).into_response())
}
