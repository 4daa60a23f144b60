//! On the way back: the model and the tools get the names that the client knows them by, free text comes out of its
//! wrapping, what proves a text stands ahead of it, and what only the upstream's wire knows is left out.

mod proofs;
mod searches;

use std::borrow::Cow;

use shared::wire::Wire;
use smallvec::SmallVec;

use self::{proofs::Proofs, searches::Searches};
use super::names::Names;
use crate::{
    canonical::{
        Block, Delta, Event, Extra, MEDIA, Opening, Response, Sink, TOOL_RESULT, ToolCall, ToolKind,
        lose_fields, tier,
    },
    loss::{LossCode, Losses},
};

/// A whole answer.
pub(super) fn response(response: &mut Response<'_>, client: Wire, names: &Names, id: &str) -> Losses {
    let mut calls = 0;
    let mut losses = std::mem::take(&mut response.losses);
    // Encoders say the name that was asked for in place of none. Clients hold an answer under another name for another
    // model's: Claude Code then leaves its signed thinking out of the next request.
    response.model = Cow::Borrowed("");
    let (own, foreign) =
        std::mem::take(&mut response.extras).into_iter().partition(|extra| extra.origin == client);
    response.extras = own;
    lose_extras(&foreign, &mut losses);
    if let Some(tier) = response.service_tier.take() {
        response.service_tier = served_in(client, &tier, &mut losses).map(Cow::Borrowed);
    }
    if !takes_many(client) && response.choices.len() > 1 {
        response.choices.truncate(1);
        losses.add(LossCode::Field, "choices");
    }
    for choice in &mut response.choices {
        if choice.logprobs.as_ref().is_some_and(|logprobs| logprobs.origin != client) {
            choice.logprobs = None;
            losses.add(LossCode::Annotation, "logprobs");
        }
        choice.blocks.retain_mut(|block| match block {
            Block::Opaque(opaque) if opaque.origin != client => {
                losses.add_named(LossCode::Block, &opaque.kind);
                false
            }
            // Only Gemini answers in pictures.
            Block::Media(_) if client != Wire::Gemini => {
                losses.add(LossCode::Block, MEDIA);
                false
            }
            // Models give none; what looks like one is the provider's own affair.
            Block::ToolResult(_) => {
                losses.add(LossCode::Block, TOOL_RESULT);
                false
            }
            Block::Text(text) => {
                if text.annotations.as_ref().is_some_and(|annotations| annotations.origin != client) {
                    text.annotations = None;
                    losses.add(LossCode::Annotation, "annotations");
                }
                true
            }
            Block::ToolCall(call) => {
                rename(call, names);
                if call.id.is_empty() {
                    call.id = Cow::Owned(call_id(id, calls));
                }
                calls += 1;
                if let Some(search) =
                    searches::is_one(&call.name, names).then(|| searches::call(call)).flatten()
                {
                    *block = Block::Opaque(search);
                }
                true
            }
            _ => true,
        });
        if client != Wire::Gemini {
            proofs::settle(&mut choice.blocks, &mut losses);
        }
    }
    losses
}

fn lose_extras(extras: &[Extra<'_>], losses: &mut Losses) {
    lose_fields(extras.iter().map(|extra| (&*extra.name, extra.value)), losses);
}

/// The tier in the client's word.
fn served_in(client: Wire, tier: &str, losses: &mut Losses) -> Option<&'static str> {
    let word = tier::word(client, tier);
    if word.is_none() && !tier::goes_without_saying(tier) {
        losses.add(LossCode::Field, "service_tier");
    }
    word
}

/// Whether the wire's answers may be several to choose from.
const fn takes_many(client: Wire) -> bool {
    matches!(client, Wire::Chat | Wire::Gemini)
}

/// The id of a call that the upstream gave none: Gemini tells calls apart by their order.
fn call_id(id: &str, number: u32) -> String {
    format!("call_{id}_{number}")
}

fn rename(call: &mut ToolCall<'_>, names: &Names) {
    let Some(original) = names.back(&call.name) else { return };
    call.name = Cow::Owned(original.name.clone());
    call.namespace = original.namespace.clone().map(Cow::Owned);
    call.kind = original.kind;
    if call.kind == ToolKind::Custom && names.wraps {
        call.arguments = Cow::Owned(free_text(&call.arguments));
    }
}

/// The text in `{"input":"…"}`; arguments of another shape stay as they are.
fn free_text(arguments: &str) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_str(arguments).ok();
    let input = parsed.as_ref().and_then(|arguments| arguments.get("input")).and_then(|input| input.as_str());
    input.map_or_else(|| arguments.to_owned(), ToOwned::to_owned)
}

/// A stream. Events come in legal order.
#[derive(Debug)]
pub(super) struct Restore {
    client: Wire,
    names: Names,
    id: String,
    /// The client is given all of it at the end.
    gathers: bool,
    calls: u32,
    /// By choice, the arguments so far of its open call, whose text is to be unwrapped.
    wrapped: SmallVec<[(u32, String); 1]>,
    searches: Searches,
    /// Of clients that know no proof of a text.
    proofs: Option<Proofs>,
    /// Choices whose open block is one that the client's wire does not know.
    left_out: SmallVec<[u32; 1]>,
    /// What belongs to the beginning of the client's stream can still be said.
    begins: bool,
    losses: Losses,
}

