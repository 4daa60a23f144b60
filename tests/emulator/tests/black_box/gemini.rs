use emulator::{
    BLOCK_PROMPT, Behaviour, Emulator, Fault, Position, Profile, REDACTED, REFUSE, SAY_SYSTEM, UsageScript,
};
use serde_json::{Value, json};

use crate::client::{Answer, Ended, call, emulator};

mod models;

const KEY: &str = "AIza-test";
const TOKEN: &str = "ya29.test";
const FLASH: &str = "gemini-2.5-flash";
const THIRD: &str = "gemini-3-pro-preview";
const VERTEX: &str = "/vertex/v1/projects/p/locations/l/publishers/google/models";

/// Path, headers, status, and the error's status and reason.
type Refusal<'a> = (&'a str, &'a [(&'a str, &'a str)], u16, &'a str, &'a str);

fn body(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

async fn post(emulator: &Emulator, path: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {TOKEN}");
    let headers: &[(&str, &str)] = if path.starts_with("/vertex") || path.starts_with("/codeassist") {
        &[("authorization", &bearer)]
    } else {
        &[("x-goog-api-key", KEY)]
    };
    call(emulator, "POST", path, headers, &body.to_string()).await
}

async fn ask(emulator: &Emulator, model: &str, body: &Value) -> Answer {
    post(emulator, &format!("/v1beta/models/{model}:generateContent"), body).await
}

async fn ask_stream(emulator: &Emulator, model: &str, body: &Value) -> Answer {
    post(emulator, &format!("/v1beta/models/{model}:streamGenerateContent?alt=sse"), body).await
}

fn parts(answer: &Value) -> &Vec<Value> {
    answer["candidates"][0]["content"]["parts"].as_array().unwrap()
}

fn weather(parameters: &str, schema: Value) -> Value {
    let mut function = json!({"name": "get_weather", "description": "Weather."});
    function[parameters] = schema;
    json!([{ "functionDeclarations": [function] }])
}

fn weather_tool() -> Value {
    weather(
        "parameters",
        json!({"type": "OBJECT", "properties": {"city": {"type": "string"}}, "required": ["city"]}),
    )
}

#[tokio::test]
async fn every_door_leads_to_the_same_answer() {
    let emulator = emulator().await;
    let enveloped = json!({"model": FLASH, "project": "p", "user_prompt_id": "u",
                           "request": with(body("Hello"), "session_id", json!("s"))});
    let labelled = with(body("Hello"), "labels", json!({"team": "a"}));
    for (path, body) in [
        (format!("/v1beta/models/{FLASH}:generateContent"), body("Hello")),
        (format!("/v1/models/{FLASH}:generateContent"), body("Hello")),
        (format!("/google/v1beta/models/{FLASH}:generateContent"), body("Hello")),
        (format!("{VERTEX}/{FLASH}:generateContent"), labelled),
        ("/codeassist/v1internal:generateContent".to_owned(), enveloped),
    ] {
        let whole = post(&emulator, &path, &body).await;
        assert_eq!(whole.status(), 200, "{path}: {}", whole.text());
        let whole = whole.json();
        let answer = if path.starts_with("/codeassist") { &whole["response"] } else { &whole };
        assert_eq!(parts(answer), &[json!({"text": "Hello"})], "{path}");
        assert_eq!(
            (&answer["candidates"][0]["finishReason"], &answer["modelVersion"]),
            (&json!("STOP"), &json!(FLASH))
        );
        let usage = &answer["usageMetadata"];
        let counts = ["promptTokenCount", "candidatesTokenCount", "totalTokenCount"]
            .map(|name| usage[name].as_u64().unwrap());
        assert_eq!(counts, [2 + emulator::TOKENS_PER_MESSAGE, 2, 4 + emulator::TOKENS_PER_MESSAGE]);
        let streamed =
            post(&emulator, &format!("{}?alt=sse", path.replace(":gen", ":streamGen")), &body).await;
        assert_eq!(streamed.head.header("content-type"), Some("text/event-stream"));
        let events = streamed.events();
        let inner = |event: &Value| {
            if path.starts_with("/codeassist") { event["response"].clone() } else { event.clone() }
        };
        let said: String =
            events.iter().map(|event| parts(&inner(event))[0]["text"].as_str().unwrap().to_owned()).collect();
        assert_eq!(said, "Hello");
    }
    assert_eq!(emulator.credential(KEY).counters().requests, 6);
    assert_eq!(emulator.credential(TOKEN).counters().requests, 4);
}

#[tokio::test]
async fn a_stream_is_events_or_an_array_and_counts_as_it_goes() {
    let emulator = emulator().await;
    let events = ask_stream(&emulator, FLASH, &body("abcdefghijklmnop")).await;
    assert!(events.text().ends_with("}\r\n\r\n"));
    let events = events.events();
    let counts: Vec<u64> =
        events.iter().map(|event| event["usageMetadata"]["candidatesTokenCount"].as_u64().unwrap()).collect();
    assert_eq!(counts, [1, 2, 3, 4, 4]);
    assert!(events.iter().rev().skip(1).all(|event| event["candidates"][0]["finishReason"].is_null()));
    let path = format!("/v1beta/models/{FLASH}:streamGenerateContent");
    let array = post(&emulator, &path, &body("abcdefghijklmnop")).await;
    assert_eq!(array.head.header("content-type"), Some("application/json; charset=UTF-8"));
    let steady = |chunks: &[Value]| {
        chunks.iter().map(|chunk| json!([chunk["candidates"], chunk["usageMetadata"]])).collect::<Vec<_>>()
    };
    assert_eq!(steady(array.json().as_array().unwrap()), steady(&events));
}

#[tokio::test]
async fn credentials_are_asked_for_and_refused_as_google_does() {
    let emulator = emulator().await;
    let gemini = format!("/v1beta/models/{FLASH}:generateContent");
    let vertex = format!("{VERTEX}/{FLASH}:generateContent");
    let cases: &[Refusal<'_>] = &[
        (&gemini, &[], 403, "PERMISSION_DENIED", ""),
        (&gemini, &[("x-goog-api-key", "AIza-unknown")], 400, "INVALID_ARGUMENT", "API_KEY_INVALID"),
        (
            &gemini,
            &[("authorization", "Bearer ya29.expired")],
            401,
            "UNAUTHENTICATED",
            "ACCESS_TOKEN_EXPIRED",
        ),
        (
            &gemini,
            &[("authorization", "Bearer AIza-test")],
            401,
            "UNAUTHENTICATED",
            "ACCESS_TOKEN_TYPE_UNSUPPORTED",
        ),
        (&vertex, &[], 401, "UNAUTHENTICATED", "CREDENTIALS_MISSING"),
        (&vertex, &[("x-goog-api-key", KEY)], 401, "UNAUTHENTICATED", "CREDENTIALS_MISSING"),
        (
            &vertex,
            &[("authorization", "Bearer ya29.unknown")],
            401,
            "UNAUTHENTICATED",
            "ACCESS_TOKEN_TYPE_UNSUPPORTED",
        ),
        (
            "/codeassist/v1internal:countTokens",
            &[("authorization", "Bearer ya29.expired")],
            401,
            "UNAUTHENTICATED",
            "ACCESS_TOKEN_EXPIRED",
        ),
    ];
    for (path, headers, status, kind, reason) in cases {
        let refused = call(&emulator, "POST", path, headers, &body("Hi").to_string()).await;
        let error = refused.json()["error"].clone();
        assert_eq!(
            (refused.status(), error["code"].as_u64()),
            (*status, Some(u64::from(*status))),
            "{path} {headers:?}"
        );
        assert_eq!(error["status"], *kind);
        assert_eq!(error["details"][0]["reason"].as_str().unwrap_or_default(), *reason);
    }
    let by_query =
        call(&emulator, "POST", &format!("{gemini}?key=AIza%2Dq"), &[], &body("Hi").to_string()).await;
    assert_eq!((by_query.status(), emulator.credential("AIza-q").counters().requests), (200, 1));
    let billed = [("authorization", "Bearer ya29.ok"), ("x-goog-user-project", "p")];
    assert_eq!(call(&emulator, "POST", &gemini, &billed, &body("Hi").to_string()).await.status(), 200);
    let recorded = emulator.credential("ya29.ok").calls();
    assert_eq!(recorded.first().unwrap().header("x-goog-user-project"), Some("p"));
}

#[tokio::test]
async fn what_the_real_parser_does_not_know_is_refused_in_its_words() {
    let emulator = emulator().await;
    let plain = body("Hi");
    let part = |part: Value| json!({"contents": [{"parts": [part]}]});
    let parameters = |schema: Value| with(body("Hi"), "tools", weather("parameters", schema));
    let object = |inner: Value| json!({"type": "OBJECT", "properties": {"a": inner}});
    let config = |config: Value| with(body("Hi"), "generationConfig", config);
    let cases = [
        (
            with(plain.clone(), "labels", json!({})),
            "Invalid JSON payload received. Unknown name \"labels\": Cannot find field.",
        ),
        (
            parameters(json!({"type": "object", "$schema": "x", "properties": {"a": {"type": "STRING"}}})),
            "Invalid JSON payload received. Unknown name \"$schema\" at 'tools[0].function_declarations[0].parameters': Cannot find field.",
        ),
        (
            parameters(object(json!({"type": "STRING", "const": "x"}))),
            "Invalid JSON payload received. Unknown name \"const\" at 'tools[0].function_declarations[0].parameters.properties[0].value': Cannot find field.",
        ),
        (
            parameters(object(json!({"type": ["string", "null"]}))),
            "Invalid JSON payload received. Unknown name \"type\" at 'tools[0].function_declarations[0].parameters.properties[0].value': Proto field is not repeating, cannot start list.",
        ),
        (
            parameters(object(json!({"type": "OBJECT"}))),
            "* GenerateContentRequest.tools[0].function_declarations[0].parameters.properties[a].properties: should be non-empty for OBJECT type\n",
        ),
        (
            parameters(json!({"type": "STRING"})),
            "* GenerateContentRequest.tools[0].function_declarations[0].parameters: schema should be of type OBJECT.\n",
        ),
        (json!({"contents": []}), "* GenerateContentRequest.contents: contents is not specified\n"),
        (
            json!({"contents": [{"role": "user", "parts": []}]}),
            "* GenerateContentRequest.contents[0].parts: contents.parts must not be empty.\n",
        ),
        (
            json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}),
            "Please use a valid role: user, model.",
        ),
        (
            part(json!({})),
            "* GenerateContentRequest.contents[0].parts[0].data: required oneof field 'data' must have one initialized field\n",
        ),
        (
            part(json!({"inline_data": {"mime_type": "image/gif", "data": "AAAA"}})),
            "Unsupported MIME type: image/gif",
        ),
        (part(json!({"text": "x", "thoughtSignature": "AAAA"})), "Thought signature is not valid."),
        (
            config(json!({"temperature": 3})),
            "* GenerateContentRequest.generation_config.temperature: temperature must be in the range [0.0, 2.0].\n",
        ),
        (
            config(json!({"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "low"}})),
            "You can only set only one of thinking budget and thinking level.",
        ),
        (
            config(json!({"thinkingConfig": {"thinkingLevel": "low"}})),
            "Thinking level is not supported for this model.",
        ),
        (
            config(json!({"thinkingConfig": {"thinkingBudget": 99999}})),
            "The thinking budget 99999 is invalid. Please choose a value between 1 and 24576.",
        ),
        (
            with(
                with(body("Hi"), "tools", weather_tool()),
                "generationConfig",
                json!({"responseMimeType": "application/json"}),
            ),
            "Function calling with a response mime type: 'application/json' is unsupported",
        ),
        (
            with(body("Hi"), "tools", json!([{"google_search": {}}, weather_tool()[0]])),
            "Tool use with function calling is unsupported by the model.",
        ),
        (
            with(body("Hi"), "tools", json!([{"function_declarations": [{"name": "1x"}]}])),
            "* GenerateContentRequest.tools[0].function_declarations[0].name: Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 64.\n",
        ),
        (
            with(body("Hi"), "cachedContent", json!("cachedContents/unknown")),
            "CachedContent not found (or permission denied)",
        ),
    ];
    for (asked, message) in cases {
        let refused = ask(&emulator, FLASH, &asked).await;
        assert_eq!(refused.json()["error"]["message"], message, "{asked}");
        assert!(matches!(refused.status(), 400 | 403));
    }
    let stops: Vec<String> = (0..6).map(|stop| stop.to_string()).collect();
    let many = ask(&emulator, FLASH, &config(json!({ "stopSequences": stops }))).await;
    assert_eq!(many.status(), 400);
    let both = json!([{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {}, "parameters": object(json!({"type": "STRING"}))}]}]);
    assert_eq!(ask(&emulator, FLASH, &with(body("Hi"), "tools", both)).await.status(), 400);
    let missing = ask(&emulator, "gemini-unknown", &plain).await;
    assert_eq!(
        (missing.status(), missing.json()["error"]["message"].as_str().unwrap()),
        (
            404,
            "models/gemini-unknown is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods."
        )
    );
    let vertex = post(&emulator, &format!("{VERTEX}/gemini-unknown:generateContent"), &plain).await;
    assert!(vertex.json()["error"]["message"].as_str().unwrap().starts_with(
        "Publisher Model `projects/p/locations/l/publishers/google/models/gemini-unknown` was not found"
    ));
}

