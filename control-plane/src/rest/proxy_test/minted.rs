//! The key of a proxy test: made for it, known to the nodes, and gone with it.

use std::{collections::HashSet, time::Duration};

use shared::{
    id::KeyId,
    secret::{self, KeyHash, Secret},
    wire::Wire,
};
use tokio::time::Instant;

use crate::{
    app::App,
    ops::Caller,
    rest::{
        api_keys::PREFIX_CHARACTERS,
        error::{ApiResult, Problem},
        gateway,
    },
    store::{
        StoreError,
        api_keys::{self, ApiKey},
        audit,
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
pub(super) struct Minted {
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
    api_keys::delete(&mut tx, id).await?;
    tx.commit().await
}

/// Makes a key of the caller's own, and what it is presented as.
///
/// # Errors
/// They have too many, or were disabled a moment ago.
pub(super) async fn mint(app: &App, caller: &Caller, wire: Wire) -> ApiResult<(Minted, Secret)> {
    let now = app.clock.now();
    let secret = secret::new_api_key().map_err(|_| StoreError::Random)?;
    let key = ApiKey {
        id: KeyId::new(now),
        user: caller.user,
        name: "proxy test".to_owned(),
        hash: KeyHash::of(secret.expose().as_bytes()),
        prefix: secret.expose().chars().take(PREFIX_CHARACTERS).collect(),
        enabled: true,
        expires_at: Some(now.plus(LIFETIME)),
        tags: Vec::new(),
        metadata: std::collections::BTreeMap::new(),
        created_at: now,
        updated_at: now,
        revision: 1,
    };
    let mut tx = app.store.begin().await?;
    changes::lock(&mut tx).await?;
    let user = users::get_latest(&mut tx, caller.user).await?.filter(|user| user.enabled);
    if user.is_none() {
        return Err(Problem::unauthorized("session_ended", "sign in again"));
    }
    if proxy_test_keys::count_unexpired(&mut tx, caller.user, now).await? >= MOST {
        let detail = format!("{MOST} proxy tests of yours are running; wait for one to end");
        return Err(Problem::too_many_requests("too_many_proxy_tests", detail, TOO_MANY_WAIT));
    }
    proxy_test_keys::insert(&mut tx, &key).await?;
    let detail = serde_json::json!({ "wire": wire });
    audit::write(&mut tx, &caller.audit("proxy_test.start", "api_key", key.id, detail, now)).await?;
    let (revision, _) = changes::revision(&mut tx).await?;
    // Ahead of the commit: who is cut off in it may have made the key.
    let minted = Minted { app: app.clone(), id: key.id, revision };
    tx.commit().await?;
    app.changed();
    Ok((minted, secret))
}

/// Waits until each of `nodes` has said that it knows the key, or is gone. When that takes too long, one must do.
///
/// # Errors
/// No node has said so.
pub(super) async fn acknowledged(app: &App, nodes: &[NodeRow], key: &Minted) -> ApiResult<()> {
    let deadline = Instant::now() + ACKNOWLEDGE_TIMEOUT;
    // A heartbeat that was under way may show an older revision for a moment.
    let mut known_by = HashSet::new();
    loop {
        let mut tx = app.store.read().await?;
        let live = gateway::taking_requests(app, &mut tx).await?;
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
            return Err(Problem::unavailable("not_acknowledged", detail));
        }
        tokio::time::sleep(ACKNOWLEDGE_POLL).await;
    }
}

fn reaches(at: Revision, wanted: Revision) -> bool {
    at.epoch == wanted.epoch && at.version >= wanted.version
}
