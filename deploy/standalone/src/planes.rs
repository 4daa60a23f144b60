//! The two planes, joined by a pipe.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use control_plane::{
    domain::public_url::{InvalidUrl, PublicUrl},
    serve::{self as control, Ends, NodesEnd},
    settings::{AdminListener, DataPlaneSettings, KeySettings, PolicySettings, Settings as ControlSettings},
};
use data_plane::{
    node::{self, NodeParts},
    settings::NodeSettings,
    snapshot::{InvalidSealKey, SealKey},
    transport::ControlPlane,
    usage::{FolderLock, SpoolError},
};
use shared::{clock::Clock, secret::Secret};
use tokio::net::TcpListener;

use crate::{keys, settings::ListenSettings};

/// The name of the one node.
const NODE_ID: &str = "standalone";
/// The database's file in the data folder.
pub(crate) const DATABASE: &str = "switchyard.db";

/// What both planes are started with.
#[derive(Debug)]
pub struct PlanesSettings {
    pub data_dir: PathBuf,
    pub listen: ListenSettings,
    /// What is not said is where the node listens.
    pub data_plane: DataPlaneSettings,
    /// `None`: kept in the data folder.
    pub master_key: Option<Secret>,
    /// `None`: kept in the data folder.
    pub node_seal_key: Option<Secret>,
    pub policy: PolicySettings,
    pub admin: AdminListener,
    pub node: NodeSettings,
}

