//! Where records are until the ledger has them: append-only files under `<data dir>/spool/<spool id>/`.
//!
//! A process begins a spool of its own and finds those that earlier ones left. [`Journal`] is the end that requests
//! write to: one `write(2)` a record, so that it survives a kill; a sync of the file every few milliseconds, so that a
//! power cut takes little. Each spool, own or found, has an [`Outbox`]: the end that the reporter reads from. What was
//! never synced is not reported, so a sequence never means two records.

mod frame;
mod outbox;
mod reader;
mod recovery;
mod segment;
mod upkeep;
mod writer;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use proto::v1::{CloseRecord, OpenRecord};
use shared::{
    clock::Clock,
    id::{RequestId, SpoolId},
    tasks::Tasks,
};
use tokio::sync::{Notify, watch};

use outbox::Found;
pub(crate) use outbox::Outbox;
pub(crate) use reader::{BatchSize, Reader};
use writer::Writer;

const FOLDER: &str = "spool";
const LOCK_FILE: &str = "lock";

/// Why a record is not on disk.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("no room on the disk for usage records")]
    Full,
    #[error("usage records can't be written: {0}")]
    Io(io::Error),
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
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self {
            sync_every: Duration::from_millis(10),
            segment_bytes: 8 * 1024 * 1024,
            probe_every: Duration::from_secs(1),
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

/// The spool that this process writes.
#[derive(Debug)]
pub(crate) struct Own {
    spool: SpoolId,
    node_id: String,
    folder: PathBuf,
    settings: SpoolSettings,
    writer: Mutex<Writer>,
    /// Held for a sync: what one has taken up is not durable before it ends, whatever the next one has done by then.
    syncing: Mutex<()>,
    written: AtomicU64,
    durable: watch::Sender<u64>,
    acknowledged: watch::Sender<u64>,
    healthy: AtomicBool,
    dirty: Notify,
    failed: Notify,
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
        let (lock, found) = take_folder(data_dir)?;
        let spool = SpoolId::new(clock.now());
        let folder = data_dir.join(FOLDER).join(spool.to_string());
        let own = Arc::new(Own {
            spool,
            node_id: node_id.to_owned(),
            writer: Mutex::new(Writer::new(folder.clone(), spool, settings.segment_bytes)),
            folder,
            settings,
            syncing: Mutex::new(()),
            written: AtomicU64::new(0),
            durable: watch::Sender::new(0),
            acknowledged: watch::Sender::new(0),
            healthy: AtomicBool::new(true),
            dirty: Notify::new(),
            failed: Notify::new(),
        });
        match own.prepare() {
            Err(SpoolError::Full) => own.fail(&SpoolError::Full),
            prepared => prepared?,
        }
        tasks.spawn(upkeep::sync_when_dirty(Arc::clone(&own), tasks.clone()));
        tasks.spawn(upkeep::probe_when_failed(Arc::clone(&own), tasks.clone()));
        Ok(Self(Arc::new(Spools { own, found, _lock: lock })))
    }

    /// Writes that a request begins. Once this returns `Ok` the record survives a kill of the process.
    ///
    /// # Errors
    /// The record is not on disk, and the request must not be forwarded.
    pub fn open(&self, record: &OpenRecord) -> Result<(), SpoolError> {
        let own = &self.0.own;
        if !own.healthy.load(Ordering::Acquire) {
            return Err(SpoolError::Full);
        }
        let request = RequestId::try_from(record.request_id.as_slice()).ok();
        own.write(|writer| writer.open(record, request))
    }

    /// Writes how a request ended. Where the disk does not take the record, it is kept in memory and written once
    /// there is room: don't call again.
    ///
    /// # Errors
    /// The record is not on disk yet.
    pub fn close(&self, record: &CloseRecord) -> Result<(), SpoolError> {
        let request =
            record.open.as_ref().and_then(|open| RequestId::try_from(open.request_id.as_slice()).ok());
        self.0.own.write(|writer| writer.close(record, request))
    }

    /// Records that the ledger does not have yet, of all spools.
    #[must_use]
    pub fn depth(&self) -> u64 {
        let Spools { own, found, .. } = &*self.0;
        let waiting = u64::try_from(own.writer.lock().waiting()).unwrap_or(u64::MAX);
        let found: u64 = found.iter().map(|found| found.depth()).sum();
        let own = own.written.load(Ordering::Acquire).saturating_sub(*own.acknowledged.borrow());
        own.saturating_add(waiting).saturating_add(found)
    }

    /// False while the disk takes no records: nothing may be forwarded.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.0.own.healthy.load(Ordering::Acquire)
    }

    /// Makes everything written durable now. Blocks on the disk.
    pub(crate) fn sync(&self) {
        self.0.own.sync();
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

impl Own {
    fn prepare(&self) -> Result<(), SpoolError> {
        segment::prepare(&self.folder, &self.node_id).map_err(SpoolError::from)
    }

    fn write(&self, write: impl FnOnce(&mut Writer) -> Result<(), SpoolError>) -> Result<(), SpoolError> {
        let mut writer = self.writer.lock();
        let written = write(&mut writer);
        self.written.store(writer.last(), Ordering::Release);
        drop(writer);
        match &written {
            Ok(()) => self.dirty.notify_one(),
            Err(SpoolError::TooLarge(_)) => {}
            Err(error) => self.fail(error),
        }
        written
    }

    fn fail(&self, error: &SpoolError) {
        if self.healthy.swap(false, Ordering::AcqRel) {
            tracing::error!(%error, folder = %self.folder.display(), "no new requests are taken until usage records can be written again");
        }
        self.failed.notify_one();
    }

    /// Makes what is written durable. Blocks on the disk.
    fn sync(&self) {
        let _alone = self.syncing.lock();
        let unsynced = self.writer.lock().take_unsynced();
        let synced = unsynced
            .files
            .iter()
            .try_for_each(|file| file.sync_data())
            .and_then(|()| if unsynced.folder { segment::sync_folder(&self.folder) } else { Ok(()) });
        match synced {
            Ok(()) => _ = self.durable.send_replace(unsynced.last),
            Err(error) => {
                self.writer.lock().put_back(unsynced);
                self.fail(&SpoolError::from(error));
            }
        }
    }

    fn acknowledge(&self, sequence: u64) {
        let released = self.writer.lock().release(sequence);
        remove_files(&released);
        self.acknowledged.send_replace(sequence);
    }
}

fn remove_files(paths: &[PathBuf]) {
    for path in paths {
        if let Err(error) = fs::remove_file(path) {
            tracing::error!(%error, path = %path.display(), "delivered usage records can't be removed");
        }
    }
}

#[cfg(test)]
mod tests;
