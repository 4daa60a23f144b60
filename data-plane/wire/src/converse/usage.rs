//! converse: `inputTokens` excludes what was read from and written to caches.

use shared::usage::Usage;

use crate::{json, usage::main_count};

/// The counts of a `usage` object; none when it holds none, and when they can't be read.
pub(crate) fn read(usage: &str) -> Option<Usage> {
    let (mut input, mut output) = (Ok(None), Ok(None));
    let (mut cache_read, mut cache_write) = (None, None);
    let mut long_lived = 0u64;
    json::object(usage, |field| match &*field.name() {
        "inputTokens" => input = main_count(field.value),
        "outputTokens" => output = main_count(field.value),
        "cacheReadInputTokens" => cache_read = json::count(field.value),
        "cacheWriteInputTokens" => cache_write = json::count(field.value),
        "cacheDetails" => long_lived = written_for_an_hour(field.value),
        _ => {}
    })
    .ok()?;
    let (input, output) = (input.ok()?, output.ok()?);
    input.or(output).or(cache_read).or(cache_write)?;
    let cache_write = cache_write.unwrap_or(0).max(long_lived);
    Some(Usage {
        input: input.unwrap_or(0),
        cache_read: cache_read.unwrap_or(0),
        // Writes of unstated life count as the shorter.
        cache_write_5m: cache_write - long_lived,
        cache_write_1h: long_lived,
        output: output.unwrap_or(0),
        reasoning: 0,
    })
}

fn written_for_an_hour(details: &str) -> u64 {
    let mut sum = 0u64;
    // Details that are no list state nothing.
    let _ = json::array(details, |detail| {
        let (mut lives, mut tokens) = (None, None);
        let _ = json::object(detail, |field| match &*field.name() {
            "ttl" => lives = json::string(field.value),
            "inputTokens" => tokens = json::count(field.value),
            _ => {}
        });
        if lives.as_deref() == Some("1h") {
            sum = sum.saturating_add(tokens.unwrap_or(0));
        }
    });
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_do_not_overlap() {
        let usage = r#"{"inputTokens":30,"outputTokens":628,"totalTokens":1458,"cacheReadInputTokens":700,
            "cacheWriteInputTokens":100,"cacheDetails":[{"ttl":"1h","inputTokens":60},{"ttl":"5m","inputTokens":40}]}"#;
        let expected = Usage {
            input: 30,
            cache_read: 700,
            cache_write_5m: 40,
            cache_write_1h: 60,
            output: 628,
            reasoning: 0,
        };
        assert_eq!(read(usage), Some(expected));
    }

    #[test]
    fn what_is_not_stated_is_none() {
        let written = read(r#"{"inputTokens":1,"cacheWriteInputTokens":7}"#);
        assert_eq!(written, Some(Usage { input: 1, cache_write_5m: 7, ..Usage::default() }));
        for nothing in ["{}", "null", "[]", r#"{"inputTokens":null}"#, r#"{"inputTokens":"7"}"#, "{"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_main_count_that_can_not_be_read_leaves_none() {
        for usage in [r#"{"inputTokens":"7","outputTokens":7}"#, r#"{"inputTokens":7,"outputTokens":-1}"#] {
            assert_eq!(read(usage), None, "{usage}");
        }
    }

    #[test]
    fn odd_details_are_survived() {
        let odd = r#"{"inputTokens":1,"cacheDetails":[7,{"ttl":"1h"},{"ttl":"1h","inputTokens":18446744073709551615},
            {"ttl":"1h","inputTokens":9}]}"#;
        assert_eq!(read(odd).map(|usage| usage.context()), Some(u64::MAX));
        assert_eq!(read(r#"{"outputTokens":1,"cacheDetails":{}}"#).map(|usage| usage.output), Some(1));
    }
}
