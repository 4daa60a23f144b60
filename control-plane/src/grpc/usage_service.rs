//! Takes nodes' records and hands them to the ledger, batch by batch.

use proto::v1::{
    Acknowledged, IncarnationHello, RecordBatch, ReportRequest, ReportResponse, report_request::Message,
    usage_service_server::UsageService,
};
use shared::{id::IncarnationId, tasks::Tasks};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{node_service::unavailable, peer::Peer, snapshot_service::HELLO_TIMEOUT};
use crate::{
    app::App,
    ledger::ingest::{IngestError, Taken},
};

/// Acknowledgements on their way; a node that doesn't take them sends no more either.
const QUEUE: usize = 4;

/// The service. Clones are the same.
#[derive(Debug, Clone)]
pub struct UsageReports {
    pub app: App,
    /// Of the streams; they end before what they rely on.
    pub tasks: Tasks,
}

type Outgoing = mpsc::Sender<Result<ReportResponse, Status>>;

#[tonic::async_trait]
impl UsageService for UsageReports {
    type ReportStream = ReceiverStream<Result<ReportResponse, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let peer = Peer::of(&request)?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (service, incoming) = (self.clone(), request.into_inner());
        self.tasks.spawn(async move {
            if let Err(status) = service.take(incoming, &sender, peer).await {
                // The node may be gone already.
                _ = sender.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

impl UsageReports {
    async fn take(
        &self,
        mut incoming: Streaming<ReportRequest>,
        outgoing: &Outgoing,
        peer: Peer,
    ) -> Result<(), Status> {
        let hello = hello(&mut incoming).await?;
        peer.node(&hello.node_id)?;
        let incarnation = IncarnationId::try_from(hello.incarnation_id.as_slice())
            .map_err(|_| Status::invalid_argument("incarnation_id: 16 bytes are expected"))?;
        let ledger = &self.app.ledger;
        let known = ledger.hello(&hello.node_id, incarnation, hello.spools).await;
        let mut answer = answer(known.map_err(status)?, None);
        let stopping = self.tasks.stopping();
        let mut end = std::pin::pin!(peer.streams_end());
        loop {
            if outgoing.send(Ok(answer)).await.is_err() {
                return Ok(());
            }
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = &mut end => return Ok(()),
                message = incoming.message() => {
                    let Some(message) = message? else { return Ok(()) };
                    answer = self.ingest(incarnation, batch(message)?).await?;
                }
            }
        }
    }

    async fn ingest(&self, incarnation: IncarnationId, batch: RecordBatch) -> Result<ReportResponse, Status> {
        let spools: Vec<u32> = batch.spools.iter().map(|of| of.spool).collect();
        let count: usize = batch.spools.iter().map(|of| of.records.len()).sum();
        let taken = self.app.ledger.take(incarnation, batch).await;
        self.app.metrics.usage_records.inc_by(count as u64);
        Ok(answer(taken.map_err(status)?, Some(&spools)))
    }
}

/// How far the spools named are taken; without names, all of which something is.
fn answer(taken: Taken, spools: Option<&[u32]>) -> ReportResponse {
    let named = |spool: &u32| spools.is_none_or(|spools| spools.contains(spool));
    let acknowledged = taken.acknowledged.iter().filter(|(spool, _)| named(spool));
    ReportResponse {
        acknowledged: acknowledged
            .map(|(spool, sequence)| Acknowledged { spool: *spool, sequence: *sequence })
            .collect(),
        closed: taken.closed,
    }
}

fn status(error: IngestError) -> Status {
    match error {
        IngestError::Invalid(why) => Status::invalid_argument(why),
        IngestError::Foreign => Status::permission_denied("the incarnation is another node's"),
        IngestError::Unknown => Status::failed_precondition("the incarnation is not known; say hello again"),
        IngestError::Prices(why) => {
            tracing::error!(%why, "a price in the database can't be read; usage records stay on their nodes until it is mended");
            Status::unavailable("the price list can't be read")
        }
        IngestError::Store(error) => unavailable(&error),
    }
}

async fn hello(incoming: &mut Streaming<ReportRequest>) -> Result<IncarnationHello, Status> {
    let first = timeout(HELLO_TIMEOUT, incoming.message()).await;
    match first.map_err(|_| Status::deadline_exceeded("no hello came"))??.and_then(|first| first.message) {
        Some(Message::Hello(hello)) => Ok(hello),
        _ => Err(Status::invalid_argument("the first message must be a hello")),
    }
}

fn batch(request: ReportRequest) -> Result<RecordBatch, Status> {
    match request.message {
        Some(Message::Batch(batch)) => Ok(batch),
        _ => Err(Status::invalid_argument("after the hello only batches are expected")),
    }
}
