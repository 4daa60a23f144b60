//! A node's record, made sense of: from the contract's message to a type that holds only what the ledger can keep.
//!
//! A record must never stop the spool behind it. What is merely odd is taken with a named condition; what names no
//! request, or no key and user to count it for, is rejected with a reason and kept apart as it came.

use std::collections::BTreeMap;

use proto::v1 as contract;
use serde::{Deserialize, Serialize};
use shared::{
    clock::Millis,
    id::{AccountId, GroupId, KeyId, PriceId, RequestId, UserId},
    money::{Nanos, Ppm},
    usage::Usage,
    wire::Wire,
};

use crate::words::{outcome::Outcome, purpose::Purpose};

/// Bytes of a model's name that are kept.
pub const MAX_NAME_BYTES: usize = 200;
/// Bytes of a reason or a condition that are kept.
pub(crate) const MAX_CODE_BYTES: usize = 64;
/// Bytes of a provider's words that are kept.
const MAX_DETAIL_BYTES: usize = 512;
/// Conditions of one request that are kept.
const MAX_CONDITIONS: usize = 32;
/// Attempts of one request that are kept: more than any retry policy makes.
const MAX_ATTEMPTS: usize = 256;
/// Tags and entries of metadata of one request that are kept, and codes of what conversions lost.
const MAX_LABELS: usize = 32;
/// Bytes of a tag and of a key of metadata that are kept: all that keys may have.
pub(crate) const MAX_LABEL_BYTES: usize = 200;
/// Bytes of a value of metadata, and of a session's name, that are kept.
const MAX_VALUE_BYTES: usize = 1_024;
/// Groups of one attempt's account that are kept.
const MAX_GROUPS: usize = 32;
/// More tokens of a kind than any model reads or writes in one attempt; keeps every sum far inside 63 bits.
const MAX_TOKENS: u64 = u32::MAX as u64;
/// A million dollars: more than one attempt may cost.
const MAX_RESERVED: i64 = 1_000_000 * 1_000_000_000;
/// Longer than any stream may last.
const MAX_DURATION_MS: u64 = u32::MAX as u64;
/// How far a node's clock may be ahead.
pub(crate) const MAX_AHEAD_MS: i64 = 24 * 3600 * 1000;

/// Why a record, or a part of it, could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// Neither open, close nor end: the node lost what was here, or is newer, or its bytes are no record.
    NoContent,
    /// A close record without the request that it closes.
    NoRequest,
    RequestId,
    KeyId,
    UserId,
    /// The key is another user's: one of the two would pay for what the other one used.
    KeyOfOther,
    /// Taken, save for token counts that can't be.
    Usage,
    /// Taken, save for attempts beyond the bound.
    Attempts,
    /// The database did not take it.
    Refused,
    /// The node does not have these any more.
    Gone,
}

impl Rejection {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoContent => "no_content",
            Self::NoRequest => "no_request",
            Self::RequestId => "bad_request_id",
            Self::KeyId => "bad_key_id",
            Self::UserId => "bad_user_id",
            Self::KeyOfOther => "key_of_another_user",
            Self::Usage => "absurd_usage",
            Self::Attempts => "too_many_attempts",
            Self::Refused => "refused_by_database",
            Self::Gone => "gone",
        }
    }
}

/// What a request may come to at most, in one attempt, as the node reckoned before it forwarded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    #[serde(with = "tokens")]
    pub usage: Usage,
    /// 0: no price was known.
    pub real_cost: Nanos,
    pub rated_cost: Nanos,
    /// `None`: no price was known.
    pub price_id: Option<PriceId>,
}

mod tokens {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use shared::usage::Usage;

    use crate::ledger::attempts::Tokens;

    pub(super) fn serialize<S: Serializer>(usage: &Usage, to: S) -> Result<S::Ok, S::Error> {
        Tokens::from(*usage).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Usage, D::Error> {
        Tokens::deserialize(from).map(Usage::from)
    }
}

/// A request as it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    pub request_id: RequestId,
    pub key_id: KeyId,
    pub user_id: UserId,
    /// `None`: a newer node's.
    pub wire: Option<Wire>,
    pub model_requested: String,
    pub started_at: Millis,
    pub stream: bool,
    /// Of the trace that the client is in.
    pub trace_id: Option<[u8; 16]>,
    pub purpose: Purpose,
    /// `None`: the node did not say.
    pub reserved: Option<Reserved>,
    /// What the user pays of a price, as it was when the request began. `None`: the node did not say.
    pub price_rate: Option<Ppm>,
    /// Of the key, as they were when the request began.
    pub tags: Vec<String>,
    pub metadata: BTreeMap<String, String>,
    /// Names the conversation. Empty: the client did not say.
    pub session: String,
    /// `None`: the record does not say.
    pub sent_to: Option<SentTo>,
    pub conditions: Vec<String>,
}

