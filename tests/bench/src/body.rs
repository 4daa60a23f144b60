//! The bodies of the requests: the same contents in either wire.

use serde_json::{Value, json};

use crate::wire::Wire;

/// Size of the small body in bytes, more or less.
const SMALL_BYTES: usize = 1024;
/// Tools of an agent's request, with the size of each one's description in bytes.
const TOOLS: usize = 25;
const DESCRIPTION_BYTES: usize = 1150;
/// Of an agent's request: its system prompt, what it has done so far, and what each tool said.
const SYSTEM_BYTES: usize = 11_500;
const TURNS: usize = 3;
const RESULT_BYTES: usize = 2600;

/// Prose as it stands in prompts: line ends and quotes in it have to be escaped in JSON.
const PROSE: &str = "Use this when the path is known; otherwise search first.\n- Read a file before it is changed, \
and keep its indentation (tabs or spaces) as it is.\n- Quote paths that contain spaces: cd \"My Documents\", not cd \
My Documents.\n- Do not repeat in an answer what the tool has shown; say what follows from it.\n";
/// Base64 of no image that exists; whole groups of four.
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A question of a kilobyte.
    Small,
    /// As Claude Code sends it: 25 tools, a long system prompt, calls and their results; the last result is to be
    /// answered. 85 KB.
    Agent,
    /// A question about an image whose base64 has so many MiB.
    Image(u32),
}

impl Content {
    pub(crate) fn body(self, wire: Wire, model: &str, stream: bool) -> String {
        let mut body = match (self, wire) {
            (Self::Small, Wire::Chat) => json!({"temperature": 0.7, "messages":
                [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question()}]}),
            (Self::Small, Wire::Messages) => json!({"max_tokens": 4096, "system": "Be brief.",
                "messages": [{"role": "user", "content": question()}]}),
            (Self::Agent, Wire::Chat) => agent_chat(),
            (Self::Agent, Wire::Messages) => agent_messages(),
            (Self::Image(mib), Wire::Chat) => {
                let url = format!("data:image/png;base64,{}", image(mib));
                json!({"messages": [{"role": "user", "content": [
                    {"type": "image_url", "image_url": {"url": url}},
                    {"type": "text", "text": "What is to be seen here?"}]}]})
            }
            (Self::Image(mib), Wire::Messages) => {
                json!({"max_tokens": 4096, "messages": [{"role": "user", "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image(mib)}},
                    {"type": "text", "text": "What is to be seen here?"}]}]})
            }
        };
        body["model"] = json!(model);
        if stream {
            body["stream"] = json!(true);
        }
        if stream && wire == Wire::Chat {
            body["stream_options"] = json!({"include_usage": true});
        }
        body.to_string()
    }
}

fn question() -> String {
    "How many roads lead to Rome? ".repeat(SMALL_BYTES / 29 - 5)
}

fn image(mib: u32) -> String {
    BASE64.repeat((mib as usize * (1 << 20)) / BASE64.len())
}

/// So many bytes of prose.
fn prose(bytes: usize) -> String {
    PROSE.chars().cycle().take(bytes).collect()
}

/// Name, description and the schema of the arguments.
fn tools() -> impl Iterator<Item = (String, String, Value)> {
    (0..TOOLS).map(|number| (format!("workspace_action_{number}"), prose(DESCRIPTION_BYTES), schema(number)))
}

fn schema(number: usize) -> Value {
    json!({
        "type": "object",
        "properties": {
            "file_path": {"type": "string", "description":
                format!("The absolute path of the file that action {number} is about; a relative one is refused.")},
            "pattern": {"type": "string", "minLength": 1, "description":
                "A regular expression, such as \"fn\\s+\\w+\"; braces have to be escaped with a \\ to be found as they are."},
            "limit": {"type": "integer", "minimum": 1, "maximum": 2000, "default": 100, "description":
                "The most lines to give back. Leave it out unless the file is too large to be read at once."},
            "mode": {"type": "string", "enum": ["content", "files_with_matches", "count"], "description":
                "content shows the lines that match, files_with_matches their files' paths, count how many there are."},
            "case_insensitive": {"type": "boolean", "description": "Whether A and a are the same (default: false)."},
            "edits": {"type": "array", "description": "Changes, made one after the other; all of them or none.",
                "items": {"type": "object", "properties": {
                    "old_string": {"type": "string", "description": "The text to be replaced; it must occur once."},
                    "new_string": {"type": "string", "description": "The text that takes its place, and differs."},
                    "replace_all": {"type": "boolean", "default": false, "description": "Every one of them."}},
                    "required": ["old_string", "new_string"], "additionalProperties": false}}
        },
        "required": ["file_path"],
        "additionalProperties": false
    })
}

/// What each call of an earlier turn was made with.
fn arguments(turn: usize) -> Value {
    json!({"file_path": format!("/home/user/project/src/part_{turn}.rs"), "pattern": "fn main\\(", "limit": 200})
}

fn agent_messages() -> Value {
    let tools: Vec<Value> = tools()
        .map(|(name, description, schema)| {
            json!({"name": name, "description": description, "input_schema": schema})
        })
        .collect();
    let mut messages = vec![json!({"role": "user", "content": [{"type": "text", "text": prose(400)}]})];
    for turn in 0..TURNS {
        let id = format!("toolu_bench{turn}");
        messages.push(json!({"role": "assistant", "content": [{"type": "text", "text": prose(200)},
            {"type": "tool_use", "id": id, "name": format!("workspace_action_{turn}"), "input": arguments(turn)}]}));
        messages.push(json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": id, "content": prose(RESULT_BYTES)}]}));
    }
    json!({"max_tokens": 16_000, "tools": tools, "messages": messages,
        "system": [{"type": "text", "text": prose(SYSTEM_BYTES), "cache_control": {"type": "ephemeral"}}]})
}

fn agent_chat() -> Value {
    let tools: Vec<Value> = tools()
        .map(|(name, description, schema)| {
            json!({"type": "function",
                "function": {"name": name, "description": description, "parameters": schema}})
        })
        .collect();
    let mut messages = vec![
        json!({"role": "system", "content": prose(SYSTEM_BYTES)}),
        json!({"role": "user", "content": prose(400)}),
    ];
    for turn in 0..TURNS {
        let id = format!("toolu_bench{turn}");
        let function = json!({"name": format!("workspace_action_{turn}"),
            "arguments": arguments(turn).to_string()});
        messages.push(json!({"role": "assistant", "content": prose(200),
            "tool_calls": [{"id": id, "type": "function", "function": function}]}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": prose(RESULT_BYTES)}));
    }
    json!({"max_completion_tokens": 16_000, "tools": tools, "messages": messages})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(content: Content) -> [usize; 2] {
        [Wire::Chat, Wire::Messages].map(|wire| content.body(wire, wire.model(), true).len())
    }

    #[test]
    fn bodies_are_about_as_large_as_they_are_called() {
        for length in lengths(Content::Small) {
            assert!((900..1200).contains(&length), "{length}");
        }
        for length in lengths(Content::Agent) {
            assert!((83_000..88_000).contains(&length), "{length}");
        }
        for length in lengths(Content::Image(2)) {
            assert!((2 << 20..(2 << 20) + 500).contains(&length), "{length}");
        }
    }

    #[test]
    fn an_agents_tool_takes_about_two_and_a_half_kilobytes() {
        for (name, description, schema) in tools() {
            let length =
                json!({"name": name, "description": description, "input_schema": schema}).to_string().len();
            assert!((2_300..2_700).contains(&length), "{length}");
        }
    }
}
