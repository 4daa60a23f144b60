//! Bodies of one wire as some upstreams want them: the same bytes with a few members more or less, or inside an
//! envelope.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;

use super::{invoke::to_invoke, member, splice::Splices};
use crate::json::{self, write};

/// More than an envelope adds to a body, for those that set memory aside.
pub const ROOM: usize = 512;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A Messages body for Bedrock; see [`super::invoke::to_invoke`].
pub fn invoked(body: &mut Vec<u8>) {
    // What can't be read is not of our making: what was just written is a Messages body.
    if let Ok(splices) = to_invoke(body, std::iter::empty()) {
        splices.apply_to(body);
    }
}

/// What the backend behind ChatGPT logins refuses by name.
const CHATGPT_UNKNOWN: [&str; 7] =
    ["max_output_tokens", "metadata", "safety_identifier", "temperature", "top_logprobs", "top_p", "user"];

/// A Responses body for the backend behind ChatGPT logins, which keeps nothing, only streams, knows its user by the
/// login, and takes no bare text for `input`.
pub fn chatgpt(splices: &mut Splices, body: &[u8]) {
    let as_list = |text: &str| {
        let parts = format!(r#"[{{"type":"input_text","text":{text}}}]"#);
        text.starts_with('"').then(|| format!(r#"[{{"type":"message","role":"user","content":{parts}}}]"#))
    };
    member::change(splices, body, "input", as_list);
    member::set(splices, body, "store", "false".to_owned());
    member::set(splices, body, "stream", "true".to_owned());
    member::remove_all(splices, body, &CHATGPT_UNKNOWN);
}

/// A Gemini body in Code Assist's envelope.
pub fn code_assist(body: &mut Vec<u8>, model: &str, project: Option<&str>) {
    let mut before = Vec::with_capacity(ROOM);
    write::object(&mut before, |envelope| {
        envelope.string("model", model);
        envelope.some_string("project", project);
    });
    before.pop();
    before.extend_from_slice(br#","request":"#);
    wrap(body, &before, b"}");
}

/// A Gemini body in Code Assist's envelope for counting, which wants the model inside of the body.
pub fn code_assist_count(body: &mut Vec<u8>, model: &str) {
    set_model(body, model);
    wrap(body, br#"{"request":"#, b"}");
}

/// A Gemini body as the developer API's `countTokens` takes it, where more than contents is to be counted.
pub fn count_generate(body: &mut Vec<u8>, model: &str) {
    set_model(body, model);
    wrap(body, br#"{"generateContentRequest":"#, b"}");
}

/// What Bedrock counts: a Messages body, as it would be invoked with.
pub fn count_invoke(body: &mut Vec<u8>) {
    invoked(body);
    *body = BASE64.encode(&body).into_bytes();
    wrap(body, br#"{"input":{"invokeModel":{"body":""#, br#""}}}"#);
}

/// What Bedrock counts: a Converse body.
pub fn count_converse(body: &mut Vec<u8>) {
    wrap(body, br#"{"input":{"converse":"#, b"}}");
}

fn set_model(body: &mut Vec<u8>, model: &str) {
    let mut splices = Splices::new();
    member::set(&mut splices, body, "model", serde_json::Value::from(format!("models/{model}")).to_string());
    splices.apply_to(body);
}

/// Puts JSON around a body of JSON, in place of its byte order mark if it has one.
fn wrap(body: &mut Vec<u8>, before: &[u8], after: &[u8]) {
    body.reserve_exact(before.len() + after.len());
    body.extend_from_slice(after);
    let mark = if body.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    body.splice(..mark, before.iter().copied());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn to_chatgpt(body: &str) -> String {
        let mut splices = Splices::new();
        chatgpt(&mut splices, body.as_bytes());
        String::from_utf8(splices.apply(Bytes::copy_from_slice(body.as_bytes())).to_vec()).unwrap()
    }

    #[test]
    fn chatgpt_is_given_a_list_whatever_the_client_wrote() {
        let wrapped = |text: &str| {
            format!(
                r#"[{{"type":"message","role":"user","content":[{{"type":"input_text","text":{text}}}]}}]"#
            )
        };
        let text = r#""a \"b\" \u00e9""#;
        assert_eq!(
            to_chatgpt(&format!(r#"{{"input" : {text},"temperature":1}}"#)),
            format!(r#"{{"store":false,"stream":true,"input" : {}}}"#, wrapped(text))
        );
        assert_eq!(
            to_chatgpt(&format!(r#"{{"user":"u","input":{text}}}"#)),
            format!(r#"{{"store":false,"stream":true,"input":{}}}"#, wrapped(text))
        );
        let list = r#"{"store":false,"stream":true,"input":[{"role":"user","content":"a"}]}"#;
        assert_eq!(to_chatgpt(list), list);
    }
}
