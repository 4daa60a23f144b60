//! messages: `input_tokens` excludes what was read from and written to caches. A stream restates counts as it goes:
//! they are totals, the last value of each holds.

use shared::usage::Usage;

use crate::{
    json::{self, write::Object},
    usage::{MainCount, main_count},
};

/// Counts as reported so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    input: Option<u64>,
    cache_read: Option<u64>,
    /// All writes, whatever they live.
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    output: Option<u64>,
    /// A part of the output.
    thinking: Option<u64>,
    /// The last that was said of the input, or of the output, can't be read.
    odd_input: bool,
    odd_output: bool,
}

impl Counts {
    /// Takes the counts that a `usage` object states; the others stay. Whether it states the output.
    pub(crate) fn restate(&mut self, usage: &str) -> bool {
        let mut now = Self::default();
        let (mut input, mut output) = (Ok(None), Ok(None));
        let read = json::object(usage, |field| match &*field.name() {
            "input_tokens" => input = main_count(field.value),
            "cache_read_input_tokens" => now.cache_read = json::count(field.value),
            "cache_creation_input_tokens" => now.cache_write = json::count(field.value),
            "cache_creation" => now.split(field.value),
            "output_tokens" => output = main_count(field.value),
            "output_tokens_details" => now.detail(field.value),
            _ => {}
        });
        if read.is_err() {
            return false;
        }
        put(input, &mut self.input, &mut self.odd_input);
        put(output, &mut self.output, &mut self.odd_output);
        self.cache_read = now.cache_read.or(self.cache_read);
        self.thinking = now.thinking.or(self.thinking);
        if now.cache_write_5m.is_some() || now.cache_write_1h.is_some() {
            // A split without a total is a total too; where they differ, the larger is believed.
            let split = now.cache_write_5m.unwrap_or(0).saturating_add(now.cache_write_1h.unwrap_or(0));
            self.cache_write = Some(now.cache_write.unwrap_or(0).max(split));
            self.cache_write_1h = now.cache_write_1h;
        } else {
            self.cache_write = now.cache_write.or(self.cache_write);
        }
        matches!(output, Ok(Some(_)))
    }

    fn split(&mut self, cache_creation: &str) {
        let _ = json::object(cache_creation, |field| match &*field.name() {
            "ephemeral_5m_input_tokens" => self.cache_write_5m = json::count(field.value),
            "ephemeral_1h_input_tokens" => self.cache_write_1h = json::count(field.value),
            _ => {}
        });
    }

    fn detail(&mut self, output_details: &str) {
        let _ = json::object(output_details, |field| {
            if field.name() == "thinking_tokens" {
                self.thinking = json::count(field.value);
            }
        });
    }

    /// What was reported last can't be read: what there is of it may be less than all.
    pub(crate) const fn are_unreadable(&self) -> bool {
        self.odd_input || self.odd_output
    }

    /// None: nothing was reported, or of the input, or of the output, nothing that can be read.
    pub(crate) fn usage(&self) -> Option<Usage> {
        if (self.odd_input && self.input.is_none()) || (self.odd_output && self.output.is_none()) {
            return None;
        }
        self.input.or(self.output).or(self.cache_read).or(self.cache_write)?;
        let total = self.cache_write.unwrap_or(0);
        let cache_write_1h = self.cache_write_1h.unwrap_or(0).min(total);
        Some(Usage {
            input: self.input.unwrap_or(0),
            cache_read: self.cache_read.unwrap_or(0),
            // Writes of unstated life count as the shorter.
            cache_write_5m: total - cache_write_1h,
            cache_write_1h,
            output: self.output.unwrap_or(0),
            reasoning: self.thinking.unwrap_or(0).min(self.output.unwrap_or(0)),
        })
    }
}

/// A main count as it is now said; one that can't be read leaves what was said before.
const fn put(said: MainCount, count: &mut Option<u64>, is_odd: &mut bool) {
    match said {
        Ok(Some(said)) => (*count, *is_odd) = (Some(said), false),
        Ok(None) => {}
        Err(_) => *is_odd = true,
    }
}

/// The fields of a `usage` object, with zeros: SDKs count with them.
pub(crate) fn write(o: &mut Object<'_>, usage: &Usage) {
    write_totals(o, usage);
    o.object("cache_creation", |o| {
        o.value("ephemeral_5m_input_tokens", &usage.cache_write_5m);
        o.value("ephemeral_1h_input_tokens", &usage.cache_write_1h);
    });
}

