//! POST /v1/responses.

use std::borrow::Cow;

use serde_json::{Number, value::RawValue};
use shared::wire::Wire;

use super::{
    fields::{Loose, count, parse, required, text_of},
    items::{Place, Reader},
    tools,
};
use crate::{
    canonical::{
        Block, Effort, Extra, Format, Hints, Request, Role, Sampling, Show, Thinking, ThinkingMode,
        attach_signatures,
    },
    codec::Unreadable,
    json::record::{Str, record},
    loss::{LossCode, Losses},
};

record! {
    struct Body {
        model: Str<'a> = "model",
        stream: bool = "stream",
        input: Loose<'a> = "input",
        instructions: Str<'a> = "instructions",
        tools: Vec<&'a RawValue> = "tools",
        tool_choice: &'a RawValue = "tool_choice",
        parallel_tool_calls: bool = "parallel_tool_calls",
        max_output_tokens: Number = "max_output_tokens",
        temperature: Number = "temperature",
        top_p: Number = "top_p",
        top_logprobs: Number = "top_logprobs",
        text: &'a RawValue = "text",
        reasoning: &'a RawValue = "reasoning",
        include: Vec<Str<'a>> = "include",
        user: Str<'a> = "user",
        safety_identifier: Str<'a> = "safety_identifier",
        prompt_cache_key: Str<'a> = "prompt_cache_key",
        service_tier: Str<'a> = "service_tier",
        store: bool = "store",
        metadata: &'a RawValue = "metadata",
        truncation: &'a RawValue = "truncation",
        stream_options: &'a RawValue = "stream_options",
    }
}

record! {
    struct TextConfig {
        format: &'a RawValue = "format",
        verbosity: Str<'a> = "verbosity",
    }
}

record! {
    struct TextFormat {
        kind: Str<'a> = "type",
        name: Str<'a> = "name",
        description: Str<'a> = "description",
        schema: &'a RawValue = "schema",
        strict: bool = "strict",
    }
}

record! {
    struct ReasoningConfig {
        effort: Str<'a> = "effort",
        summary: Str<'a> = "summary",
        generate_summary: Str<'a> = "generate_summary",
    }
}

/// # Errors
/// The body can't be understood.
pub(crate) fn request(body: &[u8]) -> Result<Request<'_>, Unreadable> {
    let mut body: Body<'_> = parse(text_of(body)?, String::new)?;
    let mut request = Request {
        model: required(body.model.take(), || "model".to_owned())?.0,
        stream: body.stream.unwrap_or(false),
        parallel_tools: body.parallel_tool_calls,
        max_output: count(body.max_output_tokens.as_ref(), "max_output_tokens")?,
        ..Request::default()
    };
    if let Some(Str(text)) = body.instructions.take().filter(|text| !text.0.is_empty()) {
        request.system.push(Block::text(text));
    }
    if let Some(input) = body.input.take() {
        read_input(input, &mut request)?;
    }
    let losses = &mut request.losses;
    request.tools = tools::tools(body.tools.take().unwrap_or_default(), losses)?;
    if let Some(raw) = body.tool_choice {
        request.tool_choice = tools::choice(raw, losses)?;
        if request.tool_choice.is_none() {
            request.extras.push(extra("tool_choice", raw));
        }
    }
    if let Some(raw) = body.reasoning {
        request.thinking = thinking(raw, losses)?;
    }
    if let Some(raw) = body.text {
        (request.format, request.hints.verbosity) = text_config(raw, losses)?;
    }
    request.sampling = Sampling {
        top_logprobs: count(body.top_logprobs.as_ref(), "top_logprobs")?,
        temperature: body.temperature.take(),
        top_p: body.top_p.take(),
        ..Sampling::default()
    };
    read_include(body.include.take().unwrap_or_default(), &mut request);
    finish(body, &mut request);
    Ok(request)
}

fn finish<'a>(body: Body<'a>, request: &mut Request<'a>) {
    let text = |text: Option<Str<'a>>| text.map(|text| text.0);
    request.hints = Hints {
        user: text(body.safety_identifier).or(text(body.user)),
        cache_key: text(body.prompt_cache_key),
        service_tier: text(body.service_tier),
        verbosity: request.hints.verbosity.take(),
        store: body.store,
        metadata: body.metadata,
    };
    let unset = |name: &str, value: &RawValue| name == "background" && value.get() == "false";
    for (name, value) in body.unknown {
        if !unset(&name, value) {
            request.extras.push(Extra { origin: Wire::Responses, name, value });
        }
    }
    if let Some(raw) = body.truncation.filter(|raw| raw.get() != "\"disabled\"") {
        request.extras.push(extra("truncation", raw));
    }
}

