//! The price file in the database.

use std::time::Duration;

use proto::v1::{self as contract, RecordBatch};
use shared::{
    clock::{Clock, Millis},
    id::{ModelId, PriceId},
    money::Ppm,
    price::{LongContext, PerMillion, Price, Rates},
};

use super::world::{self, NODE, START, Spool, World};
use crate::{
    ledger::{
        attempts,
        entry::Details,
        ingest::{Ingest, IngestError},
        prices::{PriceFile, Seeded, seed},
    },
    store::{
        db,
        models::{self, ModelRow, PriceRow},
        users,
    },
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

/// After all has changed that a cost depends on.
pub(super) async fn costs_can_be_reckoned_again_from_what_is_stored(world: &World) {
    const MODEL: &str = "reckoned-1";
    let rates =
        |rate| Rates { input: PerMillion(rate), output: PerMillion(5 * rate + 1), ..Rates::default() };
    let long = LongContext { threshold: 500, rates: rates(2_000_003) };
    let price = Price { rates: rates(1_000_001), long_context: Some(long) };
    let (file_model, _) = model(world, "gpt-4o-mini").await;
    let mut tx = world.store.begin().await.unwrap();
    let row = ModelRow { id: ModelId::new(START), name: MODEL.into(), revision: 1, ..file_model };
    models::insert(&mut tx, &row).await.unwrap();
    let first = PriceRow {
        id: PriceId::new(START),
        model_id: row.id,
        model: MODEL.into(),
        effective_from: Millis(0),
        price,
        source: "operator".into(),
        created_at: START,
    };
    models::add_price(&mut tx, &first).await.unwrap();
    tx.commit().await.unwrap();

    let (client, spool) = (world.client(Ppm(1_234_567)).await, Spool::new());
    let mut open = client.opens(Duration::from_secs(9));
    open.model_requested = MODEL.into();
    let mut close = client.completes(&open, 1_007, 103);
    let estimate = Some(contract::Usage { input: 333, output: 11, ..contract::Usage::default() });
    let given_up =
        contract::Attempt { estimate, bound: estimate, unrated: true, ..close.attempts[0].clone() };
    close.attempts.insert(0, given_up);
    world.take(&spool, vec![spool.close(&close)]).await;
    let charged = world.only_record_of(&client).await;
    assert!(charged.rated_cost > charged.real_cost / 2 && charged.real_cost > 0, "{charged:?}");

    // A price that would have counted, another rate, and then neither model nor user.
    let mut tx = world.store.begin().await.unwrap();
    let dearer = Price { rates: rates(77_000_000), long_context: None };
    let second = PriceRow { id: PriceId::new(Millis(START.0 + 1)), price: dearer, ..first };
    models::add_price(&mut tx, &second).await.unwrap();
    models::delete(&mut tx, row.id).await.unwrap();
    users::delete(&mut tx, client.user).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = world.store.read().await.unwrap();
    let prices = models::all_prices(&mut tx).await.unwrap();
    let stored = world.only_record_of(&client).await;
    let details: Details = serde_json::from_str(&stored.details).unwrap();
    let attempts = attempts::read(&stored).unwrap();
    let (mut real, mut rated) = (0, 0);
    for attempt in &attempts {
        let named = attempt.price.as_ref().unwrap().id;
        let price = prices.iter().find(|price| price.id == named).unwrap().price;
        let used = attempt.estimate.or(attempt.usage).unwrap();
        let charge = price.charge(&used, details.price_rate.filter(|_| attempt.rated));
        assert_eq!((charge.real, charge.rated), (attempt.real_cost, attempt.rated_cost), "{attempt:?}");
        real += charge.real.0;
        rated += charge.rated.0;
    }
    assert_eq!((real, rated, attempts.len()), (charged.real_cost, charged.rated_cost, 2));
    assert_eq!(
        (attempts[0].rated, attempts[0].rated_cost.0),
        (false, 0),
        "nobody pays for what was given up"
    );
}

/// It waits until the price is mended.
pub(super) async fn no_record_is_set_aside_for_a_price_that_can_not_be_read(world: &World) {
    let (client, spool) = (world.client(Ppm::ONE).await, Spool::new());
    let ledger = Ingest::new(world.store.clone(), world.clock.clone());
    let set = async |from: &str, to: &str| {
        let mut tx = world.store.begin().await.unwrap();
        let sql = "UPDATE model_prices SET price = REPLACE(price, ?, ?) WHERE source <> 'operator'";
        assert!(db::execute!(&mut tx, sql, from, to).unwrap() > 0);
        tx.commit().await.unwrap();
    };
    let open = client.opens(Duration::from_secs(9));
    let records = vec![spool.open(&open), spool.close(&client.completes(&open, 1_000, 100))];
    ledger.hello(NODE, spool.id, 1).await.unwrap();
    let take = || ledger.take(spool.id, RecordBatch { spools: vec![world::batch(&records)] });
    set("{", "?").await;
    let refused = take().await;
    assert!(matches!(refused, Err(IngestError::Prices(_))), "{refused:?}");
    set("?", "{").await;
    assert_eq!(take().await.unwrap().of(0), 2);
    assert!(world.rejected(&spool).await.is_empty());
    assert!(world.only_record_of(&client).await.real_cost > 0);
}
