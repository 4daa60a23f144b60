//! Threads for work that would hold up a worker: to read and convert a long body takes milliseconds, and a worker's other
//! streams would wait for as long.
//!
//! They are few, and of lower priority than the workers, so that a conversion takes what these leave. What waits for them
//! is bounded by the bodies that a node holds at a time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread::{Builder, JoinHandle},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Work on as many bytes as this leaves the worker.
pub(crate) const LARGE: usize = 256 << 10;
/// Added to their nice value.
const NICE: i32 = 5;

type Job = Box<dyn FnOnce() + Send>;

/// The way to the threads; they end once the last clone is gone.
#[derive(Debug, Clone)]
pub struct Compute {
    jobs: mpsc::Sender<Job>,
}

/// The threads are gone, or the work panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work was not done")]
pub struct NotDone;

impl Compute {
    /// As many threads as half the CPUs, but one at least.
    #[must_use]
    pub fn threads(cpus: usize) -> usize {
        (cpus / 2).max(1)
    }

    /// # Errors
    /// The system gives no thread.
    pub fn start(threads: usize) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (jobs, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        let handles = (0..threads).map(|number| {
            let waiting = Arc::clone(&waiting);
            Builder::new().name(format!("compute-{number}")).spawn(move || work(&waiting))
        });
        Ok((Self { jobs }, handles.collect::<Result<_, _>>()?))
    }

    /// Does `work` on one of the threads. Where nobody waits for it any more before it is begun, it is left undone.
    ///
    /// # Errors
    /// See [`NotDone`].
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        let (tell, done) = oneshot::channel();
        let job = move || {
            if !tell.is_closed() {
                // Nobody may be waiting by now.
                _ = tell.send(work());
            }
        };
        self.jobs.send(Box::new(job)).map_err(|_| NotDone)?;
        done.await.map_err(|_| NotDone)
    }

    /// [`Self::run`] where `bytes` are many; else at once.
    ///
    /// # Errors
    /// See [`NotDone`].
    pub async fn run_if_large<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        // Boxed, so that those that wait for short work are not as large as if they waited for long.
        if bytes < LARGE { Ok(work()) } else { Box::pin(self.run(work)).await }
    }
}

fn work(waiting: &Mutex<mpsc::Receiver<Job>>) {
    // Of this thread alone, on Linux. Without it, work goes on at the workers' priority.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICE);
    loop {
        let job = waiting.lock().recv();
        let Ok(job) = job else { return };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("work on a long body panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_elsewhere_and_a_panic_leaves_the_threads_at_work() {
        let (compute, handles) = Compute::start(1).unwrap();
        let here = std::thread::current().id();
        assert_ne!(compute.run(|| std::thread::current().id()).await.unwrap(), here);
        assert_eq!(compute.run(|| panic!("as asked")).await, Err::<(), _>(NotDone));
        let on = async |bytes| compute.run_if_large(bytes, || std::thread::current().id()).await.unwrap();
        assert_eq!(on(LARGE - 1).await, here);
        assert_ne!(on(LARGE).await, here);
        drop(compute);
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_left_undone() {
        let (compute, _handles) = Compute::start(1).unwrap();
        let (release, held) = mpsc::channel::<()>();
        let (tell, done) = mpsc::channel();
        let first = tokio::task::unconstrained(compute.run(move || _ = held.recv()));
        let mut first = std::pin::pin!(first);
        assert!(futures_util::poll!(&mut first).is_pending());
        {
            let second = compute.run(move || tell.send(()).unwrap());
            assert!(futures_util::poll!(std::pin::pin!(second)).is_pending());
        }
        drop(release);
        first.await.unwrap();
        compute.run(|| ()).await.unwrap();
        assert!(done.try_recv().is_err());
    }
}
