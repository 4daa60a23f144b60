//! What a request leaves: its row in the ledger, and its share of each roll-up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::{
    clock::Millis,
    id::{AccountId, IncarnationId, RequestId},
    money::{Nanos, Ppm},
};

use super::{
    attempts::{self, AttemptEntry, PriceUsed},
    cost::{self, Prices},
    family::family_of,
    record::{Attempt, Closed, Conditions, Opened, Reserved, SentTo},
    tally::Tally,
};
use crate::store::{
    StoreError,
    account_errors::LastError,
    latency::Metric,
    ledger::LedgerRow,
    ledger_open::OpenRow,
    rollups::{Counts, Dimension, quarter_of},
};
use crate::words::{outcome::Outcome, purpose::Purpose};

/// The model of requests that no provider has served and no price is known for. Clients choose names freely, so those
/// names must not become rows of the statistics.
pub const UNKNOWN_MODEL: &str = "unknown";
/// The wire of a newer node's request that this build doesn't know.
pub const UNKNOWN_WIRE: &str = "unknown";
/// On a record with tokens that have no price: its cost is too low by them.
pub const NO_PRICE: &str = "no_price";

/// On a record that stands for what is not known, as a person has closed its incarnation.
pub const CLOSED_BY_PERSON: &str = "closed_by_person";
/// On a record that stands for what is not known, as all of its incarnation's spools have ended without it.
pub const NEVER_CLOSED: &str = "never_closed";

/// What a row holds as JSON besides its attempts: nothing that lists search for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Details {
    /// `None`: the node did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Reserved>,
    /// What the user paid of a price. `None`: the node did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_rate: Option<Ppm>,
    /// Of the key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// What conversions could not carry across, as codes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<String>,
    /// Of a request that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<SentTo>,
}

impl Details {
    fn of(opened: &Opened, losses: &[String]) -> Self {
        Self {
            reserved: opened.reserved,
            price_rate: opened.price_rate,
            tags: opened.tags.clone(),
            metadata: opened.metadata.clone(),
            session: opened.session.clone(),
            losses: losses.to_vec(),
            sent_to: None,
        }
    }

    fn of_open(opened: &Opened) -> Self {
        Self { sent_to: opened.sent_to.clone(), ..Self::of(opened, &[]) }
    }
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
    /// Statistics know the model only from what was sent upstream.
    pub made_up_model: bool,
    /// As statistics take them.
    pub tags: Vec<String>,
    /// Names of models with tokens and without a price.
    pub unpriced: Vec<String>,
}

/// The row of a request that is not over.
///
/// # Errors
/// `Corrupt` where something of it can't be written as JSON.
pub fn open_row(
    opened: &Opened,
    node: &str,
    incarnation: IncarnationId,
    prices: &Prices,
) -> Result<OpenRow, StoreError> {
    Ok(OpenRow {
        request_id: opened.request_id.to_bytes().to_vec(),
        incarnation_id: incarnation.to_bytes().to_vec(),
        key_id: opened.key_id.to_bytes().to_vec(),
        user_id: opened.user_id.to_bytes().to_vec(),
        node: node.to_owned(),
        wire: opened.wire.map_or(UNKNOWN_WIRE, |wire| wire.as_str()).to_owned(),
        stream: opened.stream,
        purpose: opened.purpose.as_str().to_owned(),
        model: model_requested(opened, prices),
        model_requested: opened.model_requested.clone(),
        started_at: opened.started_at.0,
        conditions: json(&opened.conditions)?,
        details: json(&Details::of_open(opened))?,
        trace_id: opened.trace_id.map(Vec::from),
    })
}

fn model_requested(opened: &Opened, prices: &Prices) -> String {
    let found = prices.list.find(&[&opened.model_requested], opened.started_at);
    found.map_or(UNKNOWN_MODEL, |found| found.model).to_owned()
}