const fn extra<'a>(name: &'static str, value: &'a RawValue) -> Extra<'a> {
    Extra { origin: Wire::Responses, name: Cow::Borrowed(name), value }
}

fn read_input<'a>(input: Loose<'a>, request: &mut Request<'a>) -> Result<(), Unreadable> {
    let items = match input {
        Loose::Text(text) => {
            request.push(Role::User, [Block::text(text)]);
            return Ok(());
        }
        Loose::Items(items) => items,
        Loose::Other => return Err(Unreadable::new("input", "must be a string or an array of items")),
    };
    let mut reader = Reader::default();
    for (index, raw) in items.into_iter().enumerate() {
        let (role, blocks) = reader.item(raw, Place { list: "input", index })?;
        if blocks.is_empty() {
            reader.losses.add(LossCode::Block, "input without content");
        }
        request.push(role, blocks);
    }
    request.losses.extend(reader.losses);
    for turn in request.turns.iter_mut().filter(|turn| turn.role == Role::Assistant) {
        attach_signatures(&mut turn.blocks);
    }
    Ok(())
}

fn read_include<'a>(include: Vec<Str<'a>>, request: &mut Request<'a>) {
    for Str(what) in include {
        match &*what {
            "reasoning.encrypted_content" => request.thinking.encrypted = true,
            "message.output_text.logprobs" => request.sampling.logprobs = Some(true),
            what => request.losses.add_named(LossCode::Field, &format!("include.{what}")),
        }
    }
}

fn thinking(raw: &RawValue, losses: &mut Losses) -> Result<Thinking, Unreadable> {
    let config: ReasoningConfig<'_> = parse(raw.get(), || "reasoning".to_owned())?;
    lose_unknown("reasoning", &config.unknown, losses);
    let mut thinking = Thinking::default();
    match config.effort.as_ref().map(|effort| &*effort.0) {
        None => {}
        Some("none") => thinking.mode = Some(ThinkingMode::Off),
        Some(word) => {
            thinking.effort = Effort::parse(word);
            if thinking.effort.is_none() {
                losses.add(LossCode::Field, "reasoning.effort");
            }
        }
    }
    thinking.show = match config.summary.or(config.generate_summary).as_ref().map(|word| &*word.0) {
        None => None,
        Some("none") => Some(Show::Hidden),
        Some("concise") => Some(Show::Concise),
        Some("detailed") => Some(Show::Detailed),
        Some(_) => Some(Show::Auto),
    };
    Ok(thinking)
}

type TextSettings<'a> = (Format<'a>, Option<Cow<'a, str>>);

fn text_config<'a>(raw: &'a RawValue, losses: &mut Losses) -> Result<TextSettings<'a>, Unreadable> {
    let config: TextConfig<'a> = parse(raw.get(), || "text".to_owned())?;
    lose_unknown("text", &config.unknown, losses);
    let verbosity = config.verbosity.map(|word| word.0);
    let Some(raw) = config.format else { return Ok((Format::Text, verbosity)) };
    let format: TextFormat<'a> = parse(raw.get(), || "text.format".to_owned())?;
    lose_unknown("text.format", &format.unknown, losses);
    let format = match format.kind.as_ref().map(|kind| &*kind.0) {
        Some("text") => Format::Text,
        Some("json_object") => Format::JsonObject,
        Some("json_schema") => {
            let schema = required(format.schema, || "text.format.schema".to_owned())?;
            Format::JsonSchema {
                name: format.name.map(|name| name.0),
                description: format.description.map(|text| text.0),
                schema: Cow::Borrowed(schema.get()),
                strict: format.strict,
            }
        }
        _ => {
            let problem = "must be text, json_object or json_schema";
            return Err(Unreadable::new("text.format.type", problem));
        }
    };
    Ok((format, verbosity))
}

fn lose_unknown(inside: &str, unknown: &[(Cow<'_, str>, &RawValue)], losses: &mut Losses) {
    for (name, _) in unknown {
        losses.add_named(LossCode::Field, &format!("{inside}.{name}"));
    }
}
