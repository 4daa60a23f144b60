//! The emulator as a program: prints its address as one line of JSON and serves until a signal or, with
//! `--until-stdin-closes`, until its parent is gone.

use std::{io::Write as _, net::SocketAddr, process::ExitCode};

use clap::Parser;
use emulator::{Emulator, EmulatorOptions};
use tokio::{
    io::AsyncReadExt as _,
    signal::unix::{SignalKind, signal},
};

/// The providers' wires on loopback, with answers that follow from the request, faults on demand and a record of every
/// call. Scripts are set under /_emulator/.
#[derive(Debug, Parser)]
#[command(name = "switchyard-emulator", version)]
struct Arguments {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "SWITCHYARD_EMULATOR_LISTEN", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// A key to know; may be given again. Without any, every key is known that does not contain "unknown".
    #[arg(long = "key")]
    keys: Vec<String>,
    /// Calls kept per credential; 0 keeps none, which is fastest.
    #[arg(long, default_value_t = 64)]
    keep_calls: usize,
    /// Threads that serve.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Stop when standard input ends.
    #[arg(long)]
    until_stdin_closes: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.threads.max(1))
        .enable_all()
        .build();
    let served = runtime.and_then(|runtime| runtime.block_on(serve(arguments)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "switchyard-emulator: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let emulator = Emulator::start(EmulatorOptions {
        listen: arguments.listen,
        keys: (!arguments.keys.is_empty()).then_some(arguments.keys),
        keep_calls: arguments.keep_calls,
        ..EmulatorOptions::default()
    })
    .await?;
    let ready = serde_json::json!({"addr": emulator.addr().to_string(), "base_url": emulator.base_url()});
    writeln!(std::io::stdout(), "{ready}")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = parent_gone(), if arguments.until_stdin_closes => {}
    }
    emulator.stop().await;
    Ok(())
}

async fn parent_gone() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 256];
    while matches!(stdin.read(&mut ignored).await, Ok(1..)) {}
}