/// Whom a request was sent to first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentTo {
    pub account_id: AccountId,
    /// That account's name for the model.
    pub model_mapped: String,
    /// The account's groups at the time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_ids: Vec<GroupId>,
    /// Where the account is. Empty: its settings don't say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
}

/// A request that is over. The conditions of both records are in `open`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub open: Opened,
    pub outcome: Outcome,
    pub status: u16,
    pub attempts: Vec<Attempt>,
    pub first_token_ms: Option<u64>,
    pub total_ms: u64,
    pub estimated: bool,
    /// What conversions could not carry across, as codes.
    pub losses: Vec<String>,
}

/// One try at one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// `None`: the node's record names none that is an id.
    pub account_id: Option<AccountId>,
    pub outcome: Outcome,
    pub http_status: u16,
    pub reason: String,
    /// The provider's own words about a failure; empty where there are none.
    pub detail: String,
    /// As the provider reported it.
    pub usage: Option<Usage>,
    /// What is charged where the provider did not report all.
    pub estimate: Option<Usage>,
    /// The most that may have been used, where there is an estimate.
    pub bound: Option<Usage>,
    /// The user pays for it.
    pub rated: bool,
    pub model_mapped: String,
    pub model_served: String,
    pub started_at: Millis,
    pub total_ms: u64,
    /// The price that the node reckoned with. `None`: it knew none.
    pub price_id: Option<PriceId>,
    /// The account's groups at the time.
    pub group_ids: Vec<GroupId>,
    /// Where the account is. Empty: its settings don't say.
    pub region: String,
}

impl Attempt {
    /// The tokens that it is charged for.
    #[must_use]
    pub fn charged(&self) -> Usage {
        self.estimate.or(self.usage).unwrap_or_default()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "an entry lives until it is put into its batch, one at a time")]
pub enum Entry {
    Open(Opened),
    Close(Box<Closed>),
    /// Nothing follows in the spool.
    End,
}

/// An entry, and what of the record had to be left out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    pub entry: Entry,
    pub left_out: Option<Rejection>,
}

/// Makes sense of a record. `now` is what a start from an impossible time is replaced by.
///
/// # Errors
/// Why nothing of the record can be kept in the ledger.
pub fn parse(record: &contract::Record, now: Millis) -> Result<Parsed, Rejection> {
    match record.record.as_ref().ok_or(Rejection::NoContent)? {
        contract::record::Record::Open(open) => {
            Ok(Parsed { entry: Entry::Open(opened(open, now)?), left_out: None })
        }
        contract::record::Record::Close(close) => closed(close, now),
        contract::record::Record::End(_) => Ok(Parsed { entry: Entry::End, left_out: None }),
    }
}

fn opened(open: &contract::OpenRecord, now: Millis) -> Result<Opened, Rejection> {
    let request_id = RequestId::try_from(open.request_id.as_slice()).map_err(|_| Rejection::RequestId)?;
    let mut conditions = Conditions::default();
    let wire = wire_of(open.wire());
    if wire.is_none() {
        conditions.add("unknown_wire");
    }
    let possible = open.started_at_ms > 0 && open.started_at_ms <= now.0.saturating_add(MAX_AHEAD_MS);
    if !possible {
        conditions.add("clock_skew");
    }
    let purpose = match open.purpose() {
        contract::Purpose::Unspecified | contract::Purpose::Client => Purpose::Client,
        contract::Purpose::AccountTest => Purpose::AccountTest,
    };
    let of_nobody = purpose == Purpose::AccountTest;
    let (key_id, user_id) = match of_nobody {
        true => (KeyId::from_bytes([0; 16]), UserId::from_bytes([0; 16])),
        false => (
            KeyId::try_from(open.key_id.as_slice()).map_err(|_| Rejection::KeyId)?,
            UserId::try_from(open.user_id.as_slice()).map_err(|_| Rejection::UserId)?,
        ),
    };
    Ok(Opened {
        request_id,
        key_id,
        user_id,
        wire,
        model_requested: cut(&open.model_requested, MAX_NAME_BYTES),
        started_at: if possible { Millis(open.started_at_ms) } else { now },
        stream: open.stream,
        trace_id: open.trace_id.as_slice().try_into().ok(),
        purpose,
        reserved: open.reserved.as_ref().map(|stated| reserved(stated, of_nobody)),
        price_rate: open.price_rate_ppm.map(|rate| Ppm(u32::try_from(rate).unwrap_or(u32::MAX))),
        tags: texts(&open.tags, MAX_LABEL_BYTES),
        metadata: metadata(&open.metadata),
        session: cut(&open.session, MAX_VALUE_BYTES),
        sent_to: sent_to(open),
        conditions: conditions.0,
    })
}

