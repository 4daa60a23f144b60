//! Measures: each scenario, each slot of it, each target in turn, again and again.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    child::Process,
    job::{Job, Outcome},
    options::{Options, TargetKind},
    scenario::{Scenario, Sent, Slot, SlotKind},
    upstream::Upstream,
};

/// Somebody to send requests to.
#[derive(Debug)]
pub(crate) struct Target<'p> {
    pub kind: TargetKind,
    pub addr: SocketAddr,
    /// None where nothing stands between client and upstream.
    pub process: Option<&'p Process>,
    /// None: the upstream's own keys.
    pub key: Option<String>,
    /// Resident memory in KiB before any load.
    pub idle: Option<u64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Measurement {
    pub outcome: Outcome,
    /// CPU time of the target, per request.
    pub cpu_micros: Option<f64>,
    /// Peak of the target's memory above the idle one's, as a multiple of a request body's size.
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
            upstream.answer_as(scenario).await?;
            for slot in &scenario.slots {
                let concerned = |target: &&Target<'_>| scenario.concerns(target.kind, slot.kind);
                for target in in_turn(targets, rounds).filter(concerned) {
                    let measured = measure_one(scenario, *slot, target, load).await?;
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

async fn measure_one(
    scenario: &Scenario,
    slot: Slot,
    target: &Target<'_>,
    load: &mut Process,
) -> io::Result<Measurement> {
    let Sent { wire, body, frames } = scenario.sent(target.kind);
    let body_bytes = body.len();
    let job = Job {
        addr: target.addr,
        path: wire.path().to_owned(),
        headers: wire.headers(target.key.as_deref().unwrap_or(wire.upstream_key())),
        body,
        concurrency: slot.concurrency,
        millis: u64::try_from(slot.length.as_millis()).unwrap_or(u64::MAX),
        frames,
    };
    let weighed = target.process.zip(target.idle).filter(|_| scenario.peak);
    if let Some((process, _)) = weighed {
        process.forget_peak()?;
    }
    let cpu = || target.process.map(Process::cpu).transpose();
    let before = cpu()?;
    load.tell(&serde_json::to_string(&job).map_err(io::Error::other)?).await?;
    let outcome: Outcome = serde_json::from_str(&load.line().await?).map_err(io::Error::other)?;
    let used = cpu()?.zip(before).map(|(after, before)| after.saturating_sub(before));
    let cpu_micros = used.map(|used| used.as_secs_f64() * 1e6 / outcome.sent.max(1) as f64);
    let mut peak_bodies = None;
    if let Some((process, idle)) = weighed {
        let added = process.peak()?.saturating_sub(idle) * 1024;
        peak_bodies = Some(added as f64 / body_bytes.max(1) as f64);
    }
    Ok(Measurement { outcome, cpu_micros, peak_bodies })
}
