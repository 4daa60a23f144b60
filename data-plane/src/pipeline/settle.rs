//! Stage 9: what a request used goes into the journal. The open record is on disk before the first forward, the close
//! record once the request is over, whatever happened to it.

use std::time::Duration;

use proto::v1::{Attempt, CloseRecord, OpenRecord, Outcome, Purpose};
use shared::{clock::Millis, id::PriceId, money::Nanos, usage::Usage, wire::Wire};
use tokio::time::Instant;
use wire::loss::Losses;

use super::{failure::End, filter::Admitted, refusal::Refusal, reserve::Reserved};
use crate::{
    contract::{first_attempt, group_bytes, usage_message, wire_message},
    metrics::{Ending, Running},
    provider::TraceId,
    proxy::Proxy,
    scheduler::Picked,
    snapshot::Account,
    usage::{Journal, Opened},
};

/// Attempts of a request that are written down, the last ones.
const ATTEMPTS_MAX: usize = 256;

/// What is written down of an attempt.
#[derive(Debug)]
pub(super) struct EndedAttempt<'a> {
    pub(super) end: &'a End,
    /// The provider's words, for operators.
    pub(super) detail: String,
    /// HTTP status of the upstream; 0: no answer came.
    pub(super) status: u16,
    /// As the provider reported it.
    pub(super) usage: Option<Usage>,
    pub(super) served: Option<&'a str>,
    /// What it is charged for where the provider did not report all.
    pub(super) estimate: Option<Usage>,
    /// What it may have used at the most.
    pub(super) bound: Usage,
    /// The user pays for it.
    pub(super) rated: bool,
    /// What it is reckoned with.
    pub(super) price: Option<PriceId>,
}

/// A request's record as it grows.
#[derive(Debug)]
pub(super) struct Meter {
    record: CloseRecord,
    /// `None`: the operation consumes no tokens, and nothing is written of it.
    opened: Option<Opened>,
    wire: Wire,
    arrived: Instant,
    attempt_began: Instant,
    first_content: Option<Duration>,
    _in_flight: Running,
}

impl Meter {
    /// Writes the open record.
    ///
    /// # Errors
    /// It is not on disk: the request must not be forwarded.
    pub(super) fn open(
        proxy: &Proxy,
        admitted: &Admitted,
        reserved: &Reserved,
        picked: &Picked<'_>,
    ) -> Result<Self, Refusal> {
        let call = &admitted.call;
        let wire = call.operation.wire();
        let open = open_record(admitted, reserved, picked);
        let metered = call.operation.metered();
        let opened = metered.then(|| write_open(&proxy.journal, &open)).transpose()?;
        Ok(Self {
            record: CloseRecord { open: Some(open), ..CloseRecord::default() },
            opened,
            wire,
            arrived: call.arrived,
            attempt_began: call.arrived,
            first_content: None,
            _in_flight: proxy.metrics.request(),
        })
    }

    pub(super) fn begin_attempt(&mut self, account: &Account, model: &str, began: (Instant, Millis)) {
        self.attempt_began = began.0;
        if self.record.attempts.len() >= ATTEMPTS_MAX {
            // The last ones tell the most, and a record has to fit into the spool.
            self.record.attempts.remove(0);
            self.condition("attempts_left_out");
        }
        // The open record is on disk with whom it goes to first: the close record says it of the attempt.
        let first = self.record.open.as_mut().and_then(first_attempt);
        let attempt = first.unwrap_or_else(|| Attempt {
            account_id: account.id.to_bytes().to_vec(),
            model_mapped: model.to_owned(),
            group_ids: group_bytes(&account.groups),
            region: account.upstream.region().unwrap_or_default().to_owned(),
            ..Attempt::default()
        });
        self.record.attempts.push(Attempt { started_at_ms: began.1.0, ..attempt });
    }

    /// Ends the attempt that was begun last.
    pub(super) fn end_attempt(&mut self, ended: EndedAttempt<'_>) {
        let Some(attempt) = self.record.attempts.last_mut() else {
            return;
        };
        attempt.set_outcome(ended.end.outcome());
        attempt.http_status = u32::from(ended.status);
        attempt.reason = ended.end.reason().map(|reason| reason.code().into_owned()).unwrap_or_default();
        attempt.detail = ended.detail;
        attempt.usage = ended.usage.map(usage_message);
        attempt.model_served = ended.served.unwrap_or_default().to_owned();
        attempt.total_ms = milliseconds(self.attempt_began.elapsed());
        attempt.unrated = !ended.rated;
        attempt.price_id = ended.price.map(|id| id.to_bytes().to_vec()).unwrap_or_default();
        if let Some(estimate) = ended.estimate {
            attempt.estimate = Some(usage_message(estimate));
            attempt.bound = Some(usage_message(ended.bound));
            self.record.estimated = true;
        }
    }