/// Prices a closed request.
///
/// # Errors
/// `Corrupt` where the attempts can't be written as JSON.
pub fn closed(closed: &Closed, node: &str, prices: &Prices) -> Result<ClosedEntry, StoreError> {
    let open = &closed.open;
    let mut conditions = Conditions(open.conditions.clone());
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
    let (last, sums) = (attempts.last(), sums_of(&attempts));
    let named = last.and_then(model_of);
    let mut row = LedgerRow {
        request_id: open.request_id.to_bytes().to_vec(),
        key_id: open.key_id.to_bytes().to_vec(),
        user_id: open.user_id.to_bytes().to_vec(),
        account_id: last.and_then(|last| last.account_id).map(|id| id.to_bytes().to_vec()),
        node: node.to_owned(),
        wire: open.wire.map_or(UNKNOWN_WIRE, |wire| wire.as_str()).to_owned(),
        stream: open.stream,
        purpose: open.purpose.as_str().to_owned(),
        model: named.clone().unwrap_or_else(|| model_requested(open, prices)),
        model_requested: open.model_requested.clone(),
        model_mapped: last.map(|last| last.model_mapped.clone()).unwrap_or_default(),
        model_served: last.map(|last| last.model_served.clone()).unwrap_or_default(),
        status: i64::from(closed.status),
        outcome: closed.outcome.as_str().to_owned(),
        attempts: String::new(),
        input_tokens: sums.input_tokens,
        cache_read_tokens: sums.cache_read_tokens,
        cache_write_5m_tokens: sums.cache_write_5m_tokens,
        cache_write_1h_tokens: sums.cache_write_1h_tokens,
        output_tokens: sums.output_tokens,
        reasoning_tokens: sums.reasoning_tokens,
        real_cost: sums.real_cost,
        rated_cost: sums.rated_cost,
        started_at: open.started_at.0,
        first_token_ms: closed.first_token_ms.map(stored),
        total_ms: Some(stored(closed.total_ms)),
        estimated: closed.estimated,
        conditions: json(&conditions.0)?,
        details: json(&Details::of(open, &closed.losses))?,
        trace_id: open.trace_id.map(Vec::from),
    };
    row.attempts = attempts::written(&attempts, &row)?;
    Ok(ClosedEntry {
        made_up_model: named.is_some() && last.is_some_and(|last| last.price.is_none()),
        row,
        attempts,
        outcome: closed.outcome,
        first_token_ms: closed.first_token_ms,
        total_ms: closed.total_ms,
        started_at: open.started_at,
        tags: open.tags.clone(),
        unpriced,
    })
}

/// The row that stands for the end of a request, which nobody knows: it was cut off, and is charged at what was
/// reserved for it.
///
/// # Errors
/// `Corrupt` where the open row's JSON is none.
pub fn assumed(open: OpenRow, condition: &str) -> Result<ClosedEntry, StoreError> {
    let mut details: Details = parsed(&open.details)?;
    let mut conditions = Conditions(parsed(&open.conditions)?);
    conditions.add(condition);
    let (reserved, sent_to) = (details.reserved, details.sent_to.take());
    let account_id = sent_to.as_ref().map(|sent_to| sent_to.account_id);
    let (model_mapped, group_ids, region) = sent_to
        .map(|SentTo { model_mapped, group_ids, region, .. }| (model_mapped, group_ids, region))
        .unwrap_or_default();
    let attempts = vec![AttemptEntry {
        account_id,
        outcome: Outcome::CutOff,
        http_status: 0,
        reason: condition.to_owned(),
        detail: String::new(),
        usage: None,
        estimate: reserved.map(|reserved| reserved.usage),
        bound: reserved.map(|reserved| reserved.usage),
        model_mapped,
        model_served: String::new(),
        started_at: Millis(open.started_at),
        total_ms: 0,
        real_cost: reserved.map_or(Nanos(0), |reserved| reserved.real_cost),
        rated_cost: reserved.map_or(Nanos(0), |reserved| reserved.rated_cost),
        rated: open.purpose == Purpose::Client.as_str(),
        price: None,
        price_id: reserved.and_then(|reserved| reserved.price_id),
        group_ids,
        region,
    }];
    let sums = sums_of(&attempts);
    let mut row = LedgerRow {
        account_id: account_id.map(|id| id.to_bytes().to_vec()),
        model_mapped: attempts.first().map(|first| first.model_mapped.clone()).unwrap_or_default(),
        outcome: Outcome::CutOff.as_str().to_owned(),
        attempts: String::new(),
        input_tokens: sums.input_tokens,
        cache_read_tokens: sums.cache_read_tokens,
        cache_write_5m_tokens: sums.cache_write_5m_tokens,
        cache_write_1h_tokens: sums.cache_write_1h_tokens,
        output_tokens: sums.output_tokens,
        reasoning_tokens: sums.reasoning_tokens,
        real_cost: sums.real_cost,
        rated_cost: sums.rated_cost,
        estimated: true,
        conditions: json(&conditions.0)?,
        details: json(&details)?,
        ..LedgerRow::from(open)
    };
    row.attempts = attempts::written(&attempts, &row)?;
    ClosedEntry::stored(row)
}

