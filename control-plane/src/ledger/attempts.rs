//! Attempts as a ledger's row keeps them: as JSON that leaves out what the row itself says.
//!
//! Nearly all requests take one attempt, of which the row says nearly all; what is left is a tenth of a row that said
//! everything twice.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use shared::{
    clock::Millis,
    id::{AccountId, GroupId, PriceId},
    money::Nanos,
    usage::Usage,
};

use crate::store::{StoreError, ledger::LedgerRow};
use crate::words::outcome::Outcome;

/// One try at one account, priced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEntry {
    pub account_id: Option<AccountId>,
    pub outcome: Outcome,
    pub http_status: u16,
    pub reason: String,
    /// The provider's own words about a failure.
    pub detail: String,
    /// `None`: none was reported.
    pub usage: Option<Usage>,
    /// What it is charged for where the provider did not report all.
    pub estimate: Option<Usage>,
    /// The most that it may have used, where there is an estimate.
    pub bound: Option<Usage>,
    pub model_mapped: String,
    pub model_served: String,
    pub started_at: Millis,
    pub total_ms: u64,
    pub real_cost: Nanos,
    pub rated_cost: Nanos,
    /// The user pays for it.
    pub rated: bool,
    /// What it was reckoned with.
    pub price: Option<PriceUsed>,
    /// The price that the node reckoned with.
    pub price_id: Option<PriceId>,
    /// The account's groups at the time.
    pub group_ids: Vec<GroupId>,
    /// Where the account is.
    pub region: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceUsed {
    pub id: PriceId,
    /// Whose price it is.
    pub model: String,
    pub effective_from: Millis,
}

/// What the row does not say. Of a field that may be null, null is a value and absence is the row's.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Stored<'a> {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "told")]
    account_id: Option<Option<AccountId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "told")]
    usage: Option<Option<Tokens>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<Tokens>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_mapped: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_served: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    real_cost: Option<Nanos>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rated_cost: Option<Nanos>,
    #[serde(skip_serializing_if = "is_false")]
    unrated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<StoredPrice<'a>>,
    /// Absent: the one that it was reckoned with, if any.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "told")]
    price_id: Option<Option<PriceId>>,
    #[serde(skip_serializing_if = "<[GroupId]>::is_empty")]
    group_ids: Cow<'a, [GroupId]>,
    #[serde(skip_serializing_if = "str::is_empty")]
    region: Cow<'a, str>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoredPrice<'a> {
    id: PriceId,
    /// Absent: the attempt's `model_mapped`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<Cow<'a, str>>,
    effective_from: Millis,
}

/// [`Usage`] as JSON that leaves out the kinds of which there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    #[serde(skip_serializing_if = "is_none")]
    input: u64,
    #[serde(skip_serializing_if = "is_none")]
    cache_read: u64,
    #[serde(skip_serializing_if = "is_none")]
    cache_write_5m: u64,
    #[serde(skip_serializing_if = "is_none")]
    cache_write_1h: u64,
    #[serde(skip_serializing_if = "is_none")]
    output: u64,
    #[serde(skip_serializing_if = "is_none")]
    reasoning: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
const fn is_none(tokens: &u64) -> bool {
    *tokens == 0
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        let Usage { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning } = usage;
        Self { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning }
    }
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        let Tokens { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning } = tokens;
        Self { input, cache_read, cache_write_5m, cache_write_1h, output, reasoning }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A field that is there, null or not.
fn told<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// `value`, where the row says something else.
fn unlike<T: PartialEq>(value: T, of_row: &T) -> Option<T> {
    (value != *of_row).then_some(value)
}

fn text_unlike<'a>(text: &'a str, of_row: &str) -> Option<Cow<'a, str>> {
    (text != of_row).then_some(Cow::Borrowed(text))
}

/// What a row says that an attempt says as well.
struct OfRow {
    account_id: Option<AccountId>,
    outcome: Outcome,
    http_status: u16,
    usage: Usage,
    started_at: Millis,
    total_ms: u64,
    real_cost: Nanos,
    rated_cost: Nanos,
}

impl OfRow {
    fn new(row: &LedgerRow) -> Result<Self, StoreError> {
        let account = row.account_id.as_deref().map(AccountId::try_from);
        Ok(Self {
            account_id: account.transpose().map_err(StoreError::corrupt)?,
            outcome: row.outcome.parse().map_err(StoreError::corrupt)?,
            http_status: u16::try_from(row.status).unwrap_or(0),
            usage: Usage {
                input: row.input_tokens.unsigned_abs(),
                cache_read: row.cache_read_tokens.unsigned_abs(),
                cache_write_5m: row.cache_write_5m_tokens.unsigned_abs(),
                cache_write_1h: row.cache_write_1h_tokens.unsigned_abs(),
                output: row.output_tokens.unsigned_abs(),
                reasoning: row.reasoning_tokens.unsigned_abs(),
            },
            started_at: Millis(row.started_at),
            total_ms: row.total_ms.map_or(0, i64::unsigned_abs),
            real_cost: Nanos(row.real_cost),
            rated_cost: Nanos(row.rated_cost),
        })
    }
}

