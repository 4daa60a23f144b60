//! Signing in and out, and who a token speaks for.
//!
//! A login gives a short access token and a refresh token. The refresh token counts once: a refresh puts another in
//! its place, see [`crate::domain::refresh`], and one that comes again later ends the login, for then two have it.

use std::{net::IpAddr, time::Duration};

use shared::{
    clock::Millis,
    id::{SessionId, UserId},
    secret::Secret,
};

use super::{Caller, Change, Done, Entry, Refusal, attempts};
use crate::{
    app::App,
    domain::{
        password::LoginRequest,
        refresh::{RefreshToken, Refreshed},
        tokens::{AccessToken, TokenError},
    },
    store::{
        sessions::{self, Session},
        throttle::{self, Attempt, Purpose},
        users::{self, User},
    },
};

const WRONG: Refusal =
    Refusal::Unauthorized { code: "invalid_credentials", detail: "the name or the password is wrong" };
const INVALID: Refusal = Refusal::Unauthorized { code: "refresh_invalid", detail: "sign in again" };
const ENDED: Refusal = Refusal::Unauthorized { code: "session_ended", detail: "sign in again" };
const REUSED: Refusal = Refusal::Unauthorized {
    code: "refresh_reused",
    detail: "this refresh token was used before, so the login was ended; sign in again",
};

/// What a login or a refresh gives.
#[derive(Debug)]
pub struct SignedIn {
    pub user: User,
    pub access: Secret,
    /// How long the access token is good for.
    pub access_lifetime: Duration,
    pub refresh: RefreshToken,
}

/// Who speaks by this access token.
///
/// # Errors
/// `Unauthorized`: it has expired, is none of ours, or its login or user is no more.
pub async fn authenticate(app: &App, access: &str, address: Option<IpAddr>) -> Done<Caller> {
    let now = app.clock.now();
    let token = app.tokens.check(access, now).map_err(|error| match error {
        TokenError::Expired => {
            Refusal::Unauthorized { code: "token_expired", detail: "refresh the access token" }
        }
        TokenError::Invalid | TokenError::Signing => {
            Refusal::Unauthorized { code: "token_invalid", detail: "sign in again" }
        }
    })?;
    let mut tx = app.store.read().await?;
    let session = sessions::get(&mut tx, token.session).await?;
    let user = users::get(&mut tx, token.user).await?;
    tx.commit().await?;
    let session =
        session.filter(|session| session.user == token.user && session.expires_at > now).ok_or(ENDED)?;
    let user = user.filter(|user| user.enabled).ok_or(ENDED)?;
    Ok(Caller { user: user.id, role: user.role, session: session.id, address })
}

/// # Errors
/// `Unauthorized` where the name or the password is wrong, `Disabled` where only the person is, `TooMany`.
pub async fn sign_in(app: &App, address: Option<IpAddr>, request: &LoginRequest) -> Done<SignedIn> {
    let attempt = Attempt { purpose: Purpose::Login, name: &request.username, address };
    let receipt = attempts::admit(app, &attempt).await?;
    let mut tx = app.store.read().await?;
    let user = users::by_name(&mut tx, &request.username).await?;
    tx.commit().await?;
    let hash = user.as_ref().map(|user| &user.password_hash);
    let right = attempts::check(app, &receipt, &request.password, hash).await?;
    let checked = user.filter(|_| right).ok_or(WRONG)?;
    let mut change = Change::begin_unsigned(app, address).await?;
    throttle::succeeded(&mut change.tx, &receipt, change.now).await?;
    // The password or the person may have changed while the hash was computed.
    let latest = users::get_latest(&mut change.tx, checked.id).await?;
    let user = latest.filter(|latest| latest.password_hash == checked.password_hash).ok_or(WRONG)?;
    if !user.enabled {
        change.commit_unlogged().await?;
        return Err(Refusal::Disabled { code: "user_disabled", detail: "an admin has disabled this user" });
    }
    let (session, refresh) = new_session(app, user.id, change.now)?;
    sessions::insert(&mut change.tx, &session).await?;
    let signed_in = signed_in(app, user, refresh, change.now)?;
    change.by(Caller { user: session.user, role: signed_in.user.role, session: session.id, address });
    change.commit(Entry::done("auth.login", "user", session.user)).await?;
    Ok(signed_in)
}

/// # Errors
/// `Unauthorized`; where the token had been used before, its login was ended.
pub async fn refresh(app: &App, address: Option<IpAddr>, token: &Secret) -> Done<SignedIn> {
    let token = RefreshToken::parse(token).ok_or(INVALID)?;
    let mut change = Change::begin_unsigned(app, address).await?;
    let now = change.now;
    let session = sessions::get(&mut change.tx, token.session).await?;
    let session = session.filter(|session| session.expires_at > now).ok_or(INVALID)?;
    let user = users::get(&mut change.tx, session.user).await?;
    let user = user.filter(|user| user.enabled).ok_or(INVALID)?;
    match app.refresh_tokens.refresh(&mut change.tx, &token, now).await? {
        Refreshed::Successor(token) => {
            change.commit_unlogged().await?;
            signed_in(app, user, token, now)
        }
        Refreshed::Unknown => Err(INVALID),
        Refreshed::Reused => {
            sessions::delete(&mut change.tx, session.id).await?;
            change.by(Caller { user: user.id, role: user.role, session: session.id, address });
            let entry = Entry::done("auth.revoke", "user", user.id).with("reason", "refresh_reused");
            change.commit(entry).await?;
            Err(REUSED)
        }
    }
}

/// Ends the caller's login.
///
/// # Errors
/// What the database says.
pub async fn sign_out(app: &App, caller: &Caller) -> Done<()> {
    let mut change = Change::begin(app, caller).await?;
    sessions::delete(&mut change.tx, caller.session).await?;
    change.commit(Entry::done("auth.logout", "user", caller.user)).await
}

fn new_session(app: &App, user: UserId, now: Millis) -> Done<(Session, RefreshToken)> {
    let id = SessionId::new(now);
    let token = app.refresh_tokens.first(id)?;
    let session = Session {
        id,
        user,
        refresh_hash: token.hash(),
        previous: None,
        created_at: now,
        last_used_at: now,
        expires_at: app.refresh_tokens.expiry(now),
    };
    Ok((session, token))
}

fn signed_in(app: &App, user: User, refresh: RefreshToken, now: Millis) -> Done<SignedIn> {
    let access = AccessToken { user: user.id, session: refresh.session };
    let access = app.tokens.issue(access, now).map_err(Refusal::internal)?;
    Ok(SignedIn { user, access, access_lifetime: app.tokens.lifetime(), refresh })
}
