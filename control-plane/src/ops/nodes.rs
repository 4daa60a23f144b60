//! Nodes, as they were last heard of, and what they know of accounts.

use std::collections::{BTreeMap, HashMap};

use proto::v1::{self, status_mark};
use serde_json::{Value, json};
use shared::{account::AccountType, clock::Millis, id::AccountId, wire::Wire};

use super::{Audited, Caller, Change, Done, Entry, Refusal};
pub use crate::store::changes::{Revision, Withheld};
use crate::{
    app::App,
    snapshot::encode,
    store::{
        StoreError, Tx, changes,
        nodes::{self, AccountOnNode, NodeFilter, NodeRow},
    },
    words::{account_state::Marked, node_health::NodeHealth},
};

/// Nodes heard of at this time or later count as live.
#[must_use]
pub fn live_since(app: &App) -> Millis {
    let patience = i64::try_from(app.settings.planes.node_patience().as_millis()).unwrap_or(i64::MAX);
    Millis(app.clock.now().0.saturating_sub(patience))
}

/// Some nodes, and what all nodes should have.
#[derive(Debug)]
pub struct Nodes {
    /// The configuration that nodes should have.
    pub desired: Revision,
    /// Why nothing of it is sent to any node. `None`: it is sent.
    pub withheld: Option<Withheld>,
    /// Nodes heard of lately, whatever is listed.
    pub live: u32,
    /// By name.
    pub listed: Vec<Node>,
}

#[derive(Debug)]
pub struct Node {
    pub row: NodeRow,
    pub health: NodeHealth,
    /// Versions that it is behind. `None`: it has nothing, another epoch, or a version that is yet to come.
    pub lag: Option<u64>,
}

impl Node {
    fn of(row: NodeRow, desired: Revision, live_since: Millis) -> Self {
        let same_epoch = row.revision.filter(|revision| revision.epoch == desired.epoch);
        Self {
            health: NodeHealth::of(row.heard_at, row.ready, live_since),
            lag: same_epoch.and_then(|revision| desired.version.checked_sub(revision.version)),
            row,
        }
    }
}

impl Audited for NodeRow {
    const KIND: &'static str = "node";

    fn audit_id(&self) -> String {
        self.node_id.clone()
    }

    fn audit_name(&self) -> Option<&str> {
        None
    }

    fn record(&self) -> Value {
        json!({ "build": self.build, "first_seen_at": self.first_seen_at, "heard_at": self.heard_at })
    }
}

/// Those of this health, by name, after the one named.
///
/// # Errors
/// What the database says.
pub async fn list(app: &App, health: Option<NodeHealth>, after: Option<&str>, limit: u32) -> Done<Nodes> {
    let since = live_since(app);
    let filter = NodeFilter { health: health.map(|health| (health, since)) };
    let mut tx = app.store.read().await?;
    let changes::State { revision: desired, withheld, .. } = changes::state(&mut tx).await?;
    let live = nodes::count_live(&mut tx, since).await?;
    let rows = nodes::list(&mut tx, filter, after, limit).await?;
    tx.commit().await?;
    let listed = rows.into_iter().map(|row| Node::of(row, desired, since)).collect();
    Ok(Nodes { desired, withheld, live, listed })
}

/// Forgets a node that is gone for good.
///
/// # Errors
/// `NotFound`, or the node was heard of lately.
pub async fn forget(app: &App, caller: &Caller, node_id: &str) -> Done<()> {
    let mut change = Change::begin(app, caller).await?;
    let node = nodes::get(&mut change.tx, node_id).await?.ok_or(StoreError::NotFound)?;
    if node.heard_at >= live_since(app) {
        return Err(Refusal::conflict("node_is_live", "the node was heard of a moment ago; stop it first"));
    }
    nodes::delete(&mut change.tx, node_id).await?;
    change.commit(Entry::removed("node.delete", &node)).await
}

/// The wires that one of these nodes takes from clients.
#[must_use]
pub fn wires(reports: &[&v1::HeartbeatRequest]) -> Vec<Wire> {
    let served = |wire: &Wire| reports.iter().any(|report| serves(report, *wire));
    Wire::ALL.into_iter().filter(served).collect()
}

