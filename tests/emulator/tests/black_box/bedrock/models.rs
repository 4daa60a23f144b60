//! What depends on which model is asked.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use emulator::{Emulator, Profile};
use serde_json::{Value, json};

use super::{CLAUDE, KEY, claude_body, converse_body, post_to, with};
use crate::client::emulator;

const OPUS: &str = "us.anthropic.claude-opus-4-8";

async fn refused(emulator: &Emulator, model: &str, method: &str, body: &Value) -> String {
    let answer = post_to(emulator, model, method, body).await;
    assert_eq!(answer.status(), 400, "{model} {body}");
    let kind = answer.head.header("x-amzn-errortype").unwrap();
    assert!(kind.starts_with("ValidationException:"), "{kind}");
    answer.json()["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_model_refuses_through_this_door_what_it_refuses_at_home() {
    let emulator = emulator().await;
    let more = |more: Value| with(converse_body("Hi"), "additionalModelRequestFields", more);
    let prefill = json!([{"role": "user", "content": [{"text": "Hi"}]}, {"role": "assistant", "content": [{"text": "So"}]}]);
    let says = |message: &str| format!("The model returned the following errors: {message}");
    let no_budget = "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior.";
    let system = json!([{"role": "user", "content": "Hi"}, {"role": "system", "content": "Be brief."}]);
    let mark =
        json!([{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "scope": "global"}}]);
    for (model, method, body, message) in [
        (
            OPUS,
            "invoke",
            with(claude_body("Hi"), "temperature", json!(0.5)),
            "`temperature` is deprecated for this model.".to_owned(),
        ),
        (
            OPUS,
            "invoke",
            with(claude_body("Hi"), "messages", system),
            "role 'system' is not supported on this model".to_owned(),
        ),
        (
            CLAUDE,
            "invoke",
            with(claude_body("Hi"), "system", mark),
            "system.0.cache_control.ephemeral.scope: Extra inputs are not permitted".to_owned(),
        ),
        (
            CLAUDE,
            "invoke",
            with(claude_body("Hi"), "context_management", json!({"edits": []})),
            "context_management: Extra inputs are not permitted".to_owned(),
        ),
        (
            CLAUDE,
            "invoke",
            with(claude_body("Hi"), "cache_control", json!({"type": "ephemeral"})),
            "cache_control: Extra inputs are not permitted".to_owned(),
        ),
        (
            OPUS,
            "converse",
            with(converse_body("Hi"), "inferenceConfig", json!({"topP": 0.5})),
            says("`top_p` is deprecated for this model."),
        ),
        (
            CLAUDE,
            "converse",
            with(converse_body("Hi"), "inferenceConfig", json!({"topP": 0.5, "temperature": 0.5})),
            says("`temperature` and `top_p` cannot both be specified for this model. Please use only one."),
        ),
        (
            OPUS,
            "converse",
            more(json!({"thinking": {"type": "enabled", "budget_tokens": 2000}})),
            says(no_budget),
        ),
        (
            CLAUDE,
            "converse",
            more(json!({"thinking": {"type": "adaptive"}})),
            says("adaptive thinking is not supported on this model"),
        ),
        (
            CLAUDE,
            "converse",
            more(json!({"output_config": {"effort": "low"}})),
            says("This model does not support the effort parameter."),
        ),
        (
            OPUS,
            "converse-stream",
            with(converse_body("Hi"), "messages", prefill),
            says(
                "This model does not support assistant message prefill. The conversation must end with a user message.",
            ),
        ),
    ] {
        assert_eq!(refused(&emulator, model, method, &body).await, message);
    }
}

#[tokio::test]
async fn a_prompt_may_be_too_long() {
    let emulator = emulator().await;
    let model = "us.anthropic.claude-sonnet-4-5-window-5-v1%3A0";
    let long = "Input is too long for requested model.";
    for method in ["invoke", "invoke-with-response-stream"] {
        assert_eq!(refused(&emulator, model, method, &claude_body(&"x".repeat(40))).await, long);
    }
    for method in ["converse", "converse-stream"] {
        let message = format!("The model returned the following errors: {long}");
        assert_eq!(refused(&emulator, model, method, &converse_body(&"x".repeat(40))).await, message);
    }
    assert_eq!(post_to(&emulator, model, "converse", &converse_body("Hi")).await.status(), 200);
}

#[tokio::test]
async fn models_say_only_so_much() {
    let emulator = emulator().await;
    let message = "The maximum tokens you requested exceeds the model limit of 64000. Try again with a maximum tokens value that is lower than 64000.";
    let invoked = with(claude_body("Hi"), "max_tokens", json!(64_001));
    assert_eq!(refused(&emulator, CLAUDE, "invoke", &invoked).await, message);
    let conversed = with(converse_body("Hi"), "inferenceConfig", json!({"maxTokens": 64_001}));
    assert_eq!(refused(&emulator, CLAUDE, "converse", &conversed).await, message);
}

#[tokio::test]
async fn the_model_behind_an_id_tells_its_own_name() {
    let emulator = emulator().await;
    let answer = post_to(&emulator, CLAUDE, "invoke", &claude_body("Hi")).await.json();
    assert_eq!(answer["model"], "claude-sonnet-4-5-20250929");
}

#[tokio::test]
async fn only_older_models_count_and_never_for_a_profile() {
    let emulator = emulator().await;
    let count = |body: &Value| json!({"input": {"invokeModel": {"body": STANDARD.encode(body.to_string())}}});
    let mut short = claude_body("Hi");
    let whole = count(&short);
    let uncounted = "The provided model doesn't support counting tokens.";
    let profile = "arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aapplication-inference-profile%2Fclaude-x";
    for id in [CLAUDE, profile, "anthropic.claude-opus-4-8", "anthropic.claude-sonnet-5"] {
        assert_eq!(refused(&emulator, id, "count-tokens", &whole).await, uncounted, "{id}");
    }
    short.as_object_mut().unwrap().remove("max_tokens");
    let model = "anthropic.claude-sonnet-4-6";
    assert_eq!(
        refused(&emulator, model, "count-tokens", &count(&short)).await,
        "Malformed input request: #: required key [max_tokens] not found, please reformat your input and try again."
    );
    assert_eq!(post_to(&emulator, model, "count-tokens", &whole).await.status(), 200);
}

#[tokio::test]
async fn a_strict_service_wants_a_profile_for_newer_models() {
    let emulator = emulator().await;
    let model = "anthropic.claude-sonnet-4-6";
    assert_eq!(post_to(&emulator, model, "invoke", &claude_body("Hi")).await.status(), 200);
    emulator.credential(KEY).set_profile(Profile { strict: true, ..Profile::default() });
    let message = "Invocation of model ID anthropic.claude-sonnet-4-6 with on-demand throughput isn\u{2019}t supported. Retry your request with the ID or ARN of an inference profile that contains this model.";
    assert_eq!(refused(&emulator, model, "invoke", &claude_body("Hi")).await, message);
    assert_eq!(refused(&emulator, model, "converse", &converse_body("Hi")).await, message);
    for id in [CLAUDE, "anthropic.claude-3-haiku-20240307-v1%3A0"] {
        assert_eq!(post_to(&emulator, id, "invoke", &claude_body("Hi")).await.status(), 200, "{id}");
    }
}
