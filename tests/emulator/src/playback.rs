//! An answer's body as a script wants it: where it pauses, where it breaks, how it is cut into writes.
//!
//! [`plan`] is pure: bytes and a list of stops. [`Playback`] walks along it.

use std::{collections::VecDeque, time::Duration};

use bytes::{Bytes, BytesMut};

use crate::{
    script::{Behaviour, Fault, Position, Writes},
    template::{Filled, Role},
};

/// What is left to send, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    pub bytes: Bytes,
    /// In the order of their places.
    pub stops: VecDeque<Stop>,
    pub ending: Ending,
    /// What the head says, where it says a length.
    pub declared: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    pub at: usize,
    pub pause: Pause,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// What comes before goes out as a write of its own.
    Flush,
    Wait(Duration),
    /// Until the credential is released.
    Hold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Clean,
    /// The connection stays open and silent.
    Stall,
    /// The connection is closed.
    Cut,
}

/// Frames that a script may put into the stream, in the provider's form.
#[derive(Default)]
pub(crate) struct ScriptFrames {
    pub error: Vec<u8>,
    pub malformed: Vec<u8>,
    /// Empty where the provider's streams have no such thing.
    pub ping: Vec<u8>,
}

pub(crate) fn plan(filled: Filled<'_>, behaviour: &Behaviour, frames: &ScriptFrames) -> Plan {
    let (filled, waits) = with_pings(filled, behaviour, &frames.ping);
    let mut ends: Vec<usize> = filled.frames.iter().map(|(end, _)| *end).collect();
    let place = |at: Position| place(at, &filled);
    let mut bytes = filled.bytes.clone();
    let mut ending = Ending::Clean;
    let mut inserted = None;
    match &behaviour.fault {
        Some(Fault::Stall(at)) => (bytes, ending) = (bytes.slice(..place(*at)), Ending::Stall),
        Some(Fault::Cut(at)) => (bytes, ending) = (bytes.slice(..place(*at)), Ending::Cut),
        Some(Fault::ErrorEvent { at, .. }) if filled.stream => {
            let at = place(*at);
            bytes = joined(&[&bytes[..at], &frames.error]);
            ends.retain(|end| *end <= at);
            ends.push(bytes.len());
        }
        Some(Fault::Malformed(at)) if filled.stream => {
            let at = place(*at);
            bytes = joined(&[&bytes[..at], &frames.malformed, &bytes[at..]]);
            inserted = Some((at, frames.malformed.len()));
        }
        Some(Fault::Malformed(_)) => bytes.truncate(bytes.len() / 2),
        Some(Fault::MissingEnd) if filled.stream => bytes.truncate(place(Position::End)),
        _ => {}
    }
    if let Some((at, length)) = inserted {
        ends.iter_mut().filter(|end| **end > at).for_each(|end| *end += length);
        ends.push(at + length);
        ends.sort_unstable();
    }
    let moved = |at: usize| match inserted {
        Some((from, length)) if at > from => at + length,
        _ => at,
    };
    let pauses = behaviour
        .pauses
        .iter()
        .map(|pause| Stop { at: place(pause.at), pause: Pause::Wait(Duration::from_millis(pause.ms)) });
    let hold = behaviour.hold.map(|at| Stop { at: place(at), pause: Pause::Hold });
    let scripted = waits.into_iter().chain(pauses).chain(hold);
    let scripted = scripted.map(|stop| Stop { at: moved(stop.at), ..stop });
    let stops = stops(&bytes, &ends, scripted, behaviour);
    // What is cut short was to be longer; the rest says what it is.
    let said = if ending == Ending::Clean { bytes.len() } else { filled.bytes.len() };
    let declared = (!filled.stream).then_some(said as u64);
    Plan { bytes, stops, ending, declared }
}

