//! Reading the audit log. It is written to by [`Change`](super::Change).

use shared::{
    clock::Millis,
    id::{AuditId, UserId},
};

use super::Done;
use crate::{
    app::App,
    store::{
        StoreError,
        audit::{self, AuditRow},
    },
};

pub use crate::store::audit::AuditFilter;

/// An entry of the log.
#[derive(Debug, Clone)]
pub struct Logged {
    pub id: AuditId,
    pub at: Millis,
    /// `None`: the program itself, or someone who was not signed in.
    pub actor: Option<UserId>,
    pub action: String,
    pub target_kind: String,
    pub target_id: Option<String>,
    /// What was before and after, and the like.
    pub detail: serde_json::Value,
    /// Where the call came from.
    pub address: Option<String>,
}

impl TryFrom<AuditRow> for Logged {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id,
            at: Millis(row.at),
            actor: row.actor.as_deref().map(UserId::try_from).transpose().map_err(StoreError::corrupt)?,
            action: row.action,
            target_kind: row.target_kind,
            target_id: row.target_id,
            detail: serde_json::from_str(&row.detail).map_err(StoreError::corrupt)?,
            address: row.address,
        })
    }
}

/// The latest first, before the one named.
///
/// # Errors
/// What the database says.
pub async fn list(app: &App, filter: &AuditFilter, before: Option<AuditId>, limit: u32) -> Done<Vec<Logged>> {
    let mut tx = app.store.read().await?;
    let rows = audit::list(&mut tx, filter, before, limit).await?;
    tx.commit().await?;
    Ok(rows.into_iter().map(Logged::try_from).collect::<Result<_, _>>()?)
}
