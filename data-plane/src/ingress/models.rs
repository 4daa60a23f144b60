//! What a key may use, listed in the shape that the asking client knows.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use shared::{clock::Millis, wire::Wire};

use crate::{
    pipeline::Refusal,
    provider,
    scheduler::{self, Pin, Unroutable},
    snapshot::{Account, Model, Snapshot},
};

/// Name → what is known about it.
type Offered<'a> = BTreeMap<&'a str, Option<&'a Model>>;

/// All models that some account offers.
pub(super) fn list(snapshot: &Snapshot, wire: Wire, pin: Option<Pin>, now: Millis) -> Bytes {
    let offered = offered(snapshot, pin, now);
    let items: Vec<_> = offered.iter().map(|(name, model)| item(wire, name, *model)).collect();
    let list = match wire {
        Wire::Chat | Wire::Responses => json!({ "object": "list", "data": items }),
        Wire::Messages => json!({
            "data": items,
            "has_more": false,
            "first_id": offered.keys().next(),
            "last_id": offered.keys().next_back(),
        }),
        Wire::Gemini => json!({ "models": items }),
    };
    Bytes::from(list.to_string())
}

/// # Errors
/// No account offers it.
pub(super) fn get(
    snapshot: &Snapshot,
    wire: Wire,
    pin: Option<Pin>,
    name: &str,
    now: Millis,
) -> Result<Bytes, Refusal> {
    let offered = offered(snapshot, pin, now);
    let (name, model) = offered.get_key_value(name).ok_or_else(|| Unroutable::UnknownModel(name.into()))?;
    Ok(Bytes::from(item(wire, name, *model).to_string()))
}

fn item(wire: Wire, name: &str, model: Option<&Model>) -> Value {
    let released = model.and_then(|model| model.released_at).unwrap_or_default();
    let display_name = model.and_then(|model| model.display_name.as_deref()).unwrap_or(name);
    match wire {
        Wire::Chat | Wire::Responses => json!({
            "id": name,
            "object": "model",
            "created": released.0 / 1000,
            "owned_by": model.map_or("switchyard", |model| model.platform.as_str()),
        }),
        Wire::Messages => json!({
            "type": "model",
            "id": name,
            "display_name": display_name,
            "created_at": rfc3339(released),
        }),
        Wire::Gemini => json!({
            "name": format!("models/{name}"),
            "displayName": display_name,
            "inputTokenLimit": model.and_then(|model| model.context_window),
            "outputTokenLimit": model.and_then(|model| model.max_output),
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        }),
    }
}

fn rfc3339(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at.0).unwrap_or_default().to_string()
}

fn offered(snapshot: &Snapshot, pin: Option<Pin>, now: Millis) -> Offered<'_> {
    let mut offered = Offered::new();
    for account in snapshot.accounts.iter().filter(|account| is_usable(account, pin, now)) {
        of_account(account, snapshot, &mut offered);
    }
    // Names that the mapping for all accounts makes of an offered one.
    let renamed: Vec<_> = snapshot
        .mappings
        .iter()
        .filter_map(|(from, to)| Some((from.as_str(), *offered.get(to.as_str())?)))
        .collect();
    for (name, model) in renamed {
        offered.entry(name).or_insert(model);
    }
    offered
}

fn is_usable(account: &Account, pin: Option<Pin>, now: Millis) -> bool {
    let fits = match pin {
        None => true,
        Some(Pin::Platform(platform)) => account.kind.is_some_and(|kind| kind.platform() == platform),
        Some(Pin::Type(pinned)) => account.kind == Some(pinned),
    };
    fits && provider::for_account(account)
        .is_some_and(|provider| provider.takes(&account.upstream.credential) && provider.complete(account))
        && account.enabled
        && account.schedulable
        && account.invalid_reason.is_none()
        && !account.upstream.credential.expired(now)
        && account.expires_at.is_none_or(|expiry| expiry > now)
}

/// Its exact names, the models with a price that it allows, and the exact names that it maps to allowed ones.
fn of_account<'a>(account: &'a Account, snapshot: &'a Snapshot, offered: &mut Offered<'a>) {
    let platform = account.kind.map(shared::account::AccountType::platform);
    let known = |name: &str| snapshot.models.iter().find(|model| model.name == name);
    let exact = account.allowed_models.iter().map(|pattern| pattern.as_str());
    let mapped_from = account.model_mapping.iter().map(|(from, _)| from.as_str());
    for name in exact.chain(mapped_from).filter(|name| !name.contains('*')) {
        if scheduler::mapped(account, name).is_some() {
            offered.insert(name, known(name));
        }
    }
    for model in snapshot.models.iter().filter(|model| Some(model.platform) == platform) {
        if scheduler::mapped(account, &model.name).is_some() {
            offered.insert(&model.name, Some(model));
        }
    }
}
