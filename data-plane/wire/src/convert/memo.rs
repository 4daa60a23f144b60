//! What a client does not send back. Clients of chat keep a model's calls and drop the reasoning that led to them, and
//! what proves them; some models go on worse without it, or not at all. So the gateway may remember it for them, by the
//! call that it led to.

use std::{borrow::Cow, collections::VecDeque, sync::LazyLock};

use memchr::memmem::Finder;
use shared::wire::Wire;

use crate::{
    canonical::{
        Block, Delta, Event, Opening, Origin, Reasoning, Request, Response, Role, Signature,
        attach_signatures,
        bundle::{self, Carried},
    },
    json,
};

/// Reasoning, packed, and the client's id of the first call behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memo {
    pub call_id: String,
    pub reasoning: String,
}

/// The longest reasoning that is remembered for one call, in bytes.
pub const MEMO_MAX: usize = 64 << 10;
/// Calls of a conversation that are looked up: the newest.
const CALLS_MAX: usize = 32;

static CALLS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"tool_calls\""));

/// The calls of a client's history whose reasoning may be remembered: the first one of each of the newest turns.
#[must_use]
pub fn calls(wire: Wire, body: &[u8]) -> Vec<String> {
    if !forgets(wire) || CALLS.find(body).is_none() {
        return Vec::new();
    }
    let mut ids = VecDeque::new();
    // What is no such body has no calls either.
    let text = std::str::from_utf8(body).unwrap_or_default();
    let _ = json::object(text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii(), |field| {
        if field.name() == "messages" {
            let _ = json::array(field.value, |message| {
                let Some(id) = first_call(message) else { return };
                if ids.len() == CALLS_MAX {
                    ids.pop_front();
                }
                ids.push_back(id);
            });
        }
    });
    ids.into()
}

fn first_call(message: &str) -> Option<String> {
    let mut first = None;
    let _ = json::object(message, |field| {
        if field.name() == "tool_calls" {
            let _ = json::array(field.value, |call| {
                let _ = json::object(call, |field| {
                    if field.name() == "id" && first.is_none() {
                        first = json::string(field.value).map(Cow::into_owned);
                    }
                });
            });
        }
    });
    first
}

const fn forgets(client: Wire) -> bool {
    matches!(client, Wire::Chat)
}

/// Puts remembered reasoning ahead of its calls, where the client sent none itself. `own`: whose the upstream takes.
pub(super) fn put_back(request: &mut Request<'_>, memos: &[Memo], own: Option<Origin>) {
    for turn in request.turns.iter_mut().filter(|turn| turn.role == Role::Assistant) {
        let is_call = |block: &Block<'_>| matches!(block, Block::ToolCall(_));
        let Some(at) = turn.blocks.iter().position(is_call) else { continue };
        let Some(Block::ToolCall(call)) = turn.blocks.get(at) else { continue };
        let has_own = turn.blocks.iter().any(|block| match block {
            Block::Reasoning(reasoning) => reasoning.signature.is_some(),
            _ => false,
        });
        let memo = memos.iter().find(|memo| memo.call_id == *call.id);
        let Some(mut all) = memo.and_then(|memo| bundle::unpacked(&memo.reasoning)) else { continue };
        all.retain(|Carried { reasoning, .. }| {
            let is_own = reasoning.signature.as_ref().map(|signature| signature.origin) == own;
            // A proof of a text or a call is no reasoning: some clients keep one and drop the other.
            is_own && (!has_own || (own == Some(Origin::Gemini) && reasoning.text.is_empty()))
        });
        let calls = turn.blocks.split_off(at);
        bundle::insert(&mut turn.blocks, all);
        turn.blocks.extend(calls);
        attach_signatures(&mut turn.blocks);
    }
}

/// Gathers what is to be remembered of a stream, behind all that changes on the way to the client.
#[derive(Debug, Default)]
pub(super) struct Collector {
    carried: Vec<Carried<'static>>,
    open: Option<Reasoning<'static>>,
    too_long: bool,
    found: Vec<Memo>,
}

impl Collector {
    /// None: the client keeps what it is given.
    pub(super) fn of(client: Wire) -> Option<Self> {
        forgets(client).then(Self::default)
    }

