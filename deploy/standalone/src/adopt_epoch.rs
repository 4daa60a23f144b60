//! `switchyard adopt-epoch`: the database in the data folder was restored or replaced, and its node is to follow it.

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use control_plane::{
    maintenance,
    settings::{KeySettings, Settings as ControlSettings},
    store::StoreError,
};

use crate::{
    planes::{DATABASE, database_url},
    settings::MaintenanceArguments,
};

/// Why no epoch was adopted.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    #[error("there is no {}: name the folder that `serve` works in with --data-dir", .0.display())]
    NoDatabase(PathBuf),
    #[error("{0}")]
    Variable(#[from] clap::Error),
    #[error("the database: {0}")]
    Store(#[from] StoreError),
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

/// Begins a new epoch, which the node may follow, and says so. `serve` may run on the folder meanwhile.
///
/// # Errors
/// See [`AdoptError`].
pub async fn run(arguments: &MaintenanceArguments) -> Result<(), AdoptError> {
    let database = arguments.data_dir.join(DATABASE);
    // Opening it would make one.
    if !database.exists() {
        return Err(AdoptError::NoDatabase(database));
    }
    let no_keys = KeySettings { master_key: None, master_key_file: None, old_master_keys: Vec::new() };
    let settings = ControlSettings::embedded(&database_url(&arguments.data_dir), no_keys)?;
    let adopted = maintenance::adopt_epoch(&settings.database).await?;
    writeln!(io::stdout(), "{adopted}")?;
    Ok(())
}
