//! Follows the change log and keeps what is published.
//!
//! What is published at a version depends on the rows of that version only, never on when this replica looked, so
//! every replica publishes the same digest at the same version. The exception is a row that can't be encoded here (a
//! credential sealed with a key that this replica was not given): its envelope goes out with the last payload that
//! could be made, or the resource is left out where there was none; it is logged and counted, nothing else waits for
//! it, and nodes that move to another replica are healed by the digest.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::RwLock;
use proto::v1::{Resource, ResourceKind};
use tokio::sync::watch;

use super::{
    delta::{Chunks, Held},
    load::{Loaded, load},
    published::{Changed, Head, Key, Published},
};
use crate::{
    app::App,
    store::{
        StoreError,
        changes::{self, Change, Revision},
    },
};

/// What is published by this process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Publisher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    published: RwLock<Published>,
    /// `None` until the first look at the database.
    heads: watch::Sender<Option<Head>>,
    chunk_bytes: usize,
    /// Rows that can't be encoded now, and why.
    unencodable: RwLock<BTreeMap<Key, String>>,
    /// The last look at the database failed.
    failing: AtomicBool,
}

impl Publisher {
    #[must_use]
    pub fn new(chunk_bytes: usize) -> Self {
        let nothing = Published::empty(Revision { epoch: [0; 16], version: 0 }, false);
        Self(Arc::new(Inner {
            published: RwLock::new(nothing),
            heads: watch::Sender::new(None),
            chunk_bytes,
            unencodable: RwLock::default(),
            failing: AtomicBool::new(false),
        }))
    }

    /// `None` until the first look at the database.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        *self.0.heads.borrow()
    }

    /// Sees every new head, or the latest of several.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<Head>> {
        self.0.heads.subscribe()
    }

    /// What leads from `held` to what is published; `None` before the first look at the database.
    #[must_use]
    pub fn plan(&self, held: &Held) -> Option<Chunks> {
        self.head()?;
        Some(Chunks::plan(&self.0.published.read(), held, self.0.chunk_bytes))
    }

    /// Rows that can't be encoded now, and why.
    #[must_use]
    pub fn unencodable(&self) -> Vec<(Key, String)> {
        self.0.unencodable.read().iter().map(|(key, reason)| (*key, reason.clone())).collect()
    }

    /// The last look at the database failed; what is published may be old.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.0.failing.load(Ordering::Relaxed)
    }

    /// Looks at the database once. True: there is something new. One caller at a time: the older of two looks must not
    /// be published last.
    ///
    /// # Errors
    /// The database can't be read; what is published stays.
    pub async fn refresh(&self, app: &App) -> Result<bool, StoreError> {
        let held = self.head();
        let mut tx = app.store.read().await?;
        let (revision, adopted) = changes::revision(&mut tx).await?;
        if held.is_some_and(|head| head.revision == revision && head.adopted == adopted) {
            tx.rollback().await?;
            return Ok(false);
        }
        let known = held.filter(|head| can_follow(head.revision, revision)).map(|head| head.revision.version);
        let changed = changes::since(&mut tx, known.unwrap_or(0)).await?;
        let loaded = load(&mut tx, &changed, &app.sealer).await?;
        tx.rollback().await?;
        self.publish(revision, adopted, known.is_some(), &changed, loaded);
        self.count(app);
        Ok(true)
    }

    fn publish(&self, revision: Revision, adopted: bool, follows: bool, changed: &[Change], loaded: Loaded) {
        let mut published = self.0.published.write();
        if !follows {
            *published = Published::empty(revision, adopted);
            self.0.unencodable.write().clear();
        }
        let changes = changed.iter().filter_map(|change| self.changed(&published, change, &loaded)).collect();
        published.apply(revision, adopted, changes);
        let head = published.head();
        drop(published);
        self.0.heads.send_replace(Some(head));
    }

    fn changed(&self, published: &Published, change: &Change, loaded: &Loaded) -> Option<Changed> {
        let key = Key { kind: i32::from(change.kind), id: change.id };
        self.0.unencodable.write().remove(&key);
        let row = if change.deleted { None } else { loaded.get(&key) };
        let Some(row) = row else {
            return Some(Changed::Deleted { key, version: change.version });
        };
        let payload = match &row.payload {
            Ok(payload) => payload.clone(),
            Err(error) => {
                let reason = error.to_string();
                tracing::error!(kind = change.kind.as_str_name(), id = ?ulid_text(change), reason, "a row can't be published");
                self.0.unencodable.write().insert(key, reason);
                published.get(&key)?.payload.clone()
            }
        };
        Some(Changed::Put(Resource {
            kind: key.kind,
            id: key.id.to_vec(),
            version: change.version,
            enabled: row.enabled,
            deleted: false,
            payload,
        }))
    }

    fn count(&self, app: &App) {
        let published = self.0.published.read();
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        app.metrics
            .snapshot_version
            .set(i64::try_from(published.head().revision.version).unwrap_or(i64::MAX));
        app.metrics.snapshot_resources.set(number(published.resources()));
        app.metrics.snapshot_unencodable.set(number(self.0.unencodable.read().len()));
    }
}

/// The same sequence of changes, further on.
fn can_follow(from: Revision, to: Revision) -> bool {
    from.epoch == to.epoch && from.version <= to.version
}

/// An id as people see it.
fn ulid_text(change: &Change) -> String {
    if change.kind == ResourceKind::Settings {
        "settings".into()
    } else {
        shared::id::AccountId::from_bytes(change.id).to_string()
    }
}

/// Looks whenever there was a commit here, and every so often for those of other replicas, until shutdown.
pub async fn run(app: App, publisher: Publisher) {
    let stopping = app.tasks.stopping();
    loop {
        let looked = publisher.refresh(&app).await;
        let failed_before = publisher.0.failing.swap(looked.is_err(), Ordering::Relaxed);
        match looked {
            Ok(_) if failed_before => tracing::info!("the change log can be read again"),
            Ok(_) => {}
            Err(error) => {
                app.metrics.snapshot_failures.inc();
                if !failed_before {
                    tracing::error!(%error, "the change log can't be read; what is published stays");
                }
            }
        }
        let signal = tokio::time::timeout(app.settings.planes.change_poll, app.changes.notified());
        if stopping.run_until_cancelled(signal).await.is_none() {
            return;
        }
    }
}
