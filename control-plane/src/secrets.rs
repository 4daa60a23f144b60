//! Sealing of secrets at rest.
//!
//! What is sealed carries the name of its key, so several keys can be in use: new secrets are sealed with the first,
//! older ones are opened with whichever it was. Each sealed text is bound to what it is and to the row that it is in: moved to
//! another row or column it does not open.
//!
//! To rotate: give all replicas the new key as the *second* one, then as the first with the old one behind it. What lies
//! under the old one is then sealed anew in the background; once the log falls silent about it, drop the old one.

use std::{fmt, sync::Arc};

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead as _, KeyInit as _, Payload},
};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// Length of a master key.
pub const KEY_BYTES: usize = 32;

const FORMAT: u8 = 1;
const KEY_NAME_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const HEADER_BYTES: usize = 1 + KEY_NAME_BYTES + NONCE_BYTES;

/// Keeps keys for other purposes apart from this one.
const KEY_PURPOSE: &[u8] = b"switchyard sealing key v1";
const NAME_PURPOSE: &[u8] = b"switchyard sealing key name v1";

/// What a secret is and which row it is in; it opens only as the same.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Such as `account credential`.
    pub kind: &'a str,
    pub id: [u8; 16],
}

/// Why nothing was sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("no master key was given")]
    NoKey,
    #[error("the system gave no random bytes")]
    Random,
    #[error("the text is too long to be sealed")]
    TooLong,
    /// The bytes are of no form that this program writes.
    #[error("not a sealed secret")]
    Form,
    /// The key that it was sealed with is not among those given.
    #[error("sealed with a master key that was not given")]
    UnknownKey,
    /// Changed, or moved from another place.
    #[error("the sealed secret was tampered with or is in the wrong place")]
    Tampered,
}

struct Key {
    name: [u8; KEY_NAME_BYTES],
    cipher: XChaCha20Poly1305,
}

/// Seals and opens. Clones share the keys, of which nothing is shown but how many there are.
#[derive(Clone)]
pub struct Sealer {
    current: Arc<Key>,
    older: Arc<[Key]>,
}

impl Sealer {
    /// `master_keys`: the current one first. One given twice counts once.
    ///
    /// # Errors
    /// `NoKey`.
    pub fn new<'a>(master_keys: impl IntoIterator<Item = &'a [u8; KEY_BYTES]>) -> Result<Self, SealError> {
        let mut keys = master_keys.into_iter().map(Key::derive);
        let current = keys.next().ok_or(SealError::NoKey)?;
        Ok(Self { current: Arc::new(current), older: keys.collect() })
    }

    /// # Errors
    /// `Random` or `TooLong`.
    pub fn seal(&self, place: Place<'_>, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0_u8; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError::Random)?;
        let aad = associated(&self.current.name, place);
        let payload = Payload { msg: secret, aad: &aad };
        let cipher = &self.current.cipher;
        let text = cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError::TooLong)?;
        let mut sealed = Vec::with_capacity(HEADER_BYTES + text.len());
        sealed.push(FORMAT);
        sealed.extend(self.current.name);
        sealed.extend(nonce);
        sealed.extend(text);
        Ok(sealed)
    }

    /// # Errors
    /// `Form`, `UnknownKey` or `Tampered`.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (name, nonce, text) = parts(sealed)?;
        let key = self.key(name).ok_or(SealError::UnknownKey)?;
        let aad = associated(&key.name, place);
        let opened = key.cipher.decrypt(&XNonce::from(nonce), Payload { msg: text, aad: &aad });
        opened.map(Zeroizing::new).map_err(|_| SealError::Tampered)
    }

    /// False: sealed with an older key, or not readable at all.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        parts(sealed).is_ok_and(|(name, ..)| name == self.current.name)
    }

    fn key(&self, name: [u8; KEY_NAME_BYTES]) -> Option<&Key> {
        std::iter::once(&*self.current).chain(&*self.older).find(|key| key.name == name)
    }
}

impl Key {
    fn derive(master: &[u8; KEY_BYTES]) -> Self {
        let mut name = [0; KEY_NAME_BYTES];
        name.copy_from_slice(&digest(NAME_PURPOSE, master)[..KEY_NAME_BYTES]);
        let key = digest(KEY_PURPOSE, master);
        Self { name, cipher: XChaCha20Poly1305::new((&*key).into()) }
    }
}

