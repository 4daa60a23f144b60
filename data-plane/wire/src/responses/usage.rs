//! responses: `input_tokens` has all that was read from and written to caches inside, `output_tokens` the reasoning.

use shared::usage::Usage;

use crate::{
    json::{self, write::Object},
    usage::main_count,
};

/// The counts of a `usage` object; none when it holds none, as `null` does, and when they can't be read.
pub(crate) fn read(usage: &str) -> Option<Usage> {
    let (mut input, mut output) = (Ok(None), Ok(None));
    let (mut cached, mut written, mut reasoning) = (None, None, None);
    json::object(usage, |field| match &*field.name() {
        "input_tokens" => input = main_count(field.value),
        "output_tokens" => output = main_count(field.value),
        "input_tokens_details" => {
            [cached, written] = json::counts_in(field.value, ["cached_tokens", "cache_write_tokens"]);
        }
        "output_tokens_details" => {
            [reasoning] = json::counts_in(field.value, ["reasoning_tokens"]);
        }
        _ => {}
    })
    .ok()?;
    let (input, output) = (input.ok()?, output.ok()?);
    input.or(output)?;
    let (cache_read, written) = (cached.unwrap_or(0), written.unwrap_or(0));
    Some(Usage {
        input: input.unwrap_or(0).saturating_sub(cache_read).saturating_sub(written),
        cache_read,
        // Its lives, 30 minutes and 12 hours, are none that are told apart here.
        cache_write_5m: written,
        output: output.unwrap_or(0),
        reasoning: reasoning.unwrap_or(0),
        ..Usage::default()
    })
}

/// Writes the field `usage`.
pub(crate) fn write(object: &mut Object<'_>, usage: &Usage) {
    let input = usage.context();
    object.object("usage", |o| {
        o.value("input_tokens", &input);
        o.object("input_tokens_details", |o| {
            o.value("cached_tokens", &usage.cache_read);
            o.value("cache_write_tokens", &usage.cache_write_5m.saturating_add(usage.cache_write_1h));
        });
        o.value("output_tokens", &usage.output);
        o.object("output_tokens_details", |o| o.value("reasoning_tokens", &usage.reasoning));
        o.value("total_tokens", &input.saturating_add(usage.output));
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::write;

    #[test]
    fn cached_and_written_tokens_are_taken_out_of_the_input() {
        let usage = read(
            r#"{"input_tokens":2006,"input_tokens_details":{"cached_tokens":1920,"cache_write_tokens":80},
                "output_tokens":1300,"output_tokens_details":{"reasoning_tokens":1024},"total_tokens":3306}"#,
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
    fn more_cached_than_there_is_leaves_nothing() {
        let usage = read(r#"{"input_tokens":5,"input_tokens_details":{"cached_tokens":9}}"#).unwrap();
        assert_eq!((usage.input, usage.cache_read), (0, 9));
    }

    #[test]
    fn what_holds_no_counts_is_none() {
        for usage in ["null", "{}", "[]", r#"{"input_tokens":"7"}"#, r#"{"total_tokens":3}"#] {
            assert_eq!(read(usage), None, "{usage}");
        }
    }

    #[test]
    fn a_main_count_that_can_not_be_read_leaves_none() {
        for usage in [r#"{"input_tokens":"7","output_tokens":7}"#, r#"{"input_tokens":7,"output_tokens":-1}"#]
        {
            assert_eq!(read(usage), None, "{usage}");
        }
        let silent = read(r#"{"input_tokens":null,"output_tokens":7}"#);
        assert_eq!(silent, Some(Usage { output: 7, ..Usage::default() }));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            input in 0_u64..1 << 40, cache_read in 0_u64..1 << 40, cache_write_5m in 0_u64..1 << 40,
            output in 0_u64..1 << 40, reasoning in 0_u64..1 << 40,
        ) {
            let usage = Usage { input, cache_read, cache_write_5m, cache_write_1h: 0, output, reasoning };
            let mut out = Vec::new();
            write::object(&mut out, |o| write(o, &usage));
            let text = String::from_utf8(out).unwrap();
            let inner = text.strip_prefix(r#"{"usage":"#).and_then(|text| text.strip_suffix('}'));
            prop_assert_eq!(read(inner.unwrap()), Some(usage));
        }
    }
}
