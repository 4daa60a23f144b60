//! POST /v1/messages/count_tokens

use serde::Serialize;

use crate::{
    provider::{Call, Failure, anthropic::request},
    template::Draft,
    turn::tokens,
};

#[derive(Serialize)]
struct Counted {
    input_tokens: u64,
}

pub(crate) fn answer(call: &Call<'_>) -> Result<Draft, Failure> {
    let prompt = request::check(call, true)?.prompt;
    let derived = prompt.input_tokens() + tokens(prompt.bytes.cached_5m) + tokens(prompt.bytes.cached_1h);
    let counted = Counted { input_tokens: call.behaviour.usage.input.unwrap_or(derived) };
    Ok(Draft::Json(serde_json::to_vec(&counted).unwrap_or_default()))
}
