//! Requests whose clients left, on their way to be read on or closed.
//!
//! A dropped request must not spawn anything: it may be dropped anywhere, also while the runtime ends. So it goes into
//! its worker's queue, from which the worker takes it. Where the worker has stopped taking, the request ends on the spot.

use std::{collections::VecDeque, fmt::Debug, future::poll_fn, pin::Pin, task::Poll};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// A request whose client left.
pub(crate) trait LeftBehind: Debug + Send {
    /// On the spot.
    fn end(self: Box<Self>);
    /// Reads on where that may tell what was used, and ends it. Ends it also where the future is dropped.
    fn read_on(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// A worker's queue of what its clients left behind.
#[derive(Debug)]
pub(crate) struct Departed<T> {
    queue: Mutex<Queue<T>>,
    taker: AtomicWaker,
    tracker: TaskTracker,
}

#[derive(Debug)]
struct Queue<T> {
    waiting: VecDeque<Left<T>>,
    closed: bool,
}

/// Something left behind; what counts it goes with it.
#[derive(Debug)]
pub(crate) struct Left<T> {
    pub(crate) what: T,
    pub(crate) counted: TaskTrackerToken,
}

impl<T> Default for Departed<T> {
    fn default() -> Self {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), closed: false });
        Self { queue, taker: AtomicWaker::new(), tracker: TaskTracker::new() }
    }
}

impl<T> Departed<T> {
    /// # Errors
    /// Nobody takes it any more: it comes back.
    pub(crate) fn push(&self, what: T) -> Result<(), T> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(what);
        }
        queue.waiting.push_back(Left { what, counted: self.tracker.token() });
        drop(queue);
        self.taker.wake();
        Ok(())
    }

    /// The next one. For a single taker.
    pub(crate) async fn next(&self) -> Left<T> {
        poll_fn(|cx| {
            self.taker.register(cx.waker());
            self.queue.lock().waiting.pop_front().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Resolves once all that was pushed has ended. What is pushed from then on is not waited for.
    pub(crate) async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Takes nothing more. Gives what nobody took.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.waiting.drain(..).map(|left| left.what).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_left_is_taken_in_order_and_waited_for() {
        let departed = Departed::default();
        departed.push(1).unwrap();
        departed.push(2).unwrap();
        let (first, second) = (departed.next().await, departed.next().await);
        assert_eq!((first.what, second.what), (1, 2));
        let mut ended = std::pin::pin!(departed.ended());
        assert!(futures_util::poll!(&mut ended).is_pending());
        drop((first, second));
        ended.await;
    }

    #[tokio::test]
    async fn a_closed_queue_gives_back_what_it_is_given() {
        let departed = Departed::default();
        departed.push(1).unwrap();
        assert_eq!(departed.close(), [1]);
        assert_eq!(departed.push(2), Err(2));
    }
}
