//! What a conversion can't carry across: values that are counted, logged, and part of every golden case.

use std::borrow::Cow;

use smallvec::SmallVec;

/// What was left out, or said in another way than the client did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LossCode {
    /// A field that the target wire has no place for.
    Field,
    /// A block that only its own wire knows.
    Block,
    /// A cache mark; the upstream caches by its own rules.
    CacheMark,
    /// A system prompt in mid-conversation stands elsewhere, or is told by a user instead.
    SystemMoved,
    /// What is asked for is bound to other limits there, and was put inside them.
    Clamped,
    /// A tool that the provider would run was left out; the request goes without it.
    ServerTool,
    /// A tool or a format may not be enforced to the letter.
    Strictness,
    /// A choice among some tools became a choice among all.
    ToolChoice,
    /// Whether tools may be called in parallel can't be said there.
    ParallelTools,
    /// An image or file in a tool's result stands behind the results instead.
    MediaMoved,
    /// How closely an image is looked at, or a file's name.
    MediaDetail,
    /// Reasoning of another provider's model, which the upstream would refuse.
    ForeignReasoning,
    /// Reasoning was asked for and can't be had with this history or this limit.
    ReasoningOff,
    /// Citations, annotations, or probabilities of tokens.
    Annotation,
    /// A name that the upstream would refuse goes by another one, and is mapped back in the answer.
    Renamed,
    /// Arguments that are no JSON object were wrapped in one.
    Arguments,
    /// A role or a speaker's name.
    Speaker,
    /// What came in a stream out of order, so that it belongs nowhere.
    Misplaced,
}

impl LossCode {
    pub const ALL: [Self; 18] = [
        Self::Field,
        Self::Block,
        Self::CacheMark,
        Self::SystemMoved,
        Self::Clamped,
        Self::ServerTool,
        Self::Strictness,
        Self::ToolChoice,
        Self::ParallelTools,
        Self::MediaMoved,
        Self::MediaDetail,
        Self::ForeignReasoning,
        Self::ReasoningOff,
        Self::Annotation,
        Self::Renamed,
        Self::Arguments,
        Self::Speaker,
        Self::Misplaced,
    ];

    /// The stable word in metrics, logs and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Field => "field",
            Self::Block => "block",
            Self::CacheMark => "cache_mark",
            Self::SystemMoved => "system_moved",
            Self::Clamped => "clamped",
            Self::ServerTool => "server_tool",
            Self::Strictness => "strictness",
            Self::ToolChoice => "tool_choice",
            Self::ParallelTools => "parallel_tools",
            Self::MediaMoved => "media_moved",
            Self::MediaDetail => "media_detail",
            Self::ForeignReasoning => "foreign_reasoning",
            Self::ReasoningOff => "reasoning_off",
            Self::Annotation => "annotation",
            Self::Renamed => "renamed",
            Self::Arguments => "arguments",
            Self::Speaker => "speaker",
            Self::Misplaced => "misplaced",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Loss {
    pub code: LossCode,
    /// The field or the type that is meant, such as `logit_bias`. Never a value of the client's.
    pub what: Cow<'static, str>,
}

/// Losses of one conversion; each stands there once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Losses(SmallVec<[Loss; 4]>);

/// More than this are not written down: names of unknown fields are the client's.
const LOSSES_MAX: usize = 64;
const NAME_MAX: usize = 64;

impl Losses {
    pub fn add(&mut self, code: LossCode, what: impl Into<Cow<'static, str>>) {
        let loss = Loss { code, what: what.into() };
        if self.0.len() < LOSSES_MAX && !self.0.contains(&loss) {
            self.0.push(loss);
        }
    }

    /// As [`Losses::add`], with a name of the client's choice: cut to a bearable length.
    pub fn add_named(&mut self, code: LossCode, name: &str) {
        let name = name.get(..name.floor_char_boundary(NAME_MAX)).unwrap_or_default();
        self.add(code, name.to_owned());
    }

    /// As [`Losses::add_named`], of a name in pieces: `["choices", ".", name]`. What stands there costs nothing.
    pub fn add_path(&mut self, code: LossCode, path: &[&str]) {
        let is_there = |loss: &Loss| loss.code == code && is_joined(&loss.what, path);
        if self.0.len() < LOSSES_MAX && !self.0.iter().any(is_there) {
            self.add_named(code, &path.concat());
        }
    }

    pub fn extend(&mut self, others: Self) {
        for loss in others.0 {
            self.add(loss.code, loss.what);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Loss> {
        self.0.iter()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn is_joined(mut whole: &str, path: &[&str]) -> bool {
    let follows = |piece: &&str| whole.strip_prefix(*piece).map(|rest| whole = rest).is_some();
    path.iter().all(follows) && whole.is_empty()
}

/// What is asked for can't be had from this upstream, and doing without it would be another request. The message tells
/// the client what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejected {
    /// The field at fault.
    pub field: Cow<'static, str>,
    pub message: String,
}

impl Rejected {
    pub fn new(field: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}
