//! Usage: sums over the roll-ups, and the ledger's records. A person sees their own; who reads all sees everyone's.
//!
//! Sums come from roll-ups by quarter-hour and day in UTC and never from records, so they can be asked for one dimension
//! at a time: a user, a key, an account, a group, a model, a wire or a tag.

mod percentiles;
mod records;
mod span;

use shared::id::KeyId;

use self::percentiles::percentiles;
use super::{Caller, Done, Refusal};
use crate::{
    app::App,
    store::{
        Tx, api_keys,
        latency::{self, Metric},
        rollups::ALL_MODELS,
        usage_queries, usage_sums,
    },
};

pub use self::{
    percentiles::Percentiles,
    records::{Attempt, Record},
    span::{Bounds, HOURS, SUMS, Span},
};
pub use crate::store::{
    rollups::Counts,
    usage_queries::RecordFilter,
    usage_sums::{Period, PeriodCounts, Scope},
};

/// Who is looking. Accounts and real costs are not the owner's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    Owner,
    Staff,
}

impl Audience {
    /// Only for who reads all.
    pub fn staff<T>(self, value: T) -> Option<T> {
        (self == Self::Staff).then_some(value)
    }
}

/// Whose requests are summed.
#[derive(Debug, Clone)]
pub enum Asked<'a> {
    /// The caller's own: those of a key, or all.
    Own(&'a Caller, Option<KeyId>),
    /// Anyone's.
    All(Scope),
}

impl Asked<'_> {
    #[must_use]
    pub fn audience(&self) -> Audience {
        match self {
            Self::Own(..) => Audience::Owner,
            Self::All(_) => Audience::Staff,
        }
    }

    async fn scope(&self, tx: &mut Tx) -> Done<Scope> {
        match self {
            Self::Own(caller, key) => {
                demand_own(tx, caller, *key).await?;
                Ok(key.map_or(Scope::User(caller.user), Scope::Key))
            }
            Self::All(scope) => Ok(scope.clone()),
        }
    }
}

/// Sums of a span.
#[derive(Debug, Clone)]
pub struct Summary {
    pub counts: Counts,
    /// From a request's arrival to its first content. Of everything or of one model, for [`Audience::Staff`].
    pub first_token_ms: Option<Percentiles>,
    /// From a request's arrival to the end of a completed answer; as the one before.
    pub total_ms: Option<Percentiles>,
}

/// # Errors
/// `NotFound` for a key that is not the caller's.
pub async fn summary(app: &App, asked: &Asked<'_>, span: Span) -> Done<Summary> {
    let mut tx = app.store.read().await?;
    let scope = asked.scope(&mut tx).await?;
    let counts = usage_sums::sums(&mut tx, &scope, span.from, span.to).await?;
    let model = match (&scope, asked.audience()) {
        (Scope::Total, Audience::Staff) => Some(ALL_MODELS),
        (Scope::Model(model), Audience::Staff) => Some(model.as_str()),
        _ => None,
    };
    let (mut first_token_ms, mut total_ms) = (None, None);
    if let Some(model) = model {
        let buckets = latency::of(&mut tx, model, Metric::FirstToken, span.from, span.to).await?;
        first_token_ms = percentiles(&buckets);
        let buckets = latency::of(&mut tx, model, Metric::Total, span.from, span.to).await?;
        total_ms = percentiles(&buckets);
    }
    tx.commit().await?;
    Ok(Summary { counts, first_token_ms, total_ms })
}

/// By rising period; those without requests are left out.
///
/// # Errors
/// `NotFound` for a key that is not the caller's.
pub async fn by_period(app: &App, asked: &Asked<'_>, period: Period, span: Span) -> Done<Vec<PeriodCounts>> {
    let mut tx = app.store.read().await?;
    let scope = asked.scope(&mut tx).await?;
    let periods = usage_sums::by_period(&mut tx, &scope, period, span.from, span.to).await?;
    tx.commit().await?;
    Ok(periods)
}

/// The caller's requests, whatever user the filter names; the newest first.
///
/// # Errors
/// `NotFound` for a key that is not the caller's.
pub async fn own_records(app: &App, caller: &Caller, filter: &RecordFilter, limit: u32) -> Done<Vec<Record>> {
    let filter = RecordFilter { user_id: Some(caller.user), ..filter.clone() };
    let mut tx = app.store.read().await?;
    demand_own(&mut tx, caller, filter.key_id).await?;
    records(tx, &filter, limit, Audience::Owner).await
}

/// Anyone's requests, the newest first.
///
/// # Errors
/// What the database says.
pub async fn all_records(app: &App, filter: &RecordFilter, limit: u32) -> Done<Vec<Record>> {
    records(app.store.read().await?, filter, limit, Audience::Staff).await
}

async fn records(mut tx: Tx, filter: &RecordFilter, limit: u32, audience: Audience) -> Done<Vec<Record>> {
    let rows = usage_queries::records(&mut tx, filter, limit).await?;
    let records = records::read(&mut tx, rows, audience).await?;
    tx.commit().await?;
    Ok(records)
}

/// A key that is not the caller's, and was not while it was there, is as good as none.
///
/// # Errors
/// `NotFound`.
pub(super) async fn demand_own(tx: &mut Tx, caller: &Caller, key: Option<KeyId>) -> Done<()> {
    let Some(key) = key else { return Ok(()) };
    match api_keys::owner(tx, key).await? {
        Some(owner) if owner == caller.user => Ok(()),
        _ => Err(Refusal::NotFound),
    }
}
