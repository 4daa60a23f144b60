//! The files of a spool: `<first sequence, 20 digits>.seg`, and `node` with the name that the spool was begun under.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

const EXTENSION: &str = "seg";
const NODE_FILE: &str = "node";

pub(super) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.{EXTENSION}"))
}

/// First sequences of the segments, rising.
pub(super) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            let first: Option<u64> =
                path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            firsts.extend(first);
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

pub(super) fn create(folder: &Path, first: u64) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path(folder, first))
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
