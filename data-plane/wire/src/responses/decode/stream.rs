//! A stream's events. They name their items by place (`output_index`, `content_index`) and end each with the whole of
//! it, so what came in no delta is said then.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{
    fields::Loose,
    items::{Place, Reader},
    response::{Answer, failure, logprobs, stop_reason},
};
use crate::{
    canonical::{Block, Delta, Event, Opening, Sink, Stop, ToolCall},
    codec,
    error::upstream::UpstreamError,
    json::{
        self,
        record::{Str, record},
    },
    responses::{error, usage},
};

record! {
    struct Frame {
        kind: Str<'a> = "type",
        sequence_number: &'a RawValue = "sequence_number",
        item_id: &'a RawValue = "item_id",
        output_index: &'a RawValue = "output_index",
        content_index: &'a RawValue = "content_index",
        summary_index: &'a RawValue = "summary_index",
        delta: Loose<'a> = "delta",
        logprobs: &'a RawValue = "logprobs",
        obfuscation: &'a RawValue = "obfuscation",
        item: &'a RawValue = "item",
        part: &'a RawValue = "part",
        response: &'a RawValue = "response",
        error: &'a RawValue = "error",
    }
}

/// More items and parts than this are no answer.
const BLOCKS_MAX: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    started: bool,
    ended: bool,
    /// The number of the next block.
    next: u32,
    blocks: Vec<Growing>,
    /// Places of the items that are whole.
    done: Vec<u64>,
    calls_tools: bool,
    refuses: bool,
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
enum Kind {
    Text,
    Refusal,
    Reasoning,
    Call,
}

/// A summary's part, or one of the reasoning itself. Where an upstream gives both, the first is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Section {
    is_summary: bool,
    index: u64,
}

type Outcome = Result<(), &'static str>;

impl codec::StreamDecoder for StreamDecoder {
    fn frame(&mut self, event: Option<&str>, data: &str, out: &mut Sink<'_>) -> Outcome {
        // `[DONE]` is not of this wire, but some servers close with it.
        if self.ended || matches!(data.trim(), "" | "[DONE]") {
            return Ok(());
        }
        let mut frame: Frame<'_> =
            serde_json::from_str(data).map_err(|_| "the data is not an event of this wire")?;
        let kind = frame.kind.take().map(|kind| kind.0);
        let Some(kind) = kind.as_deref().or(event) else {
            let problem = "the data has no `type`";
            return frame.error.map(|error| self.fail(UpstreamError::read(error.get()), out)).ok_or(problem);
        };
        match kind {
            "error" => self.fail(error::reported(data, frame.error.map(RawValue::get)), out),
            "keepalive" | "ping" => out(Event::Ping),
            _ => return self.of_answer(kind.strip_prefix("response.").unwrap_or(kind), frame, out),
        }
        Ok(())
    }

    fn close(&mut self, _: &mut Sink<'_>) {
        // The end is an event: without it the answer is not whole.
    }
}