/// The attempts as the row's JSON, once all else of the row is there.
///
/// # Errors
/// `Corrupt` where they can't be written as JSON.
pub fn written(attempts: &[AttemptEntry], row: &LedgerRow) -> Result<String, StoreError> {
    let of_row = OfRow::new(row)?;
    let stored: Vec<Stored<'_>> = attempts.iter().map(|attempt| stored(attempt, &of_row, row)).collect();
    serde_json::to_string(&stored).map_err(StoreError::corrupt)
}

fn stored<'a>(attempt: &'a AttemptEntry, of_row: &OfRow, row: &LedgerRow) -> Stored<'a> {
    let price = attempt.price.as_ref().map(|price| StoredPrice {
        id: price.id,
        model: text_unlike(&price.model, &attempt.model_mapped),
        effective_from: price.effective_from,
    });
    Stored {
        account_id: unlike(attempt.account_id, &of_row.account_id),
        outcome: unlike(attempt.outcome, &of_row.outcome),
        http_status: unlike(attempt.http_status, &of_row.http_status),
        reason: Cow::Borrowed(&attempt.reason),
        detail: Cow::Borrowed(&attempt.detail),
        usage: unlike(attempt.usage, &Some(of_row.usage)).map(|usage| usage.map(Tokens::from)),
        estimate: attempt.estimate.map(Tokens::from),
        bound: attempt.bound.map(Tokens::from),
        model_mapped: text_unlike(&attempt.model_mapped, &row.model_mapped),
        model_served: text_unlike(&attempt.model_served, &row.model_served),
        started_at: unlike(attempt.started_at, &of_row.started_at),
        total_ms: unlike(attempt.total_ms, &of_row.total_ms),
        real_cost: unlike(attempt.real_cost, &of_row.real_cost),
        rated_cost: unlike(attempt.rated_cost, &of_row.rated_cost),
        unrated: !attempt.rated,
        price_id: unlike(attempt.price_id, &attempt.price.as_ref().map(|price| price.id)),
        price,
        group_ids: Cow::Borrowed(&attempt.group_ids),
        region: Cow::Borrowed(&attempt.region),
    }
}

/// The attempts of a row.
///
/// # Errors
/// `Corrupt` where its JSON is none.
pub fn read(row: &LedgerRow) -> Result<Vec<AttemptEntry>, StoreError> {
    let stored: Vec<Stored<'_>> = serde_json::from_str(&row.attempts).map_err(StoreError::corrupt)?;
    let of_row = OfRow::new(row)?;
    Ok(stored.into_iter().map(|stored| entry(stored, &of_row, row)).collect())
}

