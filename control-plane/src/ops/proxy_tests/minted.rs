//! The key of a proxy test: made for it, known to the nodes, and gone with it.

use std::{collections::HashSet, time::Duration};

use shared::{
    id::KeyId,
    secret::{self, Secret},
    wire::Wire,
};
use tokio::time::Instant;

use super::super::gateway::taking_requests;
use crate::{
    app::App,
    domain::api_key,
    ops::{Audited as _, Caller, Change, Done, Entry, Refusal},
    store::{
        StoreError,
        api_keys::{self, ApiKey},
        changes::{self, Revision},
        nodes::NodeRow,
        proxy_test_keys, users,
    },
};

/// How long a key lasts that is not deleted before.
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Keys of one person that have not expired, so about as many tests at the same time.
const MOST: i64 = 5;
/// After it, who has too many may try again.
const TOO_MANY_WAIT: Duration = Duration::from_secs(10);
/// How long a test waits for all nodes to know its key.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(2);
const ACKNOWLEDGE_POLL: Duration = Duration::from_millis(25);

/// A key that is deleted once this is dropped. Where that fails, housekeeping does it when the key has expired.
#[derive(Debug)]
pub struct Minted {
    app: App,
    id: KeyId,
    /// From this one on nodes know the key.
    revision: Revision,
}

impl Drop for Minted {
    fn drop(&mut self) {
        let (app, id) = (self.app.clone(), self.id);
        self.app.tasks.spawn(async move {
            match delete(&app, id).await {
                Ok(()) => app.changed(),
                // With its owner, or never committed.
                Err(StoreError::NotFound) => {}
                Err(error) => {
                    tracing::warn!(%error, key = %id, "the key of a proxy test stays until it expires")
                }
            }
        });
    }
}

async fn delete(app: &App, id: KeyId) -> Result<(), StoreError> {
    let mut tx = app.store.begin().await?;
    api_keys::delete(&mut tx, id, app.clock.now()).await?;
    tx.commit().await
}

/// Makes a key of the caller's own, and what it is presented as.
///
/// # Errors
/// They have too many, or were disabled a moment ago.
pub(super) async fn mint(app: &App, caller: &Caller, wire: Wire) -> Done<(Minted, Secret)> {
    let now = app.clock.now();
    let secret = secret::new_api_key().map_err(|_| StoreError::Random)?;
    let key = ApiKey {
        expires_at: Some(now.plus(LIFETIME)),
        ..api_key::key(caller.user, "proxy test".to_owned(), &secret, now)
    };
    let mut change = Change::begin_locked(app, caller).await?;
    let user = users::get_latest(&mut change.tx, caller.user).await?.filter(|user| user.enabled);
    if user.is_none() {
        return Err(Refusal::Unauthorized { code: "session_ended", detail: "sign in again" });
    }
    if proxy_test_keys::count_unexpired(&mut change.tx, caller.user, now).await? >= MOST {
        let detail = format!("{MOST} proxy tests of yours are running; wait for one to end");
        return Err(Refusal::TooMany { code: "too_many_proxy_tests", detail, wait: TOO_MANY_WAIT });
    }
    proxy_test_keys::insert(&mut change.tx, &key).await?;
    let (revision, _) = changes::revision(&mut change.tx).await?;
    // Ahead of the commit: who is cut off in it may have made the key.
    let minted = Minted { app: app.clone(), id: key.id, revision };
    let entry = Entry::done("proxy_test.start", ApiKey::KIND, key.id).with("wire", wire.as_str());
    change.publish(entry).await?;
    Ok((minted, secret))
}

/// Waits until each of `nodes` has said that it knows the key, or is gone. When that takes too long, one must do.
///
/// # Errors
/// No node has said so.
pub(super) async fn acknowledged(app: &App, nodes: &[NodeRow], key: &Minted) -> Done<()> {
    let deadline = Instant::now() + ACKNOWLEDGE_TIMEOUT;
    // A heartbeat that was under way may show an older revision for a moment.
    let mut known_by = HashSet::new();
    loop {
        let mut tx = app.store.read().await?;
        let live = taking_requests(app, &mut tx).await?;
        tx.commit().await?;
        let knowing = live.iter().filter(|node| node.revision.is_some_and(|at| reaches(at, key.revision)));
        known_by.extend(knowing.map(|node| node.node_id.clone()));
        let waited_for = |node: &&NodeRow| live.iter().any(|live| live.node_id == node.node_id);
        let all = nodes.iter().filter(waited_for).all(|node| known_by.contains(&node.node_id));
        if !known_by.is_empty() && (all || Instant::now() >= deadline) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let detail =
                "no node has taken the test's key in time; an operator sees under Nodes how far each one is";
            return Err(Refusal::Unavailable { code: "not_acknowledged", detail: detail.to_owned() });
        }
        tokio::time::sleep(ACKNOWLEDGE_POLL).await;
    }
}

fn reaches(at: Revision, wanted: Revision) -> bool {
    at.epoch == wanted.epoch && at.version >= wanted.version
}
