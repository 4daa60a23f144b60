//! /api/admin/settings: what operators set for the whole installation.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    error::{ApiResult, Problem},
    etag::{IfMatch, Tagged},
    extract::JsonBody,
};
use crate::{
    app::App,
    domain::{fault::Faults, patch::Patch, public_url::PublicUrl},
    ops::Caller,
    settings::DataPlaneSettings,
    store::{
        audit,
        settings::{self, Settings},
    },
};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

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
        }
    }
}

/// What is left out stays as it is; null goes back to the default.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SettingsChange {
    registration_enabled: Option<bool>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    public_api_url: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    first_byte_timeout_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    idle_timeout_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    deadline_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    max_stream_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    commit_hold_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    max_body_bytes: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    drain_timeout_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    plain_deadline_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    plain_attempt_timeout_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    plain_drain_timeout_ms: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    max_answer_bytes: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    max_frame_bytes: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    cut_revoked_streams: Patch<bool>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    ledger_retention_days: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    refusal_retention_days: Patch<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    refusals_kept: Patch<u64>,
}

impl SettingsChange {
    /// What the settings are after the change.
    fn over(self, present: &Settings, started_with: &DataPlaneSettings) -> ApiResult<Settings> {
        let mut faults = Faults::default();
        let settings = self.numbers_over(present, &mut faults);
        let default = started_with.public_api_url.as_ref().map(PublicUrl::as_str);
        let public_api_url = url_over(self.public_api_url, present.public_api_url.clone(), &mut faults);
        let settings = Settings {
            registration_enabled: self.registration_enabled.unwrap_or(present.registration_enabled),
            // What was only read and is sent back is not set by that.
            public_api_url: public_api_url.filter(|url| Some(url.as_str()) != default),
            cut_revoked_streams: self.cut_revoked_streams.over_optional(present.cut_revoked_streams),
            ..settings
        };
        faults.none()?;
        Ok(settings)
    }

    fn numbers_over(&self, present: &Settings, faults: &mut Faults) -> Settings {
        let mut settings = present.clone();
        for (field, change, place, range) in [
            (
                "first_byte_timeout_ms",
                &self.first_byte_timeout_ms,
                &mut settings.first_byte_timeout_ms,
                100..=DAY_MS,
            ),
            ("idle_timeout_ms", &self.idle_timeout_ms, &mut settings.idle_timeout_ms, 100..=DAY_MS),
            ("deadline_ms", &self.deadline_ms, &mut settings.deadline_ms, 100..=DAY_MS),
            ("max_stream_ms", &self.max_stream_ms, &mut settings.max_stream_ms, 1_000..=DAY_MS),
            ("commit_hold_ms", &self.commit_hold_ms, &mut settings.commit_hold_ms, 0..=MINUTE_MS),
            ("max_body_bytes", &self.max_body_bytes, &mut settings.max_body_bytes, 1 << 10..=1 << 30),
            ("plain_deadline_ms", &self.plain_deadline_ms, &mut settings.plain_deadline_ms, 100..=DAY_MS),
            (
                "plain_attempt_timeout_ms",
                &self.plain_attempt_timeout_ms,
                &mut settings.plain_attempt_timeout_ms,
                100..=DAY_MS,
            ),
            (
                "plain_drain_timeout_ms",
                &self.plain_drain_timeout_ms,
                &mut settings.plain_drain_timeout_ms,
                0..=10 * MINUTE_MS,
            ),
            ("max_answer_bytes", &self.max_answer_bytes, &mut settings.max_answer_bytes, 1 << 10..=1 << 30),
            ("max_frame_bytes", &self.max_frame_bytes, &mut settings.max_frame_bytes, 1 << 10..=1 << 30),
            ("drain_timeout_ms", &self.drain_timeout_ms, &mut settings.drain_timeout_ms, 0..=10 * MINUTE_MS),
            (
                "ledger_retention_days",
                &self.ledger_retention_days,
                &mut settings.ledger_retention_days,
                1..=36_500,
            ),
            (
                "refusal_retention_days",
                &self.refusal_retention_days,
                &mut settings.refusal_retention_days,
                1..=36_500,
            ),
            ("refusals_kept", &self.refusals_kept, &mut settings.refusals_kept, 0..=10_000_000),
        ] {
            let value = change.clone().over_optional(*place);
            match value {
                Some(number) if !range.contains(&number) => {
                    faults.push(field, format!("must be from {} to {}", range.start(), range.end()));
                }
                _ => *place = value,
            }
        }
        settings
    }
}

fn url_over(change: Patch<String>, present: Option<String>, faults: &mut Faults) -> Option<String> {
    let given = change.over_optional(present)?;
    faults.take("public_api_url", given.parse::<PublicUrl>()).map(|url| url.to_string())
}

/// Names of the settings that differ.
fn changed(before: &Settings, after: &Settings) -> Result<Vec<String>, serde_json::Error> {
    let (before, after) = (serde_json::to_value(before)?, serde_json::to_value(after)?);
    let fields = after.as_object().into_iter().flatten();
    Ok(fields.filter(|(name, value)| before.get(name) != Some(value)).map(|(name, _)| name.clone()).collect())
}

/// The settings.
#[utoipa::path(get, path = "/api/admin/settings", tag = "settings", responses((status = OK, body = SettingsBody)))]
async fn get(State(app): State<App>) -> ApiResult<Tagged<SettingsBody>> {
    let mut tx = app.store.read().await?;
    let (settings, revision) = settings::load(&mut tx).await?;
    tx.commit().await?;
    let body = SettingsBody::of(settings, &app.settings.data_plane);
    Ok(Tagged { revision, body })
}

/// Changes settings. Nodes follow at once.
#[utoipa::path(put, path = "/api/admin/settings", tag = "settings", params(("If-Match" = String, Header)), request_body = SettingsChange, responses(
    (status = OK, body = SettingsBody),
    (status = PRECONDITION_FAILED, description = "`stale_revision`"),
))]
async fn put(
    State(app): State<App>,
    caller: Caller,
    if_match: IfMatch,
    JsonBody(change): JsonBody<SettingsChange>,
) -> ApiResult<Tagged<SettingsBody>> {
    let now = app.clock.now();
    let mut tx = app.store.begin().await?;
    let (before, revision) = settings::load(&mut tx).await?;
    if_match.holds_for(revision)?;
    let settings = change.over(&before, &app.settings.data_plane)?;
    let fields = changed(&before, &settings).map_err(Problem::internal)?;
    let revision = settings::save(&mut tx, &settings, if_match.0, now).await?;
    let detail = serde_json::json!({ "fields": fields });
    audit::write(&mut tx, &caller.audit("settings.update", "settings", "settings", detail, now)).await?;
    tx.commit().await?;
    app.changed();
    Ok(Tagged { revision, body: SettingsBody::of(settings, &app.settings.data_plane) })
}
