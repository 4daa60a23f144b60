//! `cargo measure`: what the gateway costs, beside a bare nginx in front of the same upstream.
//!
//! Each part is a process of its own, so that its CPU time is its own too: the emulator (the upstream), nginx with one
//! worker and with several, a node, its control plane, standalone, and the load client. Emulator and load client are
//! this program again, in another role. [`catalogue`] lists what is measured, [`stage`] starts the processes, [`run`] goes through
//! it all, [`rounds`] and [`open_streams`] measure, [`report`] prints and [`checks`] judges.
//!
//! To add a scenario: a row in [`catalogue`]. To demand something of it: its [`limits`].

use std::{io, process::ExitCode};

use clap::Parser;

use options::{Command, Options};

mod body;
mod catalogue;
mod certificates;
mod checks;
mod child;
mod dialer;
mod gateway;
mod hold;
mod http_client;
mod job;
mod ledger;
mod limits;
mod load;
mod nginx;
mod open_streams;
mod options;
mod percentiles;
mod programs;
mod report;
mod rounds;
mod row;
mod run;
mod scenario;
mod servers;
mod set_up;
mod spinner;
mod stage;
mod target;
mod upstream;
mod wire;

/// As the programs have it: the ledger is measured within this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let options = Options::parse().complete();
    let finished = match &options.command {
        Some(Command::Load) => single_threaded(load::serve()),
        Some(Command::Emulator { certificate, key }) => {
            single_threaded(upstream::serve(certificate.clone().zip(key.clone())))
        }
        Some(Command::Spin) => spinner::spin(),
        Some(Command::Ledger(options)) => ledger::run(options),
        None => single_threaded(run::run(&options)),
    };
    match finished {
        Ok(code) => code,
        Err(error) => {
            say(&mut io::stderr(), &format!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn single_threaded(task: impl Future<Output = io::Result<ExitCode>>) -> io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let finished = runtime.block_on(task);
    // Reading standard input blocks a thread that nobody waits for.
    runtime.shutdown_background();
    finished
}

/// A line for a person; one that nobody reads is no reason to fail.
fn say(to: &mut dyn io::Write, line: &str) {
    let _ = writeln!(to, "{line}");
}
