//! Requests.

use serde_json::{Number, value::RawValue};
use shared::wire::Wire;

use super::{Place, block::Reader, count, read, tagged, text, tool};
use crate::{
    canonical::{Effort, Extra, Format, Request, Role, Show, Thinking, ThinkingMode, attach_signatures},
    codec::Unreadable,
    json::record::{Str, TextOr, record},
    loss::{LossCode, Losses},
};

record! {
    struct Body {
        model: Str<'a> = "model",
        max_tokens: &'a RawValue = "max_tokens",
        system: TextOr<'a> = "system",
        messages: Vec<&'a RawValue> = "messages",
        tools: Vec<&'a RawValue> = "tools",
        tool_choice: &'a RawValue = "tool_choice",
        thinking: &'a RawValue = "thinking",
        output_config: &'a RawValue = "output_config",
        output_format: &'a RawValue = "output_format",
        temperature: Number = "temperature",
        top_p: Number = "top_p",
        top_k: &'a RawValue = "top_k",
        stop_sequences: Vec<&'a RawValue> = "stop_sequences",
        metadata: &'a RawValue = "metadata",
        service_tier: Str<'a> = "service_tier",
        stream: bool = "stream",
    }
}

record! {
    struct Message {
        role: Str<'a> = "role",
        content: TextOr<'a> = "content",
    }
}

/// # Errors
/// What the client has to correct, by the field's path.
pub(crate) fn request(body: &[u8]) -> Result<Request<'_>, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Place::Body.refuse("must be UTF-8"))?;
    let body: Body<'_> = read(text, &Place::Body)?;
    let mut request = Request {
        model: body.model.ok_or_else(|| Place::Body.missing("model"))?.0,
        stream: body.stream.unwrap_or_default(),
        ..Request::default()
    };
    let optional = |value: Option<&RawValue>, name| {
        value.map(|value| count(value, &Place::Field(&Place::Body, name))).transpose()
    };
    request.max_output = optional(body.max_tokens, "max_tokens")?;
    request.sampling.top_k = optional(body.top_k, "top_k")?;
    request.sampling.temperature = body.temperature;
    request.sampling.top_p = body.top_p;
    request.hints.service_tier = body.service_tier.map(|Str(tier)| tier);
    let origin = Wire::Messages;
    request.extras = body.unknown.into_iter().map(|(name, value)| Extra { origin, name, value }).collect();

    if let Some(system) = body.system {
        let mut reader = Reader { losses: &mut request.losses, area: "system" };
        request.system = reader.content(system, &Place::Field(&Place::Body, "system"))?;
    }
    messages(&mut request, body.messages.ok_or_else(|| Place::Body.missing("messages"))?)?;
    tools(&mut request, body.tools.unwrap_or_default(), body.tool_choice)?;
    if let Some(value) = body.thinking {
        request.thinking = thinking(value, &mut request.losses)?;
    }
    if let Some(value) = body.output_format {
        request.format = format(value, &mut request.losses, &Place::Field(&Place::Body, "output_format"))?;
    }
    if let Some(value) = body.output_config {
        output_config(&mut request, value)?;
    }
    stop_sequences(&mut request, body.stop_sequences.unwrap_or_default())?;
    if let Some(value) = body.metadata {
        metadata(&mut request, value)?;
    }
    Ok(request)
}

fn messages<'a>(request: &mut Request<'a>, messages: Vec<&'a RawValue>) -> Result<(), Unreadable> {
    let list = Place::Field(&Place::Body, "messages");
    for (index, value) in messages.into_iter().enumerate() {
        let at = Place::Item(&list, index);
        let message: Message<'_> = read(value.get(), &at)?;
        let role = match message.role.as_ref().map(|Str(role)| &**role) {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            Some(_) => return Err(at.refuse_field("role", "must be user, assistant or system")),
            None => return Err(at.missing("role")),
        };
        let content = message.content.ok_or_else(|| at.missing("content"))?;
        let mut reader = Reader { losses: &mut request.losses, area: "messages.content" };
        let blocks = reader.content(content, &Place::Field(&at, "content"))?;
        for (name, _) in message.unknown {
            request.losses.add_named(LossCode::Field, &format!("messages.{name}"));
        }
        request.push(role, blocks);
    }
    for turn in request.turns.iter_mut().filter(|turn| turn.role == Role::Assistant) {
        attach_signatures(&mut turn.blocks);
    }
    Ok(())
}

