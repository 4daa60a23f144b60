//! Bodies of one wire as some upstreams want them: the same bytes with a few members more or less, or inside an
//! envelope.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::{invoke::to_invoke, member, splice::Splices};
use crate::json::{self, write};

/// A Messages body for Bedrock; see [`super::invoke::to_invoke`].
#[must_use]
pub fn invoked(body: Bytes) -> Bytes {
    match to_invoke(&body, std::iter::empty()) {
        Ok(splices) => splices.apply(body),
        // Not of our making: what was just written is a Messages body.
        Err(_) => body,
    }
}

/// A Responses body for the backend behind ChatGPT logins, which keeps nothing and only streams.
pub fn chatgpt(splices: &mut Splices, body: &[u8]) {
    member::set(splices, body, "store", "false".to_owned());
    member::set(splices, body, "stream", "true".to_owned());
    member::remove(splices, body, "max_output_tokens");
}

/// As [`chatgpt`], of a whole body.
#[must_use]
pub fn for_chatgpt(body: Bytes) -> Bytes {
    let mut splices = Splices::new();
    chatgpt(&mut splices, &body);
    splices.apply(body)
}

/// A Gemini body in Code Assist's envelope. Counting wants the model inside of it.
#[must_use]
pub fn code_assist(body: &[u8], model: &str, project: Option<&str>, counts: bool) -> Bytes {
    let request = std::str::from_utf8(body).unwrap_or("{}").trim_start_matches('\u{feff}');
    let mut out = Vec::with_capacity(body.len() + model.len() + 128);
    write::object(&mut out, |envelope| {
        if counts {
            let mut splices = Splices::new();
            let model = serde_json::Value::from(format!("models/{model}")).to_string();
            member::set(&mut splices, request.as_bytes(), "model", model);
            let request = splices.apply(Bytes::copy_from_slice(request.as_bytes()));
            envelope.raw("request", std::str::from_utf8(&request).unwrap_or("{}"));
            return;
        }
        envelope.string("model", model);
        envelope.some_string("project", project);
        envelope.raw("request", request);
    });
    out.into()
}

/// A Gemini body as the developer API's `countTokens` takes it, where more than contents is to be counted.
#[must_use]
pub fn count_generate(body: &[u8], model: &str) -> Bytes {
    let body = Bytes::copy_from_slice(body);
    let mut splices = Splices::new();
    let model = serde_json::Value::from(format!("models/{model}")).to_string();
    member::set(&mut splices, &body, "model", model);
    let request = splices.apply(body);
    let mut out = Vec::with_capacity(request.len() + 32);
    write::object(&mut out, |outer| {
        outer.raw("generateContentRequest", std::str::from_utf8(&request).unwrap_or("{}"));
    });
    out.into()
}

/// What is in Code Assist's envelope. An answer without one (a count) comes back as it is. None: it is not JSON.
#[must_use]
pub fn unwrapped(body: &Bytes) -> Option<Bytes> {
    let text = std::str::from_utf8(body).ok()?;
    let mut inner = None;
    json::object(text.trim_ascii(), |field| {
        if field.name() == "response" {
            inner = Some(json::place_in(body, field.value));
        }
    })
    .ok()?;
    Some(inner.map_or_else(|| body.clone(), |place| body.slice(place)))
}

/// What Bedrock counts: a Messages body, as it would be invoked with.
#[must_use]
pub fn count_invoke(body: &[u8]) -> Bytes {
    let encoded = BASE64.encode(body);
    input("invokeModel", |form| form.string("body", &encoded))
}

/// What Bedrock counts: a Converse body.
#[must_use]
pub fn count_converse(body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(body.len() + 32);
    let body: Option<&RawValue> = serde_json::from_slice(body).ok();
    write::object(&mut out, |outer| {
        outer.object("input", |input| input.some_raw("converse", body));
    });
    out.into()
}

fn input(form: &str, fill: impl FnOnce(&mut write::Object<'_>)) -> Bytes {
    let mut out = Vec::new();
    write::object(&mut out, |outer| outer.object("input", |input| input.object(form, fill)));
    out.into()
}
