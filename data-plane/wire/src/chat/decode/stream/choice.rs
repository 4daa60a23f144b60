//! One choice of a stream, as it grows.

use std::borrow::Cow;

use shared::wire::Wire;

use super::super::message::{LEGACY_ID, Reader, arguments};
use super::super::reasoning::Detail;
use super::super::{ANSWER, AUDIO, google_signature, lose, stop_reason};
use super::{CallPart, Part};
use crate::canonical::{
    Block, Delta, Event, MEDIA, Opaque, Opening, Origin, Signature, Sink, Stop, StopReason, ToolKind,
};
use crate::json;
use crate::json::record::{Str, TextOr};
use crate::loss::{LossCode, Losses};

/// Text, reasoning and refusal take turns; calls stay open beside them until the choice stops, as pieces of several may
/// come mixed.
#[derive(Debug, Default)]
pub(super) struct Choice {
    begun: bool,
    stopped: bool,
    refuses: bool,
    /// The number of the next block.
    next: u32,
    prose: Option<Prose>,
    calls: Vec<Call>,
}

#[derive(Debug, Clone, Copy)]
struct Prose {
    kind: ProseKind,
    block: u32,
    /// The entry of `reasoning_details` that it is.
    detail: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProseKind {
    Text,
    Reasoning,
    Refusal,
}

#[derive(Debug)]
struct Call {
    key: Key,
    id: String,
    /// None until it has a name.
    block: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Index(u64),
    /// It came as `function_call`.
    Legacy,
}

impl Choice {
    /// Nothing of it is missing. One that never began, between others, is.
    pub(super) const fn is_complete(&self) -> bool {
        self.stopped || !self.begun
    }

    pub(super) fn part(&mut self, number: u32, part: Part<'_>, losses: &mut Losses, out: &mut Sink<'_>) {
        self.begun = true;
        let growth = part.delta.unwrap_or_default();
        lose(losses, "choices", "", &part.unknown);
        lose(losses, ANSWER, "", &growth.unknown);
        if self.stopped {
            return;
        }
        let plain = growth.reasoning_content.map(|Str(text)| text);
        let plain = plain.or_else(|| json::string(growth.reasoning?.get())).unwrap_or_default();
        self.reasoning(number, plain, growth.reasoning_details.unwrap_or_default(), losses, out);
        self.content(number, growth.content, losses, out);
        self.prose(number, ProseKind::Refusal, growth.refusal.unwrap_or_default().0, out);
        if growth.audio.is_some() {
            losses.add(LossCode::Block, AUDIO);
        }
        let opaque = |kind: &'static str, value| Opaque {
            origin: Wire::Chat,
            kind: kind.into(),
            value: Cow::Borrowed(value),
        };
        if let Some(value) = growth.annotations.filter(|value| json::is_filled(value.get())) {
            self.beside(number, Delta::Annotation(opaque("annotations", value)), losses, out);
        }
        if let Some(value) = part.logprobs {
            self.beside(number, Delta::Logprobs(opaque("logprobs", value)), losses, out);
        }
        for call in growth.tool_calls.unwrap_or_default() {
            self.call(number, call, losses, out);
        }
        if let Some(function) = growth.function_call {
            let id = Some(Str(LEGACY_ID.into()));
            let at = self.calls.iter().position(|call| call.key == Key::Legacy);
            let at = at.unwrap_or_else(|| self.add(Key::Legacy));
            let call = CallPart { id, function: Some(function), ..CallPart::default() };
            self.grow(number, at, call, losses, out);
        }
        if let Some(Str(word)) = part.finish_reason.filter(|Str(word)| !word.is_empty()) {
            self.stop(number, &word, losses, out);
        }
    }

