//! Usage: sums over the roll-ups, and the ledger's records. A person sees their own; who reads all sees everyone's,
//! with accounts and real costs.
//!
//! Sums come from roll-ups by quarter-hour and day in UTC and never from records, so they can be asked for one dimension
//! at a time: a user, a key, an account, a group, a model, a wire or a tag.

mod view;

use axum::{Json, extract::State};
use serde::Deserialize;
use shared::{
    clock::Millis,
    id::{AccountId, GroupId, KeyId, RequestId, UserId},
    wire::Wire,
};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::view::{DailyUsage, HourlyUsage, UsageRecords, UsageSummary};
use super::{
    cursor::{Page, PageParams},
    error::{ApiResult, Problem},
    extract::{ListParams, Params},
};
use crate::{
    app::App,
    ledger::entry::UNKNOWN_WIRE,
    ops::{
        Caller,
        usage::{self as ops, Asked, Audience, HOURS, Period, Record, RecordFilter, SUMS, Scope, Span},
    },
    words::{outcome::Outcome, purpose::Purpose},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(own_summary))
        .routes(routes!(own_daily))
        .routes(routes!(own_hourly))
        .routes(routes!(own_records))
        .routes(routes!(all_summary))
        .routes(routes!(all_daily))
        .routes(routes!(all_hourly))
        .routes(routes!(all_records))
}

/// Which sums: of one key, or of all.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OwnSums {
    /// One of the caller's keys, also one that was deleted.
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Milliseconds since 1970; the quarter-hour that it is in counts. Absent: 30 days back; by hour, 7 days.
    #[param(value_type = Option<i64>)]
    from: Option<Millis>,
    /// Milliseconds since 1970; the quarter-hour that it is in counts. Absent: now.
    #[param(value_type = Option<i64>)]
    to: Option<Millis>,
}

/// Which sums: at most one of user, key, account, group, model, wire and tag.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AllSums {
    #[param(value_type = Option<String>)]
    user_id: Option<UserId>,
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Counts the attempts at the account.
    #[param(value_type = Option<String>)]
    account_id: Option<AccountId>,
    /// Counts the attempts at accounts that were in the group at the time.
    #[param(value_type = Option<String>)]
    group_id: Option<GroupId>,
    /// A model's name as in the price list.
    model: Option<String>,
    /// chat, responses, messages or gemini.
    wire: Option<String>,
    /// Of keys, as they were at the time.
    tag: Option<String>,
    /// Milliseconds since 1970; the quarter-hour that it is in counts. Absent: 30 days back; by hour, 7 days.
    #[param(value_type = Option<i64>)]
    from: Option<Millis>,
    /// Milliseconds since 1970; the quarter-hour that it is in counts. Absent: now.
    #[param(value_type = Option<i64>)]
    to: Option<Millis>,
}

/// Which records. All that is given must hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OwnRecords {
    /// Exactly this request.
    #[param(value_type = Option<String>)]
    request_id: Option<RequestId>,
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// A model's name as in the price list; of models without a price the name sent upstream.
    model: Option<String>,
    /// chat, responses, messages or gemini.
    wire: Option<String>,
    /// open, completed, upstream_error, client_gone, cut_off, refused or unknown.
    outcome: Option<Outcome>,
    /// Whether the outcome counts as an error in sums.
    failed: Option<bool>,
    /// client or account_test.
    purpose: Option<Purpose>,
    /// Milliseconds since 1970. Absent: no bound.
    #[param(value_type = Option<i64>)]
    from: Option<Millis>,
    /// Milliseconds since 1970, not included. Absent: no bound.
    #[param(value_type = Option<i64>)]
    to: Option<Millis>,
}

