//! A control plane that does what a test says, on the real services over a pipe.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use prost::Message as _;
use proto::v1::{
    Acknowledged, Command, CommandResult, HeartbeatRequest, HeartbeatResponse, Hello, IncarnationHello,
    Record, RecordBatch, RefusalReport, RefusalReportTaken, ReportRequest, ReportResponse, SpoolRecords,
    Update, WatchRequest,
    node_service_server::{NodeService, NodeServiceServer},
    record,
    refusal_service_server::{RefusalService, RefusalServiceServer},
    report_request,
    snapshot_service_server::{SnapshotService, SnapshotServiceServer},
    usage_service_server::{UsageService, UsageServiceServer},
    watch_request,
};
use shared::tasks::Tasks;
use tokio::{io::DuplexStream, sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::transport::ControlPlane;

type Outgoing<T> = mpsc::Sender<Result<T, Status>>;

/// Clones are the same one.
#[derive(Clone)]
pub(crate) struct FakeControlPlane(Arc<Inner>);

struct Inner {
    tasks: Tasks,
    /// Where pipes go while it is up.
    door: Mutex<Option<mpsc::Sender<DuplexStream>>>,
    /// Each joins a node's end to the server's.
    cables: Mutex<Vec<JoinHandle<()>>>,
    /// What a node that says hello is sent.
    greeting: Mutex<Vec<Update>>,
    watcher: Mutex<Option<Outgoing<Update>>>,
    commander: Mutex<Option<Outgoing<Command>>>,
    heard: Mutex<Heard>,
    /// Records of a stream that are taken before the stream is broken.
    records_per_stream: AtomicU64,
    heartbeat_interval_ms: AtomicU64,
}

/// All that nodes have said.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) hellos: Vec<Hello>,
    pub(crate) answers: Vec<watch_request::Message>,
    pub(crate) heartbeats: Vec<HeartbeatRequest>,
    pub(crate) refuse_heartbeats: bool,
    pub(crate) results: Vec<CommandResult>,
    /// By incarnation and spool; in the order of arrival.
    pub(crate) ledger: BTreeMap<(Vec<u8>, u32), Vec<Reported>>,
    /// What nodes say that they do not have any more: first and last sequence.
    pub(crate) gone: Vec<(u64, u64)>,
    /// Reports of refusals as they came, also those that came again.
    pub(crate) refusals: Vec<RefusalReport>,
    /// So many of them are taken, and the node does not hear of it.
    pub(crate) lose_refusal_answers: usize,
    pub(crate) report_streams: usize,
    pub(crate) report_batches: usize,
    /// The most records, bytes of records, and spools of one batch.
    pub(crate) largest_batch: (usize, usize, usize),
    /// Incarnations are said to be closed, whatever is there of them.
    pub(crate) closes_too_soon: bool,
    /// An incarnation that is not taken.
    pub(crate) refused_incarnation: Option<Vec<u8>>,
}

/// A record as it arrived. Without content: the node has lost it.
pub(crate) struct Reported {
    pub(crate) sequence: u64,
    pub(crate) record: Option<record::Record>,
}

impl FakeControlPlane {
    pub(crate) fn new(tasks: &Tasks) -> Self {
        let this = Self(Arc::new(Inner {
            tasks: tasks.clone(),
            door: Mutex::default(),
            cables: Mutex::default(),
            greeting: Mutex::default(),
            watcher: Mutex::default(),
            commander: Mutex::default(),
            heard: Mutex::default(),
            records_per_stream: AtomicU64::new(u64::MAX),
            heartbeat_interval_ms: AtomicU64::new(60_000),
        }));
        this.come_up();
        this
    }

    pub(crate) fn come_up(&self) {
        let (pipes, incoming) = mpsc::channel::<DuplexStream>(8);
        let incoming = tokio_stream::StreamExt::map(ReceiverStream::new(incoming), Ok::<_, io::Error>);
        let server = tonic::transport::Server::builder()
            .add_service(SnapshotServiceServer::new(self.clone()))
            .add_service(NodeServiceServer::new(self.clone()))
            .add_service(UsageServiceServer::new(self.clone()))
            .add_service(RefusalServiceServer::new(self.clone()))
            .serve_with_incoming(incoming);
        self.0.tasks.spawn(async move {
            _ = server.await;
        });
        *self.0.door.lock() = Some(pipes);
    }

