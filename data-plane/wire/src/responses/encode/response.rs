//! An answer that is no stream.

use shared::wire::Wire;

use super::{
    object::{self, Head, Status},
    output::{self, COMPLETED, Called, Words},
};
use crate::{
    canonical::{Block, Choice, Origin, Response, Signature},
    codec::Context,
    json::write::{self, Array},
    responses::names_a_part,
};

pub(crate) fn response(response: &Response<'_>, context: &Context) -> Vec<u8> {
    let choice = response.choices.first();
    let refuses =
        choice.is_some_and(|choice| choice.blocks.iter().any(|block| matches!(block, Block::Refusal(_))));
    let head = Head {
        status: Status::of(choice.map(|choice| choice.stop.reason).unwrap_or_default(), refuses),
        model: &response.model,
        usage: response.usage.as_ref(),
        service_tier: response.service_tier.as_deref(),
        extras: &response.extras,
    };
    let mut out = Vec::with_capacity(4096);
    write::object(&mut out, |o| {
        object::write(o, context, &head, |a| {
            if let Some(choice) = choice {
                Output { context, items: 0 }.choice(a, choice);
            }
        });
    });
    out
}

struct Output<'c> {
    context: &'c Context,
    /// Written so far.
    items: usize,
}

impl Output<'_> {
    fn choice(&mut self, a: &mut Array<'_>, choice: &Choice<'_>) {
        // Those of all the text; the first has them.
        let mut logprobs = output::own(choice.logprobs.as_ref());
        for block in &choice.blocks {
            match block {
                Block::Text(block) => {
                    self.carry(a, block.signature.as_ref());
                    let annotations = output::own(block.annotations.as_ref());
                    let words = Words { text: &block.text, annotations, logprobs: logprobs.take() };
                    let id = self.id("msg");
                    a.object(|o| {
                        output::message(o, &id, COMPLETED, Some(&|o| output::text_part(o, words)));
                    });
                }
                Block::Refusal(words) => {
                    let id = self.id("msg");
                    a.object(|o| {
                        output::message(o, &id, COMPLETED, Some(&|o| output::refusal_part(o, words)));
                    });
                }
                Block::Reasoning(block) => {
                    self.reasoning(a, &block.text, block.signature.as_ref());
                }
                Block::ToolCall(call) => {
                    self.carry(a, call.signature.as_ref());
                    let called = Called {
                        id: &call.id,
                        name: &call.name,
                        namespace: call.namespace.as_deref(),
                        kind: call.kind,
                    };
                    let id = self.id(called.prefix());
                    let arguments = output::arguments(call.kind, &call.arguments);
                    a.object(|o| output::call(o, &id, called, COMPLETED, arguments));
                }
                Block::Opaque(own) if own.origin == Wire::Responses && !names_a_part(&own.kind) => {
                    self.items += 1;
                    a.raw(own.value.get());
                }
                Block::Opaque(_) | Block::Media(_) | Block::ToolResult(_) => {}
            }
        }
    }

    fn id(&mut self, kind: &str) -> String {
        self.items += 1;
        output::id(kind, self.context, self.items - 1)
    }

    /// Gemini signs parts: here the signature goes ahead of its part, as reasoning that holds nothing else.
    fn carry(&mut self, a: &mut Array<'_>, signature: Option<&Signature<'_>>) {
        if let Some(signature) = signature.filter(|signature| signature.origin == Origin::Gemini) {
            self.reasoning(a, "", Some(signature));
        }
    }

    fn reasoning(&mut self, a: &mut Array<'_>, text: &str, signature: Option<&Signature<'_>>) {
        let made = self.id("rs");
        let own = signature.filter(|signature| signature.origin == Origin::OpenAi);
        let id = own.and_then(|signature| signature.id.as_deref()).unwrap_or(&made);
        a.object(|o| output::reasoning(o, id, text, signature));
    }
}
