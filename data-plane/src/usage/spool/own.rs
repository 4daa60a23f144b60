//! The spools that this process writes: what its writers, its disk thread and its outbox share.

use std::{
    fs, io,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Instant,
};

use parking_lot::Mutex;
use proto::v1::{CloseRecord, EndRecord, OpenRecord};
use shared::{clock::Millis, id::IncarnationId};
use tokio::sync::watch;

use super::{
    SpoolError, SpoolSettings, cut,
    disk::Orders,
    frame::SpoolId,
    health::{Health, Trouble},
    identity::{self, Identity},
    reserve,
    scratch::{self, Kind},
    segment,
    writer::{Opened, Writer},
};

/// One run of the process, with its spools. All are on one disk, so that their health is one.
#[derive(Debug)]
pub(crate) struct Own {
    pub(super) incarnation: IncarnationId,
    pub(super) identity: Identity,
    pub(super) folder: PathBuf,
    pub(super) settings: SpoolSettings,
    pub(super) spools: Box<[OwnSpool]>,
    /// Changes when more of some spool is durable.
    pub(super) risen: watch::Sender<()>,
    /// Changes when the ledger has said how far it has them.
    pub(super) heard: watch::Sender<()>,
    pub(super) health: Health,
    pub(super) orders: Orders,
    /// Since when the disk thread has been at what it does. `None`: it waits.
    pub(super) busy: Mutex<Option<Instant>>,
    /// The folders are made, and say what they are.
    prepared: Mutex<bool>,
    /// All is delivered, and the folder removed.
    gone: AtomicBool,
}

/// One of its spools, each written by another thread as a rule.
#[derive(Debug)]
pub(super) struct OwnSpool {
    pub(super) id: SpoolId,
    pub(super) folder: PathBuf,
    pub(super) writer: Apart<Mutex<Writer>>,
    /// Sequence of the last record that may be reported.
    pub(super) durable: AtomicU64,
    /// Sequence of the last record that the ledger has.
    pub(super) acknowledged: AtomicU64,
    /// Sequence of its end. 0: it has none yet.
    ended: AtomicU64,
}

/// On cache lines of its own: each record changes it, and what lies beside it is read without its lock.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Apart<T>(pub(super) T);

impl OwnSpool {
    fn new(id: SpoolId, folder: PathBuf, segment_bytes: u64) -> Self {
        Self {
            id,
            writer: Apart(Mutex::new(Writer::new(folder.clone(), id, segment_bytes))),
            folder,
            durable: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        }
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Whether the ledger has its end.
    fn is_delivered(&self) -> bool {
        let ended = self.ended.load(Ordering::Acquire);
        ended > 0 && self.acknowledged() >= ended
    }
}

impl Own {
    /// `folder`: of all spools of this run.
    pub(super) fn new(
        incarnation: IncarnationId,
        identity: Identity,
        folder: PathBuf,
        settings: SpoolSettings,
    ) -> Self {
        let spools = (0..identity.spools).map(|number| {
            let folder = folder.join(number.to_string());
            OwnSpool::new(SpoolId { incarnation, number }, folder, settings.segment_bytes)
        });
        Self {
            incarnation,
            spools: spools.collect(),
            identity,
            folder,
            settings,
            risen: watch::Sender::new(()),
            heard: watch::Sender::new(()),
            health: Health::default(),
            orders: Orders::default(),
            busy: Mutex::new(None),
            prepared: Mutex::new(false),
            gone: AtomicBool::new(false),
        }
    }

    /// Makes the folders and says in them what they are, where that is not done yet. Blocks on the disk.
    pub(super) fn prepare(&self) -> Result<(), SpoolError> {
        let mut prepared = self.prepared.lock();
        if !*prepared {
            fs::create_dir_all(&self.folder)?;
            self.identity.write(&self.folder)?;
            for spool in &self.spools {
                fs::create_dir_all(&spool.folder)?;
            }
            segment::sync_folder(&self.folder)?;
            self.folder.parent().map_or(Ok(()), segment::sync_folder)?;
            *prepared = true;
        }
        Ok(())
    }

    /// Has the folders, and room kept back. Blocks on the disk.
    pub(super) fn make_fit(&self) -> Result<(), SpoolError> {
        self.prepare()?;
        Ok(reserve::keep(&self.folder, self.settings.segment_bytes)?)
    }

    pub(super) fn open(&self, number: u32, record: &OpenRecord) -> Result<Opened, SpoolError> {
        if !self.health.is_good() {
            return Err(SpoolError::Unhealthy);
        }
        let spool = self.spool(number)?;
        let write = |frame: &mut [u8]| self.write(spool, |writer| writer.open(record.started_at_ms, frame));
        match scratch::encoded(Kind::Open, record, write) {
            Err(SpoolError::TooLarge(_)) => scratch::encoded(Kind::Open, &cut::open(record), write),
            written => written,
        }
    }

    pub(super) fn close(&self, opened: Opened, record: &CloseRecord) -> Result<(), SpoolError> {
        let spool = self.spool(opened.spool)?;
        let mut opened = Some(opened);
        let mut write = |frame: &mut [u8]| match opened.take() {
            // While the disk fails, who gets what room is left is the disk thread's affair.
            Some(opened) => {
                self.write(spool, |writer| writer.close(opened, frame, self.health.has(Trouble::Failed)))
            }
            None => Ok(()),
        };
        match scratch::encoded(Kind::Close, record, &mut write) {
            Err(SpoolError::TooLarge(size)) => {
                tracing::warn!(size, "a usage record is too large, and cut");
                scratch::encoded(Kind::Close, &cut::close(record), &mut write)
            }
            written => written,
        }
    }

