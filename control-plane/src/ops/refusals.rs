//! Requests that the gateway refused by itself: no account was tried, and so they are not among the usage records. All of
//! them are counted, by quarter-hour; the latest of keys that are known are there in full.

use shared::id::{KeyId, RequestId, UserId};

use super::{
    Caller, Done,
    names::{Names, names},
    usage::{Audience, Span, demand_own},
};
use crate::{
    app::App,
    store::{
        StoreError, Tx,
        refusals::{self, NOBODY, RefusalRow, Sum},
        usage_queries::Named,
    },
};

pub use crate::store::refusals::{CountFilter, RefusalFilter};

/// Codes of one answer: more than there are.
const MAX_CODES: u32 = 200;
/// The most frequent that are told by key and model.
const MAX_FREQUENT: u32 = 50;

/// A refused request. Names are of what still exists; that of the user is there for [`Audience::Staff`] alone.
#[derive(Debug, Clone)]
pub struct Refused {
    pub request_id: RequestId,
    /// `None`: it is not known.
    pub key_id: Option<KeyId>,
    pub key_name: Option<String>,
    /// `None`: it is not known.
    pub user_id: Option<UserId>,
    pub user_name: Option<String>,
    /// What else is known of it.
    pub row: RefusalRow,
}

/// How many requests were refused.
#[derive(Debug, Clone)]
pub struct Counted {
    /// Requests by code, the most frequent first.
    pub codes: Vec<(String, i64)>,
    /// By key and model too: the most frequent, at most 50.
    pub frequent: Vec<Frequent>,
}

#[derive(Debug, Clone)]
pub struct Frequent {
    pub code: String,
    /// `None`: no key is known.
    pub key_id: Option<KeyId>,
    pub key_name: Option<String>,
    /// As clients asked for it. Empty: it is not known.
    pub model: String,
    /// Of more models (without a key: of more keys and models) than nodes tell apart.
    pub others: bool,
    pub requests: i64,
}

/// Those of the caller's keys, whatever user the filter names; the newest first.
///
/// # Errors
/// `NotFound` for a key that is not the caller's.
pub async fn own(app: &App, caller: &Caller, filter: RefusalFilter, limit: u32) -> Done<Vec<Refused>> {
    let filter = RefusalFilter { user_id: Some(caller.user), ..filter };
    let mut tx = app.store.read().await?;
    demand_own(&mut tx, caller, filter.key_id).await?;
    list(tx, &filter, limit, Audience::Owner).await
}

/// Anyone's, the newest first.
///
/// # Errors
/// What the database says.
pub async fn all(app: &App, filter: &RefusalFilter, limit: u32) -> Done<Vec<Refused>> {
    list(app.store.read().await?, filter, limit, Audience::Staff).await
}

/// How many there are of the caller's keys, whatever user the filter names.
///
/// # Errors
/// `NotFound` for a key that is not the caller's.
pub async fn own_counts(app: &App, caller: &Caller, filter: CountFilter, span: Span) -> Done<Counted> {
    let filter = CountFilter { user_id: Some(caller.user), ..filter };
    let mut tx = app.store.read().await?;
    demand_own(&mut tx, caller, filter.key_id).await?;
    counts(tx, &filter, span).await
}

/// How many there are of anyone's, also of keys that are not known.
///
/// # Errors
/// What the database says.
pub async fn all_counts(app: &App, filter: &CountFilter, span: Span) -> Done<Counted> {
    counts(app.store.read().await?, filter, span).await
}

async fn list(mut tx: Tx, filter: &RefusalFilter, limit: u32, audience: Audience) -> Done<Vec<Refused>> {
    let rows = refusals::list(&mut tx, filter, limit).await?;
    let keys = known_names(&mut tx, Named::Keys, rows.iter().map(|row| &row.key_id)).await?;
    let users = match audience {
        Audience::Staff => known_names(&mut tx, Named::Users, rows.iter().map(|row| &row.user_id)).await?,
        Audience::Owner => Names::new(),
    };
    tx.commit().await?;
    Ok(rows.into_iter().map(|row| refused(row, &keys, &users)).collect::<Result<_, _>>()?)
}

async fn counts(mut tx: Tx, filter: &CountFilter, Span { from, to }: Span) -> Done<Counted> {
    let codes = refusals::by_code(&mut tx, filter, from, to, MAX_CODES).await?;
    let sums = refusals::by_all(&mut tx, filter, from, to, MAX_FREQUENT).await?;
    let keys = known_names(&mut tx, Named::Keys, sums.iter().map(|sum| &sum.key_id)).await?;
    tx.commit().await?;
    let frequent = sums.into_iter().map(|sum| frequent(sum, &keys)).collect::<Result<_, _>>()?;
    Ok(Counted { codes, frequent })
}

async fn known_names(
    tx: &mut Tx,
    named: Named,
    ids: impl Iterator<Item = &Vec<u8>>,
) -> Result<Names, StoreError> {
    names(tx, named, ids.filter(|id| **id != NOBODY).map(Vec::as_slice)).await
}

fn refused(row: RefusalRow, keys: &Names, users: &Names) -> Result<Refused, StoreError> {
    Ok(Refused {
        request_id: RequestId::try_from(row.request_id.as_slice()).map_err(StoreError::corrupt)?,
        key_id: known(&row.key_id, KeyId::try_from)?,
        key_name: keys.get(&row.key_id).cloned(),
        user_id: known(&row.user_id, UserId::try_from)?,
        user_name: users.get(&row.user_id).cloned(),
        row,
    })
}

fn frequent(sum: Sum, keys: &Names) -> Result<Frequent, StoreError> {
    Ok(Frequent {
        key_id: known(&sum.key_id, KeyId::try_from)?,
        key_name: keys.get(&sum.key_id).cloned(),
        code: sum.code,
        model: sum.model,
        others: sum.others,
        requests: sum.requests,
    })
}

fn known<'a, T, E: std::fmt::Display>(
    id: &'a [u8],
    read: impl FnOnce(&'a [u8]) -> Result<T, E>,
) -> Result<Option<T>, StoreError> {
    (id != NOBODY).then(|| read(id).map_err(StoreError::corrupt)).transpose()
}