#[tokio::test]
async fn a_function_is_called_answered_and_talked_about() {
    let emulator = emulator().await;
    let free = weather(
        "parametersJsonSchema",
        json!({"$schema": "x", "type": "object", "additionalProperties": false,
        "properties": {"city": {"type": "string"}}, "required": ["city"]}),
    );
    for (model, tools, named, signed) in [
        (FLASH, weather_tool(), false, false),
        (FLASH, free, false, false),
        (THIRD, weather_tool(), true, true),
    ] {
        let asked = with(body("Use get_weather"), "tools", tools);
        let called = ask(&emulator, model, &asked).await.json();
        let part = parts(&called)[0].clone();
        assert_eq!(
            (&part["functionCall"]["name"], &part["functionCall"]["args"]),
            (&json!("get_weather"), &json!({"city": "city"}))
        );
        assert_eq!(
            (part["functionCall"]["id"].is_string(), part["thoughtSignature"].is_string()),
            (named, signed)
        );
        assert_eq!(called["candidates"][0]["finishReason"], "STOP");
        let events = ask_stream(&emulator, model, &asked).await.events();
        assert_eq!(parts(&events[0])[0]["functionCall"]["args"], json!({"city": "city"}), "in one piece");
        let mut again = asked.clone();
        let list = again["contents"].as_array_mut().unwrap();
        list.push(called["candidates"][0]["content"].clone());
        list.push(json!({"role": "user", "parts": [{"functionResponse": {"name": "get_weather", "response": {"output": "Rain."}}}]}));
        let talked = ask(&emulator, model, &again).await;
        assert_eq!(parts(&talked.json())[0]["text"], "Rain.", "{}", talked.text());
        again["contents"][1]["parts"][0].as_object_mut().unwrap().remove("thoughtSignature");
        let unsigned = ask(&emulator, model, &again).await;
        if signed {
            let message = unsigned.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(
                message.starts_with("Function call is missing a thought_signature in functionCall parts.")
            );
            assert!(message.contains("function call `default_api:get_weather` , position 2."), "{message}");
            again["contents"][1]["parts"][0]["thoughtSignature"] = json!("skip_thought_signature_validator");
            assert_eq!(ask(&emulator, model, &again).await.status(), 200);
        } else {
            assert_eq!(unsigned.status(), 200);
        }
    }
}

