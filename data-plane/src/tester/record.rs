//! A test of an account is in the ledger as a request is: its tokens cost money. Nobody's key made it, so that only the
//! account pays.

use bytes::Bytes;
use proto::v1::{Attempt, CloseRecord, OpenRecord, Outcome, Purpose, Reserved, TestAccountResult};
use serde::Deserialize;
use shared::{
    clock::{Clock, Millis},
    id::{KeyId, RequestId, UserId},
    usage::Usage,
    wire::Wire,
};
use wire::raw::{
    body::{BodyFacts, facts},
    inline,
};

use crate::{
    contract::{first_attempt, group_bytes, usage_message, wire_message},
    provider::Endpoint,
    snapshot::{Account, Snapshot},
    usage::{Journal, Opened},
};

/// Tokens that a test may be answered with, at the most, where its upstream takes a limit.
pub(super) const MAX_OUTPUT: u64 = 16;

/// A test that is under way, with its open record on disk.
#[derive(Debug)]
pub(super) struct TestRecord {
    opened: Opened,
    open: OpenRecord,
    attempt: Attempt,
    endpoint: Endpoint,
    /// What the request may have cost, where its answer does not say.
    likely: Usage,
}

/// What an upstream answered.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// The upstream has the whole request, and did not refuse it.
    pub(super) consumed: bool,
    pub(super) body: Bytes,
}

impl TestRecord {
    /// None: there is no room for the record. Nothing may be sent then.
    pub(super) fn open(
        journal: &Journal,
        clock: &Clock,
        account: &Account,
        (model, endpoint): (&str, Endpoint),
        body: &[u8],
    ) -> Option<Self> {
        let now = clock.now();
        let likely =
            Usage { input: inline::tokens(body).likely.max(1), output: MAX_OUTPUT, ..Usage::default() };
        let mut open = OpenRecord {
            request_id: RequestId::new(now).to_bytes().to_vec(),
            key_id: KeyId::from_bytes([0; 16]).to_bytes().to_vec(),
            user_id: UserId::from_bytes([0; 16]).to_bytes().to_vec(),
            wire: wire_message(wire_of(endpoint)).into(),
            model_requested: model.to_owned(),
            started_at_ms: now.0,
            purpose: Purpose::AccountTest.into(),
            reserved: Some(Reserved {
                usage: Some(usage_message(likely)),
                likely_input: likely.input,
                ..Reserved::default()
            }),
            account_id: account.id.to_bytes().to_vec(),
            model_mapped: model.to_owned(),
            group_ids: group_bytes(&account.groups),
            region: account.upstream.region().unwrap_or_default().to_owned(),
            ..OpenRecord::default()
        };
        if !journal.healthy() {
            return None;
        }
        let opened = journal.open(&open);
        let opened =
            opened.inspect_err(|error| tracing::error!(%error, "a test's open record can't be written"));
        let first = first_attempt(&mut open).unwrap_or_default();
        let attempt = Attempt { started_at_ms: now.0, unrated: true, ..first };
        Some(Self { opened: opened.ok()?, open, attempt, endpoint, likely })
    }

    pub(super) fn close(
        self,
        journal: &Journal,
        snapshot: &Snapshot,
        result: &TestAccountResult,
        answered: &Answered,
    ) {
        let Self { opened, open, mut attempt, endpoint, likely } = self;
        let outcome = if result.ok { Outcome::Completed } else { Outcome::UpstreamError };
        let facts = read(endpoint, &answered.body);
        attempt.set_outcome(outcome);
        attempt.http_status = result.http_status;
        attempt.reason.clone_from(&result.reason);
        attempt.detail.clone_from(&result.detail);
        attempt.total_ms = result.latency_ms;
        attempt.usage = facts.usage.map(usage_message);
        attempt.model_served = facts.served_model.unwrap_or_default();
        let names = [attempt.model_served.as_str(), attempt.model_mapped.as_str()];
        let price = snapshot.prices.find(&names, Millis(open.started_at_ms));
        attempt.price_id = price.map(|found| found.id.to_bytes().to_vec()).unwrap_or_default();
        let mut conditions = Vec::new();
        if facts.usage.is_none() && answered.consumed {
            attempt.estimate = Some(usage_message(likely));
            attempt.bound = attempt.estimate;
            conditions.push("no_usage_reported".to_owned());
        }
        let mut record = CloseRecord {
            open: Some(open),
            estimated: attempt.estimate.is_some(),
            total_ms: attempt.total_ms,
            attempts: vec![attempt],
            conditions,
            ..CloseRecord::default()
        };
        record.set_outcome(outcome);
        if let Err(error) = journal.close(opened, &record) {
            tracing::error!(%error, "a test's close record is not on disk yet");
        }
    }
}

