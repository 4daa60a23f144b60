//! How much one person may change: what one account can make the database keep is bounded.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::Method;
use parking_lot::Mutex;
use shared::{
    clock::{Clock, Millis},
    id::UserId,
};

use super::error::Problem;
use crate::ops::Caller;

/// More people than this are looked through for those whose share is whole again.
const REMEMBERED: usize = 10_000;

/// Each person's share of changes, of this replica. It fills again evenly within a minute. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct WriteLimit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    per_minute: u32,
    clock: Clock,
    used: Mutex<HashMap<UserId, Used>>,
}

/// What is used of a share.
#[derive(Debug, Clone, Copy)]
struct Used {
    changes: f64,
    at: Millis,
}

impl Used {
    fn at(self, now: Millis, per_minute: u32) -> f64 {
        let back = now.since(self.at).as_secs_f64() / 60.0 * f64::from(per_minute);
        (self.changes - back).max(0.0)
    }
}

impl WriteLimit {
    pub(super) fn new(per_minute: u32, clock: Clock) -> Self {
        Self(Arc::new(Inner { per_minute, clock, used: Mutex::default() }))
    }

    /// Counts one change. `Err`: how long to wait first.
    fn take(&self, user: UserId) -> Result<(), Duration> {
        let (now, per_minute) = (self.0.clock.now(), self.0.per_minute);
        let most = f64::from(per_minute);
        let mut used = self.0.used.lock();
        if used.len() > REMEMBERED {
            used.retain(|_, used| used.at(now, per_minute) > 0.0);
        }
        let changes = used.get(&user).map_or(0.0, |used| used.at(now, per_minute)) + 1.0;
        if changes > most {
            return Err(Duration::from_secs_f64((changes - most) / most * 60.0));
        }
        used.insert(user, Used { changes, at: now });
        Ok(())
    }
}

/// A layer inside authorisation.
pub(super) async fn limit(State(limit): State<WriteLimit>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let caller = request.extensions().get::<Caller>().map(|caller| caller.user);
    match caller.map_or(Ok(()), |user| limit.take(user)) {
        Ok(()) => next.run(request).await,
        Err(wait) => {
            let detail = "you have made many changes in a short time; wait a little";
            Problem::too_many_requests("too_many_changes", detail, wait).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    #[test]
    fn a_share_is_ones_own_and_fills_again() {
        let clock = Clock::manual(NOW);
        let limit = WriteLimit::new(60, clock.clone());
        let (ann, bob) = (UserId::new(NOW), UserId::new(NOW));
        for _ in 0..60 {
            assert_eq!(limit.take(ann), Ok(()));
        }
        assert_eq!(limit.take(ann), Err(Duration::from_secs(1)));
        assert_eq!(limit.take(bob), Ok(()));
        clock.advance(Duration::from_secs(2));
        assert_eq!((limit.take(ann), limit.take(ann)), (Ok(()), Ok(())));
        assert!(limit.take(ann).is_err());
        clock.advance(Duration::from_secs(3600));
        for _ in 0..60 {
            assert_eq!(limit.take(ann), Ok(()));
        }
        assert!(limit.take(ann).is_err());
    }
}
