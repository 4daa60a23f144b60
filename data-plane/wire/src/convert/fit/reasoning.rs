//! Reasoning: how much, and whose may be sent back.

use serde_json::Number;

use super::{Fit, Target};
use crate::{
    canonical::{
        Block, Effort, Origin, Request, Role, Sampling, Show, Signature, SignatureKind, Thinking,
        ThinkingMode, Tool, ToolChoice,
    },
    convert::{capabilities::Format, claude::Claude, openai::OpenAi},
    gemini::{
        encode::is_third_generation,
        signature::{NO_PROOF, calls_need_proof},
    },
    loss::LossCode,
};

/// Anthropic's least budget.
const BUDGET_MIN: u64 = 1024;
/// Gemini 2.5's: Pro can't stop thinking, and Flash has less room.
const PRO_BUDGET_MIN: u64 = 128;
const FLASH_BUDGET_MAX: u64 = 24_576;

impl Fit<'_> {
    pub(super) fn reasoning(&mut self, request: &mut Request<'_>) {
        let own = self.target.reasoning_of(&self.asked);
        for turn in request.turns.iter_mut().filter(|turn| turn.role == Role::Assistant) {
            turn.blocks.retain_mut(|block| self.may_go_back(block, own));
        }
        request.turns.retain(|turn| !turn.blocks.is_empty());
        let thinking = &mut request.thinking;
        let is_silent = thinking.mode.is_none() && thinking.effort.is_none() && thinking.budget.is_none();
        // Claude thinks when it is told to: who wants to read thoughts wants some. Others show those that there are.
        let must_be_told = matches!(self.target.format, Format::Messages | Format::Converse);
        if must_be_told && is_silent && thinking.show.is_some_and(|show| show != Show::Hidden) {
            thinking.mode = Some(ThinkingMode::Adaptive);
        }
        match self.target.format {
            Format::Messages => self.claude(request),
            Format::Converse => self.converse(request),
            Format::Chat | Format::Responses => self.openai(request),
            Format::Gemini => {
                self.gemini(&mut request.thinking);
                sign_calls(request, self.target.model);
            }
        }
    }

    /// Takes foreign signatures off, and keeps reasoning that its provider can check.
    fn may_go_back(&mut self, block: &mut Block<'_>, own: Option<Origin>) -> bool {
        let Target { replayed, model, .. } = self.target;
        let is_own = |signature: &Signature<'_>| {
            Some(signature.origin) == own && !replayed.is_refused(model, &signature.value)
        };
        match block {
            Block::ToolCall(call) => {
                // A proof on a call is Gemini's own; chat hands it on for fronts of Gemini.
                let is_handed_on = self.target.format == Format::Chat;
                let is_refused = |proof: &Signature<'_>| replayed.is_refused(model, &proof.value);
                let keep = call
                    .signature
                    .as_ref()
                    .is_none_or(|proof| is_own(proof) || (is_handed_on && !is_refused(proof)));
                if !keep {
                    call.signature = None;
                    self.losses.add(LossCode::ForeignReasoning, "signature");
                }
                true
            }
            Block::Text(text) => {
                if text.signature.as_ref().is_some_and(|signature| !is_own(signature)) {
                    text.signature = None;
                    self.losses.add(LossCode::ForeignReasoning, "signature");
                }
                // There may have been nothing but the signature.
                !text.text.is_empty() || text.signature.is_some()
            }
            Block::Reasoning(reasoning) => {
                let keep = reasoning.signature.as_ref().is_some_and(is_own);
                if !keep {
                    self.losses.add(LossCode::ForeignReasoning, "reasoning");
                }
                keep
            }
            _ => true,
        }
    }

    /// Claude thinks by budget, newer models by effort.
    fn claude(&mut self, request: &mut Request<'_>) {
        let claude = self.claude_model();
        self.claude_sampling(claude, &mut request.sampling);
        if !wants(&request.thinking) {
            return self.claude_off(claude, &mut request.thinking);
        }
        if claude.thinks_adaptively() {
            self.claude_adaptively(claude, &mut request.thinking);
        } else {
            if lacks_thinking(request) {
                return self.without(request, "messages");
            }
            if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))) {
                return self.without(request, "tool_choice");
            }
            let thinking = &mut request.thinking;
            let asked = thinking.budget.or_else(|| thinking.effort.map(Effort::budget)).unwrap_or(8192);
            let limit = request.max_output.unwrap_or(self.target.default_max_output);
            // The budget is a part of the output, and something must be left to say.
            let budget = asked.max(BUDGET_MIN).min(limit.saturating_sub(limit / 4));
            if budget < BUDGET_MIN {
                return self.without(request, "max_tokens");
            }
            if budget < asked {
                self.losses.add(LossCode::Clamped, "reasoning");
            }
            thinking.mode = Some(ThinkingMode::On);
            thinking.budget = Some(budget);
            thinking.effort = None;
        }
        let sampling = &mut request.sampling;
        if sampling.temperature.take().is_some_and(|asked| asked.as_f64() != Some(1.0)) {
            self.losses.add(LossCode::Clamped, "temperature");
        }
        if sampling.top_k.take().is_some() | sampling.top_p.take().is_some() {
            self.losses.add(LossCode::Field, "top_k");
        }
    }

    fn claude_sampling(&mut self, claude: Claude, sampling: &mut Sampling<'_>) {
        let is_odd = |number: &Number| number.as_f64() != Some(1.0);
        if claude.samples_by_itself() {
            if sampling.temperature.take().as_ref().is_some_and(is_odd) {
                self.losses.add(LossCode::Clamped, "temperature");
            }
            if sampling.top_p.take().as_ref().is_some_and(is_odd) {
                self.losses.add(LossCode::Field, "top_p");
            }
            self.drop_unless(false, &mut sampling.top_k, "top_k");
        } else if sampling.temperature.is_some() {
            // Newer models refuse to be told both.
            self.drop_unless(false, &mut sampling.top_p, "top_p");
        }
    }

    /// No more is said of the effort than the client said.
    fn claude_adaptively(&mut self, claude: Claude, thinking: &mut Thinking) {
        thinking.effort = thinking.effort.or(thinking.budget.map(Effort::of_budget));
        thinking.mode = Some(ThinkingMode::Adaptive);
        thinking.budget = None;
        let asked = thinking.effort;
        if asked == Some(Effort::XHigh) && !claude.takes_highest_efforts() {
            thinking.effort = Some(Effort::High);
        }
        thinking.effort = thinking.effort.map(|effort| effort.max(Effort::Low));
        if thinking.effort != asked {
            self.losses.add(LossCode::Clamped, "reasoning");
        }
    }

    /// Some models can't be kept from thinking, or not at every effort.
    fn claude_off(&mut self, claude: Claude, thinking: &mut Thinking) {
        if thinking.mode != Some(ThinkingMode::Off) {
            return;
        }
        let before = *thinking;
        if !claude.takes_effort() {
            thinking.effort = None;
        } else if claude.clamps_effort_when_off() {
            thinking.effort = thinking.effort.map(|effort| effort.min(Effort::High));
        }
        if claude.always_thinks() {
            (thinking.mode, thinking.effort) = (None, Some(Effort::Low));
        }
        if *thinking != before {
            self.losses.add(LossCode::Clamped, "reasoning");
        }
    }

    /// OpenAI's models say by their names whether they think, and those that do refuse to be sampled otherwise.
    fn openai(&mut self, request: &mut Request<'_>) {
        let model = self.openai_model();
        let thinking = &mut request.thinking;
        if thinking.effort.is_none() && thinking.mode != Some(ThinkingMode::Off) {
            thinking.effort = effort_of(thinking);
        }
        // Who turns thinking on expects to see it; who names an effort may not.
        let is_on = matches!(thinking.mode, Some(ThinkingMode::On | ThinkingMode::Adaptive));
        if is_on && thinking.show.is_none() {
            thinking.show = Some(Show::Auto);
        }
        thinking.budget = None;
        if model.never_thinks() {
            if wants(thinking) {
                self.losses.add(LossCode::ReasoningOff, "model");
            }
            *thinking = Thinking::default();
            return;
        }
        if self.target.format == Format::Chat
            && model.thinks_in_responses_only()
            && request.tools.iter().any(|tool| matches!(tool, Tool::Function { .. }))
        {
            // Left out, it means some there.
            if wants(thinking) || model.thinks_by_itself() {
                self.losses.add(LossCode::ReasoningOff, "tools");
            }
            *thinking = Thinking { mode: Some(ThinkingMode::Off), ..Thinking::default() };
            return;
        }
        self.openai_effort(&model, thinking);
        if thinking.mode != Some(ThinkingMode::Off) {
            // What it thinks anyway comes back with the history.
            thinking.encrypted |= model.thinks_by_itself();
        }
        let is_off = thinking.mode == Some(ThinkingMode::Off);
        let is_shown = thinking.show.is_some_and(|show| show != Show::Hidden);
        let thinks = thinking.effort.is_some() || is_shown || (model.thinks_by_itself() && !is_off);
        if model.always_thinks() || (model.is_fifth() && thinks) {
            self.as_sampled_by_itself(request);
        }
    }

    fn openai_effort(&mut self, model: &OpenAi, thinking: &mut Thinking) {
        let (least, most) = model.efforts();
        let clamped = thinking.effort.map(|asked| asked.clamp(least, most));
        let can_not = thinking.mode == Some(ThinkingMode::Off) && model.always_thinks();
        if clamped != thinking.effort || can_not {
            self.losses.add(LossCode::Clamped, "reasoning");
        }
        thinking.effort = clamped;
        if can_not {
            (thinking.mode, thinking.effort) = (None, Some(least));
        }
    }

    fn as_sampled_by_itself(&mut self, request: &mut Request<'_>) {
        let sampling = &mut request.sampling;
        let odd = |number: &Option<serde_json::Number>| {
            number.as_ref().is_some_and(|number| number.as_f64() != Some(1.0))
        };
        if odd(&sampling.temperature) || odd(&sampling.top_p) {
            self.losses.add(LossCode::Clamped, "temperature");
        }
        (sampling.temperature, sampling.top_p) = (None, None);
        if sampling.presence_penalty.take().is_some() | sampling.frequency_penalty.take().is_some() {
            self.losses.add(LossCode::Field, "presence_penalty");
        }
        if sampling.logprobs.take().is_some() | sampling.top_logprobs.take().is_some() {
            self.losses.add(LossCode::Field, "logprobs");
        }
        if !sampling.stop.is_empty() {
            sampling.stop.clear();
            self.losses.add(LossCode::Field, "stop");
        }
    }

    /// Google's models differ in how little and how much they can think.
    fn gemini(&mut self, thinking: &mut Thinking) {
        let name = self.target.model;
        let (is_pro, is_off) = (name.contains("pro"), thinking.mode == Some(ThinkingMode::Off));
        let before = *thinking;
        if is_third_generation(name) {
            let least = if is_pro || minor(name) >= 7 { Effort::Low } else { Effort::Minimal };
            if is_off {
                (thinking.mode, thinking.budget, thinking.effort) = (None, None, Some(least));
            }
            thinking.effort = thinking.effort.map(|effort| effort.max(least));
            // The first of the generation knows low and high.
            if name.starts_with("gemini-3-pro") && thinking.effort == Some(Effort::Medium) {
                thinking.effort = Some(Effort::High);
            }
        } else if name.contains("gemini-2.5") && is_pro && is_off {
            (thinking.mode, thinking.budget, thinking.effort) = (None, Some(PRO_BUDGET_MIN), None);
        } else if name.contains("gemini-2.5") && !is_pro {
            let asked = thinking.budget.or(thinking.effort.map(Effort::budget));
            thinking.budget = asked.map(|asked| asked.min(FLASH_BUDGET_MAX));
        }
        if is_off && thinking.mode.is_none() {
            thinking.show = Some(Show::Hidden);
        }
        let says_budget =
            before.budget.is_some() || before.effort.is_some_and(|effort| effort > Effort::High);
        if thinking.mode != before.mode
            || thinking.effort != before.effort
            || (says_budget && thinking.budget != before.budget)
        {
            self.losses.add(LossCode::Clamped, "reasoning");
        }
    }

    fn converse(&mut self, request: &mut Request<'_>) {
        if wants(&request.thinking) {
            // How a model thinks is its own field there, and those are not known for every model.
            self.without(request, "model");
        }
    }

    fn without(&mut self, request: &mut Request<'_>, why: &'static str) {
        self.losses.add(LossCode::ReasoningOff, why);
        request.thinking = Thinking::default();
        for turn in &mut request.turns {
            turn.blocks.retain(|block| !matches!(block, Block::Reasoning(_)));
        }
        request.turns.retain(|turn| !turn.blocks.is_empty());
    }
}

