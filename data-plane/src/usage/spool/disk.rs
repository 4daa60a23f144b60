//! The disk thread: it makes, names, syncs and removes the files of all spools of the process, and tries a disk that
//! failed.
//!
//! Whoever writes a record never waits for any of it: the next segment's file is ready before it is needed, and one
//! sync serves all that was written in a few milliseconds. The thread sleeps until the first of these records wakes
//! it. That it hangs or breaks is seen from outside, by [`watch`]: a node whose records don't become durable takes no
//! requests.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use shared::tasks::Tasks;
use tokio::sync::oneshot;

use super::{
    Own, SpoolError, SpoolSettings, copy, fault,
    health::Trouble,
    own::OwnSpool,
    reserve,
    segment::{self, SegmentFile},
    writer::Unsynced,
};

const NAME: &str = "spool-disk";
/// A record of usual size and the file system's own needs fit into this.
const PROBE_BYTES: usize = 64 * 1024;

/// What the disk thread does each time there is something to do.
pub(super) type Round = fn(&Own);

/// Starts the thread, which ends with `tasks`.
pub(super) fn start(own: &Arc<Own>, tasks: &Tasks, round: Round) -> io::Result<()> {
    let (ending, ended) = oneshot::channel();
    let theirs = Arc::clone(own);
    let thread = thread::Builder::new().name(NAME.to_owned()).spawn(move || {
        live(&theirs, round);
        _ = ending.send(());
    })?;
    tasks.spawn(watch(StopOnDrop(Arc::clone(own)), thread, ended, tasks.clone()));
    Ok(())
}

/// What the thread is asked for.
#[derive(Debug, Default)]
pub(super) struct Orders {
    given: Mutex<Given>,
    bell: Condvar,
    done: Condvar,
}

#[derive(Debug, Default)]
struct Given {
    /// There is something to do; it may wait for more.
    work: bool,
    /// Somebody waits.
    at_once: bool,
    stop: bool,
    /// Rounds begun, and rounds ended.
    begun: u64,
    ended: u64,
}

impl Orders {
    /// There is something to do. Wakes the thread only where nobody has since its last round began.
    pub(super) fn ask(&self) {
        if !std::mem::replace(&mut self.given.lock().work, true) {
            self.bell.notify_one();
        }
    }

    /// Waits for a round that begins after the call.
    pub(super) fn have_done(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut given = self.given.lock();
        let wanted = given.begun + 1;
        given.at_once = true;
        self.bell.notify_one();
        while given.ended < wanted && !self.done.wait_until(&mut given, until).timed_out() {}
    }

    fn stop(&self) {
        self.given.lock().stop = true;
        self.bell.notify_one();
    }

    /// Waits until a round is due. True: it is the last.
    fn next(&self, settings: &SpoolSettings, failed: bool) -> bool {
        let mut given = self.given.lock();
        let gather = if failed {
            settings.probe_every
        } else {
            while !(given.work || given.at_once || given.stop) {
                self.bell.wait(&mut given);
            }
            settings.sync_every
        };
        let until = Instant::now() + gather;
        while !(given.at_once || given.stop || self.bell.wait_until(&mut given, until).timed_out()) {}
        given.work = false;
        given.at_once = false;
        given.begun += 1;
        given.stop
    }

    fn round_ended(&self) {
        let mut given = self.given.lock();
        given.ended = given.begun;
        self.done.notify_all();
    }

    /// There are no more rounds: nobody need wait for one.
    fn all_ended(&self) {
        self.given.lock().ended = u64::MAX;
        self.done.notify_all();
    }
}

/// The thread's life.
fn live(own: &Own, round: Round) {
    let rounds = || loop {
        let last = own.orders.next(&own.settings, own.health.has(Trouble::Failed));
        *own.busy.lock() = Some(Instant::now());
        round(own);
        *own.busy.lock() = None;
        own.orders.round_ended();
        if last {
            if !own.is_gone() {
                reserve::let_go(&own.folder);
                own.note_delivered();
            }
            return;
        }
    };
    if catch_unwind(AssertUnwindSafe(rounds)).is_err() {
        own.health.note(Trouble::Abandoned);
        tracing::error!(folder = %own.folder.display(), "the disk thread of the usage records is broken; no requests are taken until this process is started again");
    }
    own.orders.all_ended();
}

/// One round: a sync, or a probe while the disk takes no records; then what has been put off for it.
pub(super) fn round(own: &Own) {
    if own.is_gone() {
        return;
    }
    if own.health.has(Trouble::Failed) {
        probe(own);
    } else if let Err(error) = sync_all(own) {
        own.fail(&error);
    } else if own.is_delivered()
        && let Err(error) = own.remove()
    {
        tracing::error!(%error, folder = %own.folder.display(), "delivered usage records can't be removed");
    }
}

fn sync_all(own: &Own) -> Result<(), SpoolError> {
    for spool in &own.spools {
        loop {
            let copied = copy::oldest(spool)?;
            sync(own, spool)?;
            if !copied {
                break;
            }
        }
    }
    Ok(())
}

