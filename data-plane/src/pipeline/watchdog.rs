//! One timer for a request's whole life.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline that moves. Most moves are to a later time, and cost nothing: the timer is only looked at again when it
/// fires too early. It is not made before somebody has to wait.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    deadline: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Watchdog {
    pub(super) fn set(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
    }

    /// Resolves once the deadline has passed.
    pub(super) fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_moves_away_is_waited_for_and_one_that_comes_closer_too() {
        let mut watchdog = Watchdog::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        watchdog.set(after(10));
        assert!(poll_fn(|cx| Poll::Ready(watchdog.poll_elapsed(cx).is_pending())).await);
        watchdog.set(after(60));
        poll_fn(|cx| watchdog.poll_elapsed(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 60);
        watchdog.set(after(100));
        assert!(poll_fn(|cx| Poll::Ready(watchdog.poll_elapsed(cx).is_pending())).await);
        watchdog.set(after(70));
        poll_fn(|cx| watchdog.poll_elapsed(cx)).await;
        assert_eq!(start.elapsed().as_secs(), 70);
    }
}
