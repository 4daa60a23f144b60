//! A request body's few fields that routing and metering need, read in one pass that also checks that all of it is
//! JSON. What is not named here is not looked at.

use std::borrow::Cow;
use std::ops::Range;

use crate::json::{self, Field};
use crate::raw::splice::Splices;

/// Longest model name, in bytes: it goes into records and logs.
pub const MODEL_MAX: usize = 512;

/// What the gateway reads of a request. Fields that a wire does not have are absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestView {
    /// As the client wrote it: also `type,model`.
    pub model: String,
    pub stream: bool,
    /// chat: the client itself asked for `stream_options.include_usage`.
    pub wants_usage: bool,
    /// responses: `max_output_tokens`.
    pub max_tokens: Option<u64>,
    pub max_completion_tokens: Option<u64>,
    /// chat: answers asked for.
    pub n: Option<u64>,
    /// `metadata.user_id`.
    pub user_id: Option<String>,
    pub prompt_cache_key: Option<String>,
    /// What the provider holds and the request builds on, which only the account that made it can use. responses:
    /// `previous_response_id` or `conversation`; gemini: `cachedContent`.
    pub bound_id: Option<String>,
    /// Absent: the path names the model.
    model_at: Option<Range<usize>>,
    usage_edit: Option<(Range<usize>, &'static str)>,
}

impl RequestView {
    /// Puts another model name in the place of the client's, unless it is the same. gemini: nothing, the path names it.
    pub fn replace_model(&self, splices: &mut Splices, model: &str) {
        if let Some(range) = self.model_at.clone().filter(|_| model != self.model) {
            splices.replace_with_string(range, model);
        }
    }

    /// chat: asks the upstream for usage in the stream, unless the client did. Call it for streams only: providers
    /// refuse `stream_options` elsewhere.
    pub fn ask_for_usage(&self, splices: &mut Splices) {
        if let Some((range, text)) = &self.usage_edit {
            splices.replace(range.clone(), *text);
        }
    }
}

/// Why a body can't be taken; the message tells the client what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the request body is empty; send a JSON object")]
    Empty,
    #[error("the request body is not UTF-8 from byte {at} on; send JSON encoded as UTF-8")]
    NotUtf8 { at: usize },
    #[error("the request body is not valid JSON: {problem}; correct it and send it again")]
    NotJson { problem: String },
    #[error("the request body is {found}; send a JSON object")]
    NotAnObject { found: &'static str },
    #[error("`{field}` is missing; {remedy}")]
    Missing { field: &'static str, remedy: &'static str },
    #[error("`{field}` must be {expected}")]
    Unfit { field: &'static str, expected: &'static str },
    #[error("`{field}` appears more than once; send it once")]
    Duplicate { field: &'static str },
}

impl BodyError {
    /// The field that the client has to change; none when the whole body is at fault.
    #[must_use]
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Missing { field, .. } | Self::Unfit { field, .. } | Self::Duplicate { field } => {
                Some(field)
            }
            _ => None,
        }
    }
}

/// POST /v1/chat/completions.
pub fn chat(body: &[u8]) -> Result<RequestView, BodyError> {
    use Name::{MaxCompletionTokens, MaxTokens, Metadata, Model, N, PromptCacheKey, Stream, StreamOptions};
    read(body, &[Model, Stream, StreamOptions, MaxTokens, MaxCompletionTokens, N, Metadata, PromptCacheKey])
}

/// POST /v1/embeddings.
pub fn embeddings(body: &[u8]) -> Result<RequestView, BodyError> {
    read(body, &[Name::Model])
}

/// POST /v1/responses.
pub fn responses(body: &[u8]) -> Result<RequestView, BodyError> {
    use Name::{Conversation, MaxOutputTokens, Metadata, Model, PreviousResponseId, PromptCacheKey, Stream};
    read(body, &[Model, Stream, MaxOutputTokens, Metadata, PromptCacheKey, PreviousResponseId, Conversation])
}

