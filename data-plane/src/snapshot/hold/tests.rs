use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, sample::Index};
use prost::Message as _;
use proto::v1::{ApiKey, ResourceKind, User};
use shared::secret::KeyHash;

use super::*;
use crate::snapshot::{compile::compile, domain::Policy, revision::Stamp};

const EPOCH: [u8; 16] = [7; 16];

fn revision(version: u64) -> Revision {
    Revision { epoch: EPOCH, version }
}

/// As a history that is told from others by `history` draws it.
fn stamped(revision: Revision, history: u8) -> Stamped {
    let mut stamp = [history; 16];
    stamp[..8].copy_from_slice(&revision.version.to_le_bytes());
    Stamped { revision, stamp: if revision.version == 0 { [0; 16] } else { stamp }, proof: vec![history] }
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
    let name = stamped(revision, 0);
    WholeUpdate { name, known_stamp: None, from_version: None, adopted: false, digest, resources }
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
    assert_eq!(held.keep().map(|kept| kept.name.revision), None);
    applied(held.apply(full(revision(0), Vec::new()), &AccountStates::default()));
    assert_eq!(held.keep().map(|kept| kept.name.revision), Some(revision(0)));
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
fn another_epoch_is_refused_until_adopted_and_never_followed_back() {
    let states = AccountStates::default();
    let mut held = Held::default();
    applied(held.apply(full(revision(5), Vec::new()), &states));
    let other = Revision { epoch: [8; 16], version: 1 };
    let unknown = Outcome::Refused(RefusedReason::UnknownEpoch);
    assert_eq!(held.apply(full(other, Vec::new()), &states), unknown);
    applied(held.apply(full(revision(6), Vec::new()), &states));
    assert_eq!(held.refused_revision(), None, "its own history is followed all the same");

    let adopted = |revision| WholeUpdate { adopted: true, ..full(revision, Vec::new()) };
    applied(held.apply(adopted(other), &states));
    assert_eq!(held.revision(), Some(other));

    let mut held = Held::restore(held.keep().unwrap(), &states).unwrap();
    assert_eq!(held.apply(adopted(revision(9)), &states), unknown, "that epoch was left");
}

/// The first update of a stream of another history, to a node that holds version 5.
fn of_another_history(version: u64) -> WholeUpdate {
    let known_stamp = if version < 5 { [0; 16] } else { stamped(revision(5), 1).stamp };
    let name = stamped(revision(version), 1);
    WholeUpdate { name, known_stamp: Some(known_stamp), ..full(revision(version), Vec::new()) }
}

#[test]
fn another_history_of_the_epoch_is_refused_at_any_version_through_restarts() {
    let states = AccountStates::default();
    for version in [0, 4, 5, 6, 50] {
        let mut held = Held::default();
        applied(held.apply(full(revision(5), one_key(true, 5, key_payload(1, 1, 0))), &states));
        let reason = if version < 5 { RefusedReason::LowerVersion } else { RefusedReason::OtherHistory };
        for restarts in [false, true] {
            assert_eq!(held.apply(of_another_history(version), &states), Outcome::Refused(reason));
            let shown = held.refused_revision().unwrap();
            let name = stamped(revision(version), 1).to_message();
            assert_eq!((shown.reason.as_str(), shown.revision.as_ref()), (reason.as_str(), Some(&name)));
            // What continues on the stream is of that history too, and nothing shows whether it is not.
            let next = WholeUpdate {
                from_version: Some(5),
                known_stamp: None,
                name: stamped(revision(version.max(5) + 1), 1),
                ..full(revision(6), Vec::new())
            };
            assert!(matches!(held.apply(next, &states), Outcome::Again(_)), "version {version}");
            assert_eq!((held.revision(), usable_keys(&held)), (Some(revision(5)), BTreeSet::from([1])));
            if restarts {
                held = Held::restore(held.keep().unwrap(), &states).unwrap();
                assert_eq!(
                    held.refused_revision().map(|refused| refused.reason.as_str()),
                    Some(reason.as_str())
                );
            }
        }
        // The right database is back.
        let known_stamp = Some(stamped(revision(5), 0).stamp);
        applied(held.apply(WholeUpdate { known_stamp, ..full(revision(7), Vec::new()) }, &states));
        assert_eq!(held.refused_revision(), None);
        applied(held.apply(full(revision(8), Vec::new()), &states));
    }
}

#[test]
fn a_version_that_nobody_can_vouch_for_is_not_left_for_a_later_one() {
    let states = AccountStates::default();
    let mut held = Held::default();
    applied(held.apply(full(revision(5), Vec::new()), &states));
    let later = WholeUpdate { known_stamp: Some([0; 16]), ..full(revision(200_000), Vec::new()) };
    assert_eq!(held.apply(later, &states), Outcome::Refused(RefusedReason::OtherHistory));
}

#[test]
fn an_empty_database_belongs_to_every_history_of_its_epoch() {
    let states = AccountStates::default();
    let mut held = Held::default();
    applied(held.apply(full(revision(0), Vec::new()), &states));
    let first = WholeUpdate { known_stamp: Some([0; 16]), ..full(revision(3), Vec::new()) };
    applied(held.apply(first, &states));
}

#[test]
fn the_same_version_comes_with_a_new_proof_and_heals_a_digest_within_its_history() {
    let states = AccountStates::default();
    let mut held = Held::default();
    applied(held.apply(full(revision(5), one_key(true, 5, key_payload(1, 1, 0))), &states));
    let renewed = Stamped { proof: vec![9; 32], ..stamped(revision(5), 0) };
    let known_stamp = Some(renewed.stamp);
    let update = WholeUpdate { name: renewed.clone(), known_stamp, ..full(revision(5), Vec::new()) };
    applied(held.apply(update, &states));
    assert_eq!((held.name(), usable_keys(&held).len()), (Some(&renewed), 0));
    let update = WholeUpdate { from_version: Some(5), ..full(revision(5), Vec::new()) };
    applied(held.apply(update, &states));
    assert_eq!(held.name(), Some(&stamped(revision(5), 0)));
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

/// One database of an epoch: how it came to be what it is, by the stamps of its versions from 1 on.
#[derive(Debug, Clone, Default)]
struct Database {
    stamps: Vec<Stamp>,
}

impl Database {
    fn version(&self) -> u64 {
        self.stamps.len() as u64
    }

    fn stamp(&self, version: u64) -> Stamp {
        let index = usize::try_from(version).unwrap().checked_sub(1);
        index.and_then(|index| self.stamps.get(index)).copied().unwrap_or_default()
    }

    fn offers(&self, known: Option<u64>, from_version: Option<u64>, is_first: bool) -> WholeUpdate {
        let name = Stamped { stamp: self.stamp(self.version()), ..stamped(revision(self.version()), 0) };
        let known_stamp = is_first.then(|| known.map(|version| self.stamp(version)).unwrap_or_default());
        // What is in it shows the version alone: that the same resources can come of two histories hides nothing.
        let resources = vec![resource(ResourceKind::User, 1, self.version(), true, user_payload(0))];
        WholeUpdate { name, known_stamp, from_version, ..full(revision(self.version()), resources) }
    }

    /// Whether `earlier` is what this history has at its version.
    fn continues(&self, earlier: &Database) -> bool {
        self.stamps.starts_with(&earlier.stamps)
    }
}

#[derive(Debug, Clone)]
enum Event {
    Change(u8),
    Backup,
    /// To a backup; connections end with it.
    Restore(Index),
    /// Says hello and is sent the first update.
    Connect,
    /// What leads on from what was sent last, or all.
    Update {
        whole: bool,
    },
    NodeRestarts,
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1..4_u8).prop_map(Event::Change),
        1 => Just(Event::Backup),
        1 => any::<Index>().prop_map(Event::Restore),
        3 => Just(Event::Connect),
        3 => any::<bool>().prop_map(|whole| Event::Update { whole }),
        1 => Just(Event::NodeRestarts),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_node_never_goes_from_one_history_to_another(events in prop::collection::vec(events(), 1..60)) {
        let states = AccountStates::default();
        let (mut database, mut backups) = (Database::default(), vec![Database::default()]);
        let mut drawn = 0_u128;
        let mut held = Held::default();
        // What the node follows, and the version that the stream has sent last.
        let (mut followed, mut sent): (Option<Database>, Option<u64>) = (None, None);
        for event in events {
            let update = match event {
                Event::Change(count) => {
                    for _ in 0..count {
                        drawn += 1;
                        database.stamps.push(drawn.to_le_bytes());
                    }
                    continue;
                }
                Event::Backup => { backups.push(database.clone()); continue }
                Event::Restore(index) => { database = index.get(&backups).clone(); sent = None; continue }
                Event::NodeRestarts => {
                    sent = None;
                    if let Some(kept) = held.keep() {
                        held = Held::restore(kept, &states).unwrap();
                    }
                    continue;
                }
                Event::Connect => {
                    let known = held.revision().map(|revision| revision.version);
                    let from = known.filter(|known| *known <= database.version());
                    database.offers(known, from, true)
                }
                Event::Update { whole } => {
                    let Some(sent) = sent else { continue };
                    database.offers(None, Some(sent).filter(|_| !whole), false)
                }
            };
            sent = Some(database.version());
            let outcome = held.apply(update, &states);
            let continues = followed.as_ref().is_none_or(|followed| database.continues(followed));
            match outcome {
                Outcome::Applied { .. } => {
                    prop_assert!(continues, "{followed:?} was left for {database:?}");
                    followed = Some(database.clone());
                }
                Outcome::Resync(_) => {}
                Outcome::Again(_) => sent = None,
                Outcome::Refused(_) => prop_assert!(!continues, "{database:?} continues {followed:?}"),
            }
            let version = followed.as_ref().map(Database::version);
            prop_assert_eq!(held.revision().map(|revision| revision.version), version);
        }
        // Whatever was refused: where the database is the right one, the node follows once it comes anew.
        if followed.as_ref().is_none_or(|followed| database.continues(followed)) {
            let known = held.revision().map(|revision| revision.version);
            applied(held.apply(database.offers(known, None, true), &states));
        }
    }
}
