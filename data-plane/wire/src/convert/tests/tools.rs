//! Tools that are somebody's own.

use bytes::Bytes;
use serde_json::{Value, json as tree};
use shared::wire::Wire;

use super::*;
use crate::{
    raw::watch::Chunks,
    relay::{Framing, Relay},
};

/// The answer to a client that searches for its tools itself.
fn conversion(stream: bool) -> Conversion {
    let body = tree!({
        "model": "m", "input": "q", "stream": stream,
        "tools": [{"type": "tool_search", "execution": "client", "parameters": {"type": "object"}}],
    });
    let body = body.to_string();
    super::super::request(ask(Wire::Responses, body.as_bytes(), stream), target(Format::Chat, stream))
        .unwrap()
        .conversion
}

#[test]
fn a_clients_search_for_tools_comes_back_as_its_own_item() {
    let expected = tree!({
        "type": "tool_search_call", "id": "tsc_call_1", "call_id": "call_1", "status": "completed",
        "execution": "client", "arguments": {"query": "mail"},
    });
    let call = |arguments: &str| tree!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "tool_search", "arguments": arguments}});
    let whole = tree!({"id": "u", "model": "s", "choices": [{
        "index": 0, "finish_reason": "tool_calls",
        "message": {"role": "assistant", "content": null, "tool_calls": [call(r#"{"query":"mail"}"#)]},
    }]});
    let answer = conversion(false).whole(whole.to_string().as_bytes()).unwrap();
    assert_eq!(json(&answer.body)["output"], tree!([expected]));

    let delta = |delta: Value, finish: Value| {
        let chunk = tree!({"id": "u", "model": "s", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    };
    let more = tree!({"tool_calls": [{"index": 0, "function": {"arguments": "ery\":\"mail\"}"}}]});
    let stream = [
        delta(tree!({"role": "assistant", "tool_calls": [call(r#"{"qu"#)]}), Value::Null),
        delta(more, Value::Null),
        delta(tree!({}), "tool_calls".into()),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat();
    let relayed = |conversion: &Conversion| {
        let mut relay = Relay::converted(conversion.stream(), Framing::Plain);
        let mut out = Chunks::new();
        relay.feed(Bytes::from(stream.clone()), &mut out);
        relay.end(&mut out);
        (String::from_utf8(out.concat()).unwrap(), relay)
    };
    let (told, _) = relayed(&conversion(true));
    let items: Vec<Value> = told
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| json(data.as_bytes()))
        .filter(|event| event["type"] == "response.output_item.done")
        .map(|event| event["item"].clone())
        .collect();
    assert_eq!(items, std::slice::from_ref(&expected));
    let (_, relay) = relayed(&conversion(false));
    let gathered = conversion(false).gathered(relay.into_converted().unwrap()).unwrap();
    assert_eq!(json(&gathered.body)["output"], tree!([expected]));
}

#[test]
fn gemini_searches_only_where_no_functions_are_offered() {
    let ask_for = |tools: Value| {
        let body = tree!({"model": "m", "input": "q", "tools": tools}).to_string();
        let ask = ask(Wire::Responses, body.as_bytes(), false);
        let converted = super::super::request(ask, target(Format::Gemini, false)).unwrap();
        let losses: Vec<_> = converted.losses.iter().map(|loss| loss.what.to_string()).collect();
        (json(&converted.body)["tools"].clone(), losses)
    };
    let (search, function) = (tree!({"type": "web_search"}), tree!({"type": "function", "name": "f"}));
    assert_eq!(ask_for(tree!([search])), (tree!([{"googleSearch": {}}]), vec![]));
    let (tools, losses) = ask_for(tree!([search, function]));
    assert_eq!(
        (tools, &*losses),
        (tree!([{"functionDeclarations": [{"name": "f"}]}]), &["web_search".to_owned()][..])
    );
    let inside = tree!({"type": "web_search", "external_web_access": false});
    assert_eq!(ask_for(tree!([inside])), (Value::Null, vec!["web_search".to_owned()]));
}

/// Codex's newest models are offered their tools in the conversation, in a group.
#[test]
fn a_custom_tool_of_a_group_comes_back_with_its_group() {
    let item = tree!({"type": "additional_tools", "role": "developer", "tools": [
        {"type": "namespace", "name": "functions", "tools": [{"type": "custom", "name": "exec"}]},
    ]});
    let body = tree!({"model": "m", "input": [item, {"role": "user", "content": "q"}]}).to_string();
    let call = |name: &str| {
        let content = tree!([{"type": "tool_use", "id": "t", "name": name, "input": {"input": "ls()"}}]);
        let answer = tree!({"id": "u", "type": "message", "role": "assistant", "model": "s", "content": content,
            "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}});
        answer.to_string()
    };
    let asked = ask(Wire::Responses, body.as_bytes(), false);
    let conversion = super::super::request(asked, target(Format::Messages, false)).unwrap().conversion;
    let item = json(&conversion.whole(call("functions__exec").as_bytes()).unwrap().body)["output"][0].clone();
    assert_eq!((&item["type"], &item["name"]), (&"custom_tool_call".into(), &"exec".into()));
    assert_eq!((&item["namespace"], &item["input"]), (&"functions".into(), &"ls()".into()));
}