/// POST /v1/messages.
pub fn messages(body: &[u8]) -> Result<RequestView, BodyError> {
    use Name::{MaxTokens, Metadata, Model, Stream};
    read(body, &[Model, Stream, MaxTokens, Metadata])
}

/// POST /v1/messages/count_tokens.
pub fn count_tokens(body: &[u8]) -> Result<RequestView, BodyError> {
    read(body, &[Name::Model, Name::Metadata])
}

/// POST /v1beta/models/{model}:generateContent, and :streamGenerateContent, which is a `stream`.
///
/// Fields may be named in snake_case too, as protobuf allows.
pub fn gemini(body: &[u8], model: &str, stream: bool) -> Result<RequestView, BodyError> {
    let text = text_of(body)?;
    let (mut config, mut cached) = (None, None);
    let mut twice = None;
    json::object(text, |field| match &*field.name() {
        "generationConfig" | "generation_config" => {
            twice = config.replace(field.value).map(|_| "generationConfig").or(twice);
        }
        "cachedContent" | "cached_content" => {
            twice = cached.replace(field.value).map(|_| "cachedContent").or(twice);
        }
        _ => {}
    })
    .map_err(|error| BodyError::NotJson { problem: error.to_string() })?;
    let (mut max_tokens, mut n) = (None, None);
    // A configuration that is no object is left for the provider to refuse.
    let _ = json::object(config.unwrap_or("{}"), |field| match &*field.name() {
        "maxOutputTokens" | "max_output_tokens" => {
            twice = max_tokens.replace(field.value).map(|_| "generationConfig.maxOutputTokens").or(twice);
        }
        "candidateCount" | "candidate_count" => {
            twice = n.replace(field.value).map(|_| "generationConfig.candidateCount").or(twice);
        }
        _ => {}
    });
    if let Some(field) = twice {
        return Err(BodyError::Duplicate { field });
    }
    Ok(RequestView {
        model: model.to_owned(),
        stream,
        wants_usage: false,
        max_tokens: gemini_count("generationConfig.maxOutputTokens", max_tokens)?,
        max_completion_tokens: None,
        n: gemini_count("generationConfig.candidateCount", n)?,
        user_id: None,
        prompt_cache_key: None,
        bound_id: cached.and_then(json::string).filter(|id| !id.is_empty()).map(Cow::into_owned),
        model_at: None,
        usage_edit: None,
    })
}

/// A count, perhaps in a string, as protobuf allows.
fn gemini_count(field: &'static str, value: Option<&str>) -> Result<Option<u64>, BodyError> {
    let unfit = || BodyError::Unfit { field, expected: "a whole number, not negative" };
    let count = |value| json::string(value).map_or_else(|| json::count(value), |text| json::count(&text));
    value.filter(|value| *value != "null").map(|value| count(value).ok_or_else(unfit)).transpose()
}

/// The fields that are read, by their place in [`Found`].
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Model,
    Stream,
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
    N,
    Metadata,
    PromptCacheKey,
    MaxOutputTokens,
    PreviousResponseId,
    Conversation,
}

impl Name {
    const COUNT: usize = 11;

    const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Stream => "stream",
            Self::StreamOptions => "stream_options",
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
            Self::N => "n",
            Self::Metadata => "metadata",
            Self::PromptCacheKey => "prompt_cache_key",
            Self::MaxOutputTokens => "max_output_tokens",
            Self::PreviousResponseId => "previous_response_id",
            Self::Conversation => "conversation",
        }
    }
}

/// The values of the named fields, as written.
#[derive(Default)]
struct Found<'a>([Option<&'a str>; Name::COUNT]);

impl<'a> Found<'a> {
    fn get(&self, name: Name) -> Option<&'a str> {
        self.0[name as usize].filter(|value| *value != "null")
    }

    fn switch(&self, name: Name) -> Result<bool, BodyError> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(BodyError::Unfit { field: name.as_str(), expected: "true or false" }),
        }
    }

    fn count(&self, name: Name) -> Result<Option<u64>, BodyError> {
        let unfit = || BodyError::Unfit { field: name.as_str(), expected: "a whole number, not negative" };
        self.get(name).map(|value| json::count(value).ok_or_else(unfit)).transpose()
    }

    fn text(&self, name: Name) -> Option<String> {
        self.get(name).and_then(json::string).map(Cow::into_owned)
    }
}

