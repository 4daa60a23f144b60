//! What people send to make or change an account.

use std::collections::BTreeMap;

use serde::Deserialize;
use shared::{
    account::{AccountType, Credential, CredentialKind},
    clock::Millis,
    id::{AccountId, GroupId},
};
use utoipa::ToSchema;

use super::{
    Account, AccountError, ClientGone, CredentialInput, DEFAULT_PRIORITY, DEFAULT_WEIGHT, Invalid,
    OptionFields, Options, StoredCredential,
    base_url::{self, AllowedUpstreams, Origin},
    models, seal,
};
use crate::{
    domain::{fault::Faults, name::Name, patch::Patch},
    secrets::{SealError, Sealer},
};

const MAX_TAGS: usize = 20;
const MAX_TAG: usize = 50;
const MAX_CONCURRENCY: u32 = 1_000_000;
const MAX_GROUPS: usize = 100;

/// An account to make, or what to change of one. In a change a field that is absent keeps its value, and null sets the
/// default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountInput {
    /// Required; unique.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub name: Patch<String>,
    /// One of `GET /api/admin/accounts/types`. Required, and never changes.
    #[serde(default, rename = "type")]
    #[schema(value_type = Option<String>)]
    pub kind: Patch<AccountType>,
    /// Null: the type's own.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub base_url: Patch<String>,
    /// Required. In a change: absent keeps them, else they are replaced as a whole.
    #[serde(default)]
    #[schema(value_type = Option<CredentialInput>)]
    pub credentials: Patch<CredentialInput>,
    /// Replaced as a whole.
    #[serde(default)]
    #[schema(value_type = Option<OptionFields>)]
    pub options: Patch<OptionFields>,
    /// 1–100, smaller first. Default: 50.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub priority: Patch<u32>,
    /// Share among accounts of the same priority, 1–1000. Default: 100.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub weight: Patch<u32>,
    /// Requests at the same time. Null: no limit. 0: none.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub concurrency: Patch<u32>,
    /// From a model name (or a pattern with `*`) to the name that is sent upstream.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub model_mapping: Patch<BTreeMap<String, String>>,
    /// Patterns that a mapped name must match. Empty: all models of the platform.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub allowed_models: Patch<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub group_ids: Patch<Vec<GroupId>>,
    /// Default: true.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub enabled: Patch<bool>,
    /// Default: true.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub schedulable: Patch<bool>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub description: Patch<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub tags: Patch<Vec<String>>,
    /// Default: drain.
    #[serde(default)]
    #[schema(value_type = Option<ClientGone>)]
    pub client_gone: Patch<ClientGone>,
    /// Milliseconds since 1970. Null: does not expire.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub expires_at: Patch<Millis>,
}

/// What an input is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    pub sealer: &'a Sealer,
    /// What base URLs may point to.
    pub allowed: AllowedUpstreams,
    pub now: Millis,
}

impl AccountInput {
    /// A new account.
    ///
    /// # Errors
    /// All faults of the input, or that the credential could not be sealed.
    pub fn create(self, id: AccountId, rules: Rules<'_>) -> Result<Account, AccountError> {
        let mut faults = Faults::default();
        let Patch::Set(kind) = self.kind else {
            faults.push("type", "is required");
            return Err(faults.into());
        };
        for (field, absent) in [
            ("name", !matches!(self.name, Patch::Set(_))),
            ("credentials", !matches!(self.credentials, Patch::Set(_))),
        ] {
            if absent {
                faults.push(field, "is required");
            }
        }
        let blank = Account::blank(id, kind, rules.now);
        self.apply(blank, faults, rules)
    }

