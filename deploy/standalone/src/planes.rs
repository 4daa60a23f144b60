//! The two planes, joined by a pipe.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use control_plane::{
    serve::{self as control, Ends, NodesEnd},
    settings::{KeySettings, PolicySettings, Settings as ControlSettings},
};
use data_plane::{
    control::ControlPlane,
    node::{self, NodeParts},
    settings::NodeSettings,
    snapshot::{InvalidSealKey, SealKey},
};
use shared::{clock::Clock, secret::Secret};
use tokio::net::TcpListener;

use crate::{keys, settings::ListenSettings};

/// The name of the one node.
const NODE_ID: &str = "standalone";

/// What both planes are started with.
#[derive(Debug)]
pub struct PlanesSettings {
    pub data_dir: PathBuf,
    pub listen: ListenSettings,
    /// `None`: kept in the data folder.
    pub master_key: Option<Secret>,
    /// `None`: kept in the data folder.
    pub node_seal_key: Option<Secret>,
    pub policy: PolicySettings,
    pub node: NodeSettings,
}

/// Why they did not start.
#[derive(Debug, thiserror::Error)]
pub enum PlanesError {
    #[error("the data folder {}: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot listen on {address}: {source}; choose another address with --{flag}")]
    Listen { address: SocketAddr, flag: &'static str, source: io::Error },
    #[error("{0}")]
    Variable(#[from] clap::Error),
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
    pub admin_address: SocketAddr,
    /// The first admin's password, where this start generated it.
    pub generated_password: Option<Secret>,
    control: control::Running,
    node: node::Running,
}

/// Starts both planes; returns once they serve.
///
/// # Errors
/// See [`PlanesError`].
pub async fn start(settings: PlanesSettings) -> Result<Planes, PlanesError> {
    let folder = &settings.data_dir;
    let in_folder = |source| PlanesError::Folder { path: folder.clone(), source };
    make_private(folder).map_err(in_folder)?;
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
    let database_url = format!("sqlite:{}", folder.join("switchyard.db").display());
    let control_settings = ControlSettings {
        policy: settings.policy,
        allow_private_upstreams: settings.node.allow_private_upstreams,
        ..ControlSettings::embedded(&database_url, keys)?
    };
    let ends = Ends { admin: Some(admin), nodes: NodesEnd::InProcess };
    let mut control = control::start(control_settings, ends, Clock::System).await?;
    let pipe = control.in_process.take().ok_or(PlanesError::NoPipe)?;
    let node = node::start(NodeParts {
        node_id: NODE_ID.to_owned(),
        data_dir: folder.clone(),
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
        admin_address: control.admin_address,
        generated_password,
        control,
        node,
    })
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
    /// The node first, so that its last records still reach the ledger. False: something did not end in time.
    pub async fn shutdown(self) -> bool {
        let node_ended = self.node.shutdown().await;
        self.control.shutdown().await && node_ended
    }
}
