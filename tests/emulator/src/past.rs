//! A conversation as far as a [plan](crate::plan) asks: who said what, and how often tools were called. Read from any
//! wire's messages, since no wire's words for these mean something else in another.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Past {
    /// By the user, not by a tool.
    Said(String),
    /// A tool, once.
    Called,
}

/// Of Messages, Chat Completions, Converse and Gemini: their messages; of Responses: its items.
pub(crate) fn read(messages: &[Value]) -> Vec<Past> {
    messages.iter().flat_map(of_message).collect()
}

fn of_message(message: &Value) -> Vec<Past> {
    let parts = ["content", "parts"].iter().find_map(|name| message.get(*name)).unwrap_or(&Value::Null);
    let parts = match parts {
        Value::Array(parts) => parts.as_slice(),
        one => std::slice::from_ref(one),
    };
    if message["role"] == "user" {
        let said: String = parts.iter().filter_map(text).collect();
        return if said.is_empty() { Vec::new() } else { vec![Past::Said(said)] };
    }
    let by_message = message["tool_calls"].as_array().map_or(0, Vec::len);
    let by_parts = parts.iter().filter(|part| is_call(part)).count();
    vec![Past::Called; by_message + by_parts + usize::from(is_call(message))]
}

fn text(part: &Value) -> Option<&str> {
    part.as_str().or_else(|| part["text"].as_str())
}

/// A part of a message, or an item among messages.
fn is_call(part: &Value) -> bool {
    let by_type = matches!(part["type"].as_str(), Some("tool_use" | "function_call" | "custom_tool_call"));
    by_type || ["toolUse", "functionCall", "function_call"].iter().any(|name| part[*name].is_object())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_wire_tells_the_same_past() {
        let wires = [
            json!([
                {"role": "user", "content": [{"type": "text", "text": "Go"}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "Hm", "signature": "s"},
                    {"type": "tool_use", "id": "1", "name": "a", "input": {}},
                    {"type": "tool_use", "id": "2", "name": "b", "input": {}},
                ]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "x"}]},
            ]),
            json!([
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Go"},
                {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}, {"id": "2"}]},
                {"role": "tool", "tool_call_id": "1", "content": "x"},
            ]),
            json!([
                {"role": "user", "content": [{"type": "input_text", "text": "Go"}]},
                {"type": "reasoning", "id": "rs", "summary": []},
                {"type": "function_call", "call_id": "1", "name": "a", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": "x"},
                {"type": "custom_tool_call", "call_id": "2", "name": "b", "input": "x"},
            ]),
            json!([
                {"role": "user", "parts": [{"text": "Go"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "a"}}, {"function_call": {"name": "b"}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "a", "response": {}}}]},
            ]),
            json!([
                {"role": "user", "content": [{"text": "Go"}]},
                {"role": "assistant", "content": [
                    {"toolUse": {"toolUseId": "1", "name": "a", "input": {}}},
                    {"toolUse": {"toolUseId": "2", "name": "b", "input": {}}},
                ]},
                {"role": "user", "content": [{"toolResult": {"toolUseId": "1", "content": []}}]},
            ]),
        ];
        for wire in wires {
            let past = read(wire.as_array().unwrap());
            assert_eq!(past, [Past::Said("Go".into()), Past::Called, Past::Called], "{wire}");
        }
    }
}
