//! /api/admin/accounts/{id}/status and …/test: what is done to an account on the nodes.

use std::time::Duration;

use axum::{Json, extract::State};
use http::StatusCode;
use proto::v1::{self, ResourceKind, command, command_result};
use serde::{Deserialize, Serialize};
use shared::{account::AccountType, id::AccountId, model::ModelPattern};
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::{ApiResult, Problem},
    etag::{IfMatch, Tagged},
    extract::{JsonBody, OptionalJsonBody, PathId},
};
use crate::{
    app::App,
    ops::Caller,
    ops::{
        node_commands::{self as commands, Answer, NoResult},
        nodes::live_since,
    },
    snapshot::encode,
    store::{StoreError, Tx, accounts, audit, changes, nodes, nodes::NodeRow},
};

/// The reason that an account gets which a person set to invalid without giving one.
const SET_BY_PERSON: &str = "set_by_person";
/// How long a test waits for a node that has heard of the account as it is now.
const HEARD_TIMEOUT: Duration = Duration::from_secs(2);
const HEARD_POLL: Duration = Duration::from_millis(50);
/// Characters of a reason at most.
const REASON_MAX: usize = 64;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(put_status)).routes(routes!(test))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// The account may be used again: also forgets limits, overload and failures on every node.
    Valid,
    /// The account is not used until a person says otherwise.
    Invalid,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StatusChange {
    status: Status,
    /// With `invalid`: a short code, 1–64 letters, digits or `_`. Absent: `set_by_person`.
    reason: Option<String>,
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

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TestRequest {
    /// Absent: the account's first allowed model, else one of its platform.
    model: Option<String>,
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
    IfMatch(expected): IfMatch,
    JsonBody(change): JsonBody<StatusChange>,
) -> ApiResult<Tagged<StatusSet>> {
    let reason = reason(&change)?;
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    changes::lock(&mut tx).await?;
    let row = accounts::get(&mut tx, id).await?.ok_or(StoreError::NotFound)?;
    if row.revision != expected {
        return Err(StoreError::Stale.into());
    }
    let changed = match &reason {
        None => accounts::mark_valid(&mut tx, id, now).await?,
        Some(reason) => {
            let version = changes::latest_version_of(&mut tx, ResourceKind::Account, id.to_bytes()).await?;
            accounts::mark_invalid(&mut tx, id, version.unwrap_or_default(), reason, "", now).await?
        }
    };
    let detail = serde_json::json!({ "status": change.status, "reason": reason });
    audit::write(&mut tx, &caller.audit("account.set_status", "account", id, detail, now)).await?;
    tx.commit().await?;
    app.changed();
    let nodes = if change.status == Status::Valid { clear_on_nodes(&app, id).await? } else { Vec::new() };
    Ok(Tagged { revision: expected + i64::from(changed), body: StatusSet { status: change.status, nodes } })
}

/// `None` with `valid`.
fn reason(change: &StatusChange) -> ApiResult<Option<String>> {
    let is_code = |text: &str| {
        (1..=REASON_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match (change.status, &change.reason) {
        (Status::Valid, None) => Ok(None),
        (Status::Valid, Some(_)) => Err(Problem::invalid("reason", "only `invalid` has a reason")),
        (Status::Invalid, None) => Ok(Some(SET_BY_PERSON.to_owned())),
        (Status::Invalid, Some(text)) if is_code(text) => Ok(Some(text.clone())),
        (Status::Invalid, Some(_)) => Err(Problem::invalid("reason", "1 to 64 letters, digits or _")),
    }
}

async fn clear_on_nodes(app: &App, id: AccountId) -> ApiResult<Vec<NodeOutcome>> {
    let clear = command::Command::ClearStatus(v1::ClearStatus { account_id: id.to_bytes().to_vec() });
    let answers = commands::run_on_all(app, &clear).await?;
    Ok(answers.into_iter().map(cleared).collect())
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
    PathId(id): PathId<AccountId>,
    OptionalJsonBody(request): OptionalJsonBody<TestRequest>,
) -> ApiResult<Json<TestOutcome>> {
    let model = request.unwrap_or_default().model;
    if let Some(model) = &model {
        ModelPattern::new(model).map_err(|error| Problem::invalid("model", error.to_string()))?;
    }
    let node = choose(&app, id).await?;
    let ask = command::Command::TestAccount(v1::TestAccount {
        account_id: id.to_bytes().to_vec(),
        model,
        account: None,
    });
    let answer = commands::run(&app, &[node], &ask).await?.pop();
    let Answer { node_id, outcome } = answer.ok_or_else(|| Problem::internal("a command had no answer"))?;
    let result = match outcome {
        Ok(command_result::Result::TestAccount(result)) => result,
        Ok(_) => return Err(Problem::internal("a node answered another command")),
        Err(NoResult::Refused(reason)) => {
            return Err(Problem::new(StatusCode::BAD_GATEWAY, "node_refused", reason));
        }
        Err(NoResult::Silent) => {
            let detail = format!("the node {node_id} did not answer in time");
            return Err(Problem::new(StatusCode::GATEWAY_TIMEOUT, "node_silent", detail));
        }
    };
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

/// A live node that reaches the account's type and has heard of the account as it is now. Where none has within
/// [`HEARD_TIMEOUT`], the one that comes nearest.
async fn choose(app: &App, id: AccountId) -> ApiResult<String> {
    let deadline = Instant::now() + HEARD_TIMEOUT;
    loop {
        let mut tx = app.store.read().await?;
        let wanted = changes::version_of(&mut tx, ResourceKind::Account, id.to_bytes()).await?;
        let nearest = nearest(app, &mut tx, id).await?;
        tx.commit().await?;
        let version = nearest.revision.map(|revision| revision.version);
        if version >= wanted || Instant::now() >= deadline {
            return Ok(nearest.node_id);
        }
        tokio::time::sleep(HEARD_POLL).await;
    }
}

async fn nearest(app: &App, tx: &mut Tx, id: AccountId) -> ApiResult<NodeRow> {
    let row = accounts::get(tx, id).await?.ok_or(StoreError::NotFound)?;
    let kind: AccountType =
        row.account_type.parse().map_err(|error| Problem::internal(format_args!("{id}: {error}")))?;
    let live = nodes::live(tx, live_since(app)).await?;
    if live.is_empty() {
        return Err(Problem::conflict("no_live_node", "no node is running, so nobody can ask the upstream"));
    }
    let wanted = encode::account_type(kind);
    let reaches = |node: &NodeRow| node.ready && node.report.account_types().any(|reached| reached == wanted);
    let newest = |node: &NodeRow| (node.revision.map(|revision| revision.version), node.heard_at);
    live.into_iter().filter(reaches).max_by_key(newest).ok_or_else(|| {
        Problem::conflict(
            "unsupported_by_node",
            format!("no running node reaches accounts of the type {kind}"),
        )
    })
}