impl StreamDecoder {
    fn of_answer(&mut self, kind: &str, frame: Frame<'_>, out: &mut Sink<'_>) -> Outcome {
        let item = index(frame.output_index);
        let part = index(frame.content_index);
        match kind {
            "created" | "in_progress" | "queued" => self.start(frame.response, out),
            "completed" | "incomplete" => return self.finish(frame.response, out),
            "failed" | "cancelled" => {
                let answer: Answer<'_> = read(frame.response).unwrap_or_default();
                self.fail(failure(&answer).unwrap_or_default(), out);
            }
            "output_item.added" => return self.add(item, frame.item, out),
            "output_item.done" => return self.complete_item(item, frame.item, out),
            "content_part.done" => return self.complete_part(item, part, frame.part, out),
            "output_text.delta" => self.say(item, part, Kind::Text, delta(frame.delta), out),
            "refusal.delta" => self.say(item, part, Kind::Refusal, delta(frame.delta), out),
            "reasoning_summary_text.delta" => {
                let section = Section { is_summary: true, index: index(frame.summary_index) };
                self.reason(item, section, delta(frame.delta), out);
            }
            "reasoning_text.delta" => {
                let section = Section { is_summary: false, index: part };
                self.reason(item, section, delta(frame.delta), out);
            }
            "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
                self.grow_call(item, delta(frame.delta), out);
            }
            _ => {}
        }
        if self.blocks.len() > BLOCKS_MAX { Err("the answer has too many items") } else { Ok(()) }
    }

    fn start(&mut self, response: Option<&RawValue>, out: &mut Sink<'_>) {
        if self.started {
            return;
        }
        self.started = true;
        let answer: Answer<'_> = read(response).unwrap_or_default();
        let text =
            |text: Option<Str<'_>>| Cow::Owned(text.map(|text| text.0.into_owned()).unwrap_or_default());
        out(Event::Start { id: text(answer.id), model: text(answer.model) });
    }

    fn fail(&mut self, error: UpstreamError, out: &mut Sink<'_>) {
        self.ended = true;
        out(Event::Error(error));
    }

    fn finish(&mut self, response: Option<&RawValue>, out: &mut Sink<'_>) -> Outcome {
        self.start(response, out);
        let mut answer: Answer<'_> = read(response).unwrap_or_default();
        for (item, raw) in (0..).zip(answer.output.take().unwrap_or_default()) {
            if !self.done.contains(&item) {
                self.complete_item(item, Some(raw), out)?;
            }
        }
        let stop = Stop::of(stop_reason(&answer, self.calls_tools, self.refuses));
        out(Event::Stop { choice: 0, stop });
        if let Some(usage) = answer.usage.and_then(|raw| usage::read(raw.get())) {
            out(Event::Usage(usage));
        }
        self.ended = true;
        out(Event::End);
        Ok(())
    }

    /// The place of the block in `blocks`.
    fn find(&self, item: u64, part: u64, kind: Kind) -> Option<usize> {
        self.blocks.iter().rposition(|block| block.item == item && block.part == part && block.kind == kind)
    }

    fn open(&mut self, item: u64, part: u64, kind: Kind, opening: Opening<'_>, out: &mut Sink<'_>) -> usize {
        let number = self.next;
        self.next = number.saturating_add(1);
        self.calls_tools |= kind == Kind::Call;
        self.refuses |= kind == Kind::Refusal;
        out(Event::Open { choice: 0, index: number, opening });
        self.blocks.push(Growing {
            item,
            part,
            kind,
            number,
            said: 0,
            section: Section::default(),
            closed: false,
        });
        self.blocks.len() - 1
    }

    fn grow(&mut self, at: usize, delta: Delta<'_>, out: &mut Sink<'_>) {
        let Some(block) = self.blocks.get_mut(at).filter(|block| !block.closed && !delta.is_empty()) else {
            return;
        };
        block.said = block.said.saturating_add(delta.len());
        out(Event::Delta { choice: 0, index: block.number, delta });
    }

    fn close_block(&mut self, at: usize, out: &mut Sink<'_>) {
        if let Some(block) = self.blocks.get_mut(at).filter(|block| !block.closed) {
            block.closed = true;
            out(Event::Close { choice: 0, index: block.number });
        }
    }

    fn is_closed(&self, at: usize) -> bool {
        self.blocks.get(at).is_none_or(|block| block.closed)
    }

    fn said(&self, at: usize) -> usize {
        self.blocks.get(at).map_or(0, |block| block.said)
    }

    fn say(&mut self, item: u64, part: u64, kind: Kind, text: Cow<'_, str>, out: &mut Sink<'_>) {
        let at = self.find(item, part, kind);
        let at = at.unwrap_or_else(|| self.open(item, part, kind, opening(kind), out));
        self.grow(at, Delta::Text(text), out);
    }

    fn reason(&mut self, item: u64, section: Section, text: Cow<'_, str>, out: &mut Sink<'_>) {
        if text.is_empty() {
            return;
        }
        let at = match self.find(item, 0, Kind::Reasoning) {
            Some(at) => at,
            None => self.open(item, 0, Kind::Reasoning, Opening::Reasoning, out),
        };
        let Some(block) = self.blocks.get_mut(at) else { return };
        let (begun, before) = (block.said > 0, std::mem::replace(&mut block.section, section));
        if begun && before.is_summary != section.is_summary {
            block.section = before;
            return;
        }
        if begun && before != section {
            self.grow(at, Delta::Text(Cow::Borrowed("\n\n")), out);
        }
        self.grow(at, Delta::Text(text), out);
    }

    fn grow_call(&mut self, item: u64, text: Cow<'_, str>, out: &mut Sink<'_>) {
        // A call that was not named yet is said whole at its end.
        if let Some(at) = self.find(item, 0, Kind::Call) {
            self.grow(at, Delta::Arguments(text), out);
        }
    }

    /// Only calls open with their item; others when there is something of them.
    fn add(&mut self, item: u64, raw: Option<&RawValue>, out: &mut Sink<'_>) -> Outcome {
        self.start(None, out);
        let Some(raw) = raw else { return Ok(()) };
        let kind = Kinded::of(raw);
        if !matches!(kind.as_deref(), Some("function_call" | "custom_tool_call")) {
            return Ok(());
        }
        let place = Place { list: "output", index: 0 };
        let read = Reader::default().item(raw, place);
        let (_, blocks) = read.map_err(|_| "an item of the answer can't be read")?;
        let again = self.find(item, 0, Kind::Call).is_some_and(|at| !self.is_closed(at));
        for block in blocks {
            if let (Block::ToolCall(call), false) = (block, again) {
                let at = self.open_call(item, &call, out);
                self.grow(at, Delta::Arguments(call.arguments), out);
            }
        }
        Ok(())
    }

    fn open_call(&mut self, item: u64, call: &ToolCall<'_>, out: &mut Sink<'_>) -> usize {
        let opening = Opening::ToolCall {
            id: Cow::Borrowed(&call.id),
            name: Cow::Borrowed(&call.name),
            kind: call.kind,
            namespace: call.namespace.as_deref().map(Cow::Borrowed),
            signature: None,
        };
        self.open(item, 0, Kind::Call, opening, out)
    }

    fn complete_part(&mut self, item: u64, part: u64, raw: Option<&RawValue>, out: &mut Sink<'_>) -> Outcome {
        let Some(raw) = raw else { return Ok(()) };
        if !matches!(Kinded::of(raw).as_deref(), Some("output_text" | "refusal")) {
            return Ok(());
        }
        let mut reader = Reader::default();
        let block = reader.part(raw, String::new, "output", "content");
        let block = block.map_err(|_| "a part of the answer can't be read")?;
        if let Some(block) = block {
            self.complete(item, part, block, reader.logprobs, out);
        }
        Ok(())
    }

    fn complete_item(&mut self, item: u64, raw: Option<&RawValue>, out: &mut Sink<'_>) -> Outcome {
        self.start(None, out);
        let Some(raw) = raw else { return Ok(()) };
        let mut reader = Reader::default();
        let read = reader.item(raw, Place { list: "output", index: 0 });
        let (_, blocks) = read.map_err(|_| "an item of the answer can't be read")?;
        for (part, block) in (0..).zip(blocks) {
            self.complete(item, part, block, reader.logprobs, out);
        }
        self.done.push(item);
        if self.done.len() > BLOCKS_MAX { Err("the answer has too many items") } else { Ok(()) }
    }

    /// Says what is not said yet of a block, and closes it.
    fn complete<'a>(
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
            (None, _) => self.open(item, part, kind, opening(kind), out),
        };
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
        self.close_block(at, out);
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

record! {
    struct Kinded {
        kind: Str<'a> = "type",
    }
}

impl<'a> Kinded<'a> {
    fn of(raw: &'a RawValue) -> Option<Cow<'a, str>> {
        let kinded: Self = serde_json::from_str(raw.get()).ok()?;
        kinded.kind.map(|kind| kind.0)
    }
}

fn read(response: Option<&RawValue>) -> Option<Answer<'_>> {
    serde_json::from_str(response?.get()).ok()
}

fn index(number: Option<&RawValue>) -> u64 {
    number.and_then(|number| json::count(number.get())).unwrap_or(0)
}

fn delta(delta: Option<Loose<'_>>) -> Cow<'_, str> {
    match delta {
        Some(Loose::Text(text)) => text,
        _ => Cow::Borrowed(""),
    }
}
