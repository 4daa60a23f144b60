//! What this replica publishes: every resource of one revision, and the digest over them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proto::v1::Resource;
use shared::digest::{self, Digest, Hashed};

use crate::domain::proof::PROOF_BYTES;
use crate::store::changes::{Revision, Stamp, deletions_kept_from};

/// Deleted resources that are remembered, so that a node that was away learns of them by a delta. A node that
/// missed older ones gets everything.
const MAX_TOMBSTONES: usize = 65_536;

/// Stamps of so many of the latest versions are at hand; of others the database is asked.
pub const STAMPS: u32 = 4_096;

/// A resource's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Number of the contract's `ResourceKind`.
    pub kind: i32,
    pub id: [u8; 16],
}

/// What became of a resource.
#[derive(Debug, Clone)]
pub enum Changed {
    Put(Resource),
    Deleted { key: Key, version: u64 },
}

/// Names a state of one history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    pub revision: Revision,
    pub stamp: Stamp,
    /// Shows that the two were published.
    pub proof: [u8; PROOF_BYTES],
    /// The operator adopted this epoch after a restore.
    pub adopted: bool,
}

/// A published state, with the digest over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub name: Name,
    pub revision: Revision,
    pub digest: Digest,
}

#[derive(Debug)]
struct Entry {
    resource: Resource,
    hash: u128,
}

/// All resources of one revision.
#[derive(Debug)]
pub struct Published {
    head: Head,
    entries: BTreeMap<Key, Entry>,
    tombstones: HashMap<Key, u64>,
    /// Entries and tombstones by the version of their latest change.
    by_version: BTreeSet<(u64, Key)>,
    /// Deltas from before this version would miss forgotten tombstones.
    floor: u64,
    /// Of the latest versions.
    stamps: BTreeMap<u64, Stamp>,
}

impl Published {
    /// The state of that name before anything is applied: next is all that exists, and the deletions that the database
    /// still knows.
    #[must_use]
    pub fn empty(name: Name) -> Self {
        Self {
            head: Head { name, revision: name.revision, digest: Digest::default() },
            entries: BTreeMap::new(),
            tombstones: HashMap::new(),
            by_version: BTreeSet::new(),
            floor: deletions_kept_from(name.revision.version),
            stamps: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    #[must_use]
    pub fn resources(&self) -> usize {
        self.entries.len()
    }

    /// The resource as it is published now.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&Resource> {
        self.entries.get(key).map(|entry| &entry.resource)
    }

    /// The stamp of a version of this history, where it is at hand.
    #[must_use]
    pub fn stamp_of(&self, version: u64) -> Option<Stamp> {
        let Name { revision, stamp, .. } = self.head.name;
        if version == revision.version { Some(stamp) } else { self.stamps.get(&version).copied() }
    }

    /// Keeps stamps of this history at hand.
    pub fn remember(&mut self, stamps: Vec<(u64, Stamp)>) {
        self.stamps.extend(stamps);
        while self.stamps.len() > STAMPS as usize {
            self.stamps.pop_first();
        }
    }

    /// Moves to `name`, of the same history and not earlier, by what changed up to it.
    pub fn apply(&mut self, name: Name, changes: Vec<Changed>) {
        for change in changes {
            match change {
                Changed::Put(resource) => self.put(resource),
                Changed::Deleted { key, version } => self.delete(key, version),
            }
        }
        self.head.name = name;
        self.head.revision = name.revision;
        self.trim(MAX_TOMBSTONES);
    }

    fn put(&mut self, resource: Resource) {
        let Ok(id) = <[u8; 16]>::try_from(resource.id.as_slice()) else {
            return;
        };
        let key = Key { kind: resource.kind, id };
        self.forget(&key);
        let hash = hash(&resource);
        self.head.digest.add(hash);
        self.by_version.insert((resource.version, key));
        self.entries.insert(key, Entry { resource, hash });
    }

    fn delete(&mut self, key: Key, version: u64) {
        self.forget(&key);
        self.by_version.insert((version, key));
        self.tombstones.insert(key, version);
    }

    fn forget(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.head.digest.remove(entry.hash);
            self.by_version.remove(&(entry.resource.version, *key));
        }
        if let Some(version) = self.tombstones.remove(key) {
            self.by_version.remove(&(version, *key));
        }
    }

    /// Forgets the oldest tombstones above `limit`.
    fn trim(&mut self, limit: usize) {
        let Some(excess) = self.tombstones.len().checked_sub(limit).filter(|excess| *excess > 0) else {
            return;
        };
        let mut by_age: Vec<_> = self.tombstones.iter().map(|(key, version)| (*version, *key)).collect();
        by_age.sort_unstable();
        for (version, key) in by_age.into_iter().take(excess) {
            self.forget(&key);
            self.floor = self.floor.max(version);
        }
    }

    /// What changed after `version`, tombstones included, by rising version; `None` where that is no longer known.
    #[must_use]
    pub fn since(&self, version: u64) -> Option<Vec<Resource>> {
        if version < self.floor || version > self.head.revision.version {
            return None;
        }
        let least = (version.saturating_add(1), Key { kind: i32::MIN, id: [0; 16] });
        let changed = self.by_version.range(least..).map(|(version, key)| match self.get(key) {
            Some(resource) => resource.clone(),
            None => tombstone(key, *version),
        });
        Some(changed.collect())
    }

    /// Everything that exists.
    #[must_use]
    pub fn all(&self) -> Vec<Resource> {
        self.entries.values().map(|entry| entry.resource.clone()).collect()
    }
}

