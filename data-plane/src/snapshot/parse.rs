//! One resource, from the contract's bytes to a type that can't be wrong.
//!
//! Strict about what a request would trip over: lengths of ids, ranges, URLs, patterns, the form of a credential.
//! What a newer control plane may add (kinds, account types) is taken and set aside, not refused.

mod account;

use std::sync::Arc;

use prost::{DecodeError, Message};
use proto::v1::{self as message, Resource, ResourceKind};
use shared::{
    account::AccountType,
    clock::Millis,
    id::{GroupId, InvalidId, KeyId, MappingId, ModelId, PriceId, RouteId, UserId},
    model::{InvalidPattern, ModelPattern},
    money::Ppm,
    price::{LongContext, PerMillion, Price, Rates, list::Dated},
    secret::KeyHash,
    wire::Platform,
};

use super::{
    compile::PolicyOverrides,
    domain::{Account, ApiKey, Model, ModelRoute},
};
use crate::live::AccountStates;

/// A resource that can be used, by kind. The envelope of an account is part of it; of the others it is not.
#[derive(Debug, Clone)]
pub(super) enum Parsed {
    Account(Arc<Account>),
    AccountGroup,
    /// With what the user pays of a price.
    User(UserId, Ppm),
    ApiKey(KeyHash, Arc<ApiKey>),
    /// With its position.
    ModelRoute(u32, ModelRoute),
    ModelMapping {
        from: String,
        to: String,
    },
    Model(Model),
    Settings(PolicyOverrides),
    /// A kind that this build doesn't know.
    Unknown,
}