/// Puts the script's pings in, and says where it waits for them.
fn with_pings<'t>(filled: Filled<'t>, behaviour: &Behaviour, ping: &[u8]) -> (Filled<'t>, Vec<Stop>) {
    let Some(pings) = behaviour.pings.filter(|_| filled.stream && !ping.is_empty()) else {
        return (filled, Vec::new());
    };
    let (at, pause) = (place(pings.at, &filled), Pause::Wait(Duration::from_millis(pings.every_ms)));
    let count = pings.count as usize;
    let ends = (0..count).map(|number| at + number * ping.len());
    let stops = ends.clone().map(|at| Stop { at, pause }).collect();
    let (before, behind): (Vec<_>, Vec<_>) = filled.frames.iter().copied().partition(|(end, _)| *end <= at);
    // Ahead of the first content they belong to the preamble.
    let content = before.iter().any(|(_, role)| *role == Role::Content);
    let role = if content { Role::Structure } else { Role::Preamble };
    let added = count * ping.len();
    let frames = before
        .into_iter()
        .chain(ends.map(|start| (start + ping.len(), role)))
        .chain(behind.into_iter().map(|(end, role)| (end + added, role)));
    let bytes = joined(&[&filled.bytes[..at], &ping.repeat(count), &filled.bytes[at..]]);
    (Filled { bytes, frames: frames.collect::<Vec<_>>().into(), stream: true }, stops)
}

/// The pauses inside the body, and what is scripted also at its end.
fn stops(
    bytes: &Bytes,
    ends: &[usize],
    scripted: impl Iterator<Item = Stop>,
    behaviour: &Behaviour,
) -> VecDeque<Stop> {
    let length = bytes.len();
    let inside = |at: &usize| *at > 0 && *at < length;
    let flushes: Vec<usize> = match behaviour.writes {
        Writes::Coalesced => Vec::new(),
        Writes::Frames => ends.to_vec(),
        Writes::Bytes(size) => (0..length).step_by(size.max(1) as usize).collect(),
        Writes::SplitUtf8 => (0..length).filter(|at| bytes[*at] & 0b1100_0000 == 0b1000_0000).collect(),
    };
    let mut stops: Vec<Stop> =
        flushes.into_iter().filter(inside).map(|at| Stop { at, pause: Pause::Flush }).collect();
    if behaviour.gap_ms > 0 {
        let pause = Pause::Wait(Duration::from_millis(behaviour.gap_ms));
        stops.extend(ends.iter().copied().filter(inside).map(|at| Stop { at, pause }));
    }
    stops.extend(scripted.filter(|stop| stop.at <= length));
    stops.sort_by_key(|stop| stop.at);
    stops.into()
}

pub(crate) fn place(at: Position, filled: &Filled<'_>) -> usize {
    let frames = &filled.frames;
    let end = filled.bytes.len();
    match at {
        Position::Bytes(bytes) => usize::try_from(bytes).unwrap_or(usize::MAX).min(end),
        Position::Frame(0) => 0,
        Position::Frame(count) => frames.get(count as usize - 1).map_or(end, |(end, _)| *end),
        Position::Content(0) => {
            let preamble = frames.iter().take_while(|(_, role)| *role == Role::Preamble);
            preamble.last().map_or(0, |(end, _)| *end)
        }
        Position::Content(count) => {
            let mut pieces = frames.iter().filter(|(_, role)| *role == Role::Content);
            pieces.nth(count as usize - 1).map_or(end, |(end, _)| *end)
        }
        Position::End => {
            let before = frames.iter().take_while(|(_, role)| *role != Role::Terminal);
            before.last().map_or(0, |(end, _)| *end)
        }
    }
}

