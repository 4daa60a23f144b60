//! The keys that seal secrets at rest. Where none is given, standalone makes its own and keeps them in the data folder.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::{TryRngCore as _, rngs::OsRng};
use shared::secret::Secret;

/// The key in the file, in base64; made at random, mode 0600, when the file is not there.
///
/// # Errors
/// The file can't be read or written, or the system gives no random bytes.
pub fn kept_in(path: &Path) -> io::Result<Secret> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Secret::new(text.trim())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path),
        Err(error) => Err(error),
    }
}

fn make(path: &Path) -> io::Result<Secret> {
    let mut random = [0_u8; 32];
    OsRng.try_fill_bytes(&mut random).map_err(io::Error::other)?;
    let key = Secret::new(STANDARD.encode(random));
    // Written whole under another name first: a key that is cut off by a crash would lock all secrets away.
    let unfinished = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{}", key.expose())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let made = kept_in(&path).unwrap();
        assert_eq!(kept_in(&path).unwrap(), made);
        assert_eq!(STANDARD.decode(made.expose()).unwrap().len(), 32);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
