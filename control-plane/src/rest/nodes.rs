//! /api/admin/nodes: how every node is, and what nodes know of accounts.

use std::collections::{BTreeMap, HashMap};

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use proto::v1::{self, status_mark};
use serde::{Deserialize, Serialize};
use shared::{account::AccountType, clock::Millis, id::AccountId, wire::Wire};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cursor::{Page, PageParams},
    error::{ApiResult, Problem},
    extract::ListParams,
};
use crate::{
    app::App,
    ops::Caller,
    ops::nodes::live_since,
    snapshot::encode,
    store::{
        StoreError, Tx, audit,
        changes::{self, Revision, Withheld},
        nodes::{self, NodeFilter, NodeRow},
    },
    words::{account_state::Marked, node_health::NodeHealth},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get)).routes(routes!(delete))
}

/// A state of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct RevisionView {
    /// 32 hex digits. Versions of different epochs can't be compared.
    epoch: String,
    version: u64,
}

impl From<Revision> for RevisionView {
    fn from(revision: Revision) -> Self {
        Self { epoch: format!("{:032x}", u128::from_be_bytes(revision.epoch)), version: revision.version }
    }
}

#[derive(Serialize, ToSchema)]
struct NodeList {
    /// The configuration that nodes should have.
    desired: RevisionView,
    /// Why nothing of the desired configuration is sent to any node, until `adopt-epoch` is run. Null: it is sent.
    withheld: Option<WithheldView>,
    /// Nodes heard of lately, whatever is listed.
    live_nodes: u32,
    /// By name.
    nodes: Vec<NodeView>,
    /// Null: this is the last page.
    next_cursor: Option<String>,
}

/// The database is an older or another copy than the one that nodes were served from.
#[derive(Serialize, ToSchema)]
struct WithheldView {
    /// `higher_version`: the database does not have a version that was published. `other_history`: what it has as that
    /// version is another one.
    reason: &'static str,
    /// The version that was published.
    version: u64,
    /// The node that proved it. Null: a control plane that had published it.
    node_id: Option<String>,
    #[schema(value_type = i64)]
    since: Millis,
}

impl From<Withheld> for WithheldView {
    fn from(Withheld { reason, version, node_id, since }: Withheld) -> Self {
        Self { reason: reason.as_str(), version, node_id, since }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct NodeQuery {
    /// live, stopping or silent.
    #[param(value_type = Option<String>)]
    health: Option<NodeHealth>,
}

#[derive(Serialize, ToSchema)]
struct NodeView {
    node_id: String,
    build: String,
    health: NodeHealth,
    #[schema(value_type = i64)]
    first_seen_at: Millis,
    #[schema(value_type = i64)]
    heard_at: Millis,
    /// What the node serves from, as it acknowledged. Null: nothing yet.
    acknowledged: Option<RevisionView>,
    /// Versions that the node is behind. Null: it has nothing, another epoch, or a version that is yet to come.
    lag: Option<u64>,
    /// A configuration that the node met and does not follow. Null: none.
    refused: Option<RefusedView>,
    /// Payloads that the node could not read; it goes on with the last ones that it could.
    refused_payloads: Vec<RefusedPayload>,
    /// Wires that the node takes from clients.
    wires: Vec<&'static str>,
    /// Account types that the node can reach.
    account_types: Vec<&'static str>,
    /// Usage records that the node has not delivered.
    spool_depth: u64,
    statistics: StatisticsView,
}

#[derive(Serialize, ToSchema)]
struct RefusedView {
    /// Null: the node did not say.
    revision: Option<RevisionView>,
    /// `unknown_epoch`, `lower_version` or `other_history`.
    reason: String,
}

#[derive(Serialize, ToSchema)]
struct RefusedPayload {
    /// Such as `account`.
    kind: String,
    id: String,
    reason: String,
}

#[derive(Serialize, ToSchema)]
struct StatisticsView {
    open_streams: u64,
    in_flight: u64,
    /// Since the node's start.
    requests: u64,
    errors: u64,
    started_at: i64,
    /// `memory` or `redis`.
    live_backend: String,
    /// Redis is out of reach.
    live_degraded: bool,
}

/// Nodes, with the configuration they should have and the one they have.
#[utoipa::path(get, path = "/api/admin/nodes", tag = "nodes", params(NodeQuery, PageParams), responses((status = OK, body = NodeList)))]
async fn get(
    State(app): State<App>,
    ListParams(query): ListParams<NodeQuery>,
    page: Page,
) -> ApiResult<Json<NodeList>> {
    let since = live_since(&app);
    let filter = NodeFilter { health: query.health.map(|health| (health, since)) };
    let mut tx = app.store.read().await?;
    let changes::State { revision: desired, withheld, .. } = changes::state(&mut tx).await?;
    let live_nodes = nodes::count_live(&mut tx, since).await?;
    let mut rows = nodes::list(&mut tx, filter, page.after_text()?, page.fetch()).await?;
    tx.commit().await?;
    let next_cursor = page.cut(&mut rows, |row| row.node_id.clone());
    let nodes = rows.into_iter().map(|row| view(row, desired, since)).collect();
    let withheld = withheld.map(Into::into);
    Ok(Json(NodeList { desired: desired.into(), withheld, live_nodes, nodes, next_cursor }))
}

/// Forgets a node that is gone for good.
#[utoipa::path(delete, path = "/api/admin/nodes/{node_id}", tag = "nodes", params(("node_id" = String, Path)), responses(
    (status = NO_CONTENT, description = "Forgotten"),
    (status = CONFLICT, description = "`node_is_live`"),
))]
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(node_id): Path<String>,
) -> ApiResult<StatusCode> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let node = nodes::get(&mut tx, &node_id).await?.ok_or(StoreError::NotFound)?;
    if node.heard_at >= live_since(&app) {
        return Err(Problem::conflict("node_is_live", "the node was heard of a moment ago; stop it first"));
    }
    nodes::delete(&mut tx, &node_id).await?;
    let detail = serde_json::json!({ "build": node.build });
    audit::write(&mut tx, &caller.audit("node.delete", "node", &node_id, detail, now)).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(row: NodeRow, desired: Revision, live_since: Millis) -> NodeView {
    let same_epoch = row.revision.filter(|revision| revision.epoch == desired.epoch);
    NodeView {
        health: NodeHealth::of(row.heard_at, row.ready, live_since),
        lag: same_epoch.and_then(|revision| desired.version.checked_sub(revision.version)),
        acknowledged: row.revision.map(Into::into),
        wires: wires(&[&row.report]),
        account_types: account_types(&[&row.report]),
        refused_payloads: row.report.refused_payloads.iter().map(refused_payload).collect(),
        refused: row.report.refused.map(refused),
        spool_depth: row.report.spool_depth,
        statistics: statistics(row.report.statistics.unwrap_or_default()),
        node_id: row.node_id,
        build: row.build,
        first_seen_at: row.first_seen_at,
        heard_at: row.heard_at,
    }
}

