//! What one node lacks, in messages of bounded size.

use std::{iter::Peekable, vec};

use prost::Message as _;
use proto::v1::{self, Resource, Update};
use shared::digest::Digest;

use super::published::{Head, Name, Published};
use crate::store::changes::{Revision, Stamp};

/// What a node has, as far as this stream knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing, or nothing that can be built on.
    Nothing,
    At {
        revision: Revision,
        stamp: Stamp,
        digest: Digest,
    },
}

impl Held {
    /// What a node says it has. What can't be read counts as nothing.
    #[must_use]
    pub fn from_hello(known: Option<&v1::Revision>, digest: &[u8]) -> Self {
        let Some(known) = known else { return Self::Nothing };
        let stamp =
            if known.stamp.is_empty() { Ok(Stamp::default()) } else { known.stamp.as_slice().try_into() };
        match (known.epoch.as_slice().try_into(), stamp, Digest::from_bytes(digest)) {
            (Ok(epoch), Ok(stamp), Some(digest)) => {
                Self::At { revision: Revision { epoch, version: known.version }, stamp, digest }
            }
            _ => Self::Nothing,
        }
    }
}

impl From<Head> for Held {
    fn from(head: Head) -> Self {
        Self::At { revision: head.revision, stamp: head.name.stamp, digest: head.digest }
    }
}

impl From<Name> for v1::Revision {
    fn from(Name { revision, stamp, proof, adopted: _ }: Name) -> Self {
        let stamp = if revision.version == 0 { Vec::new() } else { stamp.to_vec() };
        Self { epoch: revision.epoch.to_vec(), version: revision.version, stamp, proof: proof.to_vec() }
    }
}

/// One update, chunk by chunk.
#[derive(Debug)]
pub struct Chunks {
    head: Head,
    from_version: Option<u64>,
    resources: Peekable<vec::IntoIter<Resource>>,
    chunk_bytes: usize,
    known_stamp: Option<Stamp>,
    done: bool,
}

impl Chunks {
    /// From what is held to what is published: a delta where one can lead there, else everything.
    #[must_use]
    pub fn plan(published: &Published, held: &Held, chunk_bytes: usize) -> Self {
        let head = published.head();
        let delta = match held {
            Held::At { revision, digest, .. } if revision.epoch == head.revision.epoch => {
                let agrees = revision.version != head.revision.version || *digest == head.digest;
                let changed = if agrees { published.since(revision.version) } else { None };
                changed.map(|changed| (revision.version, changed))
            }
            Held::At { .. } | Held::Nothing => None,
        };
        let (from_version, resources) = match delta {
            Some((from, changed)) => (Some(from), changed),
            None => (None, published.all()),
        };
        Self {
            head,
            from_version,
            resources: resources.into_iter().peekable(),
            chunk_bytes,
            known_stamp: None,
            done: false,
        }
    }

    /// Tells with the first update of a stream what stamp the version of the node's hello has in this history. `None`:
    /// there is none.
    #[must_use]
    pub fn greeting(self, known_stamp: Option<Stamp>) -> Self {
        Self { known_stamp, ..self }
    }

    /// Where the update leads.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// `full` or `delta`.
    #[must_use]
    pub fn form(&self) -> &'static str {
        if self.from_version.is_some() { "delta" } else { "full" }
    }

    /// As many resources as fit; at least one, so that none is too large.
    fn next_resources(&mut self) -> Vec<Resource> {
        let (mut taken, mut bytes) = (Vec::new(), 0_usize);
        while let Some(resource) =
            self.resources.next_if(|next| taken.is_empty() || bytes + next.encoded_len() <= self.chunk_bytes)
        {
            bytes += resource.encoded_len();
            taken.push(resource);
        }
        taken
    }
}

impl Iterator for Chunks {
    type Item = Update;