    /// Breaks all connections and takes no new ones.
    pub(crate) async fn go_down(&self) {
        self.0.door.lock().take();
        self.0.watcher.lock().take();
        self.0.commander.lock().take();
        let cables = std::mem::take(&mut *self.0.cables.lock());
        for cable in cables {
            cable.abort();
            _ = cable.await;
        }
    }

    pub(crate) fn transport(&self) -> ControlPlane {
        let this = self.clone();
        ControlPlane::in_process(move || {
            let (this, door) = (this.clone(), this.0.door.lock().clone());
            async move {
                let pipes = door.ok_or(io::ErrorKind::ConnectionRefused)?;
                let (near, mut middle) = tokio::io::duplex(64 * 1024);
                let (mut other_middle, far) = tokio::io::duplex(64 * 1024);
                pipes.send(far).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
                let cable = this.0.tasks.spawn(async move {
                    _ = tokio::io::copy_bidirectional(&mut middle, &mut other_middle).await;
                });
                this.0.cables.lock().push(cable);
                Ok(near)
            }
        })
    }

    /// What a node that says hello is sent from now on.
    pub(crate) fn greet_with(&self, updates: Vec<Update>) {
        *self.0.greeting.lock() = updates;
    }

    /// Sends to the node that watches.
    pub(crate) async fn publish(&self, update: Update) {
        let watcher = self.0.watcher.lock().clone();
        watcher.expect("a node watches").send(Ok(update)).await.expect("the stream is open");
    }

    pub(crate) async fn command(&self, command: Command) {
        let commander = self.0.commander.lock().clone();
        commander.expect("a node takes commands").send(Ok(command)).await.expect("the stream is open");
    }

    pub(crate) fn takes_commands(&self) -> bool {
        self.0.commander.lock().is_some()
    }

    pub(crate) fn heard<T>(&self, look: impl FnOnce(&mut Heard) -> T) -> T {
        look(&mut self.0.heard.lock())
    }

    pub(crate) fn break_reports_after(&self, records: u64) {
        self.0.records_per_stream.store(records, Ordering::Relaxed);
    }

    pub(crate) fn ask_for_heartbeats_every(&self, interval_ms: u64) {
        self.0.heartbeat_interval_ms.store(interval_ms, Ordering::Relaxed);
    }

    async fn report_stream(
        self,
        mut incoming: Streaming<ReportRequest>,
        outgoing: Outgoing<ReportResponse>,
    ) -> Result<(), Status> {
        let Some(report_request::Message::Hello(hello)) =
            incoming.message().await?.and_then(|first| first.message)
        else {
            return Err(Status::invalid_argument("no hello"));
        };
        let mut left = self.0.records_per_stream.load(Ordering::Relaxed);
        let is_refused = self.heard(|heard| {
            heard.report_streams += 1;
            heard.refused_incarnation.as_ref() == Some(&hello.incarnation_id)
        });
        if is_refused {
            return Err(Status::permission_denied("refused by the test"));
        }
        loop {
            let reached = self.heard(|heard| heard.reached(&hello));
            _ = outgoing.send(Ok(reached)).await;
            let Some(request) = incoming.message().await? else {
                return Ok(());
            };
            let Some(report_request::Message::Batch(batch)) = request.message else {
                return Err(Status::invalid_argument("no batch"));
            };
            self.heard(|heard| heard.measure(&batch));
            for of in batch.spools {
                self.heard(|heard| heard.follows_on(&hello, &of))?;
                let spool = (hello.incarnation_id.clone(), of.spool);
                for (bytes, sequence) in of.records.into_iter().zip(of.first_sequence..) {
                    if left == 0 {
                        return Err(Status::unavailable("broken by the test"));
                    }
                    left -= 1;
                    let record = Record::decode(bytes).expect("nodes send records").record;
                    self.heard(|heard| {
                        heard.ledger.entry(spool.clone()).or_default().push(Reported { sequence, record });
                    });
                }
            }
        }
    }
}

impl Heard {
    fn last(&self, incarnation_id: &[u8], spool: u32) -> Option<&Reported> {
        self.ledger.get(&(incarnation_id.to_vec(), spool)).and_then(|of| of.last())
    }

    /// What is answered to all that comes.
    fn reached(&self, hello: &IncarnationHello) -> ReportResponse {
        let lasts = (0..hello.spools).map(|spool| (spool, self.last(&hello.incarnation_id, spool)));
        let is_end = |last: &Reported| matches!(last.record, Some(record::Record::End(_)));
        let is_complete = lasts.clone().all(|(_, last)| last.is_some_and(is_end));
        let closed = is_complete || self.closes_too_soon;
        let acknowledged = lasts
            .map(|(spool, last)| Acknowledged { spool, sequence: last.map_or(0, |last| last.sequence) })
            .collect();
        ReportResponse { acknowledged, closed }
    }

