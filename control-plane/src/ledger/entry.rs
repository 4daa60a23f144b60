//! What a request leaves: its row in the ledger, and its share of each roll-up.

use serde::{Deserialize, Serialize};
use shared::{
    clock::Millis,
    id::{AccountId, PriceId, RequestId},
    money::Nanos,
    usage::Usage,
};

use super::{
    cost::{self, Prices},
    record::{Attempt, Closed, Conditions, Opened, Outcome},
};
use crate::store::{
    StoreError,
    account_errors::LastError,
    ledger::LedgerRow,
    rollups::{Additions, Counts, Metric, bucket_of, quarter_of},
};

/// The model of requests that no provider has served and no price is known for. Clients choose names freely, so those
/// names must not become rows of the statistics.
pub const UNKNOWN_MODEL: &str = "unknown";
/// The wire of a newer node's request that this build doesn't know.
pub const UNKNOWN_WIRE: &str = "unknown";
/// On a record with tokens that have no price: its cost is too low by them.
pub const NO_PRICE: &str = "no_price";

/// An attempt as the row's JSON holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEntry {
    pub account_id: Option<AccountId>,
    pub outcome: Outcome,
    pub http_status: u16,
    pub reason: String,
    /// The provider's own words about a failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// `None`: none was reported.
    pub usage: Option<Usage>,
    /// What it is charged for where the provider did not report all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Usage>,
    /// The most that it may have used, where there is an estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Usage>,
    pub model_mapped: String,
    pub model_served: String,
    pub started_at: Millis,
    pub total_ms: u64,
    pub real_cost: Nanos,
    pub rated_cost: Nanos,
    /// What it was reckoned with.
    pub price: Option<PriceUsed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceUsed {
    pub id: PriceId,
    /// Whose price it is.
    pub model: String,
    pub effective_from: Millis,
}

/// A closed request, priced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedEntry {
    pub row: LedgerRow,
    attempts: Vec<AttemptEntry>,
    outcome: Outcome,
    first_token_ms: Option<u64>,
    total_ms: u64,
    started_at: Millis,
    /// Names of models with tokens and without a price.
    pub unpriced: Vec<String>,
}

/// The row of a request that is not over.
///
/// # Errors
/// `Corrupt` where the conditions can't be written as JSON.
pub fn open_row(opened: &Opened, node: &str, prices: &Prices) -> Result<LedgerRow, StoreError> {
    let found = prices.list.find(&[&opened.model_requested], opened.started_at);
    Ok(LedgerRow {
        request_id: opened.request_id.to_bytes().to_vec(),
        key_id: opened.key_id.to_bytes().to_vec(),
        user_id: opened.user_id.to_bytes().to_vec(),
        account_id: None,
        node: node.to_owned(),
        wire: opened.wire.map_or(UNKNOWN_WIRE, |wire| wire.as_str()).to_owned(),
        stream: opened.stream,
        model: found.map_or(UNKNOWN_MODEL, |found| found.model).to_owned(),
        model_requested: opened.model_requested.clone(),
        model_mapped: String::new(),
        model_served: String::new(),
        status: 0,
        outcome: Outcome::Open.as_str().to_owned(),
        attempts: "[]".to_owned(),
        input_tokens: 0,
        cache_read_tokens: 0,
        cache_write_5m_tokens: 0,
        cache_write_1h_tokens: 0,
        output_tokens: 0,
        reasoning_tokens: 0,
        real_cost: 0,
        rated_cost: 0,
        price_version: None,
        started_at: opened.started_at.0,
        first_token_ms: None,
        total_ms: None,
        estimated: false,
        conditions: json(&opened.conditions)?,
        trace_id: opened.trace_id.map(Vec::from),
    })
}

/// Prices a closed request.
///
/// # Errors
/// `Corrupt` where the attempts can't be written as JSON.
pub fn closed(closed: &Closed, node: &str, prices: &Prices) -> Result<ClosedEntry, StoreError> {
    let mut conditions = Conditions(closed.open.conditions.clone());
    let mut unpriced = Vec::new();
    let mut attempts = Vec::with_capacity(closed.attempts.len());
    for attempt in &closed.attempts {
        let (entry, has_price) = priced(attempt, closed, prices);
        if !has_price {
            conditions.add(NO_PRICE);
            unpriced.push(attempt.model_mapped.clone());
        }
        attempts.push(entry);
    }
    let mut row = open_row(&closed.open, node, prices)?;
    if let Some(last) = attempts.last() {
        row.account_id = last.account_id.map(|id| id.to_bytes().to_vec());
        row.model = model_of(last).unwrap_or(row.model);
        row.model_mapped.clone_from(&last.model_mapped);
        row.model_served.clone_from(&last.model_served);
        row.price_version = last.price.as_ref().map(|price| price.effective_from.0);
    }
    let sums = sums_of(&attempts);
    row.status = i64::from(closed.status);
    closed.outcome.as_str().clone_into(&mut row.outcome);
    row.attempts = json(&attempts)?;
    row.input_tokens = sums.input_tokens;
    row.cache_read_tokens = sums.cache_read_tokens;
    row.cache_write_5m_tokens = sums.cache_write_5m_tokens;
    row.cache_write_1h_tokens = sums.cache_write_1h_tokens;
    row.output_tokens = sums.output_tokens;
    row.reasoning_tokens = sums.reasoning_tokens;
    row.real_cost = sums.real_cost;
    row.rated_cost = sums.rated_cost;
    row.first_token_ms = closed.first_token_ms.map(stored);
    row.total_ms = Some(stored(closed.total_ms));
    row.estimated = closed.estimated;
    row.conditions = json(&conditions.0)?;
    Ok(ClosedEntry {
        row,
        attempts,
        outcome: closed.outcome,
        first_token_ms: closed.first_token_ms,
        total_ms: closed.total_ms,
        started_at: closed.open.started_at,
        unpriced,
    })
}