/// The wire that is nearest to what the upstream is asked in.
const fn wire_of(endpoint: Endpoint) -> Wire {
    match endpoint {
        Endpoint::ChatCompletions | Endpoint::Embeddings => Wire::Chat,
        Endpoint::Responses | Endpoint::InputTokens => Wire::Responses,
        Endpoint::Messages
        | Endpoint::CountTokens
        | Endpoint::Invoke
        | Endpoint::Converse
        | Endpoint::BedrockCountTokens => Wire::Messages,
        Endpoint::GenerateContent | Endpoint::CountContents | Endpoint::EmbedContents => Wire::Gemini,
    }
}

fn read(endpoint: Endpoint, body: &[u8]) -> BodyFacts {
    match endpoint {
        Endpoint::Converse => BodyFacts { usage: converse(body), ..BodyFacts::default() },
        Endpoint::Responses if !body.trim_ascii_start().starts_with(b"{") => {
            of_stream(body).unwrap_or_default()
        }
        _ => facts(wire_of(endpoint), body),
    }
}

fn converse(body: &[u8]) -> Option<Usage> {
    #[derive(Deserialize)]
    struct Body {
        usage: Counts,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Counts {
        input_tokens: u64,
        output_tokens: u64,
    }
    let Counts { input_tokens, output_tokens } = serde_json::from_slice::<Body>(body).ok()?.usage;
    Some(Usage { input: input_tokens, output: output_tokens, ..Usage::default() })
}

/// What the last event of a stream of the Responses API says.
fn of_stream(body: &[u8]) -> Option<BodyFacts> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        response: &'a serde_json::value::RawValue,
    }
    let text = std::str::from_utf8(body).ok()?;
    let data = text.lines().rev().filter_map(|line| line.strip_prefix("data:"));
    let event = data.filter_map(|data| serde_json::from_str::<Event<'_>>(data.trim()).ok()).next()?;
    Some(facts(Wire::Responses, event.response.get().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_answer_says_what_it_used() {
        let used = |endpoint, body: &str| {
            read(endpoint, body.as_bytes()).usage.map(|usage| (usage.input, usage.output))
        };
        for (endpoint, body) in [
            (Endpoint::Messages, r#"{"model":"m","usage":{"input_tokens":8,"output_tokens":1}}"#),
            (Endpoint::ChatCompletions, r#"{"model":"m","usage":{"prompt_tokens":8,"completion_tokens":1}}"#),
            (Endpoint::Responses, r#"{"id":"r","usage":{"input_tokens":8,"output_tokens":1}}"#),
            (
                Endpoint::Converse,
                r#"{"output":{},"usage":{"inputTokens":8,"outputTokens":1,"totalTokens":9}}"#,
            ),
            (
                Endpoint::GenerateContent,
                r#"{"candidates":[],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":1}}"#,
            ),
            (
                Endpoint::Responses,
                "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}\n\nevent: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":8,\"output_tokens\":1}}}\n\n",
            ),
        ] {
            assert_eq!(used(endpoint, body), Some((8, 1)), "{body}");
        }
        assert_eq!(used(Endpoint::Responses, "nothing"), None);
        assert_eq!(used(Endpoint::Converse, "{}"), None);
    }
}
