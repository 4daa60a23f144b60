//! Passwords: what they may be, and their Argon2id hashes.
//!
//! Hashing takes 19 MiB and tens of milliseconds of a core by design, so few run at once and few may wait; beyond
//! that the caller is told to come back.

mod guessable;

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{Error as HashError, PasswordHasher as _, PasswordVerifier as _},
};
use serde::Deserialize;
use shared::{secret::Secret, tasks::Tasks};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

const MIN_CHARACTERS: usize = 12;
const PRODUCT: &str = "switchyard";
/// In bytes; also for passwords that are only compared.
const MAX_BYTES: usize = 256;
/// Hashes computed at once.
const SLOTS: usize = 2;
/// Hashes computed or waited for.
const QUEUE: usize = 64;

/// A password that may be set: 12 characters at least, 256 bytes at most, and none of those that are guessed first. That
/// it is not the person's own name is looked at where that is known, see [`Password::demand_other_than`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Secret")]
pub struct Password(Secret);

/// Why a text may not be set as a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    #[error("must have at least {MIN_CHARACTERS} characters: some words in a row are easily kept in mind")]
    Short,
    #[error("must have at most {MAX_BYTES} bytes")]
    Long,
    #[error(
        "is one of those that are guessed first: take some words that have nothing to do with each other, or let a \
         password manager make one"
    )]
    Common,
    #[error(
        "must not be a name with some digits: take some words that have nothing to do with each other, or let a \
         password manager make one"
    )]
    Name,
}

impl TryFrom<Secret> for Password {
    type Error = InvalidPassword;

    fn try_from(text: Secret) -> Result<Self, InvalidPassword> {
        if text.expose().chars().count() < MIN_CHARACTERS {
            return Err(InvalidPassword::Short);
        }
        if text.expose().len() > MAX_BYTES {
            return Err(InvalidPassword::Long);
        }
        if guessable::is_common(text.expose()) {
            return Err(InvalidPassword::Common);
        }
        let this = Self(text);
        this.demand_other_than(PRODUCT)?;
        Ok(this)
    }
}

impl Password {
    /// It must not be this name, or the part of it ahead of an `@`, with no more than digits and marks around.
    ///
    /// # Errors
    /// `Name`.
    pub fn demand_other_than(&self, name: &str) -> Result<(), InvalidPassword> {
        let local = name.split('@').next().unwrap_or(name);
        let is_name = [name, local].iter().any(|name| guessable::is_name(self.0.expose(), name));
        if is_name { Err(InvalidPassword::Name) } else { Ok(()) }
    }
}

/// What someone signs in with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    pub username: String,
    #[schema(value_type = String, format = Password)]
    pub password: Secret,
}

/// One's own password, and another one for it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    #[schema(value_type = String, format = Password)]
    pub current_password: Secret,
    #[schema(value_type = String, format = Password)]
    pub new_password: Password,
}

/// Why no hash was computed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// As many as may wait are waiting.
    #[error("too many passwords are being checked at the moment")]
    Busy,
    #[error("a password could not be hashed: {0}")]
    Failed(String),
}

/// Computes hashes. Clones share the bounds.
#[derive(Debug, Clone)]
pub struct Passwords {
    tasks: Tasks,
    slots: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Passwords {
    #[must_use]
    pub fn new(tasks: Tasks) -> Self {
        Self { tasks, slots: Arc::new(Semaphore::new(SLOTS)), queue: Arc::new(Semaphore::new(QUEUE)) }
    }

    /// The hash in the PHC form, with a random salt.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub async fn hash(&self, password: &Password) -> Result<Secret, PasswordError> {
        let password = password.0.clone();
        self.run(move || {
            let hash = Argon2::default().hash_password(password.expose().as_bytes());
            hash.map(|hash| Secret::new(hash.to_string())).map_err(failed)
        })
        .await?
    }

    /// Whether the password is the one that `hash` was made of. Without a hash it is not, after the same time: how
    /// long the answer takes does not tell whether there is such a person.
    ///
    /// # Errors
    /// See [`PasswordError`].
    pub async fn verify(&self, password: &Secret, hash: Option<&Secret>) -> Result<bool, PasswordError> {
        let (password, hash) = (password.clone(), hash.cloned());
        self.run(move || {
            let text = password.expose().as_bytes();
            let text = text.get(..MAX_BYTES).unwrap_or(text);
            let Some(hash) = hash else {
                Argon2::default().hash_password(text).map_err(failed)?;
                return Ok(false);
            };
            match Argon2::default().verify_password(text, hash.expose()) {
                Ok(()) => Ok(password.expose().len() <= MAX_BYTES),
                Err(HashError::PasswordInvalid) => Ok(false),
                Err(error) => Err(failed(error)),
            }
        })
        .await?
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let queued = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let slot = Arc::clone(&self.slots).acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        // The permits go with the work, which goes on where the caller leaves.
        let done = self.tasks.spawn_blocking(move || {
            let result = work();
            drop((queued, slot));
            result
        });
        done.await.map_err(|error| PasswordError::Failed(error.to_string()))
    }
}

