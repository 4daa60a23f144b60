use emulator::{Behaviour, Emulator, FILTER};
use serde_json::{Value, json};

use crate::client::{Answer, call, chat_body, emulator};

const DEPLOYMENT: &str = "/azure/openai/deployments/my-chat/chat/completions?api-version=2024-10-21";

async fn ask(emulator: &Emulator, path: &str, body: &Value) -> Answer {
    let body = body.to_string();
    Box::pin(call(emulator, "POST", path, &[("api-key", "azure-key")], &body)).await
}

fn passed() -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": safe})
}

#[tokio::test]
async fn a_deployment_answers_whatever_model_the_body_names() {
    let emulator = emulator().await;
    let mut body = chat_body("How are you?", false);
    for (path, model) in [(DEPLOYMENT, "gpt-4o"), (&DEPLOYMENT.replace("my-chat", "gpt-5.1"), "gpt-5.1")] {
        body["model"] = json!("nothing");
        let answer = ask(&emulator, path, &body).await;
        let completion = answer.json();
        assert_eq!(completion["model"], model);
        let choice = &completion["choices"][0];
        assert_eq!(choice["message"]["content"], "How are you?");
        assert_eq!(choice["content_filter_results"], passed());
        assert_eq!(
            completion["prompt_filter_results"][0]["content_filter_results"]["jailbreak"]["detected"],
            false
        );
        assert!(answer.head.header("apim-request-id").is_some());
        assert_eq!(answer.head.header("x-ratelimit-remaining-requests"), Some("999"));
    }
    body.as_object_mut().unwrap().remove("model");
    assert_eq!(ask(&emulator, DEPLOYMENT, &body).await.status(), 200);
    let input = json!({"input": "1234"});
    let path = "/azure/openai/deployments/embed/embeddings?api-version=2024-10-21";
    assert_eq!(ask(&emulator, path, &input).await.json()["usage"]["prompt_tokens"], 1);
}

#[tokio::test]
async fn a_stream_begins_with_the_filters_word_on_the_prompt() {
    let emulator = emulator().await;
    let mut body = chat_body("How are you?", true);
    body["stream_options"] = json!({"include_usage": true});
    let events = ask(&emulator, DEPLOYMENT, &body).await.events();
    let first = events.first().unwrap();
    assert_eq!((&first["choices"], first["object"].as_str()), (&json!([]), Some("")));
    assert_eq!(first["prompt_filter_results"][0]["prompt_index"], 0);
    let said: Vec<&Value> = events
        .iter()
        .map(|event| &event["choices"][0])
        .filter(|choice| choice["delta"]["content"] != "")
        .collect();
    let text: String = said.iter().filter_map(|choice| choice["delta"]["content"].as_str()).collect();
    assert_eq!(text, "How are you?");
    let spoken = said.iter().filter(|choice| choice["delta"]["content"].is_string());
    assert!(
        spoken.clone().count() > 0
            && spoken.clone().all(|choice| choice["content_filter_results"] == passed())
    );
    assert_eq!(events.last(), Some(&json!("[DONE]")));
}

#[tokio::test]
async fn the_newer_paths_take_the_deployment_as_the_model() {
    let emulator = emulator().await;
    let mut chat = chat_body("Hi", false);
    chat["model"] = json!("my-chat");
    let said = ask(&emulator, "/azure/openai/v1/chat/completions", &chat).await.json();
    assert_eq!(said["choices"][0]["message"]["content"], "Hi");
    let body = json!({"model": "gpt-5.1-mine", "input": "Hi"});
    let path = "/azure/openai/v1/responses";
    let first = ask(&emulator, path, &body).await.json();
    assert_eq!(first["output"][0]["content"][0]["text"], "Hi");
    let continued = json!({"model": "gpt-5.1-mine", "input": "And?", "previous_response_id": first["id"]});
    let preview = format!("{path}?api-version=preview");
    assert_eq!(ask(&emulator, &preview, &continued).await.json()["output"][0]["content"][0]["text"], "And?");
    let kept = format!("{path}/{}", first["id"].as_str().unwrap());
    let headers = [("api-key", "azure-key")];
    assert_eq!(call(&emulator, "GET", &kept, &headers, "").await.json(), first);
    let input = json!({"model": "embed", "input": "1234"});
    assert_eq!(ask(&emulator, "/azure/openai/v1/embeddings", &input).await.status(), 200);
}

#[tokio::test]
async fn what_azure_refuses_is_refused_in_its_words() {
    let emulator = emulator().await;
    let body = chat_body("Hi", false).to_string();
    let filtered = chat_body(FILTER, false).to_string();
    let dated = "/azure/openai/v1/chat/completions?api-version=2024-10-21";
    let unknown = DEPLOYMENT.replace("my-chat", "unknown");
    let bare = DEPLOYMENT.split('?').next().unwrap();
    let key = ("api-key", "azure-key");
    let cases = [
        (
            DEPLOYMENT,
            ("authorization", "Bearer azure-key"),
            &body,
            401,
            "401",
            "Access denied due to invalid subscription key",
        ),
        (
            DEPLOYMENT,
            ("api-key", "unknown"),
            &body,
            401,
            "401",
            "Access denied due to invalid subscription key",
        ),
        (bare, key, &body, 404, "404", "Resource not found"),
        (&DEPLOYMENT.replace("2024", "now"), key, &body, 404, "404", "Resource not found"),
        ("/azure/openai/nowhere", key, &body, 404, "404", "Resource not found"),
        (
            &unknown,
            key,
            &body,
            404,
            "DeploymentNotFound",
            "The API deployment for this resource does not exist.",
        ),
        (dated, key, &body, 400, "BadRequest", "api-version query parameter is not allowed"),
        (DEPLOYMENT, key, &filtered, 400, "content_filter", "The response was filtered"),
    ];
    for (path, header, body, status, code, message) in cases {
        let refused = Box::pin(call(&emulator, "POST", path, &[header], body)).await;
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status(), error["code"].as_str()), (status, Some(code)), "{path}");
        assert!(error["message"].as_str().unwrap().starts_with(message), "{error}");
        let fields = error.as_object().unwrap().len();
        assert_eq!(fields, if code == "content_filter" { 6 } else { 2 });
    }
    let refused = ask(&emulator, DEPLOYMENT, &chat_body(FILTER, false)).await.json();
    let inner = &refused["error"]["innererror"];
    assert_eq!(inner["code"], "ResponsibleAIPolicyViolation");
    assert_eq!(inner["content_filter_result"]["violence"]["filtered"], true);
    let models_own = ask(&emulator, DEPLOYMENT, &json!({})).await.json();
    assert_eq!(models_own["error"]["code"], "missing_required_parameter");

    emulator.credential("azure-key").next(Behaviour::retry_after(429, 7)).unwrap();
    let limited = ask(&emulator, DEPLOYMENT, &chat_body("Hi", false)).await;
    assert_eq!((limited.status(), limited.json()["error"]["code"].as_str()), (429, Some("429")));
    assert_eq!(limited.head.header("retry-after-ms"), Some("7000"));
}
