//! A message as a stream of events.
//!
//! message_start carries the input side and a first output token, message_delta restates both with the cumulative
//! output, as the real one does.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    provider::anthropic::{
        messages::{
            Block, Message, StopDetails, UsagePart, stop_details, stop_reason, stop_sequence, thought,
            tool_id,
        },
        request::Checked,
    },
    template::{Frame, Role},
    turn::{ToolCall, Turn},
};

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event<'a> {
    MessageStart { message: Message<'a> },
    Ping,
    ContentBlockStart { index: usize, content_block: Block },
    ContentBlockDelta { index: usize, delta: Delta<'a> },
    ContentBlockStop { index: usize },
    MessageDelta { delta: Ending<'a>, usage: UsagePart },
    MessageStop,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
}

#[derive(Serialize)]
struct Ending<'a> {
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
    stop_details: Option<StopDetails>,
}

impl Event<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::MessageStart { .. } => "message_start",
            Self::Ping => "ping",
            Self::ContentBlockStart { .. } => "content_block_start",
            Self::ContentBlockDelta { .. } => "content_block_delta",
            Self::ContentBlockStop { .. } => "content_block_stop",
            Self::MessageDelta { .. } => "message_delta",
            Self::MessageStop => "message_stop",
        }
    }

    const fn role(&self) -> Role {
        match self {
            Self::MessageStart { .. } | Self::Ping => Role::Preamble,
            Self::ContentBlockDelta { .. } => Role::Content,
            Self::MessageStop => Role::Terminal,
            _ => Role::Structure,
        }
    }

    fn frame(&self) -> Frame {
        let mut bytes = format!("event: {}\ndata: ", self.name()).into_bytes();
        bytes.extend(serde_json::to_vec(self).unwrap_or_default());
        bytes.extend(b"\n\n");
        Frame { role: self.role(), bytes }
    }
}

pub(super) fn frames(checked: &Checked, turn: &Turn) -> Vec<Frame> {
    let start = Message::empty(&checked.model, UsagePart::at_start(&turn.usage));
    let mut frames = vec![Event::MessageStart { message: start }.frame(), Event::Ping.frame()];
    let mut index = 0;
    match thought(turn, &checked.bound) {
        Some(Block::Thinking { signature, .. }) => {
            let thoughts = turn.thinking.iter().map(|thinking| Delta::Thinking { thinking });
            let deltas = thoughts.chain([Delta::Signature { signature: &signature }]);
            let empty = Block::Thinking { thinking: String::new(), signature: String::new() };
            block(&mut frames, &mut index, empty, deltas);
        }
        // What is sealed comes whole.
        Some(sealed) => block(&mut frames, &mut index, sealed, std::iter::empty()),
        None => {}
    }
    if !turn.pieces.is_empty() {
        let deltas = turn.pieces.iter().map(|text| Delta::Text { text });
        block(&mut frames, &mut index, Block::Text { text: String::new() }, deltas);
    }
    for (place, call) in turn.calls.iter().enumerate() {
        tool_use(&mut frames, &mut index, place, call);
    }
    let ending = Ending {
        stop_reason: stop_reason(&turn.stop),
        stop_sequence: stop_sequence(&turn.stop),
        stop_details: stop_details(&turn.stop),
    };
    let usage = UsagePart::new(&turn.usage);
    frames.push(Event::MessageDelta { delta: ending, usage }.frame());
    frames.push(Event::MessageStop.frame());
    frames
}

fn tool_use(frames: &mut Vec<Frame>, index: &mut usize, place: usize, call: &ToolCall) {
    let arguments = call.arguments.to_string();
    let (first, second) = arguments.split_at(arguments.floor_char_boundary(arguments.len() / 2));
    let deltas = ["", first, second].map(|partial_json| Delta::InputJson { partial_json });
    let empty: Value = json!({});
    let opened = Block::ToolUse { id: tool_id(place), name: call.name.clone(), input: empty };
    block(frames, index, opened, deltas.into_iter());
}

fn block<'a>(
    frames: &mut Vec<Frame>,
    index: &mut usize,
    opened: Block,
    deltas: impl Iterator<Item = Delta<'a>>,
) {
    let at = *index;
    frames.push(Event::ContentBlockStart { index: at, content_block: opened }.frame());
    frames.extend(deltas.map(|delta| Event::ContentBlockDelta { index: at, delta }.frame()));
    frames.push(Event::ContentBlockStop { index: at }.frame());
    *index += 1;
}