/// The node takes the wire from clients.
#[must_use]
pub fn serves(report: &v1::HeartbeatRequest, wire: Wire) -> bool {
    let wire = match wire {
        Wire::Chat => v1::Wire::Chat,
        Wire::Responses => v1::Wire::Responses,
        Wire::Messages => v1::Wire::Messages,
        Wire::Gemini => v1::Wire::Gemini,
    };
    report.wires().any(|served| served == wire)
}

/// The account types that one of these nodes can reach.
#[must_use]
pub fn account_types(reports: &[&v1::HeartbeatRequest]) -> Vec<AccountType> {
    let reached = |kind: &AccountType| reports.iter().any(|report| reaches(report, *kind));
    AccountType::ALL.into_iter().filter(reached).collect()
}

/// The node can reach accounts of the type.
pub(super) fn reaches(report: &v1::HeartbeatRequest, kind: AccountType) -> bool {
    report.account_types().any(|reached| reached == encode::account_type(kind))
}

/// What the live nodes together know of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountLive {
    /// Requests running now, on all nodes.
    pub in_flight: u64,
    /// Marks in force, each with its latest end.
    pub marks: Vec<Mark>,
}

impl AccountLive {
    /// What the account is marked as for all its models.
    #[must_use]
    pub fn marked(&self) -> Marked {
        let has = |kind| self.marks.iter().any(|mark| mark.kind == kind && mark.model_family.is_none());
        Marked { rate_limited: has(MarkKind::RateLimited), overloaded: has(MarkKind::Overloaded) }
    }
}

/// A passing condition of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub kind: MarkKind,
    pub until: Millis,
    /// Short code, such as `status_429`.
    pub reason: String,
    /// `None`: all models.
    pub model_family: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkKind {
    Overloaded,
    RateLimited,
}

impl MarkKind {
    /// As in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::RateLimited => "rate_limited",
        }
    }
}

/// What live nodes know of these accounts; one that is not in the map has no marks and no requests.
///
/// # Errors
/// What the database says.
pub(super) async fn account_live(
    app: &App,
    tx: &mut Tx,
    ids: &[AccountId],
) -> Result<HashMap<AccountId, AccountLive>, StoreError> {
    Ok(together(nodes::account_live(tx, ids, live_since(app), app.clock.now()).await?))
}

/// [`account_live`] of all accounts.
///
/// # Errors
/// What the database says.
pub(super) async fn all_account_live(
    app: &App,
    tx: &mut Tx,
) -> Result<HashMap<AccountId, AccountLive>, StoreError> {
    Ok(together(nodes::all_account_live(tx, live_since(app), app.clock.now()).await?))
}

fn together(known: Vec<AccountOnNode>) -> HashMap<AccountId, AccountLive> {
    let mut marks: HashMap<AccountId, BTreeMap<(MarkKind, Option<String>), Mark>> = HashMap::new();
    let mut lives: HashMap<AccountId, AccountLive> = HashMap::new();
    for account in known {
        lives.entry(account.account_id).or_default().in_flight += u64::from(account.in_flight);
        for mark in account.marks.into_iter().filter_map(mark) {
            let merged = marks.entry(account.account_id).or_default();
            let key = (mark.kind, mark.model_family.clone());
            if merged.get(&key).is_none_or(|known| known.until < mark.until) {
                merged.insert(key, mark);
            }
        }
    }
    for (id, merged) in marks {
        lives.entry(id).or_default().marks = merged.into_values().collect();
    }
    lives
}

fn mark(mark: v1::StatusMark) -> Option<Mark> {
    let kind = match mark.kind() {
        status_mark::Kind::RateLimited => MarkKind::RateLimited,
        status_mark::Kind::Overloaded => MarkKind::Overloaded,
        status_mark::Kind::Unspecified => return None,
    };
    Some(Mark { kind, until: Millis(mark.until_ms), reason: mark.reason, model_family: mark.model_family })
}
