//! /api/admin/settings: what operators set for the whole installation.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::ApiResult,
    etag::{IfMatch, Tagged},
    extract::JsonBody,
};
use crate::{
    app::App,
    domain::settings_input::SettingsChange,
    ops::{
        Caller,
        settings::{self as ops, Settings},
    },
    settings::DataPlaneSettings,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get, put))
}

/// All settings. Null leaves a choice to each node, whose `--help` states it.
#[derive(Serialize, ToSchema)]
#[schema(as = Settings)]
struct SettingsBody {
    /// People may make themselves a user.
    registration_enabled: bool,
    /// Where clients reach the data plane; shown in snippets. Where nothing is set here, what the control plane was
    /// started with (`--public-api-url`). Null: nobody said.
    public_api_url: Option<String>,
    /// The longest wait for the first byte of an upstream.
    first_byte_timeout_ms: Option<u64>,
    /// The longest silence within a stream.
    idle_timeout_ms: Option<u64>,
    /// The longest wait for the first content, over all attempts.
    deadline_ms: Option<u64>,
    max_stream_ms: Option<u64>,
    /// How long the head of an answer is held back for its first content.
    commit_hold_ms: Option<u64>,
    max_body_bytes: Option<u64>,
    /// How long a stream is read on for its usage after the client has left.
    drain_timeout_ms: Option<u64>,
    /// The longest wait for an answer that is no stream, over all attempts.
    plain_deadline_ms: Option<u64>,
    /// The longest wait for an answer that is no stream, for each attempt.
    plain_attempt_timeout_ms: Option<u64>,
    /// How long an answer that is no stream is waited for after the client has left.
    plain_drain_timeout_ms: Option<u64>,
    /// Answers up to this size are read whole; larger ones pass unmetered, and fail where they would have to be
    /// converted.
    max_answer_bytes: Option<u64>,
    /// The largest frame of a stream.
    max_frame_bytes: Option<u64>,
    /// Streams that run with a revoked key or account are cut.
    cut_revoked_streams: Option<bool>,
    /// How many days requests stay in the ledger. Null: 400.
    ledger_retention_days: Option<u64>,
    /// How many days refused requests stay, and their counts. Null: 90.
    refusal_retention_days: Option<u64>,
    /// Refused requests that stay in full, the latest ones. Null: 100,000.
    refusals_kept: Option<u64>,
    /// How many days the audit log goes back. Null: 400.
    audit_retention_days: Option<u64>,
}

impl SettingsBody {
    fn of(settings: Settings, started_with: &DataPlaneSettings) -> Self {
        Self {
            registration_enabled: settings.registration_enabled,
            public_api_url: started_with.public_url(settings.public_api_url.as_deref()).map(Into::into),
            first_byte_timeout_ms: settings.first_byte_timeout_ms,
            idle_timeout_ms: settings.idle_timeout_ms,
            deadline_ms: settings.deadline_ms,
            max_stream_ms: settings.max_stream_ms,
            commit_hold_ms: settings.commit_hold_ms,
            max_body_bytes: settings.max_body_bytes,
            drain_timeout_ms: settings.drain_timeout_ms,
            plain_deadline_ms: settings.plain_deadline_ms,
            plain_attempt_timeout_ms: settings.plain_attempt_timeout_ms,
            plain_drain_timeout_ms: settings.plain_drain_timeout_ms,
            max_answer_bytes: settings.max_answer_bytes,
            max_frame_bytes: settings.max_frame_bytes,
            cut_revoked_streams: settings.cut_revoked_streams,
            ledger_retention_days: settings.ledger_retention_days,
            refusal_retention_days: settings.refusal_retention_days,
            refusals_kept: settings.refusals_kept,
            audit_retention_days: settings.audit_retention_days,
        }
    }
}

/// The settings.
#[utoipa::path(get, path = "/api/admin/settings", tag = "settings", responses((status = OK, body = SettingsBody)))]
async fn get(State(app): State<App>) -> ApiResult<Tagged<SettingsBody>> {
    Ok(tagged(&app, ops::get(&app).await?))
}

/// Changes settings. Nodes follow at once.
#[utoipa::path(put, path = "/api/admin/settings", tag = "settings", params(("If-Match" = String, Header)), request_body = SettingsChange, responses(
    (status = OK, body = SettingsBody),
    (status = PRECONDITION_FAILED, description = "`stale_revision`"),
))]
async fn put(
    State(app): State<App>,
    caller: Caller,
    IfMatch(revision): IfMatch,
    JsonBody(change): JsonBody<SettingsChange>,
) -> ApiResult<Tagged<SettingsBody>> {
    Ok(tagged(&app, ops::update(&app, &caller, revision, change).await?))
}

fn tagged(app: &App, (settings, revision): (Settings, i64)) -> Tagged<SettingsBody> {
    Tagged { revision, body: SettingsBody::of(settings, &app.settings.data_plane) }
}
