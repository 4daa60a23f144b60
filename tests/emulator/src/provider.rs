//! How a provider speaks: one file per provider, one per endpoint under it.
//!
//! To add a provider: a file here that implements [`Provider`], its endpoints beside it (each a function of the shape
//! [`Answer`]), and rows in [`crate::route`]. What is said and counted is common to all and lives in [`crate::turn`].

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, request::Parts};
use serde_json::Value;

use crate::{
    memory::Memory,
    refusal::Refused,
    script::{Behaviour, ErrorText},
    template::{Draft, identifier},
};

pub(crate) mod anthropic;
pub(crate) mod azure;
pub(crate) mod bedrock;
pub(crate) mod chatgpt;
pub(crate) mod droid;
pub(crate) mod google;
pub(crate) mod openai;
pub(crate) mod window;

/// What is the same for all endpoints of a provider.
pub(crate) trait Provider: Sync {
    /// The credential that the request presents, in the forms that this provider takes.
    fn credential(&self, parts: &Parts) -> Result<String, Failure>;

    /// The answer to a credential that the provider does not know.
    fn unknown_credential(&self, key: &str) -> Failure;

    /// Refuses a known credential for how it is presented, or for its age. No script is followed then.
    fn check_credential(&self, _parts: &Parts, _key: &str) -> Result<(), Failure> {
        Ok(())
    }

    /// Checks what a known credential proves about the call as a whole, as a signature does.
    fn verify(&self, _parts: &Parts, _body: &[u8], _profile: &Profile) -> Result<(), Failure> {
        Ok(())
    }

    /// Checks what every call must carry besides its credential.
    fn check_head(&self, parts: &Parts) -> Result<(), Failure>;

    /// The answer to a path that the provider does not have.
    fn no_such_path(&self, parts: &Parts) -> Failure;

    /// The provider's own words for a status.
    fn failure(&self, status: u16) -> Failure;

    /// The provider's own words for an account that it does not serve.
    fn refuses(&self, call: Refused<'_>) -> Failure;

    /// An error as a whole body. `request_id` is where the provider says it in the body.
    fn error_body(&self, failure: &Failure, request_id: &str) -> Vec<u8>;

    /// An error as an event of a stream that has begun.
    fn error_event(&self, failure: &Failure, request_id: &str) -> Vec<u8>;

    /// An event of the usual form whose JSON breaks off.
    fn malformed_event(&self) -> Vec<u8>;

    /// What shows in a stream that the provider is still there: a comment, unless it has an event for that.
    fn ping_event(&self) -> Vec<u8> {
        b": keep-alive\n\n".to_vec()
    }

    /// Names the request.
    fn request_id_header(&self) -> HeaderName;

    /// The request's name; empty where the provider gives none.
    fn request_id(&self, number: u64) -> String {
        format!("req_{}", identifier(number))
    }

    /// The headers that tell what an error is.
    fn refusal_headers(&self, _failure: &Failure, _headers: &mut HeaderMap) {}

    /// Whether an error to this call comes as a list of one.
    fn lists_errors(&self, _parts: &Parts) -> bool {
        false
    }

    /// Whether a refusal for rate says in a header when to come back.
    fn has_retry_after(&self) -> bool {
        true
    }

    /// The headers that say how much is left. `retry_after` is in seconds, for a refusal for rate.
    fn limits(&self, status: u16, retry_after: Option<u64>, headers: &mut HeaderMap);
}

/// An endpoint: reads a call, gives what to say.
pub(crate) type Answer = fn(&Call<'_>) -> Result<Draft, Failure>;

/// A request as an endpoint sees it: authenticated, its body read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub parts: &'a Parts,
    pub body: &'a [u8],
    pub behaviour: &'a Behaviour,
    pub profile: &'a Profile,
    /// What stands for `{…}` in the route.
    pub name: Option<&'a str>,
    pub memory: &'a Memory<'a>,
}

/// What a provider knows about a credential.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// False: 401.
    pub known: bool,
    /// The models this credential may use. Absent: every name with one of the provider's prefixes that does not contain
    /// `unknown`.
    pub models: Option<Vec<String>>,
    /// Refuse fields at the top of the body that the provider does not have, and what it refuses to some callers only: to
    /// those without a beta, with a young account, or without a profile for inference.
    pub strict: bool,
    /// The secret that belongs to an access key id. Absent: `secret-of-` and the id.
    pub secret: Option<String>,
    /// How far the provider's clock is ahead of the real one when it looks at a signature's date.
    pub clock_ahead_seconds: i64,
}

