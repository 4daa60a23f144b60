//! The one place where an attempt ends, whenever and however it does.
//!
//! What learns from attempts is here, one line each in [`Attempt::end`]: memory of reasoning, bindings of issued ids,
//! the account's marks and tests, metrics, and the request's record. Ending hands off and waits for nothing, so that it
//! works in a drop as well.

use proto::v1::Outcome;
use shared::{
    id::{RequestId, UserId},
    usage::Usage,
};

use super::{
    attempt::Attempt,
    failure::{End, Failure},
    plan::WorstCase,
    reading::Reading,
    settle::{EndedAttempt, Meter},
};
use crate::{
    live::{Binding, Mark},
    provider::{
        TraceId,
        failure::{Class, guess},
        sent_model,
        words::for_operators,
    },
    proxy::Proxy,
};

/// How fast models write, in tokens a second, where it is not known how much one wrote.
const TOKENS_A_SECOND: u64 = 50;
/// Bytes of an answer's body that a token takes, at the least.
const BYTES_A_TOKEN: u64 = 4;

/// Whose request an attempt was for.
#[derive(Debug)]
pub(super) struct Requester {
    pub(super) request: RequestId,
    pub(super) trace: Option<TraceId>,
    pub(super) user: UserId,
    /// What the request builds on, which only one account knows.
    pub(super) bound_id: Option<String>,
    pub(super) remembers_reasoning: bool,
    pub(super) worst: WorstCase,
}

impl Attempt {
    /// Its slot is free, its connection goes back to the pool or is closed.
    pub(super) fn end(mut self, end: &End, requester: &Requester, meter: &mut Meter, proxy: &Proxy) {
        self.remember(requester, proxy);
        self.bind(requester, proxy);
        self.bind_again(requester, proxy);
        let words = for_operators(end.detail(), &self.account);
        self.tell(end, &words, requester, proxy);
        if let Some(failure) = end.failure() {
            self.mark(failure, proxy);
        }
        self.record(end, words, requester.worst, meter, proxy);
    }

    /// Remembers the reasoning that the client will not send back. It may come again as soon as it has the call.
    pub(super) fn remember(&mut self, requester: &Requester, proxy: &Proxy) {
        if !requester.remembers_reasoning {
            return;
        }
        for memo in self.reading.memos() {
            proxy.live.remember(requester.user, &memo.call_id, &memo.reasoning);
        }
    }

    /// What the provider keeps the answer under is this account's, from the moment that the client may see it: its next
    /// request may come before the answer's end.
    pub(super) fn bind(&mut self, requester: &Requester, proxy: &Proxy) {
        if self.bound || !self.succeeded() {
            return;
        }
        let Some(issued) = self.reading.issued_id() else { return };
        self.bound = true;
        proxy.live.bind(issued, Binding { account: self.account.id, user: requester.user });
    }

    /// What the request builds on was of use, and may be again.
    fn bind_again(&self, requester: &Requester, proxy: &Proxy) {
        if let Some(id) = requester.bound_id.as_deref().filter(|_| self.succeeded()) {
            proxy.live.bind(id, Binding { account: self.account.id, user: requester.user });
        }
    }

    fn tell(&self, end: &End, words: &str, requester: &Requester, proxy: &Proxy) {
        let Some(reason) = end.reason() else { return };
        if end.outcome() == Outcome::UpstreamError {
            proxy.metrics.attempt_failed(reason);
        }
        tracing::info!(
            request = %requester.request, trace = requester.trace.map(tracing::field::display), account = %self.account.name,
            account_id = %self.account.id, reason = %reason.code(), detail = words, "an attempt failed"
        );
    }

