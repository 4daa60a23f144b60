//! The spool's two tasks: syncing what was written, and trying a disk that failed.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    sync::{Arc, atomic::Ordering},
};

use shared::tasks::Tasks;

use super::{Own, SpoolError};

/// A record of usual size and the file system's own needs fit into this.
const PROBE_BYTES: usize = 64 * 1024;

/// Syncs soon after something is written, for all that came in the meantime at once.
pub(super) async fn sync_when_dirty(own: Arc<Own>, tasks: Tasks) {
    let stopping = tasks.stopping();
    loop {
        tokio::select! {
            () = own.dirty.notified() => tokio::time::sleep(own.settings.sync_every).await,
            () = stopping.cancelled() => break,
        }
        blocking(&own, &tasks, |own| own.sync()).await;
    }
    blocking(&own, &tasks, |own| own.sync()).await;
}

/// While the disk takes no records, tries it until it does.
pub(super) async fn probe_when_failed(own: Arc<Own>, tasks: Tasks) {
    let stopping = tasks.stopping();
    loop {
        tokio::select! {
            () = own.failed.notified() => {}
            () = stopping.cancelled() => return,
        }
        while !own.healthy.load(Ordering::Acquire) {
            tokio::select! {
                () = tokio::time::sleep(own.settings.probe_every) => {}
                () = stopping.cancelled() => return,
            }
            blocking(&own, &tasks, probe).await;
        }
    }
}

async fn blocking(own: &Arc<Own>, tasks: &Tasks, work: fn(&Own)) {
    let own = Arc::clone(own);
    if let Err(error) = tasks.spawn_blocking(move || work(&own)).await {
        tracing::error!(%error, "the upkeep of the usage records failed");
    }
}

fn probe(own: &Own) {
    let tried = own.prepare().and_then(|()| write_probe(own)).and_then(|()| {
        let mut writer = own.writer.lock();
        let written = writer.write_waiting();
        own.written.store(writer.last(), Ordering::Release);
        written
    });
    match tried {
        Ok(()) => {
            own.healthy.store(true, Ordering::Release);
            own.dirty.notify_one();
            tracing::info!("usage records can be written again");
        }
        Err(error) => tracing::debug!(%error, "usage records still can't be written"),
    }
}

fn write_probe(own: &Own) -> Result<(), SpoolError> {
    let path = own.folder.join("probe");
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