fn digest(purpose: &[u8], master: &[u8; KEY_BYTES]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Sha256::new().chain_update(purpose).chain_update(master).finalize().into())
}

/// A master key's child for another purpose than sealing: the same on all replicas.
#[must_use]
pub fn derive(master: &[u8; KEY_BYTES], purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    mac(master, &[purpose])
}

/// HMAC-SHA256 of the parts, one behind the other: only the last one may vary in length.
#[must_use]
pub fn mac(key: &[u8; 32], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    // HMAC fills a shorter key up to its block with zeros.
    let mut block = Zeroizing::new([0_u8; 64]);
    block[..32].copy_from_slice(key);
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

type Parts<'a> = ([u8; KEY_NAME_BYTES], [u8; NONCE_BYTES], &'a [u8]);

fn parts(sealed: &[u8]) -> Result<Parts<'_>, SealError> {
    let (format, rest) = sealed.split_first().ok_or(SealError::Form)?;
    let (name, rest) = rest.split_first_chunk().ok_or(SealError::Form)?;
    let (nonce, text) = rest.split_first_chunk().ok_or(SealError::Form)?;
    if *format == FORMAT { Ok((*name, *nonce, text)) } else { Err(SealError::Form) }
}

/// The id has a fixed length and comes last, so no two places give the same bytes.
fn associated(key: &[u8; KEY_NAME_BYTES], place: Place<'_>) -> Vec<u8> {
    [&[FORMAT], key.as_slice(), place.kind.as_bytes(), &place.id].concat()
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("older_keys", &self.older.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: Place<'static> = Place { kind: "account credential", id: [7; 16] };

    fn sealer(keys: &[[u8; KEY_BYTES]]) -> Sealer {
        Sealer::new(keys).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_in_its_place_and_nowhere_else() {
        let sealer = sealer(&[[1; 32]]);
        let sealed = sealer.seal(HERE, b"sk-ant-secret").unwrap();
        assert_eq!(sealer.open(HERE, &sealed).unwrap().as_slice(), b"sk-ant-secret");
        for elsewhere in [Place { id: [8; 16], ..HERE }, Place { kind: "account credentia", ..HERE }] {
            assert_eq!(sealer.open(elsewhere, &sealed).unwrap_err(), SealError::Tampered);
        }
    }

    #[test]
    fn the_same_secret_never_seals_to_the_same_bytes() {
        let sealer = sealer(&[[1; 32]]);
        assert_ne!(sealer.seal(HERE, b"x").unwrap(), sealer.seal(HERE, b"x").unwrap());
    }

    #[test]
    fn a_rotation_needs_no_downtime() {
        let (before, during, after) = (sealer(&[[1; 32]]), sealer(&[[2; 32], [1; 32]]), sealer(&[[2; 32]]));
        let old = before.seal(HERE, b"x").unwrap();
        assert!(!during.is_current(&old));
        assert_eq!(during.open(HERE, &old).unwrap().as_slice(), b"x");
        let new = during.seal(HERE, b"x").unwrap();
        assert!(during.is_current(&new));
        assert_eq!(after.open(HERE, &new).unwrap().as_slice(), b"x");
        assert_eq!(after.open(HERE, &old).unwrap_err(), SealError::UnknownKey);
        assert_eq!(before.open(HERE, &new).unwrap_err(), SealError::UnknownKey);
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", sealer(&[[65; 32], [66; 32]])), "Sealer { older_keys: 1, .. }");
        assert_eq!(Sealer::new([]).unwrap_err(), SealError::NoKey);
    }

    #[test]
    fn a_mac_is_hmac_sha256() {
        // By another implementation: Python's.
        let mac = super::mac(&[0x0b; 32], &[b"Hi ", b"There"]);
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7");
    }

    proptest! {
        #[test]
        fn one_changed_bit_is_enough_to_stay_shut(secret: Vec<u8>, at: prop::sample::Index, bit in 0..8_u8) {
            let sealer = sealer(&[[1; 32]]);
            let mut sealed = sealer.seal(HERE, &secret).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(sealer.open(HERE, &sealed).is_err());
        }

        #[test]
        fn arbitrary_bytes_are_refused(bytes: Vec<u8>) {
            prop_assert!(sealer(&[[1; 32]]).open(HERE, &bytes).is_err());
        }
    }
}
