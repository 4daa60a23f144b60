//! /api/admin/nodes: how every node is.

use axum::{
    Json,
    extract::{Path, State},
};
use http::StatusCode;
use proto::v1;
use serde::{Deserialize, Serialize};
use shared::{account::AccountType, clock::Millis, id::AccountId, wire::Wire};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cursor::{Page, PageParams},
    error::ApiResult,
    extract::ListParams,
};
use crate::{
    app::App,
    ops::{
        Caller,
        nodes::{self as ops, Node, Revision, Withheld},
    },
    words::node_health::NodeHealth,
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
    let mut nodes = ops::list(&app, query.health, page.after_text()?, page.fetch()).await?;
    let next_cursor = page.cut(&mut nodes.listed, |node| node.row.node_id.clone());
    Ok(Json(NodeList {
        desired: nodes.desired.into(),
        withheld: nodes.withheld.map(Into::into),
        live_nodes: nodes.live,
        nodes: nodes.listed.into_iter().map(NodeView::from).collect(),
        next_cursor,
    }))
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
    ops::forget(&app, &caller, &node_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

impl From<Node> for NodeView {
    fn from(Node { row, health, lag }: Node) -> Self {
        let report = row.report;
        Self {
            health,
            lag,
            acknowledged: row.revision.map(Into::into),
            wires: ops::wires(&[&report]).into_iter().map(Wire::as_str).collect(),
            account_types: ops::account_types(&[&report]).into_iter().map(AccountType::as_str).collect(),
            refused_payloads: report.refused_payloads.iter().map(refused_payload).collect(),
            refused: report.refused.map(refused),
            spool_depth: report.spool_depth,
            statistics: statistics(report.statistics.unwrap_or_default()),
            node_id: row.node_id,
            build: row.build,
            first_seen_at: row.first_seen_at,
            heard_at: row.heard_at,
        }
    }
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
