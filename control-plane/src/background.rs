//! What the control plane does by itself.
//!
//! A background task brings the database nearer to what it should be: what is too old goes, what will be needed is
//! made. All tasks share one form, and owe their calm to it:
//!
//! - **It takes no input.** What is to be done is read from the database at each run. An [`Activator`] only says "look
//!   now"; a signal that is lost, or comes twice, or comes to another replica, costs time and nothing else.
//! - **It runs by signal and by period.** The signal makes it prompt, the period makes it certain.
//! - **It is idempotent, and safe on all replicas at once.** There is no leader. Two that do the same either find that
//!   it is done, or take turns on a lock of the database; none relies on being alone.
//! - **Its work is bounded.** A run takes a bounded step and says whether there is [`Progress::More`]; between steps
//!   others get their turn, and shutdown waits for one step only.
//! - **It is the one path.** What a task does, nothing else does: a handler that wants it done activates the task.
//! - **It may fail.** A run that fails is logged, counted and tried again, at growing intervals up to the period. What
//!   it has done before stays done.
//!
//! To add one: a file under `background/` with a `step`, and its line in [`start`].

mod housekeeping;
mod resealing;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use shared::{clock::Clock, tasks::Tasks};
use tokio::sync::Notify;

use crate::{
    ledger::retention,
    metrics::Metrics,
    secrets::Sealer,
    store::{Store, StoreError},
};

const RETENTION_PERIOD: Duration = Duration::from_secs(3600);
const HOUSEKEEPING_PERIOD: Duration = Duration::from_secs(60);
const RESEALING_PERIOD: Duration = Duration::from_secs(3600);
/// Between two steps of one task.
const PAUSE: Duration = Duration::from_millis(100);
/// After the first failure; doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// How far a step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is nothing more to do now.
    Done,
    /// There may be; another step should follow.
    More,
}

/// Tells a task to look now.
#[derive(Debug, Clone, Default)]
pub struct Activator(Arc<Notify>);

impl Activator {
    /// Returns at once. During a run, another one follows it.
    pub fn activate(&self) {
        self.0.notify_one();
    }
}

/// The tasks of this process, to be activated.
#[derive(Debug, Clone)]
pub struct Background {
    /// Partitions and retention of the ledger: after a change of `ledger_retention_days`.
    pub ledger_retention: Activator,
    /// Logins, throttle counters, keys of proxy tests, commands, nodes, refusals and entries of the audit
    /// log that are over.
    pub housekeeping: Activator,
    /// Credentials under an older master key; keys only change with a restart, which runs it.
    pub resealing: Activator,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    task: &'static str,
    /// `done` or `failed`.
    outcome: &'static str,
}

/// Starts all tasks. They end with `tasks`.
#[must_use]
pub fn start(tasks: &Tasks, metrics: &Metrics, store: &Store, sealer: &Sealer, clock: &Clock) -> Background {
    let runner = Runner { tasks: tasks.clone(), steps: Family::default() };
    metrics.register(|all| {
        all.register("background_steps", "Steps of background tasks", runner.steps.clone());
        crate::ledger::metrics::register(all);
    });
    let (of_retention, of_housekeeping) = ((store.clone(), clock.clone()), (store.clone(), clock.clone()));
    let of_resealing = (store.clone(), sealer.clone());
    Background {
        ledger_retention: runner.spawn("ledger_retention", RETENTION_PERIOD, move || {
            let (store, clock) = of_retention.clone();
            async move {
                let more = retention::step(&store, &clock).await?;
                Ok(if more { Progress::More } else { Progress::Done })
            }
        }),
        housekeeping: runner.spawn("housekeeping", HOUSEKEEPING_PERIOD, move || {
            let (store, clock) = of_housekeeping.clone();
            async move { housekeeping::step(&store, &clock).await }
        }),
        resealing: runner.spawn("resealing", RESEALING_PERIOD, move || {
            let (store, sealer) = of_resealing.clone();
            async move { resealing::step(&store, &sealer).await }
        }),
    }
}