impl Restore {
    pub(super) fn new(client: Wire, names: Names, id: &str, gathers: bool) -> Self {
        Self {
            client,
            names,
            id: id.to_owned(),
            gathers,
            calls: 0,
            wrapped: SmallVec::new(),
            searches: Searches::default(),
            // A gathered answer is settled when it is whole.
            proofs: (client != Wire::Gemini && !gathers).then(Proofs::default),
            left_out: SmallVec::new(),
            begins: true,
            losses: Losses::default(),
        }
    }

    pub(super) const fn losses(&self) -> &Losses {
        &self.losses
    }

    pub(super) fn take(&mut self, event: Event<'_>, out: &mut Sink<'_>) {
        let Some(mut proofs) = self.proofs.take() else { return self.known(event, out) };
        let mut losses = Losses::default();
        self.known(event, &mut |event| proofs.take(event, &mut losses, out));
        self.losses.extend(losses);
        self.proofs = Some(proofs);
    }

    /// In words that the client knows.
    fn known(&mut self, event: Event<'_>, out: &mut Sink<'_>) {
        match event {
            Event::ServiceTier(tier) => {
                let Some(word) = served_in(self.client, &tier, &mut self.losses) else { return };
                if self.client == Wire::Messages && !self.begins {
                    if !tier::goes_without_saying(&tier) {
                        self.losses.add(LossCode::Field, "service_tier");
                    }
                    return;
                }
                out(Event::ServiceTier(Cow::Borrowed(word)));
            }
            Event::Start { id, .. } => {
                self.begins = self.gathers;
                // As in a whole answer.
                out(Event::Start { id, model: Cow::Borrowed("") });
            }
            Event::Open { choice, .. }
            | Event::Delta { choice, .. }
            | Event::Close { choice, .. }
            | Event::Stop { choice, .. }
                if choice > 0 && !takes_many(self.client) =>
            {
                self.losses.add(LossCode::Field, "choices");
            }
            Event::Open { choice, opening: Opening::Opaque(opaque), .. } if opaque.origin != self.client => {
                self.losses.add_named(LossCode::Block, &opaque.kind);
                self.left_out.push(choice);
            }
            Event::Close { choice, .. } if self.left_out.contains(&choice) => {
                self.left_out.retain(|open| *open != choice);
            }
            Event::Open { choice, index, opening } => {
                let opening = self.open(choice, opening);
                if let Some(opening) = self.searches.open(choice, opening, &self.names) {
                    out(Event::Open { choice, index, opening });
                }
            }
            Event::Delta { choice, index, delta } => {
                let Some(delta) = self.searches.delta(choice, delta) else { return };
                if let Some(delta) = self.delta(choice, delta) {
                    out(Event::Delta { choice, index, delta });
                }
            }
            Event::Close { choice, index } => {
                if let Some(search) = self.searches.close(choice) {
                    out(Event::Open { choice, index, opening: Opening::Opaque(search) });
                }
                if let Some(at) = self.wrapped.iter().position(|(open, _)| *open == choice) {
                    let (_, arguments) = self.wrapped.remove(at);
                    let delta = Delta::Arguments(Cow::Owned(free_text(&arguments)));
                    out(Event::Delta { choice, index, delta });
                }
                out(event);
            }
            event => out(event),
        }
    }

    fn open<'a>(&mut self, choice: u32, opening: Opening<'a>) -> Opening<'a> {
        let Opening::ToolCall { id, name, kind, namespace, signature } = opening else {
            return opening;
        };
        let id = if id.is_empty() { Cow::Owned(call_id(&self.id, self.calls)) } else { id };
        self.calls += 1;
        let Some(original) = self.names.back(&name) else {
            return Opening::ToolCall { id, name, kind, namespace, signature };
        };
        if original.kind == ToolKind::Custom && self.names.wraps {
            self.wrapped.push((choice, String::new()));
        }
        Opening::ToolCall {
            id,
            name: Cow::Owned(original.name.clone()),
            kind: original.kind,
            namespace: original.namespace.clone().map(Cow::Owned),
            signature,
        }
    }

    fn delta<'a>(&mut self, choice: u32, delta: Delta<'a>) -> Option<Delta<'a>> {
        match delta {
            Delta::Arguments(text) => {
                let wrapped = self.wrapped.iter_mut().find(|(open, _)| *open == choice);
                let Some((_, arguments)) = wrapped else { return Some(Delta::Arguments(text)) };
                arguments.push_str(&text);
                None
            }
            Delta::Annotation(opaque) if opaque.origin != self.client => {
                self.losses.add(LossCode::Annotation, "annotations");
                None
            }
            Delta::Logprobs(opaque) if opaque.origin != self.client => {
                self.losses.add(LossCode::Annotation, "logprobs");
                None
            }
            delta => Some(delta),
        }
    }
}
