//! Delivers a spool's records to the ledger.
//!
//! The control plane says at the beginning of each stream how far it has the spool; from there the records are read
//! from disk and sent in batches, a few of them ahead of what is acknowledged. Nothing is kept in memory but these.
//!
//! What comes is gathered for a moment, or until it is much: most requests are over by then, and become one row at once,
//! which costs the ledger half of what an open row does that is closed later.

use std::{collections::VecDeque, io, time::Duration};

use proto::v1::{
    IncarnationHello, RecordBatch, ReportRequest, ReportResponse, SpoolRecords, report_request::Message,
};
use shared::tasks::Tasks;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::spool::{BatchSize, Journal, Outbox, Reader};
use crate::transport::{Backoff, ControlPlane};

const BATCH: BatchSize = BatchSize { records: 500, bytes: 512 * 1024 };
/// The first record of a batch waits for others at most this long.
const GATHER: Duration = Duration::from_millis(250);
/// Batches sent and not acknowledged.
const WINDOW: usize = 4;
/// Without an acknowledgement for this long, the stream is given up and begun anew.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);

/// Why a stream ended that should have gone on.
#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error("{}", .0.message())]
    Status(#[from] tonic::Status),
    #[error("the control plane did not answer in time")]
    Silent,
    #[error("the spool can't be read: {0}")]
    Read(#[from] io::Error),
    #[error("reading the spool failed: {0}")]
    Failed(#[from] tokio::task::JoinError),
}

/// Delivers the journal's spools until the tasks end: those that were found one after the other, beside the own one.
pub(crate) fn start(control_plane: &ControlPlane, journal: &Journal, tasks: &Tasks) {
    let mut found = journal.outboxes();
    let own = found.pop();
    let (control_plane, tasks) = (control_plane.clone(), tasks.clone());
    if let Some(own) = own {
        tasks.spawn(deliver(control_plane.clone(), own, tasks.clone()));
    }
    tasks.clone().spawn(async move {
        for outbox in found {
            deliver(control_plane.clone(), outbox, tasks.clone()).await;
        }
    });
}

/// Delivers until nothing is left and nothing will come, or the tasks end.
pub(crate) async fn deliver(control_plane: ControlPlane, outbox: Outbox, tasks: Tasks) {
    let stopping = tasks.stopping();
    let mut backoff = Backoff::new(rand::random());
    while let Some(ended) =
        stopping.run_until_cancelled(session(&control_plane, &outbox, &tasks, &mut backoff)).await
    {
        if outbox.finished() {
            return;
        }
        let pause = match ended {
            Ok(()) => backoff.worked(),
            Err(error) => {
                let pause = backoff.failed();
                tracing::warn!(%error, spool = %outbox.spool(), retry_in = ?pause, "usage records can't be delivered; they stay on disk");
                pause
            }
        };
        if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// One stream. `Ok`: the control plane ended it in order, or all is delivered.
async fn session(
    control_plane: &ControlPlane,
    outbox: &Outbox,
    tasks: &Tasks,
    backoff: &mut Backoff,
) -> Result<(), ReportError> {
    let (batches, requests) = mpsc::channel(WINDOW + 1);
    let hello = IncarnationHello {
        node_id: outbox.node_id().to_owned(),
        incarnation_id: outbox.spool().to_bytes().to_vec(),
        spools: 1,
    };
    send(&batches, Message::Hello(hello)).await;
    let mut client = control_plane.usage();
    let answers = within(client.report(ReceiverStream::new(requests))).await??.into_inner();
    let mut session = Session { outbox, tasks, batches, answers, sent: 0, under_way: VecDeque::new() };
    let Some(begin) = within(session.answers.message()).await?? else {
        return Ok(());
    };
    backoff.worked();
    let reached = reached(&begin);
    session.acknowledged(reached).await?;
    session.sent = reached;
    session.run(outbox.reader(reached)).await
}

struct Session<'a> {
    outbox: &'a Outbox,
    tasks: &'a Tasks,
    batches: mpsc::Sender<ReportRequest>,
    answers: Streaming<ReportResponse>,
    sent: u64,
    /// Last sequence of each batch that is not acknowledged.
    under_way: VecDeque<u64>,
}

impl Session<'_> {
    async fn run(mut self, mut reader: Reader) -> Result<(), ReportError> {
        let mut rising = self.outbox.rising();
        // What has been waiting for a stream waits no longer.
        let mut due = self.outbox.durable();
        let mut gathered: Option<Instant> = None;
        while !self.outbox.finished() {
            let may_send = self.under_way.len() < WINDOW;
            if may_send && self.sent < due {
                reader = self.send_batch(reader, due).await?;
                continue;
            }
            let durable = self.outbox.durable();
            if durable.saturating_sub(self.sent) >= BATCH.records as u64 {
                (due, gathered) = (durable, None);
                if may_send {
                    continue;
                }
            } else if gathered.is_none() && self.sent < durable {
                gathered = Some(Instant::now() + GATHER);
            }
            let silence = tokio::time::sleep(ACKNOWLEDGED_WITHIN);
            tokio::select! {
                answer = self.answers.message() => match answer? {
                    Some(answer) => self.acknowledged(reached(&answer)).await?,
                    None => return Ok(()),
                },
                () = until(gathered), if may_send => {
                    due = self.outbox.durable();
                    gathered = None;
                }
                () = risen(rising.as_mut()), if may_send => {}
                () = silence, if !self.under_way.is_empty() => return Err(ReportError::Silent),
            }
        }
        Ok(())
    }

    /// Sends of what comes up to and with `due`.
    async fn send_batch(&mut self, mut reader: Reader, due: u64) -> Result<Reader, ReportError> {
        let first_sequence = reader.next_sequence();
        let read = self.tasks.spawn_blocking(move || (reader.batch(due, BATCH), reader));
        let (records, reader) = read.await?;
        let records = records?;
        if !records.is_empty() {
            self.sent = reader.next_sequence() - 1;
            self.under_way.push_back(self.sent);
            let spool = SpoolRecords { spool: 0, first_sequence, records, gone: 0 };
            send(&self.batches, Message::Batch(RecordBatch { spools: vec![spool] })).await;
        }
        Ok(reader)
    }

    async fn acknowledged(&mut self, reached: u64) -> Result<(), ReportError> {
        self.under_way.retain(|last| *last > reached);
        Ok(self.outbox.acknowledge(reached, self.tasks).await?)
    }
}

/// How far the ledger has the spool.
fn reached(answer: &ReportResponse) -> u64 {
    answer.acknowledged.first().map_or(0, |acknowledged| acknowledged.sequence)
}

/// The gathering ends. `None`: none has begun.
async fn until(gathered: Option<Instant>) {
    match gathered {
        Some(gathered) => tokio::time::sleep_until(gathered).await,
        None => std::future::pending().await,
    }
}

/// There is more to be sent.
async fn risen(rising: Option<&mut tokio::sync::watch::Receiver<u64>>) {
    let changed = match rising {
        Some(rising) => rising.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending().await
    }
}

/// Where the stream is gone, reading from it says so.
async fn send(batches: &mpsc::Sender<ReportRequest>, message: Message) {
    _ = batches.send(ReportRequest { message: Some(message) }).await;
}

async fn within<T>(work: impl Future<Output = T>) -> Result<T, ReportError> {
    tokio::time::timeout(ACKNOWLEDGED_WITHIN, work).await.map_err(|_| ReportError::Silent)
}