    fn next(&mut self) -> Option<Update> {
        if self.done {
            return None;
        }
        let resources = self.next_resources();
        self.done = self.resources.peek().is_none();
        Some(Update {
            revision: Some(self.head.name.into()),
            from_version: self.from_version,
            resources,
            last: self.done,
            digest: if self.done { self.head.digest.to_bytes().to_vec() } else { Vec::new() },
            adopted: self.head.name.adopted,
            known_stamp: self.known_stamp.map(|stamp| stamp.to_vec()).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::published::tests::{Node, at, deleted, put},
        *,
    };

    fn published() -> Published {
        let mut published = Published::empty(at(0));
        published.apply(at(5), (1..=5).map(|id| put(id, u64::from(id), &[id; 100])).collect());
        published
    }

    #[test]
    fn a_large_state_comes_in_chunks_of_which_the_last_has_the_digest() {
        let published = published();
        let chunks: Vec<_> = Chunks::plan(&published, &Held::Nothing, 300).collect();
        assert_eq!(chunks.iter().map(|chunk| chunk.resources.len()).collect::<Vec<_>>(), [2, 2, 1]);
        assert_eq!(chunks.iter().map(|chunk| chunk.last).collect::<Vec<_>>(), [false, false, true]);
        assert!(chunks[0].digest.is_empty());
        assert_eq!(chunks[2].digest, published.head().digest.to_bytes());
        assert!(chunks.iter().all(|chunk| chunk.from_version.is_none()));
    }

    #[test]
    fn a_resource_larger_than_a_chunk_goes_alone() {
        assert_eq!(Chunks::plan(&published(), &Held::Nothing, 1).count(), 5);
    }

    #[test]
    fn an_empty_state_is_told_too() {
        let chunks: Vec<_> = Chunks::plan(&Published::empty(at(0)), &Held::Nothing, 300).collect();
        assert_eq!(chunks.len(), 1);
        assert!(chunks[0].last);
    }

    #[test]
    fn who_holds_the_same_is_told_so_by_an_empty_delta() {
        let published = published();
        let chunks: Vec<_> = Chunks::plan(&published, &published.head().into(), 300).collect();
        assert_eq!(chunks.len(), 1);
        assert_eq!((chunks[0].from_version, chunks[0].resources.len()), (Some(5), 0));
    }

    #[test]
    fn who_holds_something_else_gets_everything() {
        let published = published();
        let (stamp, digest) = (at(5).stamp, published.head().digest);
        let mut other_digest = digest;
        other_digest.add(1);
        let other_epoch = Revision { epoch: [1; 16], version: 5 };
        for held in [
            Held::At { revision: at(5).revision, stamp, digest: other_digest },
            Held::At { revision: at(6).revision, stamp, digest },
            Held::At { revision: other_epoch, stamp, digest },
        ] {
            assert_eq!(Chunks::plan(&published, &held, 300).form(), "full", "{held:?}");
        }
    }

    #[test]
    fn the_revision_comes_with_stamp_and_proof_and_the_greeting_with_what_the_hello_named() {
        let chunks = Chunks::plan(&published(), &Held::Nothing, 300).greeting(Some([4; 16]));
        for chunk in chunks {
            let revision = chunk.revision.unwrap();
            assert_eq!((revision.stamp, revision.proof), (vec![9; 16], vec![8; 32]));
            assert_eq!(chunk.known_stamp, [4; 16]);
        }
        let chunk = Chunks::plan(&Published::empty(at(0)), &Held::Nothing, 300).next().unwrap();
        assert_eq!((chunk.revision.unwrap().stamp, chunk.known_stamp), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_was_deleted_comes_as_a_tombstone() {
        let mut published = published();
        let held = published.head().into();
        let mut node = Node::default();
        node.take(true, published.all());
        published.apply(at(6), vec![deleted(2, 6)]);
        let chunk = Chunks::plan(&published, &held, 300).next().unwrap();
        assert!(chunk.resources[0].deleted && !chunk.resources[0].enabled);
        node.take(false, chunk.resources);
        assert_eq!(node.len(), 4);
        assert_eq!(node.digest().to_bytes().to_vec(), chunk.digest);
    }
}
