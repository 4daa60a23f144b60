//! POST …:embedContent and …:batchEmbedContents

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    Surface, generate::named, history, messages, no_such_model, proto, request::refuse_fields, schema::list,
};
use crate::{
    provider::{Call, Failure},
    template::Draft,
};

const MODEL_PREFIXES: &[&str] = &["gemini-embedding", "text-embedding-", "embedding-"];
/// Short, so that answers stay readable.
const DEFAULT_DIMENSIONS: u64 = 16;
const MOST_DIMENSIONS: u64 = 3072;
const MOST_REQUESTS: usize = 100;

pub(crate) fn one(call: &Call<'_>) -> Result<Draft, Failure> {
    let model = model(call, "embedContent")?;
    let request = proto::read(call.body, &messages::EMBED, Surface::Gemini)?;
    let embedding = embedding(&request, &model, "EmbedContentRequest", false)?;
    Ok(Draft::Json(json!({ "embedding": embedding }).to_string().into_bytes()))
}

pub(crate) fn batch(call: &Call<'_>) -> Result<Draft, Failure> {
    let model = model(call, "batchEmbedContents")?;
    let body = proto::read(call.body, &messages::EMBED_BATCH, Surface::Gemini)?;
    let requests = body.get("requests").map(list).unwrap_or_default();
    if requests.is_empty() || requests.len() > MOST_REQUESTS {
        let why = format!(
            "at least one request is required, and at most {MOST_REQUESTS} requests can be in one batch"
        );
        return Err(super::invalid(format!("* BatchEmbedContentsRequest.requests: {why}\n")));
    }
    let embeddings = requests
        .iter()
        .enumerate()
        .filter_map(|(index, request)| Some((index, request.as_object()?)))
        .map(|(index, request)| {
            embedding(request, &model, &format!("BatchEmbedContentsRequest.requests[{index}]"), true)
        })
        .collect::<Result<Vec<Value>, Failure>>()?;
    Ok(Draft::Json(json!({ "embeddings": embeddings }).to_string().into_bytes()))
}

fn model(call: &Call<'_>, method: &str) -> Result<String, Failure> {
    let name = named(call);
    if call.profile.has_model(&name, MODEL_PREFIXES) {
        return Ok(name);
    }
    Err(no_such_model(Surface::Gemini, call.parts.uri.path(), &name, method))
}

/// In a batch each request must name the model; elsewhere it may.
fn embedding(
    request: &Map<String, Value>,
    model: &str,
    place: &str,
    must_name: bool,
) -> Result<Value, Failure> {
    let given = request.get("model").and_then(Value::as_str);
    let wanted = format!("models/{model}");
    if given.map_or(must_name, |given| given != wanted) {
        return Err(super::invalid(format!("* {place}.model: model must be \"{wanted}\", as in the path\n")));
    }
    let text = request.get("content").map(history::text_of).unwrap_or_default();
    if text.is_empty() {
        return Err(super::invalid(format!("* {place}.content: contents is not specified\n")));
    }
    let dimensions =
        request.get("output_dimensionality").and_then(Value::as_u64).unwrap_or(DEFAULT_DIMENSIONS);
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        let why = format!("must be in the range [1, {MOST_DIMENSIONS}].");
        refuse_fields(Surface::Gemini, vec![("output_dimensionality".to_owned(), why)])?;
    }
    let digest = Sha256::digest(text.as_bytes());
    let values: Vec<f32> = digest
        .iter()
        .cycle()
        .zip(0..dimensions)
        .map(|(byte, _)| (f32::from(*byte) - 127.5) / 128.0)
        .collect();
    Ok(json!({ "values": values }))
}
