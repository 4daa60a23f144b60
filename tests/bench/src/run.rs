//! Starts everything, measures, prints, and stops everything, whatever happens.

use std::{io, path::Path, process::ExitCode};

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    catalogue::{self, Act, OpenStreams},
    checks::Checks,
    child::raise_file_limit,
    open_streams::{self, Occupied},
    options::Options,
    report::{Played, Report, Resident},
    rounds, say,
    servers::Servers,
    stage::{Cast, Stage},
    target::TargetKind,
};

pub(crate) async fn run(options: &Options) -> io::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let folder = tempfile::Builder::new().prefix("switchyard-bench-").tempdir()?;
    let mut cast = Cast::default();
    let measured = tokio::select! {
        measured = measure(options, folder.path(), &mut cast) => measured,
        _ = interrupt.recv() => Err(io::Error::from(io::ErrorKind::Interrupted)),
        _ = terminate.recv() => Err(io::Error::from(io::ErrorKind::Interrupted)),
    };
    cast.stop().await?;
    let report = measured?;
    let checks = Checks::of(&report);
    say(&mut io::stdout(), &format!("{}\n\n{}", report.text(options), checks.lines.join("\n")));
    let good = checks.passed || options.no_check;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(options: &Options, folder: &Path, cast: &mut Cast) -> io::Result<Report> {
    let most_files = raise_file_limit()?;
    let mut stage = Stage::new(options, folder)?;
    let mut notes = Vec::new();
    let mut unable = Vec::new();
    for (tls, reason) in stage.unable().await? {
        say(&mut io::stderr(), &format!("left out: {reason}"));
        notes.push(reason);
        unable.push(tls);
    }
    stage.set(cast).await?;
    let mut acts = Vec::new();
    for act in catalogue::acts(options).into_iter().filter(|act| !unable.contains(&act.tls)) {
        acts.push(play(&mut stage, act, cast).await?);
        cast.servers.stop_gateways().await?;
    }
    let mut occupied = Vec::new();
    for asked in catalogue::open_streams(options).into_iter().filter(|asked| !unable.contains(&asked.tls)) {
        let files = open_streams::files(asked);
        if files > most_files {
            let streams = asked.streams;
            notes.push(format!(
                "{streams} open streams: they take {files} open files, of at most {most_files}"
            ));
            continue;
        }
        occupied.push(occupy(&mut stage, asked, cast).await?);
        cast.servers.stop_gateways().await?;
    }
    Ok(Report { acts, occupied, notes })
}

async fn play(stage: &mut Stage<'_>, act: Act, cast: &mut Cast) -> io::Result<Played> {
    stage.start_gateways(&act, &mut cast.servers).await?;
    let idle = resident(&cast.servers)?;
    let load = cast.load.as_mut().ok_or_else(no_load)?;
    let targets = cast.servers.targets(&stage.options.targets, act.tls, stage.authority())?;
    say(&mut io::stderr(), act.title);
    let (measurements, rounds) =
        rounds::measure(stage.options, &act.scenarios, cast.servers.upstream()?, load, &targets).await?;
    let after = resident(&cast.servers)?;
    let resident = idle.into_iter().zip(after).map(|((kind, idle), (_, after_load))| Resident {
        kind,
        idle,
        after_load,
    });
    Ok(Played { act, measurements, rounds, resident: resident.collect() })
}

/// Of each gateway that is running, in KiB.
fn resident(servers: &Servers) -> io::Result<Vec<(TargetKind, u64)>> {
    servers.gateways().map(|(kind, gateway)| Ok((kind, gateway.process.resident()?))).collect()
}

async fn occupy(stage: &mut Stage<'_>, asked: OpenStreams, cast: &mut Cast) -> io::Result<Occupied> {
    say(&mut io::stderr(), &format!("{} open streams", asked.streams));
    stage.start_node(asked.tls, &mut cast.servers).await?;
    let load = cast.load.as_mut().ok_or_else(no_load)?;
    let targets = cast.servers.targets(&[TargetKind::Node], asked.tls, stage.authority())?;
    let node = targets.first().ok_or_else(|| io::Error::other("there is no node"))?;
    open_streams::measure(asked, node, cast.servers.upstream()?, load).await
}

fn no_load() -> io::Error {
    io::Error::other("there is no load client")
}
