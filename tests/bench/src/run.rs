//! Starts everything, measures, prints, and stops everything, whatever happens.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    child::{Process, command},
    nginx::Nginx,
    options::{Options, TargetKind},
    report::{Report, Resident},
    rounds::{self, Target},
    say,
    scenario::Scenario,
    switchyard::Switchyard,
    upstream::Upstream,
};

/// How long the gateway is left alone before its memory is read: what hashing the password took (twice 19 MiB) goes back
/// to the system only after some seconds.
const REST: Duration = Duration::from_secs(15);

/// Who is running; what is never started stays None.
#[derive(Debug, Default)]
struct Cast {
    upstream: Option<Upstream>,
    load: Option<Process>,
    nginx: Option<Nginx>,
    switchyard: Option<Switchyard>,
}

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
    say(&mut io::stdout(), &report.table());
    let failed = report.checks();
    for line in &failed.lines {
        say(&mut io::stdout(), line);
    }
    let good = failed.passed || options.no_check;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(options: &Options, folder: &Path, cast: &mut Cast) -> io::Result<Report> {
    let this_program = env::current_exe()?;
    let others = options.pin_others.as_deref();
    let upstream = Upstream::start(&this_program, others).await?;
    let upstream = cast.upstream.insert(upstream);
    let load = Process::talking("load client", command(&this_program, others).arg("load"))?;
    let load = cast.load.insert(load);
    let mut targets = Vec::new();
    let mut resident = Resident::default();
    if options.targets.contains(&TargetKind::Direct) {
        targets.push(Target { kind: TargetKind::Direct, addr: upstream.addr, process: None, key: None });
    }
    if options.targets.contains(&TargetKind::Nginx) {
        let own = own_folder(folder, "nginx")?;
        let nginx = cast.nginx.insert(Nginx::start(options, &own, upstream.addr).await?);
        nginx.listens().await?;
        let process = Some(&nginx.process);
        targets.push(Target { kind: TargetKind::Nginx, addr: nginx.addr, process, key: None });
    }
    if options.targets.contains(&TargetKind::Switchyard) {
        let own = own_folder(folder, "switchyard")?;
        let options = with_absolute_paths(options)?;
        let switchyard = cast.switchyard.insert(Switchyard::start(&options, &own, upstream.addr).await?);
        tokio::time::sleep(REST).await;
        resident.idle = Some(switchyard.process.resident()?);
        let (process, key) = (Some(&switchyard.process), Some(switchyard.key.clone()));
        targets.push(Target { kind: TargetKind::Switchyard, addr: switchyard.addr, process, key });
    }
    let scenarios = Scenario::all(options);
    let (measurements, rounds) = rounds::measure(options, &scenarios, upstream, load, &targets).await?;
    if let Some(process) =
        targets.iter().find(|one| one.kind == TargetKind::Switchyard).and_then(|one| one.process)
    {
        resident.after_load = Some(process.resident()?);
    }
    Ok(Report::new(options, scenarios, measurements, rounds, resident))
}

fn own_folder(folder: &Path, name: &str) -> io::Result<PathBuf> {
    let own = folder.join(name);
    fs::create_dir(&own)?;
    Ok(own)
}

/// The gateway runs in a folder of its own, from where a relative path leads nowhere.
fn with_absolute_paths(options: &Options) -> io::Result<Options> {
    let path = options.switchyard.display();
    let switchyard = fs::canonicalize(&options.switchyard).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("{path}: {error}; build it: cargo build --release -p standalone"),
        )
    })?;
    Ok(Options { switchyard, ..options.clone() })
}

impl Cast {
    /// Stops all, clients first. The first failure is told after all were tried.
    async fn stop(self) -> io::Result<()> {
        let processes = [
            self.load,
            self.switchyard.map(|one| one.process),
            self.nginx.map(|one| one.process),
            self.upstream.map(|one| one.process),
        ];
        let mut result = Ok(());
        for process in processes.into_iter().flatten() {
            result = result.and(process.stop().await);
        }
        result
    }
}
