//! What an upstream answered.

use std::borrow::Cow;

use serde_json::value::RawValue;
use shared::wire::Wire;

use super::message::{Message, Reader};
use super::read::{Path, each, read, text};
use super::stop_reason;
use crate::canonical::{Block, Choice, Extra, Opaque, Response, Stop, StopReason, legal::CHOICES_MAX};
use crate::chat::usage;
use crate::codec::Unreadable;
use crate::json::record::{Str, record};
use crate::loss::LossCode;

record! {
    struct Completion {
        id: Str<'a> = "id",
        object: &'a RawValue = "object",
        created: &'a RawValue = "created",
        model: Str<'a> = "model",
        choices: Vec<&'a RawValue> = "choices",
        usage: &'a RawValue = "usage",
        service_tier: Str<'a> = "service_tier",
    }
}

record! {
    struct Answer {
        index: u64 = "index",
        message: Message<'a> = "message",
        finish_reason: Str<'a> = "finish_reason",
        logprobs: &'a RawValue = "logprobs",
    }
}

pub(crate) fn response(body: &[u8]) -> Result<Response<'_>, Unreadable> {
    let fields: Completion<'_> = read(text(body)?, &Path::Body)?;
    let path = Path::Body.field("choices");
    let Some(choices) = fields.choices else { return Err(path.wrong("is required")) };
    let mut response = Response {
        id: fields.id.unwrap_or_default().0,
        model: fields.model.unwrap_or_default().0,
        usage: fields.usage.and_then(|usage| usage::read(usage.get())),
        service_tier: fields.service_tier.map(|Str(tier)| tier),
        ..Response::default()
    };
    let mut reader = Reader::new("choices.message");
    each(&choices, &path, |answer: Answer<'_>, _, path| {
        for (name, _) in &answer.unknown {
            response.losses.add_named(LossCode::Field, &format!("choices.{name}"));
        }
        let next = response.choices.len();
        let at = answer.index.map_or(next, |index| usize::try_from(index).unwrap_or(usize::MAX));
        if at >= CHOICES_MAX {
            return Err(path.field("index").wrong("is too large"));
        }
        let choice = choice(&mut reader, answer, path)?;
        if response.choices.len() <= at {
            response.choices.resize_with(at + 1, Choice::default);
        }
        if let Some(place) = response.choices.get_mut(at) {
            *place = choice;
        }
        Ok(())
    })?;
    response.losses.extend(reader.losses);
    let extra = |(name, value)| Extra { origin: Wire::Chat, name, value };
    response.extras = fields.unknown.into_iter().map(extra).collect();
    Ok(response)
}

fn choice<'a>(
    reader: &mut Reader<'a>,
    answer: Answer<'a>,
    path: &Path<'_>,
) -> Result<Choice<'a>, Unreadable> {
    let mut message = answer.message.unwrap_or_default();
    message.role = None;
    let blocks = reader.assistant(message, &path.field("message"))?;
    let word = answer.finish_reason.unwrap_or_default().0;
    let reason = stop(&word, &blocks);
    let logprobs = answer.logprobs.map(|value| Opaque {
        origin: Wire::Chat,
        kind: "logprobs".into(),
        value: Cow::Borrowed(value),
    });
    Ok(Choice { blocks, stop: Stop::of(reason), logprobs })
}

fn stop(word: &str, blocks: &[Block<'_>]) -> StopReason {
    let reason = stop_reason(word).with_calls(blocks.iter().any(|block| matches!(block, Block::ToolCall(_))));
    let refuses = blocks.iter().any(|block| matches!(block, Block::Refusal(_)));
    if reason == StopReason::End && refuses { StopReason::Refusal } else { reason }
}
