//! Streams the configuration to a node, and hears what became of it.
//!
//! A stream holds one update at a time and the node's pace decides when the next is made: it leads from what was
//! sent last to what is published then, so a slow node skips revisions and never makes a queue grow.

use std::time::Duration;

use proto::v1::{
    Hello, Nack, Update, WatchRequest, snapshot_service_server::SnapshotService, watch_request::Message,
};
use shared::tasks::Tasks;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{node_service::unavailable, peer::Peer};
use crate::{
    app::App,
    metrics::UpdateLabels,
    snapshot::{
        delta::{Chunks, Held},
        published::Head,
        publisher::Publisher,
        witness,
    },
    store::{
        StoreError,
        changes::{self, Revision, Stamp},
        nodes,
    },
};

/// Chunks made ahead of what the node has taken.
const QUEUE: usize = 1;
/// How long a node may take to say hello.
pub(super) const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a node that is ahead of this replica waits for it to catch up.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two full states that one stream asks for.
const RESYNC_PAUSE: Duration = Duration::from_secs(1);

/// The service. Clones are the same.
#[derive(Debug, Clone)]
pub struct Snapshots {
    pub app: App,
    /// Of the streams; they end before what they rely on.
    pub tasks: Tasks,
    pub publisher: Publisher,
}

#[tonic::async_trait]
impl SnapshotService for Snapshots {
    type WatchStream = ReceiverStream<Result<Update, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let peer = Peer::of(&request)?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (service, incoming) = (self.clone(), request.into_inner());
        self.tasks.spawn(async move {
            if let Err(status) = service.serve(incoming, &sender, peer).await {
                // The node may be gone already.
                _ = sender.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

type Outgoing = mpsc::Sender<Result<Update, Status>>;

impl Snapshots {
    async fn serve(
        &self,
        mut incoming: Streaming<WatchRequest>,
        outgoing: &Outgoing,
        peer: Peer,
    ) -> Result<(), Status> {
        let hello = hello(&mut incoming).await?;
        peer.node(&hello.node_id)?;
        let held = Held::from_hello(hello.known.as_ref(), &hello.digest);
        self.catch_up(&held).await;
        if let Some(proven) = self.app.proofs.proven(hello.known.as_ref())
            && self.publisher.stamp_of(proven.revision) != Some(proven.stamp)
            && let Err(error) = witness::hear(&self.app, &self.publisher, Some(&hello.node_id), proven).await
        {
            tracing::warn!(node = hello.node_id, %error, "what a node holds could not be held against the database");
        }
        tracing::info!(node = hello.node_id, build = hello.build, ?held, "a node watches");
        let (acknowledged, acks) = watch::channel(None);
        self.tasks.spawn(note_acknowledged(self.app.clone(), hello.node_id.clone(), acks));
        self.app.metrics.watchers.inc();
        let mut watcher = Watcher {
            service: self,
            node_id: &hello.node_id,
            held,
            hello: held,
            greeted: false,
            sending: None,
            acknowledged,
            next_resync: Instant::now(),
            resync: false,
        };
        let ended = watcher.run(incoming, outgoing, &peer).await;
        self.app.metrics.watchers.dec();
        tracing::info!(node = hello.node_id, "a node's watch ended");
        ended
    }

    /// Where the node has more than this replica, most likely another replica was quicker; what is sent meanwhile
    /// would look like a step back.
    async fn catch_up(&self, held: &Held) {
        let Held::At { revision, .. } = held else { return };
        if self.publisher.withheld().is_some() {
            return;
        }
        let behind = |head: &Option<Head>| {
            head.is_none_or(|head| {
                head.revision.epoch == revision.epoch && head.revision.version < revision.version
            })
        };
        let mut heads = self.publisher.subscribe();
        self.app.changed();
        // Not in time: the node decides what it makes of a lower version.
        _ = timeout(CATCH_UP_TIMEOUT, heads.wait_for(|head| !behind(head))).await;
    }
}

async fn hello(incoming: &mut Streaming<WatchRequest>) -> Result<Hello, Status> {
    let first = timeout(HELLO_TIMEOUT, incoming.message()).await;
    match first.map_err(|_| Status::deadline_exceeded("no hello came"))??.and_then(|first| first.message) {
        Some(Message::Hello(hello)) => Ok(hello),
        _ => Err(Status::invalid_argument("the first message must be a hello")),
    }
}

/// One stream.
struct Watcher<'a> {
    service: &'a Snapshots,
    node_id: &'a str,
    /// What the node has once all that was sent has arrived.
    held: Held,
    /// What the node had when it came.
    hello: Held,
    /// The first update is sent also where it changes nothing, so that the node knows it is up to date.
    greeted: bool,
    /// The update under way.
    sending: Option<Chunks>,
    acknowledged: watch::Sender<Option<Revision>>,
    /// The node asked for a full state, which comes after the update under way.
    resync: bool,
    next_resync: Instant,
}

impl Watcher<'_> {
    async fn run(
        &mut self,
        mut incoming: Streaming<WatchRequest>,
        outgoing: &Outgoing,
        peer: &Peer,
    ) -> Result<(), Status> {
        let stopping = self.service.tasks.stopping();
        let mut heads = self.service.publisher.subscribe();
        heads.mark_changed();
        let mut withholdings = self.service.publisher.withholdings();
        let mut end = std::pin::pin!(peer.streams_end());
        loop {
            let idle = self.sending.is_none();
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = &mut end => return Ok(()),
                _ = withholdings.changed(), if self.greeted => return Ok(()),
                message = incoming.message() => match message? {
                    Some(message) => self.hear(message)?,
                    None => return Ok(()),
                },
                place = outgoing.reserve(), if !idle => match place {
                    Ok(place) => self.send(place),
                    Err(_) => return Ok(()),
                },
                () = sleep_until(self.next_resync), if idle && self.resync => self.start_resync().await?,
                changed = heads.changed(), if idle && !self.resync => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let head = *heads.borrow_and_update();
                    if head.is_some_and(|head| !self.greeted || self.held != head.into()) {
                        self.start(self.held).await?;
                    }
                }
            }
        }
    }

