//! Records as nodes write them: a mixture of keys, models, accounts and ends.

use std::time::Duration;

use prost::Message as _;
use proto::v1::{self as contract, record::Record as Content};
use shared::{
    clock::Millis,
    id::{AccountId, GroupId, IncarnationId, KeyId, RequestId, UserId},
};

const MODELS: [&str; 8] = [
    "claude-sonnet-4-5",
    "claude-opus-4-5",
    "claude-haiku-4-5",
    "gpt-5",
    "gpt-5-mini",
    "gemini-2.5-pro",
    "gemini-2.5-flash",
    "llama-4",
];
const ACCOUNTS: usize = 10;
/// One request in so many fails, and one of a hundred times as many is cut off.
const FAILS: u64 = 50;

/// An incarnation with one spool.
#[derive(Debug)]
pub(super) struct Source {
    now: Millis,
    id: IncarnationId,
    pub(super) keys: Vec<(KeyId, UserId)>,
    pub(super) accounts: Vec<(AccountId, GroupId)>,
    sequence: u64,
    state: u64,
}

impl Source {
    pub(super) fn new(now: Millis, keys: u32) -> Self {
        let users: Vec<UserId> = (0..keys.div_ceil(2)).map(|_| UserId::new(now)).collect();
        let user = |key: u32| users.get(key as usize / 2).copied().unwrap_or(UserId::new(now));
        Self {
            now,
            id: IncarnationId::new(now),
            keys: (0..keys).map(|key| (KeyId::new(now), user(key))).collect(),
            accounts: (0..ACCOUNTS).map(|_| (AccountId::new(now), GroupId::new(now))).collect(),
            sequence: 0,
            state: 0x9e37_79b9_7f4a_7c15,
        }
    }

    pub(super) const fn incarnation(&self) -> IncarnationId {
        self.id
    }

    /// xorshift: the same mixture at each run.
    fn number(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let number = usize::try_from(self.number() >> 32).unwrap_or(0);
        of.get(number.checked_rem(of.len())?).copied()
    }

    /// So many requests, each opened and closed, that began so long ago.
    pub(super) fn batch(&mut self, requests: u64, ago: Duration) -> contract::RecordBatch {
        let first_sequence = self.sequence + 1;
        let mut records = Vec::new();
        for _ in 0..requests {
            let close = self.request(ago);
            let open = close.open.clone().unwrap_or_default();
            for content in [Content::Open(open), Content::Close(close)] {
                records.push(contract::Record { record: Some(content) }.encode_to_vec().into());
            }
        }
        self.sequence += 2 * requests;
        let spool = contract::SpoolRecords { spool: 0, first_sequence, records, gone: 0 };
        contract::RecordBatch { spools: vec![spool] }
    }

    fn request(&mut self, ago: Duration) -> contract::CloseRecord {
        let ago = i64::try_from(ago.as_millis()).unwrap_or(0);
        let at = Millis(self.now.0 - ago + i64::try_from(self.number() % 2_000).unwrap_or(0));
        let (keys, accounts) = (self.keys.clone(), self.accounts.clone());
        let (key, user) = self.pick(&keys).unwrap_or((KeyId::new(at), UserId::new(at)));
        let (account, group) = self.pick(&accounts).unwrap_or((AccountId::new(at), GroupId::new(at)));
        let model = self.pick(&MODELS).unwrap_or("gpt-5");
        let wire = self.pick(&[contract::Wire::Chat, contract::Wire::Messages, contract::Wire::Responses]);
        let outcome = match self.number() {
            number if number % (FAILS * 100) == 0 => contract::Outcome::CutOff,
            number if number % FAILS == 0 => contract::Outcome::UpstreamError,
            _ => contract::Outcome::Completed,
        };
        let usage = contract::Usage {
            input: self.number() % 20_000,
            cache_read: self.number() % 50_000,
            output: self.number() % 2_000,
            ..contract::Usage::default()
        };
        let took = 200 + self.number() % 30_000;
        let reserved = contract::Reserved {
            usage: Some(contract::Usage { input: 80_000, output: 8_000, ..contract::Usage::default() }),
            real_cost: 400_000_000,
            rated_cost: 400_000_000,
            price_id: vec![7; 16],
            likely_input: 900,
        };
        let open = contract::OpenRecord {
            request_id: RequestId::new(at).to_bytes().to_vec(),
            key_id: key.to_bytes().to_vec(),
            user_id: user.to_bytes().to_vec(),
            wire: wire.unwrap_or(contract::Wire::Chat).into(),
            model_requested: model.to_owned(),
            started_at_ms: at.0,
            stream: true,
            reserved: Some(reserved),
            price_rate_ppm: Some(1_000_000),
            tags: vec!["team-a".into()],
            session: "0d1f7a54-7c5e-4f0b-9f1a-2f9f6d1f3b11".into(),
            ..contract::OpenRecord::default()
        };
        let attempt = contract::Attempt {
            account_id: account.to_bytes().to_vec(),
            outcome: outcome.into(),
            http_status: 200,
            usage: Some(usage),
            model_mapped: model.to_owned(),
            model_served: format!("{model}-20250929"),
            started_at_ms: at.0,
            total_ms: took,
            group_ids: vec![group.to_bytes().to_vec()],
            ..contract::Attempt::default()
        };
        contract::CloseRecord {
            open: Some(open),
            outcome: outcome.into(),
            status: 200,
            attempts: vec![attempt],
            first_token_ms: Some(150 + took / 20),
            total_ms: took,
            ..contract::CloseRecord::default()
        }
    }
}