/// The wires that one of these nodes takes from clients.
pub(super) fn wires(reports: &[&v1::HeartbeatRequest]) -> Vec<&'static str> {
    let served = |wire: &Wire| reports.iter().any(|report| serves(report, *wire));
    Wire::ALL.into_iter().filter(served).map(Wire::as_str).collect()
}

/// The node takes the wire from clients.
pub(super) fn serves(report: &v1::HeartbeatRequest, wire: Wire) -> bool {
    let wire = match wire {
        Wire::Chat => v1::Wire::Chat,
        Wire::Responses => v1::Wire::Responses,
        Wire::Messages => v1::Wire::Messages,
        Wire::Gemini => v1::Wire::Gemini,
    };
    report.wires().any(|served| served == wire)
}

/// The account types that one of these nodes can reach.
pub(super) fn account_types(reports: &[&v1::HeartbeatRequest]) -> Vec<&'static str> {
    let reached: Vec<_> = reports.iter().flat_map(|report| report.account_types()).collect();
    let known = AccountType::ALL.into_iter().filter(|kind| reached.contains(&encode::account_type(*kind)));
    known.map(AccountType::as_str).collect()
}

fn refused(refused: v1::RefusedRevision) -> RefusedView {
    let revision = refused.revision.and_then(|revision| {
        Some(Revision { epoch: revision.epoch.try_into().ok()?, version: revision.version }.into())
    });
    RefusedView { revision, reason: refused.reason }
}

fn refused_payload(nack: &v1::Nack) -> RefusedPayload {
    let kind = nack.kind().as_str_name().trim_start_matches("RESOURCE_KIND_").to_lowercase();
    let id = AccountId::try_from(nack.id.as_slice()).map(|id| id.to_string()).unwrap_or_default();
    RefusedPayload { kind, id, reason: nack.reason.clone() }
}

fn statistics(statistics: v1::NodeStatistics) -> StatisticsView {
    StatisticsView {
        open_streams: statistics.open_streams,
        in_flight: statistics.in_flight,
        requests: statistics.requests,
        errors: statistics.errors,
        started_at: statistics.started_at_ms,
        live_backend: statistics.live_backend,
        live_degraded: statistics.live_degraded,
    }
}

/// What the live nodes together know of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct AccountLive {
    /// Requests running now, on all nodes.
    pub(super) in_flight: u64,
    /// Marks in force, each with its latest end.
    pub(super) marks: Vec<MarkView>,
}

impl AccountLive {
    /// What the account is marked as for all its models.
    pub(super) fn marked(&self) -> Marked {
        let has = |kind| self.marks.iter().any(|mark| mark.kind == kind && mark.model_family.is_none());
        Marked { rate_limited: has(RATE_LIMITED), overloaded: has(OVERLOADED) }
    }
}

const RATE_LIMITED: &str = "rate_limited";
const OVERLOADED: &str = "overloaded";

/// A passing condition of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct MarkView {
    /// `rate_limited` or `overloaded`.
    pub(super) kind: &'static str,
    #[schema(value_type = i64)]
    pub(super) until: Millis,
    /// Short code, such as `status_429`.
    pub(super) reason: String,
    /// Null: all models.
    pub(super) model_family: Option<String>,
}

/// What live nodes know of accounts; one that is not in the map has no marks and no requests.
///
/// # Errors
/// What the database says.
pub(super) async fn account_live(
    app: &App,
    tx: &mut Tx,
) -> Result<HashMap<AccountId, AccountLive>, StoreError> {
    let known = nodes::account_live(tx, live_since(app), app.clock.now()).await?;
    let mut marks: HashMap<AccountId, BTreeMap<(&'static str, Option<String>), MarkView>> = HashMap::new();
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
    Ok(lives)
}

fn mark(mark: v1::StatusMark) -> Option<MarkView> {
    let kind = match mark.kind() {
        status_mark::Kind::RateLimited => RATE_LIMITED,
        status_mark::Kind::Overloaded => OVERLOADED,
        status_mark::Kind::Unspecified => return None,
    };
    Some(MarkView {
        kind,
        until: Millis(mark.until_ms),
        reason: mark.reason,
        model_family: mark.model_family,
    })
}
