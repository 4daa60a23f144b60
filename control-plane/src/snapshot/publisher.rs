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
    published::{Changed, Head, Key, Name, Published, STAMPS},
    witness,
};
use crate::{
    app::App,
    domain::proof::Proven,
    store::{
        StoreError, Tx,
        changes::{self, Change, Revision, Stamp, State, Withheld},
    },
};

/// What is published by this process. Clones are the same.
#[derive(Debug, Clone)]
pub struct Publisher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    published: RwLock<Published>,
    /// `None` until the first look at the database, and while all is withheld.
    heads: watch::Sender<Option<Head>>,
    withheld: RwLock<Option<Withheld>>,
    /// Counts the times that something was found to be withheld; changed under the lock of `published`.
    withholdings: watch::Sender<u64>,
    chunk_bytes: usize,
    /// Rows that can't be encoded now, and why.
    unencodable: RwLock<BTreeMap<Key, String>>,
    /// The last look at the database failed.
    failing: AtomicBool,
}

impl Publisher {
    #[must_use]
    pub fn new(chunk_bytes: usize) -> Self {
        let revision = Revision { epoch: [0; 16], version: 0 };
        let nothing = Name { revision, stamp: Stamp::default(), proof: [0; 32], adopted: false };
        Self(Arc::new(Inner {
            published: RwLock::new(Published::empty(nothing)),
            heads: watch::Sender::new(None),
            withheld: RwLock::default(),
            withholdings: watch::Sender::new(0),
            chunk_bytes,
            unencodable: RwLock::default(),
            failing: AtomicBool::new(false),
        }))
    }

    /// `None` until the first look at the database, and while all is withheld.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        *self.0.heads.borrow()
    }

    /// Sees every new head, or the latest of several.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<Head>> {
        self.0.heads.subscribe()
    }

    /// Why nothing is published.
    #[must_use]
    pub fn withheld(&self) -> Option<Withheld> {
        self.0.withheld.read().clone()
    }

    /// Sees each time that what was published no longer may be. Streams end then: what they brought to a node is no
    /// ground for what is published later.
    #[must_use]
    pub fn withholdings(&self) -> watch::Receiver<u64> {
        self.0.withholdings.subscribe()
    }

    /// The stamp of a version of the published history, where it is at hand.
    #[must_use]
    pub fn stamp_of(&self, revision: Revision) -> Option<Stamp> {
        let head = self.head().filter(|head| head.revision.epoch == revision.epoch)?;
        let published = self.0.published.read();
        (published.head().revision.epoch == head.revision.epoch)
            .then(|| published.stamp_of(revision.version))
            .flatten()
    }

    /// What leads from `held` to what is published; `None` while nothing is.
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
        let (held, withholdings) = (self.head(), *self.0.withholdings.borrow());
        let mut tx = app.store.read().await?;
        let state = changes::state(&mut tx).await?;
        if let Some(withheld) = &state.withheld {
            tx.rollback().await?;
            self.hold_back(app, withheld);
            return Ok(false);
        }
        if held.is_some_and(|head| stands(head.name, &state)) {
            tx.rollback().await?;
            return Ok(false);
        }
        let known = held.filter(|head| head.revision.epoch == state.revision.epoch);
        if let Some(head) = known
            && !continues(&mut tx, head.name, &state).await?
        {
            tx.rollback().await?;
            let proven = Proven { revision: head.revision, stamp: head.name.stamp };
            witness::hear(app, self, None, proven).await?;
            return Ok(false);
        }
        // Of before that, the database does not know any more what is gone.
        let told_from = changes::deletions_kept_from(state.revision.version);
        let known = known.map(|head| head.revision.version).filter(|version| *version >= told_from);
        let changed = changes::since(&mut tx, known.unwrap_or(0)).await?;
        let loaded = load(&mut tx, &changed, &app.sealer).await?;
        let stamps = changes::stamps_since(&mut tx, known.unwrap_or(0), STAMPS).await?;
        tx.rollback().await?;
        let proof = app.proofs.prove(Proven { revision: state.revision, stamp: state.stamp });
        let State { revision, stamp, adopted, withheld: _ } = state;
        let looked = Looked { name: Name { revision, stamp, proof, adopted }, changed, loaded, stamps };
        let is_published = self.publish(app, looked, known.is_some(), withholdings);
        self.count(app);
        Ok(is_published)
    }

    /// False: it was found meanwhile that nothing may be published, which the look may have been too early to see.
    fn publish(&self, app: &App, looked: Looked, follows: bool, withholdings: u64) -> bool {
        let mut published = self.0.published.write();
        if *self.0.withholdings.borrow() != withholdings {
            app.changed();
            return false;
        }
        if !follows {
            *published = Published::empty(looked.name);
            self.0.unencodable.write().clear();
        }
        let changes = looked
            .changed
            .iter()
            .filter_map(|change| self.changed(&published, change, &looked.loaded))
            .collect();
        published.apply(looked.name, changes);
        published.remember(looked.stamps);
        if self.0.withheld.write().take().is_some() {
            tracing::info!("the configuration is published again");
            app.metrics.snapshot_withheld.set(0);
        }
        self.0.heads.send_replace(Some(published.head()));
        true
    }

    /// Publishes nothing from now on, until the database says otherwise.
    pub(super) fn hold_back(&self, app: &App, withheld: &Withheld) {
        let published = self.0.published.write();
        let before = self.withheld();
        if before.as_ref() == Some(withheld) {
            return;
        }
        self.0.heads.send_replace(None);
        self.0.withholdings.send_modify(|count| *count += 1);
        app.metrics.snapshot_withheld.set(1);
        *self.0.withheld.write() = Some(withheld.clone());
        drop(published);
        if before.is_none() {
            tracing::error!(
                reason = withheld.reason.as_str(),
                proven_version = withheld.version,
                node = withheld.node_id,
                "the database is an older or another copy than the one that nodes were served from: nothing of it is published until `switchyard-control adopt-epoch` (where one process is both planes: `switchyard adopt-epoch`), or until the right database is back"
            );
        }
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

/// What one look at the database found.
struct Looked {
    name: Name,
    changed: Vec<Change>,
    loaded: Loaded,
    stamps: Vec<(u64, Stamp)>,
}

/// What is published is what the database has.
fn stands(name: Name, state: &State) -> bool {
    (name.revision, name.stamp, name.adopted) == (state.revision, state.stamp, state.adopted)
}

/// The database, of the same epoch, has what is published in its history.
async fn continues(tx: &mut Tx, name: Name, state: &State) -> Result<bool, StoreError> {
    if name.revision.version > state.revision.version {
        return Ok(false);
    }
    let stamp = changes::stamp_of(tx, name.revision.version).await?;
    Ok(stamp.is_none_or(|stamp| stamp == name.stamp))
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
