//! Who works in a data folder.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::SpoolError;

const LOCK_FILE: &str = "lock";

/// A data folder that this process has to itself for as long as any clone of this exists.
#[derive(Debug, Clone)]
pub struct FolderLock(Arc<Locked>);

#[derive(Debug)]
struct Locked {
    data_dir: PathBuf,
    _file: File,
}

impl FolderLock {
    /// Takes the folder, which is made where it is missing. Nothing else in it is read or written.
    ///
    /// # Errors
    /// Another process has it, or it can't be written.
    pub fn take(data_dir: &Path) -> Result<Self, SpoolError> {
        fs::create_dir_all(data_dir)?;
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(data_dir.join(LOCK_FILE))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(Arc::new(Locked { data_dir: data_dir.to_owned(), _file: file }))),
            Err(TryLockError::WouldBlock) => Err(SpoolError::Locked(data_dir.to_owned())),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// The folder.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.0.data_dir
    }
}
