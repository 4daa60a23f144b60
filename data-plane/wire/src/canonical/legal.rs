//! A stream in legal order, whatever came in.
//!
//! Upstreams interleave blocks (parallel tool calls of chat), leave out openings or endings, repeat themselves, stop
//! twice or never. Encoders see none of that: behind the [`Legalizer`] one block of a choice is open at a time, each is
//! closed, each choice stops once, and the end comes last. A block that opens while another one is open waits, held in
//! memory, until that one is closed. What can't be placed is left out, and named as a loss.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{Delta, Event, Opening, Sink, Stop, StopReason};
use crate::{
    error::upstream::UpstreamError,
    loss::{LossCode, Losses},
};

/// Choices that are told apart; what is said of more is dropped.
pub(crate) const CHOICES_MAX: usize = 128;
/// Bytes of waiting blocks, and how many may wait.
const HELD_MAX: usize = 16 << 20;
const BLOCKS_MAX: usize = 1024;

#[derive(Debug, Default)]
pub struct Legalizer {
    started: bool,
    ended: bool,
    choices: SmallVec<[Choice; 1]>,
    held: usize,
    losses: Losses,
}

#[derive(Debug, Default)]
struct Choice {
    /// The number of the next block that goes out.
    next: u32,
    /// The open block: its number as it came, and as it went out.
    live: Option<Live>,
    waiting: Vec<Waiting>,
    /// Numbers, as they came, that are over.
    done: SmallVec<[u32; 8]>,
    calls_tools: bool,
    stopped: bool,
}

#[derive(Debug)]
struct Live {
    came: u32,
    went: u32,
    takes: Takes,
}

#[derive(Debug)]
struct Waiting {
    came: u32,
    opening: Opening<'static>,
    deltas: Vec<Delta<'static>>,
    closed: bool,
}

/// Which deltas a block takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Text,
    Arguments,
    Nothing,
}

impl Takes {
    const fn of(opening: &Opening<'_>) -> Self {
        match opening {
            Opening::Text | Opening::Reasoning | Opening::Refusal => Self::Text,
            Opening::ToolCall { .. } => Self::Arguments,
            Opening::Opaque(_) => Self::Nothing,
        }
    }

    const fn allows(self, delta: &Delta<'_>) -> bool {
        match delta {
            Delta::Arguments(_) => matches!(self, Self::Arguments),
            _ => matches!(self, Self::Text),
        }
    }
}

impl Legalizer {
    /// Whether the end or an error went out; nothing follows.
    #[must_use]
    pub const fn ended(&self) -> bool {
        self.ended
    }

    /// What could not be placed so far.
    #[must_use]
    pub const fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Takes what the decoder saw, gives what is legal.
    pub fn take(&mut self, event: Event<'_>, out: &mut Sink<'_>) {
        if self.ended {
            return;
        }
        match event {
            Event::Start { .. } if self.started => {}
            Event::Start { .. } => {
                self.started = true;
                out(event);
            }
            Event::Usage(_) | Event::ServiceTier(_) | Event::Ping => out(event),
            Event::Error(_) => {
                self.ended = true;
                out(event);
            }
            Event::End => {
                self.start(out);
                self.choices.resize_with(self.choices.len().max(1), Choice::default);
                for (number, choice) in (0..).zip(&mut self.choices) {
                    choice.stop(number, Stop::of(StopReason::End), out);
                }
                self.ended = true;
                out(Event::End);
            }
            Event::Open { choice, .. }
            | Event::Delta { choice, .. }
            | Event::Close { choice, .. }
            | Event::Stop { choice, .. } => {
                self.start(out);
                self.of_choice(choice, event, out);
            }
        }
    }

    fn start(&mut self, out: &mut Sink<'_>) {
        if !self.started {
            self.started = true;
            out(Event::Start { id: Cow::Borrowed(""), model: Cow::Borrowed("") });
        }
    }

    fn of_choice(&mut self, number: u32, event: Event<'_>, out: &mut Sink<'_>) {
        let at = number as usize;
        if at >= CHOICES_MAX {
            return self.losses.add(LossCode::Field, "choices");
        }
        if self.choices.len() <= at {
            self.choices.resize_with(at + 1, Choice::default);
        }
        let Some(choice) = self.choices.get_mut(at) else { return };
        let is_placed = match event {
            // What is said again is not lost.
            Event::Close { .. } | Event::Stop { .. } if choice.stopped => true,
            _ if choice.stopped => false,
            Event::Open { index, opening, .. } => choice.open(number, index, opening, out),
            Event::Delta { index, delta, .. } => {
                let held = choice.delta(number, index, delta, out);
                self.held += held.unwrap_or_default();
                held.is_some()
            }
            Event::Close { index, .. } => {
                choice.close(number, index, out);
                true
            }
            Event::Stop { stop, .. } => {
                choice.stop(number, stop, out);
                true
            }
            _ => true,
        };
        if !is_placed {
            self.losses.add(LossCode::Misplaced, "block");
        }
        if self.held > HELD_MAX
            || self.choices.get(at).is_some_and(|choice| choice.waiting.len() > BLOCKS_MAX)
        {
            let message = "the upstream's blocks are interleaved more than can be held".to_owned();
            self.ended = true;
            out(Event::Error(UpstreamError { message, ..UpstreamError::default() }));
        }
    }
}

