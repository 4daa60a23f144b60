//! Delivers an incarnation's records to the ledger.
//!
//! The control plane says at the beginning of each stream how far it has each spool; from there the records are read
//! from disk and sent in batches over all spools, a few of them ahead of what is acknowledged. Nothing is kept in memory
//! but these.
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

/// At most so much at once; the largest record fits in by far.
const BATCH: BatchSize = BatchSize { records: 2_000, bytes: 1024 * 1024 };
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

/// Delivers the journal's incarnations until the tasks end: those that were found in turn, beside the own one.
pub(crate) fn start(control_plane: &ControlPlane, journal: &Journal, tasks: &Tasks) {
    let mut found = journal.outboxes();
    let own = found.pop();
    let (control_plane, tasks) = (control_plane.clone(), tasks.clone());
    if let Some(own) = own {
        tasks.spawn(deliver(control_plane.clone(), own, tasks.clone()));
    }
    tasks.clone().spawn(async move { deliver_all(&control_plane, found, &tasks).await });
}

/// Delivers those that were found, in turn, so that one that can't be delivered holds up no other. Ends with the last of
/// them, or with the tasks.
pub(crate) async fn deliver_all(control_plane: &ControlPlane, mut found: Vec<Outbox>, tasks: &Tasks) {
    let stopping = tasks.stopping();
    let mut backoff = Backoff::new(rand::random());
    while !found.is_empty() {
        let (mut left, mut failed) = (Vec::new(), false);
        for outbox in found {
            let session = session(control_plane, &outbox, tasks, &mut backoff);
            match stopping.run_until_cancelled(session).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    failed = true;
                    tracing::warn!(%error, incarnation = %outbox.incarnation(), "usage records of an earlier run can't be delivered; they stay on disk");
                }
            }
            if !outbox.finished() {
                left.push(outbox);
            }
        }
        found = left;
        let pause = if failed { backoff.failed() } else { backoff.worked() };
        if !found.is_empty() && stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Delivers until nothing is left and nothing will come, or the tasks end.
async fn deliver(control_plane: ControlPlane, outbox: Outbox, tasks: Tasks) {
    let stopping = tasks.stopping();
    let mut backoff = Backoff::new(rand::random());
    while let Some(ended) =
        stopping.run_until_cancelled(session(&control_plane, &outbox, &tasks, &mut backoff)).await
    {
        let pause = match ended {
            Ok(()) if outbox.finished() => return,
            Ok(()) => backoff.worked(),
            Err(error) => {
                let pause = backoff.failed();
                tracing::warn!(%error, incarnation = %outbox.incarnation(), retry_in = ?pause, "usage records can't be delivered; they stay on disk");
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
        incarnation_id: outbox.incarnation().to_bytes().to_vec(),
        spools: outbox.spools().end,
    };
    send(&batches, Message::Hello(hello)).await;
    let mut client = control_plane.usage();
    let answers = within(client.report(ReceiverStream::new(requests))).await??.into_inner();
    let mut session = Session { outbox, tasks, batches, answers, under_way: VecDeque::new() };
    let Some(begin) = within(session.answers.message()).await?? else {
        return Ok(());
    };
    backoff.worked();
    // Of those that it does not name it has nothing.
    let mut reached: Vec<_> = outbox.spools().map(|spool| (spool, 0)).collect();
    for (spool, sequence) in named(&begin) {
        if let Some(known) = reached.get_mut(spool as usize) {
            known.1 = sequence;
        }
    }
    session.acknowledged(&reached).await?;
    session.run(Lanes::new(outbox, &reached)).await
}

struct Session<'a> {
    outbox: &'a Outbox,
    tasks: &'a Tasks,
    batches: mpsc::Sender<ReportRequest>,
    answers: Streaming<ReportResponse>,
    /// Batches that are not acknowledged: of each the last sequences, by spool.
    under_way: VecDeque<Vec<(u32, u64)>>,
}

impl Session<'_> {
    async fn run(mut self, mut lanes: Lanes) -> Result<(), ReportError> {
        let mut rising = self.outbox.rising();
        // What has been waiting for a stream waits no longer.
        lanes.all_due(self.outbox);
        let mut gathered: Option<Instant> = None;
        while !self.outbox.finished() {
            let may_send = self.under_way.len() < WINDOW;
            if may_send && lanes.are_due() {
                lanes = self.send_batch(lanes).await?;
                continue;
            }
            let waiting = lanes.waiting(self.outbox);
            if waiting == 0
                && self.under_way.is_empty()
                && let Some(error) = lanes.take_error()
            {
                return Err(error.into());
            }
            if waiting >= BATCH.records as u64 || waiting > 0 && self.outbox.is_ended() {
                lanes.all_due(self.outbox);
                gathered = None;
                if may_send {
                    continue;
                }
            } else if gathered.is_none() && waiting > 0 {
                gathered = Some(Instant::now() + GATHER);
            }
            let silence = tokio::time::sleep(ACKNOWLEDGED_WITHIN);
            tokio::select! {
                answer = self.answers.message() => match answer? {
                    Some(answer) => {
                        let reached: Vec<_> = named(&answer).collect();
                        self.acknowledged(&reached).await?;
                    }
                    None => return Ok(()),
                },
                () = until(gathered), if may_send => {
                    lanes.all_due(self.outbox);
                    gathered = None;
                }
                () = risen(rising.as_mut()), if may_send => {}
                () = silence, if !self.under_way.is_empty() => return Err(ReportError::Silent),
            }
        }
        Ok(())
    }

    async fn send_batch(&mut self, mut lanes: Lanes) -> Result<Lanes, ReportError> {
        let read = self.tasks.spawn_blocking(move || (lanes.batch(), lanes));
        let (spools, lanes) = read.await?;
        if !spools.is_empty() {
            self.under_way.push_back(spools.iter().map(|of| (of.spool, last_of(of))).collect());
            send(&self.batches, Message::Batch(RecordBatch { spools })).await;
        }
        Ok(lanes)
    }

    /// Where the control plane has closed the incarnation, it takes what it does not have of it all the same: a disk that
    /// was restored may hold other ends than those that it knows.
    async fn acknowledged(&mut self, reached: &[(u32, u64)]) -> Result<(), ReportError> {
        for batch in &mut self.under_way {
            batch.retain(|(spool, last)| !reached.iter().any(|(of, upto)| of == spool && upto >= last));
        }
        self.under_way.retain(|batch| !batch.is_empty());
        Ok(self.outbox.acknowledge(reached, self.tasks).await?)
    }
}

