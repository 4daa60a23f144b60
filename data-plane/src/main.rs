//! `switchyard-data`: a node of the data plane as a process of its own.

use std::process::ExitCode;

use data_plane::{
    node::{self, NodeParts, StartError},
    settings::{Arguments, DrainArguments, ServeArguments, Verb},
    usage::{FolderLock, drain},
};
use shared::{
    clock::Clock,
    program::{self, Failure, Signals, Threads},
    tasks::Tasks,
};
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let log = |arguments: &Arguments| match &arguments.verb {
        Verb::Serve(serve) => serve.log.clone(),
        Verb::Drain(drain) => drain.log.clone(),
    };
    program::main(log, Threads::Beside, async |arguments: Arguments, signals| match arguments.verb {
        Verb::Serve(arguments) => serve(*arguments, signals).await,
        Verb::Drain(arguments) => drain(&arguments, signals).await,
    })
}

async fn serve(arguments: ServeArguments, mut signals: Signals) -> Result<bool, Failure> {
    node::check(&arguments.node)?;
    let listen = arguments.listen;
    let listener =
        TcpListener::bind(listen).await.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    let running = node::start(NodeParts {
        node_id: arguments.node_id()?,
        control_plane: arguments.control.connect()?,
        redis: arguments.redis(),
        seal_key: arguments.seal_key()?,
        folder: FolderLock::take(&arguments.data_dir).map_err(StartError::from)?,
        settings: arguments.node,
        listener,
        clock: Clock::System,
    })
    .await?;
    signals.next().await;
    Ok(signals.or_shutdown(running.shutdown()).await)
}

async fn drain(arguments: &DrainArguments, mut signals: Signals) -> Result<bool, Failure> {
    let (control_plane, tasks) = (arguments.control.connect()?, Tasks::new());
    let delivering = drain::drain(&arguments.data_dir, &control_plane, &Clock::System, &tasks);
    let mut delivering = std::pin::pin!(delivering);
    let drained = tokio::select! {
        drained = &mut delivering => drained?,
        () = signals.next() => {
            tasks.stop();
            delivering.await?
        }
    };
    let incarnations = drained.incarnations;
    if drained.complete {
        tracing::info!(incarnations, "the ledger has every usage record of this folder");
    } else {
        tracing::warn!(
            incarnations,
            "stopped before every usage record was delivered; they stay in the folder"
        );
    }
    Ok(drained.complete)
}
