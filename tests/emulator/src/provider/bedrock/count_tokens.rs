//! POST /model/{id}/count-tokens

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    provider::{
        Call, Failure,
        bedrock::{converse_request, invalid, invoke, model_id},
    },
    template::Draft,
    turn::tokens,
};

/// The request to count is the one that would be sent to the other endpoint, as base64 where it is opaque to AWS.
pub(crate) fn answer(call: &Call<'_>) -> Result<Draft, Failure> {
    let body: Value = serde_json::from_slice(call.body).unwrap_or_default();
    let input = &body["input"];
    let count = match (&input["invokeModel"], &input["converse"]) {
        (Value::Object(_), Value::Object(_)) | (Value::Null, Value::Null) => {
            return Err(invalid("The input field must set exactly one of: invokeModel, converse."));
        }
        (Value::Null, converse) => {
            let prompt = converse_request::check(converse, &model_id(call)?, call.profile.strict)?.prompt;
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