fn read(body: &[u8], names: &[Name]) -> Result<RequestView, BodyError> {
    let text = text_of(body)?;
    let mut found = Found::default();
    let mut twice = None;
    json::object(text, |field| {
        let Some(name) = named(&field, names) else { return };
        if found.0[name as usize].replace(field.value).is_some() {
            twice = twice.or(Some(name.as_str()));
        }
    })
    .map_err(|error| BodyError::NotJson { problem: error.to_string() })?;
    if let Some(field) = twice {
        return Err(BodyError::Duplicate { field });
    }
    view(body, text, &found)
}

fn named(field: &Field<'_>, names: &[Name]) -> Option<Name> {
    let key = field.name();
    names.iter().copied().find(|name| name.as_str() == key)
}

fn view(body: &[u8], text: &str, found: &Found<'_>) -> Result<RequestView, BodyError> {
    let (model, model_at) = model(body, found)?;
    let (wants_usage, usage_edit) = stream_options(body, text, found)?;
    Ok(RequestView {
        model,
        stream: found.switch(Name::Stream)?,
        wants_usage,
        max_tokens: found.count(Name::MaxTokens)?.or(found.count(Name::MaxOutputTokens)?),
        max_completion_tokens: found.count(Name::MaxCompletionTokens)?,
        n: found.count(Name::N)?,
        user_id: user_id(found)?,
        prompt_cache_key: found.text(Name::PromptCacheKey),
        bound_id: bound_id(found)?,
        model_at: Some(model_at),
        usage_edit,
    })
}

/// The body as text that starts at the object's brace: without byte order mark and leading white space.
fn text_of(body: &[u8]) -> Result<&str, BodyError> {
    let text = std::str::from_utf8(body).map_err(|error| BodyError::NotUtf8 { at: error.valid_up_to() })?;
    // JSON's own white space only: the body goes to the upstream as it is.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start_matches([' ', '\t', '\n', '\r']);
    let found = match text.as_bytes().first() {
        Some(b'{') => return Ok(text),
        None => return Err(BodyError::Empty),
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(_) => {
            return Err(BodyError::NotJson { problem: "it does not start with `{`".to_owned() });
        }
    };
    Err(BodyError::NotAnObject { found })
}

fn model(body: &[u8], found: &Found<'_>) -> Result<(String, Range<usize>), BodyError> {
    let field = Name::Model.as_str();
    let value = found.0[Name::Model as usize]
        .ok_or(BodyError::Missing { field, remedy: "name the model to be used" })?;
    let model = json::string(value).filter(|model| !model.trim().is_empty() && model.len() <= MODEL_MAX);
    let model =
        model.ok_or(BodyError::Unfit { field, expected: "a model's name: a string of 1 to 512 bytes" })?;
    Ok((model.into_owned(), json::place_in(body, value)))
}

