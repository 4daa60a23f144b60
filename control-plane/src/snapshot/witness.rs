//! What is proven to have been published, against what the database says.
//!
//! A database that was restored from a backup lacks the latest versions of its epoch, and goes on to others in their
//! place: it may hold keys that were revoked since. Whoever knew better tells: a node with the version that it holds,
//! or this process with what it published before. Once that contradicts the database, nothing of the epoch is
//! published any more, by no replica, until the operator adopts it.
//!
//! A replica may look at an older moment than the one that published: what looks like a contradiction is looked at
//! again under the lock of the version counter, which only the database that is written to can give.

use super::publisher::Publisher;
use crate::{
    app::App,
    domain::proof::Proven,
    store::{
        StoreError, Tx,
        audit::{self, AuditEntry},
        changes::{self, Contradiction, Revision, Withheld},
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
    if is_ahead(revision, state.revision) {
        return Ok(Some(Contradiction::HigherVersion));
    }
    if revision.epoch != state.revision.epoch {
        return Ok(None);
    }
    let here = changes::stamp_of(tx, revision.version).await?;
    Ok(here.filter(|here| *here != stamp).map(|_| Contradiction::OtherHistory))
}

/// The database, which is `here`, can't have published this: a later epoch was adopted, or a higher version published, since
/// the copy was made that the database is.
fn is_ahead(proven: Revision, here: Revision) -> bool {
    (proven.epoch, proven.version) > (here.epoch, here.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Revision = Revision { epoch: [5; 16], version: 7 };

    #[test]
    fn a_later_epoch_is_ahead_whatever_its_version_and_an_earlier_one_never() {
        for version in [0, 7, u64::MAX] {
            let mut next = HERE.epoch;
            next[15] += 1;
            for epoch in [next, [6; 16], [0xff; 16]] {
                assert!(is_ahead(Revision { epoch, version }, HERE), "{epoch:?} {version}");
            }
            for epoch in [[0; 16], [4; 16]] {
                assert!(!is_ahead(Revision { epoch, version }, HERE), "{epoch:?} {version}");
            }
        }
    }

    #[test]
    fn of_the_same_epoch_only_a_higher_version_is_ahead() {
        for (version, expected) in [(0, false), (6, false), (7, false), (8, true), (u64::MAX, true)] {
            assert_eq!(is_ahead(Revision { version, ..HERE }, HERE), expected, "{version}");
        }
    }
}
