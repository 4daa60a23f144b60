//! The digest of a configuration: a wrapping sum of its resources' hashes, so that a change costs what it changes.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// What goes into a resource's hash; borrowed from the contract's `Resource`.
#[derive(Debug, Clone, Copy)]
pub struct Hashed<'a> {
    /// Number of the contract's `ResourceKind`.
    pub kind: i32,
    pub id: &'a [u8],
    pub version: u64,
    pub enabled: bool,
    pub payload: &'a [u8],
}

/// The first 16 bytes of SHA-256 over kind (u32 LE), id, version (u64 LE), enabled (one byte), payload.
#[must_use]
pub fn hash(resource: Hashed<'_>) -> u128 {
    let digest = Sha256::new()
        .chain_update(resource.kind.to_le_bytes())
        .chain_update(resource.id)
        .chain_update(resource.version.to_le_bytes())
        .chain_update([u8::from(resource.enabled)])
        .chain_update(resource.payload)
        .finalize();
    let mut first = [0_u8; 16];
    first.copy_from_slice(&digest[..16]);
    u128::from_le_bytes(first)
}

/// The sum over all resources that are not deleted.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest(u128);

impl Digest {
    pub const fn add(&mut self, hash: u128) {
        self.0 = self.0.wrapping_add(hash);
    }

    pub const fn remove(&mut self, hash: u128) {
        self.0 = self.0.wrapping_sub(hash);
    }

    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// `None` unless there are 16 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(u128::from_le_bytes(bytes.try_into().ok()?)))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn order_does_not_matter_and_removal_undoes(hashes: Vec<u128>, extra: u128) {
            let sum = |hashes: &mut dyn Iterator<Item = u128>| hashes.fold(Digest::default(), |mut sum, hash| { sum.add(hash); sum });
            let forwards = sum(&mut hashes.iter().copied());
            let mut backwards = sum(&mut hashes.iter().rev().copied());
            prop_assert_eq!(forwards, backwards);
            backwards.add(extra);
            backwards.remove(extra);
            prop_assert_eq!(forwards, backwards);
            prop_assert_eq!(Digest::from_bytes(&forwards.to_bytes()), Some(forwards));
        }
    }
}
