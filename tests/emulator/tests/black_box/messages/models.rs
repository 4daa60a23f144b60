//! What depends on which model is asked, and in which version of the API.

use emulator::Profile;
use serde_json::{Value, json};

use super::{VERSION, turns, weather_tool, with};
use crate::client::{ANTHROPIC_KEY, Answer, call, emulator, message_body, messages};

const ANYWHERE: &str =
    "; the directive-only form (content: [] with output_config) is accepted at any position";

fn to(model: &str, changes: &[(&str, Value)]) -> Value {
    with(with(message_body("Hi", false), &[("/model", json!(model))]), changes)
}

/// The status, and the refusal if it is one.
fn told(answer: &Answer) -> (u16, String) {
    let message = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    if answer.status() == 400 {
        assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    }
    (answer.status(), message)
}

async fn check(cases: Vec<(Value, &str)>) {
    let emulator = emulator().await;
    for (body, message) in cases {
        let status = if message.is_empty() { 200 } else { 400 };
        assert_eq!(told(&messages(&emulator, &body).await), (status, message.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn newer_models_have_no_say_in_the_sampling() {
    let deprecated = "`temperature` is deprecated for this model.";
    let one = "`temperature` and `top_p` cannot both be specified for this model. Please use only one.";
    let warm = |value: f64| ("/temperature", json!(value));
    check(vec![
        (to("claude-opus-4-7", &[warm(0.5)]), deprecated),
        (to("claude-sonnet-5", &[warm(0.0)]), deprecated),
        (to("claude-haiku-5-5", &[warm(0.9)]), deprecated),
        (to("claude-fable-5", &[("/top_p", json!(0.9))]), "`top_p` is deprecated for this model."),
        (to("claude-opus-5", &[("/top_k", json!(5))]), "`top_k` is deprecated for this model."),
        (to("claude-opus-5", &[warm(1.0)]), ""),
        (to("claude-sonnet-4-6", &[warm(0.5), ("/top_p", json!(0.9))]), one),
        (to("claude-haiku-4-5", &[warm(1.0), ("/top_p", json!(1.0))]), one),
        (to("claude-sonnet-4-6", &[warm(0.5), ("/top_k", json!(5))]), ""),
        (to("claude-3-7-sonnet-latest", &[warm(0.5), ("/top_p", json!(0.9))]), ""),
        (to("claude-x", &[warm(0.5), ("/top_p", json!(0.9))]), ""),
    ])
    .await;
}

#[tokio::test]
async fn the_newest_version_takes_less_and_so_do_strict_ones() {
    let emulator = emulator().await;
    let newest = [("x-api-key", ANTHROPIC_KEY), ("anthropic-version", "2026-10-21")];
    let cited = json!([{"type": "text", "text": "Hi", "citations": [{"type": "char_location"}]}]);
    for (body, message) in [
        (
            to("claude-sonnet-4-5", &[("/temperature", json!(1.0))]),
            "temperature: Extra inputs are not permitted",
        ),
        (to("claude-x", &[("/top_k", json!(1))]), "top_k: Extra inputs are not permitted"),
        (
            to("claude-sonnet-4-5", &[("/messages/0/content", cited)]),
            "messages.0.content.0.text.citations: Extra inputs are not permitted",
        ),
    ] {
        assert_eq!(messages(&emulator, &body).await.status(), 200, "in an older version");
        for path in ["/v1/messages", "/v1/messages/count_tokens"] {
            let refused = call(&emulator, "POST", path, &newest, &body.to_string()).await;
            assert_eq!(told(&refused), (400, message.to_owned()));
        }
    }
    let strict = Profile { strict: true, ..Profile::default() };
    emulator.credential(ANTHROPIC_KEY).set_profile(strict);
    let default = to("claude-opus-5", &[("/temperature", json!(1.0))]);
    assert_eq!(
        told(&messages(&emulator, &default).await),
        (400, "`temperature` is deprecated for this model.".to_owned())
    );
    let managed = to("claude-opus-5", &[("/context_management", json!({"edits": []}))]);
    let refused = (400, "context_management: Extra inputs are not permitted".to_owned());
    assert_eq!(told(&messages(&emulator, &managed).await), refused);
    let beta = ("anthropic-beta", "context-management-2025-06-27");
    let headers = [("x-api-key", ANTHROPIC_KEY), VERSION, beta];
    assert_eq!(call(&emulator, "POST", "/v1/messages", &headers, &managed.to_string()).await.status(), 200);
}

#[tokio::test]
async fn each_model_thinks_in_its_own_ways() {
    let thinking = |kind: &str| ("/thinking", json!({"type": kind}));
    let budget = ("/thinking", json!({"type": "enabled", "budget_tokens": 1024}));
    let room = ("/max_tokens", json!(4096));
    let effort = |effort: &str| ("/output_config", json!({ "effort": effort }));
    let only_adaptive = |kind: &str| {
        format!(
            "\"thinking.type.{kind}\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior."
        )
    };
    let (no_budget, no_off, no_between) =
        (only_adaptive("enabled"), only_adaptive("disabled"), only_adaptive("between_tools"));
    let between = "To turn thinking off on this model, send \"thinking\": {\"type\": \"between_tools\"} instead of {\"type\": \"disabled\"}. The model does not think before responding. The short updates it writes between tool calls come back as thinking blocks.";
    let no_effort = "This model does not support the effort parameter.";
    check(vec![
        (to("claude-opus-4-7", &[budget.clone(), room.clone()]), &no_budget),
        (to("claude-sonnet-5", &[budget.clone(), room.clone()]), &no_budget),
        (to("claude-opus-4-6", &[budget.clone(), room.clone()]), ""),
        (to("claude-sonnet-4-5", &[budget, room]), ""),
        (to("claude-sonnet-4-5", &[thinking("adaptive")]), "adaptive thinking is not supported on this model"),
        (to("claude-haiku-4-5", &[thinking("adaptive")]), "adaptive thinking is not supported on this model"),
        (to("claude-sonnet-4-6", &[thinking("adaptive")]), ""),
        (to("claude-opus-5-5", &[thinking("disabled")]), &no_off),
        (to("claude-fable-5", &[thinking("disabled")]), &no_off),
        (to("claude-sonnet-5-5", &[thinking("disabled")]), between),
        (to("claude-sonnet-5-5", &[thinking("between_tools")]), ""),
        (to("claude-opus-5", &[thinking("between_tools")]), &no_between),
        (to("claude-opus-5", &[thinking("disabled"), effort("high")]), ""),
        (
            to("claude-opus-5", &[thinking("disabled"), effort("max")]),
            "output_config.effort 'max' is not supported when thinking is disabled on this model. Use effort 'high' or below, or enable thinking.",
        ),
        (to("claude-haiku-4-5", &[effort("low")]), no_effort),
        (to("claude-sonnet-4-5", &[effort("high")]), no_effort),
        (to("claude-opus-4-5", &[effort("high")]), ""),
        (to("claude-sonnet-4-6", &[effort("high")]), ""),
    ])
    .await;
}

#[tokio::test]
async fn tools_are_not_forced_upon_every_model() {
    let tools = ("/tools", json!([weather_tool()]));
    let choice = |kind: &str| ("/tool_choice", json!({"type": kind, "name": "get_weather"}));
    let adaptive = ("/thinking", json!({"type": "adaptive"}));
    let budget = ("/thinking", json!({"type": "enabled", "budget_tokens": 1024}));
    let never = "tool_choice: type \"tool\" and \"any\" are not supported for this model.";
    check(vec![
        (to("claude-opus-5-5", &[tools.clone(), choice("tool")]), never),
        (to("claude-fable-5-1", &[tools.clone(), choice("any")]), never),
        (to("claude-opus-5-5", &[tools.clone(), choice("auto")]), ""),
        (to("claude-opus-5", &[tools.clone(), choice("tool"), adaptive.clone()]), ""),
        (to("claude-opus-4-6", &[tools.clone(), choice("tool"), adaptive]), ""),
        (
            to("claude-opus-4-6", &[tools, choice("tool"), budget, ("/max_tokens", json!(2048))]),
            "Thinking may not be enabled when tool_choice forces tool use.",
        ),
    ])
    .await;
}

#[tokio::test]
async fn newer_models_begin_their_own_answers() {
    let refused = "This model does not support assistant message prefill. The conversation must end with a user message.";
    let prefilled = |content: Value| json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content}]);
    let prefill = ("/messages", prefilled(json!("So")));
    let search = json!([{"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}]);
    let thinking = ("/thinking", json!({"type": "enabled", "budget_tokens": 1024}));
    let thoughtless = "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this requirement, disable `thinking`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking";
    check(vec![
        (to("claude-opus-4-6", std::slice::from_ref(&prefill)), refused),
        (to("claude-sonnet-5", std::slice::from_ref(&prefill)), refused),
        (to("claude-sonnet-4-5", std::slice::from_ref(&prefill)), ""),
        (to("claude-sonnet-4-5", &[prefill, thinking, ("/max_tokens", json!(2048))]), thoughtless),
        (to("claude-opus-5", &[("/messages", prefilled(search))]), ""),
    ])
    .await;
}

#[tokio::test]
async fn a_loop_of_tools_needs_its_thoughts_only_where_they_have_a_budget() {
    let used = json!([{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {}}]);
    let result = json!([{"type": "tool_result", "tool_use_id": "t1", "content": "Rain."}]);
    let looped = turns(used, result);
    let budget = json!({"type": "enabled", "budget_tokens": 1024});
    let to = |model: &str, thinking: Value| {
        let changes = [("/model", json!(model)), ("/thinking", thinking), ("/max_tokens", json!(2048))];
        with(looped.clone(), &changes)
    };
    let emulator = emulator().await;
    let refused = messages(&emulator, &to("claude-sonnet-4-5", budget)).await;
    assert!(told(&refused).1.starts_with("messages.1.content.0.type: Expected `thinking`"));
    let adaptive = to("claude-opus-5", json!({"type": "adaptive"}));
    assert_eq!(messages(&emulator, &adaptive).await.status(), 200);
    for signature in ["", "ErUBAAAA"] {
        let thought = json!([{"type": "thinking", "thinking": "Hm.", "signature": signature},
            {"type": "text", "text": "Done."}]);
        let refused = messages(&emulator, &turns(thought, json!("And?"))).await;
        let message = "messages.1.content.0: Invalid `signature` in `thinking` block".to_owned();
        assert_eq!(told(&refused), (400, message), "{signature}");
    }
}

#[tokio::test]
async fn the_system_speaks_among_the_others_where_it_may() {
    let said = |role: &str| json!({"role": role, "content": "Hi"});
    let (user, assistant, system) = (said("user"), said("assistant"), said("system"));
    let used =
        json!({"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]});
    let result =
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "r"}]});
    let searched = json!({"role": "assistant", "content": [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}]});
    let hold = |content: Value| json!({"role": "system", "content": content});
    let image = hold(
        json!([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}]),
    );
    let directive = json!({"role": "system", "content": [], "output_config": {"effort": "low"}});
    let follow = |index: usize| {
        format!(
            "messages.{index}: role 'system' must follow a 'user' message or an 'assistant' message ending in a server tool result{ANYWHERE}"
        )
    };
    let precede = |index: usize| {
        format!(
            "messages.{index}: role 'system' must precede an 'assistant' message or end the array{ANYWHERE}"
        )
    };
    let first =
        format!("messages.0: use the top-level 'system' parameter for the initial system prompt{ANYWHERE}");
    let nothing = "messages.1: system content must contain at least one block".to_owned();
    let other =
        "messages.1: role 'system' supports text, tool_addition, and tool_removal blocks only".to_owned();
    let to = |model: &str, list: &[&Value]| to(model, &[("/messages", json!(list))]);
    let opus = |list: &[&Value]| to("claude-opus-4-8", list);
    let unknown = "role 'system' is not supported on this model";
    let cases: Vec<(Value, String)> = vec![
        (opus(&[&user, &system]), String::new()),
        (opus(&[&user, &system, &system, &assistant, &user, &system]), String::new()),
        (opus(&[&user, &used, &result, &system]), String::new()),
        (opus(&[&user, &searched, &system]), String::new()),
        (opus(&[&directive, &user, &assistant, &directive, &user]), String::new()),
        (opus(&[&system, &user]), first.clone()),
        (opus(&[&user, &assistant, &system, &user]), follow(2)),
        (opus(&[&user, &assistant, &system, &assistant, &user]), follow(2)),
        (opus(&[&user, &used, &system, &result]), follow(2)),
        (opus(&[&user, &system, &user]), precede(1)),
        (opus(&[&user, &system, &system, &user]), precede(2)),
        (opus(&[&user, &hold(json!([]))]), nothing.clone()),
        (opus(&[&user, &hold(json!(""))]), nothing),
        (opus(&[&user, &image]), other),
        (to("claude-fable-5", &[&user, &system]), String::new()),
        (to("claude-sonnet-5-5", &[&user, &system]), String::new()),
        (to("claude-sonnet-5", &[&user, &system]), unknown.to_owned()),
        (to("claude-haiku-4-5", &[&user, &system]), unknown.to_owned()),
        (to("claude-opus-4-7", &[&user, &system]), unknown.to_owned()),
        (to("claude-opus-4-7", &[&system, &user]), first),
    ];
    check(cases.iter().map(|(body, message)| (body.clone(), message.as_str())).collect()).await;
}

