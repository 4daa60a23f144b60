//! What is measured: a request, and how the upstream answers it.

use std::time::Duration;

use emulator::{Behaviour, Writes};

use crate::{body::Content, limits::Limits, target::TargetKind, wire::Wire};

/// Frames that a client gets in a stream, of all kinds.
const FRAMES: u32 = 20;
/// Of these, those that are not text where the gateway converts: role, ping, finish, usage and [DONE]; or start, block
/// start and stop, delta, stop.
const CONVERTED_AROUND: u32 = 5;
/// Characters in a piece of text. The non-streaming answers hold as much in one piece.
const PIECE_CHARS: u32 = 40;

/// A few rows of the table, one for each target.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub name: String,
    /// The client's.
    pub wire: Wire,
    pub content: Content,
    pub stream: bool,
    pub pace: Duration,
    pub slots: Vec<Slot>,
    /// Measured in this many rounds at most.
    pub rounds: u32,
    /// Measured with a model of the wire's own platform.
    pub raw: bool,
    /// Measured with a model of the other platform, for which the gateway has to convert.
    pub converted: bool,
    /// The gateway's peak of memory is of interest.
    pub peak: bool,
    pub limits: Limits,
}

/// One measurement of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub kind: SlotKind,
    pub concurrency: u32,
    pub length: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SlotKind {
    /// One request at a time.
    Latency,
    /// As many as go.
    Throughput,
}

/// What is sent to a target, and what has to come back.
#[derive(Debug)]
pub(crate) struct Sent {
    pub wire: Wire,
    pub body: String,
    /// Of a whole stream; None for an answer that is no stream.
    pub frames: Option<usize>,
}

impl Scenario {
    pub(crate) fn named(name: &str, wire: Wire, content: Content, stream: bool) -> Self {
        Self {
            name: name.to_owned(),
            wire,
            content,
            stream,
            pace: Duration::ZERO,
            slots: Vec::new(),
            rounds: u32::MAX,
            raw: true,
            converted: false,
            peak: false,
            limits: Limits::NONE,
        }
    }

    /// Whether the target has a part in this measurement. What goes straight upstream is there to be subtracted from the
    /// times of what goes through somebody, and one request at a time is the same to any number of workers.
    pub(crate) fn concerns(&self, target: TargetKind, slot: SlotKind) -> bool {
        match target {
            TargetKind::Direct => self.raw && slot == SlotKind::Latency,
            TargetKind::DirectOther => self.converted && slot == SlotKind::Latency,
            TargetKind::NginxWorkers => self.raw && slot == SlotKind::Throughput,
            TargetKind::Nginx | TargetKind::Node | TargetKind::Standalone => self.raw,
            TargetKind::NodeConverting => self.converted,
        }
    }

    /// Whether the target has any part in it.
    pub(crate) fn involves(&self, target: TargetKind) -> bool {
        self.slots.iter().any(|slot| self.concerns(target, slot.kind))
    }

    pub(crate) fn with_small_bodies(&self) -> Self {
        Self { content: Content::Small, ..self.clone() }
    }

    pub(crate) fn sent(&self, target: TargetKind) -> Sent {
        let other = self.wire.other();
        let (wire, model, frames) = match target {
            TargetKind::DirectOther => (other, other.model(), self.pieces(other) + other.frames_around()),
            TargetKind::NodeConverting => (self.wire, other.model(), FRAMES),
            _ => (self.wire, self.wire.model(), FRAMES),
        };
        let body = self.content.body(wire, model, self.stream);
        Sent { wire, body, frames: self.stream.then_some(frames as usize) }
    }

    /// How the upstream answers in `wire`. Each frame is a write of its own, as real providers do it.
    pub(crate) fn behaviour(&self, wire: Wire) -> Behaviour {
        Behaviour::chunked(self.pieces(wire))
            .with_chunk_chars(PIECE_CHARS)
            .with_gap(self.pace)
            .with_writes(Writes::Frames)
    }

    /// Pieces of text in the upstream's answer, so that the client's stream has the same length whether it was
    /// converted or not.
    const fn pieces(&self, wire: Wire) -> u32 {
        let around = match (self.wire, wire) {
            (Wire::Chat, Wire::Chat) | (Wire::Messages, Wire::Messages) => wire.frames_around(),
            _ => CONVERTED_AROUND,
        };
        FRAMES - around
    }
}
