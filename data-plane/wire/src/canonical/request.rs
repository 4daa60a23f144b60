//! What a client asks for.

use std::{borrow::Cow, collections::HashSet};

use serde_json::{Number, value::RawValue};
use shared::wire::Wire;

use super::block::{Block, CacheMark, Opaque};
use crate::loss::Losses;

/// A request, as far as any wire can say it. What is absent was not said; every wire's defaults are the upstream's
/// business.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// As the client wrote it. gemini: from the path.
    pub model: Cow<'a, str>,
    pub stream: bool,
    /// The prompt that stands outside the conversation: messages `system`, responses `instructions`, gemini
    /// `systemInstruction`. chat has none: there it is the first turn.
    pub system: Vec<Block<'a>>,
    /// No two neighbours have the same role: see [`Request::push`].
    pub turns: Vec<Turn<'a>>,
    pub tools: Vec<Tool<'a>>,
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether one answer may call several tools.
    pub parallel_tools: Option<bool>,
    /// Tokens, reasoning included.
    pub max_output: Option<u64>,
    pub sampling: Sampling<'a>,
    pub format: Format<'a>,
    pub thinking: Thinking,
    pub hints: Hints<'a>,
    /// Fields at the top that are nowhere else in here.
    pub extras: Vec<Extra<'a>>,
    /// What the decoder found deeper inside and has no place for.
    pub losses: Losses,
}

#[derive(Debug, Clone)]
pub struct Turn<'a> {
    pub role: Role,
    pub blocks: Vec<Block<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    System,
    /// OpenAI's word for the system prompt of applications.
    Developer,
    /// Also what tools gave back.
    User,
    Assistant,
}

impl<'a> Request<'a> {
    /// Adds to the last turn if it has the same role, else begins one. Without blocks it does nothing.
    pub fn push(&mut self, role: Role, blocks: impl IntoIterator<Item = Block<'a>>) {
        let mut blocks = blocks.into_iter().peekable();
        if blocks.peek().is_none() {
            return;
        }
        match self.turns.last_mut() {
            Some(turn) if turn.role == role => turn.blocks.extend(blocks),
            _ => self.turns.push(Turn { role, blocks: blocks.collect() }),
        }
    }
}

#[derive(Debug, Clone)]
pub enum Tool<'a> {
    Function {
        name: Cow<'a, str>,
        description: Option<Cow<'a, str>>,
        /// JSON Schema as JSON text, in the standard dialect. Absent: takes nothing.
        parameters: Option<Cow<'a, str>>,
        strict: Option<bool>,
        /// responses: the group that the function is in.
        namespace: Option<Cow<'a, str>>,
        cache: Option<CacheMark>,
    },
    /// Takes free text.
    Custom {
        name: Cow<'a, str>,
        description: Option<Cow<'a, str>>,
        /// OpenAI's `format` as the Responses wire has it: text, or a grammar whose fields stand beside its type.
        format: Option<Cow<'a, RawValue>>,
        /// As a function's.
        namespace: Option<Cow<'a, str>>,
    },
    /// The provider searches the web by itself. `value` is the whole tool in its wire's form.
    WebSearch(Opaque<'a>),
    /// Another tool that the provider runs by itself.
    Server(Opaque<'a>),
}

/// The names of the tools that take free text.
pub(crate) fn customs<'t>(tools: &'t [Tool<'_>]) -> HashSet<&'t str> {
    let name = |tool: &'t Tool<'_>| match tool {
        Tool::Custom { name, .. } => Some(&**name),
        _ => None,
    };
    tools.iter().filter_map(name).collect()
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    Auto,
    None,
    /// Some tool.
    Required,
    Named(Cow<'a, str>),
    /// Some of these; `required`: at least one.
    Allowed {
        names: Vec<Cow<'a, str>>,
        required: bool,
    },
}

/// How tokens are drawn. Numbers are kept as they were written.
#[derive(Debug, Clone, Default)]
pub struct Sampling<'a> {
    pub temperature: Option<Number>,
    pub top_p: Option<Number>,
    pub top_k: Option<u64>,
    pub seed: Option<i64>,
    pub presence_penalty: Option<Number>,
    pub frequency_penalty: Option<Number>,
    pub stop: Vec<Cow<'a, str>>,
    /// Answers to the same prompt.
    pub n: Option<u64>,
    pub logprobs: Option<bool>,
    pub top_logprobs: Option<u64>,
}

/// The form that the answer's text must have.
#[derive(Debug, Clone, Default)]
pub enum Format<'a> {
    #[default]
    Text,
    JsonObject,
    JsonSchema {
        name: Option<Cow<'a, str>>,
        description: Option<Cow<'a, str>>,
        /// JSON Schema as JSON text, in the standard dialect.
        schema: Cow<'a, str>,
        strict: Option<bool>,
    },
}

/// How much the model thinks ahead. Wires say it by effort or by a budget of tokens; both are kept as said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Thinking {
    pub mode: Option<ThinkingMode>,
    pub effort: Option<Effort>,
    /// Tokens.
    pub budget: Option<u64>,
    /// Whether the client wants to read it.
    pub show: Option<Show>,
    /// The client wants what it takes to replay hidden reasoning.
    pub encrypted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThinkingMode {
    Off,
    On,
    /// The model decides how much.
    Adaptive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    Hidden,
    /// In the length that the provider likes.
    Auto,
    Concise,
    Detailed,
}

impl Effort {
    pub const ALL: [Self; 6] = [Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max];

    /// The word that OpenAI, Anthropic and Google share.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.as_str() == word)
    }

    /// Tokens that stand for it where a wire wants a number: those that Google publishes for its OpenAI front.
    #[must_use]
    pub const fn budget(self) -> u64 {
        match self {
            Self::Minimal | Self::Low => 1024,
            Self::Medium => 8192,
            Self::High => 24_576,
            Self::XHigh | Self::Max => 32_768,
        }
    }

    /// The least effort whose budget is enough.
    #[must_use]
    pub const fn of_budget(tokens: u64) -> Self {
        match tokens {
            0..=1024 => Self::Low,
            1025..=8192 => Self::Medium,
            _ => Self::High,
        }
    }
}

/// What else providers are told.
#[derive(Debug, Clone, Default)]
pub struct Hints<'a> {
    /// The end user: chat and responses `user` or `safety_identifier`, messages `metadata.user_id`.
    pub user: Option<Cow<'a, str>>,
    /// chat, responses: `prompt_cache_key`.
    pub cache_key: Option<Cow<'a, str>>,
    /// In the words of its wire.
    pub service_tier: Option<Cow<'a, str>>,
    /// chat, responses: `low`, `medium`, `high`.
    pub verbosity: Option<Cow<'a, str>>,
    /// chat, responses: whether the provider may keep the answer.
    pub store: Option<bool>,
    /// chat, responses: the client's own labels, an object of strings.
    pub metadata: Option<&'a RawValue>,
}

/// A field that the canonical form has no place for.
#[derive(Debug, Clone)]
pub struct Extra<'a> {
    pub origin: Wire,
    pub name: Cow<'a, str>,
    pub value: &'a RawValue,
}
