//! A chat completion as a stream of chunks.
//!
//! With `stream_options.include_usage` every chunk has a `usage` of null, and one more comes before `[DONE]`, without
//! choices, that has the counts. Without it no chunk has the field.

use serde::Serialize;

use crate::{
    clock::CREATED_SECONDS,
    provider::openai::{
        chat::{FINGERPRINT, SERVICE_TIER, UsagePart, call_id, finish_reason},
        chat_request::Checked,
    },
    template::{Frame, ID, Role},
    turn::{ToolCall, Turn},
};

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    service_tier: &'static str,
    system_fingerprint: &'static str,
    choices: &'a [Choice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<UsagePart>>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u64,
    delta: Delta<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Option<()>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCallDelta<'a>; 1]>,
}

#[derive(Serialize)]
struct ToolCallDelta<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: FunctionDelta<'a>,
}

#[derive(Serialize)]
struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

/// Writes chunks with what they all have in common.
struct Writer<'a> {
    id: String,
    model: &'a str,
    include_usage: bool,
    frames: Vec<Frame>,
}

impl Writer<'_> {
    fn chunk(&mut self, role: Role, choices: &[Choice<'_>], usage: Option<UsagePart>) {
        let chunk = Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: CREATED_SECONDS,
            model: self.model,
            service_tier: SERVICE_TIER,
            system_fingerprint: FINGERPRINT,
            choices,
            usage: self.include_usage.then_some(usage),
        };
        let mut bytes = b"data: ".to_vec();
        bytes.extend(serde_json::to_vec(&chunk).unwrap_or_default());
        bytes.extend(b"\n\n");
        self.frames.push(Frame { role, bytes });
    }

    fn delta(&mut self, role: Role, index: u64, delta: Delta<'_>, finish_reason: Option<&'static str>) {
        self.chunk(role, &[Choice { index, delta, logprobs: None, finish_reason }], None);
    }
}

pub(super) fn frames(checked: &Checked, turn: &Turn) -> Vec<Frame> {
    let mut writer = Writer {
        id: format!("chatcmpl-{ID}"),
        model: &checked.model,
        include_usage: checked.include_usage,
        frames: Vec::new(),
    };
    let choices = 0..checked.prompt.n;
    for index in choices.clone() {
        // The first chunk of a choice only says who speaks; with tool calls its content is null.
        let content = if turn.calls.is_empty() { Some("") } else { None };
        let opening =
            Delta { role: Some("assistant"), content: Some(content), refusal: Some(None), tool_calls: None };
        writer.delta(Role::Preamble, index, opening, None);
    }
    for piece in &turn.pieces {
        for index in choices.clone() {
            let delta = Delta { content: Some(Some(piece)), ..Delta::default() };
            writer.delta(Role::Content, index, delta, None);
        }
    }
    for choice in choices.clone() {
        for (index, call) in turn.calls.iter().enumerate() {
            tool_call(&mut writer, choice, index, call);
        }
    }
    for index in choices {
        writer.delta(Role::Structure, index, Delta::default(), Some(finish_reason(&turn.stop)));
    }
    if checked.include_usage {
        writer.chunk(Role::Structure, &[], Some(UsagePart::new(&turn.usage)));
    }
    writer.frames.push(Frame { role: Role::Terminal, bytes: b"data: [DONE]\n\n".to_vec() });
    writer.frames
}

fn tool_call(writer: &mut Writer<'_>, choice: u64, index: usize, call: &ToolCall) {
    let arguments = call.arguments.to_string();
    let (first, second) = arguments.split_at(arguments.floor_char_boundary(arguments.len() / 2));
    let opening = ToolCallDelta {
        index,
        id: Some(call_id(choice, index)),
        r#type: Some("function"),
        function: FunctionDelta { name: Some(&call.name), arguments: "" },
    };
    writer.delta(Role::Structure, choice, Delta { tool_calls: Some([opening]), ..Delta::default() }, None);
    for arguments in [first, second] {
        let function = FunctionDelta { name: None, arguments };
        let piece = ToolCallDelta { index, id: None, r#type: None, function };
        writer.delta(Role::Content, choice, Delta { tool_calls: Some([piece]), ..Delta::default() }, None);
    }
}