/// Which records. All that is given must hold.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AllRecords {
    /// Exactly this request.
    #[param(value_type = Option<String>)]
    request_id: Option<RequestId>,
    #[param(value_type = Option<String>)]
    user_id: Option<UserId>,
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Where the last attempt went.
    #[param(value_type = Option<String>)]
    account_id: Option<AccountId>,
    /// A model's name as in the price list; of models without a price the name sent upstream.
    model: Option<String>,
    /// chat, responses, messages or gemini.
    wire: Option<String>,
    /// open, completed, upstream_error, client_gone, cut_off, refused or unknown.
    outcome: Option<Outcome>,
    /// Whether the outcome counts as an error in sums.
    failed: Option<bool>,
    /// client or account_test.
    purpose: Option<Purpose>,
    /// Milliseconds since 1970. Absent: no bound.
    #[param(value_type = Option<i64>)]
    from: Option<Millis>,
    /// Milliseconds since 1970, not included. Absent: no bound.
    #[param(value_type = Option<i64>)]
    to: Option<Millis>,
}

/// Sums of the caller's requests.
#[utoipa::path(get, path = "/api/usage/summary", tag = "usage", params(OwnSums), responses((status = OK, body = UsageSummary)))]
async fn own_summary(
    State(app): State<App>,
    caller: Caller,
    Params(asked): Params<OwnSums>,
) -> ApiResult<Json<UsageSummary>> {
    let span = Span::new(asked.from, asked.to, SUMS, app.clock.now())?;
    summary(&app, &Asked::Own(&caller, asked.key_id), span).await
}

/// Sums of the caller's requests by day.
#[utoipa::path(get, path = "/api/usage/daily", tag = "usage", params(OwnSums), responses((status = OK, body = DailyUsage)))]
async fn own_daily(
    State(app): State<App>,
    caller: Caller,
    Params(asked): Params<OwnSums>,
) -> ApiResult<Json<DailyUsage>> {
    let span = Span::new(asked.from, asked.to, SUMS, app.clock.now())?;
    daily(&app, &Asked::Own(&caller, asked.key_id), span).await
}

/// Sums of the caller's requests by hour, over 7 days at most.
#[utoipa::path(get, path = "/api/usage/hourly", tag = "usage", params(OwnSums), responses((status = OK, body = HourlyUsage)))]
async fn own_hourly(
    State(app): State<App>,
    caller: Caller,
    Params(asked): Params<OwnSums>,
) -> ApiResult<Json<HourlyUsage>> {
    let span = Span::new(asked.from, asked.to, HOURS, app.clock.now())?;
    hourly(&app, &Asked::Own(&caller, asked.key_id), span).await
}

/// The caller's requests, newest first.
#[utoipa::path(get, path = "/api/usage/records", tag = "usage", params(OwnRecords, PageParams), responses((status = OK, body = UsageRecords)))]
async fn own_records(
    State(app): State<App>,
    caller: Caller,
    page: Page,
    ListParams(asked): ListParams<OwnRecords>,
) -> ApiResult<Json<UsageRecords>> {
    let filter = RecordFilter {
        request_id: asked.request_id,
        user_id: None,
        key_id: asked.key_id,
        account_id: None,
        model: asked.model,
        wire: wire(asked.wire)?,
        outcome: asked.outcome,
        failed: asked.failed,
        purpose: asked.purpose,
        from: asked.from,
        to: asked.to,
        before: page.after::<16>()?.map(RequestId::from_bytes),
    };
    let records = ops::own_records(&app, &caller, &filter, page.fetch()).await?;
    Ok(paged(&page, records, Audience::Owner))
}

/// Sums of everyone's requests.
#[utoipa::path(get, path = "/api/admin/usage/summary", tag = "usage", params(AllSums), responses((status = OK, body = UsageSummary)))]
async fn all_summary(
    State(app): State<App>,
    Params(asked): Params<AllSums>,
) -> ApiResult<Json<UsageSummary>> {
    let span = Span::new(asked.from, asked.to, SUMS, app.clock.now())?;
    summary(&app, &Asked::All(all_scope(asked)?), span).await
}