/// Why they did not start.
#[derive(Debug, thiserror::Error)]
pub enum PlanesError {
    #[error("the data folder {}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot listen on {address}: {source}; choose another address with --{flag}")]
    Listen { address: SocketAddr, flag: &'static str, source: io::Error },
    #[error("the clients' address: {0}")]
    Address(io::Error),
    #[error("the clients' address: {0}")]
    Url(#[from] InvalidUrl),
    #[error("{0}")]
    Variable(#[from] clap::Error),
    #[error("the data folder can't be used: {0}")]
    Lock(#[from] SpoolError),
    #[error(transparent)]
    SealKey(#[from] InvalidSealKey),
    #[error(transparent)]
    Control(#[from] control::StartError),
    #[error(transparent)]
    Node(#[from] node::StartError),
    #[error("the control plane has no pipe for the node")]
    NoPipe,
}

/// Both planes at work.
#[derive(Debug)]
pub struct Planes {
    /// Where API clients are served.
    pub address: SocketAddr,
    /// They come over TLS.
    pub tls: bool,
    pub admin_address: SocketAddr,
    /// Admins come over TLS.
    pub admin_tls: bool,
    /// The first admin's password, where this start generated it.
    pub generated_password: Option<Secret>,
    /// There was no database in the folder.
    pub is_first_start: bool,
    control: control::Running,
    node: node::Running,
    /// Held until both have ended.
    lock: FolderLock,
}

/// Starts both planes; returns once they serve.
///
/// # Errors
/// See [`PlanesError`].
pub async fn start(settings: PlanesSettings) -> Result<Planes, PlanesError> {
    node::check(&settings.node)?;
    let folder = &settings.data_dir;
    let in_folder = |source| PlanesError::Folder { path: folder.clone(), source };
    make_private(folder).map_err(in_folder)?;
    // First: what another process works with is neither read nor written, its database least of all.
    let lock = FolderLock::take(folder)?;
    let given_or_kept = |given: Option<Secret>, name: &str| match given {
        Some(key) => Ok(key),
        None => keys::kept_in(&folder.join(name)).map_err(in_folder),
    };
    let master_key = given_or_kept(settings.master_key, "master.key")?;
    let seal_key = SealKey::parse(&given_or_kept(settings.node_seal_key, "node-seal.key")?)?;
    let listener = bind(settings.listen.listen, "listen").await?;
    let admin = bind(settings.listen.admin_listen, "admin-listen").await?;

    let keys =
        KeySettings { master_key: Some(master_key), master_key_file: None, old_master_keys: Vec::new() };
    let is_first_start = !folder.join(DATABASE).exists();
    let tls = settings.node.clients.listen_tls_cert.is_some();
    let admin_tls = settings.admin.admin_tls_cert.is_some();
    let control_settings = ControlSettings {
        data_plane: data_plane(settings.data_plane, &listener, tls)?,
        policy: settings.policy,
        admin: settings.admin,
        allow_private_upstreams: settings.node.allow_private_upstreams,
        ..ControlSettings::embedded(&database_url(folder), keys)?
    };
    let ends = Ends { admin: Some(admin), nodes: NodesEnd::InProcess };
    let mut control = control::start(control_settings, ends, Clock::System).await?;
    let pipe = control.in_process.take().ok_or(PlanesError::NoPipe)?;
    let node = node::start(NodeParts {
        node_id: NODE_ID.to_owned(),
        folder: lock.clone(),
        listener,
        control_plane: ControlPlane::in_process(move || {
            let pipe = pipe.clone();
            async move { pipe.connect().await }
        }),
        redis: None,
        seal_key: Some(seal_key),
        settings: settings.node,
        clock: Clock::System,
    })
    .await?;
    let generated_password = control.generated_password.take();
    Ok(Planes {
        address: node.address,
        tls,
        admin_address: control.admin_address,
        admin_tls,
        generated_password,
        is_first_start,
        control,
        node,
        lock,
    })
}

pub(crate) fn database_url(folder: &Path) -> String {
    format!("sqlite:{}", folder.join(DATABASE).display())
}

/// Where nothing else is said, the data plane is where this process serves clients. Over TLS it is tested by its public
/// address, which is what its certificate names.
fn data_plane(
    given: DataPlaneSettings,
    listener: &TcpListener,
    tls: bool,
) -> Result<DataPlaneSettings, PlanesError> {
    let address = listener.local_addr().map_err(PlanesError::Address)?;
    let here: PublicUrl = format!("{}://{}", scheme(tls), reachable(address)).parse()?;
    let named = given.public_api_url.clone().filter(|_| tls);
    Ok(DataPlaneSettings {
        public_api_url: given.public_api_url.or(Some(here.clone())),
        data_plane_url: given.data_plane_url.or(named).or(Some(here)),
    })
}

const fn scheme(tls: bool) -> &'static str {
    if tls { "https" } else { "http" }
}

/// Who listens on all addresses is reached on loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Makes the folder for its owner alone; one that is there keeps its mode.
fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, PlanesError> {
    TcpListener::bind(address).await.map_err(|source| PlanesError::Listen { address, flag, source })
}

impl Planes {
    /// Where API clients are served.
    #[must_use]
    pub fn clients_url(&self) -> String {
        format!("{}://{}", scheme(self.tls), self.address)
    }

    /// Where people and automation are served.
    #[must_use]
    pub fn admin_url(&self) -> String {
        format!("{}://{}", scheme(self.admin_tls), self.admin_address)
    }

    /// The node first, so that its last records still reach the ledger. False: something did not end in time.
    pub async fn shutdown(self) -> bool {
        let node_ended = self.node.shutdown().await;
        let control_ended = self.control.shutdown().await;
        drop(self.lock);
        control_ended && node_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(given: DataPlaneSettings, listen: &str, tls: bool) -> (u16, String, String) {
        let listener = TcpListener::bind(listen).await.unwrap();
        let settings = data_plane(given, &listener, tls).unwrap();
        let urls = (settings.public_api_url.unwrap(), settings.data_plane_url.unwrap());
        (listener.local_addr().unwrap().port(), urls.0.to_string(), urls.1.to_string())
    }

    #[tokio::test]
    async fn clients_are_told_the_port_that_was_taken_on_an_address_that_can_be_reached() {
        for (listen, host) in [("127.0.0.1:0", "127.0.0.1"), ("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "[::1]")]
        {
            let (port, public, own) = told(DataPlaneSettings::default(), listen, false).await;
            assert_eq!((public, own), (format!("http://{host}:{port}"), format!("http://{host}:{port}")));
        }
    }

    #[tokio::test]
    async fn a_public_address_is_for_clients_and_proxy_tests_stay_inside() {
        let public_api_url = Some("https://api.example.com".parse().unwrap());
        let given = DataPlaneSettings { public_api_url, data_plane_url: None };
        let (port, public, own) = told(given, "127.0.0.1:0", false).await;
        assert_eq!((public, own), ("https://api.example.com".into(), format!("http://127.0.0.1:{port}")));
    }

    #[tokio::test]
    async fn over_tls_proxy_tests_go_where_the_certificate_is_good_for() {
        let public_api_url = Some("https://api.example.com".parse().unwrap());
        let given = DataPlaneSettings { public_api_url, data_plane_url: None };
        let (_, public, own) = told(given, "127.0.0.1:0", true).await;
        assert_eq!((&*public, &*own), ("https://api.example.com", "https://api.example.com"));
        let (port, public, _) = told(DataPlaneSettings::default(), "127.0.0.1:0", true).await;
        assert_eq!(public, format!("https://127.0.0.1:{port}"));
    }
}
