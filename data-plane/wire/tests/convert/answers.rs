//! Answers: each upstream's cases, whole and as a stream, for each client wire.
//!
//! A case is `{"whole": body, "stream": [data of a frame]}`; converse names each of its frames, `{"messageStart": {}}`.
//! Both say the same, so that what a client gets is the same too; where it isn't, the snapshot shows both. What is lost
//! is the same, but for clients of the upstream's own wire, which in a stream may lose what other clients never get.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use shared::wire::Wire;
use wire::{
    convert::{self, Ask, Conversion, Format, Replayed, Target, Whole},
    error::{ErrorKind, WireError},
    eventstream,
    loss::Losses,
    raw::watch::{Chunks, FailureCause},
    relay::{Framing, Relay},
};

use crate::{
    cases::{cases, hold, lost},
    printed,
};

/// What each client asked, with all the tools that answers may call.
const fn asked(wire: Wire) -> &'static str {
    match wire {
        Wire::Chat => {
            r#"{"model":"asked","messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"custom","custom":{"name":"sh"}},{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}]}"#
        }
        Wire::Responses => {
            r#"{"model":"asked","input":"Hi","temperature":0.5,"tools":[{"type":"custom","name":"sh"},{"type":"function","name":"f"},{"type":"function","name":"g"},{"type":"namespace","name":"files","tools":[{"type":"function","name":"read"}]}]}"#
        }
        Wire::Messages => {
            r#"{"model":"asked","max_tokens":100,"messages":[{"role":"user","content":"Hi"}],"tools":[{"name":"f","input_schema":{"type":"object"}},{"name":"g","input_schema":{"type":"object"}}]}"#
        }
        Wire::Gemini => {
            r#"{"contents":[{"parts":[{"text":"Hi"}]}],"tools":[{"functionDeclarations":[{"name":"f"},{"name":"g"}]}]}"#
        }
    }
}

pub(crate) fn conversion(client: Wire, format: Format, stream: bool) -> Conversion {
    let mut body: Value = serde_json::from_str(asked(client)).unwrap();
    if client != Wire::Gemini {
        body["stream"] = stream.into();
    }
    let body = body.to_string();
    let ask = Ask {
        wire: client,
        body: body.as_bytes(),
        model: "asked",
        stream,
        array: false,
        resume: None,
        wants_usage: true,
        memos: &[],
        id: "01J",
        now: 1_764_090_000,
    };
    let target = Target {
        format,
        model: "sent",
        stream,
        default_max_output: 4096,
        max_output: None,
        fetches_urls: true,
        server_tools: true,
        system_turns: true,
        replayed: Replayed::OWN,
        tool_search: true,
        cache_marks: false,
    };
    convert::request(ask, target).unwrap().conversion
}

/// The case's stream as the upstream sends it.
pub(crate) fn framed(format: Format, frames: &[Value]) -> (Bytes, Framing) {
    let mut out = Vec::new();
    for frame in frames {
        match frame {
            Value::Object(fields) if format == Format::Converse => {
                let (name, payload) = fields.iter().next().unwrap();
                let headers = match name.ends_with("Exception") {
                    true => [(":message-type", "exception"), (":exception-type", name)],
                    false => [(":message-type", "event"), (":event-type", name)],
                };
                eventstream::write(&headers, payload.to_string().as_bytes(), &mut out);
            }
            Value::String(word) => out.extend_from_slice(format!("data: {word}\n\n").as_bytes()),
            frame => {
                if let Some(event) = frame["type"].as_str() {
                    out.extend_from_slice(format!("event: {event}\n").as_bytes());
                }
                out.extend_from_slice(format!("data: {frame}\n\n").as_bytes());
            }
        }
    }
    let framing = if format == Format::Converse { Framing::Converse } else { Framing::Plain };
    (out.into(), framing)
}

