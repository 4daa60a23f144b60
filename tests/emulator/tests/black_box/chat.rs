use serde_json::{Value, json};

use crate::client::{OPENAI_KEY, call, chat, chat_body, emulator};

/// Headers, body; status, code, start of the message.
type Refusal<'a> = (Vec<(&'a str, &'a str)>, String, u16, Value, &'a str);

fn bearer() -> String {
    format!("Bearer {OPENAI_KEY}")
}

#[tokio::test]
async fn a_plain_answer_echoes_and_counts() {
    let emulator = emulator().await;
    let answer = chat(&emulator, &chat_body("How are you?", false)).await;
    let completion = answer.json();
    assert_eq!(completion["object"], "chat.completion");
    assert_eq!(completion["choices"][0]["message"]["content"], "How are you?");
    assert_eq!(completion["choices"][0]["finish_reason"], "stop");
    let prompt = 3 + emulator::TOKENS_PER_MESSAGE;
    assert_eq!(completion["usage"]["prompt_tokens"], prompt);
    assert_eq!(completion["usage"]["total_tokens"], prompt + 3);
    assert!(answer.head.header("x-request-id").unwrap().starts_with("req_"));
    assert_eq!(answer.head.header("x-ratelimit-limit-requests"), Some("10000"));
}

#[tokio::test]
async fn usage_is_in_the_stream_only_when_asked_for_and_then_null_in_all_but_the_last_chunk() {
    let emulator = emulator().await;
    let mut body = chat_body("How are you?", true);
    let plain = chat(&emulator, &body).await.events();
    assert_eq!(plain.last(), Some(&json!("[DONE]")));
    assert!(plain.iter().all(|chunk| chunk.get("usage").is_none()));

    body["stream_options"] = json!({"include_usage": true});
    let mut counted = chat(&emulator, &body).await.events();
    assert_eq!(counted.pop(), Some(json!("[DONE]")));
    let last = counted.pop().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], 3);
    assert!(counted.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    assert_eq!(counted.len(), plain.len() - 1);
    let text: String =
        counted.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "How are you?");
}

#[tokio::test]
async fn each_of_n_choices_is_streamed_whole() {
    let emulator = emulator().await;
    let mut body = chat_body("abcd", true);
    body["n"] = json!(3);
    body["stream_options"] = json!({"include_usage": true});
    let events = chat(&emulator, &body).await.events();
    for index in 0..3 {
        let of_choice = |event: &&Value| event["choices"][0]["index"] == json!(index);
        let mine: Vec<&Value> = events.iter().filter(of_choice).collect();
        let text: String =
            mine.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text, "abcd");
        assert_eq!(mine.last().unwrap()["choices"][0]["finish_reason"], "stop");
    }
    let usage = events.iter().find_map(|event| event["usage"].as_object()).unwrap();
    assert_eq!(usage["completion_tokens"], 3);
}

#[tokio::test]
async fn a_tool_is_called_and_its_result_is_required() {
    let emulator = emulator().await;
    let mut body = chat_body("Use get_weather", true);
    body["tools"] = json!([{"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]);
    let events = chat(&emulator, &body).await.events();
    let calls: Vec<&Value> =
        events.iter().filter_map(|event| event["choices"][0]["delta"]["tool_calls"].get(0)).collect();
    let arguments: String = calls.iter().filter_map(|call| call["function"]["arguments"].as_str()).collect();
    assert_eq!(arguments, r#"{"city":"city"}"#);
    assert_eq!(calls.first().unwrap()["function"]["name"], "get_weather");

    body["stream"] = json!(false);
    let said = chat(&emulator, &body).await.json()["choices"][0]["message"].clone();
    assert_eq!(said["content"], Value::Null);
    let id = said["tool_calls"][0]["id"].clone();
    body["messages"].as_array_mut().unwrap().push(said);
    let refused = chat(&emulator, &body).await;
    assert_eq!((refused.status(), refused.json()["error"]["param"].as_str()), (400, Some("messages")));
    body["messages"]
        .as_array_mut()
        .unwrap()
        .push(json!({"role": "tool", "tool_call_id": id, "content": "Rain."}));
    assert_eq!(chat(&emulator, &body).await.json()["choices"][0]["message"]["content"], "Rain.");
}

#[tokio::test]
async fn what_a_real_provider_refuses_is_refused_in_its_words() {
    let emulator = emulator().await;
    let bearer = bearer();
    let key = ("authorization", bearer.as_str());
    let full = chat_body("Hi", false);
    let without = |name: &str| {
        let mut body = full.clone();
        body.as_object_mut().unwrap().remove(name);
        body.to_string()
    };
    let mut elsewhere = full.clone();
    elsewhere["model"] = json!("gpt-unknown");
    let mut options = full.clone();
    options["stream_options"] = json!({"include_usage": true});
    let cases: Vec<Refusal<'_>> = vec![
        (vec![], full.to_string(), 401, Value::Null, "You didn't provide an API key."),
        (
            vec![("x-api-key", OPENAI_KEY)],
            full.to_string(),
            401,
            Value::Null,
            "You didn't provide an API key.",
        ),
        (
            vec![("authorization", "Bearer sk-unknown-0123456789")],
            full.to_string(),
            401,
            json!("invalid_api_key"),
            "Incorrect API key provided: sk-unkno*********6789.",
        ),
        (vec![key], without("model"), 400, Value::Null, "you must provide a model parameter"),
        (
            vec![key],
            without("messages"),
            400,
            json!("missing_required_parameter"),
            "Missing required parameter: 'messages'.",
        ),
        (
            vec![key],
            elsewhere.to_string(),
            404,
            json!("model_not_found"),
            "The model `gpt-unknown` does not exist",
        ),
        (
            vec![key],
            options.to_string(),
            400,
            Value::Null,
            "The 'stream_options' parameter is only allowed when",
        ),
        (vec![key], "{".to_owned(), 400, Value::Null, "We could not parse the JSON body"),
    ];
    for (headers, body, status, code, message) in cases {
        let refused = call(&emulator, "POST", "/v1/chat/completions", &headers, &body).await;
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status(), &error["code"]), (status, &code), "{body}");
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].as_str().unwrap().starts_with(message), "{error}");
    }
    let lost = call(&emulator, "POST", "/v1/nowhere", &[key], "{}").await;
    assert_eq!(
        (lost.status(), lost.json()["error"]["message"].as_str()),
        (404, Some("Invalid URL (POST /v1/nowhere)"))
    );
}

#[tokio::test]
async fn embeddings_and_models_are_served() {
    let emulator = emulator().await;
    let bearer = bearer();
    let headers = [("authorization", bearer.as_str())];
    let body = json!({"model": "text-embedding-3-small", "input": ["12345", "1234"], "dimensions": 8});
    let list = call(&emulator, "POST", "/v1/embeddings", &headers, &body.to_string()).await.json();
    assert_eq!(list["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    let vector: Vec<f64> = serde_json::from_value(list["data"][1]["embedding"].clone()).unwrap();
    assert_eq!(vector.len(), 8);
    assert!((vector.iter().map(|part| part * part).sum::<f64>() - 1.0).abs() < 1e-4);
    let models = call(&emulator, "GET", "/v1/models", &headers, "").await.json();
    assert_eq!(
        (models["object"].as_str(), models["data"][0]["object"].as_str()),
        (Some("list"), Some("model"))
    );
    assert_eq!(call(&emulator, "GET", "/v1/models/gpt-4o", &headers, "").await.json()["id"], "gpt-4o");
}