fn sent_to(open: &contract::OpenRecord) -> Option<SentTo> {
    Some(SentTo {
        account_id: AccountId::try_from(open.account_id.as_slice()).ok()?,
        model_mapped: cut(&open.model_mapped, MAX_NAME_BYTES),
        group_ids: groups(&open.group_ids),
        region: cut(&open.region, MAX_LABEL_BYTES),
    })
}

/// Those that are ids, the first ones.
fn groups(stated: &[Vec<u8>]) -> Vec<GroupId> {
    let ids = stated.iter().filter_map(|id| GroupId::try_from(id.as_slice()).ok());
    ids.take(MAX_GROUPS).collect()
}

fn reserved(stated: &contract::Reserved, of_nobody: bool) -> Reserved {
    let cost = |nanos: u64| Nanos(i64::try_from(nanos).unwrap_or(i64::MAX).min(MAX_RESERVED));
    Reserved {
        usage: stated.usage.as_ref().map(usage).map(capped).unwrap_or_default(),
        real_cost: cost(stated.real_cost),
        rated_cost: if of_nobody { Nanos(0) } else { cost(stated.rated_cost) },
        price_id: PriceId::try_from(stated.price_id.as_slice()).ok(),
    }
}

/// The first of the texts, each once, cut.
fn texts(stated: &[String], max_bytes: usize) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for text in stated.iter().take(2 * MAX_LABELS).map(|text| cut(text, max_bytes)) {
        if kept.len() < MAX_LABELS && !text.is_empty() && !kept.contains(&text) {
            kept.push(text);
        }
    }
    kept
}

/// The first entries by key: a map has no other order.
fn metadata(stated: &std::collections::HashMap<String, String>) -> BTreeMap<String, String> {
    let ordered: BTreeMap<&String, &String> = stated.iter().collect();
    let kept = ordered.into_iter().take(MAX_LABELS);
    kept.map(|(key, value)| (cut(key, MAX_LABEL_BYTES), cut(value, MAX_VALUE_BYTES))).collect()
}

fn closed(close: &contract::CloseRecord, now: Millis) -> Result<Parsed, Rejection> {
    let mut open = opened(close.open.as_ref().ok_or(Rejection::NoRequest)?, now)?;
    let mut conditions = Conditions(std::mem::take(&mut open.conditions));
    for condition in close.conditions.iter().take(MAX_CONDITIONS) {
        conditions.add(condition);
    }
    let outcome = Outcome::from(close.outcome());
    if outcome == Outcome::Unknown {
        conditions.add("unknown_outcome");
    }
    let mut left_out = None;
    let mut attempts = Vec::with_capacity(close.attempts.len().min(MAX_ATTEMPTS));
    // The last attempts are those that were paid for.
    for from in close.attempts.iter().skip(close.attempts.len().saturating_sub(MAX_ATTEMPTS)) {
        let attempt = attempt(from, &open, &mut conditions);
        let is_lost =
            |kept: Option<Usage>, stated: Option<&contract::Usage>| kept.is_none() && stated.is_some();
        if is_lost(attempt.usage, from.usage.as_ref()) || is_lost(attempt.estimate, from.estimate.as_ref()) {
            left_out = Some(Rejection::Usage);
        }
        attempts.push(attempt);
    }
    if close.attempts.len() > MAX_ATTEMPTS {
        conditions.add(Rejection::Attempts.as_str());
        left_out = left_out.or(Some(Rejection::Attempts));
    }
    open.conditions = conditions.0;
    let closed = Closed {
        open,
        outcome,
        status: status(close.status),
        attempts,
        first_token_ms: close.first_token_ms.map(duration),
        total_ms: duration(close.total_ms),
        estimated: close.estimated,
        losses: texts(&close.losses, MAX_CODE_BYTES),
    };
    Ok(Parsed { entry: Entry::Close(Box::new(closed)), left_out })
}

