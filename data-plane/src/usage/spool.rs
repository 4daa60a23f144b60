//! Where records are until the ledger has them: append-only files under `<data dir>/spool/<incarnation>/<number>/`.
//!
//! An incarnation is one run of the process. It writes several spools: number 0 for what is written off the workers, and
//! one for each worker after it, so that workers don't wait for each other. A request's close record goes into the spool
//! of its open record, whoever writes it, so that each spool can be told by itself which of its requests are open. Where
//! none is at the end of the run, the spool gets an *end* record; a later run (or `drain`) closes what was left open, as
//! cut off, and ends it. Once the ledger has the ends of all its spools, an incarnation's folder goes.
//!
//! [`Journal`] is the end that requests write to: one `write(2)` a record, so that it survives a kill, and nothing else
//! of the disk ([`disk`] does the rest: among it a sync every few milliseconds, so that a power cut takes little). Each
//! incarnation, own or found, has an [`Outbox`]: the end that the reporter reads from. What was never synced is not
//! reported, so a sequence never means two records.
//!
//! **Room on the disk.** A spool takes what is not acknowledged, and beside it at most six segments and twice the open
//! records of the requests that run in it (each [`frame::LARGEST`] at the most, some hundred bytes as a rule): four
//! segments and those open records may be kept for requests that run for long before these are copied on (see
//! [`writer`]), one is written to, and one is acknowledged in part. The incarnation keeps back the room of another segment
//! (see [`reserve`]). What other runs have left is beside that, and goes an incarnation at a time.

mod copy;
mod cut;
mod disk;
mod fault;
mod frame;
mod health;
mod identity;
mod lock;
mod outbox;
mod own;
mod reader;
mod recovery;
mod reserve;
mod salvage;
mod scratch;
mod segment;
mod slots;
mod writer;

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use proto::v1::{CloseRecord, OpenRecord};
use shared::{
    clock::{Clock, Millis},
    id::IncarnationId,
    tasks::Tasks,
};

use identity::Identity;
pub use lock::FolderLock;
use outbox::Found;
pub(crate) use outbox::Outbox;
use own::Own;
pub(crate) use reader::{BatchSize, Reader};
pub use writer::Opened;

const FOLDER: &str = "spool";

/// Why a record is not on disk.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("no room on the disk for usage records")]
    Full,
    #[error("usage records can't be read or written: {0}")]
    Io(io::Error),
    #[error("usage records can't be written until the disk works again")]
    Unhealthy,
    #[error("a usage record of {0} bytes is too large")]
    TooLarge(usize),
    #[error("this process takes no more usage records")]
    Ended,
    #[error("another process works in {}: stop it first, or name another folder with --data-dir", .0.display())]
    Locked(PathBuf),
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(error),
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct SpoolSettings {
    /// A power cut takes at most the records of this long.
    pub sync_every: Duration,
    /// A new file is begun when the current one would be larger.
    pub segment_bytes: u64,
    /// While the disk takes no records, it is tried again after this long.
    pub probe_every: Duration,
    /// A disk that has not answered for this long takes no records: what is not synced must not grow without bound.
    pub stalled_after: Duration,
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self {
            sync_every: Duration::from_millis(10),
            segment_bytes: 8 * 1024 * 1024,
            probe_every: Duration::from_secs(1),
            stalled_after: Duration::from_secs(5),
        }
    }
}

/// A run of the process, as its records tell of it.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    pub node_id: &'a str,
    pub incarnation: IncarnationId,
    /// Each has a spool of its own.
    pub workers: usize,
}

/// The spools of this process, and of which of them this end is. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Journal {
    spools: Arc<Spools>,
    /// Where requests are opened.
    number: u32,
}

#[derive(Debug)]
struct Spools {
    own: Arc<Own>,
    found: Vec<Arc<Found>>,
    set_aside: usize,
    /// Held for as long as this exists.
    _lock: FolderLock,
}

impl Journal {
    /// Finds what earlier runs left in the data folder, and begins this one's spools. Gives the end of who is no worker.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// The folder can't be read or written. A full disk is no error: see [`Self::healthy`].
    pub fn create(
        lock: FolderLock,
        run: Run<'_>,
        settings: SpoolSettings,
        clock: &Clock,
        tasks: &Tasks,
    ) -> Result<Self, SpoolError> {
        Self::begin(lock, run, settings, clock, |own| disk::start(own, tasks, disk::round))
    }

