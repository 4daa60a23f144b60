//! The price list, kept between transactions.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use shared::{clock::Millis, price::list::Dated};

use super::cost::Prices;
use crate::store::{
    StoreError, Tx,
    changes::{self, Revision},
    models::{self, PriceRow},
};

/// The price list is kept for this long at most.
const PRICES_KEPT_MS: i64 = 60_000;

/// All prices, as a transaction saw them. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct PriceCache(Arc<Mutex<Option<Kept>>>);

#[derive(Debug)]
struct Kept {
    revision: Revision,
    since: Millis,
    prices: Arc<Prices>,
}

impl Kept {
    fn holds(&self, revision: Revision, now: Millis) -> bool {
        let age = now.0.saturating_sub(self.since.0);
        self.revision == revision && (0..PRICES_KEPT_MS).contains(&age)
    }
}

impl PriceCache {
    /// All prices, as this transaction sees them. Every change of a price is a new version of the configuration.
    ///
    /// A change that a person makes in the database itself has none, so the list is read anew each minute.
    pub(super) async fn list(&self, tx: &mut Tx, now: Millis) -> Result<Arc<Prices>, StoreError> {
        let (revision, _) = changes::revision(tx).await?;
        if let Some(kept) = self.0.lock().as_ref().filter(|kept| kept.holds(revision, now)) {
            return Ok(Arc::clone(&kept.prices));
        }
        let prices = Arc::new(price_list(tx).await?);
        *self.0.lock() = Some(Kept { revision, since: now, prices: Arc::clone(&prices) });
        Ok(prices)
    }
}

async fn price_list(tx: &mut Tx) -> Result<Prices, StoreError> {
    let names: HashMap<_, _> =
        models::all(tx).await?.into_iter().map(|model| (model.id, model.name)).collect();
    let mut prices = Prices::default();
    for PriceRow { id, model_id, model, effective_from, price, .. } in models::all_prices(tx).await? {
        let name = names.get(&model_id);
        prices.add(name.unwrap_or(&model), Dated { id, effective_from, price }, name.is_some());
    }
    Ok(prices)
}