fn joined(parts: &[&[u8]]) -> Bytes {
    let mut all = BytesMut::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        all.extend_from_slice(part);
    }
    all.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        script::{LineEnds, Pings},
        template::{Draft, Frame, Template},
    };

    fn template() -> Template {
        let frames = [
            (Role::Preamble, "start\n\n"),
            (Role::Content, "eins\n\n"),
            (Role::Content, "zwö\n\n"),
            (Role::Terminal, "end\n\n"),
        ];
        let frames = frames.map(|(role, text)| Frame { role, bytes: text.as_bytes().to_vec() });
        Template::new(Draft::Stream(frames.to_vec()), LineEnds::Lf)
    }

    fn script_frames() -> ScriptFrames {
        ScriptFrames {
            error: b"error\n\n".to_vec(),
            malformed: b"broken\n\n".to_vec(),
            ping: b"ping\n\n".to_vec(),
        }
    }

    fn planned(behaviour: &Behaviour) -> Plan {
        plan(template().fill(1), behaviour, &script_frames())
    }

    fn text(plan: &Plan) -> &str {
        std::str::from_utf8(&plan.bytes).unwrap()
    }

    #[test]
    fn faults_break_the_stream_where_they_say() {
        let cut = planned(&Behaviour::failing(Fault::Cut(Position::Content(1))));
        assert_eq!((text(&cut), cut.ending), ("start\n\neins\n\n", Ending::Cut));
        let stalled = planned(&Behaviour::failing(Fault::Stall(Position::Content(0))));
        assert_eq!((text(&stalled), stalled.ending), ("start\n\n", Ending::Stall));
        let at = Position::Frame(0);
        let refused = planned(&Behaviour::failing(Fault::ErrorEvent { at, status: 529, error: None }));
        assert_eq!((text(&refused), refused.ending), ("error\n\n", Ending::Clean));
        let malformed = planned(&Behaviour::failing(Fault::Malformed(Position::Frame(1))));
        assert_eq!(text(&malformed), "start\n\nbroken\n\neins\n\nzwö\n\nend\n\n");
        let endless = planned(&Behaviour::failing(Fault::MissingEnd));
        assert_eq!(text(&endless), "start\n\neins\n\nzwö\n\n");
        let bytes = planned(&Behaviour::failing(Fault::Cut(Position::Bytes(3))));
        assert_eq!(text(&bytes), "sta");
    }

    #[test]
    fn pauses_sit_between_frames() {
        let whole = planned(&Behaviour::default());
        assert!(whole.stops.is_empty());
        let framed = planned(&Behaviour::default().with_writes(Writes::Frames));
        assert_eq!(framed.stops.iter().map(|stop| stop.at).collect::<Vec<_>>(), [7, 13, 19]);
        let split = planned(&Behaviour::default().with_writes(Writes::SplitUtf8));
        assert_eq!(split.stops, [Stop { at: 16, pause: Pause::Flush }]);
        let held = planned(&Behaviour::default().with_hold(Position::Content(1)));
        assert_eq!(held.stops, [Stop { at: 13, pause: Pause::Hold }]);
    }

    #[test]
    fn pings_come_where_they_are_scripted_each_behind_its_pause() {
        let pings =
            |at| Behaviour { pings: Some(Pings { at, count: 2, every_ms: 10 }), ..Behaviour::default() };
        let early =
            planned(&pings(Position::Content(0)).with_pause(Position::Content(0), Duration::from_secs(1)));
        assert_eq!(text(&early), "start\n\nping\n\nping\n\neins\n\nzwö\n\nend\n\n");
        let wait = |at, ms| Stop { at, pause: Pause::Wait(Duration::from_millis(ms)) };
        assert_eq!(early.stops, [wait(7, 10), wait(13, 10), wait(19, 1_000)]);
        let late = planned(&pings(Position::Content(1)).with_fault(Fault::Cut(Position::Content(2))));
        assert_eq!(text(&late), "start\n\neins\n\nping\n\nping\n\nzwö\n\n");
        let ahead_of_the_end =
            planned(&Behaviour::default().with_pause(Position::End, Duration::from_secs(1)));
        assert_eq!(ahead_of_the_end.stops, [wait(19, 1_000)]);
    }

    proptest! {
        #[test]
        fn stops_are_in_order_and_inside(
            size in 1_u32..40, gap in 0_u64..2, hold in proptest::option::of(0_u32..6), broken in 0_u32..6,
        ) {
            let behaviour = Behaviour {
                gap_ms: gap,
                writes: Writes::Bytes(size),
                hold: hold.map(Position::Frame),
                fault: Some(Fault::Malformed(Position::Frame(broken))),
                ..Behaviour::default()
            };
            let plan = planned(&behaviour);
            let places: Vec<usize> = plan.stops.iter().map(|stop| stop.at).collect();
            prop_assert!(places.is_sorted());
            prop_assert!(places.iter().all(|at| *at <= plan.bytes.len()));
        }
    }
}