#[tokio::test]
async fn calls_and_answers_stand_in_order_and_in_equal_number() {
    let emulator = emulator().await;
    let user = |text: &str| json!({"role": "user", "parts": [{"text": text}]});
    let model = json!({"role": "model", "parts": [{"text": "ok"}]});
    let called =
        json!({"role": "model", "parts": [{"functionCall": {"name": "f"}}, {"functionCall": {"name": "g"}}]});
    let response = |name: &str| json!({"functionResponse": {"name": name, "response": {"a": 1}}});
    let both = json!({"role": "user", "parts": [response("f"), response("g")]});
    let one = json!({"role": "user", "parts": [response("f")]});
    let equal = "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.";
    let after_call =
        "Please ensure that function response turn comes immediately after a function call turn.";
    let after_user = "Please ensure that function call turn comes immediately after a user turn or after a function response turn.";
    for (contents, refused) in [
        (json!([user("a"), called, both]), None),
        (json!([user("a"), called, both, called, both, model, user("b")]), None),
        (json!([user("a"), called, one]), Some(equal)),
        (json!([user("a"), called, user("b")]), Some(equal)),
        (json!([user("a"), called]), Some(equal)),
        (json!([user("a"), both]), Some(after_call)),
        (json!([user("a"), model, called, both]), Some(after_user)),
        (json!([called, both]), Some(after_user)),
    ] {
        let answer = ask(&emulator, FLASH, &json!({ "contents": contents })).await.json();
        assert_eq!(answer["error"]["message"].as_str(), refused, "{contents}");
    }
}

