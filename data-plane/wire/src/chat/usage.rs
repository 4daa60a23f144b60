//! chat: `prompt_tokens` has the cached ones inside, `completion_tokens` the reasoning ones.

use shared::usage::Usage;

use crate::json;

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