    /// Details say more than plain reasoning beside them; only their text may be missing.
    fn reasoning(
        &mut self,
        number: u32,
        plain: Cow<'_, str>,
        details: Vec<Detail<'_>>,
        losses: &mut Losses,
        out: &mut Sink<'_>,
    ) {
        let has_text = |text: &Option<Str<'_>>| text.as_ref().is_some_and(|Str(text)| !text.is_empty());
        if !details.iter().any(|detail| has_text(&detail.text) || has_text(&detail.summary)) {
            self.prose(number, ProseKind::Reasoning, plain, out);
        }
        for detail in details {
            detail.lose(ANSWER, losses);
            let index = detail.index;
            let (text, signature) = detail.parts();
            if text.is_empty() && signature.is_none() {
                continue;
            }
            if let Some(signature) = signature.as_ref().filter(|_| text.is_empty())
                && self.signs_text(signature)
            {
                self.beside(number, Delta::Signature(signature.clone()), losses, out);
                continue;
            }
            let open = self.prose.filter(|prose| prose.kind == ProseKind::Reasoning);
            if open.is_some_and(|prose| prose.detail.is_some() && prose.detail != index) {
                self.close(number, out);
            }
            let block = self.open(number, ProseKind::Reasoning, out);
            if let Some(prose) = &mut self.prose {
                prose.detail = index;
            }
            if !text.is_empty() {
                out(Event::Delta { choice: number, index: block, delta: Delta::Text(text) });
            }
            if let Some(signature) = signature {
                out(Event::Delta { choice: number, index: block, delta: Delta::Signature(signature) });
            }
        }
    }

    /// Gemini signs text, and that is said behind it.
    fn signs_text(&self, signature: &Signature<'_>) -> bool {
        signature.origin == Origin::Gemini && self.prose.is_some_and(|prose| prose.kind == ProseKind::Text)
    }

    /// Text, or parts of which only those with words are of use.
    fn content(&mut self, number: u32, content: Option<TextOr<'_>>, losses: &mut Losses, out: &mut Sink<'_>) {
        let parts = match content {
            None => return,
            Some(TextOr::Text(text)) => return self.prose(number, ProseKind::Text, text, out),
            Some(TextOr::Items(parts)) => parts,
        };
        let mut reader = Reader::new(ANSWER);
        for raw in parts {
            match reader.piece(raw) {
                Some(Block::Text(text)) => self.prose(number, ProseKind::Text, text.text, out),
                Some(Block::Refusal(text)) => self.prose(number, ProseKind::Refusal, text, out),
                Some(Block::Opaque(opaque)) => losses.add_path(LossCode::Block, &[&opaque.kind]),
                Some(_) => losses.add(LossCode::Block, MEDIA),
                None => losses.add_path(LossCode::Block, &[ANSWER, ".content"]),
            }
        }
        losses.extend(reader.losses);
    }

    fn prose(&mut self, number: u32, kind: ProseKind, text: Cow<'_, str>, out: &mut Sink<'_>) {
        if text.is_empty() {
            return;
        }
        self.refuses |= kind == ProseKind::Refusal;
        let index = self.open(number, kind, out);
        out(Event::Delta { choice: number, index, delta: Delta::Text(text) });
    }

    /// What belongs to the text, or the refusal, that is open. Of other things (probabilities of a call's tokens) no
    /// wire says it.
    fn beside(&self, number: u32, delta: Delta<'_>, losses: &mut Losses, out: &mut Sink<'_>) {
        match self.prose.filter(|prose| prose.kind != ProseKind::Reasoning) {
            Some(prose) => out(Event::Delta { choice: number, index: prose.block, delta }),
            None => match delta {
                Delta::Logprobs(logprobs) if !has_tokens(logprobs.value.get()) => {}
                Delta::Logprobs(_) => losses.add(LossCode::Annotation, "logprobs"),
                _ => losses.add(LossCode::Annotation, "annotations"),
            },
        }
    }

    fn open(&mut self, number: u32, kind: ProseKind, out: &mut Sink<'_>) -> u32 {
        if let Some(prose) = self.prose.filter(|prose| prose.kind == kind) {
            return prose.block;
        }
        self.close(number, out);
        let block = self.number();
        self.prose = Some(Prose { kind, block, detail: None });
        let opening = match kind {
            ProseKind::Text => Opening::Text,
            ProseKind::Reasoning => Opening::Reasoning,
            ProseKind::Refusal => Opening::Refusal,
        };
        out(Event::Open { choice: number, index: block, opening });
        block
    }

    fn close(&mut self, number: u32, out: &mut Sink<'_>) {
        if let Some(prose) = self.prose.take() {
            out(Event::Close { choice: number, index: prose.block });
        }
    }

