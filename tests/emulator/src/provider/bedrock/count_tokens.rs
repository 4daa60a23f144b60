//! POST /model/{id}/count-tokens

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    provider::{
        Call, Failure,
        anthropic::model::Model,
        bedrock::{claude, converse_request, invalid, invoke, is_profile, model_id},
    },
    template::Draft,
    turn::tokens,
};

/// The request to count is the one that would be sent to the other endpoint, as base64 where it is opaque to AWS.
pub(crate) fn answer(call: &Call<'_>) -> Result<Draft, Failure> {
    let id = model_id(call)?;
    // Profiles are not counted for, and neither are the newest models.
    let counts = Model::of(&id).has_counter();
    if is_profile(&id) || claude(&id).is_some() && !counts {
        return Err(invalid("The provided model doesn't support counting tokens."));
    }
    let body: Value = serde_json::from_slice(call.body).unwrap_or_default();
    let input = &body["input"];
    let count = match (&input["invokeModel"], &input["converse"]) {
        (Value::Object(_), Value::Object(_)) | (Value::Null, Value::Null) => {
            return Err(invalid("The input field must set exactly one of: invokeModel, converse."));
        }
        (Value::Null, converse) => {
            let prompt = converse_request::check(converse, &id, call.profile.strict)?.prompt;
            prompt.input_tokens() + tokens(prompt.bytes.cached_5m) + tokens(prompt.bytes.cached_1h)
        }
        (invoked, _) => {
            let inner = invoked["body"].as_str().and_then(|text| STANDARD.decode(text).ok());
            let inner = inner.ok_or_else(|| invalid("The body of invokeModel must be base64."))?;
            let Draft::Json(counted) = invoke::answered(&Call { body: &inner, ..*call }, None)? else {
                return Err(invalid("The model counted nothing."));
            };
            let counted: Value = serde_json::from_slice(&counted).unwrap_or_default();
            counted["input_tokens"].as_u64().unwrap_or(0)
        }
    };
    let count = call.behaviour.usage.input.unwrap_or(count);
    Ok(Draft::Json(json!({"inputTokens": count}).to_string().into_bytes()))
}
