//! After a rotation of the master key: seals credentials anew with the current one, a piece at a time.

use super::Progress;
use crate::{
    domain::account,
    secrets::Sealer,
    store::{Store, StoreError},
};

pub(super) async fn step(store: &Store, sealer: &Sealer) -> Result<Progress, StoreError> {
    let done = account::reseal(store, sealer).await?;
    if done == 0 {
        return Ok(Progress::Done);
    }
    tracing::info!(credentials = done, "sealed anew with the current master key");
    Ok(Progress::More)
}
