//! The REST API: the table of contents.
//!
//! One file per endpoint group; each has its request and response types, its handlers with path and documentation on
//! them, and `routes()`. To add an endpoint: a handler in its group's `routes()`, and a line with its least role in
//! [`ROUTES`]; a new group has its line in [`api`] too. `control-plane/openapi.json` is then written anew by
//! `UPDATE_OPENAPI=1 cargo nextest run -p control-plane openapi`. The tests go through [`ROUTES`]: every role against
//! every route, If-Match on every PUT of a thing.
//!
//! A handler parses, calls [`crate::ops`] and renders; it has no way to the database of its own. Its least role is in
//! the table and nowhere else; what belongs to a person is checked in `ops`, and is 404 for others.

pub mod auth_layer;
pub mod cursor;
pub mod error;
pub mod etag;
pub mod extract;
pub mod forwarded;
pub mod openapi;

mod account_commands;
mod account_counts;
mod account_groups;
mod account_types;
mod accounts;
mod again;
mod api_keys;
mod audit;
mod auth;
mod cookies;
mod cross_site;
mod gateway;
mod incarnations;
mod model_mappings;
mod model_routes;
mod models;
mod nodes;
mod profile;
mod proxy_test;
mod refusals;
mod search;
mod sessions;
mod settings;
mod usage;
mod users;
mod write_limit;

#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::any,
};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};
use utoipa_axum::router::OpenApiRouter;

use self::write_limit::WriteLimit;
use crate::{app::App, words::role::Role};

/// How long a request may take, with all its waiting for the database and for nodes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Anyone, without a token.
    Public,
    /// Whoever is signed in and has this role or a higher one.
    Least(Role),
}

/// One line of [`ROUTES`].
#[derive(Debug, Clone)]
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub access: Access,
}

const fn route(method: Method, path: &'static str, access: Access) -> Route {
    Route { method, path, access }
}

const PUBLIC: Access = Access::Public;
const USER: Access = Access::Least(Role::User);
const VIEWER: Access = Access::Least(Role::Viewer);
const OPERATOR: Access = Access::Least(Role::Operator);
const ADMIN: Access = Access::Least(Role::Admin);

/// Every route, with who may use it.
pub const ROUTES: &[Route] = &[
    route(Method::GET, "/api/openapi.json", PUBLIC),
    // auth
    route(Method::POST, "/api/auth/login", PUBLIC),
    route(Method::POST, "/api/auth/register", PUBLIC),
    route(Method::POST, "/api/auth/refresh", PUBLIC),
    route(Method::POST, "/api/auth/logout", PUBLIC),
    // profile
    route(Method::GET, "/api/profile", USER),
    route(Method::PUT, "/api/profile", USER),
    route(Method::PUT, "/api/profile/password", USER),
    // sessions
    route(Method::GET, "/api/profile/sessions", USER),
    route(Method::DELETE, "/api/profile/sessions", USER),
    route(Method::DELETE, "/api/profile/sessions/{id}", USER),
    route(Method::DELETE, "/api/admin/users/{id}/sessions", ADMIN),
    // api_keys
    route(Method::GET, "/api/api-keys", USER),
    route(Method::POST, "/api/api-keys", USER),
    route(Method::GET, "/api/api-keys/{id}", USER),
    route(Method::PUT, "/api/api-keys/{id}", USER),
    route(Method::DELETE, "/api/api-keys/{id}", USER),
    route(Method::PUT, "/api/api-keys/{id}/toggle", USER),
    // gateway, proxy_test
    route(Method::GET, "/api/gateway", USER),
    route(Method::POST, "/api/proxy-test/{wire}", USER),
    // users
    route(Method::GET, "/api/admin/users", VIEWER),
    route(Method::POST, "/api/admin/users", ADMIN),
    route(Method::GET, "/api/admin/users/{id}", VIEWER),
    route(Method::PUT, "/api/admin/users/{id}", ADMIN),
    route(Method::DELETE, "/api/admin/users/{id}", ADMIN),
    // accounts
    route(Method::GET, "/api/admin/accounts/types", VIEWER),
    route(Method::GET, "/api/admin/accounts/counts", VIEWER),
    route(Method::GET, "/api/admin/accounts", VIEWER),
    route(Method::POST, "/api/admin/accounts", OPERATOR),
    route(Method::GET, "/api/admin/accounts/{id}", VIEWER),
    route(Method::PUT, "/api/admin/accounts/{id}", OPERATOR),
    route(Method::DELETE, "/api/admin/accounts/{id}", OPERATOR),
    route(Method::PUT, "/api/admin/accounts/{id}/status", OPERATOR),
    route(Method::POST, "/api/admin/accounts/{id}/test", OPERATOR),
    // account_groups
    route(Method::GET, "/api/admin/account-groups", VIEWER),
    route(Method::POST, "/api/admin/account-groups", OPERATOR),
    route(Method::GET, "/api/admin/account-groups/{id}", VIEWER),
    route(Method::PUT, "/api/admin/account-groups/{id}", OPERATOR),
    route(Method::DELETE, "/api/admin/account-groups/{id}", OPERATOR),
    // model_routes, model_mappings, models
    route(Method::GET, "/api/admin/model-routes", VIEWER),
    route(Method::POST, "/api/admin/model-routes", OPERATOR),
    route(Method::GET, "/api/admin/model-routes/{id}", VIEWER),
    route(Method::PUT, "/api/admin/model-routes/{id}", OPERATOR),
    route(Method::DELETE, "/api/admin/model-routes/{id}", OPERATOR),
    route(Method::GET, "/api/admin/model-mappings", VIEWER),
    route(Method::POST, "/api/admin/model-mappings", OPERATOR),
    route(Method::GET, "/api/admin/model-mappings/{id}", VIEWER),
    route(Method::PUT, "/api/admin/model-mappings/{id}", OPERATOR),
    route(Method::DELETE, "/api/admin/model-mappings/{id}", OPERATOR),
    route(Method::GET, "/api/admin/models", VIEWER),
    // nodes
    route(Method::GET, "/api/admin/nodes", VIEWER),
    route(Method::DELETE, "/api/admin/nodes/{node_id}", OPERATOR),
    route(Method::GET, "/api/admin/incarnations", VIEWER),
    route(Method::POST, "/api/admin/incarnations/{id}/close", OPERATOR),
    route(Method::GET, "/api/admin/usage/rejected", VIEWER),
    // usage
    route(Method::GET, "/api/usage/summary", USER),
    route(Method::GET, "/api/usage/daily", USER),
    route(Method::GET, "/api/usage/hourly", USER),
    route(Method::GET, "/api/usage/records", USER),
    route(Method::GET, "/api/admin/usage/summary", VIEWER),
    route(Method::GET, "/api/admin/usage/daily", VIEWER),
    route(Method::GET, "/api/admin/usage/hourly", VIEWER),
    route(Method::GET, "/api/admin/usage/records", VIEWER),
    // refusals
    route(Method::GET, "/api/usage/refusals", USER),
    route(Method::GET, "/api/usage/refusals/counts", USER),
    route(Method::GET, "/api/admin/usage/refusals", VIEWER),
    route(Method::GET, "/api/admin/usage/refusals/counts", VIEWER),
    // audit, settings
    route(Method::GET, "/api/admin/audit", VIEWER),
    route(Method::GET, "/api/admin/settings", VIEWER),
    route(Method::PUT, "/api/admin/settings", ADMIN),
];

