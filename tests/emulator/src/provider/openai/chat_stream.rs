//! A chat completion as a stream of chunks.
//!
//! With `stream_options.include_usage` every chunk has a `usage` of null, and one more comes before `[DONE]`, without
//! choices, that has the counts. Without it no chunk has the field. A model that thinks aloud has `reasoning_content`
//! beside `content`, one of them null.

use serde::Serialize;

use crate::{
    clock::CREATED_SECONDS,
    provider::openai::{
        chat::{FINGERPRINT, SERVICE_TIER, UsagePart, call_id, call_type, finish_reason, thinks_aloud},
        chat_logprobs::Logprobs,
        chat_request::Checked,
    },
    template::{Frame, ID, Role},
    turn::{Stop, ToolCall, Turn},
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
    logprobs: Option<Logprobs<'a>>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<Option<&'a str>>,
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
    #[serde(flatten)]
    called: CalledDelta<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum CalledDelta<'a> {
    Function {
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        arguments: &'a str,
    },
    Custom {
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<&'a str>,
        input: &'a str,
    },
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

    /// A piece of the answer's text.
    fn piece(&mut self, index: u64, delta: Delta<'_>, logprobs: Option<Logprobs<'_>>) {
        self.chunk(Role::Content, &[Choice { index, delta, logprobs, finish_reason: None }], None);
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
        writer.delta(Role::Preamble, index, opening(turn), None);
    }
    for thought in turn.thinking.iter().filter(|_| thinks_aloud(turn)) {
        for index in choices.clone() {
            let delta =
                Delta { content: Some(None), reasoning_content: Some(Some(thought)), ..Delta::default() };
            writer.piece(index, delta, None);
        }
    }
    for piece in &turn.pieces {
        for index in choices.clone() {
            let refused = turn.stop == Stop::Refusal;
            let logprobs =
                checked.logprobs.map(|top| Logprobs::new(std::slice::from_ref(piece), top, refused));
            writer.piece(index, said(piece, turn), logprobs);
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

/// The first chunk of a choice only says who speaks. What will not come is null.
fn opening(turn: &Turn) -> Delta<'static> {
    let refused = turn.stop == Stop::Refusal;
    let only_calls = turn.pieces.is_empty() && !turn.calls.is_empty();
    let silent = refused || thinks_aloud(turn) || only_calls;
    Delta {
        role: Some("assistant"),
        content: Some(if silent { None } else { Some("") }),
        reasoning_content: thinks_aloud(turn).then_some(Some("")),
        refusal: Some(refused.then_some("")),
        tool_calls: None,
    }
}

fn said<'a>(piece: &'a str, turn: &Turn) -> Delta<'a> {
    if turn.stop == Stop::Refusal {
        return Delta { refusal: Some(Some(piece)), ..Delta::default() };
    }
    let reasoning_content = thinks_aloud(turn).then_some(None);
    Delta { content: Some(Some(piece)), reasoning_content, ..Delta::default() }
}

fn tool_call(writer: &mut Writer<'_>, choice: u64, index: usize, call: &ToolCall) {
    let text = call.text();
    let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
    let kind = call_type(call);
    let called = |name, text| match kind {
        "custom" => CalledDelta::Custom { name, input: text },
        _ => CalledDelta::Function { name, arguments: text },
    };
    let opening = ToolCallDelta {
        index,
        id: Some(call_id(choice, index)),
        r#type: Some(kind),
        called: called(Some(call.name.as_str()), ""),
    };
    writer.delta(Role::Structure, choice, Delta { tool_calls: Some([opening]), ..Delta::default() }, None);
    for text in [first, second] {
        let piece = ToolCallDelta { index, id: None, r#type: None, called: called(None, text) };
        writer.delta(Role::Content, choice, Delta { tool_calls: Some([piece]), ..Delta::default() }, None);
    }
}
