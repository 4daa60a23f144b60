//! What was received: the envelope and payload of every resource, and the last payload that could be used.
//!
//! The envelope always applies. A payload that is refused leaves the last good one in its place, under the new
//! envelope: so a revocation is never undone by a payload that can't be read. The digest covers what was received,
//! good or not, and is compared before anything changes.
//!
//! What is held belongs to one history of one epoch. A database that was restored from a backup offers another history
//! of the same epoch: a lower version at first, and later as high a one, with changes undone that this node knows of.
//! The stamp of each version tells the two apart. Of another history nothing is followed until the operator adopts the
//! restored database, which gives it a new epoch. A node that holds nothing follows whatever it is offered first.

use std::collections::BTreeMap;

use bytes::Bytes;
use proto::v1::{Nack, RefusedRevision, Resource};
use shared::digest::{self, Digest, Hashed};

use super::{
    Revision, Stamped,
    parse::{Parsed, parse},
    receive::WholeUpdate,
};
use crate::live::AccountStates;

/// Epochs that were left are remembered so that nobody follows a way back; older ones beyond this are forgotten.
const LEFT_EPOCHS: usize = 1024;

/// Kind and id.
type ResourceKey = (i32, Vec<u8>);

#[derive(Debug, Default)]
pub(super) struct Held {
    name: Option<Stamped>,
    digest: Digest,
    resources: BTreeMap<ResourceKey, HeldResource>,
    left: Vec<[u8; 16]>,
    /// What was offered last and not followed. Where it is of the held epoch, the stream is in doubt: what it brings next
    /// may be as little of this history, and only the answer to another hello can show that it is.
    refused: Option<RefusedRevision>,
}

#[derive(Debug)]
pub(super) struct HeldResource {
    pub(super) received: Resource,
    /// The payload in use where the received one was refused; `None` also where there was never a good one.
    pub(super) last_good: Option<Bytes>,
    /// `None`: known, and of no use.
    pub(super) parsed: Option<Parsed>,
    /// Why the received payload was refused.
    pub(super) refusal: Option<String>,
    hash: u128,
}

/// What became of an update.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    /// In force, save the payloads named.
    Applied { refused: Vec<Nack> },
    /// Not to be followed until an operator says so.
    Refused(RefusedReason),
    /// Everything is needed: for a person, why.
    Resync(String),
    /// The stream leads nowhere, for a person, why; a new one begins with what is held.
    Again(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusedReason {
    UnknownEpoch,
    LowerVersion,
    /// Of the held epoch and not lower, but the held version is not in its history.
    OtherHistory,
}

impl RefusedReason {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownEpoch => "unknown_epoch",
            Self::LowerVersion => "lower_version",
            Self::OtherHistory => "other_history",
        }
    }
}

/// What is to be made of an update before it is looked into.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// Of the held history, or leads to an epoch that may be followed.
    Follows,
    Refused(RefusedReason),
    /// The answer to another hello will tell.
    InDoubt,
}

impl Held {
    /// What a copy kept. `None` where the digest is not that of the resources.
    pub(super) fn restore(copy: Kept, states: &AccountStates) -> Option<Self> {
        let mut held =
            Self { name: Some(copy.name), left: copy.left, refused: copy.refused, ..Self::default() };
        for (received, last_good) in copy.resources {
            let resource = HeldResource::new(received, last_good, states);
            held.digest.add(resource.hash);
            held.resources.insert(key(&resource.received), resource);
        }
        (held.digest == copy.digest).then_some(held)
    }

    /// What a copy is to keep. `None` before the first configuration.
    pub(super) fn keep(&self) -> Option<Kept> {
        Some(Kept {
            name: self.name.clone()?,
            digest: self.digest,
            left: self.left.clone(),
            refused: self.refused.clone(),
            resources: self
                .resources
                .values()
                .map(|held| (held.received.clone(), held.last_good.clone()))
                .collect(),
        })
    }

    pub(super) const fn name(&self) -> Option<&Stamped> {
        self.name.as_ref()
    }

    pub(super) fn revision(&self) -> Option<Revision> {
        self.name.as_ref().map(|name| name.revision)
    }

    /// What was offered last and not followed; a restart does not forget it.
    pub(super) const fn refused_revision(&self) -> Option<&RefusedRevision> {
        self.refused.as_ref()
    }

    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = &HeldResource> {
        self.resources.values()
    }

    /// The resources whose payload is refused.
    pub(super) fn refused(&self) -> Vec<Nack> {
        let Some(revision) = self.revision() else {
            return Vec::new();
        };
        self.resources.values().filter_map(|held| held.nack(revision)).collect()
    }

    /// All or nothing.
    pub(super) fn apply(&mut self, update: WholeUpdate, states: &AccountStates) -> Outcome {
        match self.standing(&update) {
            Standing::Follows => {}
            Standing::InDoubt => {
                return Outcome::Again(format!(
                    "{} was offered after another history was",
                    update.name.revision
                ));
            }
            Standing::Refused(reason) => {
                let revision = Some(update.name.to_message());
                self.refused = Some(RefusedRevision { revision, reason: reason.as_str().to_owned() });
                return Outcome::Refused(reason);
            }
        }
        if update.known_stamp.is_some() {
            self.refused = None;
        }
        match update.from_version {
            Some(from) => self.apply_delta(from, update, states),
            None => self.apply_full(update, states),
        }
    }

