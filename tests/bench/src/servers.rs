//! Those who serve while it is measured.

use std::{io, path::Path};

use crate::{
    child::Process,
    gateway::Gateway,
    nginx::Nginx,
    rounds::Target,
    target::{TargetKind, Tls},
    upstream::Upstream,
};

/// What is never started stays None.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    pub upstream: Option<Upstream>,
    pub nginx: Option<Nginx>,
    pub nginx_workers: Option<Nginx>,
    pub node: Option<Gateway>,
    pub standalone: Option<Gateway>,
}

impl Servers {
    pub(crate) fn upstream(&self) -> io::Result<&Upstream> {
        self.upstream.as_ref().ok_or_else(|| io::Error::other("there is no upstream"))
    }

    pub(crate) fn gateways(&self) -> impl Iterator<Item = (TargetKind, &Gateway)> {
        let both = [(TargetKind::Node, &self.node), (TargetKind::Standalone, &self.standalone)];
        both.into_iter().filter_map(|(kind, gateway)| Some((kind, gateway.as_ref()?)))
    }

    /// Those of these kinds who are there; `authority` is whom clients trust where they speak TLS.
    pub(crate) fn targets(
        &self,
        kinds: &[TargetKind],
        tls: Tls,
        authority: Option<&Path>,
    ) -> io::Result<Vec<Target<'_>>> {
        let authority = authority.filter(|_| tls == Tls::WithClients);
        let upstream = self.upstream()?;
        let target = |kind| match kind {
            TargetKind::Direct | TargetKind::DirectOther => Some(Target {
                kind,
                addr: upstream.addresses.plain,
                authority: None,
                process: None,
                control: None,
                key: None,
            }),
            TargetKind::Nginx => Some(of_nginx(kind, self.nginx.as_ref()?, tls, authority)),
            TargetKind::NginxWorkers => Some(of_nginx(kind, self.nginx_workers.as_ref()?, tls, authority)),
            TargetKind::Node | TargetKind::NodeConverting => {
                Some(of_gateway(kind, self.node.as_ref()?, authority))
            }
            TargetKind::Standalone => Some(of_gateway(kind, self.standalone.as_ref()?, authority)),
        };
        Ok(TargetKind::ALL.into_iter().filter(|kind| kinds.contains(kind)).filter_map(target).collect())
    }

    pub(crate) async fn stop_gateways(&mut self) -> io::Result<()> {
        let gateways = [self.node.take(), self.standalone.take()];
        let processes = gateways.into_iter().flatten().flat_map(|one| [Some(one.process), one.control]);
        stop(processes.flatten()).await
    }

    /// Those who ask first, and whom they ask last.
    pub(crate) async fn stop(mut self) -> io::Result<()> {
        let stopped = self.stop_gateways().await;
        let nginx = [self.nginx, self.nginx_workers].into_iter().flatten().map(|one| one.process);
        stopped.and(stop(nginx.chain(self.upstream.map(|one| one.process))).await)
    }
}

/// The first failure is told after all were tried.
pub(crate) async fn stop(processes: impl Iterator<Item = Process>) -> io::Result<()> {
    let mut result = Ok(());
    for process in processes {
        result = result.and(process.stop().await);
    }
    result
}

fn of_nginx<'n>(kind: TargetKind, nginx: &'n Nginx, tls: Tls, authority: Option<&Path>) -> Target<'n> {
    Target {
        kind,
        addr: nginx.addr(tls),
        authority: authority.map(Path::to_owned),
        process: Some(&nginx.process),
        control: None,
        key: None,
    }
}

fn of_gateway<'g>(kind: TargetKind, gateway: &'g Gateway, authority: Option<&Path>) -> Target<'g> {
    Target {
        kind,
        addr: gateway.addr,
        authority: authority.map(Path::to_owned),
        process: Some(&gateway.process),
        control: gateway.control.as_ref(),
        key: Some(gateway.key.clone()),
    }
}
