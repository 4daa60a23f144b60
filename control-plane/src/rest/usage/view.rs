//! What usage looks like in JSON, to its owner and to who reads all.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::{
    clock::Millis,
    id::{AccountId, GroupId, KeyId, PriceId, RequestId, UserId},
    money::{Nanos, Ppm},
    usage::Usage,
};
use utoipa::ToSchema;

use crate::{
    ops::usage::{self as ops, Attempt, Audience, Counts, PeriodCounts, Record, Span, Summary},
    words::{outcome::Outcome, purpose::Purpose},
};

/// Sums. Of an account, requests and errors are those of attempts.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsageCounts {
    requests: i64,
    /// Requests that neither completed nor were left by their client.
    errors: i64,
    /// Input that was neither read from nor written to a cache.
    input_tokens: i64,
    cache_read_tokens: i64,
    /// All cache writes: the next two together.
    cache_write_tokens: i64,
    cache_write_5m_tokens: i64,
    cache_write_1h_tokens: i64,
    /// Includes `reasoning_tokens`.
    output_tokens: i64,
    reasoning_tokens: i64,
    /// US dollars.
    #[schema(value_type = String)]
    cost: Nanos,
    /// US dollars at list price; only for who reads all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    real_cost: Option<Nanos>,
}

impl UsageCounts {
    fn new(counts: &Counts, audience: Audience) -> Self {
        Self {
            requests: counts.requests,
            errors: counts.errors,
            input_tokens: counts.input_tokens,
            cache_read_tokens: counts.cache_read_tokens,
            cache_write_tokens: counts.cache_write_5m_tokens.saturating_add(counts.cache_write_1h_tokens),
            cache_write_5m_tokens: counts.cache_write_5m_tokens,
            cache_write_1h_tokens: counts.cache_write_1h_tokens,
            output_tokens: counts.output_tokens,
            reasoning_tokens: counts.reasoning_tokens,
            cost: Nanos(counts.rated_cost),
            real_cost: audience.staff(Nanos(counts.real_cost)),
        }
    }
}

/// Times in milliseconds, each at most an eighth off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Percentiles {
    p50: u64,
    p95: u64,
    p99: u64,
}

