//! The table, and what is demanded of it.

use crate::{
    options::{Options, TargetKind},
    percentiles::median,
    rounds::{Measurement, Measurements},
    scenario::{Scenario, SlotKind},
};

/// A gap this long, in microseconds, where none is meant, is Nagle waiting for a delayed acknowledgement.
const STEP_MICROS: f64 = 40_000.0;
/// The most memory of the idle gateway, in KiB.
const IDLE_LIMIT_KIB: u64 = 55 * 1024;

const HEAD: &str = "| | | CPU µs per request | ÷ nginx | ÷ raw | requests/s | ÷ nginx | first byte p50 µs, c = 1 | added to direct | whole p50 µs, c = 1 | added to direct | ÷ nginx's | gap p99 ms | peak memory added ÷ body |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

/// Resident memory of a gateway in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Resident {
    pub idle: Option<u64>,
    pub after_load: Option<u64>,
}

/// What one gateway's scenarios gave.
#[derive(Debug)]
pub(crate) struct Played {
    pub scenarios: Vec<Scenario>,
    /// A place for each scenario.
    pub measurements: Vec<Measurements>,
    pub rounds: u32,
    pub resident: Resident,
}

#[derive(Debug)]
pub(crate) struct Report {
    acts: Vec<Played>,
    conditions: String,
}

/// What the checks found, a line each.
#[derive(Debug)]
pub(crate) struct Checks {
    pub lines: Vec<String>,
    pub passed: bool,
}

impl Report {
    pub(crate) fn new(options: &Options, acts: Vec<Played>) -> Self {
        let rounds = acts.iter().map(|act| act.rounds).max().unwrap_or_default();
        let conditions = format!(
            "Medians of at most {rounds} rounds of {} ms each; CPU and requests/s at c = {} (or as many streams as named), {} threads or workers per proxy, upstream and client on the same machine. Converting: the same request, for a model of the other platform; what it adds is the time above asking that platform directly for the same in its own wire. Peak memory: the highest resident memory (VmHWM) while such requests are sent one at a time, less what a fresh gateway holds after small ones, divided by the body's size.",
            options.slot_ms,
            options.concurrency,
            options.proxy_threads(),
        );
        Self { acts, conditions }
    }

    pub(crate) fn table(&self) -> String {
        let mut lines = vec![HEAD.to_owned()];
        for (scenario, row) in self.rows() {
            let targets = TargetKind::ALL.into_iter().filter(|target| row.has(*target));
            lines.extend(targets.map(|target| row.line(scenario, target)));
        }
        lines.push(String::new());
        lines.push(self.conditions.clone());
        for act in &self.acts {
            if let (Some(idle), Some(after)) = (act.resident.idle, act.resident.after_load) {
                let last = act.scenarios.last().map_or("nothing", |scenario| scenario.name.as_str());
                lines.push(format!(
                    "Resident memory of switchyard: {} idle, {} after the load (the last was: {last}).",
                    mib(idle),
                    mib(after)
                ));
            }
        }
        lines.join("\n")
    }

    pub(crate) fn checks(&self) -> Checks {
        let mut checks = Checks { lines: vec![String::new()], passed: true };
        for (scenario, row) in self.rows() {
            let gateways: Vec<_> =
                TargetKind::ALL.into_iter().filter(|kind| kind.is_gateway() && row.has(*kind)).collect();
            let alone = if row.has(TargetKind::Nginx) { vec![TargetKind::Nginx] } else { Vec::new() };
            for target in if gateways.is_empty() { alone } else { gateways } {
                checks.cost(scenario, &row, target);
                checks.steps(scenario, &row, target);
            }
            checks.failures(scenario, &row);
        }
        for idle in self.acts.iter().filter_map(|act| act.resident.idle) {
            let text = format!("idle memory of switchyard is {}, at most {}", mib(idle), mib(IDLE_LIMIT_KIB));
            checks.add(idle <= IDLE_LIMIT_KIB, &text);
        }
        checks
    }

