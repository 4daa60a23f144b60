//! The upstream: the emulator in a process of its own.

use std::{
    io::{self, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use emulator::{Behaviour, Emulator, EmulatorOptions, TlsFiles};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::{
    certificates::Certificates,
    child::{Process, command},
    dialer::Dialer,
    http_client,
    target::Tls,
    wire::Wire,
};

/// Where it serves.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Addresses {
    pub plain: SocketAddr,
    pub tls: Option<SocketAddr>,
}

/// The role: serves until standard input closes.
pub(crate) async fn serve(files: Option<(PathBuf, PathBuf)>) -> io::Result<ExitCode> {
    let tls = files.map(|(certificate, key)| TlsFiles { certificate, key });
    let emulator =
        Emulator::start(EmulatorOptions { keep_calls: 0, tls, ..EmulatorOptions::default() }).await?;
    let addresses = Addresses { plain: emulator.addr(), tls: emulator.tls_addr() };
    let mut stdout = io::stdout();
    writeln!(stdout, "{}", json!(addresses))?;
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
    pub addresses: Addresses,
}

impl Upstream {
    pub(crate) async fn start(
        this_program: &Path,
        cpus: Option<&str>,
        certificates: Option<&Certificates>,
    ) -> io::Result<Self> {
        let mut command = command(this_program, cpus);
        command.arg("emulator");
        if let Some(files) = certificates {
            command.arg("--certificate").arg(&files.certificate).arg("--key").arg(&files.key);
        }
        let mut process = Process::talking("emulator", &mut command)?;
        let addresses = serde_json::from_str(&process.line().await?).map_err(io::Error::other)?;
        Ok(Self { process, addresses })
    }

    /// What accounts have as their base URL.
    pub(crate) fn base_url(&self, tls: Tls) -> String {
        match self.addresses.tls {
            Some(addr) if tls == Tls::WithUpstream => format!("https://{addr}"),
            _ => format!("http://{}", self.addresses.plain),
        }
    }

    /// Makes both credentials answer so from now on.
    pub(crate) async fn answer_as(&self, behaviour: impl Fn(Wire) -> Behaviour) -> io::Result<()> {
        for wire in Wire::BOTH {
            let path = format!("/_emulator/credentials/{}/default", wire.upstream_key());
            let body: Value = json!(behaviour(wire));
            http_client::json(&Dialer::plain(self.addresses.plain), "PUT", &path, &[], &body).await?;
        }
        Ok(())
    }
}