impl Choice {
    fn knows(&self, index: u32) -> bool {
        self.live.as_ref().is_some_and(|live| live.came == index)
            || self.waiting.iter().any(|waiting| waiting.came == index)
            || self.done.contains(&index)
    }

    /// Whether there is room for it: another block of this number is none.
    fn open(&mut self, choice: u32, index: u32, opening: Opening<'_>, out: &mut Sink<'_>) -> bool {
        if self.knows(index) {
            return false;
        }
        self.calls_tools |= matches!(opening, Opening::ToolCall { .. });
        if self.live.is_some() {
            let opening = opening.into_owned();
            self.waiting.push(Waiting { came: index, opening, deltas: Vec::new(), closed: false });
            return true;
        }
        let (went, takes) = (self.next, Takes::of(&opening));
        self.next += 1;
        self.live = Some(Live { came: index, went, takes });
        out(Event::Open { choice, index: went, opening });
        true
    }

    /// How many bytes are held for it. None: it belongs nowhere.
    fn delta(&mut self, choice: u32, index: u32, delta: Delta<'_>, out: &mut Sink<'_>) -> Option<usize> {
        if !self.knows(index) {
            // A call without a name is of no use to anybody.
            let Delta::Text(_) = delta else { return None };
            self.open(choice, index, Opening::Text, out);
        }
        if let Some(live) = self.live.as_ref().filter(|live| live.came == index) {
            let is_allowed = live.takes.allows(&delta);
            if is_allowed {
                out(Event::Delta { choice, index: live.went, delta });
            }
            return is_allowed.then_some(0);
        }
        let waiting = self.waiting.iter_mut().find(|waiting| waiting.came == index && !waiting.closed)?;
        if !Takes::of(&waiting.opening).allows(&delta) {
            return None;
        }
        let length = delta.len() + size_of::<Delta<'_>>();
        waiting.deltas.push(delta.into_owned());
        Some(length)
    }

