//! `/healthz`, `/readyz`, `/metrics`, and the counting of REST requests.

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::get,
};
use http::{StatusCode, header};
use shared::tasks::Tasks;
use tokio::time::Instant;

use crate::{app::App, metrics::Metrics, snapshot::publisher::Publisher};

/// What readiness depends on.
#[derive(Clone)]
struct Health {
    metrics: Metrics,
    publisher: Publisher,
    edge: Tasks,
}

pub(super) fn routes(app: &App, publisher: &Publisher, edge: &Tasks) -> Router {
    let health = Health { metrics: app.metrics.clone(), publisher: publisher.clone(), edge: edge.clone() };
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn ready(State(health): State<Health>) -> (StatusCode, &'static str) {
    let not_ready = |why| (StatusCode::SERVICE_UNAVAILABLE, why);
    if health.edge.stopping().is_cancelled() {
        return not_ready("stopping\n");
    }
    // What is withheld is withheld on purpose: people are needed, and come in here.
    if health.publisher.head().is_none() && health.publisher.withheld().is_none() {
        return not_ready("the configuration was not read yet\n");
    }
    if health.publisher.is_failing() {
        return not_ready("the database is out of reach\n");
    }
    (StatusCode::OK, "ready\n")
}

async fn metrics(State(health): State<Health>) -> ([(header::HeaderName, &'static str); 1], String) {
    let form = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, form)], health.metrics.render())
}

/// The router, with each of its requests counted by route.
pub(super) fn counted(app: &App, router: Router) -> Router {
    router.layer(from_fn_with_state(app.metrics.clone(), count))
}

async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // A method of the client's own making must not become a label.
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    metrics.count_request(&method, &route, response.status().as_u16(), started.elapsed());
    response
}
