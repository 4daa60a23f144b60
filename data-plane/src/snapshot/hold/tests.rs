use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::Index};
use prost::Message as _;
use proto::v1::{ApiKey, ResourceKind, User};
use shared::secret::KeyHash;

use super::*;
use crate::snapshot::{compile::compile, domain::Policy};

const EPOCH: [u8; 16] = [7; 16];

fn revision(version: u64) -> Revision {
    Revision { epoch: EPOCH, version }
}

fn key_payload(key: u8, user: u8, content: u8) -> Bytes {
    let message =
        ApiKey { hash: vec![key; 32], user_id: id(user), name: content.to_string(), ..ApiKey::default() };
    message.encode_to_vec().into()
}

fn user_payload(content: u8) -> Bytes {
    User { name: content.to_string(), price_rate_ppm: None }.encode_to_vec().into()
}

/// Not a message: a field of a wire type that doesn't exist.
fn poison(content: u8) -> Bytes {
    vec![0x0f, content].into()
}

fn id(number: u8) -> Vec<u8> {
    vec![number; 16]
}

fn resource(kind: ResourceKind, number: u8, version: u64, enabled: bool, payload: Bytes) -> Resource {
    Resource { kind: kind.into(), id: id(number), version, enabled, deleted: false, payload }
}

fn digest_of<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Digest {
    let mut digest = Digest::default();
    resources
        .into_iter()
        .filter(|resource| !resource.deleted)
        .for_each(|resource| digest.add(hash(resource)));
    digest
}

fn full(revision: Revision, resources: Vec<Resource>) -> WholeUpdate {
    let digest = digest_of(&resources);
    WholeUpdate { revision, from_version: None, adopted: false, digest, resources }
}

fn applied(outcome: Outcome) -> Vec<Nack> {
    match outcome {
        Outcome::Applied { refused } => refused,
        other => panic!("{other:?}"),
    }
}

fn one_key(enabled: bool, version: u64, payload: Bytes) -> Vec<Resource> {
    vec![
        resource(ResourceKind::User, 1, 1, true, user_payload(0)),
        resource(ResourceKind::ApiKey, 1, version, enabled, payload),
    ]
}

fn usable_keys(held: &Held) -> BTreeSet<u8> {
    compile(held.resources(), &Policy::default()).keys.keys().map(|KeyHash(hash)| hash[0]).collect()
}

#[test]
fn a_revocation_applies_though_its_payload_is_refused_and_stays_through_resync_and_restart() {
    let states = AccountStates::default();
    let mut held = Held::default();
    applied(held.apply(full(revision(1), one_key(true, 1, key_payload(1, 1, 0))), &states));
    assert_eq!(usable_keys(&held), BTreeSet::from([1]));

    let revoked = one_key(false, 2, poison(0));
    let nacks = applied(held.apply(full(revision(2), revoked.clone()), &states));
    assert_eq!(nacks.len(), 1);
    assert_eq!(usable_keys(&held), BTreeSet::new());

    let mut held = Held::restore(held.keep().unwrap(), &states).unwrap();
    assert_eq!(held.refused(), nacks, "a restart forgets no refusal");
    assert_eq!(applied(held.apply(full(revision(2), revoked), &states)), nacks, "nor does a resync");
    assert_eq!(usable_keys(&held), BTreeSet::new());

    let enabled = one_key(true, 3, poison(1));
    applied(held.apply(full(revision(3), enabled), &states));
    assert_eq!(
        usable_keys(&held),
        BTreeSet::from([1]),
        "the last good payload serves under the new envelope"
    );
}

#[test]
fn a_payload_that_was_never_good_is_known_and_of_no_use() {
    let states = AccountStates::default();
    let mut held = Held::default();
    assert_eq!(applied(held.apply(full(revision(1), one_key(true, 1, poison(0))), &states)).len(), 1);
    assert_eq!((usable_keys(&held).len(), held.resources.len()), (0, 2));
}

#[test]
fn a_kind_of_a_newer_control_plane_is_kept_and_counted() {
    let states = AccountStates::default();
    let mut held = Held::default();
    let newer = Resource { kind: 4711, id: vec![1], version: 1, enabled: true, ..Resource::default() };
    assert_eq!(applied(held.apply(full(revision(1), vec![newer.clone()]), &states)), []);
    assert_eq!(held.digest(), digest_of([&newer]));
}

#[test]
fn an_empty_configuration_is_one() {
    let mut held = Held::default();
    assert_eq!(held.keep().map(|kept| kept.revision), None);
    applied(held.apply(full(revision(0), Vec::new()), &AccountStates::default()));
    assert_eq!(held.keep().map(|kept| kept.revision), Some(revision(0)));
}

