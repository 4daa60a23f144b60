//! The gateway, with a fresh data folder: a node with its control plane beside it, or both in one process.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use servers::MariaDb;
use tokio::process::Command;

use crate::{
    certificates::Certificates,
    child::{Process, command},
    dialer::Dialer,
    ledger::Database,
    nginx::free_address,
    options::Options,
    programs::Programs,
    set_up::{self, PASSWORD},
    target::Tls,
};

/// Base64 of 32 bytes, of no worth outside measurements.
const MASTER_KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const SEAL_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
/// The end of the log that is shown when something goes wrong.
const SHOWN_LINES: usize = 15;

#[derive(Debug)]
pub(crate) struct Gateway {
    /// Serves the clients.
    pub process: Process,
    /// The control plane, where it is a process of its own.
    pub control: Option<Process>,
    /// The control plane's, where it has a server of its own.
    _database: Option<MariaDb>,
    pub addr: SocketAddr,
    /// A client's API key.
    pub key: String,
}

/// How a gateway is started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'p> {
    pub options: &'p Options,
    pub programs: &'p Programs,
    /// None where no TLS is spoken at all.
    pub certificates: Option<&'p Certificates>,
    pub tls: Tls,
    /// The accounts' base URL.
    pub upstream: &'p str,
    /// Its own; everything it writes goes there.
    pub folder: &'p Path,
}

impl Plan<'_> {
    /// `switchyard-control`, and `switchyard-data` beside it.
    pub(crate) async fn start_node(&self) -> io::Result<Gateway> {
        let [addr, admin, planes] = [free_address().await?, free_address().await?, free_address().await?];
        let logs = [self.folder.join("control.log"), self.folder.join("node.log")];
        let database = (self.options.control_database == Database::Mariadb).then(MariaDb::start);
        let database_url = match &database {
            Some(server) => server.database(),
            None => format!("sqlite:{}", self.folder.join("control.db").display()),
        };
        let mut control = self.command(&self.programs.control_plane, None);
        control
            .args(["--database-url", &database_url])
            .args(["--admin-listen", &admin.to_string(), "--grpc-listen", &planes.to_string()])
            .env("SWITCHYARD_MASTER_KEY", MASTER_KEY);
        let mut node = self.serving(&self.programs.node, addr)?;
        node.args(["--control-plane", &format!("http://{planes}"), "--node-id", "bench"])
            .env("SWITCHYARD_NODE_SEAL_KEY", SEAL_KEY);
        let started = async {
            let mut control = Process::logging("control plane", &mut control, &logs[0])?;
            let key = set_up::configure(&mut control, &Dialer::plain(admin), self.upstream).await?;
            let mut process = Process::logging("node", &mut node, &logs[1])?;
            set_up::admitted(&mut process, &self.clients(addr)?, &key).await?;
            Ok(Gateway { process, control: Some(control), _database: database, addr, key })
        };
        started.await.map_err(|error| with_logs("node", &error, &logs))
    }

    /// `switchyard serve`.
    pub(crate) async fn start_standalone(&self) -> io::Result<Gateway> {
        let [addr, admin] = [free_address().await?, free_address().await?];
        let logs = [self.folder.join("standalone.log")];
        let mut standalone = self.serving(&self.programs.standalone, addr)?;
        standalone.args(["--admin-listen", &admin.to_string()]);
        let started = async {
            let mut process = Process::logging("standalone", &mut standalone, &logs[0])?;
            let key = set_up::configure(&mut process, &Dialer::plain(admin), self.upstream).await?;
            set_up::admitted(&mut process, &self.clients(addr)?, &key).await?;
            Ok(Gateway { process, control: None, _database: None, addr, key })
        };
        started.await.map_err(|error| with_logs("standalone", &error, &logs))
    }

    fn command(&self, program: &Path, cpus: Option<&str>) -> Command {
        let mut command = command(program, cpus);
        command
            .arg("serve")
            .env_remove("ANTHROPIC_API_KEY")
            .env_remove("OPENAI_API_KEY")
            .env_remove("GEMINI_API_KEY")
            .env("SWITCHYARD_ADMIN_PASSWORD", PASSWORD)
            .env("SWITCHYARD_ALLOW_PRIVATE_UPSTREAMS", "true")
            .env("SWITCHYARD_WORKERS", self.options.threads().to_string())
            .current_dir(self.folder);
        command
    }

    /// A program that serves clients.
    fn serving(&self, program: &Path, addr: SocketAddr) -> io::Result<Command> {
        let mut command = self.command(program, self.options.pin_proxies.as_deref());
        command.arg("--data-dir").arg(self.folder.join("data")).args(["--listen", &addr.to_string()]);
        match self.tls {
            Tls::Nowhere => {}
            Tls::WithClients => {
                let files = self.files()?;
                command.arg("--listen-tls-cert").arg(&files.certificate);
                command.arg("--listen-tls-key").arg(&files.key);
            }
            Tls::WithUpstream => {
                command.arg("--upstream-ca").arg(&self.files()?.authority);
            }
        }
        Ok(command)
    }

    fn clients(&self, addr: SocketAddr) -> io::Result<Dialer> {
        let authority =
            if self.tls == Tls::WithClients { Some(self.files()?.authority.as_path()) } else { None };
        Dialer::new(addr, authority)
    }

    fn files(&self) -> io::Result<&Certificates> {
        self.certificates.ok_or_else(|| io::Error::other("TLS without certificates"))
    }
}

fn with_logs(who: &str, error: &io::Error, logs: &[PathBuf]) -> io::Error {
    let ends: Vec<String> = logs.iter().map(|log| end_of(log)).collect();
    io::Error::other(format!("{who}: {error}\n{}", ends.join("\n")))
}

fn end_of(log: &Path) -> String {
    let log = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines.get(lines.len().saturating_sub(SHOWN_LINES)..).unwrap_or_default().join("\n")
}