fn tools<'a>(
    request: &mut Request<'a>,
    tools: Vec<&'a RawValue>,
    choice: Option<&'a RawValue>,
) -> Result<(), Unreadable> {
    let list = Place::Field(&Place::Body, "tools");
    request.tools.reserve(tools.len());
    for (index, value) in tools.into_iter().enumerate() {
        let tool = tool::tool(value, &mut request.losses, &Place::Item(&list, index))?;
        request.tools.push(tool);
    }
    if let Some(value) = choice {
        let at = Place::Field(&Place::Body, "tool_choice");
        let (choice, parallel) = tool::choice(value, &mut request.losses, &at)?;
        request.tool_choice = Some(choice);
        request.parallel_tools = parallel;
    }
    Ok(())
}

fn thinking(value: &RawValue, losses: &mut Losses) -> Result<Thinking, Unreadable> {
    let at = Place::Field(&Place::Body, "thinking");
    let (kind, fields) = tagged(value, &at)?;
    let mode = match kind.as_deref() {
        Some("enabled") => ThinkingMode::On,
        Some("disabled") => ThinkingMode::Off,
        Some("adaptive") => ThinkingMode::Adaptive,
        Some(_) => return Err(at.refuse_field("type", "must be enabled, disabled or adaptive")),
        None => return Err(at.missing("type")),
    };
    let mut thinking = Thinking { mode: Some(mode), ..Thinking::default() };
    for (name, value) in fields {
        match (&*name, value.get()) {
            ("budget_tokens", _) => {
                thinking.budget = Some(count(value, &Place::Field(&at, "budget_tokens"))?);
            }
            // `updates` tells while it thinks what `summarized` tells then.
            ("display", "\"summarized\"" | "\"updates\"") => thinking.show = Some(Show::Auto),
            ("display", "\"omitted\"") => thinking.show = Some(Show::Hidden),
            _ => losses.add_named(LossCode::Field, &format!("thinking.{name}")),
        }
    }
    Ok(thinking)
}

fn output_config<'a>(request: &mut Request<'a>, value: &'a RawValue) -> Result<(), Unreadable> {
    let at = Place::Field(&Place::Body, "output_config");
    // It has no type; one that it had would be a field like others.
    let (kind, fields) = tagged(value, &at)?;
    if kind.is_some() {
        request.losses.add(LossCode::Field, "output_config.type");
    }
    for (name, value) in fields {
        match &*name {
            "effort" => {
                let at = Place::Field(&at, "effort");
                let effort = Effort::parse(&text(value, &at)?);
                let effort = effort.ok_or_else(|| at.refuse("must be low, medium, high, xhigh or max"))?;
                request.thinking.effort = Some(effort);
            }
            "format" => {
                request.format = format(value, &mut request.losses, &Place::Field(&at, "format"))?;
            }
            _ => request.losses.add_named(LossCode::Field, &format!("output_config.{name}")),
        }
    }
    Ok(())
}

fn format<'a>(value: &'a RawValue, losses: &mut Losses, at: &Place<'_>) -> Result<Format<'a>, Unreadable> {
    let (kind, fields) = tagged(value, at)?;
    match kind.as_deref() {
        Some("json_schema") => {}
        Some("text") => return Ok(Format::Text),
        Some(_) => return Err(at.refuse_field("type", "must be json_schema")),
        None => return Err(at.missing("type")),
    }
    let mut schema = None;
    for (name, value) in fields {
        match &*name {
            "schema" => schema = Some(value.get().into()),
            _ => losses.add_named(LossCode::Field, &format!("output_config.format.{name}")),
        }
    }
    let schema = schema.ok_or_else(|| at.missing("schema"))?;
    Ok(Format::JsonSchema { name: None, description: None, schema, strict: None })
}

