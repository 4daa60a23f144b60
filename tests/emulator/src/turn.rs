//! What the emulated model says and what it counts, the same for every wire.
//!
//! Everything follows from the request alone, so that a test can say beforehand what a ledger must hold:
//!
//! * **Text** is the last user message (or tool result), echoed, with a note for each image or file in it
//!   ([`Media::note`]); a script may say otherwise. A last user message that holds [`SAY_SYSTEM`] is answered with the
//!   system prompt. Text is cut at `max_tokens` and ahead of a stop sequence. Where JSON is asked for, the answer is an
//!   object that fills the schema's required properties, or whatever else the schema wants.
//! * **A plan** ([`crate::plan`]) goes ahead of text and tools, where there is one for the prompt.
//! * **A refusal** answers a last user message that holds [`REFUSE`].
//! * **Tools** are called when the choice demands one (the named one, else the first), or, left to the model, when the
//!   last user message contains a tool's name. Arguments fill the required properties of the schema; a tool whose schema
//!   says `string` takes free text, and is called with the word `input`.
//! * **Thinking**, when asked for, is one fixed sentence ahead of text and calls. A last user message that holds
//!   [`REDACTED`] keeps it secret: the turn says so, and a wire that can carry sealed thoughts seals it.
//! * **Tokens**: a token is four bytes of text, rounded up per part. Input is all text of the prompt, plus
//!   [`TOKENS_PER_MESSAGE`] and [`TOKENS_PER_TOOL`]. What stands at or before a cache mark counts as written to the
//!   cache. Output is text, thinking, and names and arguments of tool calls.

use serde_json::{Map, Value, json};

use crate::{
    past::Past,
    plan,
    script::{Behaviour, UsageScript},
};

pub const TOKENS_PER_MESSAGE: u64 = 3;
pub const TOKENS_PER_TOOL: u64 = 20;
/// What thinking costs where its text is not shown.
pub const HIDDEN_REASONING_TOKENS: u64 = 32;
/// Said as thinking, in two pieces.
const THOUGHT: [&str; 2] = ["The request is clear; ", "the answer repeats it."];
/// Said when there is nothing to echo.
const GREETING: &str = "Hello from the emulator.";
/// A last user message with this is answered with the system prompt.
pub const SAY_SYSTEM: &str = "Say the system prompt.";
/// A last user message with this is refused.
pub const REFUSE: &str = "Refuse this.";
/// Said when the model refuses.
pub const REFUSAL: &str = "I can't help with that.";
/// A last user message with this makes the model's thinking unreadable, where it thinks at all.
pub const REDACTED: &str = "Think in secret.";
const DEFAULT_CHUNKS: usize = 4;
const SCHEMA_DEPTH: usize = 8;

/// A request, as far as the answer depends on it.
#[derive(Debug, Default)]
pub(crate) struct Prompt {
    pub bytes: PromptBytes,
    pub messages: u64,
    /// What a plan goes by.
    pub past: Vec<Past>,
    pub tools: Vec<Tool>,
    pub choice: Choice,
    pub parallel: bool,
    /// All system prompts, in order, parted by line feeds.
    pub system: String,
    pub last_user: String,
    /// What the last user message (or tool result) holds besides text.
    pub media: Vec<Media>,
    /// The last message is a tool's result, so that it is time to talk.
    pub after_tool: bool,
    pub max_tokens: Option<u64>,
    pub stop: Vec<String>,
    pub format: Format,
    pub thinking: Thinking,
    /// Answers to the same prompt.
    pub n: u64,
}

/// Bytes of text, by how the prompt cache sees them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PromptBytes {
    pub plain: usize,
    pub cached_5m: usize,
    pub cached_1h: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Tool {
    pub name: String,
    /// Of its arguments. `{"type": "string"}` is that of a tool that takes free text.
    pub schema: Value,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Choice {
    #[default]
    Auto,
    None,
    Any,
    Named(String),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Thinking {
    #[default]
    None,
    Shown,
    Hidden,
}

/// The form of the answer's text.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
    Schema(Value),
}

/// An image, a document or a sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Media {
    /// Its media type and how many bytes it has, decoded.
    Bytes(String, usize),
    Url(String),
}

