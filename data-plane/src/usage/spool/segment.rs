//! The files of a spool: `<first sequence, 20 digits>.seg`.
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

use super::fault;

pub(super) const EXTENSION: &str = "seg";
/// Of a folder in which nothing is left to be delivered.
pub(super) const DELIVERED_EXTENSION: &str = "delivered";
const UNNAMED_EXTENSION: &str = "new";

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

pub(super) fn with_extension(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // Nothing was ever put into it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(paths),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        // Nothing here makes folders; one that a person made is none of ours.
        if path.extension().is_some_and(|found| found == extension) && !entry.file_type()?.is_dir() {
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
        fault::step()?;
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        // It may have got the place of one that is gone.
        fault::synced(&file);
        Ok(Self { file, number, named: AtomicBool::new(false) })
    }

    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        fault::step()?;
        (&self.file).write_all(bytes)
    }

    /// Takes back what is behind the first `size` bytes.
    pub(super) fn cut(&self, size: u64) -> io::Result<()> {
        fault::step()?;
        self.file.set_len(size)
    }

    /// Gives it its name. False: it had it before.
    pub(super) fn name(&self, folder: &Path, first: u64) -> io::Result<bool> {
        if self.named.load(Ordering::Relaxed) {
            return Ok(false);
        }
        fault::step()?;
        fs::rename(unnamed_path(folder, self.number), path(folder, first))?;
        self.named.store(true, Ordering::Relaxed);
        Ok(true)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        fault::step()?;
        self.file.sync_data()?;
        fault::synced(&self.file);
        Ok(())
    }

    /// Removes one that was never named.
    pub(super) fn discard(&self, folder: &Path) {
        // Where it stays, the next process finds no record in it and removes it.
        _ = fault::step().and_then(|()| fs::remove_file(unnamed_path(folder, self.number)));
    }

    /// Writes go elsewhere.
    #[cfg(test)]
    pub(super) fn replaced_by(&self, file: File) -> Self {
        Self { file, number: self.number, named: AtomicBool::new(false) }
    }
}

/// Whether anything was ever recorded in a folder or in those in it.
pub(super) fn holds_records(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, data) = (entry.path(), entry.metadata()?);
        let holds = match path.extension().and_then(|found| found.to_str()) {
            _ if data.is_dir() => holds_records(&path)?,
            Some(EXTENSION) => true,
            // Made ahead, unless something is in it.
            Some(UNNAMED_EXTENSION) => data.len() > 0,
            _ => false,
        };
        if holds {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes a folder whose records the ledger has. What is left of it at a kill says by its name that it may go.
pub(super) fn remove_delivered(folder: &Path) -> io::Result<()> {
    let aside = folder.with_extension(DELIVERED_EXTENSION);
    fault::step()?;
    match fs::rename(folder, &aside) {
        Ok(()) => {}
        // It is done.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    folder.parent().map_or(Ok(()), sync_folder)?;
    fault::step()?;
    fs::remove_dir_all(aside)
}

/// Names of files outlive a power cut only after this.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    fault::step()?;
    File::open(folder)?.sync_all()
}
