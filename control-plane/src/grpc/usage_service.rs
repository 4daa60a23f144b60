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
use crate::{app::App, ledger::ingest};

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
        let spool = IncarnationId::try_from(hello.incarnation_id.as_slice())
            .map_err(|_| Status::invalid_argument("incarnation_id: 16 bytes are expected"))?;
        let acknowledged = ingest::acknowledged(&self.app.store, &hello.node_id, spool).await;
        let mut answer = acknowledged.map_err(|error| unavailable(&error))?;
        let stopping = self.tasks.stopping();
        let mut end = std::pin::pin!(peer.streams_end());
        loop {
            let acknowledged = vec![Acknowledged { spool: 0, sequence: answer }];
            if outgoing.send(Ok(ReportResponse { acknowledged, closed: false })).await.is_err() {
                return Ok(());
            }
            tokio::select! {
                () = stopping.cancelled() => return Ok(()),
                () = &mut end => return Ok(()),
                message = incoming.message() => {
                    let Some(message) = message? else { return Ok(()) };
                    answer = self.ingest(&hello.node_id, spool, batch(message)?).await?;
                }
            }
        }
    }

    async fn ingest(&self, node_id: &str, spool: IncarnationId, batch: RecordBatch) -> Result<u64, Status> {
        let Some(batch) = batch.spools.into_iter().next() else {
            return Err(Status::invalid_argument("a batch holds records of a spool"));
        };
        let count = u64::try_from(batch.records.len()).unwrap_or(u64::MAX);
        let app = &self.app;
        let acknowledged = ingest::ingest(&app.store, &app.prices, &app.clock, node_id, spool, batch).await;
        self.app.metrics.usage_records.inc_by(count);
        acknowledged.map_err(|error| unavailable(&error))
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
