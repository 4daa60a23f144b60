//! Signing in with a name and a password.

use std::net::IpAddr;

use shared::{
    clock::Millis,
    id::{SessionId, UserId},
    secret::Secret,
};

use super::{SignedIn, mark, signed_in};
use crate::{
    app::App,
    domain::{password::LoginRequest, refresh::RefreshToken},
    metrics::LoginLabels,
    ops::{Caller, Change, Done, Entry, Refusal, attempts},
    store::{
        sessions::{self, Session},
        throttle::{self, Attempt, Purpose, Receipt},
        users::{self, User},
    },
};

const WRONG: Refusal =
    Refusal::Unauthorized { code: "invalid_credentials", detail: "the name or the password is wrong" };
const DISABLED: Refusal =
    Refusal::Disabled { code: "user_disabled", detail: "an admin has disabled this user" };

/// Where someone signs in from.
#[derive(Debug, Default)]
pub struct Client {
    /// `None`: it is not known.
    pub address: Option<IpAddr>,
    /// What it calls itself, as [`crate::domain::agent::shown`] has it.
    pub agent: Option<String>,
    /// What an earlier login left with it, see [`SignedIn::browser`].
    pub browser: Option<Secret>,
}

/// # Errors
/// `Unauthorized` where the name or the password is wrong, `Disabled` where only the person is, `TooMany`.
pub async fn sign_in(app: &App, client: &Client, request: &LoginRequest) -> Done<SignedIn> {
    let done = try_to(app, client, request).await;
    if let Some(outcome) = outcome(&done) {
        app.metrics.logins.get_or_create(&LoginLabels { outcome }).inc();
    }
    done
}

/// `None`: it failed for reasons of ours.
const fn outcome(done: &Done<SignedIn>) -> Option<&'static str> {
    match done {
        Ok(_) => Some("ok"),
        Err(Refusal::Unauthorized { .. }) => Some("wrong"),
        Err(Refusal::Disabled { .. }) => Some("disabled"),
        Err(Refusal::TooMany { .. }) => Some("throttled"),
        Err(_) => None,
    }
}

async fn try_to(app: &App, client: &Client, request: &LoginRequest) -> Done<SignedIn> {
    let mut tx = app.store.read().await?;
    let checked = users::by_name(&mut tx, &request.username).await?;
    tx.commit().await?;
    let recognise = |user: &User| app.browsers.recognise(client.browser.as_ref()?, user, app.clock.now());
    let browser = checked.as_ref().and_then(recognise);
    let attempt = Attempt {
        purpose: Purpose::Login,
        name: &request.username,
        address: client.address,
        browser: browser.map(|id| id.0),
    };
    let receipt = attempts::admit(app, &attempt).await?;
    let hash = checked.as_ref().map(|user| &user.password_hash);
    let right = attempts::check(app, &receipt, &request.password, hash).await?;
    let mut change = Change::begin_unsigned(app, client.address).await?;
    let Some(checked) = checked.as_ref().filter(|_| right) else {
        return Err(refused(change, &receipt, checked.as_ref(), WRONG).await);
    };
    throttle::succeeded(&mut change.tx, &receipt, change.now).await?;
    // The password or the person may have changed while the hash was computed.
    let latest = users::get_latest(&mut change.tx, checked.id).await?;
    let Some(user) = latest.filter(|latest| latest.password_hash == checked.password_hash) else {
        change.abandon().await?;
        return Err(WRONG);
    };
    if !user.enabled {
        return Err(refused(change, &receipt, Some(&user), DISABLED).await);
    }
    let (session, token) = new_session(app, client, user.id, change.now)?;
    sessions::insert(&mut change.tx, &session).await?;
    let browser = mark(app, browser, &user, change.now)?;
    let done = signed_in(app, user, &token, session.created_at, change.now)?;
    change.by(Caller {
        user: session.user,
        role: done.user.role,
        session: session.id,
        address: client.address,
    });
    change.commit(Entry::done("auth.login", "user", session.user)).await?;
    Ok(SignedIn { browser: Some(browser), ..done })
}

/// Commits what was counted, and tells the audit log where that is due. It hears a name only where there is such a
/// person: into this field people type passwords too. What is done takes as long for a name that there is not.
async fn refused(
    mut change: Change<'_>,
    receipt: &Receipt,
    user: Option<&User>,
    refusal: Refusal,
) -> Refusal {
    let logged = async {
        if !throttle::is_log_due(&mut change.tx, receipt, change.now).await? {
            return change.commit_unlogged().await;
        }
        let reason = if matches!(refusal, Refusal::Disabled { .. }) { "disabled" } else { "wrong" };
        let entry = match user {
            Some(user) => Entry::done(FAILED, "user", user.id).with("name", user.name.as_str()),
            None => Entry::undirected(FAILED, "user"),
        };
        change.commit(entry.with("reason", reason)).await
    };
    match logged.await {
        Ok(()) => refusal,
        Err(error) => error,
    }
}

const FAILED: &str = "auth.login_failed";

fn new_session(app: &App, client: &Client, user: UserId, now: Millis) -> Done<(Session, RefreshToken)> {
    let id = SessionId::new(now);
    let token = app.refresh_tokens.first(id)?;
    let session = Session {
        id,
        user,
        refresh_hash: token.hash(),
        previous: None,
        created_at: now,
        last_used_at: now,
        expires_at: app.refresh_tokens.expiry(now, now),
        address: client.address,
        agent: client.agent.clone(),
    };
    Ok((session, token))
}
