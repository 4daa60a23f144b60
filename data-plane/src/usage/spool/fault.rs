//! Steps on the disk, so that tests can end the process between any two of them.

/// The next step on the disk is about to be taken.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "in tests it fails")]
pub(super) const fn step() -> std::io::Result<()> {
    Ok(())
}

/// So many bytes of a file are about to be read from there.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "in tests it fails")]
pub(super) const fn read(_path: &std::path::Path, _at: u64, _size: u64) -> std::io::Result<()> {
    Ok(())
}

/// The disk is about to take something: a name, or that a file is durable.
#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "in tests it fails")]
pub(super) const fn take() -> std::io::Result<()> {
    Ok(())
}

/// What is written of a file so far is on the disk itself.
#[cfg(not(test))]
pub(super) const fn synced(_file: &std::fs::File) {}

#[cfg(test)]
pub(super) use tests::{read, step, synced, take};

#[cfg(test)]
pub(super) mod tests {
    use std::{
        cell::{Cell, RefCell},
        collections::HashMap,
        fs::{self, File},
        io,
        ops::Range,
        os::unix::fs::MetadataExt as _,
        path::Path,
    };

    use rustix::io::Errno;

    thread_local! {
        /// Steps that are still taken on this thread, before none is taken any more.
        static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
        /// Of files of this thread, by inode: bytes that a power cut leaves.
        static SYNCED: RefCell<HashMap<u64, u64>> = RefCell::default();
        /// Of files of this thread, by inode: bytes that can't be read, and what the disk says then.
        static BAD: RefCell<Vec<(u64, Range<u64>, Errno)>> = RefCell::default();
        /// What the disk says on this thread where it is to take something.
        static UNTAKEN: Cell<Option<Errno>> = const { Cell::new(None) };
    }

    /// # Errors
    /// As the test has it, the process is dead, and nothing that it does reaches the disk.
    pub(in super::super) fn step() -> io::Result<()> {
        let left = LEFT.get();
        LEFT.set(if left == u64::MAX { left } else { left.saturating_sub(1) });
        if left == 0 { Err(io::Error::other("killed by the test")) } else { Ok(()) }
    }

    /// # Errors
    /// As the test has it, the disk can't read this.
    pub(in super::super) fn read(path: &Path, at: u64, size: u64) -> io::Result<()> {
        let Ok(file) = fs::metadata(path) else { return Ok(()) };
        BAD.with_borrow(|bad| {
            let mut met = bad.iter().filter(|(inode, bytes, _)| {
                *inode == file.ino() && bytes.start < at.saturating_add(size) && at < bytes.end
            });
            met.next().map_or(Ok(()), |(_, _, error)| Err((*error).into()))
        })
    }

    /// From now on this thread can't read these bytes of a file, wherever it is moved.
    pub(in super::super) fn spoil(path: &Path, bytes: Range<u64>, error: Errno) {
        let inode = fs::metadata(path).unwrap().ino();
        BAD.with_borrow_mut(|bad| bad.push((inode, bytes, error)));
    }

    /// # Errors
    /// As the test has it, the disk takes nothing.
    pub(in super::super) fn take() -> io::Result<()> {
        UNTAKEN.get().map_or(Ok(()), |error| Err(error.into()))
    }

    /// From now on the disk takes nothing.
    pub(in super::super) fn take_nothing(error: Errno) {
        UNTAKEN.set(Some(error));
    }

    /// Everything can be read, and is taken.
    pub(in super::super) fn repair() {
        UNTAKEN.take();
        BAD.take();
    }

    pub(in super::super) fn synced(file: &File) {
        if let Ok(data) = file.metadata() {
            SYNCED.with_borrow_mut(|synced| synced.insert(data.ino(), data.len()));
        }
    }

    /// From now on this thread's process lives for so many steps on the disk.
    pub(in super::super) fn die_after(steps: u64) {
        LEFT.set(steps);
        SYNCED.take();
    }

    /// The next process. Gives whether the last one died.
    pub(in super::super) fn revive() -> bool {
        LEFT.replace(u64::MAX) == 0
    }

    /// Takes from the files in `folder` what was never synced, as a power cut does.
    pub(in super::super) fn drop_unsynced(folder: &Path) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let (path, data) = (entry.as_ref().unwrap().path(), entry.as_ref().unwrap().metadata().unwrap());
            if data.is_dir() {
                drop_unsynced(&path);
            } else if path.extension().is_some_and(|found| found == "seg" || found == "new") {
                let kept = SYNCED.with_borrow(|synced| synced.get(&data.ino()).copied()).unwrap_or(0);
                File::options().write(true).open(&path).unwrap().set_len(kept.min(data.len())).unwrap();
            }
        }
    }
}