#[test]
fn a_gap_or_another_digest_asks_for_everything_and_changes_nothing() {
    let states = AccountStates::default();
    let mut held = Held::default();
    let resources = one_key(true, 1, key_payload(1, 1, 0));
    let gap = WholeUpdate { from_version: Some(0), ..full(revision(1), resources.clone()) };
    assert!(matches!(held.apply(gap, &states), Outcome::Resync(_)), "nothing is held that it could continue");

    applied(held.apply(full(revision(3), resources.clone()), &states));
    let gap = WholeUpdate { from_version: Some(4), ..full(revision(5), resources.clone()) };
    assert!(matches!(held.apply(gap, &states), Outcome::Resync(_)));
    let wrong = WholeUpdate { digest: Digest::default(), ..full(revision(5), resources.clone()) };
    assert!(matches!(held.apply(wrong, &states), Outcome::Resync(_)));
    let wrong = WholeUpdate {
        digest: Digest::default(),
        from_version: Some(3),
        ..full(revision(5), one_key(false, 2, poison(0)))
    };
    assert!(matches!(held.apply(wrong, &states), Outcome::Resync(_)));
    assert_eq!((held.revision(), held.digest()), (Some(revision(3)), digest_of(&resources)));
    assert_eq!(usable_keys(&held), BTreeSet::from([1]));
}

#[test]
fn another_epoch_and_a_lower_version_are_refused_until_adopted_and_never_followed_back() {
    let states = AccountStates::default();
    let mut held = Held::default();
    applied(held.apply(full(revision(5), Vec::new()), &states));
    assert_eq!(
        held.apply(full(revision(4), Vec::new()), &states),
        Outcome::Refused(RefusedReason::LowerVersion)
    );
    let resources = one_key(true, 6, key_payload(1, 1, 0));
    assert_eq!(
        held.apply(full(revision(7), resources.clone()), &states),
        Outcome::Refused(RefusedReason::LowerVersion),
        "a restored database that has caught up has another history"
    );
    let elsewhere = WholeUpdate { from_version: Some(4), ..full(revision(6), resources.clone()) };
    assert!(matches!(held.apply(elsewhere, &states), Outcome::Again(_)), "the whole would be refused");
    let continued = WholeUpdate { from_version: Some(5), ..full(revision(6), resources.clone()) };
    applied(held.apply(continued, &states));
    applied(held.apply(full(revision(7), resources), &states));

    let other = Revision { epoch: [8; 16], version: 1 };
    let unknown = Outcome::Refused(RefusedReason::UnknownEpoch);
    assert_eq!(held.apply(full(other, Vec::new()), &states), unknown);

    let adopted = |revision| WholeUpdate { adopted: true, ..full(revision, Vec::new()) };
    applied(held.apply(adopted(other), &states));
    assert_eq!(held.revision(), Some(other));

    let mut held = Held::restore(held.keep().unwrap(), &states).unwrap();
    assert_eq!(held.apply(adopted(revision(9)), &states), unknown, "that epoch was left");
}

#[test]
fn what_did_not_change_stays_the_same_object() {
    let states = AccountStates::default();
    let mut held = Held::default();
    let first = one_key(true, 1, key_payload(1, 1, 0));
    applied(held.apply(full(revision(1), first.clone()), &states));
    let before = compile(held.resources(), &Policy::default());
    applied(held.apply(full(revision(2), first), &states));
    let after = compile(held.resources(), &Policy::default());
    let hash = KeyHash([1; 32]);
    assert!(std::sync::Arc::ptr_eq(&before.keys[&hash], &after.keys[&hash]));
}

#[derive(Debug, Clone)]
enum Change {
    Put { user: bool, number: u8, enabled: bool, good: bool, content: u8 },
    Delete(Index),
}

#[derive(Debug, Clone)]
enum Delivery {
    Delta,
    Full,
    /// The difference from the state before the last but one: the node must ask, and gets everything.
    Gap,
    Restart,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let put = (any::<bool>(), 0..4_u8, any::<bool>(), prop::bool::weighted(0.6), any::<u8>()).prop_map(
        |(user, number, enabled, good, content)| Change::Put { user, number, enabled, good, content },
    );
    prop::collection::vec(prop_oneof![4 => put, 1 => any::<Index>().prop_map(Change::Delete)], 0..4)
}

