//! What an operator does to the database from a command line; a control plane may run on it meanwhile.

use std::fmt;

use shared::clock::Clock;

use crate::{
    serve,
    settings::DatabaseSettings,
    store::{
        StoreError,
        audit::{self, AuditEntry},
        changes::{self, Revision},
    },
};

/// Brings the database's tables up to date.
///
/// # Errors
/// What the database says.
pub async fn migrate(settings: &DatabaseSettings) -> Result<(), StoreError> {
    let store = serve::connect(settings).await?;
    store.migrate().await?;
    store.close().await;
    Ok(())
}

/// What nodes follow from now on.
#[derive(Debug)]
pub struct Adopted {
    /// In hex.
    pub epoch: String,
    pub version: u64,
}

impl fmt::Display for Adopted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Nodes follow epoch {} from now on, at version {}.", self.epoch, self.version)
    }
}

/// An operator's word that this database, which was restored or replaced, is the right one: a new epoch begins, which
/// nodes may follow.
///
/// # Errors
/// There is no database of Switchyard's, or what it says.
pub async fn adopt_epoch(settings: &DatabaseSettings) -> Result<Adopted, StoreError> {
    let store = serve::connect_existing(settings).await?;
    store.demand_tables().await?;
    let mut tx = store.begin().await?;
    let Revision { epoch, version } = changes::adopt_epoch(&mut tx).await?;
    let adopted = Adopted { epoch: format!("{:032x}", u128::from_be_bytes(epoch)), version };
    let entry = AuditEntry {
        actor: None,
        action: "configuration.adopt_epoch",
        target_kind: "configuration",
        target_id: None,
        detail: serde_json::json!({ "epoch": adopted.epoch, "version": version }),
        at: Clock::System.now(),
        address: None,
    };
    audit::write(&mut tx, &entry).await?;
    tx.commit().await?;
    store.close().await;
    Ok(adopted)
}