    async fn start_resync(&mut self) -> Result<(), Status> {
        self.resync = false;
        self.next_resync = Instant::now() + RESYNC_PAUSE;
        self.start(Held::Nothing).await
    }

    async fn start(&mut self, held: Held) -> Result<(), Status> {
        let known_stamp = if self.greeted { None } else { self.known_stamp().await? };
        let Some(chunks) = self.service.publisher.plan(&held) else {
            return Ok(());
        };
        self.service.app.metrics.updates_sent.get_or_create(&UpdateLabels { form: chunks.form() }).inc();
        self.greeted = true;
        self.sending = Some(chunks.greeting(known_stamp));
        Ok(())
    }

    /// The stamp that the version of the hello has in the published history.
    async fn known_stamp(&self) -> Result<Option<Stamp>, Status> {
        let (Held::At { revision, .. }, Some(head)) = (self.hello, self.service.publisher.head()) else {
            return Ok(None);
        };
        if revision.epoch != head.revision.epoch || revision.version > head.revision.version {
            return Ok(None);
        }
        if let Some(stamp) = self.service.publisher.stamp_of(revision) {
            return Ok(Some(stamp).filter(|_| revision.version > 0));
        }
        let asked: Result<_, StoreError> = async {
            let mut tx = self.service.app.store.read().await?;
            let (now, _) = changes::revision(&mut tx).await?;
            let stamp = changes::stamp_of(&mut tx, revision.version).await?;
            tx.rollback().await?;
            Ok((now.epoch, stamp))
        }
        .await;
        match asked {
            Ok((epoch, stamp)) if epoch == revision.epoch => Ok(stamp),
            Ok(_) => Err(Status::unavailable("the epoch changes; try again")),
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn send(&mut self, place: mpsc::Permit<'_, Result<Update, Status>>) {
        let Some(chunks) = &mut self.sending else { return };
        if let Some(chunk) = chunks.next() {
            let last = chunk.last;
            place.send(Ok(chunk));
            if !last {
                return;
            }
        }
        self.held = chunks.head().into();
        self.sending = None;
    }

    fn hear(&mut self, message: WatchRequest) -> Result<(), Status> {
        match message.message {
            Some(Message::Ack(ack)) => {
                let revision = ack.revision.and_then(|revision| {
                    Some(Revision { epoch: revision.epoch.try_into().ok()?, version: revision.version })
                });
                self.acknowledged.send_replace(revision);
            }
            Some(Message::Nack(nack)) => self.refused(&nack),
            Some(Message::Resync(resync)) => {
                tracing::warn!(node = self.node_id, reason = resync.reason, "a node asks for the full state");
                self.resync = true;
            }
            Some(Message::Hello(_)) => {
                return Err(Status::invalid_argument("hello comes first, and only first"));
            }
            None => {}
        }
        Ok(())
    }

    fn refused(&self, nack: &Nack) {
        self.service.app.metrics.payloads_refused.inc();
        tracing::warn!(
            node = self.node_id,
            kind = nack.kind().as_str_name(),
            id = ?nack.id,
            reason = nack.reason,
            "a node refused a payload"
        );
    }
}

/// Writes down what the node acknowledged last; one that comes while the database is slow replaces the one before.
async fn note_acknowledged(app: App, node_id: String, mut acks: watch::Receiver<Option<Revision>>) {
    while acks.changed().await.is_ok() {
        let Some(revision) = *acks.borrow_and_update() else {
            continue;
        };
        let noted = async {
            let mut tx = app.store.begin().await?;
            nodes::acknowledged(&mut tx, &node_id, revision).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::warn!(node = node_id, %error, "an acknowledged revision could not be noted");
        }
    }
}