    fn standing(&self, update: &WholeUpdate) -> Standing {
        let Some(held) = &self.name else { return Standing::Follows };
        let Revision { epoch, version } = update.name.revision;
        if epoch != held.revision.epoch {
            let may_follow = update.adopted && !self.left.contains(&epoch);
            return if may_follow {
                Standing::Follows
            } else {
                Standing::Refused(RefusedReason::UnknownEpoch)
            };
        }
        if version < held.revision.version {
            return Standing::Refused(RefusedReason::LowerVersion);
        }
        let has_held = if version == held.revision.version {
            Some(update.name.stamp == held.stamp)
        } else {
            update.known_stamp.map(|stamp| stamp == held.stamp)
        };
        match has_held {
            Some(true) => Standing::Follows,
            Some(false) => Standing::Refused(RefusedReason::OtherHistory),
            None if self.is_in_doubt(epoch) => Standing::InDoubt,
            // The stream began with what is held.
            None => Standing::Follows,
        }
    }

    /// Another history of that epoch was offered.
    fn is_in_doubt(&self, epoch: [u8; 16]) -> bool {
        let revision = self.refused.as_ref().and_then(|refused| refused.revision.as_ref());
        revision.is_some_and(|revision| revision.epoch == epoch)
    }

    fn apply_delta(&mut self, from: u64, update: WholeUpdate, states: &AccountStates) -> Outcome {
        let base = Revision { version: from, ..update.name.revision };
        if self.revision() != Some(base) {
            return Outcome::Resync(format!("a difference from {base} does not continue what is held"));
        }
        let changes = by_key(update.resources);
        let mut digest = self.digest;
        for (key, resource) in &changes {
            if let Some(old) = self.resources.get(key) {
                digest.remove(old.hash);
            }
            if !resource.deleted {
                digest.add(hash(resource));
            }
        }
        if digest != update.digest {
            return Outcome::Resync(format!("the digest of {} differs", update.name.revision));
        }
        let mut refused = Vec::new();
        for (key, resource) in changes {
            let old = self.resources.remove(&key);
            if resource.deleted {
                continue;
            }
            let held = HeldResource::new(resource, old.and_then(HeldResource::into_good), states);
            refused.extend(held.nack(update.name.revision));
            self.resources.insert(key, held);
        }
        self.digest = digest;
        self.name = Some(update.name);
        self.refused = None;
        Outcome::Applied { refused }
    }

    fn apply_full(&mut self, update: WholeUpdate, states: &AccountStates) -> Outcome {
        let mut resources = by_key(update.resources);
        resources.retain(|_, resource| !resource.deleted);
        let mut digest = Digest::default();
        resources.values().for_each(|resource| digest.add(hash(resource)));
        if digest != update.digest {
            return Outcome::Resync(format!("the digest of the whole of {} differs", update.name.revision));
        }
        let mut before = std::mem::take(&mut self.resources);
        for (key, resource) in resources {
            let held = match before.remove(&key) {
                // Untouched: what was parsed of it stays the same object.
                Some(old) if old.hash == hash(&resource) => old,
                old => HeldResource::new(resource, old.and_then(HeldResource::into_good), states),
            };
            self.resources.insert(key, held);
        }
        self.digest = digest;
        self.refused = None;
        self.leave_for(update.name);
        Outcome::Applied { refused: self.refused() }
    }

    fn leave_for(&mut self, next: Stamped) {
        let epoch = next.revision.epoch;
        let left = self.name.replace(next).filter(|left| left.revision.epoch != epoch);
        if let Some(left) = left {
            self.left.push(left.revision.epoch);
            let surplus = self.left.len().saturating_sub(LEFT_EPOCHS);
            self.left.drain(..surplus);
        }
    }
}

impl HeldResource {
    /// `good`: a payload of the same resource that could be used before.
    fn new(mut received: Resource, good: Option<Bytes>, states: &AccountStates) -> Self {
        // The payload is a piece of the message that brought it; a copy lets the rest go.
        received.payload = Bytes::copy_from_slice(&received.payload);
        let hash = hash(&received);
        match parse(&received, &received.payload, states) {
            Ok(parsed) => Self { received, last_good: None, parsed: Some(parsed), refusal: None, hash },
            Err(refusal) => {
                let parsed = good.as_ref().and_then(|good| parse(&received, good, states).ok());
                let last_good = good.filter(|_| parsed.is_some());
                Self { received, last_good, parsed, refusal: Some(refusal.to_string()), hash }
            }
        }
    }

    /// The payload in use.
    fn into_good(self) -> Option<Bytes> {
        if self.refusal.is_some() { self.last_good } else { Some(self.received.payload) }
    }

    fn nack(&self, revision: Revision) -> Option<Nack> {
        Some(Nack {
            revision: Some(revision.into()),
            kind: self.received.kind,
            id: self.received.id.clone(),
            reason: self.refusal.clone()?,
        })
    }
}

/// What outlives the process.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) name: Stamped,
    pub(super) digest: Digest,
    pub(super) left: Vec<[u8; 16]>,
    /// Offered last, and not followed.
    pub(super) refused: Option<RefusedRevision>,
    /// Each with the payload in use where the received one was refused.
    pub(super) resources: Vec<(Resource, Option<Bytes>)>,
}

/// One resource of a key; the last one stands.
fn by_key(resources: Vec<Resource>) -> BTreeMap<ResourceKey, Resource> {
    resources.into_iter().map(|resource| (key(&resource), resource)).collect()
}

fn key(resource: &Resource) -> ResourceKey {
    (resource.kind, resource.id.clone())
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
mod tests;
