//! The first admin, made when there is nobody yet.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use shared::{clock::Clock, id::UserId, money::Ppm, secret::Secret};
use zeroize::Zeroizing;

use super::Entry;
use crate::{
    domain::password::{InvalidPassword, Password, PasswordError, Passwords},
    store::{
        Store, StoreError, audit, changes,
        users::{self, User, UserFilter},
    },
    words::role::Role,
};

/// What the first admin is called.
pub const FIRST_ADMIN: &str = "admin";

/// What [`first_admin`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstAdmin {
    /// There are people already.
    NotNeeded,
    /// With the password that was given.
    Created,
    /// With a generated password, to be shown to the operator this once.
    Generated(Secret),
}

/// Why there is no first admin.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    #[error("the first admin's password {0}")]
    Password(#[from] InvalidPassword),
    #[error(transparent)]
    Hashing(#[from] PasswordError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the user `admin` where there is nobody, with `password` or a generated one. Replicas that start at once make
/// one together, and only the one that did gets the password to show.
///
/// # Errors
/// See [`BootstrapError`].
pub async fn first_admin(
    store: &Store,
    passwords: &Passwords,
    clock: &Clock,
    password: Option<&Secret>,
) -> Result<FirstAdmin, BootstrapError> {
    let mut tx = store.read().await?;
    let anyone = !users::list(&mut tx, &UserFilter::default(), None, 1).await?.is_empty();
    tx.commit().await?;
    if anyone {
        return Ok(FirstAdmin::NotNeeded);
    }
    let (secret, done) = match password {
        Some(given) => (given.clone(), FirstAdmin::Created),
        None => {
            let generated = generate()?;
            (generated.clone(), FirstAdmin::Generated(generated))
        }
    };
    let password = Password::try_from(secret)?;
    password.demand_other_than(FIRST_ADMIN)?;
    let hash = passwords.hash(&password).await?;
    Ok(if insert(store, clock, hash).await? { done } else { FirstAdmin::NotNeeded })
}

async fn insert(store: &Store, clock: &Clock, password_hash: Secret) -> Result<bool, StoreError> {
    let now = clock.now();
    let mut tx = store.begin().await?;
    changes::lock(&mut tx).await?;
    if users::any(&mut tx).await? {
        return Ok(false);
    }
    let user = User {
        id: UserId::new(now),
        name: FIRST_ADMIN.to_owned(),
        password_hash,
        role: Role::Admin,
        enabled: true,
        price_rate: Ppm::ONE,
        language: None,
        created_at: now,
        updated_at: now,
        revision: 1,
    };
    users::insert(&mut tx, &user).await?;
    let entry = Entry::made("user.create", &user).stored(None, None, now);
    audit::write(&mut tx, &entry).await?;
    tx.commit().await?;
    Ok(true)
}

fn generate() -> Result<Secret, StoreError> {
    let mut random = Zeroizing::new([0_u8; 18]);
    getrandom::fill(random.as_mut_slice()).map_err(|_| StoreError::Random)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(random.as_slice())))
}
