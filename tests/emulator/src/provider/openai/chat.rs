//! POST /v1/chat/completions

use serde::Serialize;

use crate::{
    clock::CREATED_SECONDS,
    provider::{
        Call, Failure,
        openai::{
            chat_logprobs::Logprobs,
            chat_request::{self, Maker},
            chat_stream,
        },
    },
    template::{Draft, ID},
    turn::{Stop, Thinking, ToolCall, Turn, Usage},
};

pub(super) const FINGERPRINT: &str = "fp_emulator";
pub(super) const SERVICE_TIER: &str = "default";

#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    usage: UsagePart,
    service_tier: &'static str,
    system_fingerprint: &'static str,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u64,
    message: Message<'a>,
    logprobs: Option<Logprobs<'a>>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    /// As servers have it whose models think aloud.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    refusal: Option<&'a str>,
    annotations: [(); 0],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCallPart<'a>>,
}

#[derive(Serialize)]
struct ToolCallPart<'a> {
    id: String,
    r#type: &'static str,
    #[serde(flatten)]
    called: Called<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Called<'a> {
    Function(Function<'a>),
    Custom(Custom<'a>),
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: String,
}

#[derive(Serialize)]
struct Custom<'a> {
    name: &'a str,
    input: String,
}

#[derive(Clone, Copy, Serialize)]
pub(super) struct UsagePart {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Clone, Copy, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    audio_tokens: u64,
}

#[derive(Clone, Copy, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

impl UsagePart {
    /// This wire counts cached input inside the prompt, and knows no cache writes: they are plain input to it.
    pub(super) fn new(usage: &Usage) -> Self {
        let prompt = usage.input + usage.cache_read + usage.cache_write_5m + usage.cache_write_1h;
        Self {
            prompt_tokens: prompt,
            completion_tokens: usage.output,
            total_tokens: prompt + usage.output,
            prompt_tokens_details: PromptDetails { cached_tokens: usage.cache_read, audio_tokens: 0 },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: usage.reasoning,
                audio_tokens: 0,
                accepted_prediction_tokens: 0,
                rejected_prediction_tokens: 0,
            },
        }
    }
}

pub(crate) fn answer(call: &Call<'_>) -> Result<Draft, Failure> {
    answer_of(call, Maker::OpenAi)
}

/// The answer of another maker's model.
pub(crate) fn compatible(call: &Call<'_>) -> Result<Draft, Failure> {
    answer_of(call, Maker::Other)
}

fn answer_of(call: &Call<'_>, maker: Maker) -> Result<Draft, Failure> {
    let checked = chat_request::check(call, maker)?;
    let turn = Turn::new(&checked.prompt, call.behaviour);
    if checked.stream {
        return Ok(Draft::Stream(chat_stream::frames(&checked, &turn)));
    }
    let text = turn.text();
    let choices = (0..checked.prompt.n)
        .map(|index| Choice {
            index,
            message: message(index, &text, &turn),
            logprobs: checked
                .logprobs
                .filter(|_| !turn.pieces.is_empty())
                .map(|top| Logprobs::new(&turn.pieces, top, turn.stop == Stop::Refusal)),
            finish_reason: finish_reason(&turn.stop),
        })
        .collect();
    let completion = Completion {
        id: format!("chatcmpl-{ID}"),
        object: "chat.completion",
        created: CREATED_SECONDS,
        model: &checked.model,
        choices,
        usage: UsagePart::new(&turn.usage),
        service_tier: SERVICE_TIER,
        system_fingerprint: FINGERPRINT,
    };
    Ok(Draft::Json(serde_json::to_vec(&completion).unwrap_or_default()))
}

fn message<'a>(choice: u64, text: &'a str, turn: &'a Turn) -> Message<'a> {
    let calls = turn.calls.iter().enumerate().map(|(index, call)| ToolCallPart {
        id: call_id(choice, index),
        r#type: call_type(call),
        called: called(call),
    });
    let refused = turn.stop == Stop::Refusal;
    Message {
        role: "assistant",
        content: (!refused && (turn.calls.is_empty() || !text.is_empty())).then_some(text),
        reasoning_content: thinks_aloud(turn).then(|| turn.thinking.concat()),
        refusal: refused.then_some(text),
        annotations: [],
        tool_calls: calls.collect(),
    }
}

fn called(call: &ToolCall) -> Called<'_> {
    let (name, text) = (call.name.as_str(), call.text());
    match call_type(call) {
        "custom" => Called::Custom(Custom { name, input: text }),
        _ => Called::Function(Function { name, arguments: text }),
    }
}

/// Tools that take free text are the custom ones.
pub(super) fn call_type(call: &ToolCall) -> &'static str {
    if call.arguments.is_string() { "custom" } else { "function" }
}

pub(super) fn thinks_aloud(turn: &Turn) -> bool {
    turn.thinks == Thinking::Shown
}

pub(super) fn call_id(choice: u64, index: usize) -> String {
    format!("call_{ID}_{choice}_{index}")
}

pub(super) const fn finish_reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) | Stop::Refusal => "stop",
        Stop::Length => "length",
        Stop::ToolUse => "tool_calls",
    }
}