    fn rows(&self) -> impl Iterator<Item = (&Scenario, Row<'_>)> {
        self.acts.iter().flat_map(|act| act.scenarios.iter().zip(act.measurements.iter().map(Row::of)))
    }
}

impl Checks {
    /// CPU, time and memory of a target.
    fn cost(&mut self, scenario: &Scenario, row: &Row<'_>, target: TargetKind) {
        let limits = &scenario.limits;
        let converting = target == TargetKind::Converted;
        let who = format!("{}: ", scenario.name);
        if let Some((limit, ratio)) = limits.cpu.filter(|_| !converting).zip(row.cpu_ratio(target)) {
            let text = format!("{who}CPU of {} is {ratio:.2} × nginx, at most {limit}", target.name());
            self.add(ratio <= limit, &text);
        }
        if let Some((limit, ratio)) = limits.converted_cpu.zip(row.converted_cpu_ratio(target)) {
            let text = format!("{who}CPU of {} is {ratio:.2} × raw, at most {limit}", target.name());
            self.add(ratio <= limit, &text);
        }
        let added = row.added(target, |one| f64::from(one.outcome.whole.p50));
        if let Some(([raw, converted], added)) = limits.added.zip(added) {
            let limit = if converting { converted } else { raw };
            let text = format!("{who}{} adds {added:.0} µs, at most {limit:.0}", target.name());
            self.add(added <= limit, &text);
        }
        if let Some((limit, peak)) = limits.peak.zip(row.peak(target)) {
            let text = format!("{who}{} adds {peak:.2} × the body to memory, below {limit}", target.name());
            self.add(peak < limit, &text);
        }
    }

    fn steps(&mut self, scenario: &Scenario, row: &Row<'_>, target: TargetKind) {
        let gap = row.gap(target).filter(|_| scenario.stream);
        if let Some(gap) = gap {
            let allowed = STEP_MICROS + scenario.pace.as_micros() as f64;
            let text = format!("{}: p99 gap of {} is {:.1} ms", scenario.name, target.name(), gap / 1000.0);
            self.add(gap < allowed, &format!("{text}, below {:.0}", allowed / 1000.0));
        }
    }

    fn failures(&mut self, scenario: &Scenario, row: &Row<'_>) {
        let all = || row.measurements.values().flatten();
        let failures: u64 = all().map(|one| one.outcome.failures).sum();
        let first = all().find_map(|one| one.outcome.first_failure.as_deref());
        let words = first.map(|first| format!("; the first: {first}")).unwrap_or_default();
        self.add(failures == 0, &format!("{}: {failures} failures{words}", scenario.name));
    }

    fn add(&mut self, good: bool, text: &str) {
        self.lines.push(format!("{} {text}", if good { "ok  " } else { "FAIL" }));
        self.passed &= good;
    }
}

/// The numbers of one scenario.
struct Row<'m> {
    measurements: &'m Measurements,
}

impl<'m> Row<'m> {
    const fn of(measurements: &'m Measurements) -> Self {
        Self { measurements }
    }

    fn has(&self, target: TargetKind) -> bool {
        self.measurements.keys().any(|(known, _)| *known == target)
    }

    fn median(
        &self,
        target: TargetKind,
        slot: SlotKind,
        value: impl Fn(&Measurement) -> Option<f64>,
    ) -> Option<f64> {
        median(self.measurements.get(&(target, slot))?.iter().filter_map(value).collect())
    }

    /// The median of the differences within each round from the upstream that the target asks, directly asked.
    fn added(&self, target: TargetKind, value: impl Fn(&Measurement) -> f64) -> Option<f64> {
        let without = match target {
            TargetKind::Direct | TargetKind::DirectOther => return None,
            TargetKind::Nginx | TargetKind::Switchyard => TargetKind::Direct,
            TargetKind::Converted => TargetKind::DirectOther,
        };
        let direct = self.measurements.get(&(without, SlotKind::Latency))?;
        let through = self.measurements.get(&(target, SlotKind::Latency))?;
        median(through.iter().zip(direct).map(|(through, direct)| value(through) - value(direct)).collect())
    }

