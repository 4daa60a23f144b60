//! The blocks of a stream that is being read, by their places in it.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::super::response::logprobs;
use crate::canonical::{Block, Delta, Event, Opening, Sink, ToolCall};

/// All that were opened, in the order of their opening.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// The number of the next block.
    next: u32,
    open: Vec<Growing>,
    pub(super) calls_tools: bool,
    pub(super) refuses: bool,
}

/// A block that was opened.
#[derive(Debug)]
struct Growing {
    item: u64,
    part: u64,
    kind: Kind,
    number: u32,
    /// Bytes of its text that were said.
    said: usize,
    /// Of reasoning: the part that is being said.
    section: Section,
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Refusal,
    Reasoning,
    Call,
}

/// A summary's part, or one of the reasoning itself. Where an upstream gives both, the first is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Section {
    pub(super) is_summary: bool,
    pub(super) index: u64,
}

impl Blocks {
    pub(super) const fn len(&self) -> usize {
        self.open.len()
    }

    /// Another item begins in this place.
    pub(super) fn forget(&mut self, item: u64) {
        self.open.retain(|block| block.item != item || !block.closed);
    }

    /// The place of the block in `open`.
    fn find(&self, item: u64, part: u64, kind: Kind) -> Option<usize> {
        self.open.iter().rposition(|block| block.item == item && block.part == part && block.kind == kind)
    }

    fn begin(&mut self, item: u64, part: u64, kind: Kind, opening: Opening<'_>, out: &mut Sink<'_>) -> usize {
        let number = self.next;
        self.next = number.saturating_add(1);
        self.calls_tools |= kind == Kind::Call;
        self.refuses |= kind == Kind::Refusal;
        out(Event::Open { choice: 0, index: number, opening });
        self.open.push(Growing {
            item,
            part,
            kind,
            number,
            said: 0,
            section: Section::default(),
            closed: false,
        });
        self.open.len() - 1
    }

    fn grow(&mut self, at: usize, delta: Delta<'_>, out: &mut Sink<'_>) {
        let Some(block) = self.open.get_mut(at).filter(|block| !block.closed && !delta.is_empty()) else {
            return;
        };
        block.said = block.said.saturating_add(delta.len());
        out(Event::Delta { choice: 0, index: block.number, delta });
    }

    fn close(&mut self, at: usize, out: &mut Sink<'_>) {
        if let Some(block) = self.open.get_mut(at).filter(|block| !block.closed) {
            block.closed = true;
            out(Event::Close { choice: 0, index: block.number });
        }
    }

    fn is_closed(&self, at: usize) -> bool {
        self.open.get(at).is_none_or(|block| block.closed)
    }

    fn said(&self, at: usize) -> usize {
        self.open.get(at).map_or(0, |block| block.said)
    }

    pub(super) fn say(&mut self, item: u64, part: u64, kind: Kind, text: Cow<'_, str>, out: &mut Sink<'_>) {
        let at = self.find(item, part, kind);
        let at = at.unwrap_or_else(|| self.begin(item, part, kind, opening(kind), out));
        self.grow(at, Delta::Text(text), out);
    }

    /// Whether it is of the kind that is said of this item.
    pub(super) fn reason(
        &mut self,
        item: u64,
        section: Section,
        text: Cow<'_, str>,
        out: &mut Sink<'_>,
    ) -> bool {
        if text.is_empty() {
            return true;
        }
        let at = match self.find(item, 0, Kind::Reasoning) {
            Some(at) => at,
            None => self.begin(item, 0, Kind::Reasoning, Opening::Reasoning, out),
        };
        let Some(block) = self.open.get_mut(at) else { return true };
        let (begun, before) = (block.said > 0, std::mem::replace(&mut block.section, section));
        if begun && before.is_summary != section.is_summary {
            block.section = before;
            return false;
        }
        if begun && before != section {
            self.grow(at, Delta::Text(Cow::Borrowed("\n\n")), out);
        }
        self.grow(at, Delta::Text(text), out);
        true
    }