fn tombstone(key: &Key, version: u64) -> Resource {
    Resource {
        kind: key.kind,
        id: key.id.to_vec(),
        version,
        enabled: false,
        deleted: true,
        payload: prost::bytes::Bytes::new(),
    }
}

fn hash(resource: &Resource) -> u128 {
    digest::hash(Hashed {
        kind: resource.kind,
        id: &resource.id,
        version: resource.version,
        enabled: resource.enabled,
        payload: &resource.payload,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::changes::DELETIONS_KEPT;

    const EPOCH: [u8; 16] = [7; 16];

    pub(crate) fn at(version: u64) -> Name {
        Name { revision: Revision { epoch: EPOCH, version }, stamp: [9; 16], proof: [8; 32], adopted: false }
    }

    pub(crate) fn put(id: u8, version: u64, payload: &[u8]) -> Changed {
        Changed::Put(Resource {
            kind: 1,
            id: vec![id; 16],
            version,
            enabled: true,
            deleted: false,
            payload: prost::bytes::Bytes::copy_from_slice(payload),
        })
    }

    pub(crate) fn deleted(id: u8, version: u64) -> Changed {
        Changed::Deleted { key: Key { kind: 1, id: [id; 16] }, version }
    }

    /// A node, as the contract describes it.
    #[derive(Debug, Default, Clone, PartialEq)]
    pub(crate) struct Node(BTreeMap<Vec<u8>, Resource>);

    impl Node {
        pub(crate) fn take(&mut self, full: bool, resources: Vec<Resource>) {
            if full {
                self.0.clear();
            }
            for resource in resources {
                let key = [&resource.kind.to_be_bytes()[..], &resource.id].concat();
                if resource.deleted {
                    self.0.remove(&key);
                } else {
                    self.0.insert(key, resource);
                }
            }
        }

        pub(crate) fn digest(&self) -> Digest {
            self.0.values().fold(Digest::default(), |mut sum, resource| {
                sum.add(hash(resource));
                sum
            })
        }

        pub(crate) fn len(&self) -> usize {
            self.0.len()
        }
    }

    /// Versions 1, 2, 3 … with a put or a deletion of one of few resources each.
    fn histories() -> impl Strategy<Value = Vec<(u8, Option<Vec<u8>>)>> {
        let step = (0_u8..6, proptest::option::weighted(0.7, proptest::collection::vec(any::<u8>(), 0..4)));
        proptest::collection::vec(step, 0..40)
    }

    fn change((index, (id, payload)): (usize, &(u8, Option<Vec<u8>>))) -> Changed {
        let version = index as u64 + 1;
        match payload {
            Some(payload) => put(*id, version, payload),
            None => deleted(*id, version),
        }
    }

    proptest! {
        #[test]
        fn a_delta_from_any_version_leads_where_the_full_state_does(history in histories(), cut in any::<prop::sample::Index>()) {
            let changes: Vec<_> = history.iter().enumerate().map(change).collect();
            let cut = cut.index(changes.len() + 1);
            let mut published = Published::empty(at(0));
            published.apply(at(cut as u64), changes[..cut].to_vec());
            let mut node = Node::default();
            node.take(true, published.all());
            prop_assert_eq!(node.digest(), published.head().digest);
            published.apply(at(changes.len() as u64), changes[cut..].to_vec());
            node.take(false, published.since(cut as u64).unwrap());
            let mut fresh = Node::default();
            fresh.take(true, published.all());
            prop_assert_eq!(&node, &fresh);
            prop_assert_eq!(node.digest(), published.head().digest);
        }

        #[test]
        fn replicas_that_look_at_different_moments_agree(history in histories(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5)) {
            let changes: Vec<_> = history.iter().enumerate().map(change).collect();
            let end = at(changes.len() as u64);
            let mut all_at_once = Published::empty(at(0));
            all_at_once.apply(end, changes.clone());
            let mut in_steps = Published::empty(at(0));
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(changes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for to in cuts.into_iter().chain([changes.len()]) {
                in_steps.apply(at(to as u64), changes[from..to].to_vec());
                from = to;
            }
            prop_assert_eq!(all_at_once.head(), in_steps.head());
        }
    }

    #[test]
    fn a_node_that_missed_forgotten_deletions_gets_no_delta() {
        let mut published = Published::empty(at(0));
        published.apply(at(6), vec![put(1, 1, b"a"), deleted(2, 3), deleted(3, 4), deleted(4, 6)]);
        published.trim(1);
        assert_eq!(published.floor, 4);
        assert!(published.since(3).is_none());
        assert_eq!(published.since(4).unwrap().len(), 1);
    }

    #[test]
    fn a_node_that_missed_deletions_which_the_database_forgot_gets_no_delta() {
        let mut published = Published::empty(at(DELETIONS_KEPT + 7));
        published.apply(at(DELETIONS_KEPT + 7), vec![put(1, 3, b"a"), deleted(2, 8)]);
        assert!(published.since(6).is_none());
        assert_eq!(published.since(7).unwrap().len(), 1);
    }

    #[test]
    fn the_latest_stamps_are_at_hand() {
        let mut published = Published::empty(at(5_000));
        published.remember((1..5_000).map(|version| (version, [1; 16])).collect());
        assert_eq!(published.stamp_of(5_000), Some([9; 16]));
        assert_eq!(published.stamp_of(4_999), Some([1; 16]));
        assert_eq!(published.stamp_of(5_000 - u64::from(STAMPS) - 1), None);
        assert_eq!(published.stamp_of(5_001), None);
    }

    #[test]
    fn a_version_that_was_never_published_gets_no_delta() {
        assert!(Published::empty(at(5)).since(6).is_none());
    }
}
