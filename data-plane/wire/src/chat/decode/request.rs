//! What a client asks for.

use std::borrow::Cow;

use serde_json::{Number, value::RawValue};
use shared::wire::Wire;

use super::message::Reader;
use super::read::{Path, each, read, text};
use super::tools;
use crate::canonical::{
    Effort, Extra, Hints, Opaque, Request, Sampling, Thinking, ThinkingMode, Tool, ToolChoice,
};
use crate::codec::Unreadable;
use crate::json::record::{Str, TextOr, record};
use crate::loss::LossCode;

record! {
    struct Fields {
        model: Str<'a> = "model",
        messages: Vec<&'a RawValue> = "messages",
        stream: bool = "stream",
        // Whether usage is wanted is read from the raw body: it concerns the answer only.
        stream_options: &'a RawValue = "stream_options",
        tools: Vec<&'a RawValue> = "tools",
        functions: Vec<&'a RawValue> = "functions",
        tool_choice: &'a RawValue = "tool_choice",
        function_call: &'a RawValue = "function_call",
        parallel_tool_calls: bool = "parallel_tool_calls",
        web_search_options: &'a RawValue = "web_search_options",
        response_format: &'a RawValue = "response_format",
        max_completion_tokens: u64 = "max_completion_tokens",
        max_tokens: u64 = "max_tokens",
        temperature: Number = "temperature",
        top_p: Number = "top_p",
        top_k: u64 = "top_k",
        seed: i64 = "seed",
        presence_penalty: Number = "presence_penalty",
        frequency_penalty: Number = "frequency_penalty",
        stop: TextOr<'a> = "stop",
        n: u64 = "n",
        logprobs: bool = "logprobs",
        top_logprobs: u64 = "top_logprobs",
        reasoning_effort: Str<'a> = "reasoning_effort",
        user: Str<'a> = "user",
        safety_identifier: Str<'a> = "safety_identifier",
        prompt_cache_key: Str<'a> = "prompt_cache_key",
        service_tier: Str<'a> = "service_tier",
        verbosity: Str<'a> = "verbosity",
        store: bool = "store",
        metadata: &'a RawValue = "metadata",
    }
}

pub(crate) fn request(body: &[u8]) -> Result<Request<'_>, Unreadable> {
    let mut fields: Fields<'_> = read(text(body)?, &Path::Body)?;
    let required = |name| Path::Body.field(name).wrong("is required");
    let Some(Str(model)) = fields.model.take() else { return Err(required("model")) };
    let Some(messages) = fields.messages.take() else { return Err(required("messages")) };
    let mut request = Request {
        model,
        stream: fields.stream.unwrap_or_default(),
        parallel_tools: fields.parallel_tool_calls,
        max_output: fields.max_completion_tokens.or(fields.max_tokens),
        sampling: sampling(&mut fields)?,
        thinking: thinking(fields.reasoning_effort.take())?,
        ..Request::default()
    };
    let mut reader = Reader::new("messages");
    each(&messages, &Path::Body.field("messages"), |message, _, path| {
        reader.turn(&mut request, message, path)
    })?;
    request.losses.extend(reader.losses);
    hints(&mut request, &mut fields);
    tools(&mut request, &fields)?;
    if let Some(format) = fields.response_format {
        request.format = tools::format(format, &mut request.losses)?;
    }
    let extra = |(name, value)| Extra { origin: Wire::Chat, name, value };
    request.extras = fields.unknown.into_iter().map(extra).collect();
    Ok(request)
}

fn tools<'a>(request: &mut Request<'a>, fields: &Fields<'a>) -> Result<(), Unreadable> {
    tools::tools(request, fields.tools.as_deref().unwrap_or_default())?;
    tools::functions(request, fields.functions.as_deref().unwrap_or_default())?;
    if let Some(options) = fields.web_search_options {
        let value = Cow::Borrowed(options);
        request.tools.push(Tool::WebSearch(Opaque {
            origin: Wire::Chat,
            kind: "web_search_options".into(),
            value,
        }));
    }
    request.tool_choice = choice(fields)?;
    Ok(())
}

fn choice<'a>(fields: &Fields<'a>) -> Result<Option<ToolChoice<'a>>, Unreadable> {
    match (fields.tool_choice, fields.function_call) {
        (Some(value), _) => tools::choice(value, "tool_choice").map(Some),
        (None, Some(value)) => tools::choice(value, "function_call").map(Some),
        (None, None) => Ok(None),
    }
}

fn sampling<'a>(fields: &mut Fields<'a>) -> Result<Sampling<'a>, Unreadable> {
    let stop = match fields.stop.take() {
        None => Vec::new(),
        Some(TextOr::Text(text)) => vec![text],
        Some(TextOr::Items(items)) => {
            let mut stop = Vec::with_capacity(items.len());
            each(&items, &Path::Body.field("stop"), |Str(text), _, _| {
                stop.push(text);
                Ok(())
            })?;
            stop
        }
    };
    Ok(Sampling {
        temperature: fields.temperature.take(),
        top_p: fields.top_p.take(),
        top_k: fields.top_k,
        seed: fields.seed,
        presence_penalty: fields.presence_penalty.take(),
        frequency_penalty: fields.frequency_penalty.take(),
        stop,
        n: fields.n,
        logprobs: fields.logprobs,
        top_logprobs: fields.top_logprobs,
    })
}

fn thinking(effort: Option<Str<'_>>) -> Result<Thinking, Unreadable> {
    let Some(Str(word)) = effort else { return Ok(Thinking::default()) };
    if word == "none" {
        return Ok(Thinking { mode: Some(ThinkingMode::Off), ..Thinking::default() });
    }
    match Effort::parse(&word) {
        Some(effort) => Ok(Thinking { effort: Some(effort), ..Thinking::default() }),
        None => {
            let words = Effort::ALL.map(|effort| format!("`{}`", effort.as_str())).join(", ");
            Err(Path::Body.field("reasoning_effort").wrong(&format!("must be one of `none`, {words}")))
        }
    }
}

fn hints<'a>(request: &mut Request<'a>, fields: &mut Fields<'a>) {
    let text = |text: Option<Str<'a>>| text.map(|Str(text)| text);
    let (user, safety) = (text(fields.user.take()), text(fields.safety_identifier.take()));
    if user.is_some() && safety.is_some() && user != safety {
        request.losses.add(LossCode::Field, "user");
    }
    request.hints = Hints {
        user: safety.or(user),
        cache_key: text(fields.prompt_cache_key.take()),
        service_tier: text(fields.service_tier.take()),
        verbosity: text(fields.verbosity.take()),
        store: fields.store,
        metadata: fields.metadata,
    };
}