/// The attempt with its cost; false where it used tokens that have no price.
fn priced(attempt: &Attempt, closed: &Closed, prices: &Prices) -> (AttemptEntry, bool) {
    let Opened { model_requested, started_at, rate, .. } = &closed.open;
    let cost = cost::of_attempt(prices, attempt, model_requested, *started_at, *rate);
    let price = cost.found.map(|found| PriceUsed {
        id: found.id,
        model: found.model.to_owned(),
        effective_from: found.effective_from,
    });
    let entry = AttemptEntry {
        account_id: attempt.account_id,
        outcome: attempt.outcome,
        http_status: attempt.http_status,
        reason: attempt.reason.clone(),
        detail: attempt.detail.clone(),
        usage: attempt.usage,
        estimate: attempt.estimate,
        bound: attempt.bound,
        model_mapped: attempt.model_mapped.clone(),
        model_served: attempt.model_served.clone(),
        started_at: attempt.started_at,
        total_ms: attempt.total_ms,
        real_cost: cost.charge.real,
        rated_cost: cost.charge.rated,
        price,
    };
    (entry, !cost.unpriced)
}

/// What statistics call the model of an attempt: its name in the price list, else the name sent upstream if the
/// upstream knew it.
fn model_of(attempt: &AttemptEntry) -> Option<String> {
    let served = attempt.outcome == Outcome::Completed || attempt.usage.is_some_and(|usage| !usage.is_zero());
    let mapped = (served && !attempt.model_mapped.is_empty()).then(|| attempt.model_mapped.clone());
    attempt.price.as_ref().map(|price| price.model.clone()).or(mapped)
}

impl ClosedEntry {
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        RequestId::from_bytes(id_of(&self.row.request_id))
    }

    /// Adds the request's share to the roll-ups.
    pub fn add_to(&self, additions: &mut Additions) {
        let quarter = quarter_of(self.started_at);
        let mut counts = sums_of(&self.attempts);
        counts.requests = 1;
        counts.errors = i64::from(self.outcome.is_error());
        additions.total.entry(quarter).or_default().add(&counts);
        additions.user.entry((id_of(&self.row.user_id), quarter)).or_default().add(&counts);
        additions.key.entry((id_of(&self.row.key_id), quarter)).or_default().add(&counts);
        additions.model.entry((self.row.model.clone(), quarter)).or_default().add(&counts);
        for attempt in &self.attempts {
            let account = attempt.account_id.map_or([0; 16], AccountId::to_bytes);
            additions.account.entry((account, quarter)).or_default().add(&counts_of(attempt));
        }
        if let Some(first_token_ms) = self.first_token_ms {
            self.add_time(additions, Metric::FirstToken, quarter, first_token_ms);
        }
        if self.outcome == Outcome::Completed {
            self.add_time(additions, Metric::Total, quarter, self.total_ms);
        }
    }

    /// Attempts that failed, each with its account, in their order. One that ended with its node says nothing about
    /// the account. A node's clock may be ahead: none failed after `now`, or later failures would stay unseen.
    pub fn failures(&self, now: Millis) -> impl Iterator<Item = (AccountId, LastError)> {
        let failed =
            |attempt: &&AttemptEntry| attempt.outcome.is_error() && attempt.outcome != Outcome::CutOff;
        let request_id = self.request_id();
        self.attempts.iter().filter(failed).filter_map(move |attempt| {
            let ended = attempt.started_at.0.saturating_add(stored(attempt.total_ms));
            let reason = match attempt.reason.as_str() {
                "" => attempt.outcome.as_str(),
                reason => reason,
            };
            let failure = LastError {
                at: Millis(ended).min(now),
                reason: reason.to_owned(),
                http_status: Some(attempt.http_status).filter(|status| *status > 0),
                request_id,
            };
            Some((attempt.account_id?, failure))
        })
    }

    fn add_time(&self, additions: &mut Additions, metric: Metric, quarter: i64, milliseconds: u64) {
        let key = (self.row.model.clone(), metric, quarter, bucket_of(milliseconds));
        *additions.latency.entry(key).or_default() += 1;
    }
}

fn sums_of(attempts: &[AttemptEntry]) -> Counts {
    let mut sums = Counts::default();
    for attempt in attempts {
        sums.add(&counts_of(attempt));
    }
    sums
}

fn counts_of(attempt: &AttemptEntry) -> Counts {
    let usage = attempt.estimate.or(attempt.usage).unwrap_or_default();
    Counts {
        requests: 1,
        errors: i64::from(attempt.outcome.is_error()),
        input_tokens: stored(usage.input),
        cache_read_tokens: stored(usage.cache_read),
        cache_write_5m_tokens: stored(usage.cache_write_5m),
        cache_write_1h_tokens: stored(usage.cache_write_1h),
        output_tokens: stored(usage.output),
        reasoning_tokens: stored(usage.reasoning),
        real_cost: attempt.real_cost.0,
        rated_cost: attempt.rated_cost.0,
    }
}

/// Parsed records hold no number that is larger.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn id_of(bytes: &[u8]) -> [u8; 16] {
    bytes.try_into().unwrap_or_default()
}

fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(StoreError::corrupt)
}
