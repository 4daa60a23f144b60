//! What is demanded of the numbers.

use crate::{
    limits::{IDLE_STANDALONE_KIB, STEP_MICROS},
    open_streams::Occupied,
    report::{Report, stream_name},
    row::Row,
    target::TargetKind,
};

/// What the checks found, a line each.
#[derive(Debug)]
pub(crate) struct Checks {
    pub lines: Vec<String>,
    pub passed: bool,
}

impl Checks {
    pub(crate) fn of(report: &Report) -> Self {
        let mut checks = Self { lines: Vec::new(), passed: true };
        for row in report.acts.iter().flat_map(|played| played.rows()) {
            let present = TargetKind::ALL.into_iter().filter(|kind| kind.is_gateway() && row.has(*kind));
            for target in present {
                checks.cpu(&row, target);
                checks.time_and_memory(&row, target);
                checks.steps(&row, target);
            }
            checks.failures(&row);
        }
        for occupied in &report.occupied {
            checks.streams(occupied);
        }
        let idle = report.acts.iter().flat_map(|played| &played.resident);
        for resident in idle.filter(|resident| resident.kind == TargetKind::Standalone) {
            let [is, most] = [resident.idle, IDLE_STANDALONE_KIB].map(|kib| kib as f64 / 1024.0);
            checks.add(is <= most, &format!("standalone holds {is:.1} MiB when idle, at most {most:.1}"));
        }
        checks
    }

    fn cpu(&mut self, row: &Row<'_>, target: TargetKind) {
        let (limits, name) = (&row.scenario.limits, target.name());
        let who = format!("{}: ", row.scenario.name);
        let ratio = row.cpu_ratio(target);
        if let Some((limit, ratio)) = limits.cpu(target).zip(ratio) {
            self.add(ratio <= limit, &format!("{who}CPU of {name} is {ratio:.2} × nginx, at most {limit}"));
        }
        if let Some((goal, ratio)) = limits.node_cpu_goal.filter(|_| target == TargetKind::Node).zip(ratio) {
            let reached = if ratio <= goal { "reached" } else { "not reached" };
            self.lines
                .push(format!("goal {who}CPU of {name} is {ratio:.2} × nginx, to become {goal}: {reached}"));
        }
        if let Some((limit, ratio)) = limits.converted_cpu.zip(row.converted_cpu_ratio(target)) {
            self.add(ratio <= limit, &format!("{who}CPU of {name} is {ratio:.2} × raw, at most {limit}"));
        }
    }

    fn time_and_memory(&mut self, row: &Row<'_>, target: TargetKind) {
        let (limits, name) = (&row.scenario.limits, target.name());
        let who = format!("{}: ", row.scenario.name);
        if let Some((limit, added)) = limits.added(target).zip(row.added_whole(target)) {
            self.add(added <= limit, &format!("{who}{name} adds {added:.0} µs, at most {limit:.0}"));
        }
        if let Some((limit, peak)) = limits.peak.zip(row.peak(target)) {
            self.add(
                peak < limit,
                &format!("{who}{name} adds {peak:.2} × the body to memory, below {limit}"),
            );
        }
    }

    fn steps(&mut self, row: &Row<'_>, target: TargetKind) {
        if let Some(gap) = row.gap(target) {
            let allowed = STEP_MICROS + row.scenario.pace.as_micros() as f64;
            let text =
                format!("{}: p99 gap of {} is {:.1} ms", row.scenario.name, target.name(), gap / 1000.0);
            self.add(gap < allowed, &format!("{text}, below {:.0}", allowed / 1000.0));
        }
    }

    fn failures(&mut self, row: &Row<'_>) {
        let all = || row.measurements.values().flatten();
        let failures: u64 = all().map(|one| one.outcome.failures).sum();
        let first = all().find_map(|one| one.outcome.first_failure.as_deref());
        let words = first.map(|first| format!("; the first: {first}")).unwrap_or_default();
        self.add(failures == 0, &format!("{}: {failures} failures{words}", row.scenario.name));
    }

