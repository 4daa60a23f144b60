//! What is proven to have been published, against what the database says.
//!
//! A database that was restored from a backup lacks the latest versions of its epoch, and goes on to others in their
//! place: it may hold keys that were revoked since. Whoever knew better tells: a node with the version that it holds,
//! or this process with what it published before. Once that contradicts the database, nothing of the epoch is
//! published any more, by no replica, until the operator adopts it.
//!
//! A replica may look at an older moment than the one that published: what looks like a contradiction is looked at
//! again under the lock of the version counter, which only the database that is written to can give.

use super::{proof::Proven, publisher::Publisher};
use crate::{
    app::App,
    store::{
        StoreError, Tx,
        audit::{self, AuditEntry},
        changes::{self, Contradiction, Withheld},
    },
};

/// Hears that a version was published. `node_id`: who proved it; `None`: it was published here.
///
/// # Errors
/// The database can't be asked; nothing is withheld by that.
pub async fn hear(
    app: &App,
    publisher: &Publisher,
    node_id: Option<&str>,
    proven: Proven,
) -> Result<(), StoreError> {
    let mut tx = app.store.read().await?;
    let contradicts = contradiction(&mut tx, proven).await?.is_some();
    tx.rollback().await?;
    if !contradicts {
        return Ok(());
    }
    let mut tx = app.store.begin().await?;
    changes::lock(&mut tx).await?;
    let Some(reason) = contradiction(&mut tx, proven).await? else {
        return tx.rollback().await;
    };
    let node_id = node_id.map(str::to_owned);
    let withheld = Withheld { reason, version: proven.revision.version, node_id, since: app.clock.now() };
    changes::withhold(&mut tx, &withheld).await?;
    let entry = AuditEntry {
        actor: None,
        action: "configuration.withhold",
        target_kind: "configuration",
        target_id: None,
        detail: serde_json::json!({
            "reason": reason.as_str(), "version": withheld.version, "node": withheld.node_id,
        }),
        at: withheld.since,
        address: None,
    };
    audit::write(&mut tx, &entry).await?;
    tx.commit().await?;
    publisher.hold_back(app, &withheld);
    app.changed();
    Ok(())
}

/// What the version says against what this transaction sees. Nothing where all is withheld already.
async fn contradiction(tx: &mut Tx, proven: Proven) -> Result<Option<Contradiction>, StoreError> {
    let state = changes::state(tx).await?;
    let Proven { revision, stamp } = proven;
    if state.withheld.is_some() {
        return Ok(None);
    }
    if revision.epoch != state.revision.epoch {
        // A later epoch than that of the database was adopted since the copy was made that the database is.
        return Ok((revision.epoch > state.revision.epoch).then_some(Contradiction::HigherVersion));
    }
    if revision.version > state.revision.version {
        return Ok(Some(Contradiction::HigherVersion));
    }
    let here = changes::stamp_of(tx, revision.version).await?;
    Ok(here.filter(|here| *here != stamp).map(|_| Contradiction::OtherHistory))
}
