//! Where records are until the ledger has them: append-only files under `<data dir>/spool/<spool id>/`.
//!
//! A process begins a spool of its own and finds those that earlier ones left. [`Journal`] is the end that requests
//! write to: one `write(2)` a record, so that it survives a kill, and nothing else of the disk ([`disk`] does the rest:
//! among it a sync every few milliseconds, so that a power cut takes little). Each spool, own or found, has an [`Outbox`]: the end that the reporter reads from. What was
//! never synced is not reported, so a sequence never means two records.

mod disk;
mod frame;
mod outbox;
mod own;
mod reader;
mod recovery;
mod scratch;
mod segment;
mod writer;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use proto::v1::{CloseRecord, OpenRecord};
use shared::{clock::Clock, id::IncarnationId, tasks::Tasks};

use outbox::Found;
pub(crate) use outbox::Outbox;
use own::Own;
pub(crate) use reader::{BatchSize, Reader};
pub use writer::Opened;

const FOLDER: &str = "spool";
const LOCK_FILE: &str = "lock";

/// Why a record is not on disk.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("no room on the disk for usage records")]
    Full,
    #[error("usage records can't be written: {0}")]
    Io(io::Error),
    #[error("usage records can't be written until the disk works again")]
    Unhealthy,
    #[error("a usage record of {0} bytes is too large")]
    TooLarge(usize),
    #[error("another process works in {}", .0.display())]
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

/// The spools of this process. Clones are the same ones.
#[derive(Debug, Clone)]
pub struct Journal(Arc<Spools>);

#[derive(Debug)]
struct Spools {
    own: Arc<Own>,
    found: Vec<Arc<Found>>,
    /// Held for as long as this exists.
    _lock: File,
}

impl Journal {
    /// Takes the data folder for this process, finds the spools in it, and begins a new one. Blocks on the disk.
    ///
    /// # Errors
    /// Another process has the folder, or it can't be read or written. A full disk is no error: see [`Self::healthy`].
    pub fn create(
        data_dir: &Path,
        node_id: &str,
        settings: SpoolSettings,
        clock: &Clock,
        tasks: &Tasks,
    ) -> Result<Self, SpoolError> {
        Self::begin(data_dir, node_id, settings, clock, |own| disk::start(own, tasks, disk::round))
    }

    fn begin(
        data_dir: &Path,
        node_id: &str,
        settings: SpoolSettings,
        clock: &Clock,
        start: impl FnOnce(&Arc<Own>) -> io::Result<()>,
    ) -> Result<Self, SpoolError> {
        let (lock, found) = take_folder(data_dir)?;
        let spool = IncarnationId::new(clock.now());
        let folder = data_dir.join(FOLDER).join(spool.to_string());
        let own = Arc::new(Own::new(spool, node_id, folder, settings));
        match own.prepare() {
            Ok(()) => disk::make_ready(&own, 0),
            Err(SpoolError::Full) => own.fail(&SpoolError::Full),
            Err(error) => return Err(error),
        }
        start(&own)?;
        Ok(Self(Arc::new(Spools { own, found, _lock: lock })))
    }

    /// Writes that a request begins. Once this returns `Ok` the record survives a kill of the process. What it gives
    /// is for [`Self::close`].
    ///
    /// # Errors
    /// The record is not on disk, and the request must not be forwarded.
    pub fn open(&self, record: &OpenRecord) -> Result<Opened, SpoolError> {
        self.0.own.open(record)
    }

    /// Writes how a request ended. Where the disk does not take the record, it is kept in memory and written once
    /// there is room.
    ///
    /// # Errors
    /// The record is not on disk yet.
    pub fn close(&self, opened: Opened, record: &CloseRecord) -> Result<(), SpoolError> {
        self.0.own.close(opened, record)
    }

    /// Records that the ledger does not have yet, of all spools.
    #[must_use]
    pub fn depth(&self) -> u64 {
        let Spools { own, found, .. } = &*self.0;
        let found: u64 = found.iter().map(|found| found.depth()).sum();
        let writer = own.writer.0.lock();
        let waiting = u64::try_from(writer.waiting()).unwrap_or(u64::MAX);
        let written = writer.last().saturating_sub(*own.acknowledged.borrow());
        drop(writer);
        written.saturating_add(waiting).saturating_add(found)
    }

    /// False while records can't be written, or don't become durable: nothing may be forwarded.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.0.own.health.is_good()
    }

    /// Makes everything written so far durable now. Blocks on the disk, within bounds. False: it is not durable.
    pub(crate) fn sync(&self) -> bool {
        self.0.own.sync()
    }

    /// Resolves once the ledger has all that was written before the call.
    pub(crate) async fn delivered(&self) {
        for outbox in self.outboxes() {
            outbox.delivered().await;
        }
    }

    /// What is to be reported: found spools, oldest first, then the own one.
    pub(crate) fn outboxes(&self) -> Vec<Outbox> {
        let found = self.0.found.iter().cloned().map(Outbox::Found);
        found.chain([Outbox::Own(Arc::clone(&self.0.own))]).collect()
    }
}

/// Finds the spools of `data_dir` without beginning one: for draining.
pub(crate) fn found_outboxes(data_dir: &Path) -> Result<(File, Vec<Outbox>), SpoolError> {
    let (lock, found) = take_folder(data_dir)?;
    Ok((lock, found.into_iter().map(Outbox::Found).collect()))
}

fn take_folder(data_dir: &Path) -> Result<(File, Vec<Arc<Found>>), SpoolError> {
    fs::create_dir_all(data_dir.join(FOLDER))?;
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(data_dir.join(LOCK_FILE))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(SpoolError::Locked(data_dir.to_owned())),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let found = recovery::all(&data_dir.join(FOLDER))?;
    let found = found.into_iter().map(|recovered| Arc::new(Found::new(recovered)));
    Ok((lock, found.collect()))
}

#[cfg(test)]
mod tests;