/// Says of calls without a proof that there is none, to models that want one.
fn sign_calls(request: &mut Request<'_>, model: &str) {
    if !calls_need_proof(model) {
        return;
    }
    for turn in &mut request.turns {
        let first = turn.blocks.iter_mut().find_map(|block| match block {
            Block::ToolCall(call) => Some(call),
            _ => None,
        });
        if let Some(call) = first.filter(|call| call.signature.is_none()) {
            call.signature = Some(Signature {
                origin: Origin::Gemini,
                kind: SignatureKind::Proof,
                id: None,
                value: NO_PROOF.into(),
            });
        }
    }
}

fn wants(thinking: &Thinking) -> bool {
    let asked = thinking.effort.is_some() || thinking.budget.is_some();
    match thinking.mode {
        Some(ThinkingMode::Off) => false,
        Some(_) => true,
        None => asked,
    }
}

/// The number behind the point in `gemini-3.7-flash`; 0: none.
fn minor(model: &str) -> u32 {
    let rest = model.strip_prefix("gemini-3.").unwrap_or_default();
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..digits).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn effort_of(thinking: &Thinking) -> Option<Effort> {
    match (thinking.budget, thinking.mode) {
        (Some(budget), _) => Some(Effort::of_budget(budget)),
        (None, Some(ThinkingMode::On | ThinkingMode::Adaptive)) => Some(Effort::Medium),
        (None, _) => None,
    }
}

/// Whether the history ends in tools' results for a turn that has no reasoning of Claude's, or in such a turn: then a
/// model that thinks by budget refuses to think on.
fn lacks_thinking(request: &Request<'_>) -> bool {
    let last = request.turns.iter().rposition(|turn| turn.role == Role::Assistant);
    let Some(turn) = last.and_then(|at| request.turns.get(at)) else { return false };
    let calls = turn.blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
    let thought = |block: &Block<'_>| match block {
        Block::Reasoning(reasoning) => reasoning.signature.as_ref().is_some_and(|signature| {
            signature.origin == Origin::Claude
                && matches!(signature.kind, SignatureKind::Proof | SignatureKind::Encrypted)
        }),
        _ => false,
    };
    let is_last = last.is_some_and(|at| at + 1 == request.turns.len());
    (calls || is_last) && !turn.blocks.iter().any(thought)
}
