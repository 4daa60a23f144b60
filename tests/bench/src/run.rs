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
    report::{Played, Report, Resident},
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
    let upstream = cast.upstream.insert(Upstream::start(&this_program, others).await?);
    let load = Process::talking("load client", command(&this_program, others).arg("load"))?;
    let load = cast.load.insert(load);
    if options.targets.contains(&TargetKind::Nginx) {
        let own = own_folder(folder, "nginx")?;
        let nginx = cast.nginx.insert(Nginx::start(options, &own, upstream.addr).await?);
        nginx.listens().await?;
    }
    let nginx = cast.nginx.as_ref();
    let mut acts = Vec::new();
    let large = Scenario::large(options).into_iter().map(|scenario| vec![scenario]);
    for (number, scenarios) in std::iter::once(Scenario::all(options)).chain(large).enumerate() {
        let own = own_folder(folder, &format!("switchyard-{number}"))?;
        let mut act = Act { options, upstream, nginx, switchyard: &mut cast.switchyard };
        acts.push(act.play(&own, load, scenarios).await?);
        // The next one gets a fresh gateway.
        if let Some(played) = cast.switchyard.take() {
            played.process.stop().await?;
        }
    }
    Ok(Report::new(options, acts))
}

/// Scenarios with a gateway of their own.
struct Act<'c> {
    options: &'c Options,
    upstream: &'c Upstream,
    nginx: Option<&'c Nginx>,
    /// None before it is started.
    switchyard: &'c mut Option<Switchyard>,
}

impl Act<'_> {
    async fn play(
        &mut self,
        folder: &Path,
        load: &mut Process,
        scenarios: Vec<Scenario>,
    ) -> io::Result<Played> {
        let mut resident = Resident::default();
        if self.options.targets.iter().any(|kind| kind.is_gateway()) {
            let options = with_absolute_paths(self.options)?;
            let started = Switchyard::start(&options, folder, self.upstream.addr).await?;
            let switchyard = self.switchyard.insert(started);
            tokio::time::sleep(REST).await;
            resident.idle = Some(switchyard.process.resident()?);
        }
        let targets = self.targets();
        let (measurements, rounds) =
            rounds::measure(self.options, &scenarios, self.upstream, load, &targets).await?;
        if let Some(switchyard) = self.switchyard.as_ref() {
            resident.after_load = Some(switchyard.process.resident()?);
        }
        Ok(Played { scenarios, measurements, rounds, resident })
    }

    fn targets(&self) -> Vec<Target<'_>> {
        let target = |kind| match kind {
            TargetKind::Direct | TargetKind::DirectOther => {
                Some(Target { kind, addr: self.upstream.addr, process: None, key: None })
            }
            TargetKind::Nginx => self.nginx.map(|nginx| {
                let process = Some(&nginx.process);
                Target { kind, addr: nginx.addr, process, key: None }
            }),
            TargetKind::Switchyard | TargetKind::Converted => self.switchyard.as_ref().map(|switchyard| {
                let (process, key) = (Some(&switchyard.process), Some(switchyard.key.clone()));
                Target { kind, addr: switchyard.addr, process, key }
            }),
        };
        let wanted = TargetKind::ALL.into_iter().filter(|kind| self.options.targets.contains(kind));
        wanted.filter_map(target).collect()
    }
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
