//! A stream's events. They name their items by place (`output_index`, `content_index`) and end each with the whole of
//! it, so what came in no delta is said then.

mod blocks;

use std::borrow::Cow;

use serde_json::value::RawValue;

use self::blocks::{Blocks, Kind, Section};
use super::{
    fields::Loose,
    items::{Place, Reader},
    response::{Answer, failure, stop_reason},
};
use crate::{
    canonical::{Block, Event, MEDIA, Sink, Stop, TOOL_RESULT, lose_fields},
    codec,
    error::upstream::UpstreamError,
    json::{
        self,
        record::{Str, record},
    },
    loss::{LossCode, Losses},
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
    blocks: Blocks,
    /// Places of the items that are whole.
    done: Vec<u64>,
    /// How many items were whole.
    items: usize,
    losses: Losses,
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

    fn losses(&self) -> &Losses {
        &self.losses
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
                if let Some(usage) = answer.usage.and_then(|raw| usage::read(raw.get())) {
                    out(Event::Usage(usage));
                }
                self.fail(failure(&answer).unwrap_or_default(), out);
            }
            "output_item.added" => self.add(item, frame.item, out),
            "output_item.done" => return self.complete_item(item, frame.item, out),
            "content_part.done" => return self.complete_part(item, part, frame.part, out),
            "output_text.delta" => self.blocks.say(item, part, Kind::Text, delta(frame.delta), out),
            "refusal.delta" => self.blocks.say(item, part, Kind::Refusal, delta(frame.delta), out),
            "reasoning_summary_text.delta" => {
                let section = Section { is_summary: true, index: index(frame.summary_index) };
                self.reason(item, section, delta(frame.delta), out);
            }
            "reasoning_text.delta" => {
                let section = Section { is_summary: false, index: part };
                self.reason(item, section, delta(frame.delta), out);
            }
            "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
                self.blocks.grow_call(item, delta(frame.delta), out);
            }
            kind if is_said_again(kind) => {}
            kind if frame.delta.is_some() || frame.item.is_some() || frame.part.is_some() => {
                self.losses.add_path(LossCode::Block, &["response.", kind]);
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
        // `auto` is what was asked for: which one it became is said at the end.
        if let Some(Str(tier)) = answer.service_tier.filter(|tier| tier.0 != "auto") {
            out(Event::ServiceTier(tier));
        }
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
        lose_fields(answer.extras(), &mut self.losses);
        let output = answer.output.take().unwrap_or_default();
        let misses_some = self.items < output.len();
        for (item, raw) in (0..).zip(output) {
            if misses_some && !self.done.contains(&item) {
                self.complete_item(item, Some(raw), out)?;
            }
        }
        let (calls_tools, refuses) = (self.blocks.calls_tools, self.blocks.refuses);
        let stop = Stop::of(stop_reason(&answer, calls_tools, refuses, &mut self.losses));
        out(Event::Stop { choice: 0, stop });
        if let Some(usage) = answer.usage.and_then(|raw| usage::read(raw.get())) {
            out(Event::Usage(usage));
        }
        if let Some(Str(tier)) = answer.service_tier {
            out(Event::ServiceTier(tier));
        }
        self.ended = true;
        out(Event::End);
        Ok(())
    }

    /// Of what it thought and the summary of that, the first is said.
    fn reason(&mut self, item: u64, section: Section, text: Cow<'_, str>, out: &mut Sink<'_>) {
        if !self.blocks.reason(item, section, text, out) {
            let lost = if section.is_summary { "output.summary" } else { "output.content" };
            self.losses.add(LossCode::Field, lost);
        }
    }

    /// Only calls open with their item; others when there is something of them.
    fn add(&mut self, item: u64, raw: Option<&RawValue>, out: &mut Sink<'_>) {
        self.start(None, out);
        if self.done.contains(&item) {
            // A server that does not count its items begins another one in the same place.
            self.done.retain(|done| *done != item);
            self.blocks.forget(item);
        }
        let Some(raw) = raw else { return };
        let kind = Kinded::of(raw);
        if !matches!(kind.as_deref(), Some("function_call" | "custom_tool_call")) {
            return;
        }
        // What can't be read yet is told whole at its end.
        let read = Reader::default().item(raw, Place { list: "output", index: 0 });
        let blocks = read.map(|(_, blocks)| blocks).unwrap_or_default();
        for block in blocks {
            if let Block::ToolCall(call) = block {
                self.blocks.begin_call(item, call, out);
            }
        }
    }

    fn complete_part(&mut self, item: u64, part: u64, raw: Option<&RawValue>, out: &mut Sink<'_>) -> Outcome {
        let Some(raw) = raw else { return Ok(()) };
        if !matches!(Kinded::of(raw).as_deref(), Some("output_text" | "refusal")) {
            return Ok(());
        }
        let mut reader = Reader::default();
        let block = reader.part(raw, String::new, "output", "content");
        let block = block.map_err(|_| "a part of the answer can't be read")?;
        self.losses.extend(reader.losses);
        if let Some(block) = block {
            self.blocks.complete(item, part, block, reader.logprobs, out);
        }
        Ok(())
    }

    fn complete_item(&mut self, item: u64, raw: Option<&RawValue>, out: &mut Sink<'_>) -> Outcome {
        self.start(None, out);
        let Some(raw) = raw else { return Ok(()) };
        let mut reader = Reader::default();
        let read = reader.item(raw, Place { list: "output", index: 0 });
        let (_, blocks) = read.map_err(|_| "an item of the answer can't be read")?;
        self.losses.extend(reader.losses);
        for (part, block) in (0..).zip(blocks) {
            match block {
                Block::Media(_) => self.losses.add(LossCode::Block, MEDIA),
                Block::ToolResult(_) => self.losses.add(LossCode::Block, TOOL_RESULT),
                _ => {}
            }
            self.blocks.complete(item, part, block, reader.logprobs, out);
        }
        self.done.push(item);
        self.items += 1;
        if self.items > BLOCKS_MAX { Err("the answer has too many items") } else { Ok(()) }
    }
}

/// Whether the event belongs to an item of which all is said at its end.
fn is_said_again(kind: &str) -> bool {
    let of = kind.split_once('.').map_or(kind, |(of, _)| of);
    matches!(
        of,
        "output_item"
            | "content_part"
            | "output_text"
            | "refusal"
            | "reasoning_text"
            | "reasoning_summary_part"
            | "reasoning_summary_text"
            | "function_call_arguments"
            | "custom_tool_call_input"
            | "code_interpreter_call_code"
            | "mcp_call_arguments"
            | "mcp_list_tools"
    ) || of.ends_with("_call")
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
