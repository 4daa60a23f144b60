//! The configuration on this node's own disk, so that it starts while the control plane is away.
//!
//! File: 8 bytes of magic with the format's version, 24 of nonce, then the sealed message (XChaCha20-Poly1305; the
//! magic is authenticated with it). What can't be opened, for whatever reason, is as good as absent: it is set aside
//! under another name, since the key may be what is wrong.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use prost::Message as _;
use proto::v1 as message;
use shared::{digest::Digest, secret::Secret};
use zeroize::Zeroizing;

use super::{Stamped, hold::Kept};

const MAGIC: &[u8; 8] = b"SWYCOPY\x01";
const NONCE_BYTES: usize = 24;
const FILE: &str = "snapshot.sealed";
/// In front of the number of a copy that was set aside; higher numbers are later.
const ASIDE: &str = "snapshot.sealed.aside.";
/// Copies set aside that are kept, the latest.
const ASIDE_KEPT: usize = 3;

/// What seals the copy: 32 random bytes that belong to this node.
#[derive(Clone)]
pub struct SealKey(XChaCha20Poly1305);

/// The text is no seal key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node's seal key must be 32 bytes in base64")]
pub struct InvalidSealKey;

impl SealKey {
    /// Reads the key from base64.
    ///
    /// # Errors
    /// See [`InvalidSealKey`].
    pub fn parse(text: &Secret) -> Result<Self, InvalidSealKey> {
        let bytes = Zeroizing::new(STANDARD.decode(text.expose().trim()).map_err(|_| InvalidSealKey)?);
        XChaCha20Poly1305::new_from_slice(&bytes).map(Self).map_err(|_| InvalidSealKey)
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey([redacted])")
    }
}

/// Why there is no configuration in a copy.
#[derive(Debug, thiserror::Error)]
pub(super) enum CopyError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not a sealed copy of this version of the program")]
    Foreign,
    #[error("it is damaged, or sealed with another key")]
    Unopened,
    #[error("its content can't be read")]
    Content,
    #[error("it can't be sealed")]
    Seal,
}

/// The copy's place and key.
#[derive(Debug, Clone)]
pub(super) struct SealedCopy {
    folder: PathBuf,
    key: SealKey,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
struct Body {
    #[prost(message, optional, tag = "1")]
    revision: Option<message::Revision>,
    #[prost(bytes = "vec", tag = "2")]
    digest: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    left: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "4")]
    resources: Vec<BodyResource>,
    #[prost(message, optional, tag = "5")]
    refused: Option<message::RefusedRevision>,
}

#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
struct BodyResource {
    #[prost(message, optional, tag = "1")]
    received: Option<message::Resource>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    last_good: Option<Bytes>,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("revision", &self.revision).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for BodyResource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyResource").field("received", &self.received).finish_non_exhaustive()
    }
}