/// Why a payload is of no use here. Names fields, never their content.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the payload is no message of its kind: {0}")]
    Undecodable(#[from] DecodeError),
    #[error("{0} is not an id of 16 bytes")]
    Id(&'static str),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is out of its range")]
    Range(&'static str),
    #[error("{0} is no model name or pattern")]
    Pattern(&'static str),
    #[error("{0} names something that this build does not know")]
    Unknown(&'static str),
    #[error("the base URL is not an absolute http or https URL without query")]
    BaseUrl,
    #[error("a region or location is no single label of a host's name")]
    Region,
    #[error("the credential's form does not fit the account type")]
    CredentialForm,
}

/// Reads `resource` with `payload` in the place of its own.
pub(super) fn parse(resource: &Resource, payload: &[u8], states: &AccountStates) -> Result<Parsed, Refusal> {
    let Ok(kind) = ResourceKind::try_from(resource.kind) else {
        return Ok(Parsed::Unknown);
    };
    let id = resource.id.as_slice();
    match kind {
        ResourceKind::Unspecified => Err(Refusal::Missing("the kind")),
        ResourceKind::Account => {
            account::parse(resource, payload, states).map(|account| Parsed::Account(Arc::new(account)))
        }
        ResourceKind::AccountGroup => {
            own_id(GroupId::try_from(id))?;
            message::AccountGroup::decode(payload)?;
            Ok(Parsed::AccountGroup)
        }
        ResourceKind::User => {
            let rate = message::User::decode(payload)?.price_rate_ppm;
            let rate = rate.map_or(Ok(Ppm::ONE), |ppm| u32::try_from(ppm).map(Ppm));
            let rate = rate.map_err(|_| Refusal::Range("the user's price rate"))?;
            Ok(Parsed::User(own_id(UserId::try_from(id))?, rate))
        }
        ResourceKind::ApiKey => api_key(own_id(KeyId::try_from(id))?, payload),
        ResourceKind::ModelRoute => {
            own_id(RouteId::try_from(id))?;
            model_route(payload)
        }
        ResourceKind::ModelMapping => {
            own_id(MappingId::try_from(id))?;
            model_mapping(payload)
        }
        ResourceKind::Model => {
            own_id(ModelId::try_from(id))?;
            model(payload)
        }
        ResourceKind::Settings => {
            PolicyOverrides::new(&message::Settings::decode(payload)?).map(Parsed::Settings)
        }
    }
}

fn own_id<T>(id: Result<T, InvalidId>) -> Result<T, Refusal> {
    id.map_err(|_| Refusal::Id("the resource's id"))
}

fn api_key(id: KeyId, payload: &[u8]) -> Result<Parsed, Refusal> {
    let key = message::ApiKey::decode(payload)?;
    let hash = KeyHash(key.hash.as_slice().try_into().map_err(|_| Refusal::Range("the key's hash"))?);
    let user_id = UserId::try_from(key.user_id.as_slice()).map_err(|_| Refusal::Id("the key's user"))?;
    let expires_at = key.expires_at_ms.map(Millis);
    let message::ApiKey { name, tags, metadata, .. } = key;
    Ok(Parsed::ApiKey(hash, Arc::new(ApiKey { id, user_id, name, expires_at, tags, metadata })))
}

fn model_route(payload: &[u8]) -> Result<Parsed, Refusal> {
    let route = message::ModelRoute::decode(payload)?;
    let position = route.position;
    // A route to a type that this build doesn't know must not turn into one to any type.
    let account_type = match route.account_type {
        0 => None,
        other => Some(account_type(other).ok_or(Refusal::Unknown("the route's account type"))?),
    };
    let route = ModelRoute {
        pattern: pattern(&route.pattern, "the route's pattern")?,
        platform: platform(route.platform).ok_or(Refusal::Unknown("the route's platform"))?,
        account_type,
    };
    Ok(Parsed::ModelRoute(position, route))
}

fn model_mapping(payload: &[u8]) -> Result<Parsed, Refusal> {
    let message::ModelMapping { from, to } = message::ModelMapping::decode(payload)?;
    pattern(&from, "the mapping's source")?;
    pattern(&to, "the mapping's target")?;
    Ok(Parsed::ModelMapping { from, to })
}

fn model(payload: &[u8]) -> Result<Parsed, Refusal> {
    let model = message::Model::decode(payload)?;
    pattern(&model.name, "the model's name")?;
    Ok(Parsed::Model(Model {
        platform: platform(model.platform).ok_or(Refusal::Unknown("the model's platform"))?,
        name: model.name,
        display_name: model.display_name,
        context_window: model.context_window,
        max_output: model.max_output,
        released_at: model.released_at_ms.map(Millis),
        prices: model.prices.iter().map(price).collect::<Result<_, _>>()?,
    }))
}

fn price(price: &message::ModelPrice) -> Result<Dated, Refusal> {
    let long_context = price.long_context.map(|long| {
        let rates = token_prices(long.prices)?;
        Ok::<_, Refusal>(LongContext { threshold: long.threshold, rates })
    });
    Ok(Dated {
        id: PriceId::try_from(price.id.as_slice()).map_err(|_| Refusal::Id("the price's id"))?,
        effective_from: Millis(price.effective_from_ms),
        price: Price { rates: token_prices(price.prices)?, long_context: long_context.transpose()? },
    })
}

fn token_prices(prices: Option<message::TokenPrices>) -> Result<Rates, Refusal> {
    let prices = prices.ok_or(Refusal::Missing("a price's rates"))?;
    Ok(Rates {
        input: PerMillion(prices.input),
        cache_read: PerMillion(prices.cache_read),
        cache_write_5m: PerMillion(prices.cache_write_5m),
        cache_write_1h: PerMillion(prices.cache_write_1h),
        output: PerMillion(prices.output),
    })
}

fn pattern(text: &str, field: &'static str) -> Result<ModelPattern, Refusal> {
    ModelPattern::new(text).map_err(|InvalidPattern| Refusal::Pattern(field))
}

fn platform(number: i32) -> Option<Platform> {
    match message::Platform::try_from(number).ok()? {
        message::Platform::Unspecified => None,
        message::Platform::Claude => Some(Platform::Claude),
        message::Platform::Openai => Some(Platform::OpenAi),
        message::Platform::Gemini => Some(Platform::Gemini),
        message::Platform::Other => Some(Platform::Other),
    }
}

/// `None`: not stated, or a type that this build doesn't know.
fn account_type(number: i32) -> Option<AccountType> {
    match message::AccountType::try_from(number).ok()? {
        message::AccountType::Unspecified => None,
        message::AccountType::ClaudeOfficial => Some(AccountType::ClaudeOfficial),
        message::AccountType::ClaudeConsole => Some(AccountType::ClaudeConsole),
        message::AccountType::Bedrock => Some(AccountType::Bedrock),
        message::AccountType::Ccr => Some(AccountType::Ccr),
        message::AccountType::Openai => Some(AccountType::Openai),
        message::AccountType::OpenaiResponses => Some(AccountType::OpenaiResponses),
        message::AccountType::AzureOpenai => Some(AccountType::AzureOpenai),
        message::AccountType::Gemini => Some(AccountType::Gemini),
        message::AccountType::GeminiApi => Some(AccountType::GeminiApi),
        message::AccountType::Droid => Some(AccountType::Droid),
    }
}

#[cfg(test)]
mod tests;
