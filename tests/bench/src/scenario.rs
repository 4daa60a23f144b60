//! What is measured: requests, and how the upstream answers them.

use std::time::Duration;

use emulator::{Behaviour, Writes};

use crate::{
    body::Content,
    options::{Options, TargetKind},
};

/// Frames that a client gets in a stream, of all kinds.
const FRAMES: u32 = 20;
/// Of these, those that are not text where the gateway converts: role, ping, finish, usage and [DONE]; or start, block
/// start and stop, delta, stop.
const CONVERTED_AROUND: u32 = 5;
/// Characters in a piece of text. The non-streaming answers hold as much in one piece.
const PIECE_CHARS: u32 = 40;
/// Pause between the frames of a paced stream.
const PACE: Duration = Duration::from_millis(5);
/// Pause between the frames when many streams are open.
const SLOW_PACE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Chat,
    Messages,
}

impl Wire {
    pub(crate) const BOTH: [Self; 2] = [Self::Chat, Self::Messages];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Chat => Self::Messages,
            Self::Messages => Self::Chat,
        }
    }

    /// The key of the gateway's account, and of those who go round the gateway.
    pub(crate) const fn upstream_key(self) -> &'static str {
        match self {
            Self::Chat => "sk-bench-upstream",
            Self::Messages => "sk-ant-bench-upstream",
        }
    }

    /// A model of the platform whose own wire this is.
    pub(crate) const fn model(self) -> &'static str {
        match self {
            Self::Chat => "gpt-4o",
            Self::Messages => "claude-sonnet-4-5",
        }
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Messages => "/v1/messages",
        }
    }

    pub(crate) fn headers(self, key: &str) -> Vec<(String, String)> {
        let headers = match self {
            Self::Chat => vec![("authorization", format!("Bearer {key}"))],
            Self::Messages => {
                vec![("x-api-key", key.to_owned()), ("anthropic-version", "2023-06-01".to_owned())]
            }
        };
        let common = [("content-type", "application/json".to_owned()), ("user-agent", "bench".to_owned())];
        headers.into_iter().chain(common).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Frames of a provider's stream that are not text: role, finish, usage and [DONE]; or start, ping, block start and
    /// stop, delta, stop.
    const fn frames_around(self) -> u32 {
        match self {
            Self::Chat => 4,
            Self::Messages => 6,
        }
    }
}

/// One row of the table.
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