/// Makes what is written durable, removes the segments that nobody needs after that, and makes the next one ready.
fn sync(own: &Own, spool: &OwnSpool) -> Result<(), SpoolError> {
    let mut unsynced = spool.writer.0.lock().take_unsynced(spool.acknowledged());
    if let Err(error) = make_durable(spool, &mut unsynced) {
        spool.writer.0.lock().put_back(unsynced);
        return Err(error.into());
    }
    if spool.durable.swap(unsynced.last, Ordering::AcqRel) < unsynced.last {
        own.risen.send_replace(());
    }
    if unsynced.released > 0 {
        let released = spool.writer.0.lock().release(unsynced.released);
        remove_files(&released);
    }
    if let Some(number) = unsynced.wanted {
        make_ready(spool, number);
    }
    Ok(())
}

fn make_durable(spool: &OwnSpool, unsynced: &mut Unsynced) -> io::Result<()> {
    for begun in &unsynced.segments {
        unsynced.folder |= begun.file.name(&spool.folder, begun.first)?;
        begun.file.sync()?;
    }
    if unsynced.folder { segment::sync_folder(&spool.folder) } else { Ok(()) }
}

/// Makes the next segment's file. Where that fails, the one who needs it tries again and says so.
pub(super) fn make_ready(spool: &OwnSpool, number: u64) {
    match SegmentFile::create(&spool.folder, number) {
        Ok(file) => spool.writer.0.lock().make_ready(file),
        Err(error) => tracing::debug!(%error, "no file for further usage records can be made ahead"),
    }
}

fn remove_files(paths: &[PathBuf]) {
    for path in paths {
        let removed = fault::step().and_then(|()| fs::remove_file(path));
        if let Err(error) = removed {
            tracing::error!(%error, path = %path.display(), "delivered usage records can't be removed");
        }
    }
}

fn probe(own: &Own) {
    // What fills the disk may be what is delivered, which goes with a sync.
    for spool in &own.spools {
        if let Err(error) = sync(own, spool) {
            tracing::debug!(%error, "usage records can't be synced");
        }
    }
    let has_work = |spool: &OwnSpool| spool.writer.0.lock().needs_room(spool.acknowledged());
    if own.spools.iter().any(has_work) {
        reserve::let_go(&own.folder);
    }
    // First what gives room, then what takes it.
    let tried = own
        .prepare()
        .and_then(|()| sync_all(own))
        .and_then(|()| own.spools.iter().try_for_each(write_waiting))
        .and_then(|()| sync_all(own))
        .and_then(|()| own.make_fit())
        .and_then(|()| write_probe(own));
    match tried {
        Ok(()) => end_failure(own),
        Err(error) => tracing::debug!(%error, "usage records still can't be written"),
    }
}

/// Record by record, as requests that end meanwhile wait for the same lock.
fn write_waiting(spool: &OwnSpool) -> Result<(), SpoolError> {
    loop {
        if !spool.writer.0.lock().write_waiting()? {
            return Ok(());
        }
    }
}

/// Says that all is well, unless a record has come to wait meanwhile: that one is for the next probe.
fn end_failure(own: &Own) {
    let writers: Vec<_> = own.spools.iter().map(|spool| spool.writer.0.lock()).collect();
    let none_waits = writers.iter().all(|writer| writer.waiting() == 0);
    let ended = none_waits && own.health.end(Trouble::Failed);
    drop(writers);
    if ended {
        tracing::info!("usage records can be written again");
    }
}

fn write_probe(own: &Own) -> Result<(), SpoolError> {
    let path = own.folder.join("probe");
    fault::step()?;
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .and_then(|mut file| file.write_all(&[0; PROBE_BYTES]).and_then(|()| file.sync_data()));
    // Also a part of it must go.
    _ = fs::remove_file(&path);
    written.map_err(SpoolError::from)
}

/// Also where the runtime goes without a word, the thread ends.
struct StopOnDrop(Arc<Own>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.orders.stop();
    }
}

/// Sees from outside whether the thread still gets on, and joins it at the end.
async fn watch(own: StopOnDrop, thread: JoinHandle<()>, mut ended: oneshot::Receiver<()>, tasks: Tasks) {
    let (stopping, every) = (tasks.stopping(), own.0.settings.stalled_after / 4);
    let ran = loop {
        tokio::select! {
            () = stopping.cancelled() => {
                own.0.orders.stop();
                break ended.await;
            }
            ran = &mut ended => break ran,
            () = tokio::time::sleep(every) => look(&own.0),
        }
    };
    // It has nothing left to do but to end.
    if ran.is_err() || thread.join().is_err() {
        tracing::error!("the disk thread of the usage records ended in disorder");
    }
}

fn look(own: &Own) {
    let patience = own.settings.stalled_after;
    if own.busy.lock().is_some_and(|since| since.elapsed() >= patience) {
        if own.health.note(Trouble::Stalled) {
            tracing::error!(folder = %own.folder.display(), ?patience, "the disk does not answer; no new requests are taken until it does");
        }
    } else if own.health.end(Trouble::Stalled) {
        tracing::info!("the disk for usage records answers again");
    }
}

#[cfg(test)]
mod tests;
