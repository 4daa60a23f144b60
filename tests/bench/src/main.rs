//! `cargo measure`: what the gateway costs, beside a bare nginx in front of the same upstream.
//!
//! Four kinds of processes take part, so that each one's CPU time is its own: the emulator (the upstream), nginx, the
//! gateway, and the load client. Emulator and load client are this program again, in another role. [`run`] puts them
//! together, [`rounds`] measures, [`report`] prints and judges.

use std::{io, process::ExitCode};

use clap::Parser;

use options::{Command, Options};

mod body;
mod child;
mod http_client;
mod job;
mod load;
mod nginx;
mod options;
mod percentiles;
mod report;
mod rounds;
mod run;
mod scenario;
mod switchyard;
mod upstream;

fn main() -> ExitCode {
    let options = Options::parse();
    let finished = match options.command {
        Some(Command::Load) => single_threaded(load::serve()),
        Some(Command::Emulator) => single_threaded(upstream::serve()),
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