    /// The account with what the input changes; the same where it changes nothing. A credential, or another base URL or
    /// option, makes an invalid account valid.
    ///
    /// # Errors
    /// All faults of the input, or that the credential could not be sealed.
    pub fn update(self, present: &Account, rules: Rules<'_>) -> Result<Account, AccountError> {
        let mut faults = Faults::default();
        match self.kind {
            Patch::Keep => {}
            Patch::Set(kind) if kind == present.kind => {}
            Patch::Clear | Patch::Set(_) => faults.push("type", "can't be changed; make another account"),
        }
        let keeps_credential = self.credentials.is_keep();
        let mut changed = self.apply(present.clone(), faults, rules)?;
        let origin = |account: &Account| Origin::of(account.kind, account.base_url.as_deref());
        if keeps_credential && origin(&changed) != origin(present) {
            let mut faults = Faults::default();
            faults
                .push("credentials", "must be given again: `base_url` leads to another host, scheme or port");
            return Err(faults.into());
        }
        let reached_otherwise = changed.base_url != present.base_url || changed.options != present.options;
        if reached_otherwise || !keeps_credential {
            changed.invalid = None;
        }
        if changed != *present {
            changed.updated_at = rules.now;
        }
        Ok(changed)
    }

    fn apply(
        self,
        mut account: Account,
        mut faults: Faults,
        rules: Rules<'_>,
    ) -> Result<Account, AccountError> {
        let faults_mut = &mut faults;
        match self.name {
            Patch::Keep => {}
            Patch::Clear => faults_mut.push("name", "is required"),
            Patch::Set(name) => {
                let name = faults_mut.take("name", Name::try_from(name));
                account.name = name.map(Name::into_string).unwrap_or_default();
            }
        }
        apply_base_url(&mut account, self.base_url, rules, faults_mut);
        apply_options(&mut account, self.options, faults_mut);
        let credential = match self.credentials {
            Patch::Keep => None,
            Patch::Clear => {
                faults_mut.push("credentials", "is required");
                None
            }
            Patch::Set(input) => input.parse(account.kind, faults_mut),
        };
        check_base_url_is_given(&account, credential.as_ref(), faults_mut);

        let priority = self.priority.over(account.priority.into(), DEFAULT_PRIORITY.into());
        account.priority = within("priority", priority, 1, 100, faults_mut);
        let weight = self.weight.over(account.weight.into(), DEFAULT_WEIGHT.into());
        account.weight = within("weight", weight, 1, 1000, faults_mut);
        account.concurrency = self.concurrency.over_optional(account.concurrency);
        if account.concurrency.is_some_and(|limit| limit > MAX_CONCURRENCY) {
            faults_mut.push("concurrency", format!("at most {MAX_CONCURRENCY}; null for no limit"));
        }
        if let Some(entries) = given(self.model_mapping) {
            account.model_mapping = models::mapping(entries, faults_mut);
        }
        if let Some(patterns) = given(self.allowed_models) {
            account.allowed_models = models::allowed(patterns, faults_mut);
        }
        if let Some(ids) = given(self.group_ids) {
            account.group_ids = groups(ids, faults_mut);
        }
        account.enabled = self.enabled.over(account.enabled, true);
        account.schedulable = self.schedulable.over(account.schedulable, true);
        if let Some(text) = given(self.description) {
            account.description = faults_mut.description(text);
        }
        if let Some(list) = given(self.tags) {
            account.tags = tags(list, faults_mut);
        }
        account.client_gone = self.client_gone.over(account.client_gone, ClientGone::default());
        account.expires_at = self.expires_at.over_optional(account.expires_at);
        if account.expires_at.is_some_and(|at| !is_time(at)) {
            faults_mut.push("expires_at", NO_TIME);
        }

        faults.none()?;
        if let Some(credential) = credential {
            account.take_credential(&credential, rules.sealer)?;
        }
        Ok(account)
    }
}

impl Account {
    /// One that it has already stays as it is sealed: sealed again, it would look like another one.
    fn take_credential(&mut self, credential: &Credential, sealer: &Sealer) -> Result<(), SealError> {
        if self.open_credential(sealer).is_ok_and(|present| present == *credential) {
            return Ok(());
        }
        self.credential = seal(sealer, self.id, credential)?;
        Ok(())
    }