impl From<ops::Percentiles> for Percentiles {
    fn from(ops::Percentiles { p50, p95, p99 }: ops::Percentiles) -> Self {
        Self { p50, p95, p99 }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsageSummary {
    #[schema(value_type = i64)]
    from: Millis,
    /// Not included.
    #[schema(value_type = i64)]
    to: Millis,
    #[serde(flatten)]
    counts: UsageCounts,
    /// From a request's arrival to its first content. Of everything or of one model, for who reads all.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<Percentiles>,
    /// From a request's arrival to the end of a completed answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_ms: Option<Percentiles>,
}

impl UsageSummary {
    pub(super) fn new(span: Span, summary: &Summary, audience: Audience) -> Self {
        Self {
            from: span.from,
            to: span.to,
            counts: UsageCounts::new(&summary.counts, audience),
            first_token_ms: summary.first_token_ms.map(Percentiles::from),
            total_ms: summary.total_ms.map(Percentiles::from),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsageOfDay {
    /// `YYYY-MM-DD`, in UTC.
    date: String,
    /// When the day begins, in milliseconds since 1970.
    #[schema(value_type = i64)]
    day_start: Millis,
    #[serde(flatten)]
    counts: UsageCounts,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DailyUsage {
    #[schema(value_type = i64)]
    from: Millis,
    /// Not included.
    #[schema(value_type = i64)]
    to: Millis,
    /// By rising day; days without requests are left out.
    days: Vec<UsageOfDay>,
}

impl DailyUsage {
    pub(super) fn new(span: Span, days: &[PeriodCounts], audience: Audience) -> Self {
        let days = days
            .iter()
            .map(|day| UsageOfDay {
                date: date(day.start),
                day_start: Millis(day.start),
                counts: UsageCounts::new(&day.counts, audience),
            })
            .collect();
        Self { from: span.from, to: span.to, days }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsageOfHour {
    /// When the hour begins, in milliseconds since 1970.
    #[schema(value_type = i64)]
    hour_start: Millis,
    #[serde(flatten)]
    counts: UsageCounts,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HourlyUsage {
    #[schema(value_type = i64)]
    from: Millis,
    /// Not included.
    #[schema(value_type = i64)]
    to: Millis,
    /// By rising hour; hours without requests are left out.
    hours: Vec<UsageOfHour>,
}

impl HourlyUsage {
    pub(super) fn new(span: Span, hours: &[PeriodCounts], audience: Audience) -> Self {
        let hour = |hour: &PeriodCounts| UsageOfHour {
            hour_start: Millis(hour.start),
            counts: UsageCounts::new(&hour.counts, audience),
        };
        Self { from: span.from, to: span.to, hours: hours.iter().map(hour).collect() }
    }
}

fn date(day_start: i64) -> String {
    let day = jiff::Timestamp::from_millisecond(day_start).unwrap_or_default();
    day.to_zoned_datetime(jiff::tz::TimeZone::UTC).date().to_string()
}

/// Newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsageRecords {
    pub(super) records: Vec<UsageRecord>,
    /// For the next page. Null: this is the last.
    pub(super) next_cursor: Option<String>,
}

/// One request. Fields that only who reads all may see are left out for others.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsageRecord {
    #[schema(value_type = String)]
    request_id: RequestId,
    #[schema(value_type = String)]
    key_id: KeyId,
    /// Null: the key is gone.
    key_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    /// Where the last attempt went.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    account_id: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_name: Option<String>,
    /// The node that served it.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    wire: String,
    stream: bool,
    purpose: Purpose,
    /// Names the conversation. Null: the client did not say.
    session: Option<String>,
    /// Of the key, as they were when the request began.
    tags: Vec<String>,
    metadata: BTreeMap<String, String>,
    /// What conversions could not carry across, as codes.
    losses: Vec<String>,
    /// What the request may have come to, in one attempt. Null: the node did not say.
    reserved: Option<ReservedView>,
    /// What the user paid of a price; only for who reads all. Null: the node did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    price_rate: Option<Ppm>,
    /// Of the trace that the client was in (W3C `traceparent`), 32 hex digits. Null: it said none.
    trace_id: Option<String>,
    /// What statistics call the model.
    model: String,
    model_requested: String,
    /// The name sent upstream. Empty: nothing was sent.
    model_mapped: String,
    /// The name that the upstream said it served. Empty: it did not say.
    model_served: String,
    /// HTTP status that the client got. Null: none, or the request is open.
    status: Option<i64>,
    outcome: Outcome,
    attempts: Vec<UsageAttempt>,
    input_tokens: i64,
    cache_read_tokens: i64,
    cache_write_tokens: i64,
    cache_write_5m_tokens: i64,
    cache_write_1h_tokens: i64,
    output_tokens: i64,
    reasoning_tokens: i64,
    /// US dollars.
    #[schema(value_type = String)]
    cost: Nanos,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    real_cost: Option<Nanos>,
    /// Milliseconds since 1970.
    started_at: i64,
    /// Null: there was no content.
    first_token_ms: Option<i64>,
    /// Null: the request is open.
    total_ms: Option<i64>,
    /// The usage was not reported in full by the provider.
    estimated: bool,
    /// Named conditions, such as `no_price` or `drained`.
    conditions: Vec<String>,
}

/// An upper bound.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReservedView {
    #[serde(flatten)]
    tokens: AttemptTokens,
    /// US dollars.
    #[schema(value_type = String)]
    cost: Nanos,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    real_cost: Option<Nanos>,
    /// The price by which it was reckoned. Null: none was known.
    #[schema(value_type = Option<String>)]
    price_id: Option<PriceId>,
}

/// One try at one account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UsageAttempt {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    account_id: Option<AccountId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_name: Option<String>,
    outcome: Outcome,
    /// HTTP status of the upstream. 0: no answer came.
    http_status: u16,
    /// Short code of what went wrong. Empty: nothing.
    reason: String,
    /// The provider's own words about a failure, with secrets masked; for who reads all.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Null: none was reported.
    usage: Option<AttemptTokens>,
    /// What it is charged for where the provider did not report all.
    estimate: Option<AttemptTokens>,
    /// The most that it may have used, where there is an estimate.
    bound: Option<AttemptTokens>,
    model_mapped: String,
    model_served: String,
    /// The price that the node reckoned with. Null: it knew none.
    #[schema(value_type = Option<String>)]
    price_id: Option<PriceId>,
    /// The account's groups at the time; for who reads all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    group_ids: Option<Vec<GroupId>>,
    /// Where the account is; for who reads all. Empty: its settings don't say.
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    #[schema(value_type = i64)]
    started_at: Millis,
    total_ms: u64,
    #[schema(value_type = String)]
    cost: Nanos,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    real_cost: Option<Nanos>,
}

/// Tokens of an attempt by kind.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AttemptTokens {
    input_tokens: u64,
    cache_read_tokens: u64,
    cache_write_tokens: u64,
    cache_write_5m_tokens: u64,
    cache_write_1h_tokens: u64,
    output_tokens: u64,
    reasoning_tokens: u64,
}

impl From<Usage> for AttemptTokens {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input,
            cache_read_tokens: usage.cache_read,
            cache_write_tokens: usage.cache_write_5m.saturating_add(usage.cache_write_1h),
            cache_write_5m_tokens: usage.cache_write_5m,
            cache_write_1h_tokens: usage.cache_write_1h,
            output_tokens: usage.output,
            reasoning_tokens: usage.reasoning,
        }
    }
}

pub(super) fn record(record: Record, audience: Audience) -> UsageRecord {
    let Record { row, details, .. } = record;
    let reserved = details.reserved.map(|reserved| ReservedView {
        tokens: AttemptTokens::from(reserved.usage),
        cost: reserved.rated_cost,
        real_cost: audience.staff(reserved.real_cost),
        price_id: reserved.price_id,
    });
    UsageRecord {
        request_id: record.request_id,
        key_id: record.key_id,
        key_name: record.key_name,
        user_id: audience.staff(record.user_id),
        user_name: audience.staff(record.user_name).flatten(),
        account_id: audience.staff(record.account_id).flatten(),
        account_name: audience.staff(record.account_name).flatten(),
        node: audience.staff(row.node),
        wire: row.wire,
        stream: row.stream,
        purpose: record.purpose,
        session: Some(details.session).filter(|session| !session.is_empty()),
        tags: details.tags,
        metadata: details.metadata,
        losses: details.losses,
        reserved,
        price_rate: audience.staff(details.price_rate).flatten(),
        trace_id: row.trace_id.map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect()),
        model: row.model,
        model_requested: row.model_requested,
        model_mapped: row.model_mapped,
        model_served: row.model_served,
        status: (row.status != 0).then_some(row.status),
        outcome: record.outcome,
        attempts: record.attempts.into_iter().map(|tried| attempt(tried, audience)).collect(),
        input_tokens: row.input_tokens,
        cache_read_tokens: row.cache_read_tokens,
        cache_write_tokens: row.cache_write_5m_tokens.saturating_add(row.cache_write_1h_tokens),
        cache_write_5m_tokens: row.cache_write_5m_tokens,
        cache_write_1h_tokens: row.cache_write_1h_tokens,
        output_tokens: row.output_tokens,
        reasoning_tokens: row.reasoning_tokens,
        cost: Nanos(row.rated_cost),
        real_cost: audience.staff(Nanos(row.real_cost)),
        started_at: row.started_at,
        first_token_ms: row.first_token_ms,
        total_ms: row.total_ms,
        estimated: row.estimated,
        conditions: record.conditions,
    }
}

fn attempt(Attempt { entry, account_name }: Attempt, audience: Audience) -> UsageAttempt {
    UsageAttempt {
        account_id: audience.staff(entry.account_id).flatten(),
        account_name: audience.staff(account_name).flatten(),
        outcome: entry.outcome,
        http_status: entry.http_status,
        reason: entry.reason,
        detail: audience.staff(entry.detail).filter(|detail| !detail.is_empty()),
        usage: entry.usage.map(AttemptTokens::from),
        estimate: entry.estimate.map(AttemptTokens::from),
        bound: entry.bound.map(AttemptTokens::from),
        model_mapped: entry.model_mapped,
        model_served: entry.model_served,
        price_id: entry.price_id,
        group_ids: audience.staff(entry.group_ids),
        region: audience.staff(entry.region),
        started_at: entry.started_at,
        total_ms: entry.total_ms,
        cost: entry.rated_cost,
        real_cost: audience.staff(entry.real_cost),
    }
}
