//! Accounts of the ten types: what their rows mean, and what people may write into them.
//!
//! [`AccountInput`] is what a person sends; it becomes an [`Account`] or a list of faults. [`Account::from_row`] reads
//! what is stored. To add a type's option: a field in [`OptionFields`], its place in [`Options`], its description in
//! `descriptor`; a test holds the three together.

mod base_url;
mod commands;
mod credential;
mod descriptor;
mod input;
mod models;
mod options;
mod reseal;

use proto::v1;
use serde::{Deserialize, Serialize};
use shared::{
    account::{AccountType, Credential, CredentialKind},
    clock::Millis,
    id::{AccountId, GroupId},
};
use utoipa::ToSchema;

pub use base_url::AllowedUpstreams;
pub use commands::{Status, StatusChange, TestRequest};
pub use credential::CredentialInput;
pub use descriptor::{AccountTypes, Descriptor, Field, FieldKind, all as descriptors};
pub use input::{AccountInput, Rules};
pub use options::{DroidEndpoint, GeminiForm, OptionFields, Options};
pub use reseal::reseal;

use super::fault::Faults;
use crate::{
    secrets::{Place, SealError, Sealer},
    store::{
        StoreError,
        accounts::{AccountRow, Sealed},
    },
    words::account_state::Standing,
};

pub const DEFAULT_PRIORITY: u8 = 50;
pub const DEFAULT_WEIGHT: u16 = 100;

/// An upstream account as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    pub description: String,
    pub kind: AccountType,
    /// Without a trailing slash. `None`: the type's own.
    pub base_url: Option<String>,
    pub credential: StoredCredential,
    pub options: Options,
    /// Set by people: false, and it is not used.
    pub enabled: bool,
    /// Set by people: false, and it gets no new requests.
    pub schedulable: bool,
    /// 1–100, smaller first.
    pub priority: u8,
    /// Share inside a priority tier, 1–1000.
    pub weight: u16,
    /// Requests at the same time. `None`: no limit.
    pub concurrency: Option<u32>,
    /// From what clients ask for (`*` allowed) to what is sent; the first match wins.
    pub model_mapping: Vec<(String, String)>,
    /// Patterns of mapped names. Empty: all models of the platform.
    pub allowed_models: Vec<String>,
    pub group_ids: Vec<GroupId>,
    pub tags: Vec<String>,
    pub client_gone: ClientGone,
    pub expires_at: Option<Millis>,
    /// `None`: valid.
    pub invalid: Option<Invalid>,
    pub created_at: Millis,
    pub updated_at: Millis,
    pub revision: i64,
}

/// A credential as it lies in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCredential {
    pub kind: CredentialKind,
    /// Its last characters, for people to tell keys apart.
    pub hint: Option<String>,
    pub sealed: Sealed,
}

/// The credential does not work, as a person or a node's test said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// Short code such as `unauthorized`.
    pub reason: String,
    pub detail: String,
    pub at: Millis,
}

/// What happens to the upstream when the client leaves in mid-stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientGone {
    /// Read on, bounded, to learn the usage.
    #[default]
    Drain,
    /// Close the upstream; the usage seen so far counts, as an estimate.
    Cancel,
}

/// Why an input became no account.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error("the account is not valid")]
    Invalid(Faults),
    #[error("the credential could not be sealed: {0}")]
    Seal(#[from] SealError),
}

impl From<Faults> for AccountError {
    fn from(faults: Faults) -> Self {
        Self::Invalid(faults)
    }
}

impl From<ClientGone> for v1::ClientGonePolicy {
    fn from(policy: ClientGone) -> Self {
        match policy {
            ClientGone::Drain => Self::Drain,
            ClientGone::Cancel => Self::Cancel,
        }
    }
}