fn delivery() -> impl Strategy<Value = Delivery> {
    prop_oneof![Just(Delivery::Delta), Just(Delivery::Full), Just(Delivery::Gap), Just(Delivery::Restart)]
}

/// The control plane's side: what stands, and when each resource changed.
#[derive(Default)]
struct Published {
    version: u64,
    resources: BTreeMap<ResourceKey, Resource>,
}

impl Published {
    fn change(&mut self, change: &Change) {
        self.version += 1;
        match change {
            Change::Put { user, number, enabled, good, content } => {
                let kind = if *user { ResourceKind::User } else { ResourceKind::ApiKey };
                let payload = match (good, user) {
                    (false, _) => poison(*content),
                    (true, true) => user_payload(*content),
                    (true, false) => key_payload(*number, *number, *content),
                };
                let resource = resource(kind, *number, self.version, *enabled, payload);
                self.resources.insert(key(&resource), resource);
            }
            Change::Delete(index) => {
                let standing: Vec<_> = self
                    .resources
                    .iter()
                    .filter(|(_, resource)| !resource.deleted)
                    .map(|(key, _)| key.clone())
                    .collect();
                if let Some(resource) = (!standing.is_empty())
                    .then(|| index.get(&standing))
                    .and_then(|key| self.resources.get_mut(key))
                {
                    *resource = Resource {
                        deleted: true,
                        enabled: false,
                        version: self.version,
                        payload: Bytes::new(),
                        ..resource.clone()
                    };
                }
            }
        }
    }

    fn standing(&self) -> Vec<Resource> {
        self.resources.values().filter(|resource| !resource.deleted).cloned().collect()
    }

    fn full(&self) -> WholeUpdate {
        full(revision(self.version), self.standing())
    }

    fn delta(&self, from: u64) -> WholeUpdate {
        let resources = self.resources.values().filter(|resource| resource.version > from).cloned().collect();
        WholeUpdate { from_version: Some(from), resources, ..self.full() }
    }
}

proptest! {
    #[test]
    fn however_it_arrives_the_same_is_held(history in prop::collection::vec((changes(), delivery()), 1..12)) {
        let states = AccountStates::default();
        let mut published = Published::default();
        let mut held = Held::default();
        applied(held.apply(published.full(), &states));
        // By key: the last payload that arrived and could be read.
        let mut good: BTreeMap<ResourceKey, Bytes> = BTreeMap::new();
        for (changes, delivery) in &history {
            changes.iter().for_each(|change| published.change(change));
            let from = held.revision().unwrap().version;
            match delivery {
                Delivery::Delta => _ = applied(held.apply(published.delta(from), &states)),
                Delivery::Full => _ = applied(held.apply(published.full(), &states)),
                Delivery::Gap => {
                    let gap = published.delta(from + 1);
                    prop_assert!(matches!(held.apply(gap, &states), Outcome::Resync(_) | Outcome::Refused(_)));
                    applied(held.apply(published.full(), &states));
                }
                Delivery::Restart => {
                    held = Held::restore(held.keep().unwrap(), &states).unwrap();
                    applied(held.apply(published.delta(from), &states));
                }
            }
            good.retain(|key, _| published.resources.get(key).is_some_and(|resource| !resource.deleted));
            for resource in published.standing() {
                if resource.payload.first() != Some(&0x0f) {
                    good.insert(key(&resource), resource.payload.clone());
                }
            }
            let mut at_once = Held::default();
            applied(at_once.apply(published.full(), &states));
            prop_assert_eq!(held.revision(), at_once.revision());
            prop_assert_eq!(held.digest(), at_once.digest());
            let received = |held: &Held| held.resources().map(|held| held.received.clone()).collect::<Vec<_>>();
            prop_assert_eq!(received(&held), received(&at_once));
            let in_use: BTreeMap<_, _> = held
                .resources()
                .filter(|held| held.parsed.is_some())
                .map(|held| (key(&held.received), held.last_good.clone().unwrap_or_else(|| held.received.payload.clone())))
                .collect();
            prop_assert_eq!(&in_use, &good, "the payload in use is the last good one");
            let enabled = |kind: ResourceKind, number: u8| {
                let key = (i32::from(kind), id(number));
                good.contains_key(&key) && published.resources.get(&key).is_some_and(|resource| resource.enabled)
            };
            let expected: BTreeSet<u8> = (0..4)
                .filter(|number| enabled(ResourceKind::ApiKey, *number) && enabled(ResourceKind::User, *number))
                .collect();
            prop_assert_eq!(usable_keys(&held), expected, "a key serves while it and its user are enabled");
        }
    }
}