/// What is demanded of the gateway.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Limits {
    /// CPU per request, as a multiple of nginx's.
    pub cpu: Option<f64>,
    /// CPU per converted request, as a multiple of what the raw one takes.
    pub converted_cpu: Option<f64>,
    /// Microseconds added to the p50 of a request, raw and converted.
    pub added: Option<[f64; 2]>,
    /// Peak memory above that of a gateway with small bodies, as a multiple of the body's size; it has to stay below.
    pub peak: Option<f64>,
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
    /// Those that share one gateway.
    pub(crate) fn all(options: &Options) -> Vec<Self> {
        let length = options.slot();
        let latency = Slot { kind: SlotKind::Latency, concurrency: 1, length };
        let throughput = Slot { kind: SlotKind::Throughput, concurrency: options.concurrency, length };
        let row = |name: &str, wire, stream| Self {
            slots: vec![latency, throughput],
            ..Self::named(name, wire, Content::Small, stream)
        };
        let both_ways = |name, wire, stream| {
            let limits = Limits {
                cpu: Some(if stream { 2.5 } else { 4.0 }),
                converted_cpu: Some(1.5),
                ..Limits::default()
            };
            Self { converted: true, limits, ..row(name, wire, stream) }
        };
        let mut all = vec![
            both_ways("chat, 1 KB, whole", Wire::Chat, false),
            both_ways("chat, 20 frames", Wire::Chat, true),
            Self { rounds: 3, ..both_ways("messages, 1 KB, whole", Wire::Messages, false) },
            both_ways("messages, 20 frames", Wire::Messages, true),
        ];
        let paced = row("messages, a frame each 5 ms", Wire::Messages, true);
        all.push(Self { pace: PACE, slots: vec![latency], ..paced });
        all.push(Self {
            slots: vec![latency],
            rounds: 3,
            converted: true,
            limits: Limits { added: Some([1_000.0, 3_000.0]), ..Limits::default() },
            ..Self::named("messages, 85 KB with 25 tools, 20 frames", Wire::Messages, Content::Agent, true)
        });
        if options.streams > 0 {
            let many = Slot { kind: SlotKind::Throughput, concurrency: options.streams, length: 2 * length };
            let name = format!("messages, {} slow streams at once", options.streams);
            let slow = row(&name, Wire::Messages, true);
            all.push(Self { pace: SLOW_PACE, slots: vec![many], rounds: 1, ..slow });
        }
        all
    }

    /// Each of them gets a fresh gateway: what one leaves in the allocator's hands would count as the next one's.
    pub(crate) fn large(options: &Options) -> Vec<Self> {
        if options.image_mib == 0 {
            return Vec::new();
        }
        let name = format!("messages, {} MiB image, whole", options.image_mib);
        let length = 4 * options.slot();
        let raw = Self {
            slots: vec![Slot { kind: SlotKind::Latency, concurrency: 1, length }],
            rounds: 1,
            peak: true,
            limits: Limits { peak: Some(3.0), ..Limits::default() },
            ..Self::named(&name, Wire::Messages, Content::Image(options.image_mib), false)
        };
        let converted = Self { raw: false, converted: true, ..raw.clone() };
        vec![raw, converted]
    }

    fn named(name: &str, wire: Wire, content: Content, stream: bool) -> Self {
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
            limits: Limits::default(),
        }
    }

    /// Whether the target has a part in this measurement. What goes straight to the other platform is there to be
    /// subtracted from the times of what is converted.
    pub(crate) fn concerns(&self, target: TargetKind, slot: SlotKind) -> bool {
        match target {
            TargetKind::Direct | TargetKind::Nginx | TargetKind::Switchyard => self.raw,
            TargetKind::DirectOther => self.converted && slot == SlotKind::Latency,
            TargetKind::Converted => self.converted,
        }
    }

    pub(crate) fn with_small_bodies(&self) -> Self {
        Self { content: Content::Small, ..self.clone() }
    }

    pub(crate) fn sent(&self, target: TargetKind) -> Sent {
        let other = self.wire.other();
        let (wire, model, frames) = match target {
            TargetKind::Direct | TargetKind::Nginx | TargetKind::Switchyard => {
                (self.wire, self.wire.model(), FRAMES)
            }
            TargetKind::DirectOther => (other, other.model(), self.pieces(other) + other.frames_around()),
            TargetKind::Converted => (self.wire, other.model(), FRAMES),
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use emulator::{Emulator, EmulatorOptions};

    use super::*;
    use crate::{job::Job, load};

    /// Those of one run, with a smaller image.
    fn scenarios() -> Vec<Scenario> {
        let options = Options::parse_from(["bench", "--image-mib", "1"]);
        [Scenario::all(&options), Scenario::large(&options)].concat()
    }

    #[tokio::test]
    async fn the_upstream_answers_each_request_as_it_is_expected_to() {
        let emulator = Emulator::start(EmulatorOptions::default()).await.unwrap();
        for mut scenario in scenarios() {
            scenario.pace = Duration::ZERO;
            for wire in Wire::BOTH {
                emulator.credential(wire.upstream_key()).set_default(scenario.behaviour(wire)).unwrap();
            }
            for target in [TargetKind::Direct, TargetKind::DirectOther] {
                let Sent { wire, body, frames } = scenario.sent(target);
                let job = Job {
                    addr: emulator.addr(),
                    path: wire.path().to_owned(),
                    headers: wire.headers(wire.upstream_key()),
                    body,
                    concurrency: 1,
                    millis: 1,
                    frames,
                };
                let outcome = load::measure(job.into()).await.unwrap();
                assert_eq!(outcome.first_failure, None, "{}, {}", scenario.name, target.name());
            }
        }
    }

    #[test]
    fn what_is_converted_differs_in_the_model_only() {
        for scenario in scenarios() {
            let (raw, converted) =
                (scenario.sent(TargetKind::Switchyard), scenario.sent(TargetKind::Converted));
            assert_eq!((raw.wire, raw.frames), (converted.wire, converted.frames));
            let renamed = raw.body.replace(raw.wire.model(), raw.wire.other().model());
            assert_eq!(renamed, converted.body);
        }
    }

    #[test]
    fn each_direction_and_shape_has_its_limit() {
        let limited: Vec<_> = scenarios()
            .iter()
            .filter(|scenario| scenario.converted && scenario.limits.converted_cpu == Some(1.5))
            .map(|scenario| (scenario.wire, scenario.stream))
            .collect();
        let both = |wire| [(wire, false), (wire, true)];
        assert_eq!(limited, [both(Wire::Chat), both(Wire::Messages)].concat());
    }
}