impl Account {
    /// # Errors
    /// `Corrupt`, also for what only a later release knows.
    pub fn from_row(row: &AccountRow) -> Result<Self, StoreError> {
        let at = |field: &'static str| {
            move |cause: &dyn std::fmt::Display| {
                StoreError::corrupt(format_args!("account {}, {field}: {cause}", row.id))
            }
        };
        let kind: AccountType = row.account_type.parse().map_err(|error| at("account_type")(&error))?;
        let fields = serde_json::from_str(&row.options).map_err(|error| at("options")(&error))?;
        let invalid = row.invalid_reason.as_ref().map(|reason| Invalid {
            reason: reason.clone(),
            detail: row.invalid_detail.clone().unwrap_or_default(),
            at: Millis(row.invalid_at.unwrap_or(row.updated_at)),
        });
        Ok(Self {
            id: row.id,
            name: row.name.clone(),
            description: row.description.clone(),
            kind,
            base_url: row.base_url.clone(),
            credential: StoredCredential {
                kind: word(&row.credential_kind).map_err(|error| at("credential_kind")(&error))?,
                hint: row.credential_hint.clone(),
                sealed: row.credential.clone(),
            },
            options: Options::stored(kind, fields).map_err(|error| at("options")(&error))?,
            enabled: row.enabled,
            schedulable: row.schedulable,
            priority: row.priority.try_into().map_err(|error| at("priority")(&error))?,
            weight: row.weight.try_into().map_err(|error| at("weight")(&error))?,
            concurrency: row
                .concurrency
                .map(TryInto::try_into)
                .transpose()
                .map_err(|error| at("concurrency")(&error))?,
            model_mapping: serde_json::from_str(&row.model_mapping)
                .map_err(|error| at("model_mapping")(&error))?,
            allowed_models: serde_json::from_str(&row.allowed_models)
                .map_err(|error| at("allowed_models")(&error))?,
            group_ids: row.group_ids.clone(),
            tags: serde_json::from_str(&row.tags).map_err(|error| at("tags")(&error))?,
            client_gone: word(&row.client_gone).map_err(|error| at("client_gone")(&error))?,
            expires_at: row.expires_at.map(Millis),
            invalid,
            created_at: Millis(row.created_at),
            updated_at: Millis(row.updated_at),
            revision: row.revision,
        })
    }

    /// # Errors
    /// `Corrupt`; it does not happen with what was validated.
    pub fn to_row(&self) -> Result<AccountRow, StoreError> {
        Ok(AccountRow {
            id: self.id,
            name: self.name.clone(),
            description: self.description.clone(),
            account_type: self.kind.as_str().to_owned(),
            base_url: self.base_url.clone(),
            credential_kind: text(&self.credential.kind)?,
            credential_hint: self.credential.hint.clone(),
            credential: self.credential.sealed.clone(),
            options: json(&self.options.fields())?,
            enabled: self.enabled,
            schedulable: self.schedulable,
            priority: self.priority.into(),
            weight: self.weight.into(),
            concurrency: self.concurrency.map(Into::into),
            model_mapping: json(&self.model_mapping)?,
            allowed_models: json(&self.allowed_models)?,
            tags: json(&self.tags)?,
            client_gone: text(&self.client_gone)?,
            expires_at: self.expires_at.map(|at| at.0),
            invalid_reason: self.invalid.as_ref().map(|invalid| invalid.reason.clone()),
            invalid_detail: self.invalid.as_ref().map(|invalid| invalid.detail.clone()),
            invalid_at: self.invalid.as_ref().map(|invalid| invalid.at.0),
            created_at: self.created_at.0,
            updated_at: self.updated_at.0,
            revision: self.revision,
            group_ids: self.group_ids.clone(),
        })
    }

    /// What its state comes from, beside the marks of nodes.
    #[must_use]
    pub fn standing(&self, now: Millis) -> Standing {
        Standing {
            enabled: self.enabled,
            schedulable: self.schedulable,
            expired: self.expires_at.is_some_and(|at| at <= now),
            invalid: self.invalid.is_some(),
        }
    }

    /// What the account signs its requests with.
    ///
    /// # Errors
    /// Why it can't be opened; `Form` also where what is inside is no credential.
    pub fn open_credential(&self, sealer: &Sealer) -> Result<Credential, SealError> {
        let opened = sealer.open(place(self.id), &self.credential.sealed.0)?;
        serde_json::from_slice(&opened).map_err(|_| SealError::Form)
    }
}

/// Where an account's credential is sealed.
fn place(id: AccountId) -> Place<'static> {
    Place { kind: "account credential", id: id.to_bytes() }
}

/// Seals an account's credential; [`Account::open_credential`] opens it.
///
/// # Errors
/// What the sealer says.
pub fn seal(sealer: &Sealer, id: AccountId, credential: &Credential) -> Result<StoredCredential, SealError> {
    let plain = serde_json::to_vec(credential).map(zeroize::Zeroizing::new).map_err(|_| SealError::Form)?;
    let sealed = Sealed(sealer.seal(place(id), &plain)?);
    Ok(StoredCredential { kind: credential.kind(), hint: credential::hint(credential), sealed })
}

fn word<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, serde::de::value::Error> {
    T::deserialize(serde::de::value::StrDeserializer::new(text))
}

fn text(word: &impl Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(word).map_err(StoreError::corrupt)? {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(StoreError::corrupt("not a word")),
    }
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(StoreError::corrupt)
}

#[cfg(test)]
mod tests;
