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
const IDLE_LIMIT_KIB: u64 = 60 * 1024;

const HEAD: &str = "| | | CPU µs per request | ÷ nginx | requests/s | ÷ nginx | first byte p50 µs, c = 1 | added to direct | whole p50 µs, c = 1 | added to direct | ÷ nginx's | gap p99 ms |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

/// Resident memory of the gateway in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Resident {
    pub idle: Option<u64>,
    pub after_load: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Report {
    scenarios: Vec<Scenario>,
    measurements: Vec<Measurements>,
    conditions: String,
    resident: Resident,
}

/// What the checks found, a line each.
#[derive(Debug)]
pub(crate) struct Checks {
    pub lines: Vec<String>,
    pub passed: bool,
}

impl Report {
    pub(crate) fn new(
        options: &Options,
        scenarios: Vec<Scenario>,
        measurements: Vec<Measurements>,
        rounds: u32,
        resident: Resident,
    ) -> Self {
        let conditions = format!(
            "Medians of {rounds} rounds of {} ms each; CPU and requests/s at c = {} (or as many streams as named), {} threads or workers per proxy, upstream and client on the same machine.",
            options.slot_ms,
            options.concurrency,
            options.proxy_threads(),
        );
        Self { scenarios, measurements, conditions, resident }
    }

    pub(crate) fn table(&self) -> String {
        let mut lines = vec![HEAD.to_owned()];
        for (scenario, measurements) in self.scenarios.iter().zip(&self.measurements) {
            let row = Row { measurements };
            let targets = [TargetKind::Direct, TargetKind::Nginx, TargetKind::Switchyard];
            lines.extend(
                targets
                    .into_iter()
                    .filter(|target| row.has(*target))
                    .map(|target| row.line(scenario, target)),
            );
        }
        lines.push(String::new());
        lines.push(self.conditions.clone());
        if let (Some(idle), Some(after)) = (self.resident.idle, self.resident.after_load) {
            lines.push(format!(
                "Resident memory of switchyard: {} idle, {} after the load.",
                mib(idle),
                mib(after)
            ));
        }
        lines.join("\n")
    }

    pub(crate) fn checks(&self) -> Checks {
        let mut checks = Checks { lines: vec![String::new()], passed: true };
        let judged = [TargetKind::Switchyard, TargetKind::Nginx];
        for (scenario, measurements) in self.scenarios.iter().zip(&self.measurements) {
            let row = Row { measurements };
            let Some(target) = judged.into_iter().find(|target| row.has(*target)) else {
                continue;
            };
            if let Some((limit, ratio)) = scenario.cpu_limit.zip(row.cpu_ratio(target)) {
                let name = format!("{}: CPU of {} is {ratio:.2} × nginx", scenario.name, target.name());
                checks.add(ratio <= limit, &format!("{name}, at most {limit}"));
            }
            if scenario.stream {
                let slot = if row.median(target, SlotKind::Latency, gap_p99).is_some() {
                    SlotKind::Latency
                } else {
                    SlotKind::Throughput
                };
                if let Some(gap) = row.median(target, slot, gap_p99) {
                    let allowed = STEP_MICROS + scenario.pace.as_micros() as f64;
                    let text =
                        format!("{}: p99 gap of {} is {:.1} ms", scenario.name, target.name(), gap / 1000.0);
                    checks.add(gap < allowed, &format!("{text}, below {:.0}", allowed / 1000.0));
                }
            }
            let failures: u64 = measurements.values().flatten().map(|one| one.outcome.failures).sum();
            let first = measurements.values().flatten().find_map(|one| one.outcome.first_failure.as_deref());
            let words = first.map(|first| format!("; the first: {first}")).unwrap_or_default();
            checks.add(failures == 0, &format!("{}: {failures} failures{words}", scenario.name));
        }
        if let Some(idle) = self.resident.idle {
            let text = format!("idle memory of switchyard is {}, at most {}", mib(idle), mib(IDLE_LIMIT_KIB));
            checks.add(idle <= IDLE_LIMIT_KIB, &text);
        }
        checks
    }
}

impl Checks {
    fn add(&mut self, good: bool, text: &str) {
        self.lines.push(format!("{} {text}", if good { "ok  " } else { "FAIL" }));
        self.passed &= good;
    }
}

/// The numbers of one scenario.
struct Row<'m> {
    measurements: &'m Measurements,
}

