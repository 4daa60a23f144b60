//! Browsers that someone has signed in with before. Each keeps a mark, so that its person is let in at their own pace
//! however much others guess: by that alone can they be told apart where all come from one address.
//!
//! A mark signs nobody in. It is bound to a person and their password: with another password it means nothing.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use shared::{clock::Millis, secret::Secret};
use zeroize::Zeroizing;

use crate::{
    secrets::{self, KEY_BYTES},
    store::{StoreError, users::User},
};

/// Keeps keys for other purposes apart from this one.
const PURPOSE: &[u8] = b"switchyard known browser v1";
const ID_BYTES: usize = 16;

/// How long a mark counts; each login renews it.
pub const LIFETIME: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// Makes marks and knows them again.
#[derive(Clone)]
pub struct Browsers {
    /// The current one first.
    keys: Arc<[Zeroizing<[u8; 32]>]>,
}

impl std::fmt::Debug for Browsers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Browsers([redacted])")
    }
}

/// One browser of one person; random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrowserId(pub [u8; ID_BYTES]);

impl Browsers {
    /// `master_keys`: the current one first.
    #[must_use]
    pub fn new<'a>(master_keys: impl IntoIterator<Item = &'a [u8; KEY_BYTES]>) -> Self {
        Self { keys: master_keys.into_iter().map(|key| secrets::derive(key, PURPOSE)).collect() }
    }

    /// A mark for a browser that `user` has signed in with now. `known`: as which it was known already.
    ///
    /// # Errors
    /// `Random`.
    pub fn mark(&self, known: Option<BrowserId>, user: &User, now: Millis) -> Result<Secret, StoreError> {
        let mut id = known.unwrap_or(BrowserId([0; ID_BYTES]));
        if known.is_none() {
            getrandom::fill(&mut id.0).map_err(|_| StoreError::Random)?;
        }
        let key = self.keys.first().ok_or_else(|| StoreError::corrupt("there is no key for marks"))?;
        Ok(text(key, id, now, user))
    }

    /// As which browser of `user` the mark is known. `None`: it is no mark, an old one, or of someone else.
    #[must_use]
    pub fn recognise(&self, mark: &Secret, user: &User, now: Millis) -> Option<BrowserId> {
        let bytes = URL_SAFE_NO_PAD.decode(mark.expose()).ok()?;
        let id = BrowserId(bytes.get(..ID_BYTES)?.try_into().ok()?);
        let at = Millis(i64::from_be_bytes(bytes.get(ID_BYTES..ID_BYTES + 8)?.try_into().ok()?));
        let is_ours = self.keys.iter().any(|key| text(key, id, at, user) == *mark);
        (is_ours && now.since(at) < LIFETIME).then_some(id)
    }
}

fn text(key: &[u8; 32], id: BrowserId, at: Millis, user: &User) -> Secret {
    let at = at.0.to_be_bytes();
    let mac = secrets::mac(key, &[&id.0, &at, &user.id.to_bytes(), user.password_hash.expose().as_bytes()]);
    Secret::new(URL_SAFE_NO_PAD.encode([&id.0[..], &at, mac.as_slice()].concat()))
}

#[cfg(test)]
mod tests {
    use shared::{id::UserId, money::Ppm};

    use super::*;
    use crate::words::role::Role;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn user() -> User {
        User {
            id: UserId::new(NOW),
            name: "ann".into(),
            password_hash: Secret::new("$argon2id$one"),
            role: Role::User,
            enabled: true,
            price_rate: Ppm::ONE,
            language: None,
            created_at: NOW,
            updated_at: NOW,
            revision: 1,
        }
    }

    #[test]
    fn a_mark_is_known_again_by_every_replica_and_over_a_rotation_of_the_key() {
        let (old, new) = ([1; 32], [2; 32]);
        let ann = user();
        let mark = Browsers::new(&[old]).mark(None, &ann, NOW).unwrap();
        let id = Browsers::new(&[old]).recognise(&mark, &ann, NOW);
        assert!(id.is_some());
        assert_eq!(Browsers::new(&[new, old]).recognise(&mark, &ann, NOW), id);
        assert_eq!(Browsers::new(&[new]).recognise(&mark, &ann, NOW), None);
        let renewed = Browsers::new(&[new, old]).mark(id, &ann, NOW).unwrap();
        assert_eq!(Browsers::new(&[new]).recognise(&renewed, &ann, NOW), id);
    }

    #[test]
    fn it_means_nothing_of_anybody_else_or_with_another_password_or_after_long() {
        let browsers = Browsers::new(&[[1; 32]]);
        let ann = user();
        let mark = browsers.mark(None, &ann, NOW).unwrap();
        assert_eq!(browsers.recognise(&mark, &user(), NOW), None, "another person");
        let changed = User { password_hash: Secret::new("$argon2id$two"), ..ann.clone() };
        assert_eq!(browsers.recognise(&mark, &changed, NOW), None, "another password");
        assert!(browsers.recognise(&mark, &ann, Millis(NOW.plus(LIFETIME).0 - 1)).is_some());
        assert_eq!(browsers.recognise(&mark, &ann, NOW.plus(LIFETIME)), None);
    }

    #[test]
    fn what_is_not_ours_is_no_mark() {
        let browsers = Browsers::new(&[[1; 32]]);
        let ann = user();
        let mark = browsers.mark(None, &ann, NOW).unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(mark.expose()).unwrap();
        bytes[0] ^= 1;
        for bad in ["", "junk", &mark.expose()[..70], &URL_SAFE_NO_PAD.encode(&bytes), &"A".repeat(10_000)] {
            assert_eq!(browsers.recognise(&Secret::new(bad), &ann, NOW), None, "{bad:.20}");
        }
        assert_ne!(browsers.mark(None, &ann, NOW).unwrap(), mark, "each browser has its own");
    }
}
