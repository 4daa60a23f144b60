//! Checks a generateContent request in its one spelling, and makes a prompt of it.

use serde_json::{Map, Value};

use super::{
    MODEL_PREFIXES, Surface, generation_config, history, invalid, no_such_model, schema::list, tools,
};
use crate::{
    past,
    provider::{
        Call, Failure,
        window::{self, Overflow},
    },
    turn::{Prompt, PromptBytes},
};

/// A last user message with this is stopped ahead of the model: Gemini blocks the prompt, Bedrock's guardrail intervenes.
pub const BLOCK_PROMPT: &str = "Block this prompt.";

/// How many tokens the models read.
const WINDOW: u64 = 1_048_576;

/// Which model is asked, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Model<'a> {
    pub name: &'a str,
    pub surface: Surface,
    /// Of the third generation, which names its calls and wants their signatures back.
    pub is_third: bool,
}

/// A request that passed.
#[derive(Debug)]
pub(super) struct Checked {
    pub prompt: Prompt,
    /// What is to be said, where the request leaves no choice.
    pub said: Option<String>,
    pub logprobs: bool,
    pub blocked: bool,
}

impl<'a> Model<'a> {
    /// A model that the caller may use; `method` is what for.
    pub(super) fn find(
        call: &Call<'_>,
        name: &'a str,
        surface: Surface,
        method: &str,
    ) -> Result<Self, Failure> {
        if !call.profile.has_model(name, MODEL_PREFIXES) || name.contains("embedding") {
            return Err(no_such_model(surface, call.parts.uri.path(), name, method));
        }
        Ok(Self { name, surface, is_third: name.contains("gemini-3") })
    }

    /// Major and minor.
    fn version(&self) -> (u32, u32) {
        let number = self.name.strip_prefix("gemini-").and_then(|rest| rest.split('-').next());
        let (major, minor) =
            number.map(|number| number.split_once('.').unwrap_or((number, "0"))).unwrap_or_default();
        (major.parse().unwrap_or_default(), minor.parse().unwrap_or_default())
    }

    /// It can be told to think so much, by a level's name.
    pub(super) fn has_level(&self, level: &str) -> bool {
        let (pro, lite) = (self.name.contains("pro"), self.name.contains("lite"));
        match level {
            "MINIMAL" => !pro && (lite || self.version() < (3, 7)),
            "MEDIUM" => !pro || self.version() != (3, 0),
            _ => true,
        }
    }
}

/// Refuses the request for these fields, each a place and a reason, if there are any.
pub(super) fn refuse_fields(surface: Surface, wrong: Vec<(String, String)>) -> Result<(), Failure> {
    if wrong.is_empty() {
        return Ok(());
    }
    let lines = wrong.into_iter().map(|(place, why)| match surface {
        Surface::Gemini => format!("* GenerateContentRequest.{place}: {why}\n"),
        _ => format!("\n  * {place}: [FIELD_INVALID] {why}"),
    });
    let lines: String = lines.collect();
    Err(invalid(match surface {
        Surface::Gemini => lines,
        _ => format!("The GenerateContentRequest proto is invalid:{lines}"),
    }))
}

/// A prompt that the model can read to its end.
pub(super) fn check_length(prompt: &Prompt, model: &Model<'_>) -> Result<(), Failure> {
    match window::overflow(model.name, WINDOW, prompt) {
        None => Ok(()),
        Some(Overflow { tokens, most }) => Err(invalid(format!(
            "The input token count ({tokens}) exceeds the maximum number of tokens allowed ({most})."
        ))),
    }
}

pub(super) fn check(request: &Map<String, Value>, model: &Model<'_>) -> Result<Checked, Failure> {
    let contents = request.get("contents").map(list).unwrap_or_default();
    history::check(contents, "contents", model)?;
    check_cached(request)?;
    let (tools, choice) = tools::read(request, model)?;
    let config = request.get("generation_config").unwrap_or(&Value::Null);
    let config = generation_config::read(config, !tools.is_empty(), model)?;
    let mut prompt = counted(contents, request.get("system_instruction"));
    let last = history::last_said(contents);
    prompt.last_user = last.map(history::text_of).unwrap_or_default();
    prompt.media = last.map(history::media_of).unwrap_or_default();
    prompt.after_tool = last.is_some_and(history::is_response);
    prompt.tools = tools;
    prompt.choice = choice;
    prompt.parallel = true;
    prompt.max_tokens = config.max_tokens;
    prompt.stop = config.stop;
    prompt.format = config.format;
    prompt.thinking = config.thinking;
    prompt.n = config.candidates;
    let blocked = prompt.last_user.contains(BLOCK_PROMPT);
    Ok(Checked { prompt, said: config.value, logprobs: config.logprobs, blocked })
}

/// A prompt as far as its length goes.
pub(super) fn counted(contents: &[Value], system: Option<&Value>) -> Prompt {
    let system = system.map(system_text).unwrap_or_default();
    let said: usize = contents.iter().map(|content| history::text_of(content).len()).sum();
    Prompt {
        bytes: PromptBytes { plain: system.len() + said, ..PromptBytes::default() },
        messages: contents.len() as u64,
        past: past::read(contents),
        system,
        n: 1,
        ..Prompt::default()
    }
}

fn system_text(content: &Value) -> String {
    let texts: Vec<&str> = list(&content["parts"]).iter().filter_map(|part| part["text"].as_str()).collect();
    texts.join("\n")
}

/// A cached prompt holds system prompt and tools already.
fn check_cached(request: &Map<String, Value>) -> Result<(), Failure> {
    let Some(name) = request.get("cached_content").and_then(Value::as_str) else {
        return Ok(());
    };
    if ["system_instruction", "tools", "tool_config"].iter().any(|field| request.contains_key(*field)) {
        return Err(invalid(
            "CachedContent can not be used with GenerateContent request setting system_instruction, tools or tool_config.\n\nProposed fix: move those values to CachedContent from GenerateContent request.",
        ));
    }
    if !name.contains("cachedContents/") || name.contains("unknown") {
        return Err(Failure::new(403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)"));
    }
    Ok(())
}
