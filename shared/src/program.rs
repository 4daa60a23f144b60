//! What the programs' `main`s have in common: settings, log, runtime, signals, and how they end.

use std::{
    fmt::Display,
    future::Future,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{
    settings::{self, SettingsError},
    telemetry::{self, LogSettings},
};

/// The command line, the settings file or the environment is at fault.
const USAGE: u8 = 2;

/// Why a program ends; said on standard error.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The threads of a program's runtime.
#[derive(Debug, Clone, Copy)]
pub enum Threads {
    /// One for each CPU: the runtime does the program's work.
    Cpus,
    /// Two: the work is done by threads of the program's own, and what runs beside it must not wait for one thing.
    Beside,
}

/// Runs a program: reads its settings, sets up its log, and drives `run` on a runtime of its own.
///
/// Ends with 0 where `run` gives true, 1 where it gives false or fails, 2 where the settings are at fault.
pub fn main<A, F>(
    log: impl FnOnce(&A) -> LogSettings,
    threads: Threads,
    run: impl FnOnce(A, Signals) -> F,
) -> ExitCode
where
    A: CommandFactory + FromArgMatches,
    F: Future<Output = Result<bool, Failure>>,
{
    let name = A::command().get_name().to_owned();
    let fail = |error: &dyn Display, code| {
        // Nowhere is left to say that standard error is closed.
        _ = writeln!(io::stderr(), "{name}: {error}");
        code
    };
    let arguments = match settings::load::<A>() {
        Ok(arguments) => arguments,
        Err(SettingsError::Usage(error)) => error.exit(),
        Err(error) => return fail(&error, ExitCode::from(USAGE)),
    };
    if let Err(error) = telemetry::init(&log(&arguments)) {
        return fail(&error, ExitCode::from(USAGE));
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Threads::Beside = threads {
        runtime.worker_threads(2);
    }
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    let done = runtime.block_on(async {
        // Before the start, so that a signal during it is not lost.
        let signals = Signals::new()?;
        run(arguments, signals).await
    });
    // What still blocks on a disk or a name is left behind: all that could be waited for was.
    runtime.shutdown_background();
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

/// What asks the process to end: SIGTERM and SIGINT. SIGHUP is ignored: files that may change while it runs, such as
/// certificates, are looked at without being asked.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        // Caught, which lasts, since by default it would end the process.
        _ = signal(SignalKind::hangup())?;
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Resolves once for each signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for `shutdown`, which says whether all ended in time; a further signal ends the wait.
    pub async fn or_shutdown(&mut self, shutdown: impl Future<Output = bool>) -> bool {
        tracing::info!("stopping; a second signal ends the process at once");
        let ended = tokio::select! {
            ended = shutdown => ended,
            () = self.next() => false,
        };
        if !ended {
            tracing::warn!("something did not end in time");
        }
        ended
    }
}
