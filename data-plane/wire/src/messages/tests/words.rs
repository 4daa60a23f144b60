//! JSON of the wire's own words.

use proptest::prelude::*;
use serde_json::Value;

const WORDS: &[&str] = &[
    "type",
    "text",
    "model",
    "messages",
    "role",
    "user",
    "assistant",
    "system",
    "content",
    "tools",
    "name",
    "id",
    "input",
    "input_schema",
    "tool_use",
    "tool_use_id",
    "tool_result",
    "thinking",
    "signature",
    "redacted_thinking",
    "data",
    "source",
    "base64",
    "media_type",
    "url",
    "data:image/png;base64,aGk=",
    "file",
    "file_id",
    "image",
    "document",
    "title",
    "citations",
    "cache_control",
    "ephemeral",
    "ttl",
    "1h",
    "is_error",
    "tool_choice",
    "auto",
    "any",
    "tool",
    "max_tokens",
    "enabled",
    "budget_tokens",
    "output_config",
    "effort",
    "low",
    "format",
    "json_schema",
    "schema",
    "stop_sequences",
    "metadata",
    "user_id",
    "stream",
    "stop_reason",
    "usage",
    "input_tokens",
    "output_tokens",
    "message",
    "index",
    "delta",
    "content_block",
    "error",
    "message_start",
    "message_delta",
    "message_stop",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "text_delta",
    "thinking_delta",
    "signature_delta",
    "input_json_delta",
    "partial_json",
    "citations_delta",
    "citation",
    "ping",
    "sy1.gemini.proof..x",
    "",
    "é\n\"",
];

pub(super) fn word() -> impl Strategy<Value = String> {
    proptest::sample::select(WORDS).prop_map(str::to_owned)
}

/// JSON of the wire's words in any order.
pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => word().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        2 => (-1_i64..3).prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => proptest::collection::vec((word(), inner), 0..6).prop_map(Value::from_iter),
        ]
    })
}
