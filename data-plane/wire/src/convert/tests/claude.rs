//! What Claude's models take, each in its own way.

use serde_json::{Value, json as tree};
use shared::wire::Wire;

use super::*;

fn sent_to(target: Target<'_>, body: &Value) -> (Value, Vec<String>) {
    let body = body.to_string();
    let converted = super::super::request(ask(Wire::Chat, body.as_bytes(), false), target).unwrap();
    let losses = converted.losses.iter().map(|loss| format!("{}: {}", loss.code.as_str(), loss.what));
    (json(&converted.body), losses.collect())
}

fn sent(model: &'static str, body: &Value) -> (Value, Vec<String>) {
    sent_to(Target { model, ..target(Format::Messages, false) }, body)
}

fn messages(messages: Value) -> Value {
    tree!({ "model": "m", "messages": messages })
}

/// A loop of tools whose thoughts are gone, as another provider's are.
fn in_a_loop() -> Value {
    let call = tree!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let mut body = messages(tree!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "r"},
    ]));
    body["tools"] = tree!([{"type": "function", "function": {"name": "f"}}]);
    body["reasoning_effort"] = "high".into();
    body
}

#[test]
fn only_who_thinks_by_budget_needs_its_thoughts_in_a_loop() {
    let (body, losses) = sent("claude-opus-4-6", &in_a_loop());
    assert_eq!(body["thinking"], tree!({"type": "adaptive"}));
    assert_eq!(body["output_config"], tree!({"effort": "high"}));
    assert!(losses.is_empty(), "{losses:?}");
    let (body, losses) = sent("claude-sonnet-4-5", &in_a_loop());
    assert_eq!((body.get("thinking"), &*losses), (None, &["reasoning_off: messages".to_owned()][..]));
}

#[test]
fn a_forced_tool_keeps_only_who_thinks_by_budget_from_thinking() {
    let mut body = messages(tree!([{"role": "user", "content": "q"}]));
    body["tools"] = tree!([{"type": "function", "function": {"name": "f"}}]);
    body["tool_choice"] = "required".into();
    body["reasoning_effort"] = "high".into();
    assert_eq!(sent("claude-opus-5", &body).0["thinking"]["type"], "adaptive");
    assert_eq!(sent("claude-haiku-4-5", &body).1, ["reasoning_off: tool_choice"]);
}

#[test]
fn no_effort_is_made_up_and_none_is_said_that_a_model_does_not_know() {
    let ask = |model, effort: Value| {
        let mut body = messages(tree!([{"role": "user", "content": "q"}]));
        body["reasoning_effort"] = effort;
        let (body, losses) = sent(model, &body);
        (body.get("thinking").cloned(), body.get("output_config").cloned(), losses.join(", "))
    };
    let adaptive = Some(tree!({"type": "adaptive"}));
    let effort = |word| Some(tree!({ "effort": word }));
    assert_eq!(ask("claude-opus-5", Value::Null), (None, None, String::new()));
    assert_eq!(ask("claude-opus-4-7", "xhigh".into()), (adaptive.clone(), effort("xhigh"), String::new()));
    assert_eq!(
        ask("claude-sonnet-4-6", "xhigh".into()),
        (adaptive, effort("high"), "clamped: reasoning".to_owned())
    );
    assert_eq!(ask("claude-opus-5", "minimal".into()).1, effort("low"));
    let off = Some(tree!({"type": "disabled"}));
    assert_eq!(ask("claude-opus-5", "none".into()), (off, None, String::new()));
    assert_eq!(ask("claude-fable-5", "none".into()), (None, effort("low"), "clamped: reasoning".to_owned()));
}

#[test]
fn newer_models_are_not_told_how_to_sample() {
    let ask = |model, numbers: Value| {
        let mut body = messages(tree!([{"role": "user", "content": "q"}]));
        for (name, value) in numbers.as_object().unwrap() {
            body[name] = value.clone();
        }
        let (body, losses) = sent(model, &body);
        let said = ["temperature", "top_p"].map(|name| body.get(name).is_some());
        (said, losses.join(", "))
    };
    let both = || tree!({"temperature": 0.5, "top_p": 0.9});
    let named = "clamped: temperature, field: top_p".to_owned();
    for model in
        ["claude-opus-4-7", "us.anthropic.claude-opus-4-8-v1:0", "claude-sonnet-5", "claude-haiku-5-5"]
    {
        assert_eq!(ask(model, both()), ([false, false], named.clone()), "{model}");
    }
    assert_eq!(ask("claude-opus-5", tree!({"temperature": 1, "top_p": 1})), ([false, false], String::new()));
    assert_eq!(ask("claude-sonnet-4-6", both()), ([true, false], "field: top_p".to_owned()));
    assert_eq!(ask("claude-sonnet-4-6", tree!({"top_p": 0.9})), ([false, true], String::new()));
}