impl Default for Profile {
    fn default() -> Self {
        Self { known: true, models: None, strict: false, secret: None, clock_ahead_seconds: 0 }
    }
}

impl Profile {
    pub(crate) fn has_model(&self, model: &str, prefixes: &[&str]) -> bool {
        match &self.models {
            Some(models) => models.iter().any(|known| known == model),
            None => !model.contains("unknown") && prefixes.iter().any(|prefix| model.starts_with(prefix)),
        }
    }
}

/// A refusal, before it is put into a provider's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub status: u16,
    /// The error's `type`.
    pub kind: Cow<'static, str>,
    pub code: Option<Cow<'static, str>>,
    pub param: Option<String>,
    pub message: String,
    /// A list of what comes beside the message, in the provider's form.
    pub details: Option<Box<Value>>,
    /// Seconds after which to come back, where the script says so.
    pub retry_after: Option<u32>,
}

impl Failure {
    pub(crate) fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: kind.into(),
            code: None,
            param: None,
            message: message.into(),
            details: None,
            retry_after: None,
        }
    }

    pub(crate) fn with_details(mut self, details: Vec<Value>) -> Self {
        self.details = Some(Box::new(details.into()));
        self
    }

    pub(crate) fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code.into());
        self
    }

    pub(crate) fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn reworded(mut self, text: Option<&ErrorText>) -> Self {
        let Some(text) = text else { return self };
        if let Some(kind) = &text.kind {
            self.kind = kind.clone().into();
        }
        if let Some(code) = &text.code {
            self.code = Some(code.clone().into());
        }
        if let Some(message) = &text.message {
            self.message.clone_from(message);
        }
        self
    }
}

/// The key in `Authorization: Bearer …`, if that is what the header holds.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

