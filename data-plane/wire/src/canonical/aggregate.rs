//! A stream as one response: for clients that asked for no stream where the upstream gives nothing else.

use std::borrow::Cow;

use super::{
    Block, Choice, Delta, Event, Opaque, Opening, Reasoning, Response, Signature, Stop, Text, ToolCall,
};
use crate::{canonical::legal::CHOICES_MAX, error::upstream::UpstreamError};

/// Gathers the events of a stream, which must be in legal order.
#[derive(Debug, Default)]
pub struct Aggregator {
    response: Response<'static>,
    error: Option<UpstreamError>,
    ended: bool,
}

impl Aggregator {
    pub fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start { id, model } => {
                self.response.id = owned(id);
                self.response.model = owned(model);
            }
            Event::Open { choice, opening, .. } => self.choice(choice).blocks.push(opened(opening)),
            Event::Delta { choice, delta, .. } => {
                let choice = self.choice(choice);
                match (choice.blocks.last_mut(), delta) {
                    (_, Delta::Logprobs(logprobs)) => {
                        choice.logprobs.get_or_insert_with(|| logprobs.into_owned());
                    }
                    (Some(block), delta) => grow(block, delta),
                    (None, _) => {}
                }
            }
            Event::Stop { choice, stop } => {
                self.choice(choice).stop = Stop { reason: stop.reason, sequence: stop.sequence.map(owned) };
            }
            Event::Usage(usage) => self.response.usage = Some(usage),
            Event::ServiceTier(tier) => self.response.service_tier = Some(owned(tier)),
            Event::Close { .. } | Event::Ping => {}
            Event::Error(error) => self.error = Some(error),
            Event::End => self.ended = true,
        }
    }

    /// # Errors
    /// What the upstream reported; `None` where the stream just broke off.
    pub fn finish(self) -> Result<Response<'static>, Option<UpstreamError>> {
        match self.error {
            Some(error) => Err(Some(error)),
            None if self.ended => Ok(self.response),
            None => Err(None),
        }
    }

    fn choice(&mut self, number: u32) -> &mut Choice<'static> {
        let choices = &mut self.response.choices;
        let at = (number as usize).min(CHOICES_MAX - 1);
        if choices.len() <= at {
            choices.resize_with(at + 1, Choice::default);
        }
        &mut choices[at]
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn opened(opening: Opening<'_>) -> Block<'static> {
    match opening.into_owned() {
        Opening::Text => Block::Text(Text::default()),
        Opening::Reasoning => Block::Reasoning(Reasoning::default()),
        Opening::Refusal => Block::Refusal(Cow::Borrowed("")),
        Opening::ToolCall { id, name, kind, namespace, signature } => Block::ToolCall(ToolCall {
            id,
            name,
            kind,
            arguments: Cow::Borrowed(""),
            namespace,
            signature,
            cache: None,
        }),
        Opening::Opaque(opaque) => Block::Opaque(opaque),
    }
}

fn grow(block: &mut Block<'static>, delta: Delta<'_>) {
    match (block, delta) {
        (Block::Text(block), Delta::Text(text)) => block.text.to_mut().push_str(&text),
        (Block::Reasoning(block), Delta::Text(text)) => block.text.to_mut().push_str(&text),
        (Block::Refusal(block), Delta::Text(text)) => block.to_mut().push_str(&text),
        (Block::ToolCall(block), Delta::Arguments(text)) => block.arguments.to_mut().push_str(&text),
        (Block::Text(block), Delta::Signature(signature)) => {
            block.signature = Some(Signature::into_owned(signature));
        }
        (Block::Reasoning(block), Delta::Signature(signature)) => {
            block.signature = Some(Signature::into_owned(signature));
        }
        (Block::Text(block), Delta::Annotation(annotation)) => {
            block.annotations.get_or_insert_with(|| Opaque::into_owned(annotation));
        }
        _ => {}
    }
}
