//! Stage 4: what may come of a request: whom it may go to, for how long, and what it may use.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use shared::{id::AccountId, usage::Usage};
use wire::raw::inline;

use super::{
    adapt::Prepared,
    deadlines::{Deadlines, Limit},
    filter::Admitted,
    refusal::Refusal,
};
use crate::{
    faults::{self, Place},
    provider::Operation,
    proxy::Proxy,
    refusals::Asked,
    snapshot::{Model, Policy, Snapshot},
};

/// Tokens of a model's context where nobody says how many.
const UNKNOWN_WINDOW: u64 = 1_000_000;
/// Tokens that a model may write where neither the request nor its catalogue entry says how many.
const UNKNOWN_OUTPUT: u64 = 128_000;

/// How often a provider asks its model within one request, at the most, where its own tools may be used.
const SERVER_CALLS: u64 = 32;
/// Models have larger windows, and write more, for those who ask for it than their entries say; up to these.
const LARGEST_WINDOW: u64 = 2_000_000;
const LARGEST_OUTPUT: u64 = 256_000;
/// The same of a model that has no entry.
const UNKNOWN_LARGEST_WINDOW: u64 = 16_000_000;
const UNKNOWN_LARGEST_OUTPUT: u64 = 1_000_000;

/// Answers that a provider gives to one request, at the most.
const MOST_ANSWERS: u64 = 128;

/// A request that is ready to go out, to whomever it goes.
#[derive(Debug)]
pub(super) struct Plan {
    /// Shared with the thread that converts a long body.
    pub(super) admitted: Arc<Admitted>,
    pub(super) prepared: Arc<Prepared>,
    /// The account that knows what the request builds on. There is one target so far, the model that was asked for: a
    /// chain of them has its place here, and [`super::selection`] goes along it.
    pub(super) bound: Option<AccountId>,
    pub(super) bounds: Bounds,
}

/// What a request may take.
#[derive(Debug)]
pub(super) struct Bounds {
    /// In force since the request arrived.
    pub(super) deadlines: Deadlines,
    pub(super) times: Times,
    pub(super) worst: WorstCase,
}

/// How long things may take, by the kind of answer that is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// From the request's arrival to the first content, over all attempts.
    deadline: Duration,
    /// One attempt, where no part of the answer shows that it goes on.
    pub(super) attempt: Option<Duration>,
    /// What is read on behind a client that left.
    pub(super) drain: Duration,
}

impl Times {
    const fn of(policy: &Policy, stream: bool) -> Self {
        if stream {
            Self { deadline: policy.deadline, attempt: None, drain: policy.drain }
        } else {
            Self {
                deadline: policy.plain_deadline,
                attempt: Some(policy.plain_attempt),
                drain: policy.plain_drain,
            }
        }
    }
}

/// Tokens that an attempt may use, as far as the request shows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WorstCase {
    pub(super) likely_input: u64,
    pub(super) input: u64,
    pub(super) output: u64,
    /// Answers asked for.
    pub(super) answers: u64,
    /// How often the provider may ask its model: what its own tools find goes to the model as well.
    pub(super) calls: u64,
}

impl WorstCase {
    fn of(admitted: &Admitted, snapshot: &Snapshot) -> Self {
        let view = &admitted.view;
        let (_, name) = shared::model::split_account_type(&view.model);
        let name = snapshot.mappings.get(name).map_or(name, String::as_str);
        let model = snapshot.model(name);
        let window = model.and_then(|model| model.context_window).unwrap_or(u64::MAX);
        let input = inline::tokens(&admitted.body);
        // What the provider keeps or fetches adds input that the body does not show.
        let fetches = inline::names_more(&admitted.body);
        let most = match view.bound_id.is_some() || fetches {
            true => model.and_then(|model| model.context_window).unwrap_or(UNKNOWN_WINDOW).max(input.most),
            false => input.most.min(window),
        };
        let asked = view.max_tokens.into_iter().chain(view.max_completion_tokens).max();
        let output = match admitted.call.operation {
            Operation::Embeddings => 0,
            _ => asked.or_else(|| model.and_then(|model| model.max_output)).unwrap_or(UNKNOWN_OUTPUT),
        };
        // What is beyond all models is refused by them, or cut.
        let output = output.min(UNKNOWN_LARGEST_OUTPUT);
        let answers = view.n.unwrap_or(1).clamp(1, MOST_ANSWERS);
        Self {
            likely_input: input.likely.min(most),
            input: most,
            output: output.saturating_mul(answers),
            answers,
            calls: if fetches { SERVER_CALLS } else { 1 },
        }
    }

    /// What of a reported usage may be true: a broken upstream must not empty a budget. What no model could have used
    /// counts as not reported.
    pub(super) fn believed(self, reported: Usage, model: Option<&Model>) -> Usage {
        let largest = |stated: Option<Option<u64>>, known: u64, unknown: u64| match stated {
            Some(stated) => stated.unwrap_or(0).max(known),
            None => unknown,
        };
        let window = largest(model.map(|model| model.context_window), LARGEST_WINDOW, UNKNOWN_LARGEST_WINDOW);
        let written = largest(model.map(|model| model.max_output), LARGEST_OUTPUT, UNKNOWN_LARGEST_OUTPUT);
        let times = self.calls.saturating_mul(self.answers);
        let mut believed = reported;
        if reported.context() > window.max(self.input).saturating_mul(times) {
            believed = Usage { output: reported.output, reasoning: reported.reasoning, ..Usage::default() };
        }
        if reported.output > written.max(self.output).saturating_mul(times) {
            (believed.output, believed.reasoning) = (0, 0);
        }
        believed
    }

    /// It, or what is known to be more.
    pub(super) fn at_least(self, usage: Option<Usage>) -> Usage {
        let known = usage.unwrap_or_default();
        // How it is charged is known as far as the usage says; the rest counts as input.
        Usage {
            input: known.input.saturating_add(self.input.saturating_sub(known.context())),
            output: known.output.max(self.output),
            ..known
        }
    }
}

/// # Errors
/// The request builds on something of another user's.
pub(super) async fn plan(
    proxy: &Proxy,
    (admitted, headers): (Arc<Admitted>, HeaderMap),
    mut deadlines: Deadlines,
    asked: &mut Asked,
) -> Result<Plan, Refusal> {
    faults::reach(Place::Plan);
    let prepared = Arc::new(Prepared::of(&admitted, headers, proxy.clock.now()));
    let bound = bound_account(proxy, &admitted).await;
    let bound = bound.inspect_err(|_| asked.wants(&admitted.view.model))?;
    let snapshot = Arc::clone(&admitted.caller.snapshot);
    let times = Times::of(&snapshot.policy, admitted.view.stream);
    deadlines.set(Limit::Deadline, admitted.call.arrived + times.deadline);
    let worst = WorstCase::of(&admitted, &snapshot);
    Ok(Plan { admitted, prepared, bound, bounds: Bounds { deadlines, times, worst } })
}

/// The account that knows what the request builds on, where it builds on something that an account keeps.
async fn bound_account(proxy: &Proxy, admitted: &Admitted) -> Result<Option<AccountId>, Refusal> {
    let Some(id) = &admitted.view.bound_id else { return Ok(None) };
    match proxy.live.bound(id).await {
        // Whether another user's id exists is nobody's business.
        Some(binding) if binding.user != admitted.caller.key.user_id => Err(Refusal::UnknownId),
        binding => Ok(binding.map(|binding| binding.account)),
    }
}
