//! Embeddings, asked for as OpenAI's clients do, from Gemini.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::Deserialize;
use shared::usage::Usage;

use crate::{
    codec::Unreadable,
    convert::ConvertError,
    json::{
        record::{Str, record},
        write,
    },
    loss::Rejected,
};

/// Inputs of one request: what OpenAI and Gemini take at most, the smaller.
const INPUTS_MAX: usize = 100;

record! {
    struct Ask {
        input: Input<'a> = "input",
        dimensions: u64 = "dimensions",
        encoding_format: Str<'a> = "encoding_format",
        model: Str<'a> = "model",
        user: Str<'a> = "user",
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Input<'a> {
    #[serde(borrow)]
    One(Str<'a>),
    Many(#[serde(borrow)] Vec<Str<'a>>),
    Tokens(serde::de::IgnoredAny),
}

/// How the answer is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub model: String,
    /// Vectors as base64 of their little-endian floats, as OpenAI's SDKs ask for.
    pub base64: bool,
    /// About how many tokens the inputs have: Gemini does not say.
    pub estimated_tokens: u64,
}

/// # Errors
/// The body can't be read, or asks for what Gemini can't take.
pub fn to_gemini(body: &[u8], model: &str) -> Result<(Vec<u8>, Answer), ConvertError> {
    let ask: Ask<'_> = serde_json::from_slice(body)
        .map_err(|error| Unreadable::new("input", format!("can't be read: {error}")))?;
    let inputs = match ask.input {
        Some(Input::One(text)) => vec![text],
        Some(Input::Many(texts)) => texts,
        Some(Input::Tokens(_)) => {
            let message =
                "the account that serves this model takes text only; send strings instead of tokens";
            return Err(Rejected::new("input", message).into());
        }
        None => return Err(Unreadable::new("input", "is missing; send the text to embed").into()),
    };
    if inputs.is_empty() || inputs.len() > INPUTS_MAX {
        return Err(Unreadable::new("input", format!("must have 1 to {INPUTS_MAX} texts")).into());
    }
    let mut out = Vec::with_capacity(body.len() + inputs.len() * 96);
    write::object(&mut out, |request| {
        request.array("requests", |requests| {
            for Str(text) in &inputs {
                requests.object(|request| {
                    request.string("model", &format!("models/{model}"));
                    request.object("content", |content| {
                        content.array("parts", |parts| parts.object(|part| part.string("text", text)));
                    });
                    request.some("outputDimensionality", ask.dimensions.as_ref());
                });
            }
        });
    });
    let bytes: usize = inputs.iter().map(|text| text.0.len()).sum();
    let base64 = ask.encoding_format.is_some_and(|format| format.0 == "base64");
    Ok((out, Answer { model: model.to_owned(), base64, estimated_tokens: bytes.div_ceil(4) as u64 }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Embeddings {
    embeddings: Vec<Vector>,
    usage_metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Vector {
    values: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    prompt_token_count: Option<u64>,
}

/// The answer, and the usage where Gemini says one.
///
/// # Errors
/// It is no list of embeddings.
pub fn from_gemini(body: &[u8], answer: &Answer) -> Result<(Vec<u8>, Option<Usage>), Unreadable> {
    let read: Embeddings = serde_json::from_slice(body)
        .map_err(|error| Unreadable::new("embeddings", format!("can't be read: {error}")))?;
    let counted = read.usage_metadata.and_then(|metadata| metadata.prompt_token_count);
    let tokens = counted.unwrap_or(answer.estimated_tokens);
    let mut out = Vec::with_capacity(body.len());
    write::object(&mut out, |list| {
        list.string("object", "list");
        list.array("data", |data| {
            for (index, vector) in read.embeddings.iter().enumerate() {
                data.object(|item| {
                    item.string("object", "embedding");
                    item.value("index", &index);
                    if answer.base64 {
                        let bytes: Vec<u8> =
                            vector.values.iter().flat_map(|value| value.to_le_bytes()).collect();
                        item.string("embedding", &BASE64.encode(bytes));
                    } else {
                        item.value("embedding", &vector.values);
                    }
                });
            }
        });
        list.string("model", &answer.model);
        list.object("usage", |usage| {
            usage.value("prompt_tokens", &tokens);
            usage.value("total_tokens", &tokens);
        });
    });
    Ok((out, counted.map(|input| Usage { input, ..Usage::default() })))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn texts_go_one_by_one_and_vectors_come_back_in_the_form_asked_for() {
        let body = br#"{"model":"m","input":["one","two"],"dimensions":2,"encoding_format":"base64"}"#;
        let (sent, answer) = to_gemini(body, "gemini-embedding-001").unwrap();
        let sent: Value = serde_json::from_slice(&sent).unwrap();
        assert_eq!(sent["requests"][1]["content"]["parts"][0]["text"], "two");
        assert_eq!(sent["requests"][0]["model"], "models/gemini-embedding-001");
        assert_eq!(sent["requests"][0]["outputDimensionality"], 2);
        let (written, usage) =
            from_gemini(br#"{"embeddings":[{"values":[1.0,-0.5]},{"values":[0,2]}]}"#, &answer).unwrap();
        let written: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(written["data"][0]["embedding"], "AACAPwAAAL8=");
        assert_eq!(written["usage"], json!({"prompt_tokens": 2, "total_tokens": 2}));
        assert_eq!(usage, None, "an estimate is no count");
    }

    #[test]
    fn tokens_instead_of_text_are_rejected_with_a_remedy() {
        let error = to_gemini(br#"{"input":[[1,2,3]]}"#, "m").unwrap_err();
        assert!(error.to_string().contains("send strings"), "{error}");
    }
}