fn attempt(from: &contract::Attempt, open: &Opened, conditions: &mut Conditions) -> Attempt {
    let account_id = AccountId::try_from(from.account_id.as_slice()).ok();
    if account_id.is_none() {
        conditions.add("bad_account_id");
    }
    let mut taken = |stated: Option<&contract::Usage>| {
        let usage = stated.map(usage)?;
        let fits = fits(&usage);
        if !fits {
            conditions.add(Rejection::Usage.as_str());
        }
        fits.then_some(usage)
    };
    let (usage, estimate) = (taken(from.usage.as_ref()), taken(from.estimate.as_ref()));
    // A bound that is out of all reason is none.
    let bound = from.bound.as_ref().map(self::usage).filter(fits);
    let started_at = if from.started_at_ms > 0 { Millis(from.started_at_ms) } else { open.started_at };
    Attempt {
        account_id,
        outcome: Outcome::from(from.outcome()),
        http_status: status(from.http_status),
        reason: cut(&from.reason, MAX_CODE_BYTES),
        detail: cut(&from.detail, MAX_DETAIL_BYTES),
        usage,
        estimate,
        bound,
        rated: !from.unrated && open.purpose == Purpose::Client,
        model_mapped: cut(&from.model_mapped, MAX_NAME_BYTES),
        model_served: cut(&from.model_served, MAX_NAME_BYTES),
        started_at,
        total_ms: duration(from.total_ms),
        price_id: PriceId::try_from(from.price_id.as_slice()).ok(),
        group_ids: groups(&from.group_ids),
        region: cut(&from.region, MAX_LABEL_BYTES),
    }
}

pub(crate) const fn wire_of(wire: contract::Wire) -> Option<Wire> {
    match wire {
        contract::Wire::Chat => Some(Wire::Chat),
        contract::Wire::Responses => Some(Wire::Responses),
        contract::Wire::Messages => Some(Wire::Messages),
        contract::Wire::Gemini => Some(Wire::Gemini),
        contract::Wire::Unspecified => None,
    }
}

const fn usage(from: &contract::Usage) -> Usage {
    Usage {
        input: from.input,
        cache_read: from.cache_read,
        cache_write_5m: from.cache_write_5m,
        cache_write_1h: from.cache_write_1h,
        output: from.output,
        reasoning: from.reasoning,
    }
}

/// Each kind at most what an attempt can use.
fn capped(usage: Usage) -> Usage {
    Usage {
        input: usage.input.min(MAX_TOKENS),
        cache_read: usage.cache_read.min(MAX_TOKENS),
        cache_write_5m: usage.cache_write_5m.min(MAX_TOKENS),
        cache_write_1h: usage.cache_write_1h.min(MAX_TOKENS),
        output: usage.output.min(MAX_TOKENS),
        reasoning: usage.reasoning.min(MAX_TOKENS),
    }
}

fn fits(usage: &Usage) -> bool {
    let kinds = [
        usage.input,
        usage.cache_read,
        usage.cache_write_5m,
        usage.cache_write_1h,
        usage.output,
        usage.reasoning,
    ];
    kinds.into_iter().all(|tokens| tokens <= MAX_TOKENS)
}

fn status(status: u32) -> u16 {
    u16::try_from(status).unwrap_or(0)
}

const fn duration(milliseconds: u64) -> u64 {
    if milliseconds > MAX_DURATION_MS { MAX_DURATION_MS } else { milliseconds }
}

/// The text's start, cut between characters.
pub(crate) fn cut(text: &str, max_bytes: usize) -> String {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // MySQL takes names that differ by spaces at their ends for the same.
    text[..end].trim_end_matches(' ').to_owned()
}

/// Named conditions, each once, bounded.
#[derive(Debug, Default)]
pub(super) struct Conditions(pub(super) Vec<String>);

