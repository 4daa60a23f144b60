//! What newer models bind their thoughts to: themselves, and all that was said ahead of them.
//!
//! A thought that comes back to another model is passed over. One that comes back behind something else than it was
//! thought behind is refused, which the real provider does to accounts of late summer 2026 and later: here, to `strict`
//! ones, and to all that say what is to be done then.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderMap;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::field::{one_of, present, refuse};
use crate::provider::{
    Failure,
    anthropic::{has_beta, invalid, model::Model},
};

const BETA: &str = "thinking-binding-controls-2026-08-01";
const DIGEST: usize = 32;
/// The model, the system prompt, and the rest.
pub(super) const LENGTH: usize = 3 * DIGEST;

/// What a thought is bound to that follows `messages`; nothing for a model that binds none.
pub(super) fn of(body: &Value, messages: &[Value], model: Model) -> Vec<u8> {
    if !model.binds_thoughts() {
        return Vec::new();
    }
    let mut hashes = [(); 3].map(|()| Sha256::new_with_prefix(b"bound thought"));
    let [own, system, rest] = &mut hashes;
    own.update(format!("{model:?}"));
    absorb(body.get("system").unwrap_or(&Value::Null), system);
    absorb(body.get("tools").unwrap_or(&Value::Null), rest);
    messages.iter().for_each(|message| absorb(message, rest));
    hashes.into_iter().flat_map(Sha256::finalize).collect()
}

/// Takes in a value: a text is as good as a block of it, marks of the cache do not count, and neither does any order of
/// fields.
fn absorb(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Object(fields) => {
            let mut named: Vec<_> = fields.iter().filter(|(name, _)| *name != "cache_control").collect();
            named.sort_by_key(|(name, _)| *name);
            hash.update("{");
            for (name, value) in named {
                hash.update(format!("{name:?}:"));
                match value {
                    Value::String(text) if name == "content" => absorb(&block(text), hash),
                    value => absorb(value, hash),
                }
            }
            hash.update("}");
        }
        Value::Array(all) => {
            hash.update("[");
            all.iter().for_each(|one| absorb(one, hash));
            hash.update("]");
        }
        other => hash.update(format!("{other};")),
    }
}

fn block(text: &str) -> Value {
    serde_json::json!([{"type": "text", "text": text}])
}

pub(super) fn check(body: &Value, headers: &HeaderMap, model: Model, strict: bool) -> Result<(), Failure> {
    let asked = present(body, "thinking").unwrap_or(&Value::Null);
    let wish = present(asked, "block_binding");
    if let Some(wish) = wish {
        let path = format!("thinking.{}.block_binding", asked["type"].as_str().unwrap_or_default());
        if !has_beta(headers, |beta| beta == BETA) {
            return Err(refuse(&path, "Extra inputs are not permitted"));
        }
        let path = format!("{path}.prefix_mismatch_behavior");
        one_of(&wish["prefix_mismatch_behavior"], &path, &["error", "drop_block"])?;
    }
    let drops = wish.is_some_and(|wish| wish["prefix_mismatch_behavior"] == "drop_block");
    if drops || !(strict || wish.is_some()) || !model.binds_thoughts() {
        return Ok(());
    }
    let messages = body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (index, message) in messages.iter().enumerate().filter(|(_, message)| message["role"] == "assistant")
    {
        let bound = of(body, messages.get(..index).unwrap_or_default(), model);
        let blocks = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (place, block) in blocks.iter().enumerate() {
            check_block(block, &bound, &format!("messages.{index}.content.{place}"))?;
        }
    }
    Ok(())
}

/// `bound` is what the block would be bound to, had it been thought here.
fn check_block(block: &Value, bound: &[u8], path: &str) -> Result<(), Failure> {
    let signature = STANDARD.decode(block["signature"].as_str().unwrap_or_default()).unwrap_or_default();
    let given =
        signature.len().checked_sub(LENGTH).and_then(|start| signature.get(start..)).unwrap_or_default();
    let part = |bytes: &[u8], at: usize| bytes.get(at * DIGEST..(at + 1) * DIGEST).map(<[u8]>::to_vec);
    if part(given, 0) != part(bound, 0) || given == bound {
        return Ok(());
    }
    let why = match part(given, 1) == part(bound, 1) {
        true => "",
        false => " The `system` prompt differs from the one this block was created with.",
    };
    Err(invalid(format!(
        "{path}: Invalid `signature` in `thinking` block. The block is bound to a different conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to \"drop_block\". That setting requires the `{BETA}` value in the `anthropic-beta` header.{why}"
    )))
}
