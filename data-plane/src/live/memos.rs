//! Reasoning that clients don't send back, by the user and the call that it led to.
//!
//! It is sealed with a key made of both, so that what is kept (on this node, and in Redis for the others) can be opened by
//! nobody who does not know the call's id, which only its client is told.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit as _, Nonce, aead::Aead as _};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use shared::{clock::Millis, id::UserId};

/// How long it is remembered: as long as a tool may take, and a person to say yes.
pub(super) const KEPT: Duration = Duration::from_secs(3600);
/// Sealed bytes kept on this node; beyond, the oldest are forgotten.
const HELD_MAX: usize = 64 << 20;
/// What waits for Redis, in number; beyond, the oldest is forgotten there.
const WAITING_MAX: usize = 1_000;

/// Bytes ahead of what is sealed.
const NONCE: usize = 12;

/// A call of a user, as it is kept: its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct MemoId([u8; 16]);

impl MemoId {
    fn of(user: UserId, call: &str) -> Self {
        let mut short = [0; 16];
        short.copy_from_slice(&digest("id", user, call)[..16]);
        Self(short)
    }

    pub(super) fn key(&self) -> String {
        format!("sy:{{m:{:032x}}}", u128::from_be_bytes(self.0))
    }
}

fn digest(purpose: &str, user: UserId, call: &str) -> [u8; 32] {
    let parts: [&[u8]; 4] = [b"switchyard reasoning ", purpose.as_bytes(), &user.to_bytes(), call.as_bytes()];
    parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into()
}

fn cipher(user: UserId, call: &str) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&Key::from(digest("key", user, call)))
}

/// None: it can't be sealed.
pub(super) fn sealed(user: UserId, call: &str, reasoning: &str) -> Option<(MemoId, String)> {
    // A call's id may come again, on another node or later.
    let nonce: [u8; NONCE] = rand::random();
    let sealed = cipher(user, call).encrypt(&Nonce::from(nonce), reasoning.as_bytes()).ok()?;
    Some((MemoId::of(user, call), BASE64.encode([&nonce[..], &sealed].concat())))
}

/// None: it is of another build, or not what was kept.
pub(super) fn opened(user: UserId, call: &str, sealed: &str) -> Option<String> {
    let sealed = BASE64.decode(sealed).ok()?;
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
    String::from_utf8(cipher(user, call).decrypt(&Nonce::from(*nonce), sealed).ok()?).ok()
}

/// What this node remembers.
#[derive(Debug, Default)]
pub(super) struct Memos(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    by_id: HashMap<MemoId, (String, Millis)>,
    /// By age.
    order: VecDeque<MemoId>,
    bytes: usize,
    /// Not in Redis yet.
    waiting: VecDeque<MemoId>,
}

impl Memos {
    /// The first memo of a call holds. With `share`, it waits to be told to Redis.
    pub(super) fn remember(&self, id: MemoId, sealed: String, now: Millis, share: bool) {
        let mut held = self.0.lock();
        if held.get(id, now).is_some() {
            return;
        }
        held.forget(now, sealed.len());
        held.bytes += sealed.len();
        held.by_id.insert(id, (sealed, now.plus(KEPT)));
        held.order.push_back(id);
        if share {
            if held.waiting.len() >= WAITING_MAX {
                held.waiting.pop_front();
            }
            held.waiting.push_back(id);
        }
    }

    pub(super) fn recall(&self, user: UserId, call: &str, now: Millis) -> Option<String> {
        let sealed = self.0.lock().get(MemoId::of(user, call), now)?.to_owned();
        opened(user, call, &sealed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().by_id.is_empty()
    }

    /// The next one to be told to Redis; it waits until [`Memos::told`].
    pub(super) fn to_tell(&self, now: Millis) -> Option<(MemoId, String)> {
        let mut held = self.0.lock();
        loop {
            let id = *held.waiting.front()?;
            if let Some(sealed) = held.get(id, now) {
                return Some((id, sealed.to_owned()));
            }
            held.waiting.pop_front();
        }
    }

    pub(super) fn told(&self, id: MemoId) {
        let mut held = self.0.lock();
        if held.waiting.front() == Some(&id) {
            held.waiting.pop_front();
        }
    }
}

impl Held {
    fn get(&self, id: MemoId, now: Millis) -> Option<&str> {
        self.by_id.get(&id).filter(|(_, until)| *until > now).map(|(sealed, _)| sealed.as_str())
    }

    /// Makes room: what is over goes, and of the rest the oldest.
    fn forget(&mut self, now: Millis, room: usize) {
        while let Some(oldest) = self.order.front() {
            let over = self.by_id.get(oldest).is_none_or(|(_, until)| *until <= now);
            if !over && self.bytes + room <= HELD_MAX {
                return;
            }
            if let Some((sealed, _)) = self.order.pop_front().and_then(|oldest| self.by_id.remove(&oldest)) {
                self.bytes -= sealed.len();
            }
        }
    }
}

pub(super) fn lookup_key(user: UserId, call: &str) -> String {
    MemoId::of(user, call).key()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: UserId = UserId::from_bytes([1; 16]);
    const OTHER: UserId = UserId::from_bytes([2; 16]);

    fn remember(memos: &Memos, call: &str, reasoning: &str, now: Millis) {
        let (id, sealed) = sealed(USER, call, reasoning).unwrap();
        memos.remember(id, sealed, now, true);
    }

    #[test]
    fn it_is_its_users_alone_and_ends_after_an_hour() {
        let memos = Memos::default();
        remember(&memos, "call_1", "because", Millis(0));
        remember(&memos, "call_1", "something else", Millis(1));
        assert_eq!(memos.recall(USER, "call_1", Millis(1)).as_deref(), Some("because"));
        assert_eq!(memos.recall(OTHER, "call_1", Millis(1)), None);
        assert_eq!(memos.recall(USER, "call_2", Millis(1)), None);
        assert_eq!(memos.recall(USER, "call_1", Millis(0).plus(KEPT)), None);
    }

    #[test]
    fn what_is_kept_shows_neither_call_nor_reasoning() {
        let (id, sealed) = sealed(USER, "call_secret", "because of the secret").unwrap();
        let shown = format!("{} {sealed}", id.key());
        assert!(!shown.contains("secret") && shown.starts_with("sy:{m:"), "{shown}");
        assert_eq!(opened(USER, "call_secret", &sealed).as_deref(), Some("because of the secret"));
        assert_eq!(opened(OTHER, "call_secret", &sealed), None);
        assert_eq!(opened(USER, "call_secret", "garbage"), None);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes_first() {
        let memos = Memos::default();
        let long = "x".repeat(60 << 10);
        for number in 0..1_500 {
            remember(&memos, &number.to_string(), &long, Millis(number));
        }
        let held = memos.0.lock();
        assert!(held.bytes <= HELD_MAX && held.by_id.len() == held.order.len());
        assert_eq!(held.waiting.len(), WAITING_MAX);
        drop(held);
        assert_eq!(memos.recall(USER, "0", Millis(1_500)), None);
        assert!(memos.recall(USER, "1499", Millis(1_500)).is_some());
    }

    #[test]
    fn what_waits_is_told_once() {
        let memos = Memos::default();
        remember(&memos, "1", "a", Millis(0));
        remember(&memos, "2", "b", Millis(0));
        let (first, _) = memos.to_tell(Millis(1)).unwrap();
        memos.told(first);
        let (second, _) = memos.to_tell(Millis(1)).unwrap();
        assert_ne!(first, second);
        memos.told(second);
        assert!(memos.to_tell(Millis(1)).is_none());
    }
}