    fn spool(&self, number: u32) -> Result<&OwnSpool, SpoolError> {
        self.spools.get(number as usize).ok_or(SpoolError::Unhealthy)
    }

    fn write<T>(
        &self,
        spool: &OwnSpool,
        write: impl FnOnce(&mut Writer) -> Result<T, SpoolError>,
    ) -> Result<T, SpoolError> {
        let mut writer = spool.writer.0.lock();
        let was_dirty = writer.dirty();
        let written = write(&mut writer);
        // With the lock held: a disk thread that finds nothing waiting may say that all is well again.
        let first = match &written {
            Ok(_) => !was_dirty,
            // No fault of the disk.
            Err(SpoolError::Ended) => false,
            Err(_) => self.health.note(Trouble::Failed),
        };
        drop(writer);
        if first {
            if let Err(error) = &written {
                self.tell_failed(error);
            }
            self.orders.ask();
        }
        written
    }

    /// Ends each spool in which no request is open. Blocks on the disk, within bounds.
    pub(super) fn end(&self, now: Millis) {
        for spool in &self.spools {
            let record = EndRecord { ended_at_ms: now.0, recovered: false };
            let ended = scratch::encoded(Kind::End, &record, |frame| {
                let writer = spool.writer.0.try_lock_for(self.settings.stalled_after);
                writer.map_or(Err(SpoolError::Unhealthy), |mut writer| writer.end(frame))
            });
            match ended {
                Ok(Some(last)) => spool.ended.store(last, Ordering::Release),
                Ok(None) => tracing::warn!(
                    spool = spool.id.number,
                    "requests are open that nobody will close; the next start does"
                ),
                Err(error) => {
                    tracing::warn!(%error, spool = spool.id.number, "the end of the usage records can't be written; the next start does");
                }
            }
        }
    }

    pub(super) fn fail(&self, error: &SpoolError) {
        if self.health.note(Trouble::Failed) {
            self.tell_failed(error);
            self.orders.ask();
        }
    }

    fn tell_failed(&self, error: &SpoolError) {
        tracing::error!(%error, folder = %self.folder.display(), "no new requests are taken until usage records can be written again");
    }

    /// Has everything written so far made durable now. Blocks on the disk, but no longer than it may stall. False: it
    /// is not durable.
    pub(super) fn sync(&self) -> bool {
        let patience = self.settings.stalled_after;
        let last = |spool: &OwnSpool| spool.writer.0.try_lock_for(patience).map(|writer| writer.last());
        let Some(lasts) = self.spools.iter().map(last).collect::<Option<Vec<_>>>() else {
            return false;
        };
        self.orders.have_done(patience);
        self.spools.iter().zip(lasts).all(|(spool, last)| spool.durable() >= last)
    }

    /// The ledger has all up to and with these sequences of these spools. The disk thread removes what that makes
    /// superfluous.
    pub(super) fn acknowledge(&self, reached: &[(u32, u64)]) {
        let mut to_do = false;
        for (number, sequence) in reached {
            if let Ok(spool) = self.spool(*number) {
                spool.acknowledged.store(*sequence, Ordering::Release);
                to_do |= spool.writer.0.lock().has_superfluous(*sequence);
            }
        }
        self.heard.send_replace(());
        if to_do || self.is_delivered() {
            self.orders.ask();
        }
    }

    /// Whether the end of each spool is durable.
    pub(super) fn is_ended(&self) -> bool {
        let is_ended = |spool: &OwnSpool| {
            let ended = spool.ended.load(Ordering::Acquire);
            ended > 0 && spool.durable() >= ended
        };
        self.spools.iter().all(is_ended)
    }

    /// Whether the ledger has the end of each spool.
    pub(super) fn is_delivered(&self) -> bool {
        self.spools.iter().all(OwnSpool::is_delivered)
    }

    /// Whether the folder is removed.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Removes the folder.
    pub(super) fn remove(&self) -> io::Result<()> {
        segment::remove_delivered(&self.folder)?;
        self.gone.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes down for the next run what need not be delivered any more.
    pub(super) fn note_delivered(&self) {
        let reached: Vec<_> = self.spools.iter().map(OwnSpool::acknowledged).collect();
        if *self.prepared.lock()
            && let Err(error) = identity::write_delivered(&self.folder, &reached)
        {
            tracing::debug!(%error, "the next start can't tell what is delivered");
        }
    }

    /// Records that the ledger does not have yet.
    pub(super) fn depth(&self) -> u64 {
        let of = |spool: &OwnSpool| {
            let writer = spool.writer.0.lock();
            let waiting = u64::try_from(writer.waiting()).unwrap_or(u64::MAX);
            writer.last().saturating_sub(spool.acknowledged()).saturating_add(waiting)
        };
        self.spools.iter().map(of).fold(0, u64::saturating_add)
    }

    pub(super) fn bytes(&self) -> u64 {
        if self.is_gone() { 0 } else { self.spools.iter().map(|spool| spool.writer.0.lock().bytes()).sum() }
    }

    /// When the oldest request that is open began.
    pub(super) fn oldest_open(&self) -> Option<Millis> {
        self.spools.iter().filter_map(|spool| spool.writer.0.lock().requests().oldest()).min().map(Millis)
    }
}