impl Media {
    /// How the answer tells that it arrived.
    fn note(&self) -> String {
        match self {
            Self::Bytes(kind, length) => format!(" [{kind}, {length} bytes]"),
            Self::Url(url) => format!(" [{url}]"),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Turn {
    /// Empty where it is not shown.
    pub thinking: Vec<String>,
    /// How the thinking was asked for.
    pub thinks: Thinking,
    /// The thinking may only leave sealed.
    pub redacted: bool,
    pub pieces: Vec<String>,
    pub calls: Vec<ToolCall>,
    pub stop: Stop,
    pub usage: Usage,
}

#[derive(Debug)]
pub(crate) struct ToolCall {
    pub name: String,
    /// An object, or the text that a tool of free text is called with.
    pub arguments: Value,
}

impl ToolCall {
    /// What the wires carry as text: an object's JSON, or the free text itself.
    pub(crate) fn text(&self) -> String {
        self.arguments.as_str().map_or_else(|| self.arguments.to_string(), str::to_owned)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    End,
    Length,
    ToolUse,
    /// The sequence that would have come next.
    Sequence(String),
    /// The text is [`REFUSAL`].
    Refusal,
}

/// Canonical counts: `input` is without the cache, `output` is everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub input: u64,
    pub cache_read: u64,
    pub cache_write_5m: u64,
    pub cache_write_1h: u64,
    pub output: u64,
    pub reasoning: u64,
}

impl Turn {
    pub(crate) fn new(prompt: &Prompt, behaviour: &Behaviour) -> Self {
        let refuses = prompt.last_user.contains(REFUSE);
        let planned = plan::next(prompt, &behaviour.plans).filter(|_| !refuses);
        let calls = match planned {
            _ if refuses => Vec::new(),
            Some(turn) => turn.calls(&prompt.tools),
            None => calls(prompt),
        };
        let thinks = if planned.is_none_or(|turn| turn.thinks) { prompt.thinking } else { Thinking::None };
        let thinking: Vec<String> = match thinks {
            Thinking::Shown => THOUGHT.map(str::to_owned).to_vec(),
            Thinking::None | Thinking::Hidden => Vec::new(),
        };
        let said = planned.map_or(behaviour.text.as_ref(), |turn| turn.text.as_ref());
        let (pieces, stop) = match calls.is_empty() {
            _ if refuses => (vec![REFUSAL.to_owned()], Stop::Refusal),
            true => text(prompt, behaviour, said),
            false => (said.map(|said| cut_up(said, None, None)).unwrap_or_default(), Stop::ToolUse),
        };
        let usage = Usage::new(prompt, thinks, &thinking, &pieces, &calls).scripted(&behaviour.usage);
        let redacted = thinks != Thinking::None && prompt.last_user.contains(REDACTED);
        Self { thinking, thinks, redacted, pieces, calls, stop, usage }
    }

    pub(crate) fn text(&self) -> String {
        self.pieces.concat()
    }
}

impl Prompt {
    pub(crate) fn input_tokens(&self) -> u64 {
        tokens(self.bytes.plain)
            + self.messages * TOKENS_PER_MESSAGE
            + self.tools.len() as u64 * TOKENS_PER_TOOL
    }
}

impl Usage {
    fn new(
        prompt: &Prompt,
        thinks: Thinking,
        thinking: &[String],
        pieces: &[String],
        calls: &[ToolCall],
    ) -> Self {
        let length = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
        let reasoning = match thinks {
            Thinking::None => 0,
            Thinking::Shown => tokens(length(thinking)),
            Thinking::Hidden => HIDDEN_REASONING_TOKENS,
        };
        let called: u64 = calls.iter().map(|call| tokens(call.name.len() + call.text().len())).sum();
        let output = (tokens(length(pieces)) + called + reasoning) * prompt.n.max(1);
        Self {
            input: prompt.input_tokens(),
            cache_read: 0,
            cache_write_5m: tokens(prompt.bytes.cached_5m),
            cache_write_1h: tokens(prompt.bytes.cached_1h),
            output,
            reasoning: reasoning * prompt.n.max(1),
        }
    }

    fn scripted(self, script: &UsageScript) -> Self {
        Self {
            input: script.input.unwrap_or(self.input),
            cache_read: script.cache_read.unwrap_or(self.cache_read),
            cache_write_5m: script.cache_write_5m.unwrap_or(self.cache_write_5m),
            cache_write_1h: script.cache_write_1h.unwrap_or(self.cache_write_1h),
            output: script.output.unwrap_or(self.output),
            reasoning: script.reasoning.unwrap_or(self.reasoning),
        }
    }
}

/// Four bytes are a token.
pub(crate) fn tokens(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

fn calls(prompt: &Prompt) -> Vec<ToolCall> {
    let called: Vec<&Tool> = match &prompt.choice {
        Choice::None => Vec::new(),
        Choice::Any => prompt.tools.first().into_iter().collect(),
        Choice::Named(name) => prompt.tools.iter().filter(|tool| tool.name == *name).take(1).collect(),
        Choice::Auto if prompt.after_tool => Vec::new(),
        Choice::Auto => {
            let most = if prompt.parallel { usize::MAX } else { 1 };
            let meant = |tool: &&Tool| !tool.name.is_empty() && prompt.last_user.contains(&tool.name);
            prompt.tools.iter().filter(meant).take(most).collect()
        }
    };
    called
        .into_iter()
        .map(|tool| ToolCall { name: tool.name.clone(), arguments: arguments(&tool.schema) })
        .collect()
}

fn arguments(schema: &Value) -> Value {
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => sample("input", schema, SCHEMA_DEPTH),
        _ => object(schema, SCHEMA_DEPTH),
    }
}

/// An object with each required property of the schema.
fn object(schema: &Value, depth: usize) -> Value {
    let mut filled = Map::new();
    let required = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for name in required.iter().filter_map(Value::as_str) {
        let property = schema.get("properties").and_then(|all| all.get(name)).unwrap_or(&Value::Null);
        filled.insert(name.to_owned(), sample(name, property, depth));
    }
    Value::Object(filled)
}

fn sample(name: &str, schema: &Value, depth: usize) -> Value {
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        Some(kind) => kind.as_str(),
        None => None,
    };
    match kind {
        _ if depth == 0 => Value::Null,
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("array") => match schema.get("items") {
            Some(items) => json!([sample(name, items, depth - 1)]),
            None => json!([]),
        },
        Some("object") => object(schema, depth - 1),
        _ => json!(name),
    }
}

/// The pieces of the text, and why there are no more.
fn text(prompt: &Prompt, behaviour: &Behaviour, said: Option<&String>) -> (Vec<String>, Stop) {
    let said = said.cloned().unwrap_or_else(|| answer(prompt));
    let (said, stop) = stopped(&said, &prompt.stop);
    if said.is_empty() {
        return (Vec::new(), stop);
    }
    let pieces = cut_up(said, behaviour.chunks, behaviour.chunk_chars);
    let room = prompt
        .max_tokens
        .map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX).saturating_mul(4));
    match cut_off(pieces, room) {
        (pieces, true) => (pieces, Stop::Length),
        (pieces, false) => (pieces, stop),
    }
}

