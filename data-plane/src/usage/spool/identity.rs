//! The small files that say what an incarnation's folder is.
//!
//! Each is written beside its place, synced, and put there by a rename: it is whole or not there, whatever happens
//! meanwhile. `identity` is written once, before the first record. `delivered` is only for people's sake: without it the
//! next run can't tell how much of what it finds the ledger has already, until the ledger says so.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use super::{fault, segment};

const IDENTITY: &str = "identity";
const DELIVERED: &str = "delivered";
/// First words of each file, with the number of its form.
const IDENTITY_FORM: &str = "switchyard spools 1 ";
const DELIVERED_FORM: &str = "switchyard delivered 1 ";

/// Whose spools a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) node_id: String,
    /// How many there are, numbered from 0.
    pub(super) spools: u32,
}

impl Identity {
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        replace(folder, IDENTITY, IDENTITY_FORM, &format!("{} {}", self.spools, self.node_id))
    }

    /// `None`: it is not there, or not what was written.
    ///
    /// # Errors
    /// The disk does not give it.
    pub(super) fn read(folder: &Path) -> io::Result<Option<Self>> {
        let text = read(folder, IDENTITY, IDENTITY_FORM)?;
        Ok(text.and_then(|text| {
            let (spools, node_id) = text.split_once(' ')?;
            Some(Self { node_id: node_id.to_owned(), spools: spools.parse().ok()? })
        }))
    }
}

/// Writes down how far the ledger has each spool.
pub(super) fn write_delivered(folder: &Path, reached: &[u64]) -> io::Result<()> {
    let reached: Vec<_> = reached.iter().map(u64::to_string).collect();
    replace(folder, DELIVERED, DELIVERED_FORM, &reached.join(" "))
}

/// How far the ledger had each spool when it was written down; empty where it never was.
pub(super) fn read_delivered(folder: &Path) -> Vec<u64> {
    let text = read(folder, DELIVERED, DELIVERED_FORM).ok().flatten().unwrap_or_default();
    text.split(' ').map_while(|reached| reached.parse().ok()).collect()
}

fn replace(folder: &Path, name: &str, form: &str, text: &str) -> io::Result<()> {
    let aside = folder.join(format!("{name}.tmp"));
    fault::step()?;
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    fault::step()?;
    file.write_all(format!("{form}{:08x} {text}", crc32fast::hash(text.as_bytes())).as_bytes())?;
    fault::step()?;
    file.sync_all()?;
    fault::step()?;
    fs::rename(&aside, folder.join(name))?;
    segment::sync_folder(folder)
}

fn read(folder: &Path, name: &str, form: &str) -> io::Result<Option<String>> {
    let path = folder.join(name);
    let bytes = match fault::read(&path, 0, u64::MAX).and_then(|()| fs::read(&path)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8(bytes).unwrap_or_default();
    let Some((sum, text)) = text.strip_prefix(form).and_then(|rest| rest.split_once(' ')) else {
        return Ok(None);
    };
    let is_whole = u32::from_str_radix(sum, 16).is_ok_and(|sum| sum == crc32fast::hash(text.as_bytes()));
    Ok(is_whole.then(|| text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_back_and_any_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Identity::read(folder.path()).unwrap(), None);
        let identity = Identity { node_id: "a node\nof 2 lines".to_owned(), spools: 9 };
        identity.write(folder.path()).unwrap();
        assert_eq!(Identity::read(folder.path()).unwrap(), Some(identity));
        let path = folder.path().join(IDENTITY);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(Identity::read(folder.path()).unwrap(), None);
            let mut damaged = whole.clone();
            damaged[at] ^= 0x81;
            fs::write(&path, damaged).unwrap();
            assert_eq!(Identity::read(folder.path()).unwrap(), None);
        }
    }

    #[test]
    fn what_is_delivered_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_delivered(folder.path()), Vec::<u64>::new());
        write_delivered(folder.path(), &[7, 0, u64::MAX]).unwrap();
        assert_eq!(read_delivered(folder.path()), [7, 0, u64::MAX]);
    }
}