#[tokio::test]
async fn functions_are_chosen_as_the_mode_says() {
    let emulator = emulator().await;
    let tools = json!([{"functionDeclarations": [{"name": "one"}, {"name": "two"}]}]);
    let cases = [
        (json!({"mode": "AUTO"}), "one and two", vec!["one", "two"]),
        (json!({"mode": "ANY"}), "Hi", vec!["one"]),
        (json!({"mode": "any", "allowedFunctionNames": ["two"]}), "Hi", vec!["two"]),
        (json!({"mode": "NONE"}), "one", vec![]),
        (json!({"mode": "VALIDATED"}), "two", vec!["two"]),
    ];
    for (config, text, names) in cases {
        let mut asked = with(body(text), "tools", tools.clone());
        asked["toolConfig"] = json!({ "functionCallingConfig": config });
        let answer = ask(&emulator, FLASH, &asked).await.json();
        let called: Vec<&str> =
            parts(&answer).iter().filter_map(|part| part["functionCall"]["name"].as_str()).collect();
        assert_eq!(called, names, "{config}");
    }
    for config in
        [json!({"mode": "ANY", "allowedFunctionNames": ["three"]}), json!({"allowedFunctionNames": ["one"]})]
    {
        let mut asked = with(body("Hi"), "tools", tools.clone());
        asked["tool_config"] = json!({ "function_calling_config": config });
        assert_eq!(ask(&emulator, FLASH, &asked).await.status(), 400, "{config}");
    }
}

