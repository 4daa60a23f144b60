//! All that is measured.

use std::time::Duration;

use crate::{
    body::Content,
    limits::{self, Limits},
    options::Options,
    scenario::{Scenario, Slot, SlotKind},
    target::{TargetKind, Tls},
    wire::Wire,
};

/// Pause between the frames of a paced stream.
const PACE: Duration = Duration::from_millis(5);
/// Pause between the frames when many streams are open.
const SLOW_PACE: Duration = Duration::from_millis(100);

/// Scenarios that share their programs.
#[derive(Debug, Clone)]
pub(crate) struct Act {
    /// Acts with the same title share a table.
    pub title: &'static str,
    pub tls: Tls,
    pub scenarios: Vec<Scenario>,
}

/// Streams whose memory is measured, in a node of their own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenStreams {
    pub tls: Tls,
    pub streams: u32,
    /// The most bytes for each.
    pub limit: f64,
}

pub(crate) fn acts(options: &Options) -> Vec<Act> {
    let mut acts = vec![Act { title: "Plaintext", tls: Tls::Nowhere, scenarios: usual(options) }];
    acts.extend(images(options));
    if !options.no_tls {
        acts.extend(with_tls(options));
    }
    let wanted = |scenario: &Scenario| {
        options.only.as_ref().is_none_or(|only| scenario.name.contains(only.as_str()))
            && (!options.quick || scenario.wire == Wire::Chat)
    };
    for act in &mut acts {
        act.scenarios.retain(wanted);
    }
    acts.retain(|act| !act.scenarios.is_empty());
    acts
}

pub(crate) fn open_streams(options: &Options) -> Vec<OpenStreams> {
    let wanted = options.targets.contains(&TargetKind::Node) && options.only.is_none();
    if options.open_streams == 0 || !wanted {
        return Vec::new();
    }
    let plain = (Tls::Nowhere, limits::OPEN_STREAM_BYTES);
    let tls = (Tls::WithClients, limits::OPEN_TLS_STREAM_BYTES);
    let all = [plain, tls].into_iter().filter(|(tls, _)| *tls == Tls::Nowhere || !options.no_tls);
    all.map(|(tls, limit)| OpenStreams { tls, streams: options.open_streams, limit }).collect()
}

fn latency(options: &Options) -> Slot {
    Slot { kind: SlotKind::Latency, concurrency: 1, length: options.slot() }
}

fn throughput(options: &Options) -> Slot {
    Slot { kind: SlotKind::Throughput, concurrency: options.concurrency, length: options.slot() }
}

/// A small request, alone and with many others.
fn small(options: &Options, wire: Wire, stream: bool) -> Scenario {
    let (wire_name, shape) = (wire.name(), if stream { "20 frames" } else { "1 KB, whole" });
    let scenario = Scenario::named(&format!("{wire_name}, {shape}"), wire, Content::Small, stream);
    Scenario { slots: vec![latency(options), throughput(options)], ..scenario }
}

fn usual(options: &Options) -> Vec<Scenario> {
    let both_ways = |wire, stream| {
        let limits = if stream { Limits::STREAM } else { Limits::WHOLE };
        Scenario { converted: true, limits, ..small(options, wire, stream) }
    };
    let mut all: Vec<_> =
        Wire::BOTH.into_iter().flat_map(|wire| [false, true].map(|stream| both_ways(wire, stream))).collect();
    let paced = Scenario::named("messages, a frame each 5 ms", Wire::Messages, Content::Small, true);
    all.push(Scenario { pace: PACE, slots: vec![latency(options)], ..paced });
    all.push(Scenario {
        slots: vec![latency(options)],
        rounds: 3,
        converted: true,
        limits: Limits::AGENT,
        ..Scenario::named("messages, 85 KB with 25 tools, 20 frames", Wire::Messages, Content::Agent, true)
    });
    all.extend(slow_streams(options));
    all
}

