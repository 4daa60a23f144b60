//! A conversation's answer as a stream of events.
//!
//! Only a tool use has a start of its own; texts and thoughts begin with their first piece.

use serde_json::{Value, json};

use super::{
    converse::{sealed, signature, tool_use_id, usage},
    event_stream,
    invoke::padding,
};
use crate::{
    template::{Draft, Form, Formed, Frame, Role},
    turn::{ToolCall, Turn},
};

/// Collects events; a block's index goes up with each stop.
#[derive(Default)]
struct Writer {
    frames: Vec<Frame>,
    index: usize,
}

pub(super) fn draft(turn: &Turn, stop_reason: &str) -> Draft {
    let mut writer = Writer::default();
    writer.event(Role::Preamble, "messageStart", json!({"role": "assistant"}));
    if turn.redacted && !turn.thinking.is_empty() {
        writer.delta(json!({"reasoningContent": {"redactedContent": sealed(&turn.thinking.concat())}}));
        writer.stop();
    } else if !turn.thinking.is_empty() {
        for thought in &turn.thinking {
            writer.delta(json!({"reasoningContent": {"text": thought}}));
        }
        writer.delta(json!({"reasoningContent": {"signature": signature(&turn.thinking.concat())}}));
        writer.stop();
    }
    if !turn.pieces.is_empty() {
        for piece in &turn.pieces {
            writer.delta(json!({ "text": piece }));
        }
        writer.stop();
    }
    for (place, call) in turn.calls.iter().enumerate() {
        writer.tool_use(place, call);
    }
    writer.event(Role::Terminal, "messageStop", json!({ "stopReason": stop_reason }));
    let counts = json!({"usage": usage(&turn.usage), "metrics": {"latencyMs": 1}});
    writer.event(Role::Terminal, "metadata", counts);
    Draft::Formed(Formed { form: Form::Sealed(seal), frames: writer.frames, headers: Vec::new() })
}

impl Writer {
    /// The event's name and its payload, a line each, until it is sealed.
    fn event(&mut self, role: Role, name: &str, mut payload: Value) {
        payload["p"] = padding(payload.to_string().len()).into();
        self.frames.push(Frame { role, bytes: format!("{name}\n{payload}").into_bytes() });
    }

    fn delta(&mut self, delta: Value) {
        let payload = json!({"contentBlockIndex": self.index, "delta": delta});
        self.event(Role::Content, "contentBlockDelta", payload);
    }

    fn stop(&mut self) {
        self.event(Role::Structure, "contentBlockStop", json!({"contentBlockIndex": self.index}));
        self.index += 1;
    }

    fn tool_use(&mut self, place: usize, call: &ToolCall) {
        let start = json!({"toolUse": {"toolUseId": tool_use_id(place), "name": call.name}});
        let payload = json!({"contentBlockIndex": self.index, "start": start});
        self.event(Role::Structure, "contentBlockStart", payload);
        let input = call.arguments.to_string();
        let (first, second) = input.split_at(input.floor_char_boundary(input.len() / 2));
        for input in ["", first, second] {
            self.delta(json!({"toolUse": {"input": input}}));
        }
        self.stop();
    }
}

fn seal(event: &[u8]) -> Vec<u8> {
    let end = memchr::memchr(b'\n', event).unwrap_or(event.len());
    let (name, payload) = event.split_at(end);
    event_stream::event(&String::from_utf8_lossy(name), payload.get(1..).unwrap_or_default())
}
