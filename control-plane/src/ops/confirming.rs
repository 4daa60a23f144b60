//! What a node says of an account counts for all of them only once another node has found the same: a provider may refuse
//! the one node alone, by its address, and its word must not take the account from everybody.
//!
//! Where no other node is there that reaches the account, one is enough.

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;
use proto::v1::{self, StatusWrite, command, command_result};
use shared::{account::AccountType, id::AccountId};
use tokio::sync::Semaphore;

use super::{
    node_commands::{self, Answer},
    nodes::live_since,
};
use crate::{
    app::App,
    snapshot::encode,
    store::{
        StoreError, accounts,
        audit::{self, AuditEntry},
        nodes::{self, NodeRow},
    },
};

/// Accounts that are looked at by a second node at the same time. Those beyond it are told again by the node.
const AT_ONCE: usize = 16;
/// Nodes that are asked at most, one after the other, until one answers.
const ASKED: usize = 3;

/// Confirms what nodes say. Clones share what is under way.
#[derive(Debug, Clone)]
pub struct Confirming {
    under_way: Arc<Mutex<HashSet<AccountId>>>,
    places: Arc<Semaphore>,
}

impl Default for Confirming {
    fn default() -> Self {
        Self { under_way: Arc::default(), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Confirming {
    /// A node found that an account's credential does not work. It is written at once where there is no other node to ask,
    /// and once another one has found it too where there is.
    ///
    /// # Errors
    /// What the database says.
    pub async fn heard(&self, app: &App, node_id: &str, write: &StatusWrite) -> Result<(), StoreError> {
        let Ok(id) = AccountId::try_from(write.account_id.as_slice()) else {
            tracing::warn!(node = node_id, "a node reported an account without an id");
            return Ok(());
        };
        let others = others(app, node_id, id).await?;
        if others.is_empty() {
            return mark_invalid(app, node_id, None, id, write).await;
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return Ok(()) };
        if !self.under_way.lock().insert(id) {
            return Ok(());
        }
        let (this, node_id, write) = (self.clone(), node_id.to_owned(), write.clone());
        let app = app.clone();
        app.tasks.clone().spawn(async move {
            if let Err(error) = confirm(&app, &node_id, &others, id, &write).await {
                tracing::warn!(%error, account = %id, "what a node found of an account could not be confirmed");
            }
            this.under_way.lock().remove(&id);
            drop(place);
        });
        Ok(())
    }
}

/// Other live nodes that reach the account, the newest word first.
async fn others(app: &App, node_id: &str, id: AccountId) -> Result<Vec<String>, StoreError> {
    let mut tx = app.store.read().await?;
    let row = accounts::get(&mut tx, id).await?;
    let live = nodes::live(&mut tx, live_since(app)).await?;
    tx.rollback().await?;
    let kind = row.and_then(|row| row.account_type.parse::<AccountType>().ok());
    let Some(wanted) = kind.map(encode::account_type) else { return Ok(Vec::new()) };
    let reaches = |node: &NodeRow| {
        node.ready && node.node_id != node_id && node.report.account_types().any(|reached| reached == wanted)
    };
    let mut others: Vec<_> = live.into_iter().filter(reaches).collect();
    others.sort_by_key(|node| std::cmp::Reverse(node.heard_at));
    Ok(others.into_iter().take(ASKED).map(|node| node.node_id).collect())
}

async fn confirm(
    app: &App,
    node_id: &str,
    others: &[String],
    id: AccountId,
    write: &StatusWrite,
) -> Result<(), StoreError> {
    let account_id = write.account_id.clone();
    let ask = command::Command::TestAccount(v1::TestAccount { account_id, model: None, account: None });
    for other in others {
        let answers = node_commands::run(app, std::slice::from_ref(other), &ask).await?;
        let Some(Answer { outcome: Ok(command_result::Result::TestAccount(result)), .. }) =
            answers.into_iter().next()
        else {
            continue;
        };
        if !result.credential_fault.is_empty() {
            return mark_invalid(app, node_id, Some(other), id, write).await;
        }
        tracing::warn!(node = node_id, other, account = %id, reason = write.reason, other_found = result.reason, "a node finds an account to be invalid, and another one does not: is the first one's address blocked?");
        return note_disagreement(app, node_id, other, id, write).await;
    }
    tracing::warn!(node = node_id, account = %id, reason = write.reason, "a node finds an account to be invalid, and no other one answers whether it is");
    Ok(())
}

fn entry(app: &App, action: &'static str, id: AccountId, detail: serde_json::Value) -> AuditEntry<'static> {
    AuditEntry {
        actor: None,
        action,
        target_kind: "account",
        target_id: Some(id.to_string()),
        detail,
        at: app.clock.now(),
        address: None,
    }
}

/// An account that has changed since is left alone.
async fn mark_invalid(
    app: &App,
    node_id: &str,
    confirmed_by: Option<&str>,
    id: AccountId,
    write: &StatusWrite,
) -> Result<(), StoreError> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let (version, reason) = (write.account_version, &write.reason);
    if !accounts::mark_invalid(&mut tx, id, version, reason, &write.detail, now).await? {
        return tx.rollback().await;
    }
    let detail = serde_json::json!({ "node": node_id, "confirmed_by": confirmed_by, "reason": reason });
    audit::write(&mut tx, &entry(app, "account.mark_invalid", id, detail)).await?;
    tx.commit().await?;
    tracing::warn!(node = node_id, confirmed_by, account = %id, reason, "an account is invalid");
    app.changed();
    Ok(())
}

async fn note_disagreement(
    app: &App,
    node_id: &str,
    other: &str,
    id: AccountId,
    write: &StatusWrite,
) -> Result<(), StoreError> {
    let detail = serde_json::json!({ "node": node_id, "works_for": other, "reason": write.reason });
    let mut tx = app.store.begin().await?;
    audit::write(&mut tx, &entry(app, "account.not_confirmed", id, detail)).await?;
    tx.commit().await
}