/// Runs the stream through, and ends it as the gateway does where the upstream does not.
fn relayed(conversion: &Conversion, frames: &(Bytes, Framing)) -> (Vec<u8>, Relay) {
    let mut relay = Relay::converted(conversion.stream(), frames.1);
    let mut out = Chunks::new();
    relay.feed(frames.0.clone(), &mut out);
    relay.end(&mut out);
    relay.release(&mut out);
    if !relay.seen().end && relay.failure().is_none() {
        let error = WireError {
            status: 502,
            kind: ErrorKind::Api,
            message: "the upstream broke off",
            code: None,
            param: None,
            request_id: "01J",
        };
        out.push(relay.close(&error));
    }
    (out.concat(), relay)
}

/// The frames of a client's stream, each with nothing but its data.
fn frames_of(stream: &[u8]) -> Vec<Value> {
    let stream = std::str::from_utf8(stream).unwrap();
    assert!(stream.is_empty() || stream.ends_with("\n\n"), "only whole frames are written: {stream}");
    let read = |frame: &str| {
        let (event, data) = match frame.strip_prefix("event: ") {
            Some(rest) => rest.split_once('\n').map(|(event, data)| (Some(event), data)).unwrap(),
            None => (None, frame),
        };
        let Some(data) = data.strip_prefix("data: ") else { return Value::from(frame) };
        if data == "[DONE]" {
            return Value::from(data);
        }
        let data = printed::json(data.as_bytes());
        assert!(
            event.is_none() || event == data["type"].as_str(),
            "a frame has the name of its type: {frame}"
        );
        data
    };
    stream.split_terminator("\n\n").map(read).collect()
}

/// Streams may tell of what is lost in another order.
fn sorted(losses: &Losses) -> Vec<String> {
    let mut lost = lost(losses);
    lost.sort();
    lost
}

/// Clients of messages are told the tier at a stream's beginning, when not every upstream knows it, or not at all.
/// A proof that comes behind its text is told ahead of it where the answer is whole, and in a stream not at all.
fn but_for_the_tier(client: Wire, losses: &Losses) -> Vec<String> {
    let mut lost = sorted(losses);
    lost.retain(|loss| client != Wire::Messages || loss != "field: service_tier");
    lost.retain(|loss| loss != "misplaced: signature");
    lost
}

fn answered(client: Wire, format: Format, case: &Value) -> Value {
    let mut found = Map::new();
    let whole = case
        .get("whole")
        .map(|body| conversion(client, format, false).whole(body.to_string().as_bytes()).unwrap());
    if let Some(whole) = &whole {
        found.insert("whole".into(), printed::json(&whole.body));
        found.insert("losses".into(), lost(&whole.losses).into());
    }
    let sent = framed(format, case["stream"].as_array().unwrap());
    let (stream, relay) = relayed(&conversion(client, format, true), &sent);
    found.insert("stream".into(), frames_of(&stream).into());
    let lost_in_stream = relay.losses().unwrap();
    if whole.as_ref().is_none_or(|whole| sorted(&lost_in_stream) != sorted(&whole.losses)) {
        let may_differ = format.wire() == Some(client);
        let is_same = whole.as_ref().is_none_or(|whole| {
            but_for_the_tier(client, &lost_in_stream) == but_for_the_tier(client, &whole.losses)
        });
        assert!(may_differ || is_same, "a stream to {client}: {lost_in_stream:?}, not {whole:?}");
        found.insert("losses of the stream".into(), lost(&lost_in_stream).into());
    }
    if let Some(failure) = relay.failure() {
        let cause = match &failure.cause {
            FailureCause::Malformed(problem) => json!({ "malformed": problem }),
            FailureCause::Reported(error) => json!({ "status": error.status, "message": error.message }),
        };
        found.insert("failure".into(), cause);
    }
    if let (Some(whole), Some(body)) = (&whole, case.get("whole")) {
        let played = conversion(client, format, true).whole(body.to_string().as_bytes()).unwrap();
        let loses_more = sorted(&played.losses) != sorted(&whole.losses);
        assert!(!loses_more || format.wire() == Some(client), "played for {client}: {:?}", played.losses);
        says_as_a_stream(client, &played, (!loses_more).then_some(whole));
        // What passes as it was written must not break the frames.
        let spread = serde_json::to_vec_pretty(body).unwrap();
        says_as_a_stream(client, &conversion(client, format, true).whole(&spread).unwrap(), None);
    }
    let gathering = conversion(client, format, false);
    let (nothing, gathered) = relayed(&gathering, &sent);
    assert!(nothing.is_empty(), "nothing comes out of a stream that is gathered");
    let gathered = gathering.gathered(gathered.into_converted().unwrap());
    assert_eq!(gathered.is_some(), whole.is_some(), "a whole answer, or none");
    if let (Some(gathered), Some(whole)) = (gathered, whole) {
        assert_eq!(
            but_for_the_tier(client, &gathered.losses),
            but_for_the_tier(client, &lost_in_stream),
            "gathered for {client}"
        );
        if gathered.body != whole.body {
            found.insert("gathered".into(), printed::json(&gathered.body));
        }
        assert_eq!((gathered.usage, gathered.served_model), (whole.usage, whole.served_model));
        assert_eq!(relay.usage(), whole.usage);
    }
    found.into()
}

