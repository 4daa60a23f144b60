//! POST …:countTokens, through each of the doors

use serde_json::{Map, Value, json};

use super::{
    Surface,
    answer::details,
    generate::named,
    history, invalid, messages, proto,
    request::{self, Model},
    schema::list,
};
use crate::{
    provider::{Call, Failure},
    template::Draft,
};

const METHOD: &str = "countTokens";

pub(crate) fn gemini(call: &Call<'_>) -> Result<Draft, Failure> {
    let name = named(call);
    let model = Model::find(call, &name, Surface::Gemini, METHOD)?;
    let body = proto::read(call.body, &messages::COUNT_TOKENS, model.surface)?;
    let whole = body.get("generate_content_request").and_then(Value::as_object);
    let tokens = match (body.contains_key("contents"), whole) {
        (true, Some(_)) => {
            return Err(invalid("Either contents or generate_content_request must be set, but not both."));
        }
        (_, Some(request)) => request::check(request, &model)?.prompt.input_tokens(),
        (_, None) => counted(&body, &model)?,
    };
    let tokens = call.behaviour.usage.input.unwrap_or(tokens);
    written(&json!({"totalTokens": tokens, "promptTokensDetails": details(tokens)}))
}

pub(crate) fn vertex(call: &Call<'_>) -> Result<Draft, Failure> {
    let name = named(call);
    let model = Model::find(call, &name, Surface::Vertex, METHOD)?;
    let body = proto::read(call.body, &messages::VERTEX_COUNT_TOKENS, model.surface)?;
    let tokens = request::check(&body, &model)?.prompt.input_tokens();
    let tokens = call.behaviour.usage.input.unwrap_or(tokens);
    written(
        &json!({"totalTokens": tokens, "totalBillableCharacters": tokens * 4, "promptTokensDetails": details(tokens)}),
    )
}

pub(crate) fn code_assist(call: &Call<'_>) -> Result<Draft, Failure> {
    let body = proto::read(call.body, &messages::CODE_ASSIST_COUNT_TOKENS, Surface::CodeAssist)?;
    let request = body.get("request").and_then(Value::as_object);
    let request = request.ok_or_else(|| invalid("Request contains an invalid argument."))?;
    let name = request.get("model").and_then(Value::as_str).unwrap_or_default();
    let name = name.strip_prefix("models/").unwrap_or(name);
    let model = Model::find(call, name, Surface::CodeAssist, METHOD)?;
    let tokens = call.behaviour.usage.input.unwrap_or(counted(request, &model)?);
    written(&json!({ "totalTokens": tokens }))
}

/// The tokens of bare contents.
fn counted(request: &Map<String, Value>, model: &Model<'_>) -> Result<u64, Failure> {
    let contents = request.get("contents").map(list).unwrap_or_default();
    history::check(contents, "contents", model)?;
    Ok(request::counted(contents, None).input_tokens())
}

#[expect(clippy::unnecessary_wraps, reason = "the last word of endpoints that can fail")]
fn written(answer: &Value) -> Result<Draft, Failure> {
    Ok(Draft::Json(answer.to_string().into_bytes()))
}
