//! Answers at the pace of life: models that think, stop, go on, and show by pings that they are still there.

use std::time::Duration;

use crate::script::{Behaviour, Pings, Position, Writes};

/// How an answer is spread over time.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub name: &'static str,
    /// Ahead of the status line.
    pub head: Duration,
    pub pauses: &'static [(Position, Duration)],
    pub pings: Option<Pings>,
    /// Between any two frames.
    pub gap: Duration,
}

const PROMPT: Pace = Pace { name: "", head: Duration::ZERO, pauses: &[], pings: None, gap: Duration::ZERO };

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Behind the preamble; for Anthropic that is behind a ping.
const PREAMBLE: Position = Position::Content(0);

/// Paces of streams. Nothing in them is unusual, and nobody between the provider and its client may end one of them.
pub const STREAMS: [Pace; 25] = [
    Pace {
        name: "first text after 0.3 s, the next 2 s later",
        pauses: &[(PREAMBLE, ms(300)), (Position::Content(1), secs(2))],
        ..PROMPT
    },
    Pace {
        name: "first text after 0.9 s, the next 0.5 s later",
        pauses: &[(PREAMBLE, ms(900)), (Position::Content(1), ms(500))],
        ..PROMPT
    },
    Pace {
        name: "first text after 1.1 s, the next 1 s later",
        pauses: &[(PREAMBLE, ms(1_100)), (Position::Content(1), secs(1))],
        ..PROMPT
    },
    Pace { name: "thinks for 12 s", pauses: &[(PREAMBLE, secs(12))], ..PROMPT },
    Pace { name: "thinks for 60 s", pauses: &[(PREAMBLE, secs(60))], ..PROMPT },
    Pace { name: "thinks for 110 s", pauses: &[(PREAMBLE, secs(110))], ..PROMPT },
    Pace {
        name: "silent for 60 s behind its first frame",
        pauses: &[(Position::Frame(1), secs(60))],
        ..PROMPT
    },
    Pace { name: "silent for 110 s behind its head", pauses: &[(Position::Frame(0), secs(110))], ..PROMPT },
    Pace { name: "head after 0.5 s", head: ms(500), ..PROMPT },
    Pace { name: "head after 30 s", head: secs(30), ..PROMPT },
    Pace {
        name: "head after 55 s, then thinks for 100 s",
        head: secs(55),
        pauses: &[(PREAMBLE, secs(100))],
        ..PROMPT
    },
    Pace { name: "a frame each 0.5 s", gap: ms(500), ..PROMPT },
    Pace { name: "a frame each 0.7 s", gap: ms(700), ..PROMPT },
    Pace { name: "a frame each second", gap: secs(1), ..PROMPT },
    Pace { name: "a frame each 5 s", gap: secs(5), ..PROMPT },
    Pace { name: "a frame each 30 s", gap: secs(30), ..PROMPT },
    Pace { name: "stops for 30 s in mid-answer", pauses: &[(Position::Content(2), secs(30))], ..PROMPT },
    Pace { name: "stops for 110 s in mid-answer", pauses: &[(Position::Content(2), secs(110))], ..PROMPT },
    Pace {
        name: "thinks for 100 s, and stops for 110 s behind its first text",
        pauses: &[(PREAMBLE, secs(100)), (Position::Content(1), secs(110))],
        ..PROMPT
    },
    Pace { name: "stops for 0.5 s ahead of its end", pauses: &[(Position::End, ms(500))], ..PROMPT },
    Pace { name: "stops for 110 s ahead of its end", pauses: &[(Position::End, secs(110))], ..PROMPT },
    Pace {
        name: "thinks for 90 s, with a ping each 10 s",
        pings: Some(Pings { at: PREAMBLE, count: 9, every_ms: 10_000 }),
        ..PROMPT
    },
    Pace {
        name: "a ping, then thinks for 100 s",
        pings: Some(Pings { at: PREAMBLE, count: 1, every_ms: 50 }),
        pauses: &[(PREAMBLE, secs(100))],
        ..PROMPT
    },
    Pace {
        name: "stops for 400 s in mid-answer, with a ping each 10 s",
        pings: Some(Pings { at: Position::Content(1), count: 40, every_ms: 10_000 }),
        ..PROMPT
    },
    Pace {
        name: "thinks for 170 s, with a ping each 10 s, and stops for 60 s behind its first text",
        pauses: &[(Position::Content(1), secs(60))],
        pings: Some(Pings { at: PREAMBLE, count: 17, every_ms: 10_000 }),
        ..PROMPT
    },
];

/// Paces of answers that come whole.
pub const WHOLE: [Pace; 7] = [
    Pace { name: "after 0.5 s", head: ms(500), ..PROMPT },
    Pace { name: "after 2 s", head: secs(2), ..PROMPT },
    Pace { name: "after 30 s", head: secs(30), ..PROMPT },
    Pace { name: "after 100 s", head: secs(100), ..PROMPT },
    Pace { name: "after 290 s", head: secs(290), ..PROMPT },
    Pace {
        name: "a head at once, the body after 110 s",
        pauses: &[(Position::Bytes(0), secs(110))],
        ..PROMPT
    },
    Pace {
        name: "a body that stops for 110 s half-way",
        head: secs(5),
        pauses: &[(Position::Bytes(40), secs(110))],
        ..PROMPT
    },
];

impl Behaviour {
    /// A correct answer at this pace, each frame written by itself.
    #[must_use]
    pub fn paced(pace: Pace) -> Self {
        let behaviour = Self { pings: pace.pings, writes: Writes::Frames, ..Self::default() };
        let paced = behaviour.with_head_delay(pace.head).with_gap(pace.gap);
        pace.pauses.iter().fold(paced, |paced, (at, pause)| paced.with_pause(*at, *pause))
    }
}
