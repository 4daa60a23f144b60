//! The gateway's programs: where they are, and what they know.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use crate::options::Options;

/// Absolute paths: the programs run in folders of their own, from where a relative one leads nowhere.
#[derive(Debug)]
pub(crate) struct Programs {
    pub node: PathBuf,
    pub control_plane: PathBuf,
    pub standalone: PathBuf,
}

impl Programs {
    /// Of those that this run does not start, none has to be there.
    pub(crate) fn find(options: &Options) -> io::Result<Self> {
        let wanted =
            |node| options.targets.iter().any(|target| target.is_gateway() && target.is_node() == node);
        let find = |wanted: bool, named: &Option<PathBuf>, name: &str| {
            let path = named.clone().unwrap_or_else(|| options.profile_folder.join(name));
            if wanted { absolute(&path) } else { Ok(path) }
        };
        Ok(Self {
            node: find(wanted(true), &options.node, "switchyard-data")?,
            control_plane: find(wanted(true), &options.control_plane, "switchyard-control")?,
            standalone: find(wanted(false), &options.standalone, "switchyard")?,
        })
    }
}

fn absolute(path: &Path) -> io::Result<PathBuf> {
    fs::canonicalize(path).map_err(|error| {
        let words =
            format!("{}: {error}; --help tells how to build it, and how to name another", path.display());
        io::Error::new(error.kind(), words)
    })
}

/// Whether `serve` of a program has this flag.
pub(crate) async fn knows(program: &Path, flag: &str) -> io::Result<bool> {
    let help = Command::new(program).args(["serve", "--help"]).output().await?;
    Ok(String::from_utf8_lossy(&help.stdout).split_whitespace().any(|word| word == flag))
}
