//! The price file: public list prices of the models in use, brought into the database at start.
//!
//! The file is part of the program and has a version. Where that is above the one brought in last, each of its models
//! that the database lacks is added, and each whose latest price came from the file gets the new one from now on. A
//! model whose latest price is an operator's keeps it, and what is known of a model beside its price is only filled in
//! where it is missing.

use std::collections::HashMap;

use serde::Deserialize;
use shared::{
    clock::{Clock, Millis},
    id::{ModelId, PriceId},
    model::ModelPattern,
    price::{LongContext, PerMillion, Price, Rates},
    wire::Platform,
};

use crate::store::{
    Store, StoreError, Tx,
    models::{self, ModelRow, PriceRow},
    price_file,
};

const FILE: &str = include_str!("../../prices.toml");
/// What `source` of the file's prices begins with; the version follows.
const SOURCE_PREFIX: &str = "prices.toml ";
/// Above it, a price is a slip of the pen: 10 000 dollars per million tokens.
const MAX_RATE: u64 = 10_000_000_000;

/// The price file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PriceFileError {
    #[error("the price file is not what it should be: {0}")]
    Form(#[from] toml::de::Error),
    #[error("the price file is wrong at `{model}`: {what}")]
    Model { model: String, what: &'static str },
}

/// The price file, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceFile {
    pub version: u32,
    pub models: Vec<PricedModel>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricedModel {
    pub name: String,
    pub platform: Platform,
    pub display_name: String,
    /// Tokens.
    pub context_window: u32,
    pub max_output: Option<u32>,
    pub price: Price,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    version: u32,
    models: Vec<RawModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    name: String,
    platform: Platform,
    display_name: String,
    context_window: u32,
    max_output: Option<u32>,
    input: PerMillion,
    cache_read: PerMillion,
    cache_write_5m: PerMillion,
    cache_write_1h: PerMillion,
    output: PerMillion,
    long_context: Option<RawLongContext>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLongContext {
    threshold: u64,
    input: PerMillion,
    cache_read: PerMillion,
    cache_write_5m: PerMillion,
    cache_write_1h: PerMillion,
    output: PerMillion,
}

impl PriceFile {
    /// The file that this program was built with.
    ///
    /// # Errors
    /// See [`PriceFileError`]; a test sees to it that there is none.
    pub fn embedded() -> Result<Self, PriceFileError> {
        Self::parse(FILE)
    }

    /// # Errors
    /// See [`PriceFileError`].
    pub fn parse(text: &str) -> Result<Self, PriceFileError> {
        let raw: RawFile = toml::from_str(text)?;
        let mut seen = HashMap::new();
        let mut models = Vec::with_capacity(raw.models.len());
        for model in raw.models {
            let model = checked(model)?;
            if seen.insert(model.name.clone(), ()).is_some() {
                return Err(PriceFileError::Model { model: model.name, what: "it is there twice" });
            }
            models.push(model);
        }
        Ok(Self { version: raw.version, models })
    }
}

fn checked(raw: RawModel) -> Result<PricedModel, PriceFileError> {
    let wrong = |what| Err(PriceFileError::Model { model: raw.name.clone(), what });
    let rates = Rates {
        input: raw.input,
        cache_read: raw.cache_read,
        cache_write_5m: raw.cache_write_5m,
        cache_write_1h: raw.cache_write_1h,
        output: raw.output,
    };
    let long_context = raw.long_context.as_ref().map(|long| LongContext {
        threshold: long.threshold,
        rates: Rates {
            input: long.input,
            cache_read: long.cache_read,
            cache_write_5m: long.cache_write_5m,
            cache_write_1h: long.cache_write_1h,
            output: long.output,
        },
    });
    if ModelPattern::new(&raw.name).is_err() || raw.name.contains('*') {
        return wrong("the name is no model's");
    }
    if too_dear(&rates) || long_context.is_some_and(|long| too_dear(&long.rates)) {
        return wrong("a price is above 10 000 dollars per million tokens");
    }
    if long_context.is_some_and(|long| long.threshold == 0 || long.threshold >= u64::from(raw.context_window))
    {
        return wrong("the long context begins outside the context window");
    }
    Ok(PricedModel {
        name: raw.name,
        platform: raw.platform,
        display_name: raw.display_name,
        context_window: raw.context_window,
        max_output: raw.max_output,
        price: Price { rates, long_context },
    })
}

fn too_dear(rates: &Rates) -> bool {
    let all = [rates.input, rates.cache_read, rates.cache_write_5m, rates.cache_write_1h, rates.output];
    all.into_iter().any(|rate| rate.0 > MAX_RATE)
}

/// What bringing in the file changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seeded {
    pub models: usize,
    pub prices: usize,
}

/// Brings a price file into the database, in one transaction, unless its version is there. Nodes hear of new models
/// once the caller wakes the publisher.
///
/// # Errors
/// What the database says.
pub async fn seed(store: &Store, clock: &Clock, file: &PriceFile) -> Result<Seeded, StoreError> {
    let now = clock.now();
    let mut tx = store.begin().await?;
    let before = price_file::lock(&mut tx, now).await?;
    if before >= file.version {
        tx.rollback().await?;
        return Ok(Seeded::default());
    }
    let mut seeded = Seeded::default();
    let latest = latest_prices(&mut tx).await?;
    for model in &file.models {
        match models::by_name(&mut tx, &model.name).await? {
            None => {
                let id = add_model(&mut tx, model, now).await?;
                // From ever on: also for requests that began before the first start.
                add_price(&mut tx, id, model, Millis(0), file.version, now).await?;
                seeded.models += 1;
                seeded.prices += 1;
            }
            Some(row) => {
                let id = row.id;
                fill_in(&mut tx, row, model, now).await?;
                if let Some(from) = renewal(latest.get(&id), model, now) {
                    add_price(&mut tx, id, model, from, file.version, now).await?;
                    seeded.prices += 1;
                }
            }
        }
    }
    price_file::set(&mut tx, file.version, now).await?;
    tx.commit().await?;
    tracing::info!(
        version = file.version,
        before,
        seeded.models,
        seeded.prices,
        "the price file was brought in"
    );
    Ok(seeded)
}

async fn latest_prices(tx: &mut Tx) -> Result<HashMap<ModelId, PriceRow>, StoreError> {
    // By rising time, so the last one stays.
    Ok(models::all_prices(tx).await?.into_iter().map(|price| (price.model_id, price)).collect())
}

/// From when on the file's price is to hold; `None` where the present one stays.
fn renewal(latest: Option<&PriceRow>, model: &PricedModel, now: Millis) -> Option<Millis> {
    match latest {
        None => Some(Millis(0)),
        Some(price) if !price.source.starts_with(SOURCE_PREFIX) || price.price == model.price => None,
        Some(_) => Some(now),
    }
}

async fn add_model(tx: &mut Tx, model: &PricedModel, now: Millis) -> Result<ModelId, StoreError> {
    let row = ModelRow {
        id: ModelId::new(now),
        name: model.name.clone(),
        platform: model.platform.as_str().to_owned(),
        display_name: Some(model.display_name.clone()),
        context_window: Some(i64::from(model.context_window)),
        max_output: model.max_output.map(i64::from),
        released_at: None,
        created_at: now.0,
        updated_at: now.0,
        revision: 1,
    };
    models::insert(tx, &row).await?;
    Ok(row.id)
}

async fn fill_in(tx: &mut Tx, row: ModelRow, model: &PricedModel, now: Millis) -> Result<(), StoreError> {
    let filled = ModelRow {
        display_name: row.display_name.clone().or_else(|| Some(model.display_name.clone())),
        context_window: row.context_window.or_else(|| Some(i64::from(model.context_window))),
        max_output: row.max_output.or_else(|| model.max_output.map(i64::from)),
        ..row.clone()
    };
    if filled != row {
        models::update(tx, &ModelRow { updated_at: now.0, ..filled }, row.revision).await?;
    }
    Ok(())
}

async fn add_price(
    tx: &mut Tx,
    model_id: ModelId,
    model: &PricedModel,
    effective_from: Millis,
    version: u32,
    now: Millis,
) -> Result<(), StoreError> {
    let source = format!("{SOURCE_PREFIX}{version}");
    let row = PriceRow {
        id: PriceId::new(now),
        model_id,
        model: model.name.clone(),
        effective_from,
        price: model.price,
        source,
        created_at: now,
    };
    models::add_price(tx, &row).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = r#"
        version = 1
        [[models]]
        name = "m"
        platform = "claude"
        display_name = "M"
        context_window = 1_000
        input = 1
        cache_read = 1
        cache_write_5m = 1
        cache_write_1h = 1
        output = 1
    "#;

    #[test]
    fn the_embedded_file_is_right() {
        let file = PriceFile::embedded().unwrap();
        let price = |name: &str| {
            file.models.iter().find(|model| model.name == name).unwrap_or_else(|| panic!("{name}")).price
        };
        assert_eq!(price("claude-sonnet-4-5").rates.cache_write_1h, PerMillion(6_000_000));
        assert_eq!(price("claude-haiku-5-5").long_context.unwrap().threshold, 100_000);
        assert_eq!(price("gpt-5-mini").rates.output, PerMillion(2_000_000));
        for model in &file.models {
            assert_eq!(shared::model::platform_of(&model.name), Some(model.platform), "{}", model.name);
            assert!(model.price.rates.cache_read <= model.price.rates.input, "{}", model.name);
        }
    }

    #[test]
    fn the_form_is_strict() {
        assert!(PriceFile::parse(MODEL).is_ok());
        for (from, to) in [
            ("input = 1\n", ""),
            ("output = 1", "output = -1"),
            ("output = 1", "output = 1.5"),
            ("output = 1", "output = 10_000_000_001"),
            ("output = 1", "output = 1\nreasoning = 1"),
            ("\"claude\"", "\"anthropic\""),
            ("name = \"m\"", "name = \"m*\""),
            ("version = 1", ""),
            ("version = 1", "version = 1\nunits = 1"),
        ] {
            assert!(
                MODEL.contains(from) && PriceFile::parse(&MODEL.replacen(from, to, 1)).is_err(),
                "{from} → {to}"
            );
        }
        let twice = format!("{MODEL}{}", MODEL.replacen("version = 1", "", 1));
        assert!(matches!(PriceFile::parse(&twice), Err(PriceFileError::Model { .. })));
    }
}