/// Sequence of the last record in it.
fn last_of(of: &SpoolRecords) -> u64 {
    let count = u64::try_from(of.records.len()).unwrap_or(u64::MAX);
    of.first_sequence.saturating_add(count).saturating_sub(1)
}

/// Where the reading of each spool is.
struct Lanes {
    all: Vec<Lane>,
    /// The one that the next batch begins with, so that none waits for the others.
    next: usize,
}

struct Lane {
    spool: u32,
    reader: Reader,
    /// Records up to and with this one are to be sent.
    due: u64,
    /// Why it can't be read on.
    error: Option<io::Error>,
}

impl Lanes {
    fn new(outbox: &Outbox, reached: &[(u32, u64)]) -> Self {
        let lane = |(spool, reached): &(u32, u64)| {
            outbox.reader(*spool, *reached).map(|reader| Lane {
                spool: *spool,
                reader,
                due: *reached,
                error: None,
            })
        };
        Self { all: reached.iter().filter_map(lane).collect(), next: 0 }
    }

    /// All that is durable is to be sent.
    fn all_due(&mut self, outbox: &Outbox) {
        for lane in &mut self.all {
            lane.due = outbox.durable(lane.spool);
        }
    }

    fn are_due(&self) -> bool {
        self.all.iter().any(Lane::is_due)
    }

    /// Durable records that were not sent.
    fn waiting(&self, outbox: &Outbox) -> u64 {
        let of = |lane: &Lane| (outbox.durable(lane.spool) + 1).saturating_sub(lane.reader.next_sequence());
        self.all.iter().filter(|lane| lane.error.is_none()).map(of).sum()
    }

    /// Why one of them can't be read on.
    fn take_error(&mut self) -> Option<io::Error> {
        self.all.iter_mut().find_map(|lane| lane.error.take())
    }

    /// Reads a batch of what is due; a spool that can't be read holds up no other. Blocks on the disk.
    fn batch(&mut self) -> Vec<SpoolRecords> {
        let (mut batch, mut room) = (Vec::new(), BATCH);
        self.next = (self.next + 1) % self.all.len().max(1);
        let (before, from) = self.all.split_at_mut(self.next);
        for lane in from.iter_mut().chain(before).filter(|lane| lane.is_due()) {
            let read = match lane.reader.batch(lane.due, room) {
                Ok(read) => read,
                Err(error) => {
                    lane.error = Some(error);
                    continue;
                }
            };
            room.records -= read.records.len();
            room.bytes -= read.records.iter().map(bytes::Bytes::len).sum::<usize>();
            if !read.records.is_empty() {
                let (first_sequence, records, gone) = (read.first_sequence, read.records, read.gone);
                batch.push(SpoolRecords { spool: lane.spool, first_sequence, records, gone });
            }
        }
        batch
    }
}

impl Lane {
    const fn is_due(&self) -> bool {
        self.error.is_none() && self.reader.next_sequence() <= self.due
    }
}

/// How far the ledger has the spools that it names.
fn named(answer: &ReportResponse) -> impl Iterator<Item = (u32, u64)> {
    answer.acknowledged.iter().map(|acknowledged| (acknowledged.spool, acknowledged.sequence))
}

/// The gathering ends. `None`: none has begun.
async fn until(gathered: Option<Instant>) {
    match gathered {
        Some(gathered) => tokio::time::sleep_until(gathered).await,
        None => std::future::pending().await,
    }
}

/// There is more to be sent.
async fn risen(rising: Option<&mut tokio::sync::watch::Receiver<()>>) {
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
