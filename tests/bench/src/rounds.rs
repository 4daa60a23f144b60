//! Measures: each scenario, each slot of it, each target in turn, again and again.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    child::{Process, TICK_MILLIS},
    job::{Call, Job, Order, Outcome},
    options::Options,
    scenario::{Scenario, Sent, Slot, SlotKind},
    target::TargetKind,
    upstream::Upstream,
};

/// What a target does for answered requests (records are written, sent and taken in) counts as theirs: its CPU time is
/// read once it has stood still for this long, or after so long.
const STILL: Duration = Duration::from_millis(50);
const STILL_WITHIN: Duration = Duration::from_secs(1);

/// Somebody to send requests to.
#[derive(Debug)]
pub(crate) struct Target<'p> {
    pub kind: TargetKind,
    pub addr: SocketAddr,
    /// PEM file of the authority to trust, where TLS is spoken.
    pub authority: Option<PathBuf>,
    /// None where nothing stands between client and upstream.
    pub process: Option<&'p Process>,
    /// The control plane, where it is a process of its own.
    pub control: Option<&'p Process>,
    /// None: the upstream's own keys.
    pub key: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    pub outcome: Outcome,
    /// CPU time of the target, per request.
    pub cpu_micros: Option<f64>,
    /// The same of its control plane.
    pub control_micros: Option<f64>,
    /// Peak of the target's memory above what it has where bodies are small, as a multiple of the body's size.
    pub peak_bodies: Option<f64>,
}

/// The measurements of a scenario, by target and slot, a list with one for each round.
pub(crate) type Measurements = BTreeMap<(TargetKind, SlotKind), Vec<Measurement>>;

/// What all rounds together gave, a place for each scenario.
pub(crate) async fn measure(
    options: &Options,
    scenarios: &[Scenario],
    upstream: &Upstream,
    load: &mut Process,
    targets: &[Target<'_>],
) -> io::Result<(Vec<Measurements>, u32)> {
    let start = Instant::now();
    let mut all = vec![Measurements::new(); scenarios.len()];
    let mut rounds = 0;
    let most = scenarios.iter().map(|scenario| scenario.rounds.min(options.rounds)).max().unwrap_or(0);
    while rounds < most && start.elapsed() < Duration::from_secs(options.max_seconds) {
        for (scenario, measurements) in scenarios.iter().zip(&mut all) {
            if rounds >= scenario.rounds {
                continue;
            }
            upstream.answer_as(|wire| scenario.behaviour(wire)).await?;
            for slot in &scenario.slots {
                let concerned = |target: &&Target<'_>| scenario.concerns(target.kind, slot.kind);
                for target in in_turn(targets, rounds).filter(concerned) {
                    let measured = match target.process.filter(|_| scenario.peak && target.kind.is_gateway())
                    {
                        Some(process) => measure_peak(scenario, *slot, target, process, load).await?,
                        None => measure_one(scenario, *slot, target, load).await?,
                    };
                    measurements.entry((target.kind, slot.kind)).or_default().push(measured);
                }
            }
        }
        rounds += 1;
        crate::say(&mut io::stderr(), &format!("round {rounds} of {most} done"));
    }
    Ok((all, rounds))
}

/// Another one begins in each round.
fn in_turn<'t, 'p>(targets: &'t [Target<'p>], round: u32) -> impl Iterator<Item = &'t Target<'p>> {
    let first = round as usize % targets.len().max(1);
    targets.iter().cycle().skip(first).take(targets.len())
}

/// Serving anything at all takes memory that stays. So small bodies come first, and what they leave is not counted.
async fn measure_peak(
    scenario: &Scenario,
    slot: Slot,
    target: &Target<'_>,
    process: &Process,
    load: &mut Process,
) -> io::Result<Measurement> {
    measure_one(&scenario.with_small_bodies(), slot, target, load).await?;
    let usual = process.resident()?;
    process.forget_peak()?;
    let measured = measure_one(scenario, slot, target, load).await?;
    let added = process.peak()?.saturating_sub(usual) * 1024;
    let body = scenario.sent(target.kind).body.len().max(1);
    Ok(Measurement { peak_bodies: Some(added as f64 / body as f64), ..measured })
}

async fn measure_one(
    scenario: &Scenario,
    slot: Slot,
    target: &Target<'_>,
    load: &mut Process,
) -> io::Result<Measurement> {
    let Sent { wire, body, frames } = scenario.sent(target.kind);
    let job = Job {
        call: Call {
            addr: target.addr,
            authority: target.authority.clone(),
            path: wire.path().to_owned(),
            headers: wire.headers(target.key.as_deref().unwrap_or(wire.upstream_key())),
            body,
        },
        concurrency: slot.concurrency,
        millis: u64::try_from(slot.length.as_millis()).unwrap_or(u64::MAX),
        frames,
    };
    let before = CpuTimes::of(target)?;
    load.tell(&serde_json::to_string(&Order::Repeat(job)).map_err(io::Error::other)?).await?;
    let outcome: Outcome = serde_json::from_str(&load.line().await?).map_err(io::Error::other)?;
    let after = CpuTimes::settled(target).await?;
    let per_request = |before: Option<Duration>, after: Option<Duration>| {
        let used = after?.saturating_sub(before?);
        Some(used.as_secs_f64() * 1e6 / outcome.sent.max(1) as f64)
    };
    Ok(Measurement {
        cpu_micros: per_request(before.target, after.target),
        control_micros: per_request(before.control, after.control),
        peak_bodies: None,
        outcome,
    })
}

/// CPU time so far.
#[derive(Debug, Clone, Copy)]
struct CpuTimes {
    target: Option<Duration>,
    control: Option<Duration>,
}

impl CpuTimes {
    fn of(target: &Target<'_>) -> io::Result<Self> {
        Ok(Self {
            target: target.process.map(Process::cpu).transpose()?,
            control: target.control.map(Process::cpu).transpose()?,
        })
    }

    /// Once they stand still.
    async fn settled(target: &Target<'_>) -> io::Result<Self> {
        let until = Instant::now() + STILL_WITHIN;
        let mut before = Self::of(target)?;
        loop {
            tokio::time::sleep(STILL).await;
            let now = Self::of(target)?;
            if now.all().saturating_sub(before.all()) <= Duration::from_millis(TICK_MILLIS)
                || Instant::now() >= until
            {
                return Ok(now);
            }
            before = now;
        }
    }

    fn all(&self) -> Duration {
        self.target.unwrap_or_default() + self.control.unwrap_or_default()
    }
}