fn failed(error: HashError) -> PasswordError {
    PasswordError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Result<Password, InvalidPassword> {
        Password::try_from(Secret::new(text))
    }

    #[test]
    fn length_is_bounded_on_both_sides() {
        assert_eq!(password("eleven char"), Err(InvalidPassword::Short));
        assert!(password("twelve chars").is_ok());
        assert_eq!(
            password("密码是我自己想出来的啊"),
            Err(InvalidPassword::Short),
            "33 bytes, and 11 characters"
        );
        assert!(password("这个密码是我自己想出来的").is_ok());
        assert!(password(&longest()).is_ok());
        assert_eq!(password(&(longest() + "a")), Err(InvalidPassword::Long));
    }

    #[test]
    fn what_is_guessed_first_is_refused() {
        for common in
            ["password1234", "Password1234", "QWERTYUIOP123", "aaaaaaaaaaaa", "abcdefghijkl", "123412341234"]
        {
            assert_eq!(password(common), Err(InvalidPassword::Common), "{common}");
        }
        for common in ["switchyard12", "Switchyard-2026!", "2026switchyard", "switchyard switchyard"] {
            assert_eq!(password(common), Err(InvalidPassword::Name), "{common}");
        }
        for good in
            ["correct horse", "battery staple", "correct-horse-battery-staple", "the switchyard at night"]
        {
            assert!(password(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_persons_own_name_with_digits_is_refused() {
        let refused = |text: &str, name: &str| {
            password(text).unwrap().demand_other_than(name) == Err(InvalidPassword::Name)
        };
        for own in
            ["ann.lee.2026!!", "ANN.LEE12345", "12345ann.lee", "ann.lee@example.com", "ann.lee-ann.lee"]
        {
            assert!(refused(own, "ann.lee@example.com"), "{own}");
        }
        for other in ["ann.lee and bob", "a-password-of-ann", "correct horse"] {
            assert!(!refused(other, "ann.lee@example.com"), "{other}");
        }
        assert!(!refused("correct horse", ""));
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        for (text, words) in
            [("short", "words in a row"), ("password1234", "words"), ("switchyard12", "words")]
        {
            let said = password(text).unwrap_err().to_string();
            assert!(said.contains(words) && !said.contains(text), "{said}");
        }
    }

    /// As many bytes as may be.
    fn longest() -> String {
        ["correct horse "; 19].concat()[..MAX_BYTES].to_owned()
    }

    #[tokio::test]
    async fn only_the_password_itself_matches_its_hash() {
        let passwords = Passwords::new(Tasks::new());
        let hash = passwords.hash(&password("correct horse").unwrap()).await.unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.expose());
        let other = passwords.hash(&password("correct horse").unwrap()).await.unwrap();
        assert_ne!(hash, other, "the salt is random");
        assert!(passwords.verify(&Secret::new("correct horse"), Some(&hash)).await.unwrap());
        assert!(!passwords.verify(&Secret::new("Correct horse"), Some(&hash)).await.unwrap());
        assert!(!passwords.verify(&Secret::new("correct horse"), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_longer_text_with_the_same_beginning_does_not_match() {
        let passwords = Passwords::new(Tasks::new());
        let longest = longest();
        let hash = passwords.hash(&password(&longest).unwrap()).await.unwrap();
        assert!(passwords.verify(&Secret::new(longest.clone()), Some(&hash)).await.unwrap());
        assert!(!passwords.verify(&Secret::new(longest + "a"), Some(&hash)).await.unwrap());
    }

    #[tokio::test]
    async fn who_comes_when_the_queue_is_full_is_sent_away() {
        let passwords = Passwords::new(Tasks::new());
        let all =
            Arc::clone(&passwords.queue).acquire_many_owned(u32::try_from(QUEUE).unwrap()).await.unwrap();
        let refused = passwords.verify(&Secret::new("correct horse"), None).await;
        assert!(matches!(refused, Err(PasswordError::Busy)), "{refused:?}");
        drop(all);
        assert!(passwords.verify(&Secret::new("correct horse"), None).await.is_ok());
    }
}
