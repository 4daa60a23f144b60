//! An answer to a client.

use shared::wire::Wire;

use super::message::{audio, calls, refusal};
use super::{finish_reason, own, reasoning};
use crate::canonical::{Block, Choice, Response};
use crate::chat::usage;
use crate::codec::Context;
use crate::json::write::{self, Object};

pub(crate) fn response(response: &Response<'_>, context: &Context) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let extras = || response.extras.iter().filter(|extra| extra.origin == Wire::Chat);
    write::object(&mut out, |o| {
        o.value("id", &format_args!("chatcmpl-{}", context.id));
        o.string("object", "chat.completion");
        o.value("created", &context.created);
        o.string("model", if response.model.is_empty() { &context.model } else { &response.model });
        o.array("choices", |a| {
            let none = [Choice::default()];
            let choices = if response.choices.is_empty() { &none } else { response.choices.as_slice() };
            for (index, choice) in choices.iter().enumerate() {
                a.object(|o| self::choice(o, index, choice));
            }
        });
        if let Some(usage) = &response.usage {
            usage::write(o, usage);
        }
        o.some_string("service_tier", response.service_tier.as_deref());
        if extras().all(|extra| extra.name != "system_fingerprint") {
            o.value("system_fingerprint", &());
        }
        for extra in extras() {
            o.raw(&extra.name, extra.value.get());
        }
    });
    out
}

fn choice(o: &mut Object<'_>, index: usize, choice: &Choice<'_>) {
    let refusal = refusal(&choice.blocks);
    let finish = finish_reason(choice.stop.reason, refusal.is_some());
    o.value("index", &index);
    o.object("message", |o| message(o, &choice.blocks, refusal.as_deref()));
    o.raw("logprobs", own(choice.logprobs.as_ref()).unwrap_or("null"));
    o.string("finish_reason", finish);
}

fn message(o: &mut Object<'_>, blocks: &[Block<'_>], refusal: Option<&str>) {
    let texts = || {
        blocks.iter().filter_map(|block| match block {
            Block::Text(text) => Some(text),
            _ => None,
        })
    };
    o.string("role", "assistant");
    let speaks_otherwise =
        refusal.is_some() || blocks.iter().any(|block| matches!(block, Block::ToolCall(_)));
    match texts().map(|text| &*text.text).collect::<Vec<_>>().as_slice() {
        texts if texts.iter().all(|text| text.is_empty()) && speaks_otherwise => o.value("content", &()),
        [text] => o.string("content", text),
        texts => o.string("content", &texts.concat()),
    }
    o.value("refusal", &refusal);
    let thoughts = reasoning::joined(blocks);
    if !thoughts.is_empty() {
        o.string("reasoning_content", &thoughts);
    }
    if reasoning::entries(blocks).next().is_some() {
        o.array("reasoning_details", |a| {
            for (index, text, signature) in reasoning::entries(blocks) {
                reasoning::entry(a, index, text, signature);
            }
        });
    }
    calls(o, blocks);
    audio(o, blocks);
    let annotations = texts().find_map(|text| own(text.annotations.as_ref()));
    o.raw("annotations", annotations.unwrap_or("[]"));
}