/// Sums of everyone's requests by day.
#[utoipa::path(get, path = "/api/admin/usage/daily", tag = "usage", params(AllSums), responses((status = OK, body = DailyUsage)))]
async fn all_daily(State(app): State<App>, Params(asked): Params<AllSums>) -> ApiResult<Json<DailyUsage>> {
    let span = Span::new(asked.from, asked.to, SUMS, app.clock.now())?;
    daily(&app, &Asked::All(all_scope(asked)?), span).await
}

/// Sums of everyone's requests by hour, over 7 days at most.
#[utoipa::path(get, path = "/api/admin/usage/hourly", tag = "usage", params(AllSums), responses((status = OK, body = HourlyUsage)))]
async fn all_hourly(State(app): State<App>, Params(asked): Params<AllSums>) -> ApiResult<Json<HourlyUsage>> {
    let span = Span::new(asked.from, asked.to, HOURS, app.clock.now())?;
    hourly(&app, &Asked::All(all_scope(asked)?), span).await
}

/// Everyone's requests, newest first.
#[utoipa::path(get, path = "/api/admin/usage/records", tag = "usage", params(AllRecords, PageParams), responses((status = OK, body = UsageRecords)))]
async fn all_records(
    State(app): State<App>,
    page: Page,
    ListParams(asked): ListParams<AllRecords>,
) -> ApiResult<Json<UsageRecords>> {
    let filter = RecordFilter {
        request_id: asked.request_id,
        user_id: asked.user_id,
        key_id: asked.key_id,
        account_id: asked.account_id,
        model: asked.model,
        wire: wire(asked.wire)?,
        outcome: asked.outcome,
        failed: asked.failed,
        purpose: asked.purpose,
        from: asked.from,
        to: asked.to,
        before: page.after::<16>()?.map(RequestId::from_bytes),
    };
    let records = ops::all_records(&app, &filter, page.fetch()).await?;
    Ok(paged(&page, records, Audience::Staff))
}

async fn summary(app: &App, asked: &Asked<'_>, span: Span) -> ApiResult<Json<UsageSummary>> {
    let summary = ops::summary(app, asked, span).await?;
    Ok(Json(UsageSummary::new(span, &summary, asked.audience())))
}

async fn daily(app: &App, asked: &Asked<'_>, span: Span) -> ApiResult<Json<DailyUsage>> {
    let days = ops::by_period(app, asked, Period::Day, span).await?;
    Ok(Json(DailyUsage::new(span, &days, asked.audience())))
}

async fn hourly(app: &App, asked: &Asked<'_>, span: Span) -> ApiResult<Json<HourlyUsage>> {
    let hours = ops::by_period(app, asked, Period::Hour, span).await?;
    Ok(Json(HourlyUsage::new(span, &hours, asked.audience())))
}

fn paged(page: &Page, mut records: Vec<Record>, audience: Audience) -> Json<UsageRecords> {
    let next_cursor = page.cut(&mut records, |record| record.request_id.to_bytes());
    let records = records.into_iter().map(|record| view::record(record, audience)).collect();
    Json(UsageRecords { records, next_cursor })
}

fn all_scope(asked: AllSums) -> ApiResult<Scope> {
    let given = [
        asked.user_id.map(Scope::User),
        asked.key_id.map(Scope::Key),
        asked.account_id.map(Scope::Account),
        asked.group_id.map(Scope::Group),
        asked.model.map(Scope::Model),
        wire(asked.wire)?.map(Scope::Wire),
        asked.tag.map(Scope::Tag),
    ];
    let mut given = given.into_iter().flatten();
    let scope = given.next().unwrap_or(Scope::Total);
    if given.next().is_some() {
        return Err(Problem::invalid(
            "",
            "sums are kept by one of user_id, key_id, account_id, group_id, model, wire and tag at a time",
        ));
    }
    Ok(scope)
}

fn wire(given: Option<String>) -> ApiResult<Option<String>> {
    let known = |name: &str| name == UNKNOWN_WIRE || Wire::ALL.iter().any(|wire| wire.as_str() == name);
    match given {
        Some(name) if !known(&name) => {
            Err(Problem::invalid("wire", "chat, responses, messages or gemini is expected"))
        }
        given => Ok(given),
    }
}
