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
    pub max_tokens: Option<u64>,
    pub max_completion_tokens: Option<u64>,
    /// chat: answers asked for.
    pub n: Option<u64>,
    /// `metadata.user_id`.
    pub user_id: Option<String>,
    pub prompt_cache_key: Option<String>,
    model_at: Range<usize>,
    usage_edit: Option<(Range<usize>, &'static str)>,
}

impl RequestView {
    /// Puts another model name in the place of the client's, unless it is the same.
    pub fn replace_model(&self, splices: &mut Splices, model: &str) {
        if model != self.model {
            splices.replace_with_string(self.model_at.clone(), model);
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
    Missing {
        field: &'static str,
        remedy: &'static str,
    },
    #[error("`{field}` must be {expected}")]
    Unfit {
        field: &'static str,
        expected: &'static str,
    },
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
    read(
        body,
        &[
            Model,
            Stream,
            StreamOptions,
            MaxTokens,
            MaxCompletionTokens,
            N,
            Metadata,
            PromptCacheKey,
        ],
    )
}

/// POST /v1/embeddings.
pub fn embeddings(body: &[u8]) -> Result<RequestView, BodyError> {
    read(body, &[Name::Model])
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
}

impl Name {
    const COUNT: usize = 8;

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
            Some(_) => Err(BodyError::Unfit {
                field: name.as_str(),
                expected: "true or false",
            }),
        }
    }

    fn count(&self, name: Name) -> Result<Option<u64>, BodyError> {
        let unfit = || BodyError::Unfit {
            field: name.as_str(),
            expected: "a whole number, not negative",
        };
        self.get(name)
            .map(|value| json::count(value).ok_or_else(unfit))
            .transpose()
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
    .map_err(|error| BodyError::NotJson {
        problem: error.to_string(),
    })?;
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
        max_tokens: found.count(Name::MaxTokens)?,
        max_completion_tokens: found.count(Name::MaxCompletionTokens)?,
        n: found.count(Name::N)?,
        user_id: user_id(found)?,
        prompt_cache_key: found.text(Name::PromptCacheKey),
        model_at,
        usage_edit,
    })
}

/// The body as text that starts at the object's brace: without byte order mark and leading white space.
fn text_of(body: &[u8]) -> Result<&str, BodyError> {
    let text = std::str::from_utf8(body).map_err(|error| BodyError::NotUtf8 {
        at: error.valid_up_to(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii_start();
    let found = match text.as_bytes().first() {
        Some(b'{') => return Ok(text),
        None => return Err(BodyError::Empty),
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(_) => {
            return Err(BodyError::NotJson {
                problem: "it does not start with `{`".to_owned(),
            });
        }
    };
    Err(BodyError::NotAnObject { found })
}

fn model(body: &[u8], found: &Found<'_>) -> Result<(String, Range<usize>), BodyError> {
    let field = Name::Model.as_str();
    let value = found.0[Name::Model as usize].ok_or(BodyError::Missing {
        field,
        remedy: "name the model to be used",
    })?;
    let model = json::string(value).filter(|model| !model.trim().is_empty() && model.len() <= MODEL_MAX);
    let model = model.ok_or(BodyError::Unfit {
        field,
        expected: "a model's name: a string of 1 to 512 bytes",
    })?;
    Ok((model.into_owned(), json::place_in(body, value)))
}

/// Whether the client asked for usage, and the edit that asks for it when it did not. A `stream_options` that is no
/// object is left for the provider to refuse.
type UsageAsk = (bool, Option<(Range<usize>, &'static str)>);

fn stream_options(body: &[u8], text: &str, found: &Found<'_>) -> Result<UsageAsk, BodyError> {
    let Some(options) = found.0[Name::StreamOptions as usize] else {
        // There is a model, so a field follows.
        let at = json::place_in(body, text).start + 1;
        return Ok((
            false,
            Some((at..at, r#""stream_options":{"include_usage":true},"#)),
        ));
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
        return Err(BodyError::Duplicate {
            field: "stream_options.include_usage",
        });
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
    let Some(metadata) = found.get(Name::Metadata) else {
        return Ok(None);
    };
    let mut user_id = None;
    let mut twice = false;
    let is_object = json::object(metadata, |field| {
        if field.name() == "user_id" {
            twice |= user_id.replace(field.value).is_some();
        }
    })
    .is_ok();
    if twice {
        return Err(BodyError::Duplicate {
            field: "metadata.user_id",
        });
    }
    Ok(user_id
        .filter(|_| is_object)
        .and_then(json::string)
        .map(Cow::into_owned))
}