/// Many streams at once that take their time.
fn slow_streams(options: &Options) -> Option<Scenario> {
    let slot = Slot { concurrency: options.streams, length: 2 * options.slot(), ..throughput(options) };
    let name = format!("messages, {} slow streams at once", options.streams);
    let slow = Scenario {
        pace: SLOW_PACE,
        slots: vec![slot],
        limits: Limits::SLOW_STREAMS,
        ..Scenario::named(&name, Wire::Messages, Content::Small, true)
    };
    (options.streams > 0).then_some(slow)
}

/// Each of them gets a fresh gateway: what one leaves in the allocator's hands would count as the next one's.
fn images(options: &Options) -> Vec<Act> {
    if options.image_mib == 0 {
        return Vec::new();
    }
    let name = format!("messages, {} MiB image, whole", options.image_mib);
    let raw = Scenario {
        slots: vec![Slot { length: 4 * options.slot(), ..latency(options) }],
        rounds: 1,
        peak: true,
        limits: Limits::IMAGE,
        ..Scenario::named(&name, Wire::Messages, Content::Image(options.image_mib), false)
    };
    let converted = Scenario { raw: false, converted: true, ..raw.clone() };
    let act = |scenario| Act { title: "A large image", tls: Tls::Nowhere, scenarios: vec![scenario] };
    vec![act(raw), act(converted)]
}

/// What TLS costs on either side. Nothing is demanded of it.
fn with_tls(options: &Options) -> [Act; 2] {
    let clients = [false, true].map(|stream| small(options, Wire::Chat, stream)).to_vec();
    let upstream = slow_streams(options).map(|slow| Scenario { limits: Limits::NONE, ..slow });
    [
        Act { title: "TLS with clients", tls: Tls::WithClients, scenarios: clients },
        Act {
            title: "TLS with the upstream",
            tls: Tls::WithUpstream,
            scenarios: upstream.into_iter().collect(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use emulator::{Emulator, EmulatorOptions};

    use super::*;
    use crate::{
        job::{Call, Job},
        load,
        scenario::Sent,
    };

    /// Those of one run, with a smaller image.
    fn scenarios() -> Vec<Scenario> {
        let options = Options::parse_from(["bench", "--image-mib", "1"]);
        acts(&options).into_iter().flat_map(|act| act.scenarios).collect()
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
                let call = Call {
                    addr: emulator.addr(),
                    authority: None,
                    path: wire.path().to_owned(),
                    headers: wire.headers(wire.upstream_key()),
                    body,
                };
                let job = Job { call, concurrency: 1, millis: 1, frames };
                let outcome = load::measure(job.into()).await.unwrap();
                assert_eq!(outcome.first_failure, None, "{}, {}", scenario.name, target.name());
            }
        }
    }

    #[test]
    fn what_is_converted_differs_in_the_model_only() {
        for scenario in scenarios() {
            let (raw, converted) =
                (scenario.sent(TargetKind::Node), scenario.sent(TargetKind::NodeConverting));
            assert_eq!((raw.wire, raw.frames), (converted.wire, converted.frames));
            let renamed = raw.body.replace(raw.wire.model(), raw.wire.other().model());
            assert_eq!(renamed, converted.body);
        }
    }

    #[test]
    fn each_direction_and_shape_has_its_limit() {
        let limited: Vec<_> = scenarios()
            .iter()
            .filter(|scenario| scenario.converted && scenario.limits.converted_cpu == Some(1.35))
            .map(|scenario| (scenario.wire, scenario.stream))
            .collect();
        let both = |wire| [(wire, false), (wire, true)];
        assert_eq!(limited, [both(Wire::Chat), both(Wire::Messages)].concat());
    }

    #[test]
    fn a_quick_run_measures_one_wire_without_tls() {
        let quick = acts(&Options::parse_from(["bench", "--quick"]).complete());
        let names: Vec<_> =
            quick.iter().flat_map(|act| &act.scenarios).map(|scenario| scenario.name.as_str()).collect();
        assert_eq!(names, ["chat, 1 KB, whole", "chat, 20 frames"]);
        assert!(open_streams(&Options::parse_from(["bench", "--quick"]).complete()).is_empty());
    }
}
