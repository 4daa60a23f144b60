//! `switchyard serve`.

use std::io::{self, Write as _};

use shared::secret::Secret;

use crate::{
    admin_client::{AdminClient, AdminError},
    first_start::{self, FoundKey},
    planes::{self, Planes, PlanesError, PlanesSettings},
    settings::ServeArguments,
};

/// Why it does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Planes(#[from] PlanesError),
    #[error("the first start: {0}")]
    FirstStart(#[from] AdminError),
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// Starts both planes, and on a first start sets up what the environment (`variable`) offers.
///
/// # Errors
/// See [`ServeError`].
pub async fn start(
    arguments: ServeArguments,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Planes, ServeError> {
    let given_password = arguments.policy.admin_password.clone();
    let planes = planes::start(PlanesSettings {
        data_dir: arguments.data_dir,
        listen: arguments.listen,
        data_plane: arguments.data_plane,
        master_key: arguments.master_key,
        node_seal_key: arguments.node_seal_key,
        policy: arguments.policy,
        admin: arguments.admin,
        node: arguments.node,
    })
    .await?;
    let mut out = io::stdout();
    if let Some(password) = &planes.generated_password {
        writeln!(
            out,
            "The first admin is `admin`, with the password {} (shown this once).",
            password.expose()
        )?;
    }
    let keys = first_start::found_keys(variable);
    if let Some(password) =
        planes.generated_password.as_ref().or(given_password.as_ref()).filter(|_| planes.is_first_start)
    {
        set_up(&planes, password, &keys).await?;
    }
    writeln!(out, "Clients: {}   Admins: {}", planes.clients_url(), planes.admin_url())?;
    Ok(planes)
}

async fn set_up(planes: &Planes, password: &Secret, keys: &[FoundKey]) -> Result<(), ServeError> {
    if keys.is_empty() {
        return Ok(());
    }
    let admin = AdminClient::log_in(planes.admin_url(), "admin", password).await?;
    for line in first_start::set_up(&admin, keys, &planes.clients_url()).await? {
        writeln!(io::stdout(), "{line}")?;
    }
    Ok(())
}