#[tokio::test]
async fn thoughts_are_shown_hidden_counted_and_signed() {
    let emulator = emulator().await;
    let thinking =
        |config: Value| with(body("Think"), "generationConfig", json!({ "thinkingConfig": config }));
    let shown = ask(&emulator, FLASH, &thinking(json!({"includeThoughts": true, "thinkingBudget": 1024})))
        .await
        .json();
    assert_eq!(parts(&shown)[0]["thought"], true);
    assert!(parts(&shown)[1]["thoughtSignature"].is_string());
    let counts = |answer: &Value| {
        ["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"]
            .map(|name| answer["usageMetadata"][name].as_u64().unwrap_or(0))
    };
    let [prompt, said, thoughts, total] = counts(&shown);
    assert_eq!((said, thoughts, total), (2, 11, prompt + 13));
    let streamed = ask_stream(&emulator, FLASH, &thinking(json!({"includeThoughts": true}))).await.events();
    assert_eq!(counts(streamed.last().unwrap()), [prompt, 2, 11, prompt + 13]);
    assert!(parts(streamed.last().unwrap())[0]["thoughtSignature"].is_string());
    let hidden = ask(&emulator, THIRD, &thinking(json!({"thinkingLevel": "low"}))).await.json();
    assert_eq!((parts(&hidden).len(), counts(&hidden)[2]), (1, emulator::HIDDEN_REASONING_TOKENS));
    let none = ask(&emulator, FLASH, &thinking(json!({"thinkingBudget": 0}))).await.json();
    assert_eq!((counts(&none)[2], parts(&none)), (0, &vec![json!({"text": "Think"})]));
    let secret =
        with(body(REDACTED), "generationConfig", json!({"thinkingConfig": {"includeThoughts": true}}));
    let secret = ask(&emulator, FLASH, &secret).await.json();
    assert_eq!((parts(&secret).len(), counts(&secret)[2]), (1, 11), "counted and signed, not shown");
    assert!(parts(&secret)[0]["thoughtSignature"].is_string());
    let unasked = ask(&emulator, THIRD, &body("Hi")).await.json();
    assert!(parts(&unasked)[0]["thoughtSignature"].is_string(), "the third generation always thinks");
    let mut again = body("Think");
    let list = again["contents"].as_array_mut().unwrap();
    list.push(shown["candidates"][0]["content"].clone());
    list.push(json!({"role": "user", "parts": [{"text": "On."}]}));
    assert_eq!(ask(&emulator, FLASH, &again).await.status(), 200);
}