    /// The median of the quotients within each round.
    fn ratio(
        &self,
        [target, other]: [TargetKind; 2],
        slot: SlotKind,
        value: impl Fn(&Measurement) -> Option<f64>,
    ) -> Option<f64> {
        let divisors = self.measurements.get(&(other, slot))?;
        let dividends = self.measurements.get(&(target, slot))?;
        let quotient = |(dividend, divisor)| Some(value(dividend)? / value(divisor)?);
        median(
            dividends.iter().zip(divisors).filter_map(quotient).filter(|ratio| ratio.is_finite()).collect(),
        )
    }

    fn cpu_ratio(&self, target: TargetKind) -> Option<f64> {
        self.ratio([target, TargetKind::Nginx], SlotKind::Throughput, |one| one.cpu_micros)
    }

    /// CPU of what is converted, as a multiple of the raw way's.
    fn converted_cpu_ratio(&self, target: TargetKind) -> Option<f64> {
        let both = (target == TargetKind::Converted).then_some([target, TargetKind::Switchyard])?;
        self.ratio(both, SlotKind::Throughput, |one| one.cpu_micros)
    }

    /// One request at a time, where that was measured.
    fn gap(&self, target: TargetKind) -> Option<f64> {
        let gap = |slot| self.median(target, slot, gap_p99);
        gap(SlotKind::Latency).or_else(|| gap(SlotKind::Throughput))
    }

    /// Of the whole run: a peak is no matter of luck.
    fn peak(&self, target: TargetKind) -> Option<f64> {
        let measured = self.measurements.get(&(target, SlotKind::Latency))?;
        measured.iter().filter_map(|one| one.peak_bodies).reduce(f64::max)
    }

    fn line(&self, scenario: &Scenario, target: TargetKind) -> String {
        let busy = SlotKind::Throughput;
        let single = SlotKind::Latency;
        let others = if target == TargetKind::Nginx { None } else { Some(target) };
        let rate = |one: &Measurement| Some(one.outcome.per_second());
        let added_whole = self.added(target, |one| f64::from(one.outcome.whole.p50));
        let nginx_added = self.added(TargetKind::Nginx, |one| f64::from(one.outcome.whole.p50));
        let slower = added_whole.zip(nginx_added).map(|(ours, nginx)| ours / nginx);
        let rate_ratio = |target| self.ratio([target, TargetKind::Nginx], busy, rate);
        let cells = [
            scenario.name.clone(),
            target.name().to_owned(),
            number(self.median(target, busy, |one| one.cpu_micros), 1),
            number(others.and_then(|target| self.cpu_ratio(target)), 2),
            number(self.converted_cpu_ratio(target), 2),
            number(self.median(target, busy, rate), 0),
            number(others.and_then(rate_ratio), 2),
            number(self.median(target, single, |one| Some(f64::from(one.outcome.first_byte.p50))), 0),
            number(self.added(target, |one| f64::from(one.outcome.first_byte.p50)), 0),
            number(self.median(target, single, |one| Some(f64::from(one.outcome.whole.p50))), 0),
            number(added_whole, 0),
            number(slower.filter(|_| others.is_some() && scenario.pace.is_zero()), 2),
            number(self.gap(target).filter(|_| scenario.stream).map(|gap| gap / 1000.0), 1),
            number(self.peak(target), 2),
        ];
        format!("| {} |", cells.join(" | "))
    }
}

fn gap_p99(one: &Measurement) -> Option<f64> {
    Some(f64::from(one.outcome.gap.p99))
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.digits$}"))
}

