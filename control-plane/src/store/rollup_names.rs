//! Names that nobody has entered anywhere and that statistics take all the same: a bounded number of each kind.

use super::{
    StoreError, Tx,
    db::{execute, fetch_all},
};

/// Distinct names of a kind.
pub const MOST: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameKind {
    /// Models without a price.
    Model,
    Tag,
}

impl NameKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Tag => "tag",
        }
    }
}

/// All names of a kind, as committed last.
///
/// # Errors
/// What the database says.
pub async fn all(tx: &mut Tx, kind: NameKind) -> Result<Vec<String>, StoreError> {
    let rows = fetch_all!(
        tx,
        (String,),
        "SELECT name FROM rollup_names WHERE kind = ? ORDER BY slot",
        kind.as_str()
    )?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}

/// Gives a name the slot behind the `taken` ones.
///
/// # Errors
/// `Busy` where another transaction took the slot or the name meanwhile.
pub async fn insert(tx: &mut Tx, kind: NameKind, taken: usize, name: &str) -> Result<(), StoreError> {
    let slot = i64::try_from(taken).map_err(StoreError::corrupt)?;
    let sql = "INSERT INTO rollup_names (kind, slot, name) VALUES (?, ?, ?)";
    match execute!(tx, sql, kind.as_str(), slot, name) {
        Err(StoreError::Conflict { .. }) => Err(StoreError::Busy(None)),
        done => done.map(drop),
    }
}
