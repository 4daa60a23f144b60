//! The payload of each kind of resource, from its row: the same message wherever the row is the same.
//!
//! What is in the envelope (id, enabled) is not repeated. Credentials are opened here, and only what signs a request
//! goes into the message: refresh tokens never leave the control plane.

use proto::v1::{self, upstream};
use shared::{
    account::{AccountType, Credential},
    price::Rates,
    secret::Secret,
    wire::Platform,
};

use crate::{
    domain::account::{Account, DroidEndpoint, GeminiForm, Options},
    secrets::{SealError, Sealer},
    store::{
        StoreError,
        accounts::AccountRow,
        api_keys::ApiKey,
        groups::GroupRow,
        mappings::MappingRow,
        models::{ModelRow, PriceRow},
        routes::RouteRow,
        settings::Settings,
        users::User,
    },
};

/// Why a row has no payload. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("the row can't be understood: {0}")]
    Corrupt(String),
    #[error("the credential can't be opened: {0}")]
    Credential(#[from] SealError),
}

impl From<StoreError> for EncodeError {
    fn from(error: StoreError) -> Self {
        Self::Corrupt(error.to_string())
    }
}

/// With the credential where the account is enabled: nobody needs that of another one.
///
/// # Errors
/// See [`EncodeError`].
pub fn account(row: &AccountRow, sealer: &Sealer) -> Result<v1::Account, EncodeError> {
    let account = Account::from_row(row)?;
    let opened = if account.enabled { Some(account.open_credential(sealer)?) } else { None };
    Ok(payload(account, opened))
}

/// With its credential in any case, for a test that a person asks for.
///
/// # Errors
/// See [`EncodeError`].
pub fn account_to_test(row: &AccountRow, sealer: &Sealer) -> Result<v1::Account, EncodeError> {
    let account = Account::from_row(row)?;
    let opened = account.open_credential(sealer)?;
    Ok(payload(account, Some(opened)))
}

fn payload(account: Account, opened: Option<Credential>) -> v1::Account {
    v1::Account {
        name: account.name,
        r#type: account_type(account.kind).into(),
        schedulable: account.schedulable,
        priority: account.priority.into(),
        weight: account.weight.into(),
        concurrency: account.concurrency,
        expires_at_ms: account.expires_at.map(|at| at.0),
        invalid_reason: account.invalid.map(|invalid| invalid.reason),
        model_mapping: account
            .model_mapping
            .into_iter()
            .map(|(from, to)| v1::ModelMap { from, to })
            .collect(),
        allowed_models: account.allowed_models,
        group_ids: account.group_ids.iter().map(|id| id.to_bytes().to_vec()).collect(),
        client_gone: v1::ClientGonePolicy::from(account.client_gone).into(),
        upstream: Some(v1::Upstream {
            base_url: account.base_url,
            credential: opened.map(credential),
            options: options(account.options),
        }),
    }
}

fn credential(credential: Credential) -> upstream::Credential {
    let text = |secret: Secret| secret.expose().to_owned();
    match credential {
        Credential::ApiKey { api_key } => {
            upstream::Credential::ApiKey(v1::ApiKeyCredential { api_key: text(api_key) })
        }
        Credential::Oauth { access_token, expires_at_ms, refresh_token: _ } => {
            upstream::Credential::AccessToken(v1::AccessTokenCredential {
                access_token: text(access_token),
                expires_at_ms: expires_at_ms.map(|at| at.0),
            })
        }
        Credential::AwsKeys { access_key_id, secret_access_key, session_token } => {
            upstream::Credential::Aws(v1::AwsCredential {
                access_key_id: text(access_key_id),
                secret_access_key: text(secret_access_key),
                session_token: session_token.map(text),
            })
        }
    }
}

fn options(options: Options) -> Option<upstream::Options> {
    Some(match options {
        Options::None => return None,
        Options::OpenAi { organization, project, chatgpt_account_id } => {
            upstream::Options::Openai(v1::OpenAiOptions { organization, project, chatgpt_account_id })
        }
        Options::Bedrock { region } => upstream::Options::Bedrock(v1::BedrockOptions { region }),
        Options::Azure { api_version, deployments } => upstream::Options::Azure(v1::AzureOptions {
            api_version,
            deployments: deployments.into_iter().map(|(from, to)| v1::ModelMap { from, to }).collect(),
        }),
        Options::Gemini { form, project, location } => {
            let form = match form {
                GeminiForm::Developer => v1::gemini_options::Form::Developer,
                GeminiForm::Vertex => v1::gemini_options::Form::Vertex,
                GeminiForm::CodeAssist => v1::gemini_options::Form::CodeAssist,
            };
            upstream::Options::Gemini(v1::GeminiOptions { form: form.into(), project, location })
        }
        Options::Droid { endpoint } => {
            let endpoint = match endpoint {
                DroidEndpoint::Anthropic => v1::droid_options::Endpoint::Anthropic,
                DroidEndpoint::Openai => v1::droid_options::Endpoint::Openai,
                DroidEndpoint::Common => v1::droid_options::Endpoint::Common,
            };
            upstream::Options::Droid(v1::DroidOptions { endpoint: endpoint.into() })
        }
    })
}

#[must_use]
pub fn group(row: &GroupRow) -> v1::AccountGroup {
    v1::AccountGroup { name: row.name.clone() }
}

