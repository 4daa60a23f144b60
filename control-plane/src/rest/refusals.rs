//! Requests that the gateway refused by itself: no account was tried, and so they are not among the usage records. A
//! person sees those of their own keys, in the words that their client was told; who reads all sees everyone's, with why
//! each account was left out.
//!
//! All of them are counted, by quarter-hour; the latest of keys that are known are there in full.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use shared::{
    clock::Millis,
    id::{KeyId, RequestId, UserId},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cursor::{Page, PageParams},
    error::ApiResult,
    extract::{ListParams, Params},
};
use crate::{
    app::App,
    ops::{
        Caller,
        refusals::{self as ops, CountFilter, Counted, Frequent, RefusalFilter, Refused},
        usage::{Audience, SUMS, Span},
    },
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(own_list))
        .routes(routes!(own_counts))
        .routes(routes!(all_list))
        .routes(routes!(all_counts))
}

/// Which refused requests. All that is given must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OwnRefusals {
    /// Exactly this request.
    #[param(value_type = Option<String>)]
    request_id: Option<RequestId>,
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// As the client was told, such as no_account.
    code: Option<String>,
    /// As the client asked for it.
    model: Option<String>,
    /// Milliseconds since 1970. Absent: no bound.
    #[param(value_type = Option<i64>)]
    from: Option<Millis>,
    /// Milliseconds since 1970, not included. Absent: no bound.
    #[param(value_type = Option<i64>)]
    to: Option<Millis>,
}

/// Which refused requests. All that is given must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AllRefusals {
    /// Exactly this request.
    #[param(value_type = Option<String>)]
    request_id: Option<RequestId>,
    #[param(value_type = Option<String>)]
    user_id: Option<UserId>,
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// As the client was told, such as no_account.
    code: Option<String>,
    /// As the client asked for it.
    model: Option<String>,
    /// Milliseconds since 1970. Absent: no bound.
    #[param(value_type = Option<i64>)]
    from: Option<Millis>,
    /// Milliseconds since 1970, not included. Absent: no bound.
    #[param(value_type = Option<i64>)]
    to: Option<Millis>,
}

/// Which counts. All that is given must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OwnCounts {
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    code: Option<String>,
    /// As clients asked for it.
    model: Option<String>,
    /// Milliseconds since 1970; the quarter-hour that it is in counts. Absent: 30 days back.
    #[param(value_type = Option<i64>)]
    from: Option<Millis>,
    /// Milliseconds since 1970; the quarter-hour that it is in counts. Absent: now.
    #[param(value_type = Option<i64>)]
    to: Option<Millis>,
}

/// Which counts. All that is given must hold.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AllCounts {
    #[param(value_type = Option<String>)]
    user_id: Option<UserId>,
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    code: Option<String>,
    /// As clients asked for it.
    model: Option<String>,
    /// Milliseconds since 1970; the quarter-hour that it is in counts. Absent: 30 days back.
    #[param(value_type = Option<i64>)]
    from: Option<Millis>,
    /// Milliseconds since 1970; the quarter-hour that it is in counts. Absent: now.
    #[param(value_type = Option<i64>)]
    to: Option<Millis>,
}

/// Newest first.
#[derive(Debug, Serialize, ToSchema)]
struct Refusals {
    refusals: Vec<Refusal>,
    /// For the next page. Null: this is the last.
    next_cursor: Option<String>,
}

/// A request that the gateway refused by itself. Fields that only who reads all may see are left out for others.
#[derive(Debug, Serialize, ToSchema)]
struct Refusal {
    #[schema(value_type = String)]
    request_id: RequestId,
    /// Milliseconds since 1970.
    refused_at: i64,
    /// Stable word for the reason, as the client was told.
    code: String,
    /// HTTP status that the client got.
    status: i64,
    /// What the client was told.
    message: String,
    /// What operators are told besides, such as why each account was left out. Null: nothing more.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<String>,
    wire: String,
    /// As the client asked for it. Null: it is not known.
    model: Option<String>,
    /// Null: it is not known.
    #[schema(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Null: the key is gone, or not known.
    key_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    user_id: Option<UserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    /// The node that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
}

/// How many requests the gateway refused by itself.
#[derive(Debug, Serialize, ToSchema)]
struct RefusalCounts {
    #[schema(value_type = i64)]
    from: Millis,
    /// Not included.
    #[schema(value_type = i64)]
    to: Millis,
    /// All of them.
    requests: i64,
    /// The most frequent first.
    codes: Vec<RefusalsOfCode>,
    /// By key and model too: the most frequent, at most 50.
    frequent: Vec<FrequentRefusal>,
}

#[derive(Debug, Serialize, ToSchema)]
struct RefusalsOfCode {
    code: String,
    requests: i64,
}

#[derive(Debug, Serialize, ToSchema)]
struct FrequentRefusal {
    code: String,
    /// Null: no key is known.
    #[schema(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Null: the key is gone, or not known.
    key_name: Option<String>,
    /// As clients asked for it. Null: it is not known.
    model: Option<String>,
    /// Of more models (without a key: of more keys and models) than nodes tell apart.
    others: bool,
    requests: i64,
}

