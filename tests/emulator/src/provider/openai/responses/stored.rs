//! Answers that are named by a later request.

use serde_json::{Value, json};

use crate::{
    memory::{Kept, Memory},
    provider::{
        Call, Failure,
        openai::{
            invalid,
            responses::{field::wrong, reasoning::thought_id},
        },
    },
    template::{Draft, ID, identifier},
};

/// GET /v1/responses/{id}
pub(crate) fn retrieve(call: &Call<'_>) -> Result<Draft, Failure> {
    let id = call.name.unwrap_or_default();
    let (number, kept) = find(id, call.memory).ok_or_else(|| not_found(id))?;
    Ok(Draft::Json(Kept::named(&kept.answer, number).into_bytes()))
}

/// DELETE /v1/responses/{id}
pub(crate) fn delete(call: &Call<'_>) -> Result<Draft, Failure> {
    let id = call.name.unwrap_or_default();
    let (number, _) = find(id, call.memory).ok_or_else(|| not_found(id))?;
    call.memory.forget(number);
    let deleted = json!({"id": id, "object": "response", "deleted": true});
    Ok(Draft::Json(deleted.to_string().into_bytes()))
}

fn not_found(id: &str) -> Failure {
    Failure::new(404, "invalid_request_error", format!("Response with id '{id}' not found."))
}

/// The conversation up to an answer, with it.
pub(super) fn conversation(id: &str, memory: &Memory<'_>) -> Result<Vec<Value>, Failure> {
    let param = "previous_response_id";
    if !id.starts_with("resp") {
        let words = format!("'{id}'. Expected an ID that begins with 'resp'.");
        return Err(wrong(param, &words, "invalid_value"));
    }
    let Some((number, kept)) = find(id, memory) else {
        let failure = invalid(format!("Previous response with id '{id}' not found."));
        return Err(failure.with_param(param).with_code("previous_response_not_found"));
    };
    Ok(serde_json::from_str(&Kept::named(&kept.items, number)).unwrap_or_default())
}

/// An item that an answer which is still remembered held.
pub(super) fn item(id: &str, memory: &Memory<'_>) -> Result<Value, Failure> {
    let items = items_of(id, memory);
    items.into_iter().find(|item| item.get("id").and_then(Value::as_str) == Some(id)).ok_or_else(|| {
        let message = format!(
            "Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input."
        );
        Failure::new(404, "invalid_request_error", message).with_param("input")
    })
}

/// The thought that the item with this id came of, where that is remembered.
pub(super) fn thought_of(id: &str, memory: &Memory<'_>) -> Option<String> {
    let items = items_of(id, memory);
    let thought = thought_id(&identifier(item_number(id)?));
    let has = |id: &str| items.iter().any(|item| item.get("id").and_then(Value::as_str) == Some(id));
    (has(id) && has(&thought)).then_some(thought)
}

fn items_of(id: &str, memory: &Memory<'_>) -> Vec<Value> {
    let Some(number) = item_number(id) else { return Vec::new() };
    let Some(kept) = memory.recall(number) else { return Vec::new() };
    serde_json::from_str(&Kept::named(&kept.items, number)).unwrap_or_default()
}

fn find(id: &str, memory: &Memory<'_>) -> Option<(u64, std::sync::Arc<Kept>)> {
    let number = number_of(id, "resp_").filter(|_| id.len() == "resp_".len() + ID.len())?;
    Some((number, memory.recall(number)?))
}

/// The number of the answer that an item belongs to.
fn item_number(id: &str) -> Option<u64> {
    ["msg_", "rs_", "fc_", "ctc_"].iter().find_map(|prefix| number_of(id, prefix))
}

fn number_of(id: &str, prefix: &str) -> Option<u64> {
    let digits = id.strip_prefix(prefix)?.get(..ID.len())?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