    const fn number(&mut self) -> u32 {
        let number = self.next;
        self.next += 1;
        number
    }

    fn add(&mut self, key: Key) -> usize {
        self.calls.push(Call { key, id: String::new(), block: None });
        self.calls.len() - 1
    }

    /// Which call a piece belongs to. By its number; servers that leave it out send ids, or whole calls.
    fn call(&mut self, number: u32, part: CallPart<'_>, losses: &mut Losses, out: &mut Sink<'_>) {
        let id = part.id.as_ref().map(|Str(id)| &**id).filter(|id| !id.is_empty());
        let is_named = is_named(&part);
        let found = match (part.index, id) {
            (Some(index), _) => self.calls.iter().rposition(|call| call.key == Key::Index(index)),
            (None, Some(id)) => self.calls.iter().rposition(|call| call.id == id),
            (None, None) if is_named => None,
            (None, None) => self.calls.len().checked_sub(1),
        };
        // Some servers send all calls whole and under one number.
        let is_other = |at: usize| {
            let known = self.calls.get(at).map(|call| &*call.id).filter(|known| !known.is_empty());
            is_named && known.zip(id).is_some_and(|(known, id)| known != id)
        };
        let at = match found.filter(|at| !is_other(*at)) {
            Some(at) => at,
            None => self.add(Key::Index(part.index.unwrap_or(self.calls.len() as u64))),
        };
        self.grow(number, at, part, losses, out);
    }

    fn grow(&mut self, number: u32, at: usize, part: CallPart<'_>, losses: &mut Losses, out: &mut Sink<'_>) {
        let is_custom = part.custom.is_some();
        let signature = google_signature(part.extra_content);
        let function = part.custom.or(part.function).unwrap_or_default();
        lose(losses, ANSWER, "tool_calls.", &part.unknown);
        lose(losses, ANSWER, "tool_calls.function.", &function.unknown);
        let arguments = match function.input {
            Some(Str(input)) => input,
            None => arguments(function.arguments),
        };
        let Some(call) = self.calls.get_mut(at) else { return };
        if let Some(Str(id)) = part.id.filter(|_| call.id.is_empty()) {
            call.id = id.into_owned();
        }
        let block = match (call.block, function.name.filter(|Str(name)| !name.is_empty())) {
            (Some(block), _) => block,
            (None, Some(Str(name))) => {
                if call.id.is_empty() {
                    call.id = format!("call_{at}");
                }
                let id = call.id.clone().into();
                let kind = if is_custom { ToolKind::Custom } else { ToolKind::Function };
                self.close(number, out);
                let block = self.number();
                if let Some(call) = self.calls.get_mut(at) {
                    call.block = Some(block);
                }
                let opening = Opening::ToolCall { id, name, kind, namespace: None, signature };
                out(Event::Open { choice: number, index: block, opening });
                block
            }
            // Nobody can be called yet.
            (None, None) => {
                if !arguments.is_empty() {
                    losses.add_path(LossCode::Block, &[ANSWER, ".tool_calls"]);
                }
                return;
            }
        };
        if !arguments.is_empty() {
            out(Event::Delta { choice: number, index: block, delta: Delta::Arguments(arguments) });
        }
    }

    fn stop(&mut self, number: u32, word: &str, losses: &mut Losses, out: &mut Sink<'_>) {
        self.close(number, out);
        for block in self.calls.iter().filter_map(|call| call.block) {
            out(Event::Close { choice: number, index: block });
        }
        self.stopped = true;
        let calls_tools = self.calls.iter().any(|call| call.block.is_some());
        let reason = stop_reason(word, losses).with_calls(calls_tools);
        let reason = match reason {
            StopReason::End if self.refuses => StopReason::Refusal,
            reason => reason,
        };
        out(Event::Stop { choice: number, stop: Stop::of(reason) });
    }
}

fn has_tokens(logprobs: &str) -> bool {
    let mut has = false;
    // What is no object holds none.
    let _ = json::object(logprobs, |field| has |= json::is_filled(field.value));
    has
}

fn is_named(part: &CallPart<'_>) -> bool {
    let named = part.function.as_ref().or(part.custom.as_ref()).and_then(|function| function.name.as_ref());
    named.is_some_and(|Str(name)| !name.is_empty())
}