#[must_use]
pub fn user(row: &User) -> v1::User {
    v1::User { name: row.name.clone(), price_rate_ppm: Some(u64::from(row.price_rate.0)) }
}

#[must_use]
pub fn api_key(row: &ApiKey) -> v1::ApiKey {
    v1::ApiKey {
        name: row.name.clone(),
        hash: row.hash.0.to_vec(),
        user_id: row.user.to_bytes().to_vec(),
        expires_at_ms: row.expires_at.map(|at| at.0),
        tags: row.tags.clone(),
        metadata: row.metadata.clone().into_iter().collect(),
    }
}

/// # Errors
/// See [`EncodeError`].
pub fn route(row: &RouteRow) -> Result<v1::ModelRoute, EncodeError> {
    let account_type = match row.account_type.as_deref() {
        Some(name) => {
            let kind: AccountType = name.parse().map_err(|error| corrupt("account_type", &error))?;
            account_type(kind)
        }
        None => v1::AccountType::Unspecified,
    };
    Ok(v1::ModelRoute {
        pattern: row.pattern.clone(),
        platform: platform(&row.platform)?.into(),
        account_type: account_type.into(),
        position: u32::try_from(row.position).map_err(|error| corrupt("position", &error))?,
    })
}

#[must_use]
pub fn mapping(row: &MappingRow) -> v1::ModelMapping {
    v1::ModelMapping { from: row.from_model.clone(), to: row.to_model.clone() }
}

/// # Errors
/// See [`EncodeError`].
pub fn model(row: &ModelRow, prices: &[PriceRow]) -> Result<v1::Model, EncodeError> {
    let tokens = |field, count: Option<i64>| {
        count.map(u64::try_from).transpose().map_err(|error| corrupt(field, &error))
    };
    Ok(v1::Model {
        name: row.name.clone(),
        platform: platform(&row.platform)?.into(),
        display_name: row.display_name.clone(),
        context_window: tokens("context_window", row.context_window)?,
        max_output: tokens("max_output", row.max_output)?,
        released_at_ms: row.released_at,
        prices: prices.iter().map(price).collect(),
    })
}

fn price(row: &PriceRow) -> v1::ModelPrice {
    let long_context = row.price.long_context.map(|long| v1::LongContextPrices {
        threshold: long.threshold,
        prices: Some(token_prices(long.rates)),
    });
    v1::ModelPrice {
        id: row.id.to_bytes().to_vec(),
        effective_from_ms: row.effective_from.0,
        prices: Some(token_prices(row.price.rates)),
        long_context,
    }
}

const fn token_prices(rates: Rates) -> v1::TokenPrices {
    v1::TokenPrices {
        input: rates.input.0,
        cache_read: rates.cache_read.0,
        cache_write_5m: rates.cache_write_5m.0,
        cache_write_1h: rates.cache_write_1h.0,
        output: rates.output.0,
    }
}

#[must_use]
pub fn settings(settings: &Settings) -> v1::Settings {
    v1::Settings {
        first_byte_timeout_ms: settings.first_byte_timeout_ms,
        idle_timeout_ms: settings.idle_timeout_ms,
        deadline_ms: settings.deadline_ms,
        max_stream_ms: settings.max_stream_ms,
        commit_hold_ms: settings.commit_hold_ms,
        max_body_bytes: settings.max_body_bytes,
        drain_timeout_ms: settings.drain_timeout_ms,
        cut_revoked_streams: settings.cut_revoked_streams,
        plain_deadline_ms: settings.plain_deadline_ms,
        plain_attempt_timeout_ms: settings.plain_attempt_timeout_ms,
        plain_drain_timeout_ms: settings.plain_drain_timeout_ms,
        max_answer_bytes: settings.max_answer_bytes,
        max_frame_bytes: settings.max_frame_bytes,
    }
}

fn platform(name: &str) -> Result<v1::Platform, EncodeError> {
    let platform = Platform::ALL.into_iter().find(|platform| platform.as_str() == name);
    match platform {
        Some(Platform::Claude) => Ok(v1::Platform::Claude),
        Some(Platform::OpenAi) => Ok(v1::Platform::Openai),
        Some(Platform::Gemini) => Ok(v1::Platform::Gemini),
        Some(Platform::Other) => Ok(v1::Platform::Other),
        None => Err(corrupt("platform", &"no such platform")),
    }
}

/// The contract's number of an account type.
#[must_use]
pub fn account_type(kind: AccountType) -> v1::AccountType {
    match kind {
        AccountType::ClaudeOfficial => v1::AccountType::ClaudeOfficial,
        AccountType::ClaudeConsole => v1::AccountType::ClaudeConsole,
        AccountType::Bedrock => v1::AccountType::Bedrock,
        AccountType::Ccr => v1::AccountType::Ccr,
        AccountType::Openai => v1::AccountType::Openai,
        AccountType::OpenaiResponses => v1::AccountType::OpenaiResponses,
        AccountType::AzureOpenai => v1::AccountType::AzureOpenai,
        AccountType::Gemini => v1::AccountType::Gemini,
        AccountType::GeminiApi => v1::AccountType::GeminiApi,
        AccountType::Droid => v1::AccountType::Droid,
    }
}

fn corrupt(field: &str, cause: &dyn std::fmt::Display) -> EncodeError {
    EncodeError::Corrupt(format!("{field}: {cause}"))
}
