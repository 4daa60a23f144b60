//! chat: `prompt_tokens` has all that was read from and written to caches inside, `completion_tokens` the reasoning.

use shared::usage::Usage;

use crate::{
    json::{self, write::Object},
    usage::{UnreadableCount, main_count},
};

/// The counts of a `usage` object; none when it holds none, as `null` does, and when they can't be read.
pub(crate) fn read(usage: &str) -> Option<Usage> {
    stated(usage).ok().flatten()
}

/// As [`read`].
///
/// # Errors
/// It holds counts that can't be read.
pub(crate) fn stated(usage: &str) -> Result<Option<Usage>, UnreadableCount> {
    let (mut prompt, mut completion) = (Ok(None), Ok(None));
    let (mut cached, mut written, mut reasoning) = (None, None, None);
    let read = json::object(usage, |field| match &*field.name() {
        "prompt_tokens" => prompt = main_count(field.value),
        "completion_tokens" => completion = main_count(field.value),
        "prompt_tokens_details" => {
            [cached, written] = json::counts_in(field.value, ["cached_tokens", "cache_write_tokens"]);
        }
        "completion_tokens_details" => {
            [reasoning] = json::counts_in(field.value, ["reasoning_tokens"]);
        }
        _ => {}
    });
    let (prompt, completion) = (prompt?, completion?);
    if read.is_err() || prompt.or(completion).is_none() {
        return Ok(None);
    }
    let (cache_read, written) = (cached.unwrap_or(0), written.unwrap_or(0));
    Ok(Some(Usage {
        input: prompt.unwrap_or(0).saturating_sub(cache_read).saturating_sub(written),
        cache_read,
        // For how long is not said.
        cache_write_5m: written,
        output: completion.unwrap_or(0),
        reasoning: reasoning.unwrap_or(0),
        ..Usage::default()
    }))
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

    #[test]
    fn a_main_count_that_can_not_be_read_leaves_none() {
        for odd in ["\"7\"", "-7", "7.5", "[7]", "true"] {
            for usage in [
                format!(r#"{{"prompt_tokens":{odd},"completion_tokens":7}}"#),
                format!(r#"{{"prompt_tokens":7,"completion_tokens":{odd}}}"#),
            ] {
                assert_eq!((read(&usage), stated(&usage)), (None, Err(UnreadableCount)), "{usage}");
            }
        }
        for silent in [r#"{"prompt_tokens":null,"completion_tokens":7}"#, r#"{"completion_tokens":7}"#] {
            assert_eq!(read(silent), Some(Usage { output: 7, ..Usage::default() }), "{silent}");
        }
        assert_eq!(stated("null"), Ok(None));
    }
}
