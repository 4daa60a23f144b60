//! `generationConfig`.

use crate::{
    canonical::{Effort, Format, Request, Show, ThinkingMode},
    json::write::Object,
};

pub(super) fn config(o: &mut Object<'_>, request: &Request<'_>) {
    let sampling = &request.sampling;
    o.some("maxOutputTokens", request.max_output.as_ref());
    o.some("temperature", sampling.temperature.as_ref());
    o.some("topP", sampling.top_p.as_ref());
    o.some("topK", sampling.top_k.as_ref());
    o.some("seed", sampling.seed.as_ref());
    o.some("presencePenalty", sampling.presence_penalty.as_ref());
    o.some("frequencyPenalty", sampling.frequency_penalty.as_ref());
    if !sampling.stop.is_empty() {
        o.value("stopSequences", &sampling.stop);
    }
    o.some("candidateCount", sampling.n.as_ref());
    o.some("responseLogprobs", sampling.logprobs.as_ref());
    o.some("logprobs", sampling.top_logprobs.as_ref());
    match &request.format {
        Format::Text => {}
        Format::JsonObject => o.string("responseMimeType", "application/json"),
        Format::JsonSchema { schema, .. } => {
            o.string("responseMimeType", "application/json");
            o.raw("responseJsonSchema", schema);
        }
    }
    thinking(o, request);
}

fn thinking(o: &mut Object<'_>, request: &Request<'_>) {
    let thinking = &request.thinking;
    let asked = thinking.budget.is_some()
        || thinking.effort.is_some()
        || matches!(thinking.mode, Some(ThinkingMode::On | ThinkingMode::Adaptive));
    let is_off = thinking.mode == Some(ThinkingMode::Off);
    let shows = !is_off && thinking.show.map_or(asked, |show| show != Show::Hidden);
    if !asked && !is_off && !shows {
        return;
    }
    o.object("thinkingConfig", |o| {
        if shows {
            o.value("includeThoughts", &true);
        }
        match (thinking.mode, thinking.budget, thinking.effort) {
            (Some(ThinkingMode::Off), ..) => o.value("thinkingBudget", &0),
            (_, Some(budget), _) => o.value("thinkingBudget", &budget),
            (_, None, Some(effort)) if is_third_generation(&request.model) => {
                o.string("thinkingLevel", level(effort))
            }
            (_, None, Some(effort)) => o.value("thinkingBudget", &effort.budget()),
            (Some(ThinkingMode::Adaptive), None, None) => o.value("thinkingBudget", &-1),
            _ => {}
        }
    });
}

/// From Gemini 3 on, models think by level; before, by a budget of tokens.
pub(crate) fn is_third_generation(model: &str) -> bool {
    model.split("gemini-").skip(1).any(|rest| {
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        rest.get(..end).and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 3)
    })
}

const fn level(effort: Effort) -> &'static str {
    match effort {
        Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High | Effort::XHigh | Effort::Max => "HIGH",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_came_with_the_third_generation() {
        for model in ["gemini-3-pro-preview", "models/gemini-3.1-flash", "google/gemini-10"] {
            assert!(is_third_generation(model), "{model}");
        }
        for model in ["gemini-2.5-flash", "gemini-pro", "gemini-", "gpt-5"] {
            assert!(!is_third_generation(model), "{model}");
        }
    }
}
