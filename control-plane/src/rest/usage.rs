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

pub(super) use self::view::Audience;
use self::view::{DailyUsage, HourlyUsage, UsageRecords, UsageSummary};
use super::{
    api_keys::MAX_TIME,
    cursor::{Page, PageParams},
    error::{ApiResult, Problem},
    extract::{ListParams, Params},
};
use crate::{
    app::App,
    ledger::{entry::UNKNOWN_WIRE, retention::quarters_from},
    ops::Caller,
    store::{
        Tx, api_keys,
        latency::{self, Metric},
        rollups::{ALL_MODELS, QUARTER_MS, day_of, quarter_of},
        usage_queries::{self, RecordFilter},
        usage_sums::{self, Period, Scope},
    },
    words::{outcome::Outcome, purpose::Purpose},
};

const DAY_MS: i64 = 24 * 3600 * 1000;
/// How far sums go back where nothing is said, and the longest span of them.
pub(super) const SUMS: Bounds = Bounds { default_days: 30, most_days: 1_000 };
/// The same of sums by hour.
const HOURS: Bounds = Bounds { default_days: 7, most_days: 7 };

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
    let mut tx = app.store.read().await?;
    let scope = own_scope(&mut tx, &caller, asked.key_id).await?;
    summary(tx, &scope, span, Audience::Owner).await
}

/// Sums of the caller's requests by day.
#[utoipa::path(get, path = "/api/usage/daily", tag = "usage", params(OwnSums), responses((status = OK, body = DailyUsage)))]
async fn own_daily(
    State(app): State<App>,
    caller: Caller,
    Params(asked): Params<OwnSums>,
) -> ApiResult<Json<DailyUsage>> {
    let span = Span::new(asked.from, asked.to, SUMS, app.clock.now())?;
    let mut tx = app.store.read().await?;
    let scope = own_scope(&mut tx, &caller, asked.key_id).await?;
    daily(tx, &scope, span, Audience::Owner).await
}

/// Sums of the caller's requests by hour, over 7 days at most.
#[utoipa::path(get, path = "/api/usage/hourly", tag = "usage", params(OwnSums), responses((status = OK, body = HourlyUsage)))]
async fn own_hourly(
    State(app): State<App>,
    caller: Caller,
    Params(asked): Params<OwnSums>,
) -> ApiResult<Json<HourlyUsage>> {
    let span = Span::new(asked.from, asked.to, HOURS, app.clock.now())?;
    let mut tx = app.store.read().await?;
    let scope = own_scope(&mut tx, &caller, asked.key_id).await?;
    hourly(tx, &scope, span, Audience::Owner).await
}

/// The caller's requests, newest first.
#[utoipa::path(get, path = "/api/usage/records", tag = "usage", params(OwnRecords, PageParams), responses((status = OK, body = UsageRecords)))]
async fn own_records(
    State(app): State<App>,
    caller: Caller,
    page: Page,
    ListParams(asked): ListParams<OwnRecords>,
) -> ApiResult<Json<UsageRecords>> {
    let mut tx = app.store.read().await?;
    demand_own(&mut tx, &caller, asked.key_id).await?;
    let filter = RecordFilter {
        request_id: asked.request_id,
        user_id: Some(caller.user),
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
    records(tx, &page, &filter, Audience::Owner).await
}

/// Sums of everyone's requests.
#[utoipa::path(get, path = "/api/admin/usage/summary", tag = "usage", params(AllSums), responses((status = OK, body = UsageSummary)))]
async fn all_summary(
    State(app): State<App>,
    Params(asked): Params<AllSums>,
) -> ApiResult<Json<UsageSummary>> {
    let span = Span::new(asked.from, asked.to, SUMS, app.clock.now())?;
    summary(app.store.read().await?, &all_scope(asked)?, span, Audience::Staff).await
}

/// Sums of everyone's requests by day.
#[utoipa::path(get, path = "/api/admin/usage/daily", tag = "usage", params(AllSums), responses((status = OK, body = DailyUsage)))]
async fn all_daily(State(app): State<App>, Params(asked): Params<AllSums>) -> ApiResult<Json<DailyUsage>> {
    let span = Span::new(asked.from, asked.to, SUMS, app.clock.now())?;
    daily(app.store.read().await?, &all_scope(asked)?, span, Audience::Staff).await
}

/// Sums of everyone's requests by hour, over 7 days at most.
#[utoipa::path(get, path = "/api/admin/usage/hourly", tag = "usage", params(AllSums), responses((status = OK, body = HourlyUsage)))]
async fn all_hourly(State(app): State<App>, Params(asked): Params<AllSums>) -> ApiResult<Json<HourlyUsage>> {
    let span = Span::new(asked.from, asked.to, HOURS, app.clock.now())?;
    hourly(app.store.read().await?, &all_scope(asked)?, span, Audience::Staff).await
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
    records(app.store.read().await?, &page, &filter, Audience::Staff).await
}

async fn summary(mut tx: Tx, scope: &Scope, span: Span, audience: Audience) -> ApiResult<Json<UsageSummary>> {
    let counts = usage_sums::sums(&mut tx, scope, span.from, span.to).await?;
    let model = match (scope, audience) {
        (Scope::Total, Audience::Staff) => Some(ALL_MODELS),
        (Scope::Model(model), Audience::Staff) => Some(model.as_str()),
        _ => None,
    };
    let (mut first_token, mut total) = (None, None);
    if let Some(model) = model {
        let buckets = latency::of(&mut tx, model, Metric::FirstToken, span.from, span.to).await?;
        first_token = view::percentiles(&buckets);
        let buckets = latency::of(&mut tx, model, Metric::Total, span.from, span.to).await?;
        total = view::percentiles(&buckets);
    }
    tx.commit().await?;
    Ok(Json(UsageSummary::new(span.from, span.to, &counts, audience, first_token, total)))
}

async fn daily(mut tx: Tx, scope: &Scope, span: Span, audience: Audience) -> ApiResult<Json<DailyUsage>> {
    let days = usage_sums::by_period(&mut tx, scope, Period::Day, span.from, span.to).await?;
    tx.commit().await?;
    Ok(Json(DailyUsage::new(span.from, span.to, &days, audience)))
}

async fn hourly(mut tx: Tx, scope: &Scope, span: Span, audience: Audience) -> ApiResult<Json<HourlyUsage>> {
    let hours = usage_sums::by_period(&mut tx, scope, Period::Hour, span.from, span.to).await?;
    tx.commit().await?;
    Ok(Json(HourlyUsage::new(span.from, span.to, &hours, audience)))
}

async fn records(
    mut tx: Tx,
    page: &Page,
    filter: &RecordFilter,
    audience: Audience,
) -> ApiResult<Json<UsageRecords>> {
    let mut rows = usage_queries::records(&mut tx, filter, page.fetch()).await?;
    let next_cursor = page.cut(&mut rows, |row| row.request_id.clone());
    let names = view::Names::of(&mut tx, &rows, audience).await?;
    tx.commit().await?;
    let records =
        rows.into_iter().map(|row| view::record(row, &names, audience)).collect::<Result<_, _>>()?;
    Ok(Json(UsageRecords { records, next_cursor }))
}

async fn own_scope(tx: &mut Tx, caller: &Caller, key: Option<KeyId>) -> ApiResult<Scope> {
    demand_own(tx, caller, key).await?;
    Ok(key.map_or(Scope::User(caller.user), Scope::Key))
}

/// A key that is not the caller's, and was not while it was there, is as good as none.
///
/// # Errors
/// There is no such key, or what the database says.
pub(super) async fn demand_own(tx: &mut Tx, caller: &Caller, key: Option<KeyId>) -> ApiResult<()> {
    let Some(key) = key else { return Ok(()) };
    match api_keys::owner(tx, key).await? {
        Some(owner) if owner == caller.user => Ok(()),
        _ => Err(Problem::not_found()),
    }
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

/// A span of whole quarter-hours; where these are not kept any more, of whole days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Millis,
    /// Not included.
    pub(super) to: Millis,
}

/// How long a span is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    default_days: i64,
    most_days: i64,
}

