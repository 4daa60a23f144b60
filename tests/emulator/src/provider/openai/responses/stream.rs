//! A response as a stream of events, numbered from 0, each named as its data is.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    provider::openai::responses::{
        TOO_LONG, TOO_LONG_CODE,
        object::{Item, Logprob, Part, Response, Status, logprobs, part},
        reasoning,
        request::Checked,
    },
    template::{Frame, Role},
    turn::{Stop, Turn},
};

/// Deltas are padded to a multiple of so many bytes.
const PADDED_TO: usize = 16;
const PADDING: &str = "aQ4zR8mT1xW6kP0b";

#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    sequence_number: u64,
    #[serde(flatten)]
    fields: &'a Fields<'a>,
}

/// What events have; each has some.
#[derive(Clone, Copy, Default, Serialize)]
struct Fields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<&'a Response<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<&'a Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<&'a Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<&'a [Logprob]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    obfuscation: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorPart>,
}

#[derive(Clone, Copy, Serialize)]
struct ErrorPart {
    r#type: &'static str,
    code: &'static str,
    message: &'static str,
    param: &'static str,
}

struct Writer {
    number: u64,
    obfuscate: bool,
    frames: Vec<Frame>,
}

impl Writer {
    fn event(&mut self, role: Role, name: &'static str, fields: &Fields<'_>) {
        let event = Event { r#type: name, sequence_number: self.number, fields };
        self.number += 1;
        let mut bytes = format!("event: {name}\ndata: ").into_bytes();
        bytes.extend(serde_json::to_vec(&event).unwrap_or_default());
        bytes.extend(b"\n\n");
        self.frames.push(Frame { role, bytes });
    }

    fn structure(&mut self, name: &'static str, fields: &Fields<'_>) {
        self.event(Role::Structure, name, fields);
    }

    fn delta(&mut self, name: &'static str, delta: &str, fields: Fields<'_>) {
        let padding = PADDING.get(delta.len() % PADDED_TO..).filter(|_| self.obfuscate);
        self.event(Role::Content, name, &Fields { delta: Some(delta), obfuscation: padding, ..fields });
    }
}

/// A stream that has begun when it shows that the prompt is too long.
pub(super) fn failure(checked: &Checked, echo: &Map<String, Value>) -> Vec<Frame> {
    let mut writer = begin(checked, echo);
    let error =
        ErrorPart { r#type: "invalid_request_error", code: TOO_LONG_CODE, message: TOO_LONG, param: "input" };
    writer.structure("error", &Fields { error: Some(error), ..Fields::default() });
    let failed = Response::failed(checked, echo);
    let failed = Fields { response: Some(&failed), ..Fields::default() };
    writer.event(Role::Terminal, "response.failed", &failed);
    writer.frames
}

fn begin(checked: &Checked, echo: &Map<String, Value>) -> Writer {
    let mut writer = Writer { number: 0, obfuscate: checked.obfuscate, frames: Vec::new() };
    let begun = Response::begun(checked, echo);
    let begun = Fields { response: Some(&begun), ..Fields::default() };
    writer.event(Role::Preamble, "response.created", &begun);
    writer.event(Role::Preamble, "response.in_progress", &begun);
    writer
}

pub(super) fn frames(
    checked: &Checked,
    echo: &Map<String, Value>,
    output: &[Item],
    turn: &Turn,
) -> Vec<Frame> {
    let mut writer = begin(checked, echo);
    for (index, item) in output.iter().enumerate() {
        let at = Fields { output_index: Some(index), ..Fields::default() };
        writer.structure("response.output_item.added", &Fields { item: Some(&opened(item)), ..at });
        content(&mut writer, item, checked, turn, at);
        writer.structure("response.output_item.done", &Fields { item: Some(item), ..at });
    }
    let ended = Response::ended(checked, echo, output, turn);
    let name = if ended.status == Status::Incomplete { "response.incomplete" } else { "response.completed" };
    writer.event(Role::Terminal, name, &Fields { response: Some(&ended), ..Fields::default() });
    writer.frames
}

/// What an item holds, between its opening and its end.
fn content(writer: &mut Writer, item: &Item, checked: &Checked, turn: &Turn, at: Fields<'_>) {
    match item {
        Item::Reasoning { id, summary, .. } => {
            summary.iter().enumerate().for_each(|(place, part)| {
                let at = Fields { item_id: Some(id), summary_index: Some(place), ..at };
                thought(writer, part, &turn.thinking, at);
            });
        }
        Item::Message { id, content, .. } => {
            let at = Fields { item_id: Some(id), content_index: Some(0), ..at };
            content.iter().for_each(|part| text(writer, part, checked, turn, at));
        }
        Item::FunctionCall { id, arguments, .. } => {
            let at = Fields { item_id: Some(id), ..at };
            for delta in halves(arguments) {
                writer.delta("response.function_call_arguments.delta", delta, at);
            }
            let done = Fields { arguments: Some(arguments), ..at };
            writer.structure("response.function_call_arguments.done", &done);
        }
        Item::CustomToolCall { id, input, .. } => {
            let at = Fields { item_id: Some(id), ..at };
            for delta in halves(input) {
                writer.delta("response.custom_tool_call_input.delta", delta, at);
            }
            let done = Fields { input: Some(input), ..at };
            writer.structure("response.custom_tool_call_input.done", &done);
        }
    }
}

/// The item as it is before its content.
fn opened(item: &Item) -> Item {
    let mut opened = item.clone();
    match &mut opened {
        Item::Reasoning { summary, encrypted_content, .. } => {
            summary.clear();
            *encrypted_content = encrypted_content.as_deref().map(reasoning::opening);
        }
        Item::Message { status, content, .. } => {
            *status = Status::InProgress;
            content.clear();
        }
        Item::FunctionCall { status, arguments, .. } => {
            *status = Status::InProgress;
            arguments.clear();
        }
        Item::CustomToolCall { status, input, .. } => {
            *status = Status::InProgress;
            input.clear();
        }
    }
    opened
}

fn thought(writer: &mut Writer, whole: &Part, pieces: &[String], at: Fields<'_>) {
    let Part::SummaryText { text } = whole else { return };
    let empty = Part::SummaryText { text: String::new() };
    writer.structure("response.reasoning_summary_part.added", &Fields { part: Some(&empty), ..at });
    for piece in pieces {
        writer.delta("response.reasoning_summary_text.delta", piece, at);
    }
    writer.structure("response.reasoning_summary_text.done", &Fields { text: Some(text), ..at });
    writer.structure("response.reasoning_summary_part.done", &Fields { part: Some(whole), ..at });
}

fn text(writer: &mut Writer, whole: &Part, checked: &Checked, turn: &Turn, at: Fields<'_>) {
    let said = turn.text();
    let empty = part(turn, Vec::new(), String::new());
    writer.structure("response.content_part.added", &Fields { part: Some(&empty), ..at });
    if turn.stop == Stop::Refusal {
        for piece in &turn.pieces {
            writer.delta("response.refusal.delta", piece, at);
        }
        writer.structure("response.refusal.done", &Fields { refusal: Some(&said), ..at });
    } else {
        for piece in &turn.pieces {
            let logprobs = logprobs(checked, std::slice::from_ref(piece));
            writer.delta("response.output_text.delta", piece, Fields { logprobs: Some(&logprobs), ..at });
        }
        let logprobs = logprobs(checked, &turn.pieces);
        let done = Fields { text: Some(&said), logprobs: Some(&logprobs), ..at };
        writer.structure("response.output_text.done", &done);
    }
    writer.structure("response.content_part.done", &Fields { part: Some(whole), ..at });
}

fn halves(text: &str) -> [&str; 2] {
    let (first, second) = text.split_at(text.floor_char_boundary(text.len() / 2));
    [first, second]
}