/// Refused requests of the caller's keys, newest first.
#[utoipa::path(get, path = "/api/usage/refusals", tag = "usage", params(OwnRefusals, PageParams), responses((status = OK, body = Refusals)))]
async fn own_list(
    State(app): State<App>,
    caller: Caller,
    page: Page,
    ListParams(asked): ListParams<OwnRefusals>,
) -> ApiResult<Json<Refusals>> {
    let filter = RefusalFilter {
        request_id: asked.request_id,
        user_id: None,
        key_id: asked.key_id,
        code: asked.code,
        model: asked.model,
        from: asked.from,
        to: asked.to,
        before: page.after::<16>()?.map(RequestId::from_bytes),
    };
    let refused = ops::own(&app, &caller, filter, page.fetch()).await?;
    Ok(paged(&page, refused, Audience::Owner))
}

/// How many requests of the caller's keys were refused.
#[utoipa::path(get, path = "/api/usage/refusals/counts", tag = "usage", params(OwnCounts), responses((status = OK, body = RefusalCounts)))]
async fn own_counts(
    State(app): State<App>,
    caller: Caller,
    Params(asked): Params<OwnCounts>,
) -> ApiResult<Json<RefusalCounts>> {
    let span = Span::new(asked.from, asked.to, SUMS, app.clock.now())?;
    let OwnCounts { key_id, code, model, .. } = asked;
    let filter = CountFilter { user_id: None, key_id, code, model };
    Ok(counts(span, ops::own_counts(&app, &caller, filter, span).await?))
}

/// Everyone's refused requests, newest first.
#[utoipa::path(get, path = "/api/admin/usage/refusals", tag = "usage", params(AllRefusals, PageParams), responses((status = OK, body = Refusals)))]
async fn all_list(
    State(app): State<App>,
    page: Page,
    ListParams(asked): ListParams<AllRefusals>,
) -> ApiResult<Json<Refusals>> {
    let filter = RefusalFilter {
        request_id: asked.request_id,
        user_id: asked.user_id,
        key_id: asked.key_id,
        code: asked.code,
        model: asked.model,
        from: asked.from,
        to: asked.to,
        before: page.after::<16>()?.map(RequestId::from_bytes),
    };
    let refused = ops::all(&app, &filter, page.fetch()).await?;
    Ok(paged(&page, refused, Audience::Staff))
}

/// How many requests were refused, also of keys that are not known.
#[utoipa::path(get, path = "/api/admin/usage/refusals/counts", tag = "usage", params(AllCounts), responses((status = OK, body = RefusalCounts)))]
async fn all_counts(
    State(app): State<App>,
    Params(asked): Params<AllCounts>,
) -> ApiResult<Json<RefusalCounts>> {
    let span = Span::new(asked.from, asked.to, SUMS, app.clock.now())?;
    let AllCounts { user_id, key_id, code, model, .. } = asked;
    let filter = CountFilter { user_id, key_id, code, model };
    Ok(counts(span, ops::all_counts(&app, &filter, span).await?))
}

fn paged(page: &Page, mut refused: Vec<Refused>, audience: Audience) -> Json<Refusals> {
    let next_cursor = page.cut(&mut refused, |one| one.request_id.to_bytes());
    let refusals = refused.into_iter().map(|one| refusal(one, audience)).collect();
    Json(Refusals { refusals, next_cursor })
}

fn refusal(refused: Refused, audience: Audience) -> Refusal {
    let Refused { request_id, key_id, key_name, user_id, user_name, row } = refused;
    Refusal {
        request_id,
        refused_at: row.refused_at,
        code: row.code,
        status: row.status,
        message: row.message,
        explanation: audience.staff(row.explanation).filter(|full| !full.is_empty()),
        wire: row.wire,
        model: Some(row.model).filter(|model| !model.is_empty()),
        key_id,
        key_name,
        user_id: audience.staff(user_id).flatten(),
        user_name: audience.staff(user_name).flatten(),
        node: audience.staff(row.node_id),
    }
}

fn counts(Span { from, to }: Span, counted: Counted) -> Json<RefusalCounts> {
    let requests = counted.codes.iter().map(|(_, requests)| requests).sum();
    let code = |(code, requests)| RefusalsOfCode { code, requests };
    let codes = counted.codes.into_iter().map(code).collect();
    let frequent = counted.frequent.into_iter().map(FrequentRefusal::from).collect();
    Json(RefusalCounts { from, to, requests, codes, frequent })
}

impl From<Frequent> for FrequentRefusal {
    fn from(frequent: Frequent) -> Self {
        let Frequent { code, key_id, key_name, model, others, requests } = frequent;
        let model = Some(model).filter(|model| !model.is_empty());
        Self { code, key_id, key_name, model, others, requests }
    }
}