    /// What a failure says about the account becomes known to others.
    fn mark(&self, failure: &Failure, proxy: &Proxy) {
        let now = proxy.clock.now();
        match failure.class {
            Class::Limited(kind) => {
                let until = now.plus(failure.limited_for.unwrap_or_else(|| guess(kind)));
                let reason = failure.reason.code().into_owned();
                let guessed = failure.limited_for.is_none();
                proxy.live.mark(self.account.id, Mark { kind, until, reason, model_family: None, guessed });
            }
            Class::Credential | Class::Billing => proxy.tester.confirm(&self.account),
            Class::ModelDenied => {
                if let Some(endpoint) = self.endpoint {
                    let (model, version) = (sent_model(&self.account, &self.model), self.account.version);
                    self.account.state.learned.note_denied(model, endpoint.as_str(), version, now);
                }
            }
            // From here on it has another front, which can't fail this way.
            Class::NoEndpoint => self.account.state.learned.note_no_responses(now),
            Class::ToolSearch => {
                let model = sent_model(&self.account, &self.model);
                self.account.state.learned.note_no_tool_search(model, now);
            }
            Class::Transient | Class::Refused | Class::Reasoning | Class::Counting => {}
        }
    }

    fn record(&self, end: &End, detail: String, worst: WorstCase, meter: &mut Meter, proxy: &Proxy) {
        let (reported, served, is_final) = self.reading.used();
        let snapshot = proxy.snapshot.load();
        let (served_name, sent_name) = (served.unwrap_or_default(), &*self.model);
        let model = snapshot.model(served_name).or_else(|| snapshot.model(sent_name));
        let usage = reported.map(|reported| worst.believed(reported, model));
        let is_final = is_final && usage == reported;
        if usage != reported {
            meter.condition("impossible_usage");
        }
        let price = {
            let (asked, started_at) = meter.asked();
            snapshot.prices.find(&[served_name, sent_name, asked], started_at).map(|found| found.id)
        };
        let estimate = (!is_final && self.has_consumed(end, usage)).then(|| self.estimate(usage, worst));
        meter.losses(self.reading.losses().as_ref());
        meter.end_attempt(EndedAttempt {
            end,
            status: self.status,
            usage,
            served,
            estimate,
            bound: worst.at_least(usage),
            rated: self.is_rated(end),
            price,
            detail,
        });
        if estimate.is_some() && usage.is_none() {
            meter.condition("no_usage_reported");
        }
    }

    /// Whether the provider may charge for it: of what was refused, or not sent, nothing was consumed.
    fn has_consumed(&self, end: &End, usage: Option<Usage>) -> bool {
        let is_refused = self.is_refused() || matches!(end, End::Refused(_));
        usage.is_some() || (self.is_sent() && !is_refused)
    }

    /// Whether the user pays: for what reached the client, and for what the client left behind.
    fn is_rated(&self, end: &End) -> bool {
        match end {
            End::Completed | End::ClientGone(_) => true,
            End::Refused(_) | End::Failed(_) | End::CutOff(_) => self.reached_client(),
        }
    }

    /// What was consumed, between what is known of it and the worst case.
    fn estimate(&self, usage: Option<Usage>, worst: WorstCase) -> Usage {
        let mut estimate = usage.unwrap_or_default();
        if estimate.context() == 0 {
            estimate.input = worst.likely_input;
        }
        let written = match &self.reading {
            Reading::Whole(_) if self.content => self.read_bytes / BYTES_A_TOKEN,
            // What was thought and not shown takes time; and there are no more than the bytes can hold.
            _ if self.content => {
                let shown = self.reading.written().max(self.reads);
                self.in_time().max(shown).min(self.read_bytes / BYTES_A_TOKEN)
            }
            _ => self.in_time(),
        };
        estimate.output = estimate.output.max(written.min(worst.output));
        estimate
    }

    /// Tokens that a model writes in the time that the attempt took.
    fn in_time(&self) -> u64 {
        let tenths = u64::try_from(self.began.elapsed().as_millis() / 100).unwrap_or(u64::MAX);
        tenths.saturating_mul(TOKENS_A_SECOND) / 10
    }
}