impl Row<'_> {
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

    /// The median of the differences within each round.
    fn added(&self, target: TargetKind, value: impl Fn(&Measurement) -> f64) -> Option<f64> {
        let direct = self.measurements.get(&(TargetKind::Direct, SlotKind::Latency))?;
        let through = self.measurements.get(&(target, SlotKind::Latency))?;
        median(through.iter().zip(direct).map(|(through, direct)| value(through) - value(direct)).collect())
    }

    /// The median of the quotients within each round.
    fn ratio(
        &self,
        target: TargetKind,
        slot: SlotKind,
        value: impl Fn(&Measurement) -> Option<f64>,
    ) -> Option<f64> {
        let nginx = self.measurements.get(&(TargetKind::Nginx, slot))?;
        let other = self.measurements.get(&(target, slot))?;
        let quotient = |(other, nginx)| Some(value(other)? / value(nginx)?);
        median(other.iter().zip(nginx).filter_map(quotient).filter(|ratio| ratio.is_finite()).collect())
    }

    fn cpu_ratio(&self, target: TargetKind) -> Option<f64> {
        self.ratio(target, SlotKind::Throughput, |one| one.cpu_micros)
    }

    fn line(&self, scenario: &Scenario, target: TargetKind) -> String {
        let busy = SlotKind::Throughput;
        let single = SlotKind::Latency;
        let others = if target == TargetKind::Nginx { None } else { Some(target) };
        let rate = |one: &Measurement| Some(one.outcome.per_second());
        let added_whole = self.added(target, |one| f64::from(one.outcome.whole.p50));
        let nginx_added = self.added(TargetKind::Nginx, |one| f64::from(one.outcome.whole.p50));
        let through = target != TargetKind::Direct;
        let slower = added_whole.zip(nginx_added).map(|(ours, nginx)| ours / nginx).filter(|_| through);
        let gap = self.median(target, single, gap_p99).or_else(|| self.median(target, busy, gap_p99));
        let cells = [
            scenario.name.clone(),
            target.name().to_owned(),
            number(self.median(target, busy, |one| one.cpu_micros), 1),
            number(others.and_then(|target| self.cpu_ratio(target)), 2),
            number(self.median(target, busy, rate), 0),
            number(others.and_then(|target| self.ratio(target, busy, rate)), 2),
            number(self.median(target, single, |one| Some(f64::from(one.outcome.first_byte.p50))), 0),
            number(self.added(target, |one| f64::from(one.outcome.first_byte.p50)).filter(|_| through), 0),
            number(self.median(target, single, |one| Some(f64::from(one.outcome.whole.p50))), 0),
            number(added_whole.filter(|_| through), 0),
            number(slower.filter(|_| others.is_some() && scenario.pace.is_zero()), 2),
            number(gap.filter(|_| scenario.stream).map(|gap| gap / 1000.0), 1),
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

    fn measured(cpu: Option<f64>, gap_p99: u32) -> Measurement {
        let times = Percentiles { p50: 100, p90: 100, p99: gap_p99, max: gap_p99 };
        let outcome = Outcome {
            sent: 10,
            measured: 10,
            failures: 0,
            first_failure: None,
            micros: 1_000_000,
            first_byte: times,
            whole: times,
            gap: times,
        };
        Measurement { outcome, cpu_micros: cpu }
    }

    fn report(cpu: f64, gap_p99: u32, idle: u64) -> Report {
        let options = Options::parse_from(["bench"]);
        let scenarios: Vec<Scenario> = Scenario::all(&options)
            .into_iter()
            .filter(|scenario| scenario.name == "chat, 20 frames")
            .collect();
        let mut measurements = Measurements::new();
        for slot in [SlotKind::Latency, SlotKind::Throughput] {
            measurements.insert((TargetKind::Direct, slot), vec![measured(None, 100)]);
            measurements.insert((TargetKind::Nginx, slot), vec![measured(Some(10.0), 100)]);
            measurements.insert((TargetKind::Switchyard, slot), vec![measured(Some(cpu), gap_p99)]);
        }
        let resident = Resident { idle: Some(idle), after_load: Some(idle) };
        Report::new(&options, scenarios, vec![measurements], 1, resident)
    }

    #[test]
    fn what_keeps_its_promises_passes() {
        let report = report(24.0, 900, 50_000);
        assert!(report.checks().passed, "{:?}", report.checks());
        assert!(
            report.table().contains("| chat, 20 frames | switchyard | 24.0 | 2.40 | 10 | 1.00 |"),
            "{}",
            report.table()
        );
    }

    #[test]
    fn dear_slow_and_fat_ones_fail() {
        assert!(!report(26.0, 900, 50_000).checks().passed);
        assert!(!report(24.0, 40_100, 50_000).checks().passed);
        assert!(!report(24.0, 900, 70_000).checks().passed);
    }
}
