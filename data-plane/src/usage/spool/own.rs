//! The spool that this process writes: what its writers, its disk thread and its outbox share.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU8, Ordering},
    time::Instant,
};

use parking_lot::Mutex;
use prost::Message;
use shared::id::IncarnationId;
use tokio::sync::watch;

use super::{
    SpoolError, SpoolSettings,
    disk::Orders,
    scratch::{self, Kind},
    segment,
    writer::{Opened, Writer},
};

#[derive(Debug)]
pub(crate) struct Own {
    pub(super) spool: IncarnationId,
    pub(super) node_id: String,
    pub(super) folder: PathBuf,
    pub(super) settings: SpoolSettings,
    pub(super) writer: Apart<Mutex<Writer>>,
    pub(super) durable: watch::Sender<u64>,
    pub(super) acknowledged: watch::Sender<u64>,
    pub(super) health: Health,
    pub(super) orders: Orders,
    /// Since when the disk thread has been at what it does. `None`: it waits.
    pub(super) busy: Mutex<Option<Instant>>,
}

/// On cache lines of its own: each record changes it, and what lies beside it is read without its lock.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Apart<T>(pub(super) T);

impl Own {
    pub(super) fn new(spool: IncarnationId, node_id: &str, folder: PathBuf, settings: SpoolSettings) -> Self {
        Self {
            spool,
            node_id: node_id.to_owned(),
            writer: Apart(Mutex::new(Writer::new(folder.clone(), spool, settings.segment_bytes))),
            folder,
            settings,
            durable: watch::Sender::new(0),
            acknowledged: watch::Sender::new(0),
            health: Health::default(),
            orders: Orders::default(),
            busy: Mutex::new(None),
        }
    }

    /// Makes the folder. Blocks on the disk.
    pub(super) fn prepare(&self) -> Result<(), SpoolError> {
        segment::prepare(&self.folder, &self.node_id).map_err(SpoolError::from)
    }

    pub(super) fn open(&self, record: &impl Message) -> Result<Opened, SpoolError> {
        if !self.health.is_good() {
            return Err(SpoolError::Unhealthy);
        }
        scratch::encoded(Kind::Open, record, |frame| self.write(|writer| writer.open(frame)))
    }

    pub(super) fn close(&self, opened: Opened, record: &impl Message) -> Result<(), SpoolError> {
        scratch::encoded(Kind::Close, record, |frame| self.write(|writer| writer.close(opened, frame)))
    }

    fn write<T>(&self, write: impl FnOnce(&mut Writer) -> Result<T, SpoolError>) -> Result<T, SpoolError> {
        let mut writer = self.writer.0.lock();
        let was_dirty = writer.dirty();
        let written = write(&mut writer);
        // With the lock held: a disk thread that finds nothing waiting may say that all is well again.
        let first = match &written {
            Ok(_) => !was_dirty,
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
        let Some(last) = self.writer.0.try_lock_for(patience).map(|writer| writer.last()) else {
            return false;
        };
        self.orders.have_done(patience);
        *self.durable.borrow() >= last
    }

    /// The ledger has all up to and with `sequence`. The disk thread removes what that makes superfluous.
    pub(super) fn acknowledge(&self, sequence: u64) {
        self.acknowledged.send_replace(sequence);
        if self.writer.0.lock().may_release(sequence) {
            self.orders.ask();
        }
    }
}

/// What is wrong with a spool. Each is found and ended by somebody else.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trouble {
    /// The disk refused something; it is tried until it works.
    Failed = 1,
    /// The disk has not answered for long.
    Stalled = 2,
    /// The disk thread is no more.
    Abandoned = 4,
}

/// All troubles there are.
#[derive(Debug, Default)]
pub(super) struct Health(AtomicU8);

impl Health {
    pub(super) fn is_good(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    pub(super) fn has(&self, trouble: Trouble) -> bool {
        self.0.load(Ordering::Acquire) & trouble as u8 != 0
    }

    /// True: it is new.
    pub(super) fn note(&self, trouble: Trouble) -> bool {
        self.0.fetch_or(trouble as u8, Ordering::AcqRel) & trouble as u8 == 0
    }

    /// True: it was there.
    pub(super) fn end(&self, trouble: Trouble) -> bool {
        self.0.fetch_and(!(trouble as u8), Ordering::AcqRel) & trouble as u8 != 0
    }
}
