//! `switchyard`: both planes in one process.

use std::process::ExitCode;

use shared::{
    program::{self, Failure, Signals, Threads},
    telemetry::{LogFormat, LogSettings},
};
use standalone::{
    adopt_epoch, demo, serve,
    settings::{Arguments, Verb},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let log = |arguments: &Arguments| match &arguments.verb {
        Verb::Serve(serve) => serve.log.clone(),
        Verb::AdoptEpoch(maintenance) => maintenance.log.clone(),
        // The demo's screen is for its own lines.
        Verb::Demo(demo) => LogSettings { log: demo.log.clone(), log_format: LogFormat::Text },
    };
    program::main(log, Threads::Beside, run)
}

async fn run(arguments: Arguments, mut signals: Signals) -> Result<bool, Failure> {
    match arguments.verb {
        Verb::Serve(arguments) => {
            let planes = serve::start(*arguments, |name| std::env::var(name).ok()).await?;
            signals.next().await;
            Ok(signals.or_shutdown(planes.shutdown()).await)
        }
        Verb::AdoptEpoch(arguments) => {
            adopt_epoch::run(&arguments).await?;
            Ok(true)
        }
        Verb::Demo(arguments) => {
            let demo = tokio::select! {
                started = demo::start(&arguments) => started?,
                () = signals.next() => return Ok(true),
            };
            signals.next().await;
            Ok(signals.or_shutdown(demo.shutdown()).await)
        }
    }
}