impl Conditions {
    pub(super) fn add(&mut self, condition: &str) {
        let condition = cut(condition, MAX_CODE_BYTES);
        if self.0.len() < 2 * MAX_CONDITIONS && !condition.is_empty() && !self.0.contains(&condition) {
            self.0.push(condition);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Millis = Millis(1_790_000_000_000);

    fn open() -> contract::OpenRecord {
        contract::OpenRecord {
            request_id: RequestId::new(NOW).to_bytes().to_vec(),
            key_id: KeyId::new(NOW).to_bytes().to_vec(),
            user_id: UserId::new(NOW).to_bytes().to_vec(),
            wire: contract::Wire::Messages.into(),
            model_requested: "claude-sonnet-5".into(),
            started_at_ms: NOW.0,
            stream: true,
            trace_id: vec![7; 16],
            ..contract::OpenRecord::default()
        }
    }

    fn record(record: contract::record::Record) -> contract::Record {
        contract::Record { record: Some(record) }
    }

    fn parse_close(close: contract::CloseRecord) -> (Closed, Option<Rejection>) {
        let parsed = parse(&record(contract::record::Record::Close(close)), NOW).unwrap();
        match parsed.entry {
            Entry::Close(closed) => (*closed, parsed.left_out),
            other => panic!("a close record became {other:?}"),
        }
    }

    #[test]
    fn a_trace_has_sixteen_bytes_or_is_none() {
        for (sent, kept) in [(vec![7; 16], Some([7; 16])), (vec![], None), (vec![7; 15], None)] {
            let open = contract::OpenRecord { trace_id: sent, ..open() };
            let parsed = parse(&record(contract::record::Record::Open(open)), NOW).unwrap();
            let Entry::Open(opened) = parsed.entry else { panic!("an open record became a close one") };
            assert_eq!((opened.trace_id, opened.conditions), (kept, vec![]));
        }
    }

    #[test]
    fn what_names_no_request_is_rejected() {
        let reason = |record: contract::Record| parse(&record, NOW).unwrap_err();
        assert_eq!(reason(contract::Record { record: None }), Rejection::NoContent);
        let close = contract::CloseRecord::default();
        assert_eq!(reason(record(contract::record::Record::Close(close))), Rejection::NoRequest);
        for (spoil, expected) in [
            (contract::OpenRecord { request_id: vec![1; 15], ..open() }, Rejection::RequestId),
            (contract::OpenRecord { key_id: vec![], ..open() }, Rejection::KeyId),
            (contract::OpenRecord { user_id: vec![1; 17], ..open() }, Rejection::UserId),
        ] {
            assert_eq!(reason(record(contract::record::Record::Open(spoil))), expected);
        }
    }

    #[test]
    fn what_a_newer_node_says_is_taken_with_a_condition() {
        let newer = contract::CloseRecord {
            open: Some(contract::OpenRecord { wire: 99, ..open() }),
            outcome: 42,
            ..contract::CloseRecord::default()
        };
        let (closed, left_out) = parse_close(newer);
        assert_eq!((closed.outcome, closed.open.wire, left_out), (Outcome::Unknown, None, None));
        assert_eq!(closed.open.conditions, ["unknown_wire", "unknown_outcome"]);
    }

    #[test]
    fn absurd_usage_is_left_out_and_the_request_still_counts() {
        let absurd = contract::Usage { output: u64::MAX, ..contract::Usage::default() };
        let attempt = contract::Attempt { usage: Some(absurd), ..contract::Attempt::default() };
        let close = contract::CloseRecord {
            open: Some(open()),
            attempts: vec![attempt],
            ..contract::CloseRecord::default()
        };
        let (closed, left_out) = parse_close(close);
        assert_eq!((closed.attempts[0].usage, left_out), (None, Some(Rejection::Usage)));
        assert!(closed.open.conditions.contains(&"absurd_usage".to_owned()));
        assert!(closed.open.conditions.contains(&"bad_account_id".to_owned()));
    }

    #[test]
    fn a_start_from_another_age_is_now() {
        for started_at_ms in [0, -5, i64::MAX, NOW.0 + MAX_AHEAD_MS + 1] {
            let odd = contract::OpenRecord { started_at_ms, ..open() };
            let parsed = parse(&record(contract::record::Record::Open(odd)), NOW).unwrap();
            let Entry::Open(opened) = parsed.entry else { panic!("an open record became a close one") };
            assert_eq!((opened.started_at, opened.conditions), (NOW, vec!["clock_skew".to_owned()]));
        }
    }

    #[test]
    fn json_and_sql_name_outcomes_alike() {
        for outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse(), Ok(outcome));
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }

    proptest! {
        #[test]
        fn every_text_and_list_is_bounded(name in ".{0,300}", reason in ".{0,100}", count in 0_usize..300, conditions in proptest::collection::vec(".{0,80}", 0..60)) {
            let attempt = contract::Attempt { reason, model_mapped: name.clone(), model_served: name.clone(), ..contract::Attempt::default() };
            let close = contract::CloseRecord {
                open: Some(contract::OpenRecord { model_requested: name, ..open() }),
                attempts: vec![attempt; count],
                conditions,
                ..contract::CloseRecord::default()
            };
            let (closed, _) = parse_close(close);
            prop_assert!(closed.open.model_requested.len() <= MAX_NAME_BYTES);
            prop_assert!(closed.attempts.len() <= MAX_ATTEMPTS);
            prop_assert!(closed.open.conditions.len() <= 2 * MAX_CONDITIONS);
            prop_assert!(closed.attempts.iter().all(|attempt| attempt.reason.len() <= MAX_CODE_BYTES && attempt.model_mapped.len() <= MAX_NAME_BYTES));
        }
    }
}
