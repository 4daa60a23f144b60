//! The threads that serve: as many as the node has cores, each with a single-threaded runtime of its own.
//!
//! A connection lives and dies on one worker, with its requests, the upstream connections they use and the records they
//! write, so that nothing on the way of a request wakes another thread. What is no request (the snapshot's stream,
//! heartbeats, reporting, Redis, tests of accounts, the listener) runs on the runtime that the node was started in.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use shared::tasks::Tasks;
use tokio::{
    runtime::{Builder, Handle, LocalOptions},
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    ingress::{self, CLOSING_TIME, Hand, Handed, SILENT, ServerSettings, balance},
    metrics::Load,
    proxy::{Common, Proxy},
    upstream::UpstreamClient,
};

/// How often it is measured what the workers do.
const MEASURE: Duration = Duration::from_millis(250);
/// Measurements that a new connection takes to show in its worker's load.
const FRESH_FOR: usize = 4;
/// Of the last measurement, in what a worker is taken to be busy with.
const WEIGHT: f64 = 0.3;
/// How often connections of an overloaded worker are made to move, in measurements.
const SHED_EVERY: u32 = 4;
/// A worker that has not shown for so long that it goes on is given no connections, where another one can have them.
const QUIET: Duration = Duration::from_secs(3);
/// What a worker may take beyond the grace and the closing time.
const ENDING_TIME: Duration = Duration::from_secs(2);
/// The process ends with this where a worker panics.
const PANICKED: i32 = 70;

/// The threads are gone, or could not be made.
#[derive(Debug, thiserror::Error)]
#[error("a worker can't be started: {0}")]
pub struct WorkerError(#[from] io::Error);

/// The workers of a node.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<Thread>,
    grace: Duration,
}

#[derive(Debug)]
struct Thread {
    handle: JoinHandle<()>,
    runtime: Handle,
    load: Arc<Load>,
    ended: oneshot::Receiver<()>,
}

/// What a worker runs.
struct Work {
    number: usize,
    common: Common,
    settings: ServerSettings,
    upstream: UpstreamClient,
    handed: Handed,
    grace: Duration,
}

impl Workers {
    /// Starts a thread for each place in `common.metrics`. They serve what comes through the hands, until these are
    /// dropped; see [`ingress::serve`].
    ///
    /// # Errors
    /// The system gives no thread, or nothing to wait with.
    pub fn start(
        common: &Common,
        settings: &ServerSettings,
        upstream: &UpstreamClient,
        grace: Duration,
    ) -> Result<(Self, Vec<Hand>), WorkerError> {
        let (mut threads, mut hands) = (Vec::new(), Vec::new());
        for (number, load) in common.metrics.loads().enumerate() {
            let (connections, handed) = mpsc::unbounded_channel();
            let (common, upstream) = (common.clone(), upstream.for_another_runtime());
            let settings = settings.clone();
            let work = Work { number, common, settings, upstream, handed, grace };
            threads.push(Thread::start(work, Arc::clone(load))?);
            hands.push(Hand { connections, load: Arc::clone(load) });
        }
        Ok((Self { threads, grace }, hands))
    }

    #[must_use]
    pub const fn count(&self) -> usize {
        self.threads.len()
    }

    /// Measures what the workers do, and has those that are overloaded shed connections, until `stopping`.
    pub fn measure(&self, stopping: CancellationToken) -> impl Future<Output = ()> + use<> {
        let measured = self.threads.iter().map(|thread| Measured {
            runtime: thread.runtime.clone(),
            load: Arc::clone(&thread.load),
            worked: Duration::ZERO,
            busy: 0.0,
            fresh: [0; FRESH_FOR],
        });
        let mut measured: Vec<_> = measured.collect();
        async move {
            let mut last = Instant::now();
            for turn in 0_u32.. {
                if stopping.run_until_cancelled(tokio::time::sleep(MEASURE)).await.is_none() {
                    return;
                }
                let passed = std::mem::replace(&mut last, Instant::now()).elapsed();
                measured.iter_mut().for_each(|worker| worker.measure(passed));
                if turn % SHED_EVERY == 0 {
                    shed(&measured);
                }
            }
        }
    }

