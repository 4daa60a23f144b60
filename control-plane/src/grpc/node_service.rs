//! Hears heartbeats, and carries commands down and results up.

use std::time::Duration;

use proto::v1::{
    Command, CommandResult, HeartbeatRequest, HeartbeatResponse, node_service_server::NodeService,
};
use shared::{id::IncarnationId, tasks::Tasks};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    commands::{self, Connected, STREAM_QUEUE},
    peer::Peer,
    snapshot_service::HELLO_TIMEOUT,
};
use crate::{
    app::App,
    ops::{confirming::Confirming, nodes::live_since},
    snapshot::{publisher::Publisher, witness},
    store::{StoreError, incarnations, nodes},
};

/// Status writes of one heartbeat that are taken; a node sends the others again.
const STATUS_WRITES: usize = 1000;

/// The service. Clones are the same.
#[derive(Debug, Clone)]
pub struct Nodes {
    pub app: App,
    /// Of the streams; they end before what they rely on.
    pub tasks: Tasks,
    pub publisher: Publisher,
    pub connected: Connected,
    pub confirming: Confirming,
}

pub(super) fn unavailable(error: &StoreError) -> Status {
    tracing::warn!(%error, "the database failed a node's call");
    Status::unavailable("the control plane's database is out of reach; try again")
}

#[tonic::async_trait]
impl NodeService for Nodes {
    type CommandsStream = ReceiverStream<Result<Command, Status>>;

    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> Result<Response<HeartbeatResponse>, Status> {
        Peer::of(&request)?.node(&request.get_ref().node_id)?;
        let heartbeat = request.into_inner();
        self.hold_against_the_database(&heartbeat).await.map_err(|error| unavailable(&error))?;
        for write in heartbeat.status_writes.iter().take(STATUS_WRITES) {
            let heard = self.confirming.heard(&self.app, &heartbeat.node_id, write).await;
            heard.map_err(|error| unavailable(&error))?;
        }
        let live_nodes = self.note(&heartbeat).await.map_err(|error| unavailable(&error))?;
        self.app.metrics.nodes_live.set(i64::from(live_nodes));
        let interval = self.app.settings.planes.heartbeat_interval;
        let withheld = self.publisher.withheld().is_some();
        Ok(Response::new(HeartbeatResponse { live_nodes, interval_ms: millis(interval), withheld }))
    }

    async fn commands(
        &self,
        request: Request<Streaming<CommandResult>>,
    ) -> Result<Response<Self::CommandsStream>, Status> {
        let peer = Peer::of(&request)?;
        let (sender, receiver) = mpsc::channel(STREAM_QUEUE);
        let (service, incoming) = (self.clone(), request.into_inner());
        self.tasks.spawn(async move {
            if let Err(status) = service.carry(incoming, &sender, peer).await {
                // The node may be gone already.
                _ = sender.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Nodes {
    /// What the node proves to have been published.
    async fn hold_against_the_database(&self, heartbeat: &HeartbeatRequest) -> Result<(), StoreError> {
        let Some(proven) = self.app.proofs.proven(heartbeat.revision.as_ref()) else {
            return Ok(());
        };
        if self.publisher.stamp_of(proven.revision) == Some(proven.stamp) {
            return Ok(());
        }
        witness::hear(&self.app, &self.publisher, Some(&heartbeat.node_id), proven).await
    }

    /// Returns how many nodes are live.
    async fn note(&self, heartbeat: &HeartbeatRequest) -> Result<u32, StoreError> {
        let mut tx = self.app.store.begin().await?;
        nodes::heard(&mut tx, heartbeat, self.app.clock.now()).await?;
        if let Ok(incarnation) = IncarnationId::try_from(heartbeat.incarnation_id.as_slice()) {
            incarnations::heard(&mut tx, incarnation, &heartbeat.node_id, self.app.clock.now()).await?;
        }
        let live = nodes::count_live(&mut tx, live_since(&self.app)).await?;
        tx.commit().await?;
        Ok(live.max(1))
    }

    async fn carry(
        &self,
        mut incoming: Streaming<CommandResult>,
        sender: &mpsc::Sender<Result<Command, Status>>,
        peer: Peer,
    ) -> Result<(), Status> {
        let first = timeout(HELLO_TIMEOUT, incoming.message()).await;
        let first = first.map_err(|_| Status::deadline_exceeded("no node id came"))??;
        let node_id = first.map(|first| first.node_id).unwrap_or_default();
        peer.node(&node_id)?;
        let serial = self.connected.enter(&node_id, sender.clone());
        // What waited for this node goes out now.
        self.app.commands.notify();
        let ended = self.take_results(incoming, &node_id, &peer).await;
        self.connected.leave(&node_id, serial);
        ended
    }

    async fn take_results(
        &self,
        mut incoming: Streaming<CommandResult>,
        node_id: &str,
        peer: &Peer,
    ) -> Result<(), Status> {
        let stopping = self.tasks.stopping();
        let mut end = std::pin::pin!(peer.streams_end());
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = &mut end => return Ok(()),
                message = incoming.message() => {
                    let Some(result) = message? else { return Ok(()) };
                    let result = CommandResult { node_id: node_id.to_owned(), ..result };
                    commands::answered(&self.app, &result).await.map_err(|error| unavailable(&error))?;
                }
            }
        }
    }
}
