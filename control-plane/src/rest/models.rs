//! GET /api/admin/models: the price table.

use axum::{Json, extract::State};
use serde::Serialize;
use shared::{
    clock::Millis,
    id::ModelId,
    money::Nanos,
    price::{PerMillion, Rates},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cursor::{Page, PageParams},
    error::ApiResult,
    extract::ListParams,
    search::PlatformQuery,
};
use crate::{
    app::App,
    ops::models::{self as ops, Model, ModelFilter, PriceRow},
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list))
}

#[derive(Debug, Serialize, ToSchema)]
struct ModelView {
    #[schema(value_type = String)]
    id: ModelId,
    name: String,
    platform: String,
    display_name: Option<String>,
    /// Tokens. Null: unknown.
    context_window: Option<i64>,
    max_output: Option<i64>,
    released_at: Option<i64>,
    /// In force now. Null: none yet.
    price: Option<PriceView>,
    /// All, by rising time.
    prices: Vec<PriceView>,
    created_at: i64,
    updated_at: i64,
}

/// What a model costs from a time on. Rates are US dollars per million tokens.
#[derive(Debug, Clone, Serialize, ToSchema)]
struct PriceView {
    #[schema(value_type = i64)]
    effective_from: Millis,
    /// A version of the price file, or `operator`.
    source: String,
    #[serde(flatten)]
    rates: RatesView,
    /// What all tokens of a request cost whose context is longer. Null: the same.
    long_context: Option<LongContextView>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
struct LongContextView {
    /// Tokens of input, cached ones included.
    threshold: u64,
    #[serde(flatten)]
    rates: RatesView,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
struct RatesView {
    #[schema(value_type = String)]
    input: Nanos,
    #[schema(value_type = String)]
    cache_read: Nanos,
    #[schema(value_type = String)]
    cache_write_5m: Nanos,
    #[schema(value_type = String)]
    cache_write_1h: Nanos,
    #[schema(value_type = String)]
    output: Nanos,
}

#[derive(Debug, Serialize, ToSchema)]
struct ModelList {
    models: Vec<ModelView>,
    /// Null: this is the last page.
    next_cursor: Option<String>,
}

/// Models with their prices, the oldest entry first.
#[utoipa::path(get, path = "/api/admin/models", tag = "models", params(PlatformQuery, PageParams), responses((status = OK, body = ModelList)))]
async fn list(
    State(app): State<App>,
    ListParams(query): ListParams<PlatformQuery>,
    page: Page,
) -> ApiResult<Json<ModelList>> {
    let filter = ModelFilter { platform: query.platform, search: query.search.into_text() };
    let after = page.after::<16>()?.map(ModelId::from_bytes);
    let mut models = ops::list(&app, &filter, after, page.fetch()).await?;
    let next_cursor = page.cut(&mut models, |model| model.row.id.to_bytes());
    let now = app.clock.now();
    Ok(Json(ModelList { models: models.into_iter().map(|model| view(model, now)).collect(), next_cursor }))
}

fn view(model: Model, now: Millis) -> ModelView {
    let price = model.price_at(now).cloned().map(PriceView::from);
    let Model { row, prices } = model;
    ModelView {
        id: row.id,
        name: row.name,
        platform: row.platform,
        display_name: row.display_name,
        context_window: row.context_window,
        max_output: row.max_output,
        released_at: row.released_at,
        price,
        prices: prices.into_iter().map(PriceView::from).collect(),
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}

impl From<PriceRow> for PriceView {
    fn from(row: PriceRow) -> Self {
        Self {
            effective_from: row.effective_from,
            source: row.source,
            rates: row.price.rates.into(),
            long_context: row
                .price
                .long_context
                .map(|long| LongContextView { threshold: long.threshold, rates: long.rates.into() }),
        }
    }
}

impl From<Rates> for RatesView {
    fn from(rates: Rates) -> Self {
        let dollars =
            |PerMillion(micros)| Nanos(i64::try_from(micros).unwrap_or(i64::MAX).saturating_mul(1_000));
        Self {
            input: dollars(rates.input),
            cache_read: dollars(rates.cache_read),
            cache_write_5m: dollars(rates.cache_write_5m),
            cache_write_1h: dollars(rates.cache_write_1h),
            output: dollars(rates.output),
        }
    }
}