/// The attempt with its cost; false where it used tokens that have no price.
fn priced(attempt: &Attempt, closed: &Closed, prices: &Prices) -> (AttemptEntry, bool) {
    let Opened { model_requested, started_at, price_rate, .. } = &closed.open;
    let rate = price_rate.unwrap_or(Ppm::ONE);
    let cost = cost::of_attempt(prices, attempt, model_requested, *started_at, rate);
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
        rated: attempt.rated,
        price,
        price_id: attempt.price_id,
        group_ids: attempt.group_ids.clone(),
        region: attempt.region.clone(),
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
    /// A request as its row tells it.
    ///
    /// # Errors
    /// `Corrupt` where the row's JSON is none.
    pub fn stored(row: LedgerRow) -> Result<Self, StoreError> {
        let attempts = attempts::read(&row)?;
        let details: Details = parsed(&row.details)?;
        Ok(Self {
            outcome: row.outcome.parse().map_err(StoreError::corrupt)?,
            first_token_ms: row.first_token_ms.map(i64::unsigned_abs),
            total_ms: row.total_ms.map_or(0, i64::unsigned_abs),
            started_at: Millis(row.started_at),
            made_up_model: false,
            tags: details.tags,
            unpriced: Vec::new(),
            attempts,
            row,
        })
    }

    #[must_use]
    pub fn request_id(&self) -> RequestId {
        RequestId::from_bytes(id_of(&self.row.request_id))
    }

    /// Adds the request's share to the roll-ups.
    pub(super) fn add_to(&self, tally: &mut Tally) {
        self.add_counts(tally, |counts| counts);
        let (quarter, model) = (quarter_of(self.started_at), self.row.model.as_str());
        if let Some(first_token_ms) = self.first_token_ms {
            tally.time(quarter, Metric::FirstToken, model, first_token_ms);
        }
        if self.outcome == Outcome::Completed {
            tally.time(quarter, Metric::Total, model, self.total_ms);
        }
    }

    /// Takes the share of a row that was only assumed away from the roll-ups. It has no times.
    pub(super) fn take_from(&self, tally: &mut Tally) {
        self.add_counts(tally, |counts| counts.negated());
    }

    fn add_counts(&self, tally: &mut Tally, sign: impl Fn(Counts) -> Counts) {
        let quarter = quarter_of(self.started_at);
        let counts = sign(Counts {
            requests: 1,
            errors: i64::from(self.outcome.is_error()),
            ..sums_of(&self.attempts)
        });
        let model = self.row.model.as_str();
        let mut add = |dimension, subject: &[&[u8]]| tally.add(quarter, dimension, subject, &counts);
        add(Dimension::Model, &[model.as_bytes()]);
        add(Dimension::Wire, &[self.row.wire.as_bytes()]);
        for tag in &self.tags {
            add(Dimension::Tag, &[tag.as_bytes()]);
        }
        if self.row.purpose == Purpose::Client.as_str() {
            let (key, user) = (self.row.key_id.as_slice(), self.row.user_id.as_slice());
            let family = family_of(model);
            add(Dimension::Key, &[key]);
            add(Dimension::User, &[user]);
            add(Dimension::KeyFamily, &[key, family.as_bytes()]);
            add(Dimension::UserFamily, &[user, family.as_bytes()]);
        }
        for attempt in &self.attempts {
            let counts = sign(counts_of(attempt));
            let account = attempt.account_id.map_or([0; 16], AccountId::to_bytes);
            tally.add(quarter, Dimension::Account, &[&account], &counts);
            for group in &attempt.group_ids {
                tally.add(quarter, Dimension::Group, &[&group.to_bytes()], &counts);
            }
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

fn parsed<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(StoreError::corrupt)
}

fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(StoreError::corrupt)
}
