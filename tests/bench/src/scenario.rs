//! What is measured: requests, and how the upstream answers them.

use std::time::Duration;

use emulator::{Behaviour, Writes};
use serde_json::{Value, json};

use crate::options::Options;

/// Frames of a stream, of all kinds.
const FRAMES: u32 = 20;
/// Characters in a piece of text. The non-streaming answers hold as much in one piece.
const PIECE_CHARS: u32 = 40;
/// Size of a request body in bytes, more or less.
const REQUEST_BYTES: usize = 1024;
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
    /// The key of the gateway's account, and of those who go round the gateway.
    pub(crate) const fn upstream_key(self) -> &'static str {
        match self {
            Self::Chat => "sk-bench-upstream",
            Self::Messages => "sk-ant-bench-upstream",
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

    /// Frames of a stream that are not text: role, finish, usage and [DONE]; or start, ping, block start and stop,
    /// delta, stop.
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
    pub wire: Wire,
    pub stream: bool,
    pub pace: Duration,
    pub slots: Vec<Slot>,
    /// Measured in this many rounds at most.
    pub rounds: u32,
    /// The most CPU per request that the gateway may take, as a multiple of nginx's.
    pub cpu_limit: Option<f64>,
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

impl Scenario {
    pub(crate) fn all(options: &Options) -> Vec<Self> {
        let length = options.slot();
        let latency = Slot { kind: SlotKind::Latency, concurrency: 1, length };
        let throughput = Slot { kind: SlotKind::Throughput, concurrency: options.concurrency, length };
        let row = |name: &str, wire, stream, cpu_limit| Self {
            name: name.to_owned(),
            wire,
            stream,
            pace: Duration::ZERO,
            slots: vec![latency, throughput],
            rounds: u32::MAX,
            cpu_limit,
        };
        let mut all = vec![
            row("chat, 1 KB, whole", Wire::Chat, false, Some(4.0)),
            row("chat, 20 frames", Wire::Chat, true, Some(2.5)),
            row("messages, 20 frames", Wire::Messages, true, Some(2.5)),
        ];
        let paced = row("messages, a frame each 5 ms", Wire::Messages, true, None);
        all.push(Self { pace: PACE, slots: vec![latency], ..paced });
        if options.streams > 0 {
            let many = Slot { kind: SlotKind::Throughput, concurrency: options.streams, length: 2 * length };
            let name = format!("messages, {} slow streams at once", options.streams);
            let slow = row(&name, Wire::Messages, true, None);
            all.push(Self { pace: SLOW_PACE, slots: vec![many], rounds: 1, ..slow });
        }
        all
    }

    pub(crate) fn frames(&self) -> Option<usize> {
        self.stream.then_some(FRAMES as usize)
    }

    /// Each frame is a write of its own, as real providers do it.
    pub(crate) fn behaviour(&self, wire: Wire) -> Behaviour {
        Behaviour::chunked(FRAMES - wire.frames_around())
            .with_chunk_chars(PIECE_CHARS)
            .with_gap(self.pace)
            .with_writes(Writes::Frames)
    }

    pub(crate) fn body(&self) -> String {
        let question = "How many roads lead to Rome? ".repeat(REQUEST_BYTES / 29 - 5);
        let messages =
            json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]);
        let mut body: Value = match self.wire {
            Wire::Chat => json!({"model": "gpt-4o", "temperature": 0.7, "messages": messages}),
            Wire::Messages => json!({"model": "claude-sonnet-4-5", "max_tokens": 4096, "system": "Be brief.",
                "messages": [{"role": "user", "content": question}]}),
        };
        if self.stream {
            body["stream"] = json!(true);
        }
        if self.stream && self.wire == Wire::Chat {
            body["stream_options"] = json!({"include_usage": true});
        }
        body.to_string()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn a_request_is_about_a_kilobyte() {
        for scenario in Scenario::all(&Options::parse_from(["bench"])) {
            let length = scenario.body().len();
            assert!((900..1200).contains(&length), "{}: {length}", scenario.name);
        }
    }
}
