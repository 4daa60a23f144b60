//! Starts those who take part, each in a folder of its own.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    catalogue::Act,
    certificates::Certificates,
    child::{Process, command},
    gateway::Plan,
    nginx::Nginx,
    options::Options,
    programs::{self, Programs},
    servers::{self, Servers},
    spinner,
    target::{TargetKind, Tls},
    upstream::Upstream,
};

/// How long a gateway is left alone before its memory is read. What hashing the first admin's password took (twice
/// 19 MiB) goes back to the system only after some seconds; that is the control plane's.
const REST: Duration = Duration::from_secs(15);
const NODES_REST: Duration = Duration::from_secs(2);

/// All who are running.
#[derive(Debug, Default)]
pub(crate) struct Cast {
    pub spinners: Vec<Process>,
    pub load: Option<Process>,
    pub servers: Servers,
}

impl Cast {
    /// Stops all, clients first.
    pub(crate) async fn stop(self) -> io::Result<()> {
        let stopped = servers::stop(self.load.into_iter().chain(self.spinners)).await;
        stopped.and(self.servers.stop().await)
    }
}

/// What everybody who is started is given.
pub(crate) struct Stage<'s> {
    pub options: &'s Options,
    programs: Programs,
    certificates: Option<Certificates>,
    folder: &'s Path,
    /// Folders handed out.
    folders: u32,
}

impl<'s> Stage<'s> {
    pub(crate) fn new(options: &'s Options, folder: &'s Path) -> io::Result<Self> {
        let programs = Programs::find(options)?;
        let certificates = if options.no_tls { None } else { Some(Certificates::write(folder)?) };
        Ok(Self { options, programs, certificates, folder, folders: 0 })
    }

    /// Whom clients trust where they speak TLS.
    pub(crate) fn authority(&self) -> Option<&Path> {
        self.certificates.as_ref().map(|certificates| certificates.authority.as_path())
    }

    /// What the node's program can't do, with the reason.
    pub(crate) async fn unable(&self) -> io::Result<Vec<(Tls, String)>> {
        let mut unable = Vec::new();
        if self.options.no_tls || !self.options.targets.iter().any(|target| target.is_node()) {
            return Ok(unable);
        }
        for tls in [Tls::WithClients, Tls::WithUpstream] {
            if let Some(flag) = tls.flag()
                && !programs::knows(&self.programs.node, flag).await?
            {
                let node = self.programs.node.display();
                unable.push((tls, format!("what needs {flag}: {node} does not know it")));
            }
        }
        Ok(unable)
    }

    /// Starts those who stay to the end.
    pub(crate) async fn set(&mut self, cast: &mut Cast) -> io::Result<()> {
        let this_program = env::current_exe()?;
        let (options, others) = (self.options, self.options.pin_others.as_deref());
        let servers = &mut cast.servers;
        let started = Upstream::start(&this_program, others, self.certificates.as_ref()).await?;
        let addresses = servers.upstream.insert(started).addresses;
        cast.load = Some(Process::talking("load client", command(&this_program, others).arg("load"))?);
        for (kind, workers, place) in [
            (TargetKind::Nginx, 1, &mut servers.nginx),
            (TargetKind::NginxWorkers, options.threads(), &mut servers.nginx_workers),
        ] {
            if options.targets.contains(&kind) {
                let own = self.own_folder("nginx")?;
                let certificates = self.certificates.as_ref();
                let started = Nginx::start(options, workers, &own, addresses, certificates).await?;
                place.insert(started).listens().await?;
            }
        }
        for _ in 0..options.spinners {
            cast.spinners.push(spinner::start(&this_program)?);
        }
        Ok(())
    }

    /// Starts the gateways that have a part in the act.
    pub(crate) async fn start_gateways(&mut self, act: &Act, servers: &mut Servers) -> io::Result<()> {
        let targets = &self.options.targets;
        let involved =
            |kind| targets.contains(&kind) && act.scenarios.iter().any(|scenario| scenario.involves(kind));
        let standalone = involved(TargetKind::Standalone) && act.tls == Tls::Nowhere;
        if involved(TargetKind::Node) || involved(TargetKind::NodeConverting) {
            self.start_node(act.tls, servers).await?;
        }
        if standalone {
            let (own, upstream) = (self.own_folder("standalone")?, servers.upstream()?.base_url(act.tls));
            servers.standalone = Some(self.plan(act.tls, &upstream, &own).start_standalone().await?);
            tokio::time::sleep(REST).await;
        }
        Ok(())
    }

    pub(crate) async fn start_node(&mut self, tls: Tls, servers: &mut Servers) -> io::Result<()> {
        let (own, upstream) = (self.own_folder("node")?, servers.upstream()?.base_url(tls));
        servers.node = Some(self.plan(tls, &upstream, &own).start_node().await?);
        tokio::time::sleep(NODES_REST).await;
        Ok(())
    }

    fn plan<'p>(&'p self, tls: Tls, upstream: &'p str, folder: &'p Path) -> Plan<'p> {
        let certificates = self.certificates.as_ref();
        Plan { options: self.options, programs: &self.programs, certificates, tls, upstream, folder }
    }

    fn own_folder(&mut self, name: &str) -> io::Result<PathBuf> {
        self.folders += 1;
        let own = self.folder.join(format!("{name}-{}", self.folders));
        fs::create_dir(&own)?;
        Ok(own)
    }
}
