//! What people ask of the ledger: pages of records, each found by an index that also gives the order.
//!
//! A page is put together from several statements: requests that are open stand in a table of their own, and those that
//! did not complete are found by their outcome, one outcome at a time.

use std::collections::HashMap;

use shared::{
    clock::Millis,
    id::{AccountId, KeyId, RequestId, UserId},
};

use super::{
    StoreError, Tx,
    db::fetch_in,
    ledger::{COLUMNS, EndedScope, LedgerRow},
    ledger_open::{self, OpenRow},
    statement::{Statement, Value},
};
use crate::words::{outcome::Outcome, purpose::Purpose};

/// Which records are wanted. All that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct RecordFilter {
    pub request_id: Option<RequestId>,
    pub user_id: Option<UserId>,
    pub key_id: Option<KeyId>,
    pub account_id: Option<AccountId>,
    /// As statistics call it, see [`LedgerRow::model`].
    pub model: Option<String>,
    pub wire: Option<String>,
    pub outcome: Option<Outcome>,
    /// Whether the outcome counts as an error, see [`Outcome::is_error`].
    pub failed: Option<bool>,
    pub purpose: Option<Purpose>,
    /// Requests of this time or later.
    pub from: Option<Millis>,
    /// Requests before this time.
    pub to: Option<Millis>,
    /// Only requests older than this one.
    pub before: Option<RequestId>,
}

impl RecordFilter {
    /// Tests of accounts are found by their user, who is nobody.
    fn user(&self) -> Option<UserId> {
        let nobody = UserId::from_bytes([0; 16]);
        self.user_id.or_else(|| (self.purpose == Some(Purpose::AccountTest)).then_some(nobody))
    }

    /// The index of the ledger that serves the filter, with its order: of what is usually most selective.
    fn index(&self) -> Option<&'static str> {
        let indexes = [
            (None, self.request_id.is_some()),
            (Some("ledger_by_key"), self.key_id.is_some()),
            (Some("ledger_by_user"), self.user().is_some()),
            (Some("ledger_by_account"), self.account_id.is_some()),
            (Some("ledger_by_model"), self.model.is_some()),
            (Some("ledger_by_wire"), self.wire.is_some()),
        ];
        indexes.into_iter().find(|(_, serves)| *serves).and_then(|(index, _)| index)
    }

    /// Where requests that did not complete are found.
    fn ended(&self) -> (EndedScope, Vec<u8>) {
        let scopes = [
            (EndedScope::Key, self.key_id.map(|id| id.to_bytes().to_vec())),
            (EndedScope::User, self.user().map(|id| id.to_bytes().to_vec())),
            (EndedScope::Account, self.account_id.map(|id| id.to_bytes().to_vec())),
            (EndedScope::Model, self.model.as_ref().map(|name| name.as_bytes().to_vec())),
        ];
        let given = scopes.into_iter().find_map(|(scope, subject)| Some((scope, subject?)));
        given.unwrap_or((EndedScope::All, Vec::new()))
    }

    /// The bounds of request ids: from the first one on, up to and without the second one.
    fn bounds(&self) -> (RequestId, RequestId) {
        let first = self.from.map_or(RequestId::from_bytes([0; 16]), first_id_of);
        let end = self.to.map_or(RequestId::from_bytes([0xff; 16]), first_id_of);
        (first, self.before.map_or(end, |before| before.min(end)))
    }

    /// The outcomes that are wanted, save that `None` is any of those of requests that are over.
    fn outcomes(&self) -> Option<Vec<Outcome>> {
        let fits = |outcome: &Outcome| {
            *outcome != Outcome::Open
                && self.outcome.is_none_or(|wanted| wanted == *outcome)
                && self.failed.is_none_or(|failed| failed == outcome.is_error())
        };
        let any = self.outcome.is_none() && self.failed.is_none();
        (!any).then(|| Outcome::ALL.into_iter().filter(fits).collect())
    }

    /// Requests that are open are among what is wanted.
    fn wants_open(&self) -> bool {
        self.outcome.is_none_or(|outcome| outcome == Outcome::Open)
            && self.failed != Some(true)
            && self.account_id.is_none()
    }

    /// Together they find what is wanted of the requests that are over.
    fn statements(&self, tx: &Tx, limit: u32) -> Vec<Statement> {
        let Some(outcomes) = self.outcomes() else { return vec![self.statement(tx, None, limit)] };
        let few = !outcomes.contains(&Outcome::Completed) && self.request_id.is_none();
        match outcomes.as_slice() {
            [] => Vec::new(),
            _ if few => outcomes.iter().map(|outcome| self.by_outcome(tx, *outcome, limit)).collect(),
            _ => vec![self.statement(tx, Some(&outcomes), limit)],
        }
    }

    fn statement(&self, tx: &Tx, outcomes: Option<&[Outcome]>, limit: u32) -> Statement {
        // Without the hint MySQL may walk the primary key in search of a few rows.
        let hint = match (tx, self.index()) {
            (Tx::MySql(_), index) => format!(" FORCE INDEX ({})", index.unwrap_or("PRIMARY")),
            (Tx::Sqlite(_), Some(index)) => format!(" INDEXED BY {index}"),
            (Tx::Sqlite(_), None) => String::new(),
        };
        let outcomes = outcomes.map(|outcomes| {
            let names: Vec<_> = outcomes.iter().map(|outcome| format!("'{}'", outcome.as_str())).collect();
            format!("outcome IN ({})", names.join(", "))
        });
        let select = Statement::new(format!("SELECT {} FROM ledger l{hint}", columns()));
        self.conditions(select, "l.request_id").holding(outcomes.as_deref()).first("l.request_id DESC", limit)
    }

    /// Requests with an outcome that few have.
    fn by_outcome(&self, tx: &Tx, outcome: Outcome, limit: u32) -> Statement {
        // Both databases would rather begin with the larger table at times.
        let (straight, join) = match tx {
            Tx::MySql(_) => ("STRAIGHT_JOIN ", "JOIN"),
            Tx::Sqlite(_) => ("", "CROSS JOIN"),
        };
        let (scope, subject) = self.ended();
        let select = Statement::new(format!(
            "SELECT {straight}{} FROM ledger_ended e {join} ledger l ON l.request_id = e.request_id",
            columns()
        ))
        .given("e.scope = ?", Some(scope.as_str()))
        .given("e.subject = ?", Some(subject))
        .given("e.outcome = ?", Some(outcome.as_str()));
        self.conditions(select, "e.request_id").first("e.request_id DESC", limit)
    }

    fn open(&self, limit: u32) -> Statement {
        let select = Statement::new(format!("SELECT {} FROM ledger_open l", ledger_open::COLUMNS));
        // Another spool may have closed it while this one opened it.
        let open = "NOT EXISTS (SELECT 1 FROM ledger c WHERE c.request_id = l.request_id)";
        self.conditions(select, "l.request_id").holding(Some(open)).first("l.request_id DESC", limit)
    }

    fn conditions(&self, select: Statement, id: &str) -> Statement {
        let (first, end) = self.bounds();
        // A bound that excludes nothing makes a walk look like a search.
        let (first, end) = (
            (first.to_bytes() != [0; 16]).then(|| first.to_bytes()),
            (end.to_bytes() != [0xff; 16]).then(|| end.to_bytes()),
        );
        select
            .given(&format!("{id} >= ?"), first)
            .given(&format!("{id} < ?"), end)
            .given(&format!("{id} = ?"), self.request_id.map(RequestId::to_bytes))
            .given("l.key_id = ?", self.key_id.map(KeyId::to_bytes))
            .given("l.user_id = ?", self.user().map(UserId::to_bytes))
            .given("l.account_id = ?", self.account_id.map(AccountId::to_bytes))
            .given("l.model = ?", self.model.as_deref())
            .given("l.wire = ?", self.wire.as_deref())
            .given("l.purpose = ?", self.purpose.map(|purpose| Value::from(purpose.as_str())))
    }
}