/// Played as a stream, an answer says what it says whole, where it can.
fn says_as_a_stream(client: Wire, played: &Whole, whole: Option<&Whole>) {
    frames_of(&played.body);
    let reader = conversion(client, Format::of(client), false);
    let (_, relay) = relayed(&reader, &(played.body.clone(), Framing::Plain));
    assert_eq!(relay.failure(), None);
    let told = reader.gathered(relay.into_converted().unwrap()).unwrap();
    let Some(whole) = whole else { return };
    assert_eq!((played.usage, &played.served_model), (whole.usage, &whole.served_model));
    let again = reader.whole(&whole.body).unwrap();
    let but_for_the_build = |body: &[u8]| {
        let mut body = printed::json(body);
        if client == Wire::Chat {
            body["system_fingerprint"] = Value::Null;
        }
        body
    };
    if client == Wire::Chat && sorted(&told.losses).contains(&"block: message.audio".to_owned()) {
        // The client sees it; only reading the stream back loses it.
        return;
    }
    assert_eq!(sorted(&told.losses), sorted(&again.losses), "played for {client}");
    assert_eq!(but_for_the_build(&told.body), but_for_the_build(&again.body), "played for {client}");
}

fn each_case_becomes_what_it_must(format: Format) {
    for case in cases("answers", format.as_str()) {
        let answer = printed::json(&case.text);
        let found: Map<String, Value> = Wire::ALL
            .into_iter()
            .map(|client| (client.as_str().to_owned(), answered(client, format, &answer)))
            .collect();
        hold("answers", format.as_str(), &case.name, &printed::spread(&found.into(), 3));
    }
}

#[test]
fn chat() {
    each_case_becomes_what_it_must(Format::Chat);
}

#[test]
fn responses() {
    each_case_becomes_what_it_must(Format::Responses);
}

#[test]
fn messages() {
    each_case_becomes_what_it_must(Format::Messages);
}

#[test]
fn gemini() {
    each_case_becomes_what_it_must(Format::Gemini);
}

#[test]
fn converse() {
    each_case_becomes_what_it_must(Format::Converse);
}

#[test]
fn a_client_is_told_that_the_framing_broke() {
    let frames = [
        json!({"messageStart": {"role": "assistant"}}),
        json!({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Once"}}}),
    ];
    for (client, said) in Wire::ALL.into_iter().flat_map(|client| [(client, 0), (client, 2)]) {
        let (mut sent, framing) = framed(Format::Converse, &frames[..said]);
        sent = [sent.as_ref(), &[0; 64]].concat().into();
        let (stream, relay) = relayed(&conversion(client, Format::Converse, true), &(sent, framing));
        let failure = relay.failure().unwrap();
        assert_eq!(failure.before_content, said == 0, "{client}");
        let last = frames_of(&stream).pop().unwrap();
        let error = if client == Wire::Responses { last["response"].get("error") } else { last.get("error") };
        assert!(error.is_some(), "{client}: {last}");
    }
}
