//! The response itself, as it is given whole and as events carry it.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    clock::CREATED_SECONDS,
    memory::Memory,
    provider::openai::responses::{
        TOO_LONG, TOO_LONG_CODE,
        reasoning::{self, thought_id},
        request::Checked,
        tools::{Declared, Kind},
    },
    template::ID,
    turn::{Stop, Thinking, ToolCall, Turn, Usage},
};

#[derive(Serialize)]
pub(super) struct Response<'a> {
    id: String,
    object: &'static str,
    created_at: i64,
    pub status: Status,
    background: bool,
    completed_at: Option<i64>,
    error: Option<ErrorPart>,
    frequency_penalty: f64,
    incomplete_details: Option<Incomplete>,
    model: &'a str,
    output: &'a [Item],
    presence_penalty: f64,
    service_tier: &'static str,
    usage: Option<UsagePart>,
    #[serde(flatten)]
    echo: &'a Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

/// Why there is no answer.
#[derive(Clone, Copy, Serialize)]
struct ErrorPart {
    code: &'static str,
    message: &'static str,
}

#[derive(Clone, Copy, Serialize)]
struct Incomplete {
    reason: &'static str,
}

#[derive(Clone, Copy, Serialize)]
pub(super) struct UsagePart {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Clone, Copy, Serialize)]
struct InputDetails {
    cached_tokens: u64,
}

#[derive(Clone, Copy, Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item {
    Reasoning {
        id: String,
        summary: Vec<Part>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
    },
    Message {
        id: String,
        status: Status,
        role: &'static str,
        content: Vec<Part>,
    },
    FunctionCall {
        id: String,
        status: Status,
        arguments: String,
        call_id: String,
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
    },
    CustomToolCall {
        id: String,
        status: Status,
        call_id: String,
        input: String,
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part {
    OutputText { annotations: [(); 0], logprobs: Vec<Logprob>, text: String },
    Refusal { refusal: String },
    SummaryText { text: String },
}

/// How likely a piece of text was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Logprob {
    token: String,
    bytes: Vec<u8>,
    logprob: f64,
    top_logprobs: [(); 0],
}

impl UsagePart {
    /// This wire counts cached input inside the input, and knows no cache writes: they are plain input to it.
    pub(super) fn new(usage: &Usage) -> Self {
        let input = usage.input + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h;
        Self {
            input_tokens: input,
            input_tokens_details: InputDetails { cached_tokens: usage.cache_read },
            output_tokens: usage.output,
            output_tokens_details: OutputDetails { reasoning_tokens: usage.reasoning },
            total_tokens: input + usage.output,
        }
    }
}

impl<'a> Response<'a> {
    /// As it is before anything is said.
    pub(super) fn begun(checked: &'a Checked, echo: &'a Map<String, Value>) -> Self {
        Self {
            id: format!("resp_{ID}"),
            object: "response",
            created_at: CREATED_SECONDS,
            status: Status::InProgress,
            background: false,
            completed_at: None,
            error: None,
            frequency_penalty: 0.0,
            incomplete_details: None,
            model: &checked.model,
            output: &[],
            presence_penalty: 0.0,
            service_tier: "auto",
            usage: None,
            echo,
        }
    }

    /// As it is where the prompt turns out to be too long.
    pub(super) fn failed(checked: &'a Checked, echo: &'a Map<String, Value>) -> Self {
        let error = ErrorPart { code: TOO_LONG_CODE, message: TOO_LONG };
        Self { status: Status::Failed, error: Some(error), ..Self::begun(checked, echo) }
    }

    pub(super) fn ended(
        checked: &'a Checked,
        echo: &'a Map<String, Value>,
        output: &'a [Item],
        turn: &Turn,
    ) -> Self {
        let status = status(&turn.stop);
        Self {
            status,
            completed_at: (status == Status::Completed).then_some(CREATED_SECONDS),
            incomplete_details: (status == Status::Incomplete)
                .then_some(Incomplete { reason: "max_output_tokens" }),
            output,
            service_tier: "default",
            usage: Some(UsagePart::new(&turn.usage)),
            ..Self::begun(checked, echo)
        }
    }
}

/// What the turn says and does, in the order in which it is streamed.
pub(super) fn output(checked: &Checked, turn: &Turn, memory: &Memory<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    if turn.thinks != Thinking::None {
        let text = if turn.redacted { String::new() } else { turn.thinking.concat() };
        items.push(Item::Reasoning {
            id: thought_id(ID),
            summary: if text.is_empty() { Vec::new() } else { vec![Part::SummaryText { text }] },
            encrypted_content: checked.seal.then(|| reasoning::sealed(memory.number(), memory.owner())),
        });
    }
    if turn.calls.is_empty() || !turn.pieces.is_empty() {
        items.push(Item::Message {
            id: format!("msg_{ID}"),
            status: status(&turn.stop),
            role: "assistant",
            content: vec![part(turn, logprobs(checked, &turn.pieces), turn.text())],
        });
    }
    let mut declared: Vec<&Declared> = checked.toolbox.declared.iter().collect();
    for (index, call) in turn.calls.iter().enumerate() {
        // Two namespaces may have a tool of the same name: each call is of the next one.
        let at = declared.iter().position(|tool| tool.name == call.name);
        items.push(tool_call(index, call, at.map(|at| declared.remove(at))));
    }
    items
}

pub(super) fn part(turn: &Turn, logprobs: Vec<Logprob>, text: String) -> Part {
    if turn.stop == Stop::Refusal {
        Part::Refusal { refusal: text }
    } else {
        Part::OutputText { annotations: [], logprobs, text }
    }
}

/// One for each piece, if they were asked for.
pub(super) fn logprobs(checked: &Checked, pieces: &[String]) -> Vec<Logprob> {
    let asked: &[String] = if checked.logprobs { pieces } else { &[] };
    let certain = |piece: &String| Logprob {
        token: piece.clone(),
        bytes: piece.as_bytes().to_vec(),
        logprob: 0.0,
        top_logprobs: [],
    };
    asked.iter().map(certain).collect()
}

fn tool_call(index: usize, call: &ToolCall, declared: Option<&Declared>) -> Item {
    let (status, name) = (Status::Completed, call.name.clone());
    let call_id = format!("call_{ID}_{index}");
    let namespace = declared.and_then(|tool| tool.namespace.clone());
    if declared.is_some_and(|tool| tool.kind == Kind::Custom) {
        let id = format!("ctc_{ID}_{index}");
        return Item::CustomToolCall { id, status, call_id, input: call.text(), name, namespace };
    }
    let (id, arguments) = (format!("fc_{ID}_{index}"), call.text());
    Item::FunctionCall { id, status, arguments, call_id, name, namespace }
}

const fn status(stop: &Stop) -> Status {
    match stop {
        Stop::Length => Status::Incomplete,
        _ => Status::Completed,
    }
}