fn columns() -> String {
    COLUMNS.map(|column| format!("l.{column}")).join(", ")
}

/// The least id of a time: ids are ULIDs, so that a range of time is a range of ids.
#[must_use]
pub fn first_id_of(at: Millis) -> RequestId {
    let mut bytes = [0; 16];
    let milliseconds = u64::try_from(at.0).unwrap_or(0).min((1 << 48) - 1);
    bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
    RequestId::from_bytes(bytes)
}

/// At most `limit` records, newest first.
///
/// # Errors
/// What the database says.
pub async fn records(tx: &mut Tx, filter: &RecordFilter, limit: u32) -> Result<Vec<LedgerRow>, StoreError> {
    let mut rows: Vec<LedgerRow> = Vec::new();
    for statement in filter.statements(tx, limit) {
        rows.extend(statement.fetch(tx).await?);
    }
    if filter.wants_open() {
        let open: Vec<OpenRow> = filter.open(limit).fetch(tx).await?;
        rows.extend(open.into_iter().map(LedgerRow::from));
    }
    rows.sort_unstable_by(|one, other| other.request_id.cmp(&one.request_id));
    rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(rows)
}

/// What records refer to, and lists show by name.
#[derive(Debug, Clone, Copy)]
pub enum Named {
    Users,
    Keys,
    Accounts,
}

/// The names of those of `ids` that still exist, by id.
///
/// # Errors
/// What the database says.
pub async fn names(
    tx: &mut Tx,
    named: Named,
    ids: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, String>, StoreError> {
    let sql = match named {
        Named::Users => "SELECT id, name FROM users WHERE id IN ",
        Named::Keys => "SELECT id, name FROM api_keys WHERE id IN ",
        Named::Accounts => "SELECT id, name FROM accounts WHERE id IN ",
    };
    Ok(fetch_in!(tx, (Vec<u8>, String), sql, "", ids)?.into_iter().collect())
}
