//! /api/admin/incarnations: runs of nodes' processes and whether their records are all there; and records that the
//! ledger could not take.

use axum::{Json, extract::State};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use shared::{clock::Millis, id::IncarnationId};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cursor::{Page, PageParams},
    error::{ApiResult, Problem},
    extract::{ListParams, PathId},
};
use crate::{
    app::App,
    ops::{
        Caller,
        incarnations::{self as ops, IncarnationState, RejectedKey, RejectedRow, Run},
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(close)).routes(routes!(rejected))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct IncarnationQuery {
    /// open, lost, closed or closed_by_person.
    #[param(value_type = Option<String>)]
    state: Option<IncarnationState>,
}

/// One run of a node's process.
#[derive(Serialize, ToSchema)]
struct IncarnationView {
    #[schema(value_type = String)]
    id: IncarnationId,
    node_id: String,
    state: IncarnationState,
    /// How many spools it writes.
    spools: u32,
    #[schema(value_type = i64)]
    first_seen_at: Millis,
    /// Also by its heartbeats.
    #[schema(value_type = i64)]
    last_seen_at: Millis,
    #[schema(value_type = Option<i64>)]
    closed_at: Option<Millis>,
    /// Taken so far.
    records: i64,
    /// Requests that have begun and are not over, as far as is known; 1000 stands for more.
    open_requests: i64,
}

/// Newest first.
#[derive(Serialize, ToSchema)]
struct Incarnations {
    incarnations: Vec<IncarnationView>,
    /// Null: this is the last page.
    next_cursor: Option<String>,
}

/// Runs of nodes' processes, and whether all of their records are in the ledger.
#[utoipa::path(get, path = "/api/admin/incarnations", tag = "nodes", params(IncarnationQuery, PageParams), responses((status = OK, body = Incarnations)))]
async fn list(
    State(app): State<App>,
    ListParams(query): ListParams<IncarnationQuery>,
    page: Page,
) -> ApiResult<Json<Incarnations>> {
    let before = page.after::<16>()?.map(IncarnationId::from_bytes);
    let mut runs = ops::list(&app, query.state, before, page.fetch()).await?;
    let next_cursor = page.cut(&mut runs, |run| run.row.id.to_bytes());
    let incarnations = runs.into_iter().map(IncarnationView::from).collect();
    Ok(Json(Incarnations { incarnations, next_cursor }))
}

impl From<Run> for IncarnationView {
    fn from(Run { row, state, open_requests }: Run) -> Self {
        Self {
            id: row.id,
            node_id: row.node,
            state,
            spools: row.spools,
            first_seen_at: row.first_seen,
            last_seen_at: row.last_seen,
            closed_at: row.closed_at,
            records: row.records,
            open_requests,
        }
    }
}

/// Closes a run that is lost: what is open of it was cut off, and is charged at what was reserved. Where its records come
/// all the same, they replace what was assumed.
#[utoipa::path(post, path = "/api/admin/incarnations/{id}/close", tag = "nodes", params(("id" = String, Path)), responses(
    (status = OK, body = IncarnationView),
    (status = CONFLICT, description = "`incarnation_is_alive` or `incarnation_is_closed`"),
))]
async fn close(
    State(app): State<App>,
    caller: Caller,
    PathId(id): PathId<IncarnationId>,
) -> ApiResult<Json<IncarnationView>> {
    Ok(Json(ops::close(&app, &caller, id).await?.into()))
}

/// A record that the ledger did not take as it is, or a range of records that are gone.
#[derive(Serialize, ToSchema)]
struct RejectedView {
    #[schema(value_type = String)]
    incarnation_id: IncarnationId,
    node_id: String,
    /// -1: none; it is a request that was open when its incarnation ended, and the sequences only count these.
    spool: i64,
    first_sequence: i64,
    /// Same as the first, save where a range is gone.
    last_sequence: i64,
    /// Code, such as `no_content`, `refused_by_database` or `gone`.
    reason: String,
    /// What the database said. Empty: it was not asked.
    detail: String,
    /// The record as it came, in base64, cut to 64 KiB. Empty: there is none.
    payload: String,
    received_at: i64,
}

/// Newest first.
#[derive(Serialize, ToSchema)]
struct RejectedRecords {
    /// Of all; 1000 stands for more.
    total: i64,
    records: Vec<RejectedView>,
    /// Null: this is the last page.
    next_cursor: Option<String>,
}

/// Records that the ledger could not take as they are, and ranges that nodes do not have any more.
#[utoipa::path(get, path = "/api/admin/usage/rejected", tag = "usage", params(PageParams), responses((status = OK, body = RejectedRecords)))]
async fn rejected(State(app): State<App>, page: Page) -> ApiResult<Json<RejectedRecords>> {
    let after = page.after::<40>()?.map(key);
    let mut rejected = ops::rejected(&app, after, page.fetch()).await?;
    let next_cursor = page.cut(&mut rejected.rows, cursor);
    let records = rejected.rows.into_iter().map(rejected_view).collect::<Result<_, _>>()?;
    Ok(Json(RejectedRecords { total: rejected.total, records, next_cursor }))
}

fn rejected_view(row: RejectedRow) -> ApiResult<RejectedView> {
    Ok(RejectedView {
        incarnation_id: IncarnationId::try_from(row.incarnation_id).map_err(Problem::internal)?,
        node_id: row.node,
        spool: row.spool,
        first_sequence: row.first_sequence,
        last_sequence: row.last_sequence,
        reason: row.reason,
        detail: row.detail,
        payload: STANDARD.encode(row.payload),
        received_at: row.received_at,
    })
}

/// The row's key in bytes: time, incarnation, spool, sequence.
fn cursor(row: &RejectedRow) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40);
    bytes.extend(row.received_at.to_be_bytes());
    bytes.extend(&row.incarnation_id);
    bytes.extend(row.spool.to_be_bytes());
    bytes.extend(row.first_sequence.to_be_bytes());
    bytes
}

fn key(cursor: [u8; 40]) -> RejectedKey {
    let number = |from: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&cursor[from..from + 8]);
        i64::from_be_bytes(bytes)
    };
    let mut incarnation = [0; 16];
    incarnation.copy_from_slice(&cursor[8..24]);
    RejectedKey { received_at: number(0), incarnation, spool: number(24), first_sequence: number(32) }
}