    fn measure(&mut self, batch: &RecordBatch) {
        self.report_batches += 1;
        let records = || batch.spools.iter().flat_map(|of| &of.records);
        let (most, bytes, spools) = &mut self.largest_batch;
        *most = (*most).max(records().count());
        *bytes = (*bytes).max(records().map(|record| record.len()).sum());
        *spools = (*spools).max(batch.spools.len());
    }

    /// The database is as it was when it had so many records of the only spool.
    pub(crate) fn restore(&mut self, records: usize) {
        self.ledger.values_mut().for_each(|of| of.truncate(records));
    }

    /// Whether it begins where the last one ended, as it must.
    fn follows_on(&mut self, hello: &IncarnationHello, of: &SpoolRecords) -> Result<(), Status> {
        let last = self.last(&hello.incarnation_id, of.spool).map_or(0, |last| last.sequence);
        if of.first_sequence != last + of.gone + 1 || of.spool >= hello.spools {
            return Err(Status::invalid_argument("it does not follow on the last"));
        }
        if of.gone > 0 {
            self.gone.push((last + 1, of.first_sequence - 1));
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl SnapshotService for FakeControlPlane {
    type WatchStream = ReceiverStream<Result<Update, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (outgoing, updates) = mpsc::channel(64);
        let (this, mut incoming) = (self.clone(), request.into_inner());
        self.0.tasks.spawn(async move {
            while let Ok(Some(request)) = incoming.message().await {
                match request.message {
                    Some(watch_request::Message::Hello(hello)) => {
                        let greeting = this.0.greeting.lock().clone();
                        for update in greeting {
                            _ = outgoing.send(Ok(update)).await;
                        }
                        *this.0.watcher.lock() = Some(outgoing.clone());
                        this.heard(|heard| heard.hellos.push(hello));
                    }
                    Some(answer) => this.heard(|heard| heard.answers.push(answer)),
                    None => {}
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(updates)))
    }
}

#[tonic::async_trait]
impl NodeService for FakeControlPlane {
    type CommandsStream = ReceiverStream<Result<Command, Status>>;

    async fn heartbeat(
        &self,
        request: Request<HeartbeatRequest>,
    ) -> Result<Response<HeartbeatResponse>, Status> {
        let refuse = self.heard(|heard| {
            heard.heartbeats.push(request.into_inner());
            heard.refuse_heartbeats
        });
        if refuse {
            return Err(Status::unavailable("refused by the test"));
        }
        let interval_ms = self.0.heartbeat_interval_ms.load(Ordering::Relaxed);
        Ok(Response::new(HeartbeatResponse { live_nodes: 3, interval_ms, withheld: false }))
    }

    async fn commands(
        &self,
        request: Request<Streaming<CommandResult>>,
    ) -> Result<Response<Self::CommandsStream>, Status> {
        let (outgoing, commands) = mpsc::channel(16);
        let (this, mut incoming) = (self.clone(), request.into_inner());
        *self.0.commander.lock() = Some(outgoing);
        self.0.tasks.spawn(async move {
            while let Ok(Some(result)) = incoming.message().await {
                this.heard(|heard| heard.results.push(result));
            }
        });
        Ok(Response::new(ReceiverStream::new(commands)))
    }
}

#[tonic::async_trait]
impl UsageService for FakeControlPlane {
    type ReportStream = ReceiverStream<Result<ReportResponse, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let (outgoing, answers) = mpsc::channel(16);
        let (this, incoming) = (self.clone(), request.into_inner());
        self.0.tasks.spawn(async move {
            if let Err(status) = this.report_stream(incoming, outgoing.clone()).await {
                _ = outgoing.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

#[tonic::async_trait]
impl RefusalService for FakeControlPlane {
    async fn report(&self, request: Request<RefusalReport>) -> Result<Response<RefusalReportTaken>, Status> {
        let report = request.into_inner();
        let acknowledged = report.sequence;
        let is_lost = self.heard(|heard| {
            heard.refusals.push(report);
            let left = heard.lose_refusal_answers.checked_sub(1);
            heard.lose_refusal_answers = left.unwrap_or_default();
            left.is_some()
        });
        if is_lost {
            return Err(Status::unavailable("lost by the test"));
        }
        Ok(Response::new(RefusalReportTaken { acknowledged }))
    }
}
