//! The one place that spawns tasks, so that shutdown can tell and join every one of them.

use std::{future::Future, time::Duration};

use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A group of tasks with one end. Clones are the same group.
#[derive(Debug, Clone)]
pub struct Tasks {
    runtime: Handle,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Tasks {
    /// Call from within a runtime: that is where the tasks will run, whoever spawns them.
    #[must_use]
    pub fn new() -> Self {
        Self { runtime: Handle::current(), tracker: TaskTracker::new(), stop: CancellationToken::new() }
    }

    /// Runs `task` until it ends by itself. A task that loops watches [`Self::stopping`].
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn_on(task, &self.runtime)
    }

    /// Runs blocking work (files, hashing) on the runtime's threads for that.
    pub fn spawn_blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.tracker.spawn_blocking_on(work, &self.runtime)
    }

    /// Resolves once shutdown has begun.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells every task to stop; does not wait.
    pub fn stop(&self) {
        self.stop.cancel();
        self.tracker.close();
    }

    /// [`Self::stop`], then waits for all tasks, at most `grace`. True if all ended.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.stop();
        tokio::time::timeout(grace, self.tracker.wait()).await.is_ok()
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}