fn answer(prompt: &Prompt) -> String {
    match &prompt.format {
        Format::Text => {}
        Format::Json => return json!({ "answer": prompt.last_user }).to_string(),
        Format::Schema(schema) => {
            let kind = schema.get("type").and_then(Value::as_str);
            let other = kind.is_some_and(|kind| kind != "object");
            let filled =
                if other { sample("answer", schema, SCHEMA_DEPTH) } else { object(schema, SCHEMA_DEPTH) };
            return filled.to_string();
        }
    }
    if prompt.last_user.contains(SAY_SYSTEM) {
        return prompt.system.clone();
    }
    let notes: String = prompt.media.iter().map(Media::note).collect();
    match prompt.last_user.as_str() {
        "" if notes.is_empty() => GREETING.to_owned(),
        said => format!("{said}{notes}"),
    }
}

/// The text ahead of the first stop sequence in it.
fn stopped<'a>(said: &'a str, sequences: &[String]) -> (&'a str, Stop) {
    let found = sequences.iter().filter(|sequence| !sequence.is_empty());
    let first = found.filter_map(|sequence| Some((said.find(sequence.as_str())?, sequence))).min();
    match first {
        Some((at, sequence)) => (said.get(..at).unwrap_or_default(), Stop::Sequence(sequence.clone())),
        None => (said, Stop::End),
    }
}

fn cut_up(said: &str, chunks: Option<u32>, chunk_chars: Option<u32>) -> Vec<String> {
    let wanted = chunks.map_or(DEFAULT_CHUNKS, |chunks| chunks.max(1) as usize);
    let length = said.chars().count();
    let total = match chunk_chars {
        Some(chars) => wanted * chars.max(1) as usize,
        // An explicit count is kept, if need be by saying it again.
        None if chunks.is_some() => length.max(wanted),
        None => length,
    };
    let mut chars = said.chars().cycle();
    let pieces = wanted.min(total);
    (0..pieces)
        .map(|piece| {
            let size = (piece + 1) * total / pieces - piece * total / pieces;
            chars.by_ref().take(size).collect()
        })
        .collect()
}

