//! Passwords that people give: each attempt is counted before anything is looked at, see [`throttle`].

use shared::secret::Secret;

use super::{Done, Refusal};
use crate::{
    app::App,
    store::throttle::{self, Admission, Attempt, Receipt},
};

/// Counts the attempt, in a transaction of its own.
///
/// # Errors
/// `TooMany`.
pub(super) async fn admit(app: &App, attempt: &Attempt<'_>) -> Done<Receipt> {
    let mut tx = app.store.begin().await?;
    match throttle::admit(&mut tx, attempt, app.clock.now()).await? {
        Admission::Admitted(receipt) => {
            tx.commit().await?;
            Ok(receipt)
        }
        Admission::Wait(wait) => {
            tx.rollback().await?;
            let detail = "too many attempts; wait a little".to_owned();
            Err(Refusal::TooMany { code: "too_many_attempts", detail, wait })
        }
    }
}

/// Whether the password is right. An attempt whose password could not be looked at is not counted.
///
/// # Errors
/// `Unavailable` where too many passwords are looked at.
pub(super) async fn check(
    app: &App,
    receipt: &Receipt,
    password: &Secret,
    hash: Option<&Secret>,
) -> Done<bool> {
    match app.passwords.verify(password, hash).await {
        Ok(right) => Ok(right),
        Err(error) => {
            let mut tx = app.store.begin().await?;
            throttle::withdrawn(&mut tx, receipt).await?;
            tx.commit().await?;
            Err(error.into())
        }
    }
}
