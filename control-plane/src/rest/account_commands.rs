//! /api/admin/accounts/{id}/status and …/test: what is done to an account on the nodes.

use axum::{Json, extract::State};
use serde::Serialize;
use shared::id::AccountId;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::ApiResult,
    etag::{IfMatch, Tagged},
    extract::{JsonBody, OptionalJsonBody, PathId},
};
use crate::{
    app::App,
    domain::account::{Status, StatusChange, TestRequest},
    ops::{
        Caller,
        account_commands::{self as ops, Tested},
        node_commands::{Answer, NoResult},
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(put_status)).routes(routes!(test))
}

#[derive(Serialize, ToSchema)]
struct StatusSet {
    status: Status,
    /// What each live node did. Empty with `invalid`, which nodes learn from the configuration.
    nodes: Vec<NodeOutcome>,
}

#[derive(Serialize, ToSchema)]
struct NodeOutcome {
    node_id: String,
    outcome: ClearOutcome,
    /// What the node said. Null: nothing.
    detail: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ClearOutcome {
    Cleared,
    /// The node could not do it.
    Refused,
    /// The node did not answer in time.
    Silent,
}

#[derive(Serialize, ToSchema)]
struct TestOutcome {
    ok: bool,
    /// The node that asked.
    node_id: String,
    /// HTTP status of the upstream. Null: no answer came.
    http_status: Option<u32>,
    /// Short code. Empty where ok.
    reason: String,
    /// The provider's own words, bounded.
    detail: String,
    latency_ms: u64,
    model: String,
}

/// Sets an account's status.
#[utoipa::path(put, path = "/api/admin/accounts/{id}/status", tag = "accounts",
    params(("id" = String, Path), ("If-Match" = String, Header, description = "The account's ETag")),
    request_body = StatusChange, responses(
    (status = OK, body = StatusSet),
    (status = PRECONDITION_FAILED, description = "`stale_revision`"),
))]
async fn put_status(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<AccountId>,
    IfMatch(revision): IfMatch,
    JsonBody(change): JsonBody<StatusChange>,
) -> ApiResult<Tagged<StatusSet>> {
    let set = ops::set_status(&app, &caller, id, revision, change).await?;
    let nodes = set.nodes.into_iter().map(cleared).collect();
    Ok(Tagged { revision: set.revision, body: StatusSet { status: set.status, nodes } })
}

fn cleared(answer: Answer) -> NodeOutcome {
    let (outcome, detail) = match answer.outcome {
        Ok(_) => (ClearOutcome::Cleared, None),
        Err(NoResult::Refused(reason)) => (ClearOutcome::Refused, Some(reason)),
        Err(NoResult::Silent) => (ClearOutcome::Silent, None),
    };
    NodeOutcome { node_id: answer.node_id, outcome, detail }
}

/// Has a live node send one smallest possible request to the account's upstream.
#[utoipa::path(post, path = "/api/admin/accounts/{id}/test", tag = "accounts", params(("id" = String, Path)),
    request_body = TestRequest, responses(
    (status = OK, body = TestOutcome, description = "What the upstream said, good or bad"),
    (status = CONFLICT, description = "`no_live_node`, or `unsupported_by_node`: none that reaches this type"),
    (status = BAD_GATEWAY, description = "`node_refused`: the node could not do it"),
    (status = GATEWAY_TIMEOUT, description = "`node_silent`: the node did not answer in time"),
))]
async fn test(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<AccountId>,
    OptionalJsonBody(request): OptionalJsonBody<TestRequest>,
) -> ApiResult<Json<TestOutcome>> {
    let Tested { node_id, result } = ops::test(&app, &caller, id, request.unwrap_or_default()).await?;
    Ok(Json(TestOutcome {
        ok: result.ok,
        node_id,
        http_status: Some(result.http_status).filter(|status| *status > 0),
        reason: result.reason,
        detail: result.detail,
        latency_ms: result.latency_ms,
        model: result.model,
    }))
}
