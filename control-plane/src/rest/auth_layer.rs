//! Who is calling, and may they: one layer before every route, which reads the table in [`super::ROUTES`].
//!
//! The user and the login that a token names are looked up for each request, so that disabling, demoting, deleting
//! and logging out take effect with the next one. A route that the table does not list is refused.

use std::net::IpAddr;

use super::{
    Access,
    error::{ApiResult, Problem},
    forwarded::Ends,
};
use crate::{
    app::App,
    ops::{Caller, sessions},
};
use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, header, request::Parts};

/// The layer.
pub async fn authorize(State(app): State<App>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let ends = Ends::of(&parts, &app.settings.policy.trusted_proxies);
    let client = ends.client;
    parts.extensions.insert(ends);
    match check(&app, &parts, client).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                parts.extensions.insert(caller);
            }
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// `None` where anyone may.
async fn check(app: &App, parts: &Parts, client: Option<IpAddr>) -> ApiResult<Option<Caller>> {
    let path = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    // axum answers HEAD with the GET handler.
    let method = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    match super::access(method, path) {
        Some(Access::Public) => Ok(None),
        Some(Access::Least(least)) => {
            let caller = authenticate(app, &parts.headers, client).await?;
            if caller.role >= least { Ok(Some(caller)) } else { Err(Problem::forbidden()) }
        }
        None => Err(Problem::internal(format_args!("{method} {path} has no entry in the table of routes"))),
    }
}

async fn authenticate(app: &App, headers: &HeaderMap, client: Option<IpAddr>) -> ApiResult<Caller> {
    let jwt = bearer(headers).ok_or_else(|| Problem::unauthorized("not_signed_in", "sign in first"))?;
    Ok(sessions::authenticate(app, jwt, client).await?)
}

/// The access token of a request.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get()
            .copied()
            .ok_or_else(|| Problem::internal("a public route asked who is calling"))
    }
}
