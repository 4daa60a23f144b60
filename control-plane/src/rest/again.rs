//! Calls that the database turned away because another transaction was in the way, a deadlock mostly, are made again:
//! such a transaction is rolled back whole, so nothing of the call has happened, and the caller need not know.

use std::time::Duration;

use axum::{body::Body, extract::Request, middleware::Next, response::Response};
use http::Method;
use rand::Rng as _;

use super::{error::Problem, extract};

/// Calls in all, the first included.
const ATTEMPTS: u32 = 4;
/// Ahead of the second call, at most; twice as long ahead of each further one.
const DELAY: Duration = Duration::from_millis(20);

/// Marks the answer of a call that the database turned away.
#[derive(Debug, Clone, Copy)]
pub(super) struct TurnedAway;

/// A layer inside authorisation. Reads the body, within the limits that handlers have.
///
/// # Errors
/// The body can't be read.
pub(super) async fn when_busy(request: Request, next: Next) -> Result<Response, Problem> {
    if request.method() == Method::GET {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let body = extract::read_body(Request::from_parts(parts.clone(), body), extract::MAX_BODY_BYTES).await?;
    let mut longest = DELAY;
    for _ in 1..ATTEMPTS {
        let response = next.clone().run(Request::from_parts(parts.clone(), Body::from(body.clone()))).await;
        if response.extensions().get::<TurnedAway>().is_none() {
            return Ok(response);
        }
        let delay = longest.mul_f64(rand::rng().random_range(0.25..1.0));
        tracing::debug!(?delay, path = parts.uri.path(), "the database turned a call away; it is made again");
        tokio::time::sleep(delay).await;
        longest *= 2;
    }
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use axum::{Router, body::to_bytes, middleware::from_fn, routing::put};
    use http::StatusCode;
    use tower::ServiceExt as _;

    use super::*;
    use crate::store::StoreError;

    /// The status, the body and how often a handler was called that the database turns away so many times.
    async fn call(turned_away: u32) -> (StatusCode, String, u32) {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let handler = async move |body: String| {
            let earlier = counted.fetch_add(1, Ordering::Relaxed);
            if earlier < turned_away { Err(Problem::from(StoreError::Busy(None))) } else { Ok(body) }
        };
        let router: Router = Router::new().route("/", put(handler)).layer(from_fn(when_busy));
        let request = Request::put("/").body(Body::from("the body")).unwrap();
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 4096).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap(), calls.load(Ordering::Relaxed))
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_turned_away_is_made_again_with_its_body() {
        assert_eq!(call(0).await, (StatusCode::OK, "the body".into(), 1));
        assert_eq!(call(3).await, (StatusCode::OK, "the body".into(), 4));
    }

    #[tokio::test(start_paused = true)]
    async fn a_database_that_stays_busy_is_said_to_be() {
        let (status, body, calls) = call(u32::MAX).await;
        assert_eq!((status, calls), (StatusCode::SERVICE_UNAVAILABLE, ATTEMPTS));
        assert!(body.contains("database_busy"), "{body}");
    }
}
