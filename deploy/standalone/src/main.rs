//! `switchyard`: both planes in one process.

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use shared::{
    settings::SettingsError,
    telemetry::{self, LogFormat, LogSettings},
};
use standalone::{
    demo,
    planes::Planes,
    serve,
    settings::{Arguments, Verb},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The command line, the settings file or the environment is at fault.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = match shared::settings::load::<Arguments>() {
        Ok(arguments) => arguments,
        Err(SettingsError::Usage(error)) => error.exit(),
        Err(error) => return fail(&error, ExitCode::from(USAGE)),
    };
    let log = match &arguments.verb {
        Verb::Serve(serve) => serve.log.clone(),
        Verb::Demo(demo) => demo_log(&demo.log),
    };
    if let Err(error) = telemetry::init(&log) {
        return fail(&error, ExitCode::from(USAGE));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    match runtime.block_on(run(arguments.verb)) {
        Ok(code) => code,
        Err(error) => fail(&*error, ExitCode::FAILURE),
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn fail(error: &(impl Display + ?Sized), code: ExitCode) -> ExitCode {
    // Nowhere is left to say that standard error is closed.
    _ = writeln!(io::stderr(), "switchyard: {error}");
    code
}

/// The demo's screen is for its own lines; a log goes to standard error as always.
fn demo_log(directives: &str) -> LogSettings {
    LogSettings { log: directives.to_owned(), log_format: LogFormat::Text }
}

/// What asks the process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn run(verb: Verb) -> Result<ExitCode, Failure> {
    // Before the start, so that a signal during it is not lost.
    let mut signals =
        Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
    match verb {
        Verb::Serve(arguments) => {
            let planes = serve::start(*arguments, |name| std::env::var(name).ok()).await?;
            signals.next().await;
            tracing::info!("stopping; a second signal ends the process at once");
            Ok(stop(planes, &mut signals).await)
        }
        Verb::Demo(arguments) => {
            let demo = tokio::select! {
                started = demo::start(&arguments) => started?,
                () = signals.next() => return Ok(ExitCode::SUCCESS),
            };
            signals.next().await;
            // The emulator and the folder go last: they are what the planes rely on.
            let demo::Demo { planes, .. } = demo;
            Ok(stop(planes, &mut signals).await)
        }
    }
}

async fn stop(planes: Planes, signals: &mut Signals) -> ExitCode {
    let ended = tokio::select! {
        ended = planes.shutdown() => ended,
        () = signals.next() => false,
    };
    if ended { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
