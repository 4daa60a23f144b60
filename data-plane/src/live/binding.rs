//! What providers issue (ids of stored answers, of conversations, of cached content) is known to the account that made
//! it and to no other. So such an id is bound to its account, and to the user who got it: another user's id is nobody's.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use shared::{
    clock::Millis,
    id::{AccountId, UserId},
};

/// How long an id stays bound: longer than providers keep what it names.
pub(super) const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Ids kept on this node; beyond, the oldest is forgotten here.
const HELD_MAX: usize = 100_000;
/// Ids that wait for Redis; beyond, the oldest is forgotten.
const WAITING_MAX: usize = 10_000;

/// Whose an id is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    pub account: AccountId,
    pub user: UserId,
}

/// An id as it is kept: its digest, so that the live state holds nothing that opens a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct BoundId([u8; 16]);

impl BoundId {
    pub(super) fn of(id: &str) -> Self {
        let digest = Sha256::digest(id.as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        Self(short)
    }

    pub(super) fn key(&self) -> String {
        format!("sy:{{b:{:032x}}}", u128::from_be_bytes(self.0))
    }
}

impl Binding {
    pub(super) fn written(&self) -> String {
        format!("{} {}", self.account, self.user)
    }

    /// None: it was written by another build.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (account, user) = text.split_once(' ')?;
        Some(Self { account: account.parse().ok()?, user: user.parse().ok()? })
    }
}

/// The ids that this node knows of.
#[derive(Debug, Default)]
pub(super) struct Bindings(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    by_id: HashMap<BoundId, (Binding, Millis)>,
    /// By age.
    order: VecDeque<BoundId>,
    /// Not in Redis yet.
    waiting: VecDeque<(BoundId, Binding)>,
}

impl Bindings {
    /// The first binding of an id holds. With `share`, it waits to be told to Redis.
    pub(super) fn bind(&self, id: BoundId, binding: Binding, now: Millis, share: bool) {
        let mut held = self.0.lock();
        if held.get(id, now).is_some() {
            return;
        }
        if held.order.len() >= HELD_MAX
            && let Some(oldest) = held.order.pop_front()
        {
            held.by_id.remove(&oldest);
        }
        held.by_id.insert(id, (binding, now.plus(KEPT)));
        held.order.push_back(id);
        if share {
            if held.waiting.len() >= WAITING_MAX {
                held.waiting.pop_front();
            }
            held.waiting.push_back((id, binding));
        }
    }

    pub(super) fn get(&self, id: BoundId, now: Millis) -> Option<Binding> {
        self.0.lock().get(id, now)
    }

    /// The next one to be told to Redis; it waits until [`Bindings::told`].
    pub(super) fn to_tell(&self) -> Option<(BoundId, Binding)> {
        self.0.lock().waiting.front().copied()
    }

    pub(super) fn told(&self, id: BoundId) {
        let mut held = self.0.lock();
        if held.waiting.front().is_some_and(|(waiting, _)| *waiting == id) {
            held.waiting.pop_front();
        }
    }
}

impl Held {
    fn get(&mut self, id: BoundId, now: Millis) -> Option<Binding> {
        let (binding, until) = self.by_id.get(&id).copied()?;
        (until > now).then_some(binding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINDING: Binding =
        Binding { account: AccountId::from_bytes([1; 16]), user: UserId::from_bytes([2; 16]) };

    #[test]
    fn the_first_binding_holds_and_ends_after_thirty_days() {
        let bindings = Bindings::default();
        let id = BoundId::of("resp_1");
        let other = Binding { user: UserId::from_bytes([3; 16]), ..BINDING };
        bindings.bind(id, BINDING, Millis(0), false);
        bindings.bind(id, other, Millis(0), false);
        assert_eq!(bindings.get(id, Millis(1)), Some(BINDING));
        assert_eq!(bindings.get(id, Millis(0).plus(KEPT)), None);
        assert_eq!(bindings.get(BoundId::of("resp_2"), Millis(1)), None);
    }

    #[test]
    fn what_is_written_is_read_and_holds_no_id() {
        assert_eq!(Binding::read(&BINDING.written()), Some(BINDING));
        assert_eq!(Binding::read("of another build"), None);
        let key = BoundId::of("resp_secret").key();
        assert!(key.starts_with("sy:{b:") && !key.contains("secret"), "{key}");
    }

    #[test]
    fn the_oldest_is_forgotten_beyond_the_limit() {
        let bindings = Bindings::default();
        for number in 0..=HELD_MAX {
            bindings.bind(BoundId::of(&number.to_string()), BINDING, Millis(0), true);
        }
        assert_eq!(bindings.get(BoundId::of("0"), Millis(0)), None);
        assert_eq!(bindings.get(BoundId::of("1"), Millis(0)), Some(BINDING));
        let held = bindings.0.lock();
        assert_eq!((held.by_id.len(), held.waiting.len()), (HELD_MAX, WAITING_MAX));
    }
}
