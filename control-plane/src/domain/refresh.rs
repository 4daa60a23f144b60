//! Refresh tokens: each counts once, and a refresh whose answer was lost can be made again.
//!
//! A refresh puts a new token in the place of the old one. The new one is computed from the old one and a key that all
//! replicas derive from the master key, so that two tabs with one token, or one whose answer never arrived, get the
//! very same successor. That holds for a short grace, and only while the successor has not been used: later the old
//! token is in two hands, and the login ends.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use shared::{clock::Millis, id::SessionId, secret::Secret};
use zeroize::Zeroizing;

use crate::{
    secrets::{self, KEY_BYTES},
    store::{
        StoreError, Tx,
        sessions::{self, Previous, Session},
    },
};

/// Keeps keys for other purposes apart from this one.
const PURPOSE: &[u8] = b"switchyard refresh token v1";

/// Makes refresh tokens and their successors.
#[derive(Clone)]
pub struct RefreshTokens {
    /// The current one first.
    keys: Arc<[Zeroizing<[u8; 32]>]>,
    terms: Terms,
}

/// How long a login lasts.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// How long a refresh can be made again.
    pub grace: Duration,
    /// After its last use.
    pub idle: Duration,
    /// After signing in, however much it is used.
    pub max_age: Duration,
}

impl std::fmt::Debug for RefreshTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshTokens([redacted])")
    }
}

/// The login's id and 32 bytes that nobody can guess, in base64url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub session: SessionId,
    pub text: Secret,
}

/// What came of a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// The token that counts from now on.
    Successor(RefreshToken),
    /// The login has ended meanwhile, or the successor was made with a master key that is not there.
    Unknown,
    /// The token was used before, and not a moment ago: two have it.
    Reused,
}

impl RefreshToken {
    /// `None`: it has not the form of one.
    #[must_use]
    pub fn parse(text: &Secret) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.expose()).map(Zeroizing::new).ok()?;
        let bytes: &[u8; 48] = bytes.as_slice().try_into().ok()?;
        let session = SessionId::try_from(bytes.get(..16)?).ok()?;
        Some(Self { session, text: text.clone() })
    }

    fn new(session: SessionId, unguessable: &[u8; 32]) -> Self {
        let mut bytes = Zeroizing::new([0_u8; 48]);
        let (id, rest) = bytes.split_at_mut(16);
        id.copy_from_slice(&session.to_bytes());
        rest.copy_from_slice(unguessable);
        Self { session, text: Secret::new(URL_SAFE_NO_PAD.encode(bytes.as_slice())) }
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.expose().as_bytes()).into()
    }
}

impl RefreshTokens {
    /// `master_keys`: the current one first.
    #[must_use]
    pub fn new<'a>(master_keys: impl IntoIterator<Item = &'a [u8; KEY_BYTES]>, terms: Terms) -> Self {
        let keys = master_keys.into_iter().map(|key| secrets::derive(key, PURPOSE));
        Self { keys: keys.collect(), terms }
    }

    /// The first token of a login.
    ///
    /// # Errors
    /// `Random`.
    pub fn first(&self, session: SessionId) -> Result<RefreshToken, StoreError> {
        let mut random = Zeroizing::new([0_u8; 32]);
        getrandom::fill(random.as_mut_slice()).map_err(|_| StoreError::Random)?;
        Ok(RefreshToken::new(session, &random))
    }

    /// Until when a login that is used now can be refreshed.
    #[must_use]
    pub fn expiry(&self, signed_in_at: Millis, now: Millis) -> Millis {
        now.plus(self.terms.idle).min(signed_in_at.plus(self.terms.max_age))
    }

    /// When a login ends unless it is used. What is stored may go beyond, where the settings were other ones then.
    #[must_use]
    pub fn end(&self, session: &Session) -> Millis {
        session.expires_at.min(session.created_at.plus(self.terms.max_age))
    }

    /// Whether it is the login's token, or was until a moment ago.
    #[must_use]
    pub fn is_of(&self, token: &RefreshToken, session: &Session, now: Millis) -> bool {
        let hash = token.hash();
        session.refresh_hash == hash || self.is_within_grace(session, hash, now)
    }

    fn is_within_grace(&self, session: &Session, hash: [u8; 32], now: Millis) -> bool {
        let again =
            |previous: Previous| previous.hash == hash && now < previous.rotated_at.plus(self.terms.grace);
        session.previous.is_some_and(again)
    }

    /// By each of the keys, the current one first.
    fn successors(&self, token: &RefreshToken) -> impl Iterator<Item = RefreshToken> {
        let session = token.session.to_bytes();
        let made = move |key: &Zeroizing<[u8; 32]>| {
            RefreshToken::new(token.session, &secrets::mac(key, &[&session, token.text.expose().as_bytes()]))
        };
        self.keys.iter().map(made)
    }

    /// Puts the successor of a token in its place, or finds that it is there already. The login itself is looked at by
    /// the caller, who also ends it where the token was [`Refreshed::Reused`]. `signed_in_at`: when the login began.
    ///
    /// # Errors
    /// What the database says.
    pub async fn refresh(
        &self,
        tx: &mut Tx,
        token: &RefreshToken,
        signed_in_at: Millis,
        now: Millis,
    ) -> Result<Refreshed, StoreError> {
        let (id, old) = (token.session, token.hash());
        let Some(next) = self.successors(token).next() else { return Ok(Refreshed::Unknown) };
        if sessions::rotate(tx, id, old, next.hash(), now, self.expiry(signed_in_at, now)).await? {
            return Ok(Refreshed::Successor(next));
        }
        // Another refresh may have come first since this transaction began.
        let Some(session) = sessions::get_latest(tx, id).await? else { return Ok(Refreshed::Unknown) };
        if !self.is_within_grace(&session, old, now) {
            return Ok(Refreshed::Reused);
        }
        let current = self.successors(token).find(|next| next.hash() == session.refresh_hash);
        Ok(current.map_or(Refreshed::Unknown, Refreshed::Successor))
    }
}
