//! The price list, kept between transactions.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use shared::clock::Millis;

use super::cost::PriceList;
use crate::store::{
    StoreError, Tx,
    changes::{self, Revision},
    models,
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
    prices: Arc<PriceList>,
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
    pub(super) async fn list(&self, tx: &mut Tx, now: Millis) -> Result<Arc<PriceList>, StoreError> {
        let (revision, _) = changes::revision(tx).await?;
        if let Some(kept) = self.0.lock().as_ref().filter(|kept| kept.holds(revision, now)) {
            return Ok(Arc::clone(&kept.prices));
        }
        let prices = Arc::new(price_list(tx).await?);
        *self.0.lock() = Some(Kept { revision, since: now, prices: Arc::clone(&prices) });
        Ok(prices)
    }
}

async fn price_list(tx: &mut Tx) -> Result<PriceList, StoreError> {
    let names: HashMap<_, _> =
        models::all(tx).await?.into_iter().map(|model| (model.id, model.name)).collect();
    let mut prices = PriceList::default();
    for row in models::all_prices(tx).await? {
        if let Some(name) = names.get(&row.model_id) {
            prices.add(name.clone(), row.effective_from, row.price);
        }
    }
    Ok(prices)
}
