//! A model that follows a plan, in every wire.

use emulator::{Behaviour, Emulator, Plan};
use serde_json::{Value, json};

use crate::client::{call, emulator};

const KEY: &str = "fk-plan";
const GOOGLE_KEY: &str = "AIza-plan";

fn schema() -> Value {
    json!({"type": "object", "properties": {"path": {"type": "string"}}})
}

/// The model reads, and then has a word.
async fn planned() -> Emulator {
    let emulator = emulator().await;
    let plan: Plan = serde_json::from_value(json!({
        "prompt": "Go",
        "turns": [{"text": "Now I read.", "calls": [{"name": "read", "arguments": {"path": "a.txt"}}]}, {"text": "Done."}],
    }))
    .unwrap();
    for key in [KEY, GOOGLE_KEY] {
        emulator.credential(key).set_default(Behaviour::default().with_plan(plan.clone())).unwrap();
    }
    emulator
}

async fn ask(emulator: &Emulator, path: &str, body: &Value) -> String {
    let bearer = format!("Bearer {KEY}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("anthropic-version", "2023-06-01"),
        ("x-goog-api-key", GOOGLE_KEY),
    ];
    let headers = if path.starts_with("/google") { &headers[2..] } else { &headers[..2] };
    let answer = Box::pin(call(emulator, "POST", path, headers, &body.to_string())).await;
    assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
    answer.text()
}

/// First the text and the call; then, with the call behind the prompt, the last word.
async fn follows(path: &str, mut body: Value, list: &str, behind: &[Value]) {
    let emulator = planned().await;
    let first = ask(&emulator, path, &body).await;
    assert!(first.contains("Now I read.") && first.contains("a.txt"), "{path}: {first}");
    body[list].as_array_mut().unwrap().extend_from_slice(behind);
    let last = ask(&emulator, path, &body).await;
    assert!(last.contains("Done."), "{path}: {last}");
}

#[tokio::test]
async fn messages_follow_a_plan() {
    let body = json!({"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "Go"}],
        "tools": [{"name": "read", "input_schema": schema()}]});
    let behind = [
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "read", "input": {}}]}),
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"}]}),
    ];
    follows("/droid/a/v1/messages", body, "messages", &behind).await;
}

#[tokio::test]
async fn chat_follows_a_plan() {
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "Go"}],
        "tools": [{"type": "function", "function": {"name": "read", "parameters": schema()}}]});
    let function = json!({"name": "read", "arguments": "{}"});
    let behind = [
        json!({"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}),
        json!({"role": "tool", "tool_call_id": "call_1", "content": "x"}),
    ];
    follows("/droid/o/v1/chat/completions", body, "messages", &behind).await;
}

#[tokio::test]
async fn responses_follow_a_plan_with_tools_from_anywhere() {
    let tools = json!([{"type": "function", "name": "read", "parameters": schema()}]);
    let said = json!({"role": "user", "content": "Go"});
    let behind = [
        json!({"type": "function_call", "call_id": "call_1", "name": "read", "arguments": "{}"}),
        json!({"type": "function_call_output", "call_id": "call_1", "output": "x"}),
    ];
    let usual = json!({"model": "gpt-5.1", "tools": tools, "input": [said]});
    follows("/droid/o/v1/responses", usual, "input", &behind).await;
    let among = json!({"type": "additional_tools", "role": "developer", "tools": tools});
    let newest = json!({"model": "gpt-5.1", "input": [among, said]});
    follows("/droid/o/v1/responses", newest, "input", &behind).await;
}

#[tokio::test]
async fn gemini_follows_a_plan() {
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "Go"}]}],
        "tools": [{"functionDeclarations": [{"name": "read", "parameters": schema()}]}]});
    let behind = [
        json!({"role": "model", "parts": [{"functionCall": {"name": "read", "args": {}}}]}),
        json!({"role": "user", "parts": [{"functionResponse": {"name": "read", "response": {"output": "x"}}}]}),
    ];
    follows("/google/v1beta/models/gemini-2.5-flash:generateContent", body, "contents", &behind).await;
}