    fn streams(&mut self, occupied: &Occupied) {
        let (name, held) = (stream_name(occupied), &occupied.held);
        let [each, limit] = [occupied.per_stream(), occupied.asked.limit].map(|bytes| bytes / 1000.0);
        self.add(each <= limit, &format!("{name}: the node holds {each:.1} KB for each, at most {limit}"));
        let words =
            held.first_failure.as_ref().map(|first| format!("; the first: {first}")).unwrap_or_default();
        let whole = held.failures == 0 && held.open == u64::from(occupied.asked.streams);
        self.add(whole, &format!("{name}: {} failures{words}", held.failures));
    }

    fn add(&mut self, good: bool, text: &str) {
        self.lines.push(format!("{} {text}", if good { "ok  " } else { "FAIL" }));
        self.passed &= good;
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{
        catalogue,
        job::{Held, Outcome},
        options::Options,
        percentiles::Percentiles,
        report::{Played, Resident},
        rounds::{Measurement, Measurements},
        scenario::SlotKind,
    };

    fn measured(cpu: f64, p50: u32, gap_p99: u32, peak: f64) -> Measurement {
        let times = Percentiles { p50, p90: p50, p99: p50, max: p50 };
        let outcome = Outcome {
            sent: 10,
            measured: 10,
            failures: 0,
            first_failure: None,
            micros: 1_000_000,
            first_byte: times,
            whole: times,
            gap: Percentiles { p99: gap_p99, ..times },
        };
        Measurement { outcome, cpu_micros: Some(cpu), control_micros: None, peak_bodies: Some(peak) }
    }

    /// What a gateway does; nginx takes 10 µs of CPU, and the upstream 100 µs to answer.
    #[derive(Clone, Copy)]
    struct Gateway {
        cpu: f64,
        converted_cpu: f64,
        standalone_cpu: f64,
        p50: u32,
        converted_p50: u32,
        gap: u32,
        peak: f64,
        idle: u64,
        /// KiB for each of 1,000 open streams.
        stream: u64,
    }

    const GOOD: Gateway = Gateway {
        cpu: 15.0,
        converted_cpu: 20.0,
        standalone_cpu: 21.0,
        p50: 200,
        converted_p50: 3_100,
        gap: 900,
        peak: 2.9,
        idle: 50_000,
        stream: 24,
    };

    fn options() -> Options {
        Options::parse_from(["bench", "--open-streams", "1000"])
    }

    /// All scenarios, with the same numbers in each.
    fn report(gateway: Gateway) -> Report {
        let mut one = Measurements::new();
        for slot in [SlotKind::Latency, SlotKind::Throughput] {
            let node = Measurement {
                control_micros: Some(7.0),
                ..measured(gateway.cpu, gateway.p50, 100, gateway.peak)
            };
            let converting =
                measured(gateway.converted_cpu, gateway.converted_p50, gateway.gap, gateway.peak);
            for (target, measured) in [
                (TargetKind::Direct, measured(0.0, 100, 100, 0.0)),
                (TargetKind::DirectOther, measured(0.0, 100, 100, 0.0)),
                (TargetKind::Nginx, measured(10.0, 150, 100, 0.0)),
                (TargetKind::NginxWorkers, measured(12.0, 150, 100, 0.0)),
                (TargetKind::Node, node),
                (TargetKind::NodeConverting, converting),
                (TargetKind::Standalone, measured(gateway.standalone_cpu, 1_100, 100, 1.0)),
            ] {
                one.insert((target, slot), vec![measured]);
            }
        }
        let play = |act: catalogue::Act| {
            let mut measurements = vec![one.clone(); act.scenarios.len()];
            for (scenario, measurements) in act.scenarios.iter().zip(&mut measurements) {
                let slots: Vec<_> = scenario.slots.iter().map(|slot| slot.kind).collect();
                measurements
                    .retain(|(target, slot), _| slots.contains(slot) && scenario.concerns(*target, *slot));
            }
            let (kind, idle) = (TargetKind::Standalone, gateway.idle);
            let resident = vec![Resident { kind, idle, after_load: idle }];
            Played { act, measurements, rounds: 1, resident }
        };
        let occupied = catalogue::open_streams(&options()).into_iter().map(|asked| {
            let held = Held { open: 1_000, ..Held::default() };
            Occupied { asked, before: 20_000, with: 20_000 + 1_000 * gateway.stream, held }
        });
        Report {
            acts: catalogue::acts(&options()).into_iter().map(play).collect(),
            occupied: occupied.collect(),
            notes: Vec::new(),
        }
    }

    /// The checks that fail, each without what its scenario is called.
    fn failing(gateway: Gateway) -> Vec<String> {
        let checks = Checks::of(&report(gateway));
        let failed: Vec<_> = checks.lines.iter().filter(|line| line.starts_with("FAIL")).cloned().collect();
        assert_eq!(checks.passed, failed.is_empty());
        failed
    }

    #[test]
    fn what_keeps_its_promises_passes() {
        assert_eq!(failing(GOOD), Vec::<String>::new());
    }

    #[test]
    fn the_tables_compare_with_nginx_with_raw_and_with_direct() {
        let text = report(GOOD).text(&options());
        for line in [
            "| chat, 20 frames | nginx, 1 worker | 10.0 |  |  |  | 10 |  | 150 | 50 | 150 | 50 | 0.1 |",
            "| chat, 20 frames | nginx, a worker per core | 12.0 | 1.20 |  |  | 10 | 1.00 |  |  |  |  | 0.1 |",
            "| chat, 20 frames | node | 15.0 | 1.50 |  | 7.0 | 10 | 1.00 | 200 | 100 | 200 | 100 | 0.1 |",
            "| chat, 20 frames | node, converting | 20.0 | 2.00 | 1.33 |  | 10 | 1.00 | 3100 | 3000 | 3100 | 3000 | 0.9 |",
            "| chat, 20 frames | standalone | 21.0 | 2.10 |  |  | 10 | 1.00 | 1100 | 1000 | 1100 | 1000 | 0.1 |",
            "| 1000 open streams with TLS | 19.5 | 43.0 | 24.6 |",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let image = text.split("### ").find(|part| part.starts_with("A large image")).unwrap();
        assert!(!image.contains("CPU") && image.contains("÷ body"), "{image}");
    }

    #[test]
    fn dear_and_slow_ones_fail() {
        let raw = failing(Gateway { cpu: 16.1, converted_cpu: 21.0, ..GOOD });
        // Both streams of 20 frames, and the slow ones.
        assert!(raw.len() == 3 && raw.iter().all(|line| line.contains("1.61 × nginx")), "{raw:?}");
        assert_eq!(failing(Gateway { cpu: 22.1, converted_cpu: 25.0, ..GOOD }).len(), 5);
        let converted = failing(Gateway { converted_cpu: 21.0, ..GOOD });
        let all_are_converted = converted.iter().all(|line| line.contains("1.40 × raw"));
        assert!(converted.len() == 4 && all_are_converted, "{converted:?}");
        assert_eq!(failing(Gateway { standalone_cpu: 22.1, ..GOOD }).len(), 3);
        assert_eq!(failing(Gateway { p50: 201, ..GOOD }).len(), 4);
        let slow = failing(Gateway { converted_p50: 3_101, ..GOOD });
        assert!(slow.len() == 1 && slow[0].contains("85 KB"), "{slow:?}");
        assert!(!failing(Gateway { gap: 40_100, ..GOOD }).is_empty());
    }

    #[test]
    fn fat_ones_fail() {
        let fat = failing(Gateway { peak: 3.0, ..GOOD });
        assert!(fat.len() == 2 && fat.iter().all(|line| line.contains("adds 3.00 × the body")), "{fat:?}");
        assert!(!failing(Gateway { idle: 70_000, ..GOOD }).is_empty());
        assert_eq!(failing(Gateway { stream: 25, ..GOOD }).len(), 1);
        assert_eq!(failing(Gateway { stream: 60, ..GOOD }).len(), 2);
    }

    #[test]
    fn goals_are_told_and_not_demanded() {
        let lines = Checks::of(&report(GOOD)).lines;
        let goals: Vec<_> = lines.iter().filter(|line| line.starts_with("goal")).collect();
        assert_eq!(goals.len(), 4);
        assert_eq!(goals.iter().filter(|line| line.ends_with("not reached")).count(), 2);
    }
}