    fn begin(
        lock: FolderLock,
        run: Run<'_>,
        settings: SpoolSettings,
        clock: &Clock,
        start: impl FnOnce(&Arc<Own>) -> io::Result<()>,
    ) -> Result<Self, SpoolError> {
        let Left { found, set_aside } = Left::find(&lock, clock.now())?;
        let folder = lock.data_dir().join(FOLDER).join(run.incarnation.to_string());
        let spools = u32::try_from(run.workers + 1).unwrap_or(u32::MAX);
        let identity = Identity { node_id: run.node_id.to_owned(), spools };
        let own = Arc::new(Own::new(run.incarnation, identity, folder, settings));
        match own.make_fit() {
            Ok(()) => own.spools.iter().for_each(|spool| disk::make_ready(spool, 0)),
            Err(SpoolError::Full) => own.fail(&SpoolError::Full),
            Err(error) => return Err(error),
        }
        start(&own)?;
        Ok(Self { spools: Arc::new(Spools { own, found, set_aside, _lock: lock }), number: 0 })
    }

    /// The end of a worker; workers are numbered from 0. One that has no spool of its own gets that of all others.
    #[must_use]
    pub fn of_worker(&self, worker: usize) -> Self {
        let number =
            u32::try_from(worker + 1).ok().filter(|number| *number < self.spools.own.identity.spools);
        Self { spools: Arc::clone(&self.spools), number: number.unwrap_or(0) }
    }

    /// The run whose spools are written.
    #[must_use]
    pub fn incarnation(&self) -> IncarnationId {
        self.spools.own.incarnation
    }

    /// Writes that a request begins. Once this returns `Ok` the record survives a kill of the process. What it gives
    /// is for [`Self::close`].
    ///
    /// # Errors
    /// The record is not on disk, and the request must not be forwarded.
    pub fn open(&self, record: &OpenRecord) -> Result<Opened, SpoolError> {
        self.spools.own.open(self.number, record)
    }

    /// Writes how a request ended, into the spool that it was opened in. Where the disk does not take the record, it is kept in memory and written once
    /// there is room.
    ///
    /// # Errors
    /// The record is not on disk yet.
    pub fn close(&self, opened: Opened, record: &CloseRecord) -> Result<(), SpoolError> {
        self.spools.own.close(opened, record)
    }

    /// Records that the ledger does not have yet, of all spools.
    #[must_use]
    pub fn depth(&self) -> u64 {
        let found = self.spools.found.iter().map(|found| found.depth());
        found.fold(self.spools.own.depth(), u64::saturating_add)
    }

    /// What all spools take on the disk, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let found = self.spools.found.iter().map(|found| found.bytes());
        found.fold(self.spools.own.bytes(), u64::saturating_add)
    }

    /// When the oldest request of this run began that is open.
    #[must_use]
    pub fn oldest_open(&self) -> Option<Millis> {
        self.spools.own.oldest_open()
    }

    /// Records of earlier runs that were written, and that this start did not find.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.spools.found.iter().map(|found| found.missing()).sum()
    }

    /// Folders with records that can't be read, or that nobody can say of whose they are.
    #[must_use]
    pub fn set_aside(&self) -> usize {
        self.spools.set_aside
    }

    /// False while records can't be written, or don't become durable: nothing may be forwarded.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.spools.own.health.is_good()
    }

    /// Makes everything written so far durable now. Blocks on the disk, within bounds. False: it is not durable.
    #[cfg(test)]
    pub(crate) fn sync(&self) -> bool {
        self.spools.own.sync()
    }

    /// Ends the spools in which no request is open, and makes all durable. No requests are taken after that. Blocks on the
    /// disk, within bounds. False: something is not durable.
    pub(crate) fn end(&self, now: Millis) -> bool {
        self.spools.own.end(now);
        self.spools.own.sync()
    }

    /// Resolves once the ledger has all that was written before the call.
    pub(crate) async fn delivered(&self) {
        for outbox in self.outboxes() {
            outbox.delivered().await;
        }
    }

    /// What is to be reported: found incarnations, oldest first, then the own one.
    pub(crate) fn outboxes(&self) -> Vec<Outbox> {
        let found = self.spools.found.iter().cloned().map(Outbox::Found);
        found.chain([Outbox::Own(Arc::clone(&self.spools.own))]).collect()
    }
}

/// Finds the incarnations of a data folder without beginning one: for draining. `now`: when those end that have no end
/// yet.
pub(crate) fn found_outboxes(lock: &FolderLock, now: Millis) -> Result<Vec<Outbox>, SpoolError> {
    let Left { found, .. } = Left::find(lock, now)?;
    Ok(found.into_iter().map(Outbox::Found).collect())
}

/// What earlier runs left in a data folder.
struct Left {
    found: Vec<Arc<Found>>,
    set_aside: usize,
}

impl Left {
    fn find(lock: &FolderLock, now: Millis) -> Result<Self, SpoolError> {
        let folder = lock.data_dir().join(FOLDER);
        fs::create_dir_all(&folder)?;
        let recovery::All { incarnations, set_aside } = recovery::all(&folder, now)?;
        let found = incarnations.into_iter().map(|recovered| Arc::new(Found::new(recovered)));
        Ok(Self { found: found.collect(), set_aside })
    }
}

#[cfg(test)]
mod tests;
