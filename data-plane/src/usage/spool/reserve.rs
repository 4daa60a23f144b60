//! Room on the disk that is kept back, so that a full one can be got out of: what is delivered may be held there by one
//! open record, and to copy that, or to write how requests ended, takes room itself.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use super::fault;

const FILE: &str = "reserve";
/// Beside a segment's worth of records: what the file system needs for them.
const SLACK: u64 = 64 * 1024;

/// Keeps back the room of a segment, unless it is. The system gives it whole or not at all.
pub(super) fn keep(folder: &Path, segment_bytes: u64) -> io::Result<()> {
    let path = folder.join(FILE);
    let wanted = segment_bytes + SLACK;
    if fs::metadata(&path).is_ok_and(|file| file.len() >= wanted) {
        return Ok(());
    }
    fault::step()?;
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, wanted) {
        // The file system can't; one that is full is then left to people.
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => {
            // A part of it helps nobody.
            let_go(folder);
            Err(error.into())
        }
    }
}

/// Gives the room to who writes next.
pub(super) fn let_go(folder: &Path) {
    // Where it stays, there is less room, and it is tried again.
    _ = fault::step().and_then(|()| fs::remove_file(folder.join(FILE)));
}