fn entry(stored: Stored<'_>, of_row: &OfRow, row: &LedgerRow) -> AttemptEntry {
    let text = |stored: Option<Cow<'_, str>>, of_row: &str| stored.map_or(of_row.to_owned(), Cow::into_owned);
    let model_mapped = text(stored.model_mapped, &row.model_mapped);
    let price = stored.price.map(|price| PriceUsed {
        id: price.id,
        model: text(price.model, &model_mapped),
        effective_from: price.effective_from,
    });
    AttemptEntry {
        account_id: stored.account_id.unwrap_or(of_row.account_id),
        outcome: stored.outcome.unwrap_or(of_row.outcome),
        http_status: stored.http_status.unwrap_or(of_row.http_status),
        reason: stored.reason.into_owned(),
        detail: stored.detail.into_owned(),
        usage: stored.usage.map_or(Some(of_row.usage), |told| told.map(Usage::from)),
        estimate: stored.estimate.map(Usage::from),
        bound: stored.bound.map(Usage::from),
        model_mapped,
        model_served: text(stored.model_served, &row.model_served),
        started_at: stored.started_at.unwrap_or(of_row.started_at),
        total_ms: stored.total_ms.unwrap_or(of_row.total_ms),
        real_cost: stored.real_cost.unwrap_or(of_row.real_cost),
        rated_cost: stored.rated_cost.unwrap_or(of_row.rated_cost),
        rated: !stored.unrated,
        price_id: stored.price_id.unwrap_or(price.as_ref().map(|price| price.id)),
        price,
        group_ids: stored.group_ids.into_owned(),
        region: stored.region.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::ledger_open::OpenRow;

    /// The row of a request that took one such attempt.
    fn row_of(attempt: &AttemptEntry) -> LedgerRow {
        let usage = attempt.usage.unwrap_or_default();
        let stored = |count: u64| i64::try_from(count).unwrap();
        let open = OpenRow {
            request_id: vec![9; 16],
            incarnation_id: vec![9; 16],
            key_id: vec![9; 16],
            user_id: vec![9; 16],
            node: String::new(),
            wire: String::new(),
            stream: false,
            purpose: String::new(),
            model: String::new(),
            model_requested: String::new(),
            started_at: attempt.started_at.0,
            conditions: String::new(),
            details: String::new(),
            trace_id: None,
        };
        LedgerRow {
            account_id: attempt.account_id.map(|id| id.to_bytes().to_vec()),
            outcome: attempt.outcome.as_str().to_owned(),
            status: i64::from(attempt.http_status),
            model_mapped: attempt.model_mapped.clone(),
            model_served: attempt.model_served.clone(),
            input_tokens: stored(usage.input),
            cache_read_tokens: stored(usage.cache_read),
            cache_write_5m_tokens: stored(usage.cache_write_5m),
            cache_write_1h_tokens: stored(usage.cache_write_1h),
            output_tokens: stored(usage.output),
            reasoning_tokens: stored(usage.reasoning),
            real_cost: attempt.real_cost.0,
            rated_cost: attempt.rated_cost.0,
            total_ms: Some(stored(attempt.total_ms)),
            ..LedgerRow::from(open)
        }
    }

    fn usage() -> impl Strategy<Value = Usage> {
        [0..3_u64, 0..3, 0..3, 0..3, 0..3, 0..3].prop_map(|[input, read, short, long, output, reasoning]| {
            Usage { input, cache_read: read, cache_write_5m: short, cache_write_1h: long, output, reasoning }
        })
    }

    /// Of few values, so that what attempts and rows say is often the same.
    fn attempt() -> impl Strategy<Value = AttemptEntry> {
        let name = || prop::sample::select(vec!["", "a", "b"]).prop_map(str::to_owned);
        let id = || prop::option::of(prop::sample::select(vec![[1_u8; 16], [2; 16]]));
        let price = (id(), name(), 0..2_i64).prop_map(|(id, model, from)| {
            id.map(|id| PriceUsed { id: PriceId::from_bytes(id), model, effective_from: Millis(from) })
        });
        let outcome = prop::sample::select(Outcome::ALL.to_vec());
        let usages = (prop::option::of(usage()), prop::option::of(usage()), prop::option::of(usage()));
        let texts = (name(), name(), name(), name(), name());
        let numbers = (0..2_u16, 0..2_i64, 0..2_u64, 0..2_i64, 0..2_i64, any::<bool>());
        let groups = prop::collection::vec(Just(GroupId::from_bytes([3; 16])), 0..2);
        (id(), outcome, usages, texts, numbers, price, id(), groups).prop_map(
            |(account, outcome, usages, texts, numbers, price, price_id, group_ids)| AttemptEntry {
                account_id: account.map(AccountId::from_bytes),
                outcome,
                http_status: numbers.0,
                reason: texts.0,
                detail: texts.1,
                usage: usages.0,
                estimate: usages.1,
                bound: usages.2,
                model_mapped: texts.2,
                model_served: texts.3,
                started_at: Millis(numbers.1),
                total_ms: numbers.2,
                real_cost: Nanos(numbers.3),
                rated_cost: Nanos(numbers.4),
                rated: numbers.5,
                price,
                price_id: price_id.map(PriceId::from_bytes),
                group_ids,
                region: texts.4,
            },
        )
    }

    proptest! {
        #[test]
        fn attempts_read_back_from_any_row(
            attempts in prop::collection::vec(attempt(), 0..4), like in attempt(), timed: bool,
        ) {
            let mut row = row_of(&like);
            row.total_ms = row.total_ms.filter(|_| timed);
            row.attempts = written(&attempts, &row).unwrap();
            prop_assert_eq!(read(&row).unwrap(), attempts);
        }

        #[test]
        fn what_the_row_says_is_not_said_again(like in attempt()) {
            let like = AttemptEntry {
                usage: Some(like.usage.unwrap_or_default()),
                estimate: None,
                bound: None,
                price: None,
                price_id: None,
                rated: true,
                reason: String::new(),
                detail: String::new(),
                region: String::new(),
                group_ids: Vec::new(),
                ..like
            };
            let row = row_of(&like);
            prop_assert_eq!(written(&[like], &row).unwrap(), "[{}]");
        }
    }
}
