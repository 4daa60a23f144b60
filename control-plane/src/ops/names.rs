//! What ids stand for, by name.

use std::collections::{BTreeSet, HashMap};

use crate::store::{
    StoreError, Tx,
    usage_queries::{self, Named},
};

/// Names by the bytes of ids; who is not there any more is not among them.
pub(super) type Names = HashMap<Vec<u8>, String>;

/// The names of those of `ids` that still exist. An id may come several times.
///
/// # Errors
/// What the database says.
pub(super) async fn names<T: Into<Vec<u8>>>(
    tx: &mut Tx,
    named: Named,
    ids: impl IntoIterator<Item = T>,
) -> Result<Names, StoreError> {
    let ids: BTreeSet<Vec<u8>> = ids.into_iter().map(Into::into).collect();
    usage_queries::names(tx, named, &Vec::from_iter(ids)).await
}