impl Span {
    pub(super) fn new(
        from: Option<Millis>,
        to: Option<Millis>,
        bounds: Bounds,
        now: Millis,
    ) -> ApiResult<Self> {
        for (name, at) in [("from", from), ("to", to)] {
            if at.is_some_and(|at| !(Millis(0)..=MAX_TIME).contains(&at)) {
                return Err(Problem::invalid(name, "must be milliseconds since 1970"));
            }
        }
        let last = to.unwrap_or(now);
        let first = from.unwrap_or(Millis(last.0.saturating_sub(bounds.default_days * DAY_MS)));
        if first > last || last.0.saturating_sub(first.0) > bounds.most_days * DAY_MS {
            let most = bounds.most_days;
            return Err(Problem::invalid(
                "from",
                format!("`from` comes before `to`, by {most} days at most"),
            ));
        }
        let kept = quarters_from(now);
        let from = if first < kept { day_of(first.0) } else { quarter_of(first) };
        let end = if last < kept {
            day_of(last.0).saturating_add(DAY_MS)
        } else {
            quarter_of(last).saturating_add(QUARTER_MS)
        };
        Ok(Self { from: Millis(from), to: Millis(end) })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_widened_to_whole_quarters() {
        let now = Millis(100 * QUARTER_MS + 5);
        let span = Span::new(Some(Millis(10 * QUARTER_MS + 1)), None, SUMS, now).unwrap();
        assert_eq!(span, Span { from: Millis(10 * QUARTER_MS), to: Millis(101 * QUARTER_MS) });
        let on_the_border = Span::new(Some(now), Some(Millis(101 * QUARTER_MS)), SUMS, now).unwrap();
        assert_eq!(on_the_border.to, Millis(102 * QUARTER_MS));
    }

    #[test]
    fn a_span_backwards_or_beyond_reason_is_refused() {
        let now = Millis(2_000 * DAY_MS);
        let span =
            |from: i64, to: Option<i64>, bounds| Span::new(Some(Millis(from)), to.map(Millis), bounds, now);
        assert!(span(2, Some(1), SUMS).is_err());
        assert!(span(i64::MIN, None, SUMS).is_err());
        for far in [i64::MIN, i64::MIN + 1, -1, MAX_TIME.0 + 1, i64::MAX] {
            assert!(span(far, Some(far), SUMS).is_err(), "{far}");
            assert!(Span::new(None, Some(Millis(far)), SUMS, now).is_err(), "{far}");
        }
        for edge in [0, MAX_TIME.0] {
            assert!(span(edge, Some(edge), SUMS).is_ok(), "{edge}");
        }
        assert!(span(1_000 * DAY_MS, None, SUMS).is_ok());
        assert!(span(1_000 * DAY_MS - 1, None, SUMS).is_err());
        assert!(span(1_993 * DAY_MS, None, HOURS).is_ok());
        assert!(span(1_993 * DAY_MS - 1, None, HOURS).is_err());
        assert!(Span::new(None, None, HOURS, now).is_ok());
    }
}
