//! gemini: `promptTokenCount` has the cached ones inside, `candidatesTokenCount` is without the thoughts, and what tools
//! of Google's read is input of its own.

use shared::usage::Usage;

use crate::{
    json::{self, write::Object},
    usage::{UnreadableCount, main_count},
};

/// The counts of a `usageMetadata` object; none when it holds none, and when they can't be read.
pub(crate) fn read(metadata: &str) -> Option<Usage> {
    stated(metadata).ok().flatten()
}

/// As [`read`].
///
/// # Errors
/// It holds counts that can't be read.
pub(crate) fn stated(metadata: &str) -> Result<Option<Usage>, UnreadableCount> {
    let (mut prompt, mut candidates, mut thoughts) = (Ok(None), Ok(None), Ok(None));
    let (mut cached, mut tools) = (None, None);
    let read = json::object(metadata, |field| match &*field.name() {
        "promptTokenCount" => prompt = main_count(field.value),
        "cachedContentTokenCount" => cached = json::count(field.value),
        "toolUsePromptTokenCount" => tools = json::count(field.value),
        "candidatesTokenCount" => candidates = main_count(field.value),
        // The output is the sum of both.
        "thoughtsTokenCount" => thoughts = main_count(field.value),
        _ => {}
    });
    let (prompt, candidates, thoughts) = (prompt?, candidates?, thoughts?);
    if read.is_err() || prompt.or(candidates).or(thoughts).is_none() {
        return Ok(None);
    }
    let cache_read = cached.unwrap_or(0);
    let reasoning = thoughts.unwrap_or(0);
    Ok(Some(Usage {
        input: prompt.unwrap_or(0).saturating_sub(cache_read).saturating_add(tools.unwrap_or(0)),
        cache_read,
        output: reasoning.saturating_add(candidates.unwrap_or(0)),
        reasoning,
        ..Usage::default()
    }))
}

/// The fields of `usageMetadata`.
pub(super) fn write(o: &mut Object<'_>, usage: &Usage) {
    o.value("promptTokenCount", &usage.context());
    o.value("candidatesTokenCount", &usage.output.saturating_sub(usage.reasoning));
    o.value("totalTokenCount", &usage.context().saturating_add(usage.output));
    if usage.cache_read > 0 {
        o.value("cachedContentTokenCount", &usage.cache_read);
    }
    if usage.reasoning > 0 {
        o.value("thoughtsTokenCount", &usage.reasoning);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_are_inside_and_thoughts_outside() {
        let usage = read(
            r#"{"promptTokenCount":100,"cachedContentTokenCount":60,"toolUsePromptTokenCount":7,
                "candidatesTokenCount":20,"thoughtsTokenCount":30,"totalTokenCount":157}"#,
        );
        let expected = Usage { input: 47, cache_read: 60, output: 50, reasoning: 30, ..Usage::default() };
        assert_eq!(usage, Some(expected));
    }

    #[test]
    fn what_counts_nothing_is_no_usage() {
        for metadata in ["{}", "null", "[]", r#"{"promptTokenCount":"7"}"#, r#"{"totalTokenCount":7}"#] {
            assert_eq!(read(metadata), None, "{metadata}");
        }
        let huge = r#"{"candidatesTokenCount":18446744073709551615,"thoughtsTokenCount":9}"#;
        assert_eq!(read(huge).map(|usage| usage.output), Some(u64::MAX));
    }

    #[test]
    fn a_main_count_that_can_not_be_read_leaves_none() {
        for metadata in [
            r#"{"promptTokenCount":"7","candidatesTokenCount":7}"#,
            r#"{"promptTokenCount":7,"candidatesTokenCount":-1}"#,
            r#"{"promptTokenCount":7,"candidatesTokenCount":1,"thoughtsTokenCount":"9"}"#,
        ] {
            assert_eq!((read(metadata), stated(metadata)), (None, Err(UnreadableCount)), "{metadata}");
        }
        let silent = read(r#"{"promptTokenCount":7,"candidatesTokenCount":null}"#);
        assert_eq!(silent, Some(Usage { input: 7, ..Usage::default() }));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let usage = Usage { input: 40, cache_read: 60, output: 50, reasoning: 30, ..Usage::default() };
        let mut out = Vec::new();
        json::write::object(&mut out, |o| write(o, &usage));
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(r#""totalTokenCount":150"#), "{text}");
        assert_eq!(read(&text), Some(usage));
    }
}
