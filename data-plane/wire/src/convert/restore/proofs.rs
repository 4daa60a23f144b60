//! Gemini proves its texts, and may say so behind them only, in a part of its own without words. Other wires have such a
//! proof in reasoning of its own, which must not be the last thing of an answer: programs that print an answer's last
//! block would print nothing. Google takes a text without its proof.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::{
    canonical::{Block, Delta, Event, Opening, Reasoning, Sink, Text},
    loss::{LossCode, Losses},
};

/// Puts the proof of a whole answer's text to the text.
pub(super) fn settle(blocks: &mut Vec<Block<'_>>, losses: &mut Losses) {
    let mut spoke = false;
    for block in std::mem::take(blocks) {
        let (signature, annotations) = match block {
            Block::Text(Text { text, signature: Some(signature), annotations, .. }) if text.is_empty() => {
                (signature, annotations)
            }
            block => {
                spoke |= speaks(&block);
                blocks.push(block);
                continue;
            }
        };
        match blocks.last_mut() {
            Some(Block::Text(text)) if text.signature.is_none() => {
                text.signature = Some(signature);
                text.annotations = text.annotations.take().or(annotations);
            }
            _ if spoke => losses.add(LossCode::Misplaced, "signature"),
            _ => blocks
                .push(Block::Reasoning(Reasoning { text: Cow::Borrowed(""), signature: Some(signature) })),
        }
    }
}

const fn speaks(block: &Block<'_>) -> bool {
    matches!(block, Block::Text(_) | Block::ToolCall(_) | Block::Refusal(_))
}

/// The same for a stream, which can't go back to what it has told. By choice.
#[derive(Debug, Default)]
pub(super) struct Proofs(SmallVec<[Choice; 1]>);

#[derive(Debug, Clone, Copy, Default)]
struct Choice {
    /// Words or a call went out.
    spoke: bool,
    text: State,
}

/// Of a text: its opening waits for its first words, ahead of which a proof may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Nothing,
    Waits,
    /// It waits, and a proof went ahead.
    Proven,
    Runs,
}

impl Proofs {
    pub(super) fn take(&mut self, event: Event<'_>, losses: &mut Losses, out: &mut Sink<'_>) {
        let (Event::Open { choice: number, index, .. }
        | Event::Delta { choice: number, index, .. }
        | Event::Close { choice: number, index }) = event
        else {
            return out(event);
        };
        let at = number as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, Choice::default());
        }
        let Some(choice) = self.0.get_mut(at) else { return };
        let opens = |opening| Event::Open { choice: number, index, opening };
        match event {
            Event::Open { opening: Opening::Text, .. } => choice.text = State::Waits,
            Event::Open { ref opening, .. } => {
                choice.spoke |= matches!(opening, Opening::ToolCall { .. } | Opening::Refusal);
                choice.text = State::Nothing;
                out(event);
            }
            Event::Delta { delta: Delta::Signature(_), .. } if choice.text != State::Nothing => {
                if choice.spoke {
                    return losses.add(LossCode::Misplaced, "signature");
                }
                choice.text = State::Proven;
                out(opens(Opening::Reasoning));
                out(event);
                out(Event::Close { choice: number, index });
            }
            Event::Delta { ref delta, .. } if choice.text != State::Nothing => {
                if delta.is_empty() {
                    return;
                }
                if choice.text != State::Runs {
                    choice.text = State::Runs;
                    out(opens(Opening::Text));
                }
                choice.spoke = true;
                out(event);
            }
            Event::Close { .. } => {
                match std::mem::take(&mut choice.text) {
                    // There was nothing but the proof.
                    State::Proven => return,
                    State::Waits => out(opens(Opening::Text)),
                    State::Nothing | State::Runs => {}
                }
                out(event);
            }
            event => out(event),
        }
    }
}