    /// What a new account starts from; its name, credential and options are not valid.
    fn blank(id: AccountId, kind: AccountType, now: Millis) -> Self {
        let credential_kind = kind.credential_kinds().first().copied().unwrap_or(CredentialKind::ApiKey);
        Self {
            id,
            name: String::new(),
            description: String::new(),
            kind,
            base_url: None,
            credential: StoredCredential { kind: credential_kind, hint: None, sealed: Vec::new().into() },
            options: Options::None,
            enabled: true,
            schedulable: true,
            priority: DEFAULT_PRIORITY,
            weight: DEFAULT_WEIGHT,
            concurrency: None,
            model_mapping: Vec::new(),
            allowed_models: Vec::new(),
            group_ids: Vec::new(),
            tags: Vec::new(),
            client_gone: ClientGone::default(),
            expires_at: None,
            invalid: None::<Invalid>,
            created_at: now,
            updated_at: now,
            revision: 1,
        }
    }
}

fn apply_base_url(account: &mut Account, input: Patch<String>, rules: Rules<'_>, faults: &mut Faults) {
    account.base_url = match input {
        Patch::Keep => return,
        Patch::Clear => None,
        Patch::Set(text) => faults.take("base_url", base_url::parse(&text, rules.allowed)),
    };
}

fn apply_options(account: &mut Account, input: Patch<OptionFields>, faults: &mut Faults) {
    let fields = match input {
        Patch::Keep => account.options.fields(),
        Patch::Clear => OptionFields::default(),
        Patch::Set(fields) => fields,
    };
    if let Some(options) = Options::parse(account.kind, fields, faults) {
        account.options = options;
    }
}

/// Some upstreams are the operator's own, and have no address of which we could know.
fn check_base_url_is_given(account: &Account, credential: Option<&Credential>, faults: &mut Faults) {
    if account.base_url.is_some() || faults.0.iter().any(|fault| fault.field == "base_url") {
        return;
    }
    let credential = credential.map_or(account.credential.kind, Credential::kind);
    match account.kind {
        AccountType::Ccr | AccountType::AzureOpenai => {
            faults.push("base_url", format!("is required for {}", account.kind));
        }
        AccountType::Openai if credential == CredentialKind::Oauth => {
            faults.push("base_url", "is required for openai with an access token");
        }
        _ => {}
    }
}

/// `None`: keep. Null is the empty value.
fn given<T: Default>(patch: Patch<T>) -> Option<T> {
    match patch {
        Patch::Keep => None,
        Patch::Clear => Some(T::default()),
        Patch::Set(value) => Some(value),
    }
}

fn within<T: TryFrom<u32> + Default>(
    field: &str,
    value: u32,
    least: u32,
    most: u32,
    faults: &mut Faults,
) -> T {
    if !(least..=most).contains(&value) {
        faults.push(field, format!("must be {least} to {most}"));
    }
    T::try_from(value).unwrap_or_default()
}

fn groups(mut ids: Vec<GroupId>, faults: &mut Faults) -> Vec<GroupId> {
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > MAX_GROUPS {
        faults.push("group_ids", format!("at most {MAX_GROUPS}"));
    }
    ids
}

fn tags(list: Vec<String>, faults: &mut Faults) -> Vec<String> {
    if list.len() > MAX_TAGS {
        faults.push("tags", format!("at most {MAX_TAGS}"));
    }
    let mut tags: Vec<String> = Vec::with_capacity(list.len().min(MAX_TAGS));
    for (index, tag) in list.into_iter().enumerate() {
        let field = format!("tags[{index}]");
        if tag.chars().count() > MAX_TAG {
            faults.push(field.as_str(), format!("at most {MAX_TAG} characters"));
        }
        let Some(tag) = faults.take(&field, Name::try_from(tag)).map(Name::into_string) else {
            continue;
        };
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

pub(super) const NO_TIME: &str = "must be milliseconds since 1970, before the year 10000";

pub(super) fn is_time(at: Millis) -> bool {
    const YEAR_10000: i64 = 253_402_300_800_000;
    (1..YEAR_10000).contains(&at.0)
}
