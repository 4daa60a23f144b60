//! Requests that are of this wire.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::words::{any_json, word};

fn mark() -> impl Strategy<Value = Value> {
    proptest::sample::select(vec![
        Value::Null,
        json!({"type": "ephemeral"}),
        json!({"type": "ephemeral", "ttl": "1h"}),
        json!({"type": "ephemeral", "ttl": "5m", "scope": "global"}),
        json!({"type": "lasting"}),
    ])
}

fn media() -> impl Strategy<Value = Value> {
    let sources = vec![
        json!({"type": "base64", "media_type": "application/pdf", "data": "aGk="}),
        json!({"type": "url", "url": "https://x/y"}),
        json!({"type": "url", "url": "data:image/png;base64,aGk="}),
        json!({"type": "file", "file_id": "f"}),
        json!({"type": "text", "media_type": "text/plain", "data": "d"}),
        json!({"type": "content", "content": []}),
    ];
    let kinds = proptest::sample::select(vec!["image", "document"]);
    (kinds, proptest::sample::select(sources), mark()).prop_map(|(kind, source, mark)| {
        json!({"type": kind, "source": source, "title": "T", "cache_control": mark, "citations": {"enabled": true}})
    })
}

fn block() -> impl Strategy<Value = Value> {
    let text = || {
        (word(), mark()).prop_map(|(text, mark)| json!({"type": "text", "text": text, "cache_control": mark}))
    };
    let part = prop_oneof![text(), media(), Just(json!({"type": "tool_reference", "tool_name": "t"}))];
    let content = prop_oneof![
        word().prop_map(Value::from),
        Just(Value::Null),
        proptest::collection::vec(part, 0..3).prop_map(Value::from),
    ];
    prop_oneof![
        text(),
        media(),
        (word(), any::<bool>(), content).prop_map(|(id, is_error, content)| {
            json!({"type": "tool_result", "tool_use_id": id, "is_error": is_error, "content": content})
        }),
        (word(), any_json(), mark()).prop_map(|(name, input, mark)| {
            let name = format!("f{name}");
            json!({"type": "tool_use", "id": "t", "name": name, "input": input, "cache_control": mark})
        }),
        (word(), word())
            .prop_map(|(text, proof)| json!({"type": "thinking", "thinking": text, "signature": proof})),
        word().prop_map(|data| json!({"type": "redacted_thinking", "data": data})),
        Just(json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}})),
    ]
}

pub(super) fn request() -> impl Strategy<Value = Value> {
    let content = prop_oneof![
        word().prop_map(Value::from),
        proptest::collection::vec(block(), 0..5).prop_map(Value::from),
    ];
    let role = proptest::sample::select(vec!["user", "assistant", "system"]);
    let message = (role, content).prop_map(|(role, content)| json!({"role": role, "content": content}));
    let tool = proptest::sample::select(vec![
        json!({"name": "f", "input_schema": {"type": "object"}, "strict": false, "odd": 1}),
        json!({"type": "custom", "name": "g", "description": "d"}),
        json!({"type": "web_search_20250305", "name": "web_search"}),
        json!({"type": "bash_20250124", "name": "bash"}),
    ]);
    let choice = proptest::sample::select(vec![
        Value::Null,
        json!({"type": "auto", "disable_parallel_tool_use": true}),
        json!({"type": "any", "disable_parallel_tool_use": false}),
        json!({"type": "tool", "name": "f"}),
        json!({"type": "none"}),
    ]);
    let thinking = proptest::sample::select(vec![
        Value::Null,
        json!({"type": "enabled", "budget_tokens": 1024, "display": "omitted"}),
        json!({"type": "enabled"}),
        json!({"type": "disabled", "display": "summarized"}),
        json!({"type": "adaptive", "display": "summarized"}),
    ]);
    let output = proptest::sample::select(vec![
        Value::Null,
        json!({"effort": "minimal"}),
        json!({"effort": "max", "format": {"type": "json_schema", "schema": {}, "name": "n"}}),
    ]);
    let lists = (
        proptest::collection::vec(message, 0..5),
        proptest::collection::vec(tool, 0..4),
        proptest::collection::vec(block(), 0..3),
    );
    (lists, choice, thinking, output, any_json()).prop_map(
        |((messages, tools, system), choice, thinking, output, extra)| {
            json!({
                "model": "m", "messages": messages, "tools": tools, "system": system, "tool_choice": choice,
                "thinking": thinking, "output_config": output, "temperature": 0.1, "stop_sequences": ["x"],
                "metadata": {"user_id": "u"}, "container": extra,
            })
        },
    )
}
