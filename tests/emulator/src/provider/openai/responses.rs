//! POST /v1/responses and what belongs to it.

use http::{HeaderMap, HeaderName, request::Parts};
use serde_json::{Value, json};

use crate::{
    clock::CREATED_SECONDS,
    memory::Kept,
    provider::{
        Call, Failure, Provider,
        openai::{OPENAI, responses::object::Response},
    },
    template::Draft,
    turn::Turn,
};

mod content;
mod echo;
mod field;
mod input;
mod object;
mod reasoning;
mod request;
mod schema;
mod stored;
mod stream;
mod tools;

pub(crate) use stored::{delete, retrieve};

/// Higher than any number of a stream's own events: an error may come anywhere among them.
const ERROR_NUMBER: u64 = 1_000_000;

pub(crate) static RESPONSES: Responses = Responses;

/// OpenAI, as it is within a stream of this endpoint.
#[derive(Debug)]
pub(crate) struct Responses;

/// POST /v1/responses
pub(crate) fn answer(call: &Call<'_>) -> Result<Draft, Failure> {
    let checked = request::check(call)?;
    let turn = Turn::new(&checked.prompt, call.behaviour);
    let output = object::output(&checked, &turn, call.memory);
    let echo = checked.echo();
    let whole = || {
        let response = Response::ended(&checked, &echo, &output, &turn);
        serde_json::to_string(&response).unwrap_or_default()
    };
    if checked.store {
        let said = output.iter().map(|item| serde_json::to_value(item).unwrap_or_default());
        let items: Value = checked.conversation.iter().cloned().chain(said).collect();
        call.memory.keep(Kept { answer: whole(), items: items.to_string() });
    }
    if checked.stream {
        return Ok(Draft::Stream(stream::frames(&checked, &echo, &output, &turn)));
    }
    Ok(Draft::Json(whole().into_bytes()))
}

/// POST /v1/responses/input_tokens
pub(crate) fn input_tokens(call: &Call<'_>) -> Result<Draft, Failure> {
    let checked = request::check(call)?;
    let tokens = call.behaviour.usage.input.unwrap_or_else(|| checked.prompt.input_tokens());
    let counted = json!({"object": "response.input_tokens", "input_tokens": tokens});
    Ok(Draft::Json(counted.to_string().into_bytes()))
}

/// An error as an event. A limit that is met under way fails the response; what else goes wrong is an error of its own.
pub(crate) fn error_event(failure: &Failure, request_id: &str) -> Vec<u8> {
    let code = failure.code.as_deref().unwrap_or(&failure.kind);
    if failure.status != 429 {
        let error =
            json!({"type": failure.kind, "code": code, "message": failure.message, "param": failure.param});
        return event("error", &json!({"type": "error", "sequence_number": ERROR_NUMBER, "error": error}));
    }
    let id = format!("resp_{}", request_id.trim_start_matches("req_"));
    let response = json!({
        "id": id, "object": "response", "created_at": CREATED_SECONDS, "status": "failed", "background": false,
        "error": {"code": code, "message": failure.message}, "incomplete_details": null, "output": [],
        "usage": null, "user": null, "metadata": {},
    });
    let name = "response.failed";
    event(name, &json!({"type": name, "sequence_number": ERROR_NUMBER, "response": response}))
}

fn event(name: &str, data: &Value) -> Vec<u8> {
    format!("event: {name}\ndata: {data}\n\n").into_bytes()
}

pub(crate) fn malformed_event() -> Vec<u8> {
    b"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"msg_bro\n\n".to_vec()
}

impl Provider for Responses {
    fn credential(&self, parts: &Parts) -> Result<String, Failure> {
        OPENAI.credential(parts)
    }

    fn unknown_credential(&self, key: &str) -> Failure {
        OPENAI.unknown_credential(key)
    }

    fn check_head(&self, parts: &Parts) -> Result<(), Failure> {
        OPENAI.check_head(parts)
    }

    fn no_such_path(&self, parts: &Parts) -> Failure {
        OPENAI.no_such_path(parts)
    }

    fn failure(&self, status: u16) -> Failure {
        OPENAI.failure(status)
    }

    fn error_body(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        OPENAI.error_body(failure, request_id)
    }

    fn error_event(&self, failure: &Failure, request_id: &str) -> Vec<u8> {
        error_event(failure, request_id)
    }

    fn malformed_event(&self) -> Vec<u8> {
        malformed_event()
    }

    fn request_id_header(&self) -> HeaderName {
        OPENAI.request_id_header()
    }

    fn limits(&self, status: u16, retry_after: Option<u64>, headers: &mut HeaderMap) {
        OPENAI.limits(status, retry_after, headers);
    }
}
