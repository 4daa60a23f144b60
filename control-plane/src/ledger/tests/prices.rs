//! The price file in the database.

use std::time::Duration;

use shared::{
    clock::{Clock, Millis},
    id::PriceId,
    price::PerMillion,
};

use super::world::{START, World};
use crate::{
    ledger::prices::{PriceFile, Seeded, seed},
    store::models::{self, ModelRow, PriceRow},
};

async fn model(world: &World, name: &str) -> (ModelRow, Vec<PriceRow>) {
    let mut tx = world.store.read().await.unwrap();
    let row = models::by_name(&mut tx, name).await.unwrap().unwrap();
    let prices = models::prices_of(&mut tx, &[row.id]).await.unwrap();
    (row, prices)
}

pub(super) async fn seeding_again_changes_nothing(world: &World) {
    let file = PriceFile::embedded().unwrap();
    let again = [seed(&world.store, &world.clock, &file), seed(&world.store, &world.clock, &file)];
    for seeded in futures_util::future::join_all(again).await {
        assert_eq!(seeded.unwrap(), Seeded::default());
    }
    let mut tx = world.store.read().await.unwrap();
    assert_eq!(models::all(&mut tx).await.unwrap().len(), file.models.len());
    assert_eq!(models::all_prices(&mut tx).await.unwrap().len(), file.models.len());
}

pub(super) async fn what_operators_edited_stays(world: &World) {
    const EDITED: &str = "gpt-4o";
    const UNTOUCHED: &str = "gpt-4o-mini";
    let (row, prices) = model(world, EDITED).await;
    let mut own = prices[0].clone();
    own.price.rates.output = PerMillion(7);
    own.effective_from = START;
    own.id = PriceId::new(START);
    own.source = "operator".into();
    let mut tx = world.store.begin().await.unwrap();
    models::add_price(&mut tx, &own).await.unwrap();
    let renamed = ModelRow { display_name: Some("Ours".into()), max_output: None, ..row.clone() };
    models::update(&mut tx, &renamed, row.revision).await.unwrap();
    tx.commit().await.unwrap();

    let mut newer = PriceFile::embedded().unwrap();
    newer.version += 1;
    for model in &mut newer.models {
        model.price.rates.output = PerMillion(9);
    }
    let later = START.plus(Duration::from_secs(3600));
    let seeded = seed(&world.store, &Clock::manual(later), &newer).await.unwrap();
    assert_eq!(seeded, Seeded { models: 0, prices: newer.models.len() - 1 });

    let (row, prices) = model(world, EDITED).await;
    assert_eq!((row.display_name.as_deref(), row.max_output), (Some("Ours"), Some(16_384)));
    assert_eq!(prices.last(), Some(&own));
    let (_, prices) = model(world, UNTOUCHED).await;
    let known: Vec<_> =
        prices.iter().map(|price| (price.effective_from, price.price.rates.output.0)).collect();
    assert_eq!(known, [(Millis(0), 600_000), (later, 9)], "an old request keeps its old price");
}