/// Sets a header whose value is ASCII by construction; anything else is left out.
pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// A value of the query, still percent-encoded.
pub(crate) fn query<'q>(parts: &'q Parts, name: &str) -> Option<&'q str> {
    parts
        .uri
        .query()?
        .split('&')
        .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))
        .map(|(_, v)| v)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::{collection::vec, prelude::*};
    use serde_json::{Map, json};

    use super::*;
    use crate::credential::Credential;

    /// Words that the bodies of all endpoints are made of, so that many guesses get far.
    const WORDS: &[&str] = &[
        "model",
        "messages",
        "max_tokens",
        "stream",
        "stream_options",
        "include_usage",
        "n",
        "input",
        "dimensions",
        "role",
        "content",
        "type",
        "text",
        "tools",
        "tool_choice",
        "tool_calls",
        "tool_call_id",
        "name",
        "function",
        "input_schema",
        "parameters",
        "properties",
        "required",
        "enum",
        "items",
        "system",
        "thinking",
        "signature",
        "tool_use_id",
        "id",
        "cache_control",
        "user",
        "assistant",
        "tool",
        "tool_use",
        "tool_result",
        "object",
        "array",
        "claude-x",
        "gpt-x",
        "ephemeral",
        "1h",
        "ttl",
        "reasoning_effort",
        "arguments",
        "developer",
        "image",
        "document",
        "source",
        "base64",
        "media_type",
        "image/png",
        "data",
        "AAAA",
        "url",
        "https://x/y",
        "image_url",
        "data:image/png;base64,AAAA",
        "file",
        "file_data",
        "file_id",
        "input_audio",
        "format",
        "wav",
        "is_error",
        "redacted_thinking",
        "enabled",
        "adaptive",
        "budget_tokens",
        "display",
        "omitted",
        "output_config",
        "output_format",
        "effort",
        "low",
        "response_format",
        "instructions",
        "reasoning",
        "effort",
        "low",
        "summary",
        "auto",
        "encrypted_content",
        "include",
        "format",
        "json_schema",
        "json_object",
        "schema",
        "strict",
        "additionalProperties",
        "stop",
        "stop_sequences",
        "temperature",
        "top_p",
        "top_k",
        "logprobs",
        "top_logprobs",
        "custom",
        "allowed_tools",
        "mode",
        "required",
        "refusal",
        "metadata",
        "service_tier",
        "call_id",
        "output",
        "namespace",
        "custom",
        "mode",
        "input_image",
        "image_url",
        "file_data",
        "previous_response_id",
        "metadata",
        "allowed_tools",
        "temperature",
    ];
    /// Kinds of a response's input items.
    const KINDS: &[&str] = &[
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "item_reference",
        "web_search_call",
    ];

    fn json() -> impl Strategy<Value = Value> {
        let word = proptest::sample::select(WORDS).prop_map(str::to_owned);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (0_u8..4).prop_map(Value::from),
            word.clone().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 8, move |inner| {
            prop_oneof![
                vec(inner.clone(), 0..6).prop_map(Value::from),
                vec((word.clone(), inner), 0..8).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    /// A body that gets past the first checks, with other things in it.
    fn body() -> impl Strategy<Value = Vec<u8>> {
        let message = (json(), json(), json()).prop_map(|(content, calls, id)| {
            json!({"role": "user", "content": content, "tool_calls": calls, "tool_call_id": id})
        });
        (vec(message, 0..4), vec((proptest::sample::select(WORDS), json()), 0..6), any::<bool>()).prop_map(
            |(messages, rest, anthropic)| {
                let mut body: Map<String, Value> =
                    rest.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                body.insert("model".to_owned(), if anthropic { "claude-x" } else { "gpt-x" }.into());
                body.insert("messages".to_owned(), messages.into());
                body.insert("max_tokens".to_owned(), 100.into());
                Value::Object(body).to_string().into_bytes()
            },
        )
    }

    /// Bodies that pass, and have much in them.
    fn right() -> Vec<Value> {
        let schema = json!({"type": "object", "properties": {"a": {"type": "array", "items": {"enum": ["x"]}}},
            "required": ["a"], "additionalProperties": false});
        let mark = json!({"type": "ephemeral", "ttl": "1h"});
        let image =
            json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}});
        let document = json!({"type": "document", "source": {"type": "url", "url": "https://x/y"}});
        let thought = json!({"type": "thinking", "thinking": "So.", "signature": anthropic::request::signature("So.", &[])});
        let sealed = json!({"type": "redacted_thinking", "data": anthropic::request::sealed("So.")});
        let parts = json!([{"type": "text", "text": "JSON"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]);
        vec![
            json!({"model": "claude-x", "max_tokens": 2048, "stream": true, "temperature": 1, "top_p": 0.95,
                "system": [{"type": "text", "text": "Be brief.", "cache_control": mark}], "stop_sequences": [", "],
                "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "summarized"},
                "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": schema}},
                "metadata": {"user_id": "x"}, "service_tier": "auto", "cache_control": {"type": "ephemeral"},
                "tools": [{"name": "f", "input_schema": schema, "strict": true, "cache_control": mark},
                    {"type": "web_search_20250305", "name": "web_search"}],
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": false},
                "messages": [{"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": [thought, sealed,
                        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": ["x"]}}]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true, "content": [image]},
                        image, document, {"type": "text", "text": "f"}]},
                    {"role": "system", "content": "Be kind."}]}),
            json!({"model": "gpt-x", "max_completion_tokens": 64, "stream": true, "n": 2, "temperature": 0.5,
                "stream_options": {"include_usage": true}, "stop": [", "], "logprobs": true, "top_logprobs": 2,
                "presence_penalty": -1, "seed": 7, "reasoning_effort": "low", "service_tier": "flex",
                "response_format": {"type": "json_schema",
                    "json_schema": {"name": "x", "strict": true, "schema": schema}},
                "tools": [{"type": "function", "function": {"name": "f", "strict": true, "parameters": schema}},
                    {"type": "custom", "custom": {"name": "g", "format": {"type": "grammar",
                        "grammar": {"syntax": "lark", "definition": "x"}}}}],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto",
                    "tools": [{"type": "function", "function": {"name": "f"}}]}},
                "messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts},
                    {"role": "assistant", "tool_calls": [
                        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                        {"id": "b", "type": "custom", "custom": {"name": "g", "input": "x"}}]},
                    {"role": "tool", "tool_call_id": "b", "content": "x"},
                    {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "f"}]}]}),
            json!({"model": "text-embedding-x", "input": ["x"], "dimensions": 8, "encoding_format": "base64"}),
        ]
    }

    /// Endpoints whose paths hold a name, with a name and a body that pass.
    fn named() -> Vec<(Answer, &'static str, Value)> {
        let schema = json!({"type": "OBJECT", "properties": {"a": {"type": "ARRAY", "items": {"type": "STRING",
            "enum": ["x"]}}, "b": {"anyOf": [{"type": "integer"}]}}, "required": ["a"]});
        let generate = json!({"systemInstruction": {"parts": [{"text": "Be brief."}]},
            "tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
            "generationConfig": {"temperature": 1, "candidateCount": 2, "maxOutputTokens": 64, "stopSequences": [", "],
                "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 1024}, "responseLogprobs": true},
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
            "contents": [{"role": "user", "parts": [{"text": "Hi"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": ["x"]}},
                    "thoughtSignature": "skip_thought_signature_validator"}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "f"}}}]}]});
        let contents = json!({"contents": generate["contents"]});
        let enveloped = json!({"model": "gemini-2.5-pro", "project": "p", "request": generate});
        let embedded = json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "x"}]}});
        let claude = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64,
            "anthropic_beta": ["interleaved-thinking-2025-05-14"], "messages": [{"role": "user", "content": "Hi"}]});
        let small = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
        let converse = json!({"system": [{"text": "Be brief."}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
            "inferenceConfig": {"maxTokens": 4096, "temperature": 1, "stopSequences": [", "]},
            "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": small}}}], "toolChoice": {"auto": {}}},
            "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            "messages": [{"role": "user", "content": [{"text": "f"}, {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
                    {"document": {"format": "pdf", "name": "x", "source": {"bytes": "AAAA"}}}]},
                {"role": "assistant", "content": [
                    {"reasoningContent": {"reasoningText": {"text": "So.", "signature": bedrock::converse::signature("So.")}}},
                    {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": "x"}}}]},
                {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"json": {"a": 1}}]}}]}]});
        vec![
            (google::generate::gemini, "gemini-3-pro", contents.clone()),
            (google::generate::gemini_stream, "gemini-2.5-flash", generate.clone()),
            (google::generate::vertex, "gemini-2.5-pro", generate),
            (google::generate::code_assist_stream, "", enveloped),
            (google::count_tokens::gemini, "gemini-2.5-flash", contents.clone()),
            (
                google::count_tokens::code_assist,
                "",
                json!({"request": {"model": "models/gemini-x", "contents": contents["contents"]}}),
            ),
            (google::embed::one, "gemini-embedding-001", embedded.clone()),
            (google::embed::batch, "gemini-embedding-001", json!({"requests": [embedded]})),
            (bedrock::invoke::answer, "us.anthropic.claude-x-v1%3A0", claude.clone()),
            (bedrock::invoke::stream, "us.anthropic.claude-x-v1%3A0", claude),
            (bedrock::converse::answer, "anthropic.claude-x", converse.clone()),
            (bedrock::converse::stream, "amazon.nova", converse.clone()),
            (bedrock::count_tokens::answer, "anthropic.claude-x", json!({"input": {"converse": converse}})),
        ]
    }

    /// Puts `new` where the `at`th value inside stands, and counts `at` down.
    fn change(inside: &mut Value, at: &mut usize, new: &Value) {
        let mut step = |inner: &mut Value| {
            if let Some(rest) = at.checked_sub(1) {
                *at = rest;
                change(inner, at, new);
            }
        };
        match inside {
            Value::Array(list) => list.iter_mut().for_each(&mut step),
            Value::Object(map) => map.values_mut().for_each(&mut step),
            _ => {}
        }
        if *at == 0 {
            *inside = new.clone();
            *at = usize::MAX;
        }
    }

    fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
        let named = named().into_iter().map(|(_, _, body)| body);
        let bodies: Vec<Value> = right().into_iter().chain(named).collect();
        (proptest::sample::select(bodies), vec((0_usize..150, json()), 0..3)).prop_map(
            |(mut body, changes)| {
                for (mut at, new) in changes {
                    change(&mut body, &mut at, &new);
                }
                body.to_string().into_bytes()
            },
        )
    }

    /// The same for responses, with the marks of a backend that wants them.
    fn response_body() -> impl Strategy<Value = Vec<u8>> {
        let kind = proptest::sample::select(KINDS);
        let role = proptest::sample::select(&["user", "assistant", "system", "tool"][..]);
        let item = (kind, role, json(), "[a-z]{0,2}").prop_map(|(kind, role, content, id)| {
            serde_json::json!({"type": kind, "role": role, "content": content, "call_id": id, "name": "f",
                "arguments": "{}", "input": id, "output": content, "summary": [], "encrypted_content": id,
                "id": format!("rs_{id}")})
        });
        let rest = vec((proptest::sample::select(WORDS), json()), 0..4);
        (vec(item, 0..4), rest, any::<bool>()).prop_map(|(items, rest, stream)| {
            let rest = rest.into_iter().filter(|(name, _)| *name != "messages");
            let mut body: Map<String, Value> = rest.map(|(name, value)| (name.to_owned(), value)).collect();
            let fixed =
                serde_json::json!({"model": "gpt-x", "input": items, "store": false, "stream": stream});
            body.extend(fixed.as_object().cloned().unwrap_or_default());
            Value::Object(body).to_string().into_bytes()
        })
    }

    fn ask(answer: Answer, body: &[u8]) -> Result<Draft, Failure> {
        ask_for(answer, body, None)
    }

    fn ask_for(answer: Answer, body: &[u8], name: Option<&str>) -> Result<Draft, Failure> {
        let (parts, ()) = Request::post("/").body(()).unwrap().into_parts();
        let (behaviour, profile) = (Behaviour::default(), Profile::default());
        let credential = Credential::new("sk-test", 0);
        let memory = Memory::new(&credential, 1);
        let (behaviour, profile, memory) = (&behaviour, &profile, &memory);
        answer(&Call { parts: &parts, body, behaviour, profile, name, memory })
    }

    #[test]
    fn the_right_bodies_pass() {
        for body in right() {
            let endpoints: [Answer; 3] =
                [anthropic::messages::answer, openai::chat::answer, openai::embeddings::answer];
            let bytes = body.to_string().into_bytes();
            assert!(endpoints.iter().any(|endpoint| ask(*endpoint, &bytes).is_ok()), "{body}");
        }
        for (endpoint, name, body) in named() {
            let refused = ask_for(endpoint, body.to_string().as_bytes(), Some(name)).err();
            assert_eq!(refused, None, "{name} {body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_an_endpoint_panic(body in prop_oneof![
            3 => nearly_right(),
            3 => response_body(),
            1 => body(),
            1 => json().prop_map(|value| value.to_string().into_bytes()),
            1 => vec(any::<u8>(), 0..64),
        ]) {
            let endpoints: &[Answer] = &[
                anthropic::messages::answer,
                anthropic::count_tokens::answer,
                openai::chat::answer,
                openai::embeddings::answer,
                openai::responses::answer,
                openai::responses::input_tokens,
                azure::endpoints::chat,
                azure::endpoints::responses,
                azure::endpoints::embeddings,
                azure::endpoints::deployment_chat,
                droid::chat,
                droid::responses,
                droid::messages,
                chatgpt::answer,
            ];
            let asked = endpoints.iter().map(|endpoint| ask(*endpoint, &body));
            let named = named().into_iter().map(|(endpoint, name, _)| ask_for(endpoint, &body, Some(name)));
            for outcome in asked.chain(named) {
                match outcome {
                    Ok(Draft::Json(json)) => prop_assert!(serde_json::from_slice::<Value>(&json).is_ok()),
                    Ok(Draft::Stream(frames)) => prop_assert!(frames.iter().all(|frame| frame.bytes.ends_with(b"\n\n"))),
                    Ok(draft @ Draft::Formed(_)) => {
                        let template = crate::template::Template::new(draft, crate::LineEnds::Usual);
                        prop_assert!(!template.fill(1).bytes.is_empty());
                    }
                    Err(failure) => prop_assert!((400..500).contains(&failure.status)),
                }
            }
        }
    }
}