/// Who may use the route; `None` for one that the table does not list.
#[must_use]
pub fn access(method: &Method, path: &str) -> Option<Access> {
    ROUTES.iter().find(|route| route.path == path && route.method == *method).map(|route| route.access)
}

/// All groups, with their documentation.
fn api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::head()).merge(calls()).merge(relays())
}

/// Groups whose answers are made here.
fn calls() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(openapi::routes())
        .merge(auth::routes())
        .merge(profile::routes())
        .merge(sessions::routes())
        .merge(api_keys::routes())
        .merge(users::routes())
        .merge(account_types::routes())
        .merge(account_counts::routes())
        .merge(accounts::routes())
        .merge(account_commands::routes())
        .merge(account_groups::routes())
        .merge(model_routes::routes())
        .merge(model_mappings::routes())
        .merge(models::routes())
        .merge(incarnations::routes())
        .merge(nodes::routes())
        .merge(usage::routes())
        .merge(refusals::routes())
        .merge(audit::routes())
        .merge(settings::routes())
        .merge(gateway::routes())
}

/// Groups whose answers come from elsewhere as a stream: such a call is made once, and takes longer.
fn relays() -> OpenApiRouter<App> {
    OpenApiRouter::new().merge(proxy_test::routes())
}

/// The REST API as a service; what it does not know under `/api` is 404 as a problem. The server must offer
/// `ConnectInfo<SocketAddr>`; without it all callers count as one address.
pub fn router(app: App) -> Router {
    let (calls, relays) = (calls().split_for_parts().0, relays().split_for_parts().0);
    let authorize = from_fn_with_state(app.clone(), auth_layer::authorize);
    let writes = WriteLimit::new(app.settings.policy.changes_per_minute, app.clock.clone());
    let limit = from_fn_with_state(writes, write_limit::limit);
    let calls = calls
        .route_layer(from_fn(again::when_busy))
        .route_layer(limit.clone())
        .route_layer(authorize.clone())
        .method_not_allowed_fallback(wrong_method)
        .route("/api/{*rest}", any(unknown))
        .layer(from_fn(|request, next| time_out(REQUEST_TIMEOUT, request, next)));
    let relays = relays
        .route_layer(limit)
        .route_layer(authorize)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(|request, next| time_out(proxy_test::TIMEOUT, request, next)));
    calls
        .merge(relays)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(header_layer(header::CACHE_CONTROL, "no-store"))
        .layer(header_layer(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header_layer(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .with_state(app)
}

fn header_layer(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

async fn unknown() -> error::Problem {
    error::Problem::new(
        StatusCode::NOT_FOUND,
        "no_such_route",
        "there is no such route; /api/openapi.json lists all",
    )
}

async fn wrong_method() -> error::Problem {
    let detail = "this route takes other methods; /api/openapi.json lists them";
    error::Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

async fn time_out(limit: Duration, request: Request, next: Next) -> Result<Response, error::Problem> {
    tokio::time::timeout(limit, next.run(request))
        .await
        .map_err(|_| error::Problem::unavailable("timeout", "it took too long; try again"))
}

fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    error::Problem::internal("a handler panicked").into_response()
}
