//! What people see and change of themselves.

use super::{Caller, Change, Done, Entry, Refusal, attempts, demand_seen};
use crate::{
    app::App,
    domain::{
        password::PasswordChange,
        user::{ProfileChange, own_password},
    },
    store::{
        StoreError, Tx, sessions,
        throttle::{self, Attempt, Purpose},
        users::{self, User},
    },
};

/// # Errors
/// `NotFound`: the caller was deleted a moment ago.
pub async fn get(app: &App, caller: &Caller) -> Done<User> {
    let mut tx = app.store.read().await?;
    let user = read(&mut tx, caller).await?;
    tx.commit().await?;
    Ok(user)
}

/// `revision`: the one that the caller has seen.
///
/// # Errors
/// The profile was changed meanwhile.
pub async fn update(app: &App, caller: &Caller, revision: i64, input: ProfileChange) -> Done<User> {
    let mut change = Change::begin(app, caller).await?;
    let before = read(&mut change.tx, caller).await?;
    demand_seen(revision, before.revision)?;
    let mut after = input.apply(before.clone(), change.now);
    after.revision = users::update(&mut change.tx, &after, revision).await?;
    change.publish(Entry::changed("profile.update", &before, &after)).await?;
    Ok(after)
}

/// Ends all of the caller's logins but this one.
///
/// # Errors
/// `Invalid` where the current password is wrong (`Unauthorized` would tell clients that the login has ended), or the new
/// one is as good as the name. `TooMany`, or the profile was changed meanwhile.
pub async fn change_password(app: &App, caller: &Caller, revision: i64, input: PasswordChange) -> Done<User> {
    let before = get(app, caller).await?;
    demand_seen(revision, before.revision)?;
    own_password("new_password", &input.new_password, &before.name)?;
    let name = caller.session.to_string();
    let attempt = Attempt { purpose: Purpose::PasswordChange, name: &name, address: None, browser: None };
    let receipt = attempts::admit(app, &attempt).await?;
    if !attempts::check(app, &receipt, &input.current_password, Some(&before.password_hash)).await? {
        return Err(Refusal::invalid("current_password", "it is not your password"));
    }
    let password_hash = app.passwords.hash(&input.new_password).await?;
    let mut change = Change::begin(app, caller).await?;
    let mut after = User { password_hash, updated_at: change.now, ..before.clone() };
    after.revision = users::update(&mut change.tx, &after, revision).await?;
    sessions::delete_of_user(&mut change.tx, after.id, Some(caller.session)).await?;
    throttle::succeeded(&mut change.tx, &receipt, change.now).await?;
    let entry = Entry::changed("profile.password", &before, &after).with_replaced("password");
    change.publish(entry).await?;
    Ok(after)
}

async fn read(tx: &mut Tx, caller: &Caller) -> Done<User> {
    Ok(users::get(tx, caller.user).await?.ok_or(StoreError::NotFound)?)
}