fn mib(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::{job::Outcome, percentiles::Percentiles};

    fn measured(cpu: Option<f64>, p50: u32, gap_p99: u32, peak: Option<f64>) -> Measurement {
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
        Measurement { outcome, cpu_micros: cpu, peak_bodies: peak }
    }

    /// What a gateway does; nginx takes 10 µs of CPU, and the upstream 100 µs to answer.
    #[derive(Clone, Copy)]
    struct Gateway {
        cpu: f64,
        converted_cpu: f64,
        p50: u32,
        converted_p50: u32,
        gap: u32,
        peak: f64,
        idle: u64,
    }

    const GOOD: Gateway = Gateway {
        cpu: 24.0,
        converted_cpu: 36.0,
        p50: 1_100,
        converted_p50: 3_100,
        gap: 900,
        peak: 2.9,
        idle: 50_000,
    };

    /// All scenarios, with the same numbers in each.
    fn report(gateway: Gateway) -> Report {
        let options = Options::parse_from(["bench"]);
        let scenarios = [Scenario::all(&options), Scenario::large(&options)].concat();
        let mut one = Measurements::new();
        for slot in [SlotKind::Latency, SlotKind::Throughput] {
            for (target, measured) in [
                (TargetKind::Direct, measured(None, 100, 100, None)),
                (TargetKind::DirectOther, measured(None, 100, 100, None)),
                (TargetKind::Nginx, measured(Some(10.0), 200, 100, None)),
                (TargetKind::Switchyard, measured(Some(gateway.cpu), gateway.p50, 100, Some(1.0))),
                (
                    TargetKind::Converted,
                    measured(
                        Some(gateway.converted_cpu),
                        gateway.converted_p50,
                        gateway.gap,
                        Some(gateway.peak),
                    ),
                ),
            ] {
                one.insert((target, slot), vec![measured]);
            }
        }
        let mut measurements = vec![one; scenarios.len()];
        for (scenario, measurements) in scenarios.iter().zip(&mut measurements) {
            measurements.retain(|(target, slot), _| scenario.concerns(*target, *slot));
        }
        let resident = Resident { idle: Some(gateway.idle), after_load: Some(gateway.idle) };
        Report::new(&options, vec![Played { scenarios, measurements, rounds: 1, resident }])
    }

    /// The checks that fail, each without what its scenario is called.
    fn failing(gateway: Gateway) -> Vec<String> {
        let checks = report(gateway).checks();
        let failed: Vec<_> = checks.lines.iter().filter(|line| line.starts_with("FAIL")).cloned().collect();
        assert_eq!(checks.passed, failed.is_empty());
        failed
    }

    #[test]
    fn what_keeps_its_promises_passes() {
        assert_eq!(failing(GOOD), Vec::<String>::new());
    }

    #[test]
    fn the_table_compares_with_nginx_with_raw_and_with_direct() {
        let table = report(GOOD).table();
        for line in [
            "| chat, 20 frames | nginx | 10.0 |  |  | 10 |  | 200 | 100 | 200 | 100 |  | 0.1 |  |",
            "| chat, 20 frames | switchyard | 24.0 | 2.40 |  | 10 | 1.00 | 1100 | 1000 | 1100 | 1000 | 10.00 | 0.1 | 1.00 |",
            "| chat, 20 frames | switchyard, converting | 36.0 | 3.60 | 1.50 | 10 | 1.00 | 3100 | 3000 | 3100 | 3000 | 30.00 | 0.9 | 2.90 |",
        ] {
            assert!(table.contains(line), "{line}\n{table}");
        }
    }

    #[test]
    fn dear_slow_and_fat_ones_fail() {
        let raw = failing(Gateway { cpu: 26.0, ..GOOD });
        assert!(raw.len() == 2 && raw.iter().all(|line| line.contains("2.60 × nginx")), "{raw:?}");
        let converted = failing(Gateway { converted_cpu: 37.0, ..GOOD });
        assert!(
            converted.len() == 4 && converted.iter().all(|line| line.contains("1.54 × raw")),
            "{converted:?}"
        );
        for slow in [Gateway { p50: 1_101, ..GOOD }, Gateway { converted_p50: 3_101, ..GOOD }] {
            let failed = failing(slow);
            assert!(failed.len() == 1 && failed[0].contains("85 KB"), "{failed:?}");
        }
        let fat = failing(Gateway { peak: 3.0, ..GOOD });
        assert!(fat.len() == 1 && fat[0].contains("converting adds 3.00 × the body"), "{fat:?}");
        assert!(!failing(Gateway { gap: 40_100, ..GOOD }).is_empty());
        assert_eq!(failing(Gateway { idle: 70_000, ..GOOD }).len(), 1);
    }
}
