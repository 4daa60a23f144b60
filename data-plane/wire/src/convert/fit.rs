//! Fits a request to what the target wire can say. All that differs between what was asked and what is sent happens
//! here, and each difference is a loss by name, or a rejection where doing without would be another request.

mod cache;
mod calls;
mod content;
mod limits;
mod reasoning;
mod schema;
mod search;
mod system;
mod tool_search;
mod tools;

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};
use shared::wire::Wire;

use super::{
    capabilities::{self, Capabilities, Format},
    claude::Claude,
    names::Names,
    openai::OpenAi,
};
use crate::{
    canonical::{Block, Origin, RefusedProofs, Request, Role},
    loss::{LossCode, Losses, Rejected},
};

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub struct Target<'t> {
    pub format: Format,
    /// The name to send.
    pub model: &'t str,
    /// The upstream is to stream.
    pub stream: bool,
    /// Output tokens to allow where the wire wants a limit and the client named none.
    pub default_max_output: u64,
    /// The most that the model can say, where that is known.
    pub max_output: Option<u64>,
    /// False: the upstream fetches no images or files from URLs.
    pub fetches_urls: bool,
    /// False: the provider runs no tools of its own there.
    pub server_tools: bool,
    pub replayed: Replayed<'t>,
    /// Responses: the model knows `tool_search`. Otherwise the one of a client that searches by itself is a function.
    pub tool_search: bool,
    /// Messages: system prompts in mid-conversation are taken, by the models that know them. Anthropic's own API does.
    pub system_turns: bool,
    /// Messages: the gateway marks what is to be cached, for clients of other wires that mark nothing. Writing a cache
    /// costs more than reading a prompt, and reading it much less.
    pub cache_marks: bool,
}

/// Which reasoning of the history goes along.
#[derive(Debug, Clone, Copy)]
pub enum Replayed<'r> {
    /// That of the model's maker, who can check it; without what this upstream refused before.
    Own { refused: Option<&'r RefusedProofs> },
    /// None: the upstream refused it just now.
    Nothing,
}

impl Replayed<'_> {
    pub const OWN: Self = Self::Own { refused: None };

    #[must_use]
    pub const fn is_nothing(self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// Whether the model is known to refuse the proof.
    #[must_use]
    pub fn is_refused(self, model: &str, proof: &str) -> bool {
        match self {
            Self::Own { refused } => refused.is_some_and(|refused| refused.contains(model, proof)),
            Self::Nothing => true,
        }
    }
}

impl Target<'_> {
    /// Whose reasoning goes along; none: nobody's. `asked`: the model as the client named it.
    pub(super) fn reasoning_of(&self, asked: &str) -> Option<Origin> {
        // Converse serves models of many makers.
        let is_makers = self.format != Format::Converse || claude(self, asked).is_known();
        let goes = is_makers && !self.replayed.is_nothing();
        capabilities::of(self.format).reasoning_of.filter(|_| goes)
    }
}

pub(super) struct Fit<'t> {
    pub(super) target: Target<'t>,
    /// The model as the client named it.
    pub(super) asked: Cow<'t, str>,
    pub(super) can: &'static Capabilities,
    pub(super) losses: Losses,
    pub(super) names: Names,
    /// A block was left out that only another wire knows.
    pub(super) left_out: bool,
    /// responses: the type of the provider's tool that must be called.
    pub(super) forced: Option<String>,
}

/// Changes the request into one that the target can say.
///
/// # Errors
/// See [`Rejected`].
pub(super) fn fit<'a>(request: &mut Request<'a>, target: Target<'a>) -> Result<(Losses, Names), Rejected> {
    let can = capabilities::of(target.format);
    let asked = std::mem::replace(&mut request.model, target.model.into());
    let mut fit = Fit {
        target,
        asked,
        can,
        losses: std::mem::take(&mut request.losses),
        names: Names::new(!can.custom_tools),
        left_out: false,
        forced: forced(request),
    };
    request.stream = target.stream;
    fit.extras(request)?;
    fit.tool_search(request);
    fit.roles(request);
    fit.results(request);
    fit.tools(request)?;
    fit.content(request)?;
    fit.limits(request);
    fit.reasoning(request);
    fit.hints(request);
    fit.mark(request);
    fit.ending(request);
    Ok((fit.losses, fit.names))
}

/// Fields that ask for state or work which only the provider of their own wire has: without them it would be another
/// request.
const STATEFUL: [(&str, &str); 9] = [
    ("previous_response_id", "send the whole conversation as `input`"),
    ("conversation", "send the whole conversation as `input`"),
    ("background", "send the request without it"),
    ("prompt", "send the prompt's text instead of its id"),
    ("container", "send the request without it"),
    ("mcp_servers", "call the tools from the client"),
    ("cachedContent", "send the content itself"),
    ("cached_content", "send the content itself"),
    ("audio", "ask for text only"),
];

