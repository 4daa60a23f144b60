//! An account's payload.

use prost::Message as _;
use proto::v1::{self as message, Resource, upstream};
use shared::{
    account::{AccountType, CredentialKind, is_aws_region, is_region},
    clock::Millis,
    id::{AccountId, GroupId},
    secret::Secret,
};
use url::Url;

use super::{super::Ready, Refusal, account_type, own_id, pattern};
use crate::{
    live::AccountStates,
    snapshot::domain::{Account, ClientGone, Credential, Options, Upstream},
};

pub(super) fn parse(resource: &Resource, payload: &[u8], states: &AccountStates) -> Result<Account, Refusal> {
    let id = own_id(AccountId::try_from(resource.id.as_slice()))?;
    let account = message::Account::decode(payload)?;
    let kind = account_type(account.r#type);
    let upstream = account.upstream.ok_or(Refusal::Missing("the upstream"))?;
    Ok(Account {
        id,
        version: resource.version,
        name: account.name,
        enabled: resource.enabled,
        schedulable: account.schedulable,
        kind,
        priority: number(account.priority, 1, 100, "the priority")?,
        weight: number(account.weight, 1, 1000, "the weight")?,
        concurrency: account.concurrency,
        expires_at: account.expires_at_ms.map(Millis),
        invalid_reason: account.invalid_reason,
        model_mapping: account
            .model_mapping
            .into_iter()
            .map(|map| {
                pattern(&map.to, "a target of the model mapping")?;
                Ok((pattern(&map.from, "a source of the model mapping")?, map.to))
            })
            .collect::<Result<_, Refusal>>()?,
        allowed_models: account
            .allowed_models
            .iter()
            .map(|text| pattern(text, "an allowed model"))
            .collect::<Result<_, _>>()?,
        groups: account
            .group_ids
            .iter()
            .map(|id| GroupId::try_from(id.as_slice()).map_err(|_| Refusal::Id("a group")))
            .collect::<Result<_, _>>()?,
        client_gone: match message::ClientGonePolicy::try_from(account.client_gone) {
            Ok(message::ClientGonePolicy::Cancel) => ClientGone::Cancel,
            _ => ClientGone::Drain,
        },
        upstream: parse_upstream(kind, upstream)?,
        state: states.of(id),
    })
}

fn number<T: TryFrom<u32>>(value: u32, least: u32, most: u32, field: &'static str) -> Result<T, Refusal> {
    let in_range = (least..=most).contains(&value);
    in_range.then(|| T::try_from(value).ok()).flatten().ok_or(Refusal::Range(field))
}

fn parse_upstream(kind: Option<AccountType>, upstream: message::Upstream) -> Result<Upstream, Refusal> {
    Ok(Upstream {
        base_url: base_url(kind, upstream.base_url.as_deref())?,
        credential: credential(kind, upstream.credential)?,
        options: options(upstream.options)?,
        ready: Ready::default(),
    })
}

fn base_url(kind: Option<AccountType>, stated: Option<&str>) -> Result<Option<Url>, Refusal> {
    let text = stated.or_else(|| kind.and_then(AccountType::default_base_url));
    let Some(text) = text else {
        let needed = matches!(kind, Some(AccountType::Ccr | AccountType::AzureOpenai));
        return if needed { Err(Refusal::Missing("the base URL")) } else { Ok(None) };
    };
    let url = Url::parse(text.trim_end_matches('/')).map_err(|_| Refusal::BaseUrl)?;
    let plain = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
    if plain { Ok(Some(url)) } else { Err(Refusal::BaseUrl) }
}

fn credential(
    kind: Option<AccountType>,
    credential: Option<upstream::Credential>,
) -> Result<Credential, Refusal> {
    let (form, credential) = match credential {
        None => return Ok(Credential::None),
        Some(upstream::Credential::ApiKey(key)) => {
            (CredentialKind::ApiKey, Credential::ApiKey(secret(key.api_key)?))
        }
        Some(upstream::Credential::AccessToken(token)) => (
            CredentialKind::Oauth,
            Credential::AccessToken {
                token: secret(token.access_token)?,
                expires_at: token.expires_at_ms.map(Millis),
            },
        ),
        Some(upstream::Credential::Aws(keys)) => (
            CredentialKind::AwsKeys,
            Credential::Aws {
                access_key_id: secret(keys.access_key_id)?,
                secret_access_key: secret(keys.secret_access_key)?,
                session_token: keys.session_token.map(secret).transpose()?,
            },
        ),
    };
    let fits = kind.is_none_or(|kind| kind.credential_kinds().contains(&form));
    if fits { Ok(credential) } else { Err(Refusal::CredentialForm) }
}

fn secret(text: String) -> Result<Secret, Refusal> {
    if text.is_empty() { Err(Refusal::Missing("the credential")) } else { Ok(Secret::new(text)) }
}

fn options(options: Option<upstream::Options>) -> Result<Options, Refusal> {
    Ok(match options {
        None => Options::None,
        Some(upstream::Options::Openai(options)) => Options::OpenAi {
            organization: options.organization,
            project: options.project,
            chatgpt_account_id: options.chatgpt_account_id,
        },
        Some(upstream::Options::Bedrock(options)) => {
            Options::Bedrock { region: region(options.region, is_aws_region)? }
        }
        Some(upstream::Options::Azure(options)) => Options::Azure {
            deployments: options.deployments.into_iter().map(|map| (map.from, map.to)).collect(),
            api_version: options.api_version,
        },
        Some(upstream::Options::Gemini(options)) => {
            let location = options.location.clone().map(|text| region(text, is_region)).transpose()?;
            Options::Gemini { form: options.form(), project: options.project, location }
        }
        Some(upstream::Options::Droid(options)) => Options::Droid { endpoint: options.endpoint() },
    })
}

/// It becomes part of a host's name, where the credential goes.
fn region(text: String, is_one: fn(&str) -> bool) -> Result<String, Refusal> {
    if is_one(&text) { Ok(text) } else { Err(Refusal::Region) }
}