/// Without the split of cache writes. SDKs take the split from a stream's start alone: where counts come at the end,
/// none is better there than a wrong one.
pub(crate) fn write_totals(o: &mut Object<'_>, usage: &Usage) {
    o.value("input_tokens", &usage.input);
    o.value("cache_creation_input_tokens", &usage.cache_write_5m.saturating_add(usage.cache_write_1h));
    o.value("cache_read_input_tokens", &usage.cache_read);
    o.value("output_tokens", &usage.output);
    if usage.reasoning > 0 {
        o.object("output_tokens_details", |o| o.value("thinking_tokens", &usage.reasoning));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let usage =
            Usage { input: 1, cache_read: 2, cache_write_5m: 3, cache_write_1h: 4, output: 5, reasoning: 4 };
        let mut out = Vec::new();
        crate::json::write::object(&mut out, |o| write(o, &usage));
        assert_eq!(counted(&[std::str::from_utf8(&out).unwrap()]), Some(usage));
    }

    fn counted(usages: &[&str]) -> Option<Usage> {
        let mut counts = Counts::default();
        for usage in usages {
            counts.restate(usage);
        }
        counts.usage()
    }

    #[test]
    fn the_last_value_of_each_count_holds_and_nothing_is_added() {
        let usage = counted(&[
            r#"{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":1}"#,
            r#"{"output_tokens":7}"#,
            r#"{"input_tokens":12,"cache_read_input_tokens":null,"output_tokens":9}"#,
        ]);
        assert_eq!(usage, Some(Usage { input: 12, cache_read: 5, output: 9, ..Usage::default() }));
    }

    #[test]
    fn a_main_count_that_can_not_be_read_leaves_what_was_said_before_it() {
        let start = r#"{"input_tokens":10,"output_tokens":1}"#;
        let (odd_input, odd_output) =
            (r#"{"input_tokens":"12","output_tokens":7}"#, r#"{"input_tokens":12,"output_tokens":-7}"#);
        assert_eq!((counted(&[odd_input]), counted(&[odd_output])), (None, None));
        let usage = |input, output| Some(Usage { input, output, ..Usage::default() });
        for (said, expected, unreadable) in [
            (&[start, odd_input][..], usage(10, 7), true),
            (&[start, odd_output], usage(12, 1), true),
            (&[odd_input, start], usage(10, 1), false),
            (&[odd_output, r#"{"output_tokens":9}"#], usage(12, 9), false),
            (&[start, r#"{"input_tokens":null,"output_tokens":9}"#], usage(10, 9), false),
        ] {
            let mut counts = Counts::default();
            for said in said {
                counts.restate(said);
            }
            assert_eq!((counts.usage(), counts.are_unreadable()), (expected, unreadable), "{said:?}");
        }
    }

    #[test]
    fn writes_of_unstated_life_are_of_the_shorter() {
        let usage = counted(&[r#"{"cache_creation_input_tokens":100}"#]);
        assert_eq!(usage, Some(Usage { cache_write_5m: 100, ..Usage::default() }));
    }

    #[test]
    fn thinking_is_a_part_of_the_output() {
        let usage = |output: u64| {
            counted(&[
                r#"{"output_tokens_details":{"thinking_tokens":7}}"#,
                &format!(r#"{{"output_tokens":{output}}}"#),
            ])
            .map(|usage| (usage.output, usage.reasoning))
        };
        assert_eq!((usage(9), usage(5)), (Some((9, 7)), Some((5, 5))));
    }

    #[test]
    fn a_total_that_is_restated_alone_keeps_the_long_lived_part() {
        let split = r#"{"cache_creation":{"ephemeral_5m_input_tokens":60,"ephemeral_1h_input_tokens":40}}"#;
        let usage = |total: u64| {
            let total = format!(r#"{{"cache_creation_input_tokens":{total}}}"#);
            counted(&[split, &total]).map(|usage| (usage.cache_write_5m, usage.cache_write_1h))
        };
        assert_eq!(usage(100), Some((60, 40)));
        assert_eq!(usage(150), Some((110, 40)));
        assert_eq!(usage(30), Some((0, 30)));
        assert_eq!(usage(0), Some((0, 0)));
    }

    #[test]
    fn a_split_counts_where_the_total_misses_it() {
        let both = r#"{"cache_creation_input_tokens":0,"cache_creation":{"ephemeral_1h_input_tokens":40}}"#;
        assert_eq!(counted(&[both]), Some(Usage { cache_write_1h: 40, ..Usage::default() }));
    }

    #[test]
    fn odd_values_are_no_counts() {
        assert_eq!(counted(&[r#"{"input_tokens":"7","output_tokens":-1}"#, "null", "[]"]), None);
        assert_eq!(counted(&[r#"{"input_tokens":7.0}"#]), Some(Usage { input: 7, ..Usage::default() }));
        let huge = r#"{"cache_creation":{"ephemeral_5m_input_tokens":18446744073709551615,"ephemeral_1h_input_tokens":9}}"#;
        assert_eq!(counted(&[huge]).map(|usage| usage.context()), Some(u64::MAX));
    }
}