#[tokio::test]
async fn a_prompt_ends_where_the_window_does() {
    let long = ("/messages/0/content", json!("abcd".repeat(30)));
    let answer = ("/max_tokens", json!(20));
    check(vec![
        (
            to("claude-sonnet-5-window-20", std::slice::from_ref(&long)),
            "prompt is too long: 33 tokens > 20 maximum",
        ),
        (to("claude-sonnet-5-window-33", std::slice::from_ref(&long)), ""),
        (
            to("claude-sonnet-4-window-40", &[long.clone(), answer.clone()]),
            "input length and `max_tokens` exceed context limit: 33 + 20 > 40, decrease input length or `max_tokens` and try again",
        ),
        (to("claude-sonnet-4-window-53", &[long, answer]), ""),
    ])
    .await;
}

#[tokio::test]
async fn models_say_only_so_much() {
    let most = |most: u64| ("/max_tokens", json!(most));
    check(vec![
        (
            to("claude-haiku-4-5-20251001", &[most(128_000)]),
            "max_tokens: 128000 > 64000, which is the maximum allowed number of output tokens for claude-haiku-4-5-20251001",
        ),
        (
            to("claude-3-haiku-20240307", &[most(8_000)]),
            "max_tokens: 8000 > 4096, which is the maximum allowed number of output tokens for claude-3-haiku-20240307",
        ),
        (
            to("claude-opus-5", &[most(128_001)]),
            "max_tokens: 128001 > 128000, which is the maximum allowed number of output tokens for claude-opus-5",
        ),
        (to("claude-opus-5", &[most(128_000)]), ""),
        (to("claude-opus-4-1", &[most(32_000)]), ""),
        (to("claude-x", &[most(1_000_000)]), ""),
    ])
    .await;
}