    pub(super) fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Open { choice: 0, opening: Opening::Reasoning, .. } => {
                self.open = Some(Reasoning::default())
            }
            Event::Open { choice: 0, opening: Opening::ToolCall { id, signature, .. }, .. } => {
                self.call(id, signature.as_ref());
            }
            Event::Delta { choice: 0, delta, .. } => self.delta(delta),
            Event::Close { choice: 0, .. } => {
                let reasoning = self.open.take().filter(|reasoning| reasoning.signature.is_some());
                self.carried.extend(reasoning.map(|reasoning| Carried { reasoning, ahead_of_text: false }));
            }
            _ => {}
        }
    }

    fn delta(&mut self, delta: &Delta<'_>) {
        match (&mut self.open, delta) {
            (Some(reasoning), Delta::Text(text)) => {
                self.too_long |= reasoning.text.len() + text.len() > MEMO_MAX;
                if !self.too_long {
                    reasoning.text.to_mut().push_str(text);
                }
            }
            (Some(reasoning), Delta::Signature(signature)) => {
                reasoning.signature = Some(signature.clone().into_owned());
            }
            (None, Delta::Text(text)) if !text.is_empty() => {
                self.carried.iter_mut().for_each(|carried| carried.ahead_of_text = true);
            }
            _ => {}
        }
    }

    fn call(&mut self, id: &str, signature: Option<&Signature<'_>>) {
        self.carried.extend(signature.map(proof));
        let carried = std::mem::take(&mut self.carried);
        // A part of it would be refused.
        if std::mem::take(&mut self.too_long) {
            return;
        }
        let reasoning = bundle::packed(&carried).filter(|packed| packed.len() <= MEMO_MAX);
        self.found.extend(reasoning.map(|reasoning| Memo { call_id: id.to_owned(), reasoning }));
    }

    /// What came since the last time.
    pub(super) fn found(&mut self) -> Vec<Memo> {
        std::mem::take(&mut self.found)
    }
}

/// A proof alone: it belongs to what stands behind it.
fn proof(signature: &Signature<'_>) -> Carried<'static> {
    let signature = Some(signature.clone().into_owned());
    Carried { reasoning: Reasoning { text: Cow::Borrowed(""), signature }, ahead_of_text: false }
}

/// What is to be remembered of a whole answer, as the client is given it.
pub(super) fn of_response(response: &Response<'_>, client: Wire) -> Vec<Memo> {
    let Some(mut collector) = Collector::of(client) else { return Vec::new() };
    for block in response.choices.first().map_or(&[][..], |choice| &choice.blocks) {
        match block {
            Block::Reasoning(reasoning) if reasoning.signature.is_some() => {
                let reasoning = Reasoning {
                    text: Cow::Owned(reasoning.text.clone().into_owned()),
                    signature: reasoning.signature.clone().map(|signature| signature.into_owned()),
                };
                collector.carried.push(Carried { reasoning, ahead_of_text: false });
            }
            Block::Text(text) => {
                collector.carried.extend(text.signature.as_ref().map(proof));
                collector.delta(&Delta::Text(Cow::Borrowed(&text.text)));
            }
            Block::ToolCall(call) => collector.call(&call.id, call.signature.as_ref()),
            _ => {}
        }
    }
    collector.found()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_call_of_each_of_the_newest_turns_is_looked_up() {
        let turn = |number: usize| {
            format!(r#"{{"role":"assistant","tool_calls":[{{"id":"{number}a"}},{{"id":"{number}b"}}]}}"#)
        };
        let body = |turns: usize| {
            let turns: Vec<_> = (0..turns).map(turn).collect();
            format!(r#"{{"messages":[{{"role":"user","content":""}},{}]}}"#, turns.join(","))
        };
        let looked_up = |turns| calls(Wire::Chat, body(turns).as_bytes());
        assert_eq!(looked_up(2), ["0a", "1a"]);
        let newest: Vec<_> = (5..CALLS_MAX + 5).map(|number| format!("{number}a")).collect();
        assert_eq!(looked_up(CALLS_MAX + 5), newest);
        assert!(calls(Wire::Messages, body(2).as_bytes()).is_empty());
    }
}