    pub(super) fn grow_call(&mut self, item: u64, text: Cow<'_, str>, out: &mut Sink<'_>) {
        // A call that was not named yet is said whole at its end.
        if let Some(at) = self.find(item, 0, Kind::Call) {
            self.grow(at, Delta::Arguments(text), out);
        }
    }

    fn open_call(&mut self, item: u64, call: &ToolCall<'_>, out: &mut Sink<'_>) -> usize {
        let opening = Opening::ToolCall {
            id: Cow::Borrowed(&call.id),
            name: Cow::Borrowed(&call.name),
            kind: call.kind,
            namespace: call.namespace.as_deref().map(Cow::Borrowed),
            signature: None,
        };
        self.begin(item, 0, Kind::Call, opening, out)
    }

    /// Unless it has begun.
    pub(super) fn begin_call(&mut self, item: u64, call: ToolCall<'_>, out: &mut Sink<'_>) {
        if self.find(item, 0, Kind::Call).is_none() {
            let at = self.open_call(item, &call, out);
            self.grow(at, Delta::Arguments(call.arguments), out);
        }
    }

    /// Says what is not said yet of a block, and closes it.
    pub(super) fn complete<'a>(
        &mut self,
        item: u64,
        part: u64,
        block: Block<'a>,
        probabilities: Option<&'a RawValue>,
        out: &mut Sink<'_>,
    ) {
        let kind = match &block {
            Block::Text(_) => Kind::Text,
            Block::Refusal(_) => Kind::Refusal,
            Block::Reasoning(_) => Kind::Reasoning,
            Block::ToolCall(_) => Kind::Call,
            Block::Opaque(opaque) => {
                let (number, opaque) = (self.next, opaque.clone());
                self.next = number.saturating_add(1);
                out(Event::Open { choice: 0, index: number, opening: Opening::Opaque(opaque) });
                return out(Event::Close { choice: 0, index: number });
            }
            Block::Media(_) | Block::ToolResult(_) => return,
        };
        let at = match (self.find(item, part, kind), &block) {
            (Some(at), _) if self.is_closed(at) => return,
            (Some(at), _) => at,
            (None, Block::ToolCall(call)) => self.open_call(item, call, out),
            (None, _) => self.begin(item, part, kind, opening(kind), out),
        };
        self.say_rest(at, block, probabilities, out);
        self.close(at, out);
    }

    fn say_rest<'a>(
        &mut self,
        at: usize,
        block: Block<'a>,
        probabilities: Option<&'a RawValue>,
        out: &mut Sink<'_>,
    ) {
        match block {
            Block::Text(text) => {
                self.grow(at, Delta::Text(rest(text.text, self.said(at))), out);
                if let Some(annotations) = text.annotations {
                    self.grow(at, Delta::Annotation(annotations), out);
                }
                if let Some(raw) = probabilities {
                    self.grow(at, Delta::Logprobs(logprobs(raw)), out);
                }
            }
            Block::Refusal(text) => self.grow(at, Delta::Text(rest(text, self.said(at))), out),
            Block::Reasoning(reasoning) => {
                if self.said(at) == 0 {
                    self.grow(at, Delta::Text(reasoning.text), out);
                }
                if let Some(signature) = reasoning.signature {
                    self.grow(at, Delta::Signature(signature), out);
                }
            }
            Block::ToolCall(call) => {
                self.grow(at, Delta::Arguments(rest(call.arguments, self.said(at))), out);
            }
            Block::Media(_) | Block::ToolResult(_) | Block::Opaque(_) => {}
        }
    }
}

const fn opening(kind: Kind) -> Opening<'static> {
    match kind {
        Kind::Refusal => Opening::Refusal,
        Kind::Reasoning => Opening::Reasoning,
        Kind::Text | Kind::Call => Opening::Text,
    }
}

/// What comes behind the bytes that were said.
fn rest(whole: Cow<'_, str>, said: usize) -> Cow<'_, str> {
    match whole {
        whole if said == 0 => whole,
        Cow::Borrowed(whole) => Cow::Borrowed(whole.get(said..).unwrap_or_default()),
        Cow::Owned(whole) => Cow::Owned(whole.get(said..).unwrap_or_default().to_owned()),
    }
}