fn stop_sequences<'a>(request: &mut Request<'a>, sequences: Vec<&'a RawValue>) -> Result<(), Unreadable> {
    let list = Place::Field(&Place::Body, "stop_sequences");
    for (index, value) in sequences.into_iter().enumerate() {
        request.sampling.stop.push(text(value, &Place::Item(&list, index))?);
    }
    Ok(())
}

fn metadata<'a>(request: &mut Request<'a>, value: &'a RawValue) -> Result<(), Unreadable> {
    record! {
        struct Metadata {
            user_id: Str<'a> = "user_id",
        }
    }
    let metadata: Metadata<'_> = read(value.get(), &Place::Field(&Place::Body, "metadata"))?;
    request.hints.user = metadata.user_id.map(|Str(user)| user);
    for (name, _) in metadata.unknown {
        request.losses.add_named(LossCode::Field, &format!("metadata.{name}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::{Block, Origin, Tool, ToolChoice};

    fn read(json: &str) -> Request<'_> {
        request(json.as_bytes()).unwrap()
    }

    fn refused(json: &str) -> String {
        request(json.as_bytes()).unwrap_err().to_string()
    }

    fn lost(request: &Request<'_>) -> Vec<String> {
        request.losses.iter().map(|loss| loss.what.to_string()).collect()
    }

    /// A body with these fields and one message.
    fn with(fields: &str) -> String {
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}],{fields}}}"#)
    }

    #[test]
    fn what_a_request_wishes_is_read() {
        let body = with(
            r#""max_tokens":1024.0,"stream":true,"temperature":0.5,"top_p":1,"top_k":40,"stop_sequences":["a","b"],
            "service_tier":"auto","metadata":{"user_id":"u\"1","odd":1},"container":null,"speed":"fast",
            "cache_control":{"type":"ephemeral"},"mcp_servers":[]"#,
        );
        let request = read(&body);
        assert_eq!((&*request.model, request.stream, request.max_output), ("m", true, Some(1024)));
        let sampling = &request.sampling;
        assert_eq!(sampling.temperature.as_ref().map(Number::to_string).as_deref(), Some("0.5"));
        assert_eq!(sampling.top_p.as_ref().map(Number::to_string).as_deref(), Some("1"));
        assert_eq!((sampling.top_k, &*sampling.stop), (Some(40), &["a".into(), "b".into()][..]));
        assert_eq!(request.hints.user.as_deref(), Some("u\"1"));
        assert_eq!(request.hints.service_tier.as_deref(), Some("auto"));
        let extras: Vec<_> = request.extras.iter().map(|extra| &*extra.name).collect();
        assert_eq!(extras, ["speed", "cache_control", "mcp_servers"]);
        assert_eq!(lost(&request), ["metadata.odd"]);
    }

    #[test]
    fn turns_of_one_role_are_one_and_empty_texts_are_none() {
        let request = read(
            r#"{"model":"m","system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"messages":[
            {"role":"user","content":"a"},{"role":"user","content":[{"type":"text","text":""},
            {"type":"text","text":"b"}],"name":"n"},{"role":"assistant","content":""},
            {"role":"system","content":"c"},{"role":"assistant","content":[{"type":"text","text":"d "}]}]}"#,
        );
        let turns: Vec<_> = request.turns.iter().map(|turn| (turn.role, turn.blocks.len())).collect();
        assert_eq!(turns, [(Role::User, 2), (Role::System, 1), (Role::Assistant, 1)]);
        assert!(matches!(&*request.system, [block] if block.cache().is_some()));
        assert_eq!(lost(&request), ["messages.name"]);
    }

    #[test]
    fn a_carried_signature_goes_back_to_its_call() {
        let request = read(
            r#"{"model":"m","messages":[{"role":"assistant","content":[
            {"type":"thinking","thinking":"","signature":"sy1.gemini.proof..abc"},
            {"type":"tool_use","id":"t","name":"f","input":{}}]}]}"#,
        );
        let [Block::ToolCall(call)] = &*request.turns[0].blocks else { panic!("{:?}", request.turns) };
        let signature = call.signature.as_ref().unwrap();
        assert_eq!((signature.origin, &*signature.value), (Origin::Gemini, "abc"));
    }

    #[test]
    fn thinking_is_read_in_all_its_forms() {
        let thinking = |fields: &str| read(&with(fields)).thinking;
        assert_eq!(
            thinking(r#""thinking":{"type":"enabled","budget_tokens":2048,"display":"omitted"}"#),
            Thinking {
                mode: Some(ThinkingMode::On),
                budget: Some(2048),
                show: Some(Show::Hidden),
                ..Thinking::default()
            }
        );
        assert_eq!(
            thinking(
                r#""thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"max"}"#
            ),
            Thinking {
                mode: Some(ThinkingMode::Adaptive),
                effort: Some(Effort::Max),
                show: Some(Show::Auto),
                ..Thinking::default()
            }
        );
        assert_eq!(thinking(r#""thinking":{"type":"adaptive","display":"updates"}"#).show, Some(Show::Auto));
        assert_eq!(thinking(r#""thinking":{"type":"disabled"}"#).mode, Some(ThinkingMode::Off));
        assert_eq!(thinking(r#""thinking":null"#), Thinking::default());
    }

    #[test]
    fn a_schema_is_read_from_its_old_place_too() {
        for fields in [
            r#""output_format":{"type":"json_schema","schema":{"type":"object"}}"#,
            r#""output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}"#,
        ] {
            let body = with(fields);
            let Format::JsonSchema { schema, name: None, strict: None, .. } = read(&body).format else {
                panic!("{fields}")
            };
            assert_eq!(schema, r#"{"type":"object"}"#);
        }
    }

    #[test]
    fn tools_and_their_choice_are_read() {
        let body = with(
            r#""tools":[{"name":"f","input_schema":{}},{"type":"bash_20250124","name":"bash"}],
            "tool_choice":{"type":"any","disable_parallel_tool_use":true}"#,
        );
        let request = read(&body);
        assert!(matches!(&*request.tools, [Tool::Function { .. }, Tool::Server(_)]));
        assert_eq!((request.tool_choice, request.parallel_tools), (Some(ToolChoice::Required), Some(false)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(refused("{}"), "`model` is required");
        assert_eq!(refused(r#"{"model":"m"}"#), "`messages` is required");
        assert_eq!(refused(r#"{"model":7,"messages":[]}"#), "`model` must be a string");
        assert_eq!(
            refused(r#"{"model":"m","messages":[{"role":"tool","content":""}]}"#),
            "`messages[0].role` must be user, assistant or system"
        );
        assert_eq!(
            refused(r#"{"model":"m","messages":[{"role":"user","content":{}}]}"#),
            "`messages[0].content` must be a string or an array"
        );
        assert_eq!(
            refused(r#"{"model":"m","messages":[{"role":"user"}]}"#),
            "`messages[0].content` is required"
        );
        assert_eq!(refused(&with(r#""max_tokens":-1"#)), "`max_tokens` must be a whole number, 0 or more");
        assert_eq!(refused(&with(r#""temperature":"hot""#)), "`temperature` must be a number");
        assert_eq!(refused(&with(r#""stop_sequences":["a",1]"#)), "`stop_sequences[1]` must be a string");
        assert_eq!(
            refused(&with(r#""thinking":{"type":"lots"}"#)),
            "`thinking.type` must be enabled, disabled or adaptive"
        );
        assert_eq!(
            refused(&with(r#""output_config":{"effort":"huge"}"#)),
            "`output_config.effort` must be low, medium, high, xhigh or max"
        );
        assert_eq!(
            refused(&with(r#""output_config":{"format":{"type":"json_schema"}}"#)),
            "`output_config.format.schema` is required"
        );
    }
}