    /// Waits until all have ended, once the hands are dropped. False: one did not in time, or has long shown no sign of
    /// life.
    pub async fn ended(self) -> bool {
        let until = Instant::now() + self.grace + CLOSING_TIME + ENDING_TIME;
        let mut all = true;
        for thread in self.threads {
            all &= thread.ended(until).await;
        }
        all
    }
}

impl Thread {
    fn start(work: Work, load: Arc<Load>) -> Result<Self, WorkerError> {
        let name = format!("worker-{}", work.number);
        let (tell_runtime, runtime) = std::sync::mpsc::sync_channel(1);
        let (tell_end, ended) = oneshot::channel();
        let body = move || {
            end_process_on_panic(|| run(work, &tell_runtime));
            // Nobody may be waiting.
            _ = tell_end.send(());
        };
        let handle = std::thread::Builder::new().name(name).spawn(body)?;
        let runtime = runtime.recv().map_err(io::Error::other)??;
        Ok(Self { handle, runtime, load, ended })
    }

    async fn ended(mut self, until: Instant) -> bool {
        loop {
            let look_again = (Instant::now() + MEASURE).min(until);
            match tokio::time::timeout_at(look_again, &mut self.ended).await {
                Ok(_) => return self.handle.join().is_ok(),
                Err(_) if self.load.silent_for() > SILENT => {
                    tracing::error!(
                        thread = self.handle.thread().name(),
                        "a worker hangs and is left behind"
                    );
                    return false;
                }
                Err(_) if Instant::now() >= until => return false,
                Err(_) => {}
            }
        }
    }
}

/// Nobody knows what a worker was in the middle of. What it wrote is on disk, and the next start goes on from there.
fn end_process_on_panic(work: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        tracing::error!("a worker panicked; the process ends, and its usage records are on disk");
        std::process::exit(PANICKED);
    }
}

/// A worker's thread. Says first what runs on it, or why nothing does.
fn run(work: Work, tell: &std::sync::mpsc::SyncSender<io::Result<Handle>>) {
    let Work { number, common, settings, upstream, handed, grace } = work;
    let runtime = match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime,
        Err(error) => {
            // Nobody may be waiting.
            _ = tell.send(Err(error));
            return;
        }
    };
    _ = tell.send(Ok(runtime.handle().clone()));
    runtime.block_on(async {
        if let Some(proxy) = Proxy::new(common, number, upstream, Tasks::new()) {
            ingress::serve(proxy, settings, handed, grace).await;
        }
    });
    // A name that is being looked up may take for ever, and nobody waits for it any more.
    runtime.shutdown_background();
}

/// What one worker does, as it is measured.
struct Measured {
    runtime: Handle,
    load: Arc<Load>,
    /// So far, in all.
    worked: Duration,
    /// Of its time, lately.
    busy: f64,
    /// Connections that were new at each of the last measurements.
    fresh: [u32; FRESH_FOR],
}

impl Measured {
    fn measure(&mut self, passed: Duration) {
        let worked = self.runtime.metrics().worker_total_busy_duration(0);
        let share = worked.saturating_sub(self.worked).as_secs_f64() / passed.as_secs_f64().max(1e-3);
        self.worked = worked;
        self.busy += WEIGHT * (share - self.busy);
        if self.load.silent_for() > QUIET {
            // What it is stuck in counts once it is over, and until then it seems to have all its time.
            self.busy = 1.0;
        }
        let thousandths = (self.busy.clamp(0.0, 1.0) * 1000.0) as u32;
        self.load.set_busy(thousandths, u64::try_from(worked.as_micros()).unwrap_or(u64::MAX));
        self.load.forget_fresh(self.fresh[FRESH_FOR - 1]);
        self.fresh.rotate_right(1);
        self.fresh[0] = self.load.fresh().saturating_sub(self.fresh[1..].iter().sum());
    }
}

fn shed(workers: &[Measured]) {
    let least = workers.iter().map(|worker| worker.load.busy()).min().unwrap_or(0);
    for worker in workers {
        worker.load.ask_to_shed(balance::surplus(&worker.load, least));
    }
}

#[cfg(test)]
mod tests;
