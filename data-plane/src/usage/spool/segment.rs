//! The files of a spool: `<first sequence, 20 digits>.seg`, and `node` with the name that the spool was begun under.
//!
//! A segment is made before it is known with which record it will begin, so that nobody has to wait for the making. It
//! is written as `<number, 20 digits>.new`, and gets its name before anything in it counts as durable.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

const EXTENSION: &str = "seg";
const UNNAMED_EXTENSION: &str = "new";
const NODE_FILE: &str = "node";

pub(super) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.{EXTENSION}"))
}

fn unnamed_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.{UNNAMED_EXTENSION}"))
}

/// First sequences of the segments that have their name, rising.
pub(super) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for path in with_extension(folder, EXTENSION)? {
        let first: Option<u64> =
            path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        firsts.extend(first);
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Segments that a process left without a name.
pub(super) fn unnamed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    with_extension(folder, UNNAMED_EXTENSION)
}

fn with_extension(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// A segment that this process writes.
#[derive(Debug)]
pub(super) struct SegmentFile {
    file: File,
    /// What it is called until it has its name. Unique in the spool.
    number: u64,
    named: AtomicBool,
}

impl SegmentFile {
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let path = unnamed_path(folder, number);
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        Ok(Self { file, number, named: AtomicBool::new(false) })
    }

    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)
    }

    /// Takes back what is behind the first `size` bytes.
    pub(super) fn cut(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    /// Gives it its name. False: it had it before.
    pub(super) fn name(&self, folder: &Path, first: u64) -> io::Result<bool> {
        if self.named.load(Ordering::Relaxed) {
            return Ok(false);
        }
        fs::rename(unnamed_path(folder, self.number), path(folder, first))?;
        self.named.store(true, Ordering::Relaxed);
        Ok(true)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Removes one that was never named.
    pub(super) fn discard(&self, folder: &Path) {
        // Where it stays, the next process finds no record in it and removes it.
        _ = fs::remove_file(unnamed_path(folder, self.number));
    }

    /// Writes go elsewhere.
    #[cfg(test)]
    pub(super) fn replaced_by(&self, file: File) -> Self {
        Self { file, number: self.number, named: AtomicBool::new(false) }
    }
}

/// Makes the spool's folder, with the node's name in it.
pub(super) fn prepare(folder: &Path, node_id: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(folder.join(NODE_FILE))?;
    file.write_all(node_id.as_bytes())?;
    file.sync_all()?;
    sync_folder(folder)?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// The node that the spool belongs to. `None`: its making was cut off before any record.
pub(super) fn node_id(folder: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(folder.join(NODE_FILE)) {
        Ok(name) if name.is_empty() => Ok(None),
        Ok(name) => Ok(Some(name)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Names of files outlive a power cut only after this.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