#[tokio::test]
async fn an_answer_follows_from_the_request() {
    let emulator = emulator().await;
    let config = |text: &str, config: Value| with(body(text), "generation_config", config);
    let schema = json!({"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}, "required": ["n"]});
    let image = json!([{"parts": [{"text": "See"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                                  {"fileData": {"fileUri": "gs://b/f"}}]}]);
    for (asked, text, reason) in [
        (json!({ "contents": image }), "See [image/png, 3 bytes] [gs://b/f]", "STOP"),
        (with(body(SAY_SYSTEM), "systemInstruction", json!({"parts": {"text": "Brief."}})), "Brief.", "STOP"),
        (config("one STOP two", json!({"stopSequences": ["STOP"]})), "one ", "STOP"),
        (config("abcdefgh", json!({"maxOutputTokens": 1})), "abcd", "MAX_TOKENS"),
        (
            config("x", json!({"responseMimeType": "application/json", "responseSchema": schema})),
            r#"{"n":1}"#,
            "STOP",
        ),
        (
            config(
                "x",
                json!({"responseMimeType": "application/json", "responseSchema": {"type": "ARRAY", "items": schema}}),
            ),
            r#"[{"n":1}]"#,
            "STOP",
        ),
        (
            config(
                "x",
                json!({"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["red", "blue"]}}),
            ),
            "red",
            "STOP",
        ),
        (config("x", json!({"responseMimeType": "application/json"})), r#"{"answer":"x"}"#, "STOP"),
    ] {
        let answer = ask(&emulator, FLASH, &asked).await.json();
        assert_eq!(
            (parts(&answer)[0]["text"].as_str(), &answer["candidates"][0]["finishReason"]),
            (Some(text), &json!(reason)),
            "{asked}"
        );
    }
    let refused = ask(&emulator, FLASH, &body(REFUSE)).await.json()["candidates"][0].clone();
    assert_eq!((&refused["finishReason"], &refused["content"]), (&json!("SAFETY"), &Value::Null));
    let blocked = ask_stream(&emulator, FLASH, &body(BLOCK_PROMPT)).await.events();
    assert_eq!(
        (blocked.len(), &blocked[0]["promptFeedback"]["blockReason"]),
        (1, &json!("PROHIBITED_CONTENT"))
    );
    assert!(blocked[0]["candidates"].is_null());
    let two = ask(&emulator, FLASH, &config("Hi", json!({"candidateCount": 2, "responseLogprobs": true})))
        .await
        .json();
    assert_eq!(two["candidates"][1]["index"], 1);
    assert!(two["candidates"][1]["logprobsResult"]["chosenCandidates"].is_array());
    let counted = UsageScript {
        input: Some(10),
        cache_read: Some(90),
        output: Some(7),
        reasoning: Some(3),
        ..UsageScript::default()
    };
    emulator.credential(KEY).next(Behaviour::default().with_usage(counted)).unwrap();
    let usage = ask(&emulator, FLASH, &body("Hi")).await.json()["usageMetadata"].clone();
    let names = [
        "promptTokenCount",
        "cachedContentTokenCount",
        "candidatesTokenCount",
        "thoughtsTokenCount",
        "totalTokenCount",
    ];
    assert_eq!(names.map(|name| usage[name].as_u64().unwrap()), [100, 90, 4, 3, 107]);
}

#[tokio::test]
async fn tokens_are_counted_texts_embedded_and_models_listed() {
    let emulator = emulator().await;
    let count = 2 + emulator::TOKENS_PER_MESSAGE;
    let inner =
        json!({"request": {"model": format!("models/{FLASH}"), "contents": body("12345678")["contents"]}});
    let whole =
        json!({"generateContentRequest": with(body("12345678"), "model", json!(format!("models/{FLASH}")))});
    for (path, body) in [
        (format!("/v1beta/models/{FLASH}:countTokens"), body("12345678")),
        (format!("/v1beta/models/{FLASH}:countTokens"), whole),
        (format!("{VERTEX}/{FLASH}:countTokens"), body("12345678")),
        ("/codeassist/v1internal:countTokens".to_owned(), inner),
    ] {
        assert_eq!(post(&emulator, &path, &body).await.json()["totalTokens"], count, "{path}");
    }
    let extra = with(body("x"), "systemInstruction", json!({"parts": [{"text": "s"}]}));
    assert_eq!(post(&emulator, &format!("/v1beta/models/{FLASH}:countTokens"), &extra).await.status(), 400);
    let text = json!({"model": "models/gemini-embedding-001", "content": {"parts": [{"text": "a"}]}, "outputDimensionality": 8});
    let one = post(&emulator, "/v1beta/models/gemini-embedding-001:embedContent", &text).await.json();
    assert_eq!(one["embedding"]["values"].as_array().map(Vec::len), Some(8));
    let path = "/v1beta/models/gemini-embedding-001:batchEmbedContents";
    let many = post(&emulator, path, &json!({"requests": [text, text]})).await.json();
    assert_eq!(
        (many["embeddings"].as_array().map(Vec::len), &many["embeddings"][1]),
        (Some(2), &one["embedding"])
    );
    let key = [("x-goog-api-key", KEY)];
    let all = call(&emulator, "GET", "/v1beta/models", &key, "").await.json();
    let first = call(&emulator, "GET", "/v1/models?pageSize=1", &key, "").await.json();
    assert_eq!((&first["models"][0], &first["nextPageToken"]), (&all["models"][0], &json!("1")));
    let one = call(&emulator, "GET", &format!("/v1beta/models/{FLASH}"), &key, "").await.json();
    assert_eq!(one["name"], format!("models/{FLASH}"));
    emulator
        .credential(KEY)
        .set_profile(Profile { models: Some(vec!["gemini-x".into()]), ..Profile::default() });
    assert_eq!(
        call(&emulator, "GET", "/v1beta/models", &key, "").await.json()["models"][0]["name"],
        "models/gemini-x"
    );
    assert_eq!(ask(&emulator, FLASH, &body("Hi")).await.status(), 404);
}

#[tokio::test]
async fn an_error_in_a_streams_place_is_a_list_where_streams_are() {
    let emulator = emulator().await;
    let missing = json!({"model": "gemini-unknown", "request": body("Hi")});
    let gemini = "/v1beta/models/gemini-unknown";
    let vertex = format!("{}/gemini-unknown", VERTEX.replace("/v1/", "/v1beta1/"));
    for (path, listed) in [
        (format!("{gemini}:generateContent"), false),
        (format!("{gemini}:streamGenerateContent"), true),
        (format!("{gemini}:streamGenerateContent?alt=sse"), false),
        (format!("{vertex}:streamGenerateContent"), true),
        (format!("{vertex}:streamGenerateContent?alt=sse"), false),
        ("/codeassist/v1internal:generateContent".to_owned(), false),
        ("/codeassist/v1internal:streamGenerateContent?alt=sse".to_owned(), true),
    ] {
        let asked = if path.starts_with("/codeassist") { missing.clone() } else { body("Hi") };
        let refused = post(&emulator, &path, &asked).await;
        let error = refused.json();
        let error = if listed { &error[0]["error"] } else { &error["error"] };
        assert_eq!((refused.status(), error["status"].as_str()), (404, Some("NOT_FOUND")), "{path}");
    }
}

#[tokio::test]
async fn faults_have_googles_form() {
    let emulator = emulator().await;
    let script = emulator.credential(KEY);
    for (status, kind) in [
        (400, "INVALID_ARGUMENT"),
        (403, "PERMISSION_DENIED"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ] {
        script.next(Behaviour::status(status)).unwrap();
        let refused = ask(&emulator, FLASH, &body("Hi")).await;
        assert_eq!((refused.status(), refused.json()["error"]["status"].as_str()), (status, Some(kind)));
    }
    script.next(Behaviour::retry_after(429, 34)).unwrap();
    let refused = ask(&emulator, FLASH, &body("Hi")).await;
    assert_eq!(refused.head.header("retry-after"), None);
    let info = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"});
    assert_eq!(refused.json()["error"]["details"][0], info);

    let event = Behaviour::failing(Fault::ErrorEvent { at: Position::Content(2), status: 503, error: None });
    script.next(event.clone()).unwrap();
    let events = ask_stream(&emulator, FLASH, &body("abcd")).await.events();
    assert_eq!((events.len(), &events[2]["error"]["status"]), (3, &json!("UNAVAILABLE")));
    let path = format!("/v1beta/models/{FLASH}:streamGenerateContent");
    let at_once = Behaviour::failing(Fault::ErrorEvent { at: Position::Frame(0), status: 500, error: None });
    for (behaviour, length) in [(event, 3), (at_once, 1)] {
        script.next(behaviour).unwrap();
        let array = post(&emulator, &path, &body("abcd")).await.json();
        assert_eq!(array.as_array().map(Vec::len), Some(length));
        assert!(array[length - 1]["error"]["code"].is_u64());
    }
    script.next(Behaviour::failing(Fault::MissingEnd)).unwrap();
    let endless = ask_stream(&emulator, FLASH, &body("abcd")).await;
    assert_eq!(endless.ended, Ended::Cleanly);
    assert!(endless.events().iter().all(|event| event["candidates"][0]["finishReason"].is_null()));
    script.next(Behaviour::failing(Fault::Malformed(Position::Content(1)))).unwrap();
    let broken = ask_stream(&emulator, FLASH, &body("abcd")).await.events();
    assert_eq!(broken.iter().filter(|event| event.is_string()).count(), 1);
}