fn forced(request: &Request<'_>) -> Option<String> {
    let choice = request.extras.iter().find(|extra| extra.name == "tool_choice")?;
    let choice: serde_json::Value = serde_json::from_str(choice.value.get()).ok()?;
    choice["type"].as_str().map(str::to_owned)
}

/// Of OpenAI's, in characters: as many as SHA-256 has digits.
const NAME_MAX: usize = 64;

/// What a user says to a model that is to go on with its own words.
const GO_ON: &str = "Continue.";

fn claude(target: &Target<'_>, asked: &str) -> Claude {
    let (_, asked) = shared::model::split_account_type(asked);
    Claude::of([target.model, asked])
}

impl Fit<'_> {
    fn extras(&mut self, request: &mut Request<'_>) -> Result<(), Rejected> {
        let own = self.target.format.wire();
        let mut rejected = None;
        request.extras.retain(|extra| {
            if Some(extra.origin) == own {
                return true;
            }
            let stateful = STATEFUL.iter().find(|(name, _)| *name == extra.name);
            match stateful.filter(|_| extra.value.get() != "false") {
                Some((name, remedy)) => {
                    let message = format!(
                        "`{name}` can't be had from the account that serves this model: it speaks another API; {remedy}"
                    );
                    rejected.get_or_insert(Rejected::new(*name, message));
                }
                None => self.losses.add_named(LossCode::Field, &extra.name),
            }
            false
        });
        rejected.map_or(Ok(()), Err)
    }

    /// What the target's model is: an account's own name for it may say less than the client's.
    fn claude_model(&self) -> Claude {
        claude(&self.target, &self.asked)
    }

    fn openai_model(&self) -> OpenAi {
        let (_, asked) = shared::model::split_account_type(&self.asked);
        OpenAi::of([self.target.model, asked])
    }

    /// Newer models of Claude refuse a conversation that ends with the beginning of their answer, and Gemini's give
    /// nothing more: they are told to go on.
    fn ending(&mut self, request: &mut Request<'_>) {
        let takes_prefill = match self.target.format {
            Format::Messages => self.claude_model().takes_prefill(),
            Format::Gemini => false,
            Format::Chat | Format::Responses | Format::Converse => return,
        };
        let Some(turn) = request.turns.last_mut().filter(|turn| turn.role == Role::Assistant) else { return };
        // Without results a call can't be gone on from.
        if turn.blocks.iter().any(|block| matches!(block, Block::ToolCall(_))) {
            return;
        }
        if !takes_prefill {
            self.losses.add(LossCode::Field, "prefill");
            request.push(Role::User, [Block::text(GO_ON)]);
        } else if let Some(Block::Text(text)) = turn.blocks.last_mut()
            && text.text.ends_with(char::is_whitespace)
        {
            // Those that take it refuse blanks at its end.
            self.losses.add(LossCode::Clamped, "prefill");
            text.text = Cow::Owned(text.text.trim_end().to_owned());
        }
    }

    fn hints(&mut self, request: &mut Request<'_>) {
        let hints = &mut request.hints;
        if matches!(self.target.format, Format::Chat | Format::Responses) {
            self.bound(&mut hints.user, "user");
            self.bound(&mut hints.cache_key, "prompt_cache_key");
        }
        self.drop_unless(self.can.user, &mut hints.user, "user");
        self.drop_unless(self.can.cache_key, &mut hints.cache_key, "prompt_cache_key");
        self.drop_unless(self.can.verbosity, &mut hints.verbosity, "verbosity");
        self.drop_unless(self.can.metadata, &mut hints.metadata, "metadata");
        // Tiers are the provider's own words and prices.
        let known: &[&str] = match self.target.format {
            Format::Chat | Format::Responses => &["auto", "default", "flex", "scale", "priority"],
            Format::Messages => &["auto", "standard_only"],
            Format::Gemini | Format::Converse => &[],
        };
        let can = hints.service_tier.as_deref().is_some_and(|tier| known.contains(&tier));
        self.drop_unless(can, &mut hints.service_tier, "service_tier");
        if !self.can.store && hints.store.take() == Some(true) {
            self.losses.add(LossCode::Field, "store");
        }
    }

    /// OpenAI refuses longer names; a digest tells users apart as well.
    fn bound(&mut self, name: &mut Option<Cow<'_, str>>, field: &'static str) {
        if let Some(name) = name
            && name.chars().count() > NAME_MAX
        {
            let digest = Sha256::digest(name.as_bytes());
            *name = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
            self.losses.add(LossCode::Clamped, field);
        }
    }

    fn drop_unless<T>(&mut self, can: bool, value: &mut Option<T>, name: &'static str) {
        if !can && value.take().is_some() {
            self.losses.add(LossCode::Field, name);
        }
    }

    /// Whether the target's own encoder writes this wire's opaque values.
    fn is_own(&self, origin: Wire) -> bool {
        self.target.format.wire() == Some(origin)
    }
}