    fn close(&mut self, choice: u32, index: u32, out: &mut Sink<'_>) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.came == index) {
            waiting.closed = true;
        }
        if self.live.as_ref().is_some_and(|live| live.came == index) {
            self.close_live(choice, out);
            self.let_in(choice, out);
        }
    }

    fn close_live(&mut self, choice: u32, out: &mut Sink<'_>) {
        if let Some(live) = self.live.take() {
            self.done.push(live.came);
            out(Event::Close { choice, index: live.went });
        }
    }

    /// Those that waited, up to and with the first that is still open.
    fn let_in(&mut self, choice: u32, out: &mut Sink<'_>) {
        while self.live.is_none() && !self.waiting.is_empty() {
            let Waiting { came, opening, deltas, closed } = self.waiting.remove(0);
            self.open(choice, came, opening, out);
            for delta in deltas {
                self.delta(choice, came, delta, out);
            }
            if closed {
                self.close_live(choice, out);
            }
        }
    }

    fn stop(&mut self, choice: u32, mut stop: Stop<'_>, out: &mut Sink<'_>) {
        if self.stopped {
            return;
        }
        while self.live.is_some() {
            self.close_live(choice, out);
            self.let_in(choice, out);
        }
        self.stopped = true;
        stop.reason = stop.reason.with_calls(self.calls_tools);
        out(Event::Stop { choice, stop });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::canonical::ToolKind;

    fn opening() -> impl Strategy<Value = Opening<'static>> {
        prop_oneof![
            Just(Opening::Text),
            Just(Opening::Reasoning),
            Just(Opening::ToolCall {
                id: "c".into(),
                name: "f".into(),
                kind: ToolKind::Function,
                namespace: None,
                signature: None
            }),
        ]
    }

    fn event() -> impl Strategy<Value = Event<'static>> {
        let place = || (0_u32..2, 0_u32..4);
        prop_oneof![
            1 => Just(Event::Start { id: "i".into(), model: "m".into() }),
            4 => (place(), opening())
                .prop_map(|((choice, index), opening)| Event::Open { choice, index, opening }),
            8 => (place(), any::<bool>()).prop_map(|((choice, index), text)| Event::Delta {
                choice,
                index,
                delta: if text { Delta::Text("t".into()) } else { Delta::Arguments("a".into()) },
            }),
            4 => place().prop_map(|(choice, index)| Event::Close { choice, index }),
            1 => (0_u32..2).prop_map(|choice| Event::Stop { choice, stop: Stop::of(StopReason::End) }),
            1 => Just(Event::Ping),
            1 => Just(Event::End),
        ]
    }

    /// Checks the promised order and returns the text of each block that went out.
    fn checked(events: &[Event<'static>]) -> Result<Vec<String>, TestCaseError> {
        let mut open: [Option<u32>; 2] = [None, None];
        let mut next = [0_u32; 2];
        let mut stopped = [false; 2];
        let (mut started, mut ended) = (false, false);
        let mut texts = Vec::new();
        for event in events {
            prop_assert!(!ended, "something follows the end");
            match event {
                Event::Start { .. } => {
                    prop_assert!(!std::mem::replace(&mut started, true), "it starts twice");
                }
                Event::Open { choice, index, .. } => {
                    let choice = *choice as usize;
                    prop_assert!(started && !stopped[choice] && open[choice].is_none());
                    prop_assert_eq!(*index, next[choice]);
                    next[choice] += 1;
                    open[choice] = Some(*index);
                    texts.push(String::new());
                }
                Event::Delta { choice, index, delta } => {
                    prop_assert_eq!(open[*choice as usize], Some(*index));
                    if let (Delta::Text(text) | Delta::Arguments(text), Some(last)) =
                        (delta, texts.last_mut())
                    {
                        last.push_str(text);
                    }
                }
                Event::Close { choice, index } => {
                    prop_assert_eq!(open[*choice as usize].take(), Some(*index));
                }
                Event::Stop { choice, .. } => {
                    let choice = *choice as usize;
                    prop_assert!(open[choice].is_none() && !std::mem::replace(&mut stopped[choice], true));
                }
                Event::Usage(_) | Event::ServiceTier(_) | Event::Ping => {}
                Event::Error(_) | Event::End => ended = true,
            }
        }
        prop_assert!(ended && started && stopped[0]);
        Ok(texts)
    }

    fn legal(events: Vec<Event<'static>>) -> Vec<Event<'static>> {
        let mut legalizer = Legalizer::default();
        let mut went = Vec::new();
        for event in events {
            legalizer.take(event, &mut |event| went.push(event.into_owned()));
        }
        went
    }

    fn call(index: u32) -> Event<'static> {
        let opening = Opening::ToolCall {
            id: format!("c{index}").into(),
            name: "f".into(),
            kind: ToolKind::Function,
            namespace: None,
            signature: None,
        };
        Event::Open { choice: 0, index, opening }
    }

    fn arguments(index: u32, text: &'static str) -> Event<'static> {
        Event::Delta { choice: 0, index, delta: Delta::Arguments(text.into()) }
    }

    proptest! {
        #[test]
        fn whatever_comes_goes_out_in_legal_order(events in proptest::collection::vec(event(), 0..60)) {
            checked(&legal(events.into_iter().chain([Event::End]).collect()))?;
        }
    }

    #[test]
    fn interleaved_calls_go_out_one_after_the_other_and_whole() {
        let events = vec![
            call(0),
            arguments(0, "a"),
            call(1),
            arguments(1, "x"),
            arguments(0, "b"),
            arguments(1, "y"),
        ];
        let went = legal(events.into_iter().chain([Event::End]).collect());
        assert_eq!(checked(&went).unwrap(), ["ab", "xy"]);
        let reason = went.iter().find_map(|event| match event {
            Event::Stop { stop, .. } => Some(stop.reason),
            _ => None,
        });
        assert_eq!(reason, Some(StopReason::ToolUse), "an answer that calls tools says so");
    }

    #[test]
    fn what_can_not_be_placed_is_named() {
        let text = |index| Event::Delta { choice: 0, index, delta: Delta::Text("t".into()) };
        let close = || Event::Close { choice: 0, index: 0 };
        let stop = || Event::Stop { choice: 0, stop: Stop::of(StopReason::End) };
        let beyond = Event::Close { choice: CHOICES_MAX as u32, index: 0 };
        let cases = [
            (vec![call(0), arguments(0, "a"), close(), close(), stop(), stop()], vec![]),
            (vec![call(0), close(), call(0)], vec!["misplaced block"]),
            (vec![arguments(0, "a")], vec!["misplaced block"]),
            (vec![call(0), text(0)], vec!["misplaced block"]),
            (vec![call(0), close(), arguments(0, "a")], vec!["misplaced block"]),
            (vec![text(0), stop(), text(0)], vec!["misplaced block"]),
            (vec![beyond], vec!["field choices"]),
        ];
        for (events, lost) in cases {
            let mut legalizer = Legalizer::default();
            for event in events.clone() {
                legalizer.take(event, &mut |_| {});
            }
            let found = legalizer.losses().iter().map(|loss| format!("{} {}", loss.code.as_str(), loss.what));
            assert_eq!(found.collect::<Vec<_>>(), lost, "{events:?}");
        }
    }

    #[test]
    fn what_would_wait_without_bound_is_an_error() {
        let big = "x".repeat(HELD_MAX / 2);
        let mut events = vec![call(0), call(1)];
        for _ in 0..3 {
            let delta = Delta::Arguments(big.clone().into());
            events.push(Event::Delta { choice: 0, index: 1, delta });
        }
        assert!(matches!(legal(events).last(), Some(Event::Error(_))));
    }
}
