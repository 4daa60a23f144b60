//! chat: `prompt_tokens` has all that was read from and written to caches inside, `completion_tokens` the reasoning.

use shared::usage::Usage;

use crate::json::{self, write::Object};

/// The counts of a `usage` object; none when it holds none, as `null` does.
pub(crate) fn read(usage: &str) -> Option<Usage> {
    let (mut prompt, mut completion, mut cached, mut written, mut reasoning) = (None, None, None, None, None);
    json::object(usage, |field| match &*field.name() {
        "prompt_tokens" => prompt = json::count(field.value),
        "completion_tokens" => completion = json::count(field.value),
        "prompt_tokens_details" => {
            cached = json::count_in(field.value, "cached_tokens");
            written = json::count_in(field.value, "cache_write_tokens");
        }
        "completion_tokens_details" => reasoning = json::count_in(field.value, "reasoning_tokens"),
        _ => {}
    })
    .ok()?;
    if prompt.is_none() && completion.is_none() {
        return None;
    }
    let (cache_read, written) = (cached.unwrap_or(0), written.unwrap_or(0));
    Some(Usage {
        input: prompt.unwrap_or(0).saturating_sub(cache_read).saturating_sub(written),
        cache_read,
        // For how long is not said.
        cache_write_5m: written,
        output: completion.unwrap_or(0),
        reasoning: reasoning.unwrap_or(0),
        ..Usage::default()
    })
}

/// Writes the counts as the field `usage`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_and_written_tokens_are_taken_out_of_the_prompt() {
        let usage = read(
            r#"{"prompt_tokens":2006,"prompt_tokens_details":{"cached_tokens":1920,"cache_write_tokens":80},
                "completion_tokens":1300,"completion_tokens_details":{"reasoning_tokens":1024},"total_tokens":3306}"#,
        );
        let expected = Usage {
            input: 6,
            cache_read: 1920,
            cache_write_5m: 80,
            output: 1300,
            reasoning: 1024,
            ..Usage::default()
        };
        assert_eq!(usage, Some(expected));
    }
}