/// Whether the client asked for usage, and the edit that asks for it when it did not. A `stream_options` that is no
/// object is left for the provider to refuse.
type UsageAsk = (bool, Option<(Range<usize>, &'static str)>);

fn stream_options(body: &[u8], text: &str, found: &Found<'_>) -> Result<UsageAsk, BodyError> {
    let Some(options) = found.0[Name::StreamOptions as usize] else {
        // There is a model, so a field follows.
        let at = json::place_in(body, text).start + 1;
        return Ok((false, Some((at..at, r#""stream_options":{"include_usage":true},"#))));
    };
    let place = json::place_in(body, options);
    if options == "null" {
        return Ok((false, Some((place, r#"{"include_usage":true}"#))));
    }
    let mut asks: Option<&str> = None;
    let mut twice = false;
    let is_object = json::object(options, |field| {
        if field.name() == "include_usage" {
            twice |= asks.replace(field.value).is_some();
        }
    })
    .is_ok();
    if twice {
        return Err(BodyError::Duplicate { field: "stream_options.include_usage" });
    }
    let inside = place.start + 1..place.start + 1;
    Ok(match asks {
        _ if !is_object => (false, None),
        Some("true") => (true, None),
        Some(value) => (false, Some((json::place_in(body, value), "true"))),
        None if json::is_filled(options) => (false, Some((inside, r#""include_usage":true,"#))),
        None => (false, Some((inside, r#""include_usage":true"#))),
    })
}

fn user_id(found: &Found<'_>) -> Result<Option<String>, BodyError> {
    found.get(Name::Metadata).map_or(Ok(None), |value| inner_text(value, "user_id", "metadata.user_id"))
}

/// The string that a field of an object holds. What is no object, or no string, is left for the provider to refuse.
fn inner_text(object: &str, name: &str, field: &'static str) -> Result<Option<String>, BodyError> {
    let mut text = None;
    let mut twice = false;
    let is_object = json::object(object, |field| {
        if field.name() == name {
            twice |= text.replace(field.value).is_some();
        }
    })
    .is_ok();
    if twice {
        return Err(BodyError::Duplicate { field });
    }
    Ok(text.filter(|_| is_object).and_then(json::string).map(Cow::into_owned))
}

/// The id of a response, or of a conversation: `"conv_…"` or `{"id":"conv_…"}`.
fn bound_id(found: &Found<'_>) -> Result<Option<String>, BodyError> {
    if let Some(id) = found.text(Name::PreviousResponseId).filter(|id| !id.is_empty()) {
        return Ok(Some(id));
    }
    let conversation = found.get(Name::Conversation);
    if let Some(value @ Some(_)) = conversation.map(|value| json::string(value).map(Cow::into_owned)) {
        return Ok(value);
    }
    conversation.map_or(Ok(None), |value| inner_text(value, "id", "conversation.id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(body: impl AsRef<[u8]>) -> String {
        chat(body.as_ref()).expect_err("the body must be refused").to_string()
    }

    #[test]
    fn a_chat_request_is_read() {
        let view = chat(
            br#"{"messages":[{"role":"user","content":"{\"model\":\"no\"}"}],"model":"ccr,gpt-4o","stream":true,"n":2,
                "stream_options":{"include_usage":true},"max_tokens":null,"max_completion_tokens":4096.0,
                "metadata":{"user_id":"{\"session_id\":\"\u0041\"}"},"prompt_cache_key":"k"}"#,
        )
        .unwrap();
        assert_eq!(view.model, "ccr,gpt-4o");
        assert!(view.stream && view.wants_usage);
        assert_eq!((view.n, view.max_tokens, view.max_completion_tokens), (Some(2), None, Some(4096)));
        assert_eq!(view.user_id.as_deref(), Some(r#"{"session_id":"A"}"#));
        assert_eq!(view.prompt_cache_key.as_deref(), Some("k"));
    }

    #[test]
    fn white_space_that_json_does_not_know_is_refused() {
        assert!(messages(b"\xef\xbb\xbf \t\r\n{\"model\":\"m\"} ").is_ok());
        for body in ["\x0c{\"model\":\"m\"}", "\u{a0}{\"model\":\"m\"}", "{\"model\":\"m\"}\x0c"] {
            assert!(matches!(messages(body.as_bytes()), Err(BodyError::NotJson { .. })), "{body:?}");
        }
    }

    #[test]
    fn a_messages_request_is_read() {
        let view = messages(
            br#"{"model":"claude-opus-4-1","max_tokens":32000,"stream":false,"metadata":{"user_id":"u"}}"#,
        )
        .unwrap();
        assert_eq!(
            (view.model.as_str(), view.stream, view.max_tokens),
            ("claude-opus-4-1", false, Some(32000))
        );
        assert_eq!(view.user_id.as_deref(), Some("u"));
    }

    #[test]
    fn a_responses_request_is_read() {
        let view = responses(
            br#"{"model":"gpt-5.1-codex","stream":true,"max_output_tokens":4096,"prompt_cache_key":"k",
                "previous_response_id":"resp_1","conversation":null,"metadata":{"user_id":"u"}}"#,
        )
        .unwrap();
        assert_eq!((view.model.as_str(), view.stream, view.max_tokens), ("gpt-5.1-codex", true, Some(4096)));
        assert_eq!((view.prompt_cache_key.as_deref(), view.user_id.as_deref()), (Some("k"), Some("u")));
        assert_eq!(view.bound_id.as_deref(), Some("resp_1"));
    }

    #[test]
    fn a_conversation_binds_as_a_response_does() {
        for (fields, bound_id) in [
            (r#""conversation":"conv_1""#, Some("conv_1")),
            (r#""conversation":{"id":"conv_1"}"#, Some("conv_1")),
            (r#""conversation":{"id":"conv_1"},"previous_response_id":"resp_1""#, Some("resp_1")),
            (r#""conversation":{},"previous_response_id":"""#, None),
            (r#""conversation":7,"previous_response_id":7"#, None),
        ] {
            let body = format!(r#"{{"model":"m",{fields}}}"#);
            assert_eq!(responses(body.as_bytes()).unwrap().bound_id.as_deref(), bound_id, "{fields}");
        }
        assert!(responses(br#"{"model":"m","conversation":{"id":"a","id":"b"}}"#).is_err());
    }

    #[test]
    fn a_gemini_request_is_read_with_its_path() {
        for body in [
            r#"{"contents":[{"parts":[{"text":"{\"cachedContent\":1}"}]}],"cachedContent":"cachedContents/a1",
                "generationConfig":{"maxOutputTokens":"100","candidateCount":2.0}}"#,
            r#"{"cached_content":"cachedContents/a1","generation_config":{"max_output_tokens":100,"candidate_count":2}}"#,
        ] {
            let view = gemini(body.as_bytes(), "gemini-2.5-pro", true).unwrap();
            assert_eq!((view.model.as_str(), view.stream), ("gemini-2.5-pro", true));
            assert_eq!((view.max_tokens, view.n), (Some(100), Some(2)));
            assert_eq!(view.bound_id.as_deref(), Some("cachedContents/a1"));
            let mut splices = Splices::new();
            view.replace_model(&mut splices, "other");
            view.ask_for_usage(&mut splices);
            assert!(splices.is_empty(), "the path names the model");
        }
        let bare = gemini(br#"{"generationConfig":7,"cachedContent":null,"model":7}"#, "m", false).unwrap();
        assert_eq!((bare.max_tokens, bare.n, bare.bound_id), (None, None, None));
    }

    #[test]
    fn a_gemini_request_is_refused_by_the_field_at_fault() {
        let problem = |body: &str| gemini(body.as_bytes(), "m", false).unwrap_err().to_string();
        assert_eq!(
            problem(r#"{"generationConfig":{"maxOutputTokens":-1}}"#),
            "`generationConfig.maxOutputTokens` must be a whole number, not negative"
        );
        assert_eq!(
            problem(r#"{"cachedContent":"a","cached_content":"b"}"#),
            "`cachedContent` appears more than once; send it once"
        );
        assert_eq!(problem("[]"), "the request body is an array; send a JSON object");
        assert!(problem("{").contains("not valid JSON"));
    }

    #[test]
    fn only_the_fields_of_the_endpoint_are_read() {
        assert!(embeddings(br#"{"model":"m","stream":7,"n":-1,"n":"x"}"#).is_ok());
        assert!(count_tokens(br#"{"model":"m","max_tokens":[],"stream":7}"#).is_ok());
        assert!(messages(br#"{"model":"m","n":"x","stream_options":7}"#).is_ok());
    }

    #[test]
    fn a_body_that_is_no_object_says_what_to_send() {
        assert_eq!(problem(""), "the request body is empty; send a JSON object");
        assert_eq!(problem(" \r\n"), "the request body is empty; send a JSON object");
        assert_eq!(problem("[]"), "the request body is an array; send a JSON object");
        assert_eq!(problem("-1"), "the request body is a number; send a JSON object");
        assert_eq!(
            problem(b"{\"model\":\"\xff\"}"),
            "the request body is not UTF-8 from byte 10 on; send JSON encoded as UTF-8"
        );
    }

    #[test]
    fn a_body_that_is_not_json_says_where() {
        let broken = problem(r#"{"model":"m" "stream":true}"#);
        assert!(broken.contains("not valid JSON") && broken.contains("line 1 column 14"), "{broken}");
        for body in [
            "{",
            "{]",
            "<",
            r#"{"model":"m"}}"#,
            r#"{"model":"m",}"#,
            r#"{"model":"m","x":[1,]}"#,
            r#"{"x":01}"#,
        ] {
            assert!(problem(body).contains("not valid JSON"), "{body}");
        }
    }

    #[test]
    fn the_field_at_fault_is_named() {
        assert_eq!(problem("{}"), "`model` is missing; name the model to be used");
        for body in [r#"{"model":null}"#, r#"{"model":7}"#, r#"{"model":" "}"#, r#"{"model":"\ud800"}"#] {
            assert_eq!(problem(body), "`model` must be a model's name: a string of 1 to 512 bytes", "{body}");
        }
        assert!(
            problem(format!(r#"{{"model":"{}"}}"#, "m".repeat(MODEL_MAX + 1))).starts_with("`model` must be")
        );
        assert_eq!(problem(r#"{"model":"m","stream":"yes"}"#), "`stream` must be true or false");
        for value in ["-1", "1.5", "\"9\"", "1e400", "[]"] {
            let body = format!(r#"{{"model":"m","max_tokens":{value}}}"#);
            assert_eq!(problem(body), "`max_tokens` must be a whole number, not negative");
        }
        assert_eq!(chat(b"{}").unwrap_err().field(), Some("model"));
    }

    #[test]
    fn fields_that_decide_may_stand_only_once() {
        for (body, field) in [
            (r#"{"model":"a","model":"a"}"#, "model"),
            (r#"{"model":"a","mod\u0065l":"b"}"#, "model"),
            (r#"{"model":"a","stream":true,"stream":null}"#, "stream"),
            (r#"{"model":"a","metadata":{"user_id":"a","user_id":"b"}}"#, "metadata.user_id"),
            (
                r#"{"model":"a","stream_options":{"include_usage":true,"include_usage":false}}"#,
                "stream_options.include_usage",
            ),
        ] {
            assert_eq!(problem(body), format!("`{field}` appears more than once; send it once"));
        }
        assert!(chat(br#"{"model":"a","x":1,"x":2,"\ud800":3}"#).is_ok());
    }

    #[test]
    fn what_stands_in_the_metadata_and_is_no_user_id_is_left_to_the_provider() {
        for metadata in ["null", "7", "{}", r#"{"user_id":7}"#, r#"["user_id"]"#] {
            let body = format!(r#"{{"model":"m","metadata":{metadata},"prompt_cache_key":7}}"#);
            let view = chat(body.as_bytes()).unwrap();
            assert_eq!((view.user_id, view.prompt_cache_key), (None, None));
        }
    }

    #[test]
    fn stream_options_that_are_no_object_are_left_to_the_provider() {
        let view = chat(br#"{"model":"m","stream":true,"stream_options":"yes"}"#).unwrap();
        let mut splices = Splices::new();
        view.ask_for_usage(&mut splices);
        assert!(splices.is_empty() && !view.wants_usage);
    }

    #[test]
    fn depth_is_bounded_by_size_alone_and_costs_no_stack() {
        let depth = 1_000_000;
        let body = format!(r#"{{"model":"m","x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(chat(body.as_bytes()).is_ok());
    }
}
