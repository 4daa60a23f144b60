//! What people read of an account.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::{
    account::{AccountType, CredentialKind},
    clock::Millis,
    id::{AccountId, GroupId, RequestId},
    wire::Platform,
};
use utoipa::ToSchema;

use crate::{
    domain::account::{ClientGone, OptionFields, Status},
    ops::{
        accounts::{Known, LastError},
        nodes::{AccountLive, Mark},
    },
    rest::etag::Tagged,
    words::account_state::AccountState,
};

/// An account as people read it.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::rest) struct AccountView {
    #[schema(value_type = String)]
    id: AccountId,
    name: String,
    description: String,
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: AccountType,
    #[schema(value_type = String)]
    platform: Platform,
    /// Null: the type's own.
    base_url: Option<String>,
    credential: CredentialView,
    options: OptionFields,
    enabled: bool,
    schedulable: bool,
    /// 1–100, smaller first.
    priority: u8,
    /// 1–1000.
    weight: u16,
    /// Null: no limit. 0: none.
    concurrency: Option<u32>,
    model_mapping: BTreeMap<String, String>,
    allowed_models: Vec<String>,
    #[schema(value_type = Vec<String>)]
    group_ids: Vec<GroupId>,
    tags: Vec<String>,
    client_gone: ClientGone,
    /// Milliseconds since 1970. Null: does not expire.
    #[schema(value_type = Option<i64>)]
    expires_at: Option<Millis>,
    status: Status,
    /// What comes of all of this, of the time and of `live`.
    state: AccountState,
    /// Short code. Null where the account is valid.
    invalid_reason: Option<String>,
    invalid_detail: Option<String>,
    #[schema(value_type = Option<i64>)]
    invalid_at: Option<Millis>,
    /// What the live nodes last said. The ETag does not stand for it.
    live: LiveView,
    /// The latest attempt at the account that failed. Null: none did. The ETag does not stand for it.
    last_error: Option<LastErrorView>,
    #[schema(value_type = i64)]
    created_at: Millis,
    #[schema(value_type = i64)]
    updated_at: Millis,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct LastErrorView {
    /// Milliseconds since 1970.
    #[schema(value_type = i64)]
    at: Millis,
    /// Short code, such as `status_429`.
    reason: String,
    /// HTTP status of the upstream. Null: no answer came.
    http_status: Option<u16>,
    /// The request that it was an attempt of; its record goes with the ledger's retention.
    #[schema(value_type = String)]
    request_id: RequestId,
}

impl From<LastError> for LastErrorView {
    fn from(error: LastError) -> Self {
        let LastError { at, reason, http_status, request_id } = error;
        Self { at, reason, http_status, request_id }
    }
}

/// What the live nodes together know of an account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccountLive)]
pub(super) struct LiveView {
    /// Requests running now, on all nodes.
    in_flight: u64,
    /// Marks in force, each with its latest end.
    marks: Vec<MarkView>,
}

impl From<AccountLive> for LiveView {
    fn from(live: AccountLive) -> Self {
        Self { in_flight: live.in_flight, marks: live.marks.into_iter().map(MarkView::from).collect() }
    }
}

/// A passing condition of an account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MarkView {
    /// `rate_limited` or `overloaded`.
    kind: &'static str,
    #[schema(value_type = i64)]
    until: Millis,
    /// Short code, such as `status_429`.
    reason: String,
    /// Null: all models.
    model_family: Option<String>,
}

impl From<Mark> for MarkView {
    fn from(mark: Mark) -> Self {
        let Mark { kind, until, reason, model_family } = mark;
        Self { kind: kind.as_str(), until, reason, model_family }
    }
}

/// What may be known of a credential.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CredentialView {
    #[schema(value_type = String)]
    kind: CredentialKind,
    set: bool,
    /// The last characters of a long key. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

pub(super) fn tagged(known: Known) -> Tagged<AccountView> {
    Tagged { revision: known.account.revision, body: known.into() }
}

impl From<Known> for AccountView {
    fn from(Known { account, live, last_error, state }: Known) -> Self {
        let (invalid_reason, invalid_detail, invalid_at) = match account.invalid {
            Some(invalid) => (Some(invalid.reason), Some(invalid.detail), Some(invalid.at)),
            None => (None, None, None),
        };
        Self {
            id: account.id,
            name: account.name,
            description: account.description,
            kind: account.kind,
            platform: account.kind.platform(),
            base_url: account.base_url,
            credential: CredentialView {
                kind: account.credential.kind,
                set: true,
                hint: account.credential.hint,
            },
            options: account.options.fields(),
            enabled: account.enabled,
            schedulable: account.schedulable,
            priority: account.priority,
            weight: account.weight,
            concurrency: account.concurrency,
            model_mapping: account.model_mapping.into_iter().collect(),
            allowed_models: account.allowed_models,
            group_ids: account.group_ids,
            tags: account.tags,
            client_gone: account.client_gone,
            expires_at: account.expires_at,
            status: if invalid_reason.is_some() { Status::Invalid } else { Status::Valid },
            state,
            invalid_reason,
            invalid_detail,
            invalid_at,
            live: live.into(),
            last_error: last_error.map(LastErrorView::from),
            created_at: account.created_at,
            updated_at: account.updated_at,
        }
    }
}
