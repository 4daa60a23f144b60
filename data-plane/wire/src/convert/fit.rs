//! Fits a request to what the target wire can say. All that differs between what was asked and what is sent happens
//! here, and each difference is a loss by name, or a rejection where doing without would be another request.

mod content;
mod limits;
mod reasoning;
mod search;
mod tools;

use shared::wire::Wire;

use super::{
    capabilities::{self, Capabilities, Format},
    names::Names,
};
use crate::{
    canonical::{Request, Role, Turn},
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
    /// False: the upstream fetches no images or files from URLs.
    pub fetches_urls: bool,
    /// False: the provider runs no tools of its own there.
    pub server_tools: bool,
}

pub(super) struct Fit<'t> {
    pub(super) target: Target<'t>,
    pub(super) can: &'static Capabilities,
    pub(super) losses: Losses,
    pub(super) names: Names,
    /// A block was left out that only another wire knows.
    pub(super) left_out: bool,
}

/// Changes the request into one that the target can say.
///
/// # Errors
/// See [`Rejected`].
pub(super) fn fit<'a>(request: &mut Request<'a>, target: Target<'a>) -> Result<(Losses, Names), Rejected> {
    let can = capabilities::of(target.format);
    let mut fit = Fit {
        target,
        can,
        losses: std::mem::take(&mut request.losses),
        names: Names::new(!can.custom_tools),
        left_out: false,
    };
    request.model = target.model.into();
    request.stream = target.stream;
    fit.extras(request)?;
    fit.roles(request);
    fit.tools(request)?;
    fit.content(request)?;
    fit.limits(request);
    fit.reasoning(request);
    fit.hints(request);
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

    /// System prompts go where the target wants them.
    fn roles(&mut self, request: &mut Request<'_>) {
        let leading = request.turns.iter().take_while(|turn| is_system(turn)).count();
        let top_level = self.target.format != Format::Chat;
        if top_level {
            for turn in request.turns.drain(..leading) {
                request.system.extend(turn.blocks);
            }
        }
        if !self.can.system_in_turns && request.turns.iter().any(is_system) {
            self.losses.add(LossCode::SystemMoved, "messages");
            let (moved, kept) = std::mem::take(&mut request.turns).into_iter().partition(is_system);
            let moved: Vec<Turn<'_>> = moved;
            request.system.extend(moved.into_iter().flat_map(|turn| turn.blocks));
            let kept: Vec<Turn<'_>> = kept;
            for turn in kept {
                request.push(turn.role, turn.blocks);
            }
        }
        if !self.can.developer {
            for turn in request.turns.iter_mut().filter(|turn| turn.role == Role::Developer) {
                turn.role = Role::System;
            }
        }
    }

    fn hints(&mut self, request: &mut Request<'_>) {
        let hints = &mut request.hints;
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

fn is_system(turn: &Turn<'_>) -> bool {
    matches!(turn.role, Role::System | Role::Developer)
}
