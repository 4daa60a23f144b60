//! `switchyard-data`: a node of the data plane as a process of its own.

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use data_plane::{
    node::{self, NodeParts},
    settings::{Arguments, DrainArguments, ServeArguments, Verb},
    usage::drain,
};
use shared::{clock::Clock, settings::SettingsError, tasks::Tasks, telemetry};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};

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
        Verb::Serve(serve) => &serve.log,
        Verb::Drain(drain) => &drain.log,
    };
    if let Err(error) = telemetry::init(log) {
        return fail(&error, ExitCode::from(USAGE));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    let done = runtime.block_on(async {
        match arguments.verb {
            Verb::Serve(arguments) => serve(*arguments).await,
            Verb::Drain(arguments) => drain(&arguments).await,
        }
    });
    match done {
        Ok(code) => code,
        Err(error) => fail(&*error, ExitCode::FAILURE),
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn fail(error: &(impl Display + ?Sized), code: ExitCode) -> ExitCode {
    // Nowhere is left to say that standard error is closed.
    _ = writeln!(io::stderr(), "switchyard-data: {error}");
    code
}

/// What asks the process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn serve(arguments: ServeArguments) -> Result<ExitCode, Failure> {
    // Before the start, so that a signal during it is not lost.
    let mut signals = Signals::new()?;
    let listen = arguments.listen;
    let listener =
        TcpListener::bind(listen).await.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let running = node::start(NodeParts {
        node_id: arguments.node_id()?,
        control_plane: arguments.control.connect()?,
        redis: arguments.redis(),
        seal_key: arguments.seal_key()?,
        data_dir: arguments.data_dir,
        settings: arguments.node,
        listener,
        clock: Clock::System,
    })
    .await?;
    signals.next().await;
    tracing::info!("stopping; a second signal ends the process at once");
    let ended = tokio::select! {
        ended = running.shutdown() => ended,
        () = signals.next() => false,
    };
    if !ended {
        tracing::warn!("something did not end in time");
    }
    Ok(if ended { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn drain(arguments: &DrainArguments) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new()?;
    let (control_plane, tasks) = (arguments.control.connect()?, Tasks::new());
    let delivering = drain::drain(&arguments.data_dir, &control_plane, &tasks);
    let mut delivering = std::pin::pin!(delivering);
    let drained = tokio::select! {
        drained = &mut delivering => drained?,
        () = signals.next() => {
            tasks.stop();
            delivering.await?
        }
    };
    let spools = drained.spools;
    if drained.complete {
        tracing::info!(spools, "the ledger has every usage record of this folder");
        Ok(ExitCode::SUCCESS)
    } else {
        tracing::warn!(spools, "stopped before every usage record was delivered; they stay in the folder");
        Ok(ExitCode::FAILURE)
    }
}
