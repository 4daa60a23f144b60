//! Logins: what people see of their own, and how they end.

use axum::{
    Json,
    extract::State,
    response::{AppendHeaders, IntoResponse},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use shared::{
    clock::Millis,
    id::{SessionId, UserId},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{cookies, error::ApiResult, extract::PathId, forwarded::Ends};
use crate::{
    app::App,
    ops::{
        Caller,
        sessions::{self as ops, Session},
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, delete_all))
        .routes(routes!(delete))
        .routes(routes!(delete_all_of_user))
}

/// A login of your own.
#[derive(Debug, Serialize, ToSchema)]
struct SessionView {
    #[schema(value_type = String)]
    id: SessionId,
    /// When you signed in.
    #[schema(value_type = i64)]
    created_at: Millis,
    #[schema(value_type = i64)]
    last_used_at: Millis,
    /// When it ends, unless it is used before.
    #[schema(value_type = i64)]
    expires_at: Millis,
    /// Where you signed in from. Null: it is not known.
    address: Option<String>,
    /// What you signed in with, as that called itself. Null: it did not.
    agent: Option<String>,
    /// Whether this request is made with it.
    current: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct SessionList {
    sessions: Vec<SessionView>,
}

/// Your own logins, the one used last first.
#[utoipa::path(get, path = "/api/profile/sessions", tag = "profile", responses((status = OK, body = SessionList)))]
async fn list(State(app): State<App>, caller: Caller) -> ApiResult<Json<SessionList>> {
    let sessions = ops::list(&app, &caller).await?.into_iter();
    let sessions = sessions.map(|session| SessionView::of(session, &caller)).collect();
    Ok(Json(SessionList { sessions }))
}

/// Ends all your logins, this one too.
#[utoipa::path(delete, path = "/api/profile/sessions", tag = "profile", responses((status = NO_CONTENT)))]
async fn delete_all(State(app): State<App>, caller: Caller, ends: Ends) -> ApiResult<impl IntoResponse> {
    ops::end_all(&app, &caller).await?;
    Ok((without_cookie(&ends)?, StatusCode::NO_CONTENT))
}

/// Ends one of your logins.
#[utoipa::path(delete, path = "/api/profile/sessions/{id}", tag = "profile", params(("id" = String, Path)), responses(
    (status = NO_CONTENT),
    (status = NOT_FOUND),
))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    ends: Ends,
    PathId(id): PathId<SessionId>,
) -> ApiResult<axum::response::Response> {
    ops::end(&app, &caller, id).await?;
    let is_own = id == caller.session;
    let cookie = if is_own { Some(without_cookie(&ends)?) } else { None };
    Ok((cookie, StatusCode::NO_CONTENT).into_response())
}

/// Ends all logins of a person.
#[utoipa::path(delete, path = "/api/admin/users/{id}/sessions", tag = "users", params(("id" = String, Path)), responses(
    (status = NO_CONTENT),
    (status = NOT_FOUND),
))]
async fn delete_all_of_user(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<UserId>,
) -> ApiResult<StatusCode> {
    ops::end_all_of_user(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the refresh token away from the browser.
pub(super) fn without_cookie(ends: &Ends) -> ApiResult<AppendHeaders<[(HeaderName, HeaderValue); 1]>> {
    Ok(AppendHeaders([(header::SET_COOKIE, cookies::REFRESH.clear(ends.over_tls)?)]))
}

impl SessionView {
    fn of(session: Session, caller: &Caller) -> Self {
        Self {
            id: session.id,
            created_at: session.created_at,
            last_used_at: session.last_used_at,
            expires_at: session.expires_at,
            address: session.address.map(|address| address.to_string()),
            agent: session.agent,
            current: session.id == caller.session,
        }
    }
}
