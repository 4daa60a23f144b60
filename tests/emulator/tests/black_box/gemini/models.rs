//! What depends on which model is asked, and through which door.

use emulator::Emulator;
use serde_json::{Value, json};

use super::{FLASH, THIRD, VERTEX, ask, ask_stream, body, post, weather_tool, with};
use crate::client::{Answer, emulator};

fn refusal(answer: &Answer) -> String {
    let error = &answer.json()["error"];
    assert_eq!(
        (answer.status(), &error["code"], &error["status"]),
        (400, &json!(400), &json!("INVALID_ARGUMENT")),
        "{error}"
    );
    error["message"].as_str().unwrap().to_owned()
}

async fn vertex(emulator: &Emulator, model: &str, body: &Value) -> Answer {
    post(emulator, &format!("{VERTEX}/{model}:generateContent"), body).await
}

#[tokio::test]
async fn own_tools_stand_beside_functions_where_it_is_asked_for() {
    let emulator = emulator().await;
    let both = with(body("Hi"), "tools", json!([{"googleSearch": {}}, weather_tool()[0]]));
    let asked = with(both.clone(), "toolConfig", json!({"includeServerSideToolInvocations": true}));
    assert_eq!(
        refusal(&ask(&emulator, THIRD, &both).await),
        "Please enable tool_config.include_server_side_tool_invocations to use Built-in tools with Function calling."
    );
    assert_eq!(ask(&emulator, THIRD, &asked).await.status(), 200);
    assert_eq!(
        refusal(&ask(&emulator, FLASH, &both).await),
        "Tool use with function calling is unsupported by the model."
    );
    assert_eq!(
        refusal(&ask(&emulator, FLASH, &asked).await),
        "Tool call context circulation is not enabled for models/gemini-2.5-flash"
    );
    assert_eq!(vertex(&emulator, THIRD, &both).await.status(), 200);
    assert_eq!(
        refusal(&vertex(&emulator, FLASH, &both).await),
        "Multiple tools are supported only when they are all search tools."
    );
    let invoked = json!([{"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [
        {"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "id": "a"}, "thoughtSignature": "skip_thought_signature_validator"},
        {"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "id": "a"}}, {"text": "Hello."}]},
        {"role": "user", "parts": [{"text": "And?"}]}]);
    assert_eq!(ask(&emulator, THIRD, &with(asked, "contents", invoked)).await.status(), 200);
}

#[tokio::test]
async fn levels_of_thinking_are_not_for_every_model() {
    let emulator = emulator().await;
    let level = |level: &str| {
        with(body("Hi"), "generationConfig", json!({"thinkingConfig": {"thinkingLevel": level}}))
    };
    for (model, name) in [
        ("gemini-3-pro-preview", "MINIMAL"),
        ("gemini-3-pro-preview", "MEDIUM"),
        ("gemini-3.1-pro-preview", "MINIMAL"),
        ("gemini-3.8-flash", "MINIMAL"),
    ] {
        let message = format!(
            "Thinking level {name} is not supported for this model. Please retry with other thinking level."
        );
        assert_eq!(refusal(&ask(&emulator, model, &level(name)).await), message, "{model}");
    }
    for (model, name) in [
        ("gemini-3-flash-preview", "minimal"),
        ("gemini-3.8-flash-lite", "minimal"),
        ("gemini-3.1-pro-preview", "medium"),
        ("gemini-3-pro-preview", "low"),
    ] {
        assert_eq!(ask(&emulator, model, &level(name)).await.status(), 200, "{model} {name}");
    }
}

#[tokio::test]
async fn signatures_are_missed_and_refused_in_the_words_of_each_door() {
    let emulator = emulator().await;
    let asked = with(body("Use get_weather"), "tools", weather_tool());
    let called = ask(&emulator, THIRD, &asked).await.json()["candidates"][0]["content"].clone();
    let result = json!({"role": "user", "parts": [{"functionResponse": {"name": "get_weather", "response": {"output": "Rain."}}}]});
    let again = |signature: Value| {
        let mut called = called.clone();
        called["parts"][0]["thoughtSignature"] = signature;
        with(asked.clone(), "contents", json!([asked["contents"][0], called, result]))
    };
    assert_eq!(
        refusal(&vertex(&emulator, THIRD, &again(Value::Null)).await),
        "Unable to submit request because function call `default_api:get_weather` in the 2. content block is missing a `thought_signature`. Learn more: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thought-signatures"
    );
    for garbage in ["AAAA", "EjQKMgEMOdbH0bM9ylvOpoL1BBQSryjr4SL1Mt5eKpS42GFv4ge5n5qdHNlhoKrwF/jYj5oo"] {
        let garbage = again(json!(garbage));
        assert_eq!(refusal(&ask(&emulator, THIRD, &garbage).await), "Thought signature is not valid.");
        assert_eq!(
            refusal(&vertex(&emulator, THIRD, &garbage).await),
            "Unable to submit request because Thought signature is not valid.. Learn more: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/gemini"
        );
    }
    let stand_in = again(json!("skip_thought_signature_validator"));
    assert_eq!(ask(&emulator, THIRD, &stand_in).await.status(), 200);
    assert_eq!(vertex(&emulator, THIRD, &stand_in).await.status(), 200);
}

#[tokio::test]
async fn what_functions_say_refers_only_to_what_is_there() {
    let emulator = emulator().await;
    let said = |answer: Value| {
        let call = json!({"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "skip_thought_signature_validator"});
        let list = json!([{"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [call]},
            {"role": "user", "parts": [{"functionResponse": answer}]}]);
        with(body("Hi"), "contents", list)
    };
    let schema = json!({"name": "f", "response": {"result": {"schema": {"$ref": "#/$defs/A"}}}});
    assert_eq!(
        refusal(&ask(&emulator, THIRD, &said(schema.clone())).await),
        "The referenced name `#/$defs/A` in function_response.response does not match to a display_name in the function_response.parts."
    );
    assert_eq!(ask(&emulator, FLASH, &said(schema)).await.status(), 200);
    let text = json!({"name": "f", "response": {"result": r##"{"$ref": "#/$defs/A"}"##}});
    assert_eq!(ask(&emulator, THIRD, &said(text)).await.status(), 200);
    let image = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA", "displayName": "a.png"}});
    let shown = json!({"name": "f", "response": {"image": {"$ref": "a.png"}}, "parts": [image]});
    assert_eq!(ask(&emulator, THIRD, &said(shown)).await.status(), 200);
    let other = said(json!({"name": "g", "response": {"result": "x"}}));
    assert_eq!(refusal(&vertex(&emulator, THIRD, &other).await), "Request contains an invalid argument.");
    assert_eq!(ask(&emulator, THIRD, &other).await.status(), 200);
}

#[tokio::test]
async fn one_door_takes_any_room_for_an_answer() {
    let emulator = emulator().await;
    let wide = with(body("Hi"), "generationConfig", json!({"maxOutputTokens": 100_000}));
    assert_eq!(
        refusal(&vertex(&emulator, FLASH, &wide).await),
        "Unable to submit request because it has a maxOutputTokens value of 100000 but the supported range is from 1 (inclusive) to 65537 (exclusive). Update the value and try again."
    );
    assert_eq!(ask(&emulator, FLASH, &wide).await.status(), 200);
}

#[tokio::test]
async fn a_prompt_ends_where_the_window_does() {
    let emulator = emulator().await;
    let long = body(&"x".repeat(120));
    let message = "The input token count (33) exceeds the maximum number of tokens allowed (20).";
    let model = "gemini-2.5-flash-window-20";
    assert_eq!(refusal(&ask(&emulator, model, &long).await), message);
    assert_eq!(refusal(&ask_stream(&emulator, model, &long).await), message);
    assert_eq!(refusal(&vertex(&emulator, model, &long).await), message);
    let wrapped = json!({"model": model, "project": "p", "request": long});
    assert_eq!(refusal(&post(&emulator, "/codeassist/v1internal:generateContent", &wrapped).await), message);
    assert_eq!(ask(&emulator, "gemini-2.5-flash-window-33", &long).await.status(), 200);
    let counted = post(&emulator, &format!("/v1beta/models/{model}:countTokens"), &long).await;
    assert_eq!(counted.json()["totalTokens"], 33);
}
