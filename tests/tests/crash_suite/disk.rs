//! What nodes take on their disks.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// As the nodes are told.
const SEGMENT: u64 = 64 * 1024;
/// One for each worker, and one for what is written off the workers.
const SPOOLS: u64 = 3;
/// Room that is kept back: a segment, and what the file system needs beside it.
const RESERVE: u64 = 2 * SEGMENT;
/// What else is in a node's folder: its copy of the configuration, and small files.
const BESIDE: u64 = 64 * 1024;
/// An open and a close record of a request, as the clients ask by default.
pub(crate) const RECORDS: u64 = 1024;

/// The most that a run has on its disk beside what the ledger lacks: for each spool six segments, as the spool's docs
/// say, and the room that is kept back. Twice the open records of what runs are not in it.
pub(crate) const RUN: u64 = SPOOLS * 6 * SEGMENT + RESERVE + BESIDE;

/// The most on the disks of so many nodes where nothing is delivered: these records, once.
pub(crate) fn bound(nodes: usize, records: u64) -> u64 {
    nodes as u64 * (RESERVE + BESIDE) + records
}

/// Bytes in a folder, and in those in it. What goes meanwhile is not counted.
pub(crate) fn bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// Runs of a node of which there are records.
pub(crate) fn runs(data: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(data.join("spool")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Looks at folders again and again.
#[derive(Debug)]
pub(crate) struct Watch {
    looking: Option<JoinHandle<u64>>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    pub(crate) fn start(folders: Vec<PathBuf>) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let looking = thread::spawn(move || {
            let mut most = 0;
            while !stopped.load(Ordering::Relaxed) {
                most = most.max(folders.iter().map(|folder| bytes(folder)).sum());
                thread::sleep(Duration::from_millis(20));
            }
            most
        });
        Self { looking: Some(looking), stop }
    }

    /// The most that was in all folders at any time.
    pub(crate) fn stop(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.looking.take().map_or(0, |looking| looking.join().unwrap())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Files with records, of all runs of a node.
pub(crate) fn segments(data: &Path) -> Vec<PathBuf> {
    runs(data).iter().flat_map(|run| segments_of(run)).collect()
}

/// The same of one run.
pub(crate) fn segments_of(run: &Path) -> Vec<PathBuf> {
    let spools = entries(run).into_iter().filter(|path| path.is_dir());
    let files = spools.flat_map(|spool| entries(&spool));
    files.filter(|path| path.extension().is_some_and(|found| found == "seg")).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
