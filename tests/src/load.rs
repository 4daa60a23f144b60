//! Clients that go on whatever dies: they note what they asked, and find a node again where it comes back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use shared::tasks::Tasks;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{eventually, messages_body, read};

/// A client whose node is gone looks again after this long, unless it hears sooner where it is.
const AGAIN: Duration = Duration::from_millis(20);

/// Several clients for each node, each asking plainly and for a stream in turn.
#[derive(Debug)]
pub struct Load {
    clients: Vec<JoinHandle<Vec<Asked>>>,
    /// Where each node is.
    places: Vec<watch::Sender<String>>,
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

/// A request, which its trace tells from all others of this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// 32 hex digits, as the provider and the ledger see them too.
    pub trace: String,
    pub seen: Seen,
}

/// What came back of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// 200, to its end.
    Whole,
    /// 200, and then the connection broke off.
    Broken,
    /// Nothing: there was no node, or it died.
    Nothing,
    Refused(u16),
}

impl Load {
    /// `each`: clients of each node.
    #[must_use]
    pub fn start(urls: &[String], key: &str, each: usize) -> Self {
        let (answered, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let places: Vec<_> = urls.iter().map(|url| watch::Sender::new(url.clone())).collect();
        let tasks = Tasks::new();
        let clients = places.iter().flat_map(|place| (0..each).map(move |_| place.subscribe()));
        let clients = clients.map(|place| {
            let client = Client::new(key);
            tasks.spawn(client.ask_on(place, Arc::clone(&answered), Arc::clone(&stop)))
        });
        Self { clients: clients.collect(), places, answered, stop }
    }

    /// Its clients are to find the node there from now on.
    pub fn moved(&self, node: usize, url: &str) {
        self.places[node].send_replace(url.to_owned());
    }

    /// Waits until so many more requests were answered whole.
    pub async fn more(&self, count: usize) {
        let enough = self.answered.load(Ordering::Relaxed) + count;
        eventually("more requests to be answered", async || {
            (self.answered.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
    }

    /// Lets each client finish its request, and gives what all have asked.
    pub async fn stop(self) -> Vec<Asked> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for client in self.clients {
            all.extend(client.await.unwrap());
        }
        all
    }
}

/// One that asks, over a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    key: String,
}

impl Client {
    #[must_use]
    pub fn new(key: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        Self { http, key: key.to_owned() }
    }

    async fn ask_on(
        self,
        mut place: watch::Receiver<String>,
        answered: Arc<AtomicUsize>,
        stop: Arc<AtomicBool>,
    ) -> Vec<Asked> {
        let mut all = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let url = place.borrow_and_update().clone();
            // Of several lengths, so that the providers' counts differ.
            let text = "on and on ".repeat(1 + all.len() % 9);
            let asked = self.ask(&url, &text, all.len() % 2 == 1).await;
            match asked.seen {
                Seen::Whole => _ = answered.fetch_add(1, Ordering::Relaxed),
                Seen::Nothing | Seen::Refused(_) => _ = timeout(AGAIN, place.changed()).await,
                Seen::Broken => {}
            }
            all.push(asked);
        }
        all
    }

    /// Has a node echo a text, in a trace of its own.
    pub async fn ask(&self, url: &str, text: &str, stream: bool) -> Asked {
        static ASKED: AtomicU64 = AtomicU64::new(1);
        let trace = format!("c0ffee00{:024x}", ASKED.fetch_add(1, Ordering::Relaxed));
        let request = self
            .http
            .post(format!("{url}/v1/messages"))
            .header("x-api-key", &self.key)
            .header("anthropic-version", "2023-06-01")
            .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
            .json(&messages_body(text, stream));
        let Ok(response) = request.send().await else {
            return Asked { trace, seen: Seen::Nothing };
        };
        let reply = read(response).await;
        let ended = !stream || reply.body.ends_with(b"data: {\"type\":\"message_stop\"}\n\n");
        let seen = match reply.status.as_u16() {
            200 if reply.whole && ended => Seen::Whole,
            200 => Seen::Broken,
            other => Seen::Refused(other),
        };
        Asked { trace, seen }
    }
}
