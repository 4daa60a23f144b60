//! `switchyard-control`: the control plane as a process of its own.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use control_plane::{
    maintenance,
    serve::{self, Ends, NodesEnd},
    settings::{Arguments, DatabaseSettings, ServeArguments, Verb},
};
use shared::{
    clock::Clock,
    program::{self, Failure, Signals, Threads},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let log = |arguments: &Arguments| match &arguments.verb {
        Verb::Serve(serve) => serve.log.clone(),
        Verb::Migrate(maintenance) | Verb::AdoptEpoch(maintenance) => maintenance.log.clone(),
    };
    program::main(log, Threads::Cpus, async |arguments: Arguments, signals| match arguments.verb {
        Verb::Serve(arguments) => run(*arguments, signals).await,
        Verb::Migrate(arguments) => migrate(&arguments.database).await,
        Verb::AdoptEpoch(arguments) => adopt_epoch(&arguments.database).await,
    })
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

async fn run(arguments: ServeArguments, mut signals: Signals) -> Result<bool, Failure> {
    let ends = Ends { admin: None, nodes: NodesEnd::Listen };
    let running = tokio::select! {
        running = serve::start(arguments.settings, ends, Clock::System) => running?,
        // Such as while it waits for the database.
        () = signals.next() => return Ok(true),
    };
    if let Some(password) = &running.generated_password {
        say(&format!(
            "The first admin is `admin`, with the password {} (shown this once).",
            password.expose()
        ))?;
    }
    signals.next().await;
    Ok(signals.or_shutdown(running.shutdown()).await)
}

async fn migrate(settings: &DatabaseSettings) -> Result<bool, Failure> {
    maintenance::migrate(settings).await?;
    tracing::info!("the database is up to date");
    Ok(true)
}

async fn adopt_epoch(settings: &DatabaseSettings) -> Result<bool, Failure> {
    say(&maintenance::adopt_epoch(settings).await?.to_string())?;
    Ok(true)
}