impl SealedCopy {
    pub(super) fn new(folder: &Path, key: SealKey) -> Self {
        Self { folder: folder.to_owned(), key }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// `Ok(None)`: there is no copy.
    pub(super) fn read(&self) -> Result<Option<Kept>, CopyError> {
        let file = match fs::read(self.path()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let sealed = file.strip_prefix(MAGIC.as_slice()).ok_or(CopyError::Foreign)?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or(CopyError::Unopened)?;
        let nonce = XNonce::try_from(nonce).map_err(|_| CopyError::Unopened)?;
        let opened = self
            .key
            .0
            .decrypt(&nonce, Payload { msg: sealed, aad: MAGIC })
            .map(Zeroizing::new)
            .map_err(|_| CopyError::Unopened)?;
        let body = Body::decode(opened.as_slice()).map_err(|_| CopyError::Content)?;
        body.into_kept().map(Some).ok_or(CopyError::Content)
    }

    /// Replaces the copy as a whole: after a crash there is the old one or the new one.
    pub(super) fn write(&self, kept: Kept) -> Result<(), CopyError> {
        let plain = Zeroizing::new(Body::of(kept).encode_to_vec());
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let sealed = self
            .key
            .0
            .encrypt(&XNonce::from(nonce), Payload { msg: &plain, aad: MAGIC })
            .map_err(|_| CopyError::Seal)?;
        let next = self.folder.join(format!("{FILE}.next"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(MAGIC)?;
        file.write_all(&nonce)?;
        file.write_all(&sealed)?;
        file.sync_all()?;
        fs::rename(&next, self.path())?;
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    /// Sets aside what could not be read; with the right key it can be put back by hand. Returns where it is.
    ///
    /// # Errors
    /// It could not be renamed, and lies in the next copy's place: that one will replace it.
    pub(super) fn set_aside(&self) -> io::Result<PathBuf> {
        let mut numbers = self.aside()?;
        let number = numbers.last().map_or(1, |last| last.saturating_add(1));
        let place = self.folder.join(format!("{ASIDE}{number}"));
        fs::rename(self.path(), &place)?;
        numbers.push(number);
        for number in &numbers[..numbers.len().saturating_sub(ASIDE_KEPT)] {
            fs::remove_file(self.folder.join(format!("{ASIDE}{number}")))?;
        }
        File::open(&self.folder)?.sync_all()?;
        Ok(place)
    }

    /// Numbers of the copies that were set aside, rising.
    fn aside(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let number: Option<u64> = name.to_str().and_then(|name| name.strip_prefix(ASIDE)?.parse().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

impl Body {
    fn of(kept: Kept) -> Self {
        Self {
            revision: Some(kept.name.to_message()),
            refused: kept.refused,
            digest: kept.digest.to_bytes().to_vec(),
            left: kept.left.iter().map(|epoch| epoch.to_vec()).collect(),
            resources: kept
                .resources
                .into_iter()
                .map(|(received, last_good)| BodyResource { received: Some(received), last_good })
                .collect(),
        }
    }

    fn into_kept(self) -> Option<Kept> {
        Some(Kept {
            name: Stamped::from_message(&self.revision?)?,
            refused: self.refused,
            digest: Digest::from_bytes(&self.digest)?,
            left: self.left.into_iter().map(|epoch| epoch.try_into().ok()).collect::<Option<_>>()?,
            resources: self
                .resources
                .into_iter()
                .map(|resource| Some((resource.received?, resource.last_good)))
                .collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{super::Revision, *};

    fn copy(folder: &Path, key: u8) -> SealedCopy {
        let key = SealKey::parse(&Secret::new(STANDARD.encode([key; 32]))).unwrap();
        SealedCopy::new(folder, key)
    }

    fn kept() -> Kept {
        let received = message::Resource {
            kind: 1,
            id: vec![1; 16],
            payload: b"sk-very-secret".as_slice().into(),
            ..message::Resource::default()
        };
        Kept {
            name: Stamped {
                revision: Revision { epoch: [9; 16], version: 4 },
                stamp: [3; 16],
                proof: vec![4; 32],
            },
            refused: Some(message::RefusedRevision { revision: None, reason: "lower_version".into() }),
            digest: Digest::default(),
            left: vec![[1; 16]],
            resources: vec![(received, Some(b"good".as_slice().into()))],
        }
    }

    #[test]
    fn what_was_written_is_read_and_nobody_else_can() {
        let folder = tempfile::tempdir().unwrap();
        let copy = copy(folder.path(), 1);
        assert!(copy.read().unwrap().is_none());
        copy.write(kept()).unwrap();
        let read = copy.read().unwrap().unwrap();
        assert_eq!((&read.name, &read.left), (&kept().name, &kept().left));
        assert_eq!(read.refused, kept().refused);
        assert_eq!(read.resources, kept().resources);
        let file = fs::read(copy.path()).unwrap();
        assert!(!file.windows(14).any(|window| window == b"sk-very-secret"));
        assert_eq!(fs::metadata(copy.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_copy_that_is_damaged_anywhere_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let copy = copy(folder.path(), 1);
        copy.write(kept()).unwrap();
        let file = fs::read(copy.path()).unwrap();
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x40;
            fs::write(copy.path(), damaged).unwrap();
            assert!(copy.read().is_err(), "byte {at}");
            fs::write(copy.path(), &file[..at]).unwrap();
            assert!(copy.read().is_err(), "cut at {at}");
        }
    }

    #[test]
    fn another_nodes_copy_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        copy(folder.path(), 1).write(kept()).unwrap();
        assert!(matches!(copy(folder.path(), 2).read(), Err(CopyError::Unopened)));
    }

    #[test]
    fn what_was_set_aside_can_be_put_back_and_the_latest_few_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let copy = copy(folder.path(), 1);
        copy.write(kept()).unwrap();
        let first = copy.set_aside().unwrap();
        assert!(copy.read().unwrap().is_none());
        fs::rename(&first, copy.path()).unwrap();
        assert_eq!(copy.read().unwrap().unwrap().name, kept().name);

        fs::write(folder.path().join("snapshot.sealed.aside.by-hand"), b"").unwrap();
        for _ in 0..12 {
            copy.write(kept()).unwrap();
            copy.set_aside().unwrap();
        }
        assert_eq!(copy.aside().unwrap(), [10, 11, 12]);
        assert!(copy.set_aside().is_err(), "there is nothing to set aside");
    }

    #[test]
    fn a_key_has_32_bytes_and_does_not_show() {
        assert_eq!(SealKey::parse(&Secret::new("c2hvcnQ=")).unwrap_err(), InvalidSealKey);
        let key = SealKey::parse(&Secret::new(STANDARD.encode([7; 32]))).unwrap();
        assert_eq!(format!("{key:?}"), "SealKey([redacted])");
    }
}
