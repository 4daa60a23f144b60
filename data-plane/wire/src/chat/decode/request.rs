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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::Format;

    fn body(fields: &str) -> String {
        format!(r#"{{"model":"m","messages":[]{fields}}}"#)
    }

    fn error(fields: &str) -> String {
        request(body(fields).as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn settings_are_read_as_they_were_said() {
        let body = body(
            r#","max_tokens":1,"max_completion_tokens":2,"temperature":0.10,"top_p":1,"seed":-3,"n":2,"stop":"x",
            "logprobs":true,"top_logprobs":4,"presence_penalty":1,"frequency_penalty":-1.5,"reasoning_effort":"xhigh",
            "user":"u","prompt_cache_key":"k","service_tier":"flex","verbosity":"low","store":true,
            "metadata":{"a":"b"},"parallel_tool_calls":false,"stream":true,"stream_options":{"include_usage":true},
            "logit_bias":{"1":2},"modalities":["text"],"audio":null"#,
        );
        let request = request(body.as_bytes()).unwrap();
        assert_eq!(
            (request.max_output, request.stream, request.parallel_tools),
            (Some(2), true, Some(false))
        );
        let sampling = &request.sampling;
        let numbers =
            [&sampling.temperature, &sampling.top_p, &sampling.presence_penalty, &sampling.frequency_penalty];
        let numbers = numbers.map(|number| number.as_ref().unwrap().to_string());
        assert_eq!(numbers, ["0.1", "1", "1", "-1.5"]);
        assert_eq!((sampling.seed, sampling.n, sampling.top_logprobs), (Some(-3), Some(2), Some(4)));
        assert_eq!((sampling.logprobs, sampling.stop.as_slice()), (Some(true), ["x".into()].as_slice()));
        assert_eq!((request.thinking.mode, request.thinking.effort), (None, Some(Effort::XHigh)));
        let hints = &request.hints;
        assert_eq!((hints.user.as_deref(), hints.cache_key.as_deref()), (Some("u"), Some("k")));
        assert_eq!((hints.service_tier.as_deref(), hints.verbosity.as_deref()), (Some("flex"), Some("low")));
        assert_eq!((hints.store, hints.metadata.map(RawValue::get)), (Some(true), Some(r#"{"a":"b"}"#)));
        let extras: Vec<_> = request.extras.iter().map(|extra| (&*extra.name, extra.value.get())).collect();
        assert_eq!(extras, [("logit_bias", r#"{"1":2}"#), ("modalities", r#"["text"]"#)]);
        assert!(request.losses.is_empty());
    }

    #[test]
    fn no_effort_is_no_thinking_and_the_safety_identifier_is_the_user() {
        let body = body(r#","reasoning_effort":"none","user":"u","safety_identifier":"s","max_tokens":5"#);
        let request = request(body.as_bytes()).unwrap();
        assert_eq!(request.thinking.mode, Some(ThinkingMode::Off));
        assert_eq!((request.hints.user.as_deref(), request.max_output), (Some("s"), Some(5)));
        assert_eq!(request.losses.iter().map(|loss| &*loss.what).collect::<Vec<_>>(), ["user"]);
    }

    #[test]
    fn tools_are_functions_custom_ones_or_the_providers() {
        let body = body(
            r#","tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type": "object"},"strict":true,"odd":1}},
            {"type":"custom","custom":{"name":"c","format":{"type":"text"}}},{"type":"telepathy","x":1}],
            "functions":[{"name":"g"}],"web_search_options":{}"#,
        );
        let request = request(body.as_bytes()).unwrap();
        let [
            Tool::Function { name: f, parameters: Some(schema), strict: Some(true), .. },
            Tool::Custom { name: c, format: Some(format), .. },
            Tool::Server(server),
            Tool::Function { name: g, parameters: None, .. },
            Tool::WebSearch(search),
        ] = request.tools.as_slice()
        else {
            panic!("{:?}", request.tools)
        };
        assert_eq!((&**f, &**c, &**g, &*server.kind), ("f", "c", "g", "telepathy"));
        assert_eq!((&**schema, format.get()), (r#"{"type": "object"}"#, r#"{"type":"text"}"#));
        assert_eq!((server.value.get(), search.value.get()), (r#"{"type":"telepathy","x":1}"#, "{}"));
        assert_eq!(request.losses.iter().map(|loss| &*loss.what).collect::<Vec<_>>(), ["tools.function.odd"]);
    }

    #[test]
    fn the_choice_of_a_tool_has_many_forms() {
        let named = |name: &'static str| ToolChoice::Named(name.into());
        let allowed = |required| ToolChoice::Allowed { names: vec!["f".into(), "c".into()], required };
        for (choice, expected) in [
            (r#""tool_choice":"auto""#, ToolChoice::Auto),
            (r#""tool_choice":"none""#, ToolChoice::None),
            (r#""tool_choice":"required""#, ToolChoice::Required),
            (r#""tool_choice":{"type":"function","function":{"name":"f"}}"#, named("f")),
            (r#""tool_choice":{"type":"custom","custom":{"name":"c"}}"#, named("c")),
            (r#""tool_choice":{"type":"function","name":"f"}"#, named("f")),
            (
                r#""tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}},{"type":"custom","custom":{"name":"c"}}]}}"#,
                allowed(false),
            ),
            (
                r#""tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"name":"f"},{"name":"c"}]}}"#,
                allowed(true),
            ),
            (r#""function_call":"none""#, ToolChoice::None),
            (r#""function_call":{"name":"f"}"#, named("f")),
        ] {
            let body = body(&format!(",{choice}"));
            assert_eq!(request(body.as_bytes()).unwrap().tool_choice, Some(expected), "{choice}");
        }
    }

    #[test]
    fn the_answers_form_is_read_with_its_schema_as_text() {
        let body = body(
            r#","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type": "object"},"strict":false}}"#,
        );
        let request = request(body.as_bytes()).unwrap();
        let Format::JsonSchema { name: Some(name), schema, strict: Some(false), .. } = request.format else {
            panic!("{:?}", request.format)
        };
        assert_eq!((&*name, &*schema), ("n", r#"{"type": "object"}"#));
    }

    #[test]
    fn what_cannot_be_understood_is_refused_by_name() {
        for (fields, expected) in [
            (r#","temperature":"hot""#, "`temperature` must be a number"),
            (r#","max_tokens":-1"#, "`max_tokens` must be a whole number"),
            (r#","stream":"yes""#, "`stream` must be true or false"),
            (r#","stop":["a",1]"#, "`stop[1]` must be a string"),
            (r#","tools":{}"#, "`tools` must be an array"),
            (r#","tools":[{"type":"function"}]"#, "`tools[0].function` is required"),
            (
                r#","tools":[{"type":"function","function":{"name":1}}]"#,
                "`tools[0].function.name` must be a string",
            ),
            (
                r#","tool_choice":"maybe""#,
                "`tool_choice` must be `none`, `auto`, `required`, or an object that names a tool",
            ),
            (
                r#","response_format":{"type":"poem"}"#,
                "`response_format.type` must be `text`, `json_object` or `json_schema`",
            ),
        ] {
            assert_eq!(error(fields), expected);
        }
        assert!(
            error(r#","reasoning_effort":"lots""#)
                .starts_with("`reasoning_effort` must be one of `none`, `minimal`")
        );
        assert_eq!(request(br#"{"model":"m"}"#).unwrap_err().to_string(), "`messages` is required");
        assert_eq!(request(b"\xff").unwrap_err().to_string(), "`body` must be UTF-8");
        assert_eq!(request(b"[]").unwrap_err().to_string(), "`body` must be an object");
    }
}
