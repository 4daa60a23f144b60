//! The numbers of one scenario, over all its rounds.

use crate::{
    percentiles::median,
    rounds::{Measurement, Measurements},
    scenario::{Scenario, SlotKind},
    target::TargetKind,
};

/// What stands above the cells of [`Row::cells`].
pub(crate) const HEAD: [&str; 14] = [
    "",
    "",
    "CPU µs per request",
    "÷ nginx",
    "÷ raw",
    "of its control plane",
    "requests/s",
    "÷ nginx",
    "first byte p50 µs, c = 1",
    "added to direct",
    "whole p50 µs, c = 1",
    "added to direct",
    "gap p99 ms",
    "peak memory added ÷ body",
];

pub(crate) struct Row<'m> {
    pub scenario: &'m Scenario,
    pub measurements: &'m Measurements,
}

impl Row<'_> {
    pub(crate) fn has(&self, target: TargetKind) -> bool {
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
        let direct = self.measurements.get(&(target.without()?, SlotKind::Latency))?;
        let through = self.measurements.get(&(target, SlotKind::Latency))?;
        median(through.iter().zip(direct).map(|(through, direct)| value(through) - value(direct)).collect())
    }

    pub(crate) fn added_whole(&self, target: TargetKind) -> Option<f64> {
        self.added(target, |one| f64::from(one.outcome.whole.p50))
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

    pub(crate) fn cpu_ratio(&self, target: TargetKind) -> Option<f64> {
        self.ratio([target, TargetKind::Nginx], SlotKind::Throughput, |one| one.cpu_micros)
    }

    /// CPU of what is converted, as a multiple of the raw way's.
    pub(crate) fn converted_cpu_ratio(&self, target: TargetKind) -> Option<f64> {
        let both = (target == TargetKind::NodeConverting).then_some([target, TargetKind::Node])?;
        self.ratio(both, SlotKind::Throughput, |one| one.cpu_micros)
    }

    /// One request at a time, where that was measured.
    pub(crate) fn gap(&self, target: TargetKind) -> Option<f64> {
        let gap = |slot| self.median(target, slot, |one| Some(f64::from(one.outcome.gap.p99)));
        let gap = gap(SlotKind::Latency).or_else(|| gap(SlotKind::Throughput));
        gap.filter(|_| self.scenario.stream)
    }

    /// Of the whole run: a peak is no matter of luck.
    pub(crate) fn peak(&self, target: TargetKind) -> Option<f64> {
        let measured = self.measurements.get(&(target, SlotKind::Latency))?;
        measured.iter().filter_map(|one| one.peak_bodies).reduce(f64::max)
    }

    pub(crate) fn cells(&self, target: TargetKind) -> Vec<String> {
        let (busy, single) = (SlotKind::Throughput, SlotKind::Latency);
        let compared = (target != TargetKind::Nginx).then_some(target);
        let rate = |one: &Measurement| Some(one.outcome.per_second());
        let rate_ratio = |target| self.ratio([target, TargetKind::Nginx], busy, rate);
        let first_byte = |one: &Measurement| f64::from(one.outcome.first_byte.p50);
        let whole = |one: &Measurement| f64::from(one.outcome.whole.p50);
        vec![
            self.scenario.name.clone(),
            target.name().to_owned(),
            number(self.median(target, busy, |one| one.cpu_micros), 1),
            number(compared.and_then(|target| self.cpu_ratio(target)), 2),
            number(self.converted_cpu_ratio(target), 2),
            number(self.median(target, busy, |one| one.control_micros), 1),
            number(self.median(target, busy, rate), 0),
            number(compared.and_then(rate_ratio), 2),
            number(self.median(target, single, |one| Some(first_byte(one))), 0),
            number(self.added(target, first_byte), 0),
            number(self.median(target, single, |one| Some(whole(one))), 0),
            number(self.added_whole(target), 0),
            number(self.gap(target).map(|gap| gap / 1000.0), 1),
            number(self.peak(target), 2),
        ]
    }
}

pub(crate) fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.digits$}"))
}
