//! Clients that ask on and on, while something happens behind the gateway.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use reqwest::StatusCode;
use shared::tasks::Tasks;
use tokio::task::JoinHandle;

use crate::{Caller, eventually, messages_body};

/// One client for each caller, each asking plainly and for a stream in turn.
#[derive(Debug)]
pub struct Traffic {
    clients: Vec<JoinHandle<TrafficReport>>,
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

/// What the clients saw.
#[derive(Debug, Default)]
pub struct TrafficReport {
    pub answered: usize,
    /// What was no whole 200.
    pub failed: Vec<(StatusCode, Bytes)>,
    /// From asking to the end of the answer.
    pub slowest: Duration,
}

impl Traffic {
    #[must_use]
    pub fn start(callers: &[Caller]) -> Self {
        let (answered, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let tasks = Tasks::new();
        let clients = callers
            .iter()
            .map(|caller| tasks.spawn(ask_on(caller.clone(), Arc::clone(&answered), Arc::clone(&stop))))
            .collect();
        Self { clients, answered, stop }
    }

    /// Waits until so many more requests were answered.
    pub async fn more(&self, count: usize) {
        let enough = self.answered.load(Ordering::Relaxed) + count;
        eventually("more requests to be answered", async || {
            (self.answered.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
    }

    /// Lets each client finish its request.
    pub async fn stop(self) -> TrafficReport {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = TrafficReport::default();
        for client in self.clients {
            let one = client.await.unwrap();
            all.answered += one.answered;
            all.failed.extend(one.failed);
            all.slowest = all.slowest.max(one.slowest);
        }
        all
    }
}

async fn ask_on(caller: Caller, answered: Arc<AtomicUsize>, stop: Arc<AtomicBool>) -> TrafficReport {
    let mut report = TrafficReport::default();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let stream = report.answered % 2 == 1;
        let reply = caller.messages(&messages_body("on and on and on", stream)).await;
        report.slowest = report.slowest.max(begun.elapsed());
        report.answered += 1;
        answered.fetch_add(1, Ordering::Relaxed);
        let ended = !stream || reply.body.ends_with(b"data: {\"type\":\"message_stop\"}\n\n");
        if reply.status != 200 || !reply.whole || !ended {
            report.failed.push((reply.status, reply.body));
        }
    }
    report
}
