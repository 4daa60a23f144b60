//! The upstream: the emulator in a process of its own.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::Path,
    process::ExitCode,
};

use emulator::{Behaviour, Emulator, EmulatorOptions};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::{
    child::{Process, command},
    http_client,
    scenario::{Scenario, Wire},
};

/// The role: serves until standard input closes.
pub(crate) async fn serve() -> io::Result<ExitCode> {
    let emulator = Emulator::start(EmulatorOptions { keep_calls: 0, ..EmulatorOptions::default() }).await?;
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", emulator.addr())?;
    stdout.flush()?;
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 64];
    while matches!(stdin.read(&mut ignored).await, Ok(1..)) {}
    emulator.stop().await;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug)]
pub(crate) struct Upstream {
    pub process: Process,
    pub addr: SocketAddr,
}

impl Upstream {
    pub(crate) async fn start(this_program: &Path, cpus: Option<&str>) -> io::Result<Self> {
        let mut process = Process::talking("emulator", command(this_program, cpus).arg("emulator"))?;
        let addr = process.line().await?.parse().map_err(io::Error::other)?;
        Ok(Self { process, addr })
    }

    /// Makes both credentials answer as the scenario wants it.
    pub(crate) async fn answer_as(&self, scenario: &Scenario) -> io::Result<()> {
        for wire in Wire::BOTH {
            let behaviour: Behaviour = scenario.behaviour(wire);
            let path = format!("/_emulator/credentials/{}/default", wire.upstream_key());
            let body: Value = json!(behaviour);
            http_client::json(self.addr, "PUT", &path, &[], &body).await?;
        }
        Ok(())
    }
}