#[test]
fn a_system_prompt_in_mid_talk_stays_where_it_is_known_and_is_told_by_a_user_elsewhere() {
    let system = || tree!({"role": "system", "content": "s"});
    let (user, answer) =
        (|| tree!({"role": "user", "content": "u"}), || tree!({"role": "assistant", "content": "a"}));
    let roles = |target: Target<'static>, turns: Vec<Value>| {
        let (body, losses) = sent_to(target, &messages(turns.into()));
        let said = body["messages"].as_array().cloned().unwrap_or_default();
        let said = said.iter().map(|turn| {
            let texts = turn["content"].as_array().cloned().unwrap_or_else(|| vec![turn["content"].clone()]);
            let texts: Vec<_> = texts
                .iter()
                .map(|text| text["text"].as_str().or(text.as_str()).unwrap_or("?").to_owned())
                .collect();
            format!("{}:{}", turn["role"].as_str().unwrap(), texts.join("+"))
        });
        (
            body["system"].as_str().unwrap_or("").to_owned(),
            said.collect::<Vec<_>>().join(" "),
            losses.join(", "),
        )
    };
    let knows = Target { model: "claude-opus-4-8", ..target(Format::Messages, false) };
    let moved = || "system_moved: messages".to_owned();
    let top = |said: &str, losses: String| (String::new(), said.to_owned(), losses);
    // Behind a user's turn, last or ahead of an answer.
    assert_eq!(roles(knows, vec![user(), system()]), top("user:u system:s", String::new()));
    let between = || vec![user(), system(), answer(), user()];
    assert_eq!(roles(knows, between()), top("user:u system:s assistant:a user:u", String::new()));
    assert_eq!(roles(knows, vec![system(), user()]), ("s".to_owned(), "user:u".to_owned(), String::new()));
    // Two are one, and elsewhere a user tells it.
    assert_eq!(roles(knows, vec![user(), system(), system()]), top("user:u system:s+s", String::new()));
    assert_eq!(
        roles(knows, vec![user(), answer(), system(), user()]),
        top("user:u assistant:a user:s+u", moved())
    );
    assert_eq!(roles(knows, vec![user(), answer(), system()]), top("user:u assistant:a user:s", moved()));
    // Other models, and other hosts.
    for other in [
        Target { model: "claude-opus-4-7", ..knows },
        Target { model: "claude-sonnet-5", ..knows },
        Target { system_turns: false, ..knows },
    ] {
        assert_eq!(roles(other, between()), top("user:u+s assistant:a user:u", moved()), "{other:?}");
    }
}

#[test]
fn a_system_prompt_never_parts_a_call_from_its_result() {
    let mut body = in_a_loop();
    let turns = body["messages"].as_array_mut().unwrap();
    turns.insert(2, tree!({"role": "system", "content": "s"}));
    for model in ["claude-opus-4-8", "claude-sonnet-4-5"] {
        let (body, losses) = sent(model, &body);
        let last = &body["messages"][2];
        assert_eq!((&last["role"], &last["content"][0]["type"]), (&"user".into(), &"tool_result".into()));
        assert_eq!(last["content"][1], tree!({"type": "text", "text": "s"}));
        assert!(losses.contains(&"system_moved: messages".to_owned()), "{losses:?}");
    }
}

#[test]
fn a_prefill_goes_to_who_takes_it() {
    let body = messages(tree!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "So \n"}]));
    let (sent_body, losses) = sent("claude-sonnet-4-6", &body);
    assert_eq!(sent_body["messages"][1], tree!({"role": "assistant", "content": "So \n"}));
    assert_eq!(sent_body["messages"][2], tree!({"role": "user", "content": "Continue."}));
    assert_eq!(losses, ["field: prefill"]);
    let (sent_body, losses) = sent("claude-sonnet-4-5", &body);
    assert_eq!(sent_body["messages"][1], tree!({"role": "assistant", "content": "So"}));
    assert_eq!(
        (sent_body["messages"].as_array().unwrap().len(), &*losses),
        (2, &["clamped: prefill".to_owned()][..])
    );
    let (sent_body, losses) = sent_to(target(Format::Gemini, false), &body);
    assert_eq!(sent_body["contents"][2], tree!({"role": "user", "parts": [{"text": "Continue."}]}));
    assert_eq!(losses, ["field: prefill"]);
}

#[test]
fn a_growing_conversation_is_marked_where_the_client_knows_no_marks() {
    let ask_for = |wire: Wire, body: &Value, cache_marks: bool| {
        let body = body.to_string();
        let target = Target { cache_marks, ..target(Format::Messages, false) };
        let converted = super::super::request(ask(wire, body.as_bytes(), false), target).unwrap();
        String::from_utf8(converted.body).unwrap()
    };
    let marks = |body: &str| body.matches(r#""cache_control":{"type":"ephemeral"}"#).count();
    let mut talk = messages(tree!([
        {"role": "system", "content": "s"}, {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"}, {"role": "user", "content": "r"},
    ]));
    let sent = ask_for(Wire::Chat, &talk, true);
    let last =
        r#"{"role":"user","content":[{"type":"text","text":"r","cache_control":{"type":"ephemeral"}}]}"#;
    assert!(marks(&sent) == 2 && sent.contains(last), "{sent}");
    talk["tools"] = tree!([{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "g"}}]);
    assert_eq!(marks(&ask_for(Wire::Chat, &talk, true)), 3);
    assert_eq!(marks(&ask_for(Wire::Chat, &talk, false)), 0);
    let loop_sent = ask_for(Wire::Chat, &in_a_loop(), true);
    let result =
        r#"{"type":"tool_result","tool_use_id":"c","content":"r","cache_control":{"type":"ephemeral"}}"#;
    assert!(loop_sent.contains(result), "{loop_sent}");
    // One question; a client that marks; a client that could.
    assert_eq!(marks(&ask_for(Wire::Chat, &messages(tree!([{"role": "user", "content": "q"}])), true)), 0);
    let mark = tree!([{"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}}]);
    talk["messages"][1]["content"] = mark;
    assert_eq!(marks(&ask_for(Wire::Chat, &talk, true)), 1);
    let own = tree!({"model": "m", "max_tokens": 9, "messages": [
        {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}, {"role": "user", "content": "r"},
    ]});
    assert_eq!(marks(&ask_for(Wire::Messages, &own, true)), 0);
}
