//! gemini: `promptTokenCount` has the cached ones inside, `candidatesTokenCount` is without the thoughts, and what tools
//! of Google's read is input of its own.

use shared::usage::Usage;

use crate::json::{self, write::Object};

/// The counts of a `usageMetadata` object; none when it holds none.
pub(crate) fn read(metadata: &str) -> Option<Usage> {
    let (mut prompt, mut cached, mut tools, mut candidates, mut thoughts) = (None, None, None, None, None);
    json::object(metadata, |field| match &*field.name() {
        "promptTokenCount" => prompt = json::count(field.value),
        "cachedContentTokenCount" => cached = json::count(field.value),
        "toolUsePromptTokenCount" => tools = json::count(field.value),
        "candidatesTokenCount" => candidates = json::count(field.value),
        "thoughtsTokenCount" => thoughts = json::count(field.value),
        _ => {}
    })
    .ok()?;
    prompt.or(candidates).or(thoughts)?;
    let cache_read = cached.unwrap_or(0);
    let reasoning: u64 = thoughts.unwrap_or(0);
    Some(Usage {
        input: prompt.unwrap_or(0).saturating_sub(cache_read).saturating_add(tools.unwrap_or(0)),
        cache_read,
        output: reasoning.saturating_add(candidates.unwrap_or(0)),
        reasoning,
        ..Usage::default()
    })
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
    fn what_is_written_is_read_back() {
        let usage = Usage { input: 40, cache_read: 60, output: 50, reasoning: 30, ..Usage::default() };
        let mut out = Vec::new();
        json::write::object(&mut out, |o| write(o, &usage));
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(r#""totalTokenCount":150"#), "{text}");
        assert_eq!(read(&text), Some(usage));
    }
}
