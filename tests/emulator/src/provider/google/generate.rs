//! POST …:generateContent and …:streamGenerateContent, through each of the doors

use serde_json::{Map, Value};

use super::{
    Surface,
    answer::{self, Answer},
    invalid, messages, proto,
    request::{self, Model},
};
use crate::{
    control::decoded,
    provider::{Call, Failure, query},
    script::Behaviour,
    template::{Draft, Role},
    turn::Turn,
};

pub(crate) fn gemini(call: &Call<'_>) -> Result<Draft, Failure> {
    by_path(call, Surface::Gemini, false)
}

pub(crate) fn gemini_stream(call: &Call<'_>) -> Result<Draft, Failure> {
    by_path(call, Surface::Gemini, true)
}

pub(crate) fn vertex(call: &Call<'_>) -> Result<Draft, Failure> {
    by_path(call, Surface::Vertex, false)
}

pub(crate) fn vertex_stream(call: &Call<'_>) -> Result<Draft, Failure> {
    by_path(call, Surface::Vertex, true)
}

pub(crate) fn code_assist(call: &Call<'_>) -> Result<Draft, Failure> {
    enveloped(call, false)
}

pub(crate) fn code_assist_stream(call: &Call<'_>) -> Result<Draft, Failure> {
    enveloped(call, true)
}

/// The path names the model, the body is the request.
fn by_path(call: &Call<'_>, surface: Surface, streams: bool) -> Result<Draft, Failure> {
    let message = if surface == Surface::Vertex { &messages::VERTEX_GENERATE } else { &messages::GENERATE };
    let name = named(call);
    let model = Model::find(call, &name, surface, method(streams))?;
    let request = proto::read(call.body, message, surface)?;
    answer(call, &request, model, streams)
}

/// The body names the model, and holds the request.
fn enveloped(call: &Call<'_>, streams: bool) -> Result<Draft, Failure> {
    let body = proto::read(call.body, &messages::CODE_ASSIST_GENERATE, Surface::CodeAssist)?;
    let name = body.get("model").and_then(Value::as_str).unwrap_or_default();
    let model = Model::find(call, name, Surface::CodeAssist, method(streams))?;
    let request = body.get("request").and_then(Value::as_object);
    let request = request.ok_or_else(|| invalid("Request contains an invalid argument."))?;
    answer(call, request, model, streams)
}

/// The model that the path names.
pub(super) fn named(call: &Call<'_>) -> String {
    call.name.and_then(decoded).unwrap_or_default()
}

const fn method(streams: bool) -> &'static str {
    if streams { "streamGenerateContent" } else { "generateContent" }
}

fn answer(
    call: &Call<'_>,
    request: &Map<String, Value>,
    model: Model<'_>,
    streams: bool,
) -> Result<Draft, Failure> {
    let checked = request::check(request, &model)?;
    request::check_length(&checked.prompt, &model)?;
    let turn = match (&checked.said, &call.behaviour.text) {
        (Some(said), None) => {
            let behaviour = Behaviour { text: Some(said.clone()), ..call.behaviour.clone() };
            Turn::new(&checked.prompt, &behaviour)
        }
        _ => Turn::new(&checked.prompt, call.behaviour),
    };
    let written = Answer { model, checked: &checked, turn: &turn };
    let events = query(call.parts, "alt") == Some("sse");
    Ok(match (checked.blocked, streams) {
        (true, true) => answer::draft(vec![(Role::Terminal, written.blocked())], events),
        (true, false) => Draft::Json(written.blocked().to_string().into_bytes()),
        (false, true) => written.stream(events),
        (false, false) => written.whole(),
    })
}
