//! chat: `prompt_tokens` has the cached ones inside, `completion_tokens` the reasoning ones.

use shared::usage::Usage;

use crate::json::{self, write::Object};

/// The counts of a `usage` object; none when it holds none, as `null` does.
pub(crate) fn read(usage: &str) -> Option<Usage> {
    let (mut prompt, mut completion, mut cached, mut reasoning) = (None, None, None, None);
    json::object(usage, |field| match &*field.name() {
        "prompt_tokens" => prompt = json::count(field.value),
        "completion_tokens" => completion = json::count(field.value),
        "prompt_tokens_details" => cached = detail(field.value, "cached_tokens"),
        "completion_tokens_details" => reasoning = detail(field.value, "reasoning_tokens"),
        _ => {}
    })
    .ok()?;
    if prompt.is_none() && completion.is_none() {
        return None;
    }
    let cache_read = cached.unwrap_or(0);
    Some(Usage {
        input: prompt.unwrap_or(0).saturating_sub(cache_read),
        cache_read,
        output: completion.unwrap_or(0),
        reasoning: reasoning.unwrap_or(0),
        ..Usage::default()
    })
}

fn detail(details: &str, name: &str) -> Option<u64> {
    let mut count = None;
    json::object(details, |field| {
        if field.name() == name {
            count = json::count(field.value);
        }
    })
    .ok()?;
    count
}

/// Writes the counts as the field `usage`. What was written to a cache is a part of the prompt here.
pub(crate) fn write(o: &mut Object<'_>, usage: &Usage) {
    let prompt = usage.context();
    o.object("usage", |o| {
        o.value("prompt_tokens", &prompt);
        o.value("completion_tokens", &usage.output);
        o.value("total_tokens", &prompt.saturating_add(usage.output));
        o.object("prompt_tokens_details", |o| {
            o.value("cached_tokens", &usage.cache_read);
            o.value("cache_write_tokens", &usage.cache_write_5m.saturating_add(usage.cache_write_1h));
            o.value("audio_tokens", &0);
        });
        o.object("completion_tokens_details", |o| {
            o.value("reasoning_tokens", &usage.reasoning);
            o.value("audio_tokens", &0);
            o.value("accepted_prediction_tokens", &0);
            o.value("rejected_prediction_tokens", &0);
        });
    });
}