struct Runner {
    tasks: Tasks,
    steps: Family<RunLabels, Counter>,
}

impl Runner {
    /// Runs `step` now, at each signal, and once a period.
    fn spawn<S, F>(&self, name: &'static str, period: Duration, step: S) -> Activator
    where
        S: Fn() -> F + Send + 'static,
        F: Future<Output = Result<Progress, StoreError>> + Send + 'static,
    {
        let activator = Activator::default();
        let signal = activator.clone();
        let (stopping, steps) = (self.tasks.stopping(), self.steps.clone());
        self.tasks.spawn(async move {
            let mut failures = 0_u32;
            while !stopping.is_cancelled() {
                let done = step().await;
                let outcome = if done.is_ok() { "done" } else { "failed" };
                steps.get_or_create(&RunLabels { task: name, outcome }).inc();
                failures = if done.is_ok() { 0 } else { failures.saturating_add(1) };
                let wait = pause_after(name, &done, failures, period);
                tokio::select! {
                    () = stopping.cancelled() => {}
                    () = signal.0.notified(), if failures == 0 => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
        });
        activator
    }
}

fn pause_after(
    task: &'static str,
    done: &Result<Progress, StoreError>,
    failures: u32,
    period: Duration,
) -> Duration {
    match done {
        Ok(Progress::Done) => period,
        Ok(Progress::More) => PAUSE,
        Err(error) => {
            let wait =
                FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(period);
            tracing::warn!(task, %error, ?wait, "a background task failed; it is tried again");
            wait
        }
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const PERIOD: Duration = Duration::from_secs(60);

    struct Counted {
        runs: Arc<AtomicUsize>,
        activator: Activator,
        tasks: Tasks,
    }

    impl Counted {
        /// `outcome` by the number of the run, from 0.
        fn start(outcome: impl Fn(usize) -> Result<Progress, StoreError> + Send + Sync + 'static) -> Self {
            let (runs, outcome) = (Arc::new(AtomicUsize::new(0)), Arc::new(outcome));
            let tasks = Tasks::new();
            let runner = Runner { tasks: tasks.clone(), steps: Family::default() };
            let counter = Arc::clone(&runs);
            let activator = runner.spawn("counted", PERIOD, move || {
                let (run, outcome) = (counter.fetch_add(1, Ordering::SeqCst), Arc::clone(&outcome));
                async move { outcome(run) }
            });
            Self { runs, activator, tasks }
        }

        /// Runs within `time`, which passes at once.
        async fn runs_within(&self, time: Duration) -> usize {
            let before = self.runs.load(Ordering::SeqCst);
            tokio::time::sleep(time).await;
            self.runs.load(Ordering::SeqCst) - before
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_runs_at_once_then_once_a_period() {
        let task = Counted::start(|_| Ok(Progress::Done));
        assert_eq!(task.runs_within(Duration::from_secs(1)).await, 1);
        assert_eq!(task.runs_within(PERIOD * 3).await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_makes_it_run_now() {
        let task = Counted::start(|_| Ok(Progress::Done));
        task.runs_within(Duration::from_secs(1)).await;
        task.activator.activate();
        assert_eq!(task.runs_within(Duration::from_millis(1)).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn steps_follow_each_other_while_there_is_more() {
        let task = Counted::start(|run| Ok(if run < 5 { Progress::More } else { Progress::Done }));
        assert_eq!(task.runs_within(Duration::from_secs(5)).await, 6);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_tried_again_at_growing_intervals() {
        let task = Counted::start(|_| Err(StoreError::Busy(None)));
        // At 0, 1, 3, 7, 15 and 31 seconds.
        assert_eq!(task.runs_within(Duration::from_secs(40)).await, 6);
        assert_eq!(task.runs_within(PERIOD * 10).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_ends_it() {
        let task = Counted::start(|_| Ok(Progress::Done));
        task.runs_within(Duration::from_secs(1)).await;
        assert!(task.tasks.shutdown(Duration::from_secs(1)).await);
        assert_eq!(task.runs_within(PERIOD * 3).await, 0);
    }
}