    pub(super) const fn wire(&self) -> Wire {
        self.wire
    }

    /// Content came. Only the first time counts.
    pub(super) fn content(&mut self, now: Instant) {
        if self.first_content.is_none() {
            self.first_content = Some(now.duration_since(self.arrived));
        }
    }

    pub(super) const fn had_content(&self) -> bool {
        self.first_content.is_some()
    }

    /// Only the first time counts.
    pub(super) fn condition(&mut self, name: &str) {
        if !self.record.conditions.iter().any(|known| known == name) {
            self.record.conditions.push(name.to_owned());
        }
    }

    /// What a conversion could not carry across.
    pub(super) fn losses(&mut self, losses: Option<&Losses>) {
        for loss in losses.iter().flat_map(|losses| losses.iter()) {
            let code = loss.code.as_str();
            if !self.record.losses.iter().any(|known| known == code) {
                self.record.losses.push(code.to_owned());
            }
        }
    }

    /// The model's name as the client said it, and when the request began.
    pub(super) fn asked(&self) -> (&str, Millis) {
        let open = self.record.open.as_ref();
        open.map_or(("", Millis(0)), |open| (&open.model_requested, Millis(open.started_at_ms)))
    }

    /// Writes the close record. `status`: what the client got; 0 for nothing.
    pub(super) fn close(mut self, proxy: &Proxy, outcome: Outcome, status: u16) {
        let total = self.arrived.elapsed();
        proxy.metrics.ended(self.wire, ending(outcome));
        proxy.metrics.took(self.first_content, total);
        let Some(opened) = self.opened else {
            return;
        };
        let record = &mut self.record;
        record.set_outcome(outcome);
        record.status = u32::from(status);
        record.first_token_ms = self.first_content.map(milliseconds);
        record.total_ms = milliseconds(total);
        if let Err(error) = proxy.journal.close(opened, record) {
            tracing::error!(%error, "a request's close record is not on disk yet");
        }
    }
}

fn open_record(admitted: &Admitted, reserved: &Reserved, picked: &Picked<'_>) -> OpenRecord {
    let (call, view, caller) = (&admitted.call, &admitted.view, &admitted.caller);
    let key = &caller.key;
    OpenRecord {
        request_id: call.id.to_bytes().to_vec(),
        key_id: key.id.to_bytes().to_vec(),
        user_id: key.user_id.to_bytes().to_vec(),
        wire: wire_message(call.operation.wire()).into(),
        model_requested: view.model.clone(),
        started_at_ms: call.started_at.0,
        stream: view.stream,
        trace_id: call.trace.map(TraceId::to_bytes).unwrap_or_default(),
        purpose: Purpose::Client.into(),
        reserved: Some(proto::v1::Reserved {
            usage: Some(usage_message(reserved.usage)),
            real_cost: nanos(reserved.charge.real),
            rated_cost: nanos(reserved.charge.rated),
            price_id: reserved.price.map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
            likely_input: reserved.likely_input,
        }),
        price_rate_ppm: Some(caller.snapshot.rate(key.user_id).0.into()),
        tags: key.tags.clone(),
        metadata: key.metadata.clone(),
        account_id: picked.account.id.to_bytes().to_vec(),
        model_mapped: picked.model.to_owned(),
        group_ids: group_bytes(&picked.account.groups),
        region: picked.account.upstream.region().unwrap_or_default().to_owned(),
        session: admitted.session.clone(),
    }
}

fn nanos(amount: Nanos) -> u64 {
    u64::try_from(amount.0).unwrap_or(0)
}

fn write_open(journal: &Journal, open: &OpenRecord) -> Result<Opened, Refusal> {
    if !journal.healthy() {
        return Err(Refusal::NoRoomForRecords);
    }
    journal.open(open).map_err(|error| {
        tracing::error!(%error, "a request's open record can't be written");
        Refusal::NoRoomForRecords
    })
}

const fn ending(outcome: Outcome) -> Ending {
    match outcome {
        Outcome::Completed => Ending::Completed,
        Outcome::UpstreamError | Outcome::Unspecified => Ending::UpstreamError,
        Outcome::ClientGone => Ending::ClientGone,
        Outcome::CutOff => Ending::CutOff,
        Outcome::Refused => Ending::Refused,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