fn cut_off(pieces: Vec<String>, mut room: usize) -> (Vec<String>, bool) {
    let mut kept = Vec::with_capacity(pieces.len());
    for mut piece in pieces {
        if piece.len() <= room {
            room -= piece.len();
            kept.push(piece);
            continue;
        }
        piece.truncate(piece.floor_char_boundary(room));
        if !piece.is_empty() {
            kept.push(piece);
        }
        return (kept, true);
    }
    (kept, false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prompt(last_user: &str) -> Prompt {
        Prompt { last_user: last_user.to_owned(), parallel: true, ..Prompt::default() }
    }

    #[test]
    fn the_last_user_message_is_echoed() {
        let turn = Turn::new(&prompt("How are you?"), &Behaviour::default());
        assert_eq!(turn.text(), "How are you?");
        assert_eq!(turn.pieces.len(), 4);
        assert_eq!(turn.usage.output, 3);
    }

    #[test]
    fn a_scripted_count_and_size_of_pieces_is_kept() {
        let turn = Turn::new(&prompt("ab"), &Behaviour::chunked(5).with_chunk_chars(3));
        assert_eq!(turn.pieces, ["aba", "bab", "aba", "bab", "aba"]);
        let short = Turn::new(&prompt("ab"), &Behaviour::chunked(5));
        assert_eq!(short.pieces, ["a", "b", "a", "b", "a"]);
    }

    #[test]
    fn max_tokens_cuts_the_text() {
        let short = Prompt { max_tokens: Some(1), ..prompt("a long question") };
        let turn = Turn::new(&short, &Behaviour::default());
        assert_eq!((turn.text().as_str(), turn.usage.output), ("a lo", 1));
        assert_eq!(turn.stop, Stop::Length);
    }

    #[test]
    fn a_stop_sequence_ends_the_text_ahead_of_it() {
        let asked = Prompt { stop: vec!["zebra".into(), "then".into()], ..prompt("first, then zebra") };
        let turn = Turn::new(&asked, &Behaviour::default());
        assert_eq!((turn.text().as_str(), turn.stop), ("first, ", Stop::Sequence("then".into())));
    }

    #[test]
    fn images_and_files_are_told_of() {
        let media = vec![Media::Bytes("image/png".into(), 70), Media::Url("https://x/y.png".into())];
        let turn = Turn::new(&Prompt { media, ..prompt("Look") }, &Behaviour::default());
        assert_eq!(turn.text(), "Look [image/png, 70 bytes] [https://x/y.png]");
    }

    #[test]
    fn the_system_prompt_is_said_and_json_is_made_and_a_refusal_is_one() {
        let asked = Prompt { system: "Be brief.".into(), ..prompt(SAY_SYSTEM) };
        assert_eq!(Turn::new(&asked, &Behaviour::default()).text(), "Be brief.");
        let schema = json!({"type":"object","required":["city"],"properties":{"city":{"type":"string"}}});
        let asked = Prompt { format: Format::Schema(schema), ..prompt("Where?") };
        assert_eq!(Turn::new(&asked, &Behaviour::default()).text(), r#"{"city":"city"}"#);
        assert_eq!(Turn::new(&prompt(REFUSE), &Behaviour::default()).stop, Stop::Refusal);
    }

    #[test]
    fn a_tool_is_called_when_its_name_is_said() {
        let schema = json!({"type":"object","required":["city","days"],
            "properties":{"city":{"type":"string"},"days":{"type":"integer"},"unit":{"type":"string"}}});
        let tool = Tool { name: "get_weather".into(), schema };
        let asked = Prompt { tools: vec![tool], ..prompt("Please call get_weather for Oslo") };
        let turn = Turn::new(&asked, &Behaviour::default());
        assert_eq!(turn.stop, Stop::ToolUse);
        assert_eq!(turn.calls.first().unwrap().arguments, json!({"city":"city","days":1}));
        let answered = Prompt { after_tool: true, ..asked };
        assert_eq!(Turn::new(&answered, &Behaviour::default()).stop, Stop::End);
    }

    #[test]
    fn a_tool_of_free_text_is_called_with_text_and_thinking_can_be_secret() {
        let tools = vec![Tool { name: "shell".into(), schema: json!({"type": "string"}) }];
        let asked = Prompt { tools, thinking: Thinking::Shown, ..prompt(&format!("{REDACTED} shell")) };
        let turn = Turn::new(&asked, &Behaviour::default());
        assert_eq!((turn.calls.first().unwrap().text().as_str(), turn.redacted), ("input", true));
        assert_eq!(turn.usage.output, turn.usage.reasoning + 3, "the thought, and `shell` with `input`");
        assert!(!Turn::new(&prompt(REDACTED), &Behaviour::default()).redacted, "nothing to keep secret");
    }

    proptest! {
        #[test]
        fn pieces_are_never_empty_and_never_exceed_the_limit(
            said in "\\PC{0,60}", chunks in proptest::option::of(1_u32..30), chars in proptest::option::of(1_u32..9),
            most in proptest::option::of(0_u64..20),
        ) {
            let asked = Prompt { max_tokens: most, ..prompt(&said) };
            let behaviour = Behaviour { chunks, chunk_chars: chars, ..Behaviour::default() };
            let turn = Turn::new(&asked, &behaviour);
            prop_assert!(turn.pieces.iter().all(|piece| !piece.is_empty()));
            if let Some(most) = most {
                prop_assert!(turn.usage.output <= most);
            } else if let Some(chunks) = chunks {
                prop_assert_eq!(turn.pieces.len(), chunks as usize);
            }
        }
    }
}
