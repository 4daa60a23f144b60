//! `switchyard-control`: the control plane as a process of its own.

use std::{
    fmt::Display,
    io::{self, Write as _},
    process::ExitCode,
};

use control_plane::{
    serve::{self, Ends, NodesEnd},
    settings::{Arguments, DatabaseSettings, ServeArguments, Verb},
    store::{
        Store, StoreError, StoreOptions,
        audit::{self, AuditEntry},
        changes::{self, Revision},
    },
};
use shared::{clock::Clock, settings::SettingsError, telemetry};
use tokio::signal::unix::{SignalKind, signal};

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
        Verb::Migrate(maintenance) | Verb::AdoptEpoch(maintenance) => &maintenance.log,
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
            Verb::Serve(arguments) => run(*arguments).await,
            Verb::Migrate(arguments) => migrate(&arguments.database).await.map_err(Into::into),
            Verb::AdoptEpoch(arguments) => adopt_epoch(&arguments.database).await,
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
    _ = writeln!(io::stderr(), "switchyard-control: {error}");
    code
}

fn say(line: &str) -> Result<ExitCode, io::Error> {
    writeln!(io::stdout(), "{line}")?;
    Ok(ExitCode::SUCCESS)
}

async fn run(arguments: ServeArguments) -> Result<ExitCode, Failure> {
    // Before the start, so that a signal during it is not lost.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let ends = Ends { admin: None, nodes: NodesEnd::Listen };
    let running = serve::start(arguments.settings, ends, Clock::System).await?;
    if let Some(password) = &running.generated_password {
        say(&format!(
            "The first admin is `admin`, with the password {} (shown this once).",
            password.expose()
        ))?;
    }
    let mut told = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    told().await;
    tracing::info!("stopping; a second signal ends the process at once");
    let ended = tokio::select! {
        ended = running.shutdown() => ended,
        () = told() => false,
    };
    if !ended {
        tracing::warn!("something did not end in time");
    }
    Ok(if ended { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn connect(settings: &DatabaseSettings) -> Result<Store, StoreError> {
    Store::connect(settings.database_url.expose(), &StoreOptions::default()).await
}

async fn migrate(settings: &DatabaseSettings) -> Result<ExitCode, StoreError> {
    let store = connect(settings).await?;
    store.migrate().await?;
    store.close().await;
    tracing::info!("the database is up to date");
    Ok(ExitCode::SUCCESS)
}

async fn adopt_epoch(settings: &DatabaseSettings) -> Result<ExitCode, Failure> {
    let store = connect(settings).await?;
    let mut tx = store.begin().await?;
    let Revision { epoch, version } = changes::adopt_epoch(&mut tx).await?;
    let epoch = format!("{:032x}", u128::from_be_bytes(epoch));
    let entry = AuditEntry {
        actor: None,
        action: "configuration.adopt_epoch",
        target_kind: "configuration",
        target_id: None,
        detail: serde_json::json!({ "epoch": epoch, "version": version }),
        at: Clock::System.now(),
        address: None,
    };
    audit::write(&mut tx, &entry).await?;
    tx.commit().await?;
    store.close().await;
    Ok(say(&format!("Nodes follow epoch {epoch} from now on, at version {version}."))?)
}
