//! Proofs that a version was published: a MAC by a key that only control planes have.
//!
//! Nodes give it back with the version that they hold. What a node says without one, or with a wrong one, is worth
//! nothing: no node can stop the others by lying.

use std::sync::Arc;

use proto::v1;
use zeroize::Zeroizing;

use crate::{
    secrets::{self, KEY_BYTES, SealError},
    store::changes::{Revision, Stamp},
};

/// Keeps keys for other purposes apart from this one.
const PURPOSE: &[u8] = b"switchyard revision proof v1";

pub const PROOF_BYTES: usize = 32;

/// Makes proofs and knows them. Clones share the keys.
#[derive(Clone)]
pub struct Proofs {
    current: Arc<Zeroizing<[u8; 32]>>,
    older: Arc<[Zeroizing<[u8; 32]>]>,
}

/// A version that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    pub revision: Revision,
    pub stamp: Stamp,
}

impl Proofs {
    /// `master_keys`: the current one first. It makes the proofs, all of them know theirs.
    ///
    /// # Errors
    /// `NoKey`.
    pub fn new<'a>(master_keys: impl IntoIterator<Item = &'a [u8; KEY_BYTES]>) -> Result<Self, SealError> {
        let mut keys = master_keys.into_iter().map(|master| secrets::derive(master, PURPOSE));
        let current = keys.next().ok_or(SealError::NoKey)?;
        Ok(Self { current: Arc::new(current), older: keys.collect() })
    }

    #[must_use]
    pub fn prove(&self, proven: Proven) -> [u8; PROOF_BYTES] {
        *mac(&self.current, proven)
    }

    /// What a node says it holds, where that is proven.
    #[must_use]
    pub fn proven(&self, said: Option<&v1::Revision>) -> Option<Proven> {
        let said = said?;
        let revision = Revision { epoch: said.epoch.as_slice().try_into().ok()?, version: said.version };
        let stamp =
            if said.stamp.is_empty() { Stamp::default() } else { said.stamp.as_slice().try_into().ok()? };
        let proven = Proven { revision, stamp };
        let mut keys = std::iter::once(&*self.current).chain(&*self.older);
        keys.any(|key| same(&mac(key, proven), &said.proof)).then_some(proven)
    }
}

/// Each part has a fixed length. Where there is no stamp, which is at version 0 only, it is left out.
fn mac(key: &[u8; 32], Proven { revision, stamp }: Proven) -> Zeroizing<[u8; 32]> {
    let stamp = if stamp == Stamp::default() { &[][..] } else { &stamp[..] };
    secrets::mac(key, &[&revision.epoch, &revision.version.to_le_bytes(), stamp])
}

/// Takes the same time wherever they differ.
fn same(made: &[u8; PROOF_BYTES], said: &[u8]) -> bool {
    said.len() == made.len() && made.iter().zip(said).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

impl std::fmt::Debug for Proofs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proofs([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: Proven = Proven { revision: Revision { epoch: [7; 16], version: 12 }, stamp: [3; 16] };

    fn said(proofs: &Proofs) -> v1::Revision {
        let proof = proofs.prove(HELD).to_vec();
        v1::Revision { epoch: vec![7; 16], version: 12, stamp: vec![3; 16], proof }
    }

    #[test]
    fn only_what_was_proven_is() {
        let proofs = Proofs::new([&[1; 32]]).unwrap();
        let honest = said(&proofs);
        assert_eq!(proofs.proven(Some(&honest)), Some(HELD));
        assert_eq!(proofs.proven(None), None);
        for lie in [
            v1::Revision { version: 13, ..honest.clone() },
            v1::Revision { epoch: vec![8; 16], ..honest.clone() },
            v1::Revision { stamp: vec![4; 16], ..honest.clone() },
            v1::Revision { stamp: Vec::new(), ..honest.clone() },
            v1::Revision { stamp: vec![3; 15], ..honest.clone() },
            v1::Revision { proof: Vec::new(), ..honest.clone() },
            v1::Revision { proof: vec![0; 32], ..honest.clone() },
            v1::Revision { epoch: Vec::new(), ..honest },
        ] {
            assert_eq!(proofs.proven(Some(&lie)), None, "{lie:?}");
        }
    }

    #[test]
    fn every_key_knows_its_proofs_and_the_first_makes_them() {
        let [before, during, after] =
            [&[[1; 32]][..], &[[2; 32], [1; 32]], &[[2; 32]]].map(|keys| Proofs::new(keys).unwrap());
        assert_eq!(during.proven(Some(&said(&before))), Some(HELD));
        assert_eq!(after.proven(Some(&said(&before))), None);
        assert_eq!(after.proven(Some(&said(&during))), Some(HELD));
        assert_eq!(Proofs::new([]).unwrap_err(), SealError::NoKey);
        assert_eq!(format!("{before:?}"), "Proofs([redacted])");
    }

    #[test]
    fn version_0_has_no_stamp() {
        let proofs = Proofs::new([&[1; 32]]).unwrap();
        let empty = Proven { revision: Revision { version: 0, ..HELD.revision }, stamp: Stamp::default() };
        let said = v1::Revision {
            epoch: vec![7; 16],
            proof: proofs.prove(empty).to_vec(),
            ..v1::Revision::default()
        };
        assert_eq!(proofs.proven(Some(&said)), Some(empty));
    }
}