#[tokio::test]
async fn marks_say_for_whom_they_are_only_with_a_beta_and_ahead_of_the_messages() {
    let emulator = emulator().await;
    let marked =
        json!([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "scope": "global"}}]);
    let system = to("claude-sonnet-4-5", &[("/system", marked.clone())]);
    let said = to("claude-sonnet-4-5", &[("/messages/0/content", marked)]);
    let beta = ("anthropic-beta", "prompt-caching-scope-2026-01-05");
    let headers = [("x-api-key", ANTHROPIC_KEY), VERSION, beta];
    for (body, headers, message) in [
        (&system, &headers[..2], "system.0.cache_control.ephemeral.scope: Extra inputs are not permitted"),
        (&system, &headers[..], ""),
        (
            &said,
            &headers[..],
            "messages.0.content.0.text.cache_control.ephemeral.scope: Extra inputs are not permitted",
        ),
    ] {
        let answer = call(&emulator, "POST", "/v1/messages", headers, &body.to_string()).await;
        assert_eq!(told(&answer), (if message.is_empty() { 200 } else { 400 }, message.to_owned()));
    }
}

#[tokio::test]
async fn the_newest_models_bind_their_thoughts_to_what_was_said_before() {
    let emulator = emulator().await;
    emulator.credential(ANTHROPIC_KEY).set_profile(Profile { strict: true, ..Profile::default() });
    let adaptive = ("/thinking", json!({"type": "adaptive"}));
    let first = to("claude-opus-5-5", &[adaptive.clone(), ("/system", json!("Be brief."))]);
    let thought = messages(&emulator, &first).await.json()["content"].clone();
    assert_eq!(thought[0]["type"], "thinking");
    let history = json!([first["messages"][0], {"role": "assistant", "content": thought}, {"role": "user", "content": "And?"}]);
    let again =
        |changes: &[(&str, Value)]| with(with(first.clone(), &[("/messages", history.clone())]), changes);
    let other = "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to \"drop_block\". That setting requires the `thinking-binding-controls-2026-08-01` value in the `anthropic-beta` header.";
    let system = format!("{other} The `system` prompt differs from the one this block was created with.");
    let marked = json!([{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]);
    for (body, message) in [
        (again(&[]), ""),
        (again(&[("/messages/0/content", marked)]), ""),
        (again(&[("/model", json!("claude-fable-5-1"))]), ""),
        (again(&[("/model", json!("claude-opus-5"))]), ""),
        (again(&[("/system", json!("Be kind."))]), system.as_str()),
        (again(&[("/messages/0/content", json!("Ho"))]), other),
        (again(&[("/tools", json!([weather_tool()]))]), other),
    ] {
        let status = if message.is_empty() { 200 } else { 400 };
        assert_eq!(told(&messages(&emulator, &body).await), (status, message.to_owned()), "{body}");
    }
    let binding = json!({"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "drop_block"}});
    let dropped = again(&[("/system", json!("Be kind.")), ("/thinking", binding)]);
    assert_eq!(
        told(&messages(&emulator, &dropped).await),
        (400, "thinking.adaptive.block_binding: Extra inputs are not permitted".to_owned())
    );
    let beta = ("anthropic-beta", "thinking-binding-controls-2026-08-01");
    let headers = [("x-api-key", ANTHROPIC_KEY), VERSION, beta];
    assert_eq!(call(&emulator, "POST", "/v1/messages", &headers, &dropped.to_string()).await.status(), 200);
    emulator.credential(ANTHROPIC_KEY).set_profile(Profile::default());
    let lenient = again(&[("/system", json!("Be kind."))]);
    assert_eq!(messages(&emulator, &lenient).await.status(), 200, "an older account");
}
