use base64::{Engine as _, engine::general_purpose::STANDARD};
use emulator::{
    BLOCK_PROMPT, Behaviour, Emulator, Fault, Position, Profile, REDACTED, REFUSE, SAY_SYSTEM, UsageScript,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::client::{Answer, Ended, call, emulator};

mod models;

const KEY: &str = "bedrock-api-key-test";
const CLAUDE: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0";

fn claude_body(text: &str) -> Value {
    json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100,
           "messages": [{"role": "user", "content": text}]})
}

fn converse_body(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": [{"text": text}]}]})
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

async fn post(emulator: &Emulator, method: &str, body: &Value) -> Answer {
    post_to(emulator, CLAUDE, method, body).await
}

async fn post_to(emulator: &Emulator, model: &str, method: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {KEY}");
    let path = format!("/bedrock/model/{model}/{method}");
    call(emulator, "POST", &path, &[("authorization", &bearer)], &body.to_string()).await
}

/// A message of an event stream.
#[derive(Debug)]
struct Message {
    headers: Vec<(String, String)>,
    payload: Value,
}

impl Message {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number * 256 + usize::from(*byte))
}

/// None where a checksum is wrong.
fn messages(mut bytes: &[u8]) -> Vec<Option<Message>> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (message, rest) = bytes.split_at(number(&bytes[..4]));
        bytes = rest;
        let (signed, checksum) = message.split_at(message.len() - 4);
        let prelude = number(&message[8..12]) == crc32fast::hash(&message[..8]) as usize;
        if !prelude || number(checksum) != crc32fast::hash(signed) as usize {
            messages.push(None);
            continue;
        }
        let (mut head, payload) = signed[12..].split_at(number(&message[4..8]));
        let mut headers = Vec::new();
        while let [length, rest @ ..] = head {
            let (name, rest) = rest.split_at(usize::from(*length));
            assert_eq!(rest[0], 7, "a string");
            let (value, rest) = rest[3..].split_at(number(&rest[1..3]));
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            headers.push((text(name), text(value)));
            head = rest;
        }
        messages.push(Some(Message { headers, payload: serde_json::from_slice(payload).unwrap() }));
    }
    messages
}

fn whole(answer: &Answer) -> Vec<Message> {
    assert_eq!(answer.head.header("content-type"), Some("application/vnd.amazon.eventstream"), "{answer:?}");
    messages(&answer.bytes()).into_iter().map(Option::unwrap).collect()
}

/// The model's events in the chunks of a stream.
fn chunks(answer: &Answer) -> Vec<Value> {
    let inner = |message: &Message| {
        let bytes = STANDARD.decode(message.payload["bytes"].as_str().unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    whole(answer).iter().map(inner).collect()
}

#[tokio::test]
async fn invoke_speaks_anthropics_wire_in_an_envelope() {
    let emulator = emulator().await;
    let answer = post(&emulator, "invoke", &claude_body("12345678")).await;
    let message = answer.json();
    assert_eq!(
        (&message["model"], &message["content"][0]["text"]),
        (&json!("claude-sonnet-4-5-20250929"), &json!("12345678"))
    );
    assert!(message["id"].as_str().unwrap().starts_with("msg_bdrk_"));
    let input = (2 + emulator::TOKENS_PER_MESSAGE).to_string();
    assert_eq!(answer.head.header("x-amzn-bedrock-input-token-count"), Some(input.as_str()));
    assert_eq!(answer.head.header("x-amzn-bedrock-output-token-count"), Some("2"));
    assert!(answer.head.header("x-amzn-requestid").is_some());

    let stream = post(&emulator, "invoke-with-response-stream", &claude_body("Hällo")).await;
    for message in whole(&stream) {
        assert_eq!((message.header(":event-type"), message.header(":message-type")), ("chunk", "event"));
        assert!(message.payload["p"].is_string());
    }
    let events = chunks(&stream);
    let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(text, "Hällo");
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["amazon-bedrock-invocationMetrics"]["outputTokenCount"]),
        (&json!("message_stop"), &json!(2))
    );
    let again = chunks(&post(&emulator, "invoke-with-response-stream", &claude_body("Hällo")).await);
    assert_ne!(
        events[0]["message"]["id"], again[0]["message"]["id"],
        "each answer has its own name, sealed or not"
    );
}

#[tokio::test]
async fn what_is_refused_is_refused_in_the_services_words() {
    let emulator = emulator().await;
    let without = |name: &str| {
        let mut body = claude_body("Hi");
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let say = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let call_turn =
        json!({"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}]});
    let tools = json!({"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]});
    let open = json!({"messages": [{"role": "user", "content": [{"text": "x"}]}, call_turn, {"role": "user", "content": [{"text": "y"}]}], "toolConfig": tools});
    let mut listed = open.clone();
    listed["messages"][2]["content"] =
        json!([{"toolResult": {"toolUseId": "t1", "content": [{"json": [1]}]}}]);
    let mut bare = open.clone();
    bare["toolConfig"] = Value::Null;
    bare["messages"][2]["content"] = json!([{"toolResult": {"toolUseId": "t1", "content": [{"text": "r"}]}}]);
    for (method, body, message) in [
        (
            "invoke",
            without("anthropic_version"),
            "Malformed input request: #: required key [anthropic_version] not found, please reformat your input and try again.",
        ),
        (
            "invoke",
            with(claude_body("Hi"), "model", json!("claude")),
            "Malformed input request: #: extraneous key [model] is not permitted, please reformat your input and try again.",
        ),
        (
            "invoke",
            with(claude_body("Hi"), "stream", json!(true)),
            "Malformed input request: #: extraneous key [stream] is not permitted, please reformat your input and try again.",
        ),
        (
            "invoke",
            with(claude_body("Hi"), "service_tier", json!("auto")),
            "service_tier: Extra inputs are not permitted",
        ),
        (
            "invoke",
            with(claude_body("Hi"), "anthropic_beta", json!(["oauth-2025-04-20"])),
            "invalid beta flag",
        ),
        ("invoke", without("max_tokens"), "max_tokens: Field required"),
        (
            "invoke",
            with(claude_body("Hi"), "tools", json!([{"type": "web_search_20250305", "name": "web_search"}])),
            "tools.0: Input tag 'web_search_20250305' found using 'type' does not match any of the expected tags: 'bash_20250124', 'custom', 'memory_20250818', 'text_editor_20250124', 'text_editor_20250429', 'text_editor_20250728'",
        ),
        (
            "converse",
            json!({"messages": []}),
            "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        ),
        (
            "converse",
            say(json!([{"text": " "}])),
            "The text field in the ContentBlock object at messages.0.content.0 is blank. Add text to the text field, and try again.",
        ),
        (
            "converse",
            say(json!([])),
            "The content field in the Message object at messages.0 is empty. Add a ContentBlock object to the content field and try again.",
        ),
        (
            "converse",
            say(
                json!([{"text": "x"}, {"document": {"format": "txt", "name": "a", "source": {"bytes": "AAAA"}}},
                       {"document": {"format": "txt", "name": "a", "source": {"bytes": "AAAA"}}}]),
            ),
            "The document name at messages.0.content.2 is not unique in the request.",
        ),
        (
            "converse",
            listed,
            "The format of the value at messages.2.content.0.toolResult.content.0.json is invalid. Provide a json object for the field and try again.",
        ),
        (
            "converse",
            say(json!([{"type": "text", "text": "x"}])),
            "Malformed input request: #/messages/0/content/0: extraneous key [type] is not permitted, please reformat your input and try again.",
        ),
        (
            "converse",
            say(json!([{"image": {"format": "bmp", "source": {"bytes": "AAAA"}}}])),
            "1 validation error detected: Value 'bmp' at 'messages.1.member.content.1.member.image.format' failed to satisfy constraint: Member must satisfy enum value set: [gif, jpeg, png, webp]",
        ),
        (
            "converse",
            json!({"messages": [{"role": "system", "content": [{"text": "x"}]}]}),
            "1 validation error detected: Value 'system' at 'messages.1.member.role' failed to satisfy constraint: Member must satisfy enum value set: [user, assistant]",
        ),
        (
            "converse",
            with(converse_body("x"), "inferenceConfig", json!({"maxTokens": 0})),
            "1 validation error detected: Value '0' at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            "converse",
            with(converse_body("x"), "inferenceConfig", json!({"temperature": 1.5})),
            "1 validation error detected: Value '1.5' at 'inferenceConfig.temperature' failed to satisfy constraint: Member must have value less than or equal to 1",
        ),
        ("converse", open, "Expected toolResult blocks at messages.2.content for the following Ids: t1"),
        (
            "converse",
            bare,
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        ),
        (
            "converse",
            with(
                converse_body("x"),
                "toolConfig",
                json!({"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]}),
            ),
            "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.",
        ),
        (
            "converse",
            with(
                converse_body("x"),
                "additionalModelRequestFields",
                json!({"thinking": {"type": "enabled", "budget_tokens": 5}}),
            ),
            "The model returned the following errors: thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
        ),
    ] {
        let refused = post(&emulator, method, &body).await;
        assert_eq!((refused.status(), refused.json()["message"].as_str()), (400, Some(message)), "{body}");
        let kind = refused.head.header("x-amzn-errortype").unwrap();
        assert!(kind.starts_with("ValidationException:"), "{kind}");
    }
    let bearer = [("authorization", "Bearer bedrock-api-key-test")];
    for id in ["anthropic.claude-unknown", "anthropic.claude-x-v1%253A0"] {
        let path = format!("/bedrock/model/{id}/converse");
        let refused = call(&emulator, "POST", &path, &bearer, &converse_body("Hi").to_string()).await;
        assert_eq!(refused.json()["message"], "The provided model identifier is invalid.");
    }
}

#[tokio::test]
async fn a_conversation_is_answered_as_it_asks() {
    let emulator = emulator().await;
    let config = |text: &str, config: Value| with(converse_body(text), "inferenceConfig", config);
    let media = json!([{"text": "See"}, {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
                       {"document": {"format": "pdf", "name": "a", "source": {"bytes": "AAAA"}}}]);
    let schema =
        json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}).to_string();
    let form =
        json!({"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema}}}});
    for (body, text, reason) in [
        (converse_body("Hello"), "Hello", "end_turn"),
        (with(converse_body(SAY_SYSTEM), "system", json!([{"text": "Brief."}])), "Brief.", "end_turn"),
        (config("abcdefgh", json!({"maxTokens": 1})), "abcd", "max_tokens"),
        (config("one STOP two", json!({"stopSequences": ["STOP"]})), "one ", "stop_sequence"),
        (converse_body(REFUSE), emulator::REFUSAL, "content_filtered"),
        (
            converse_body(BLOCK_PROMPT),
            "Sorry, the model cannot answer this question.",
            "guardrail_intervened",
        ),
        (
            json!({"messages": [{"role": "user", "content": media}]}),
            "See [image/png, 3 bytes] [application/pdf, 3 bytes]",
            "end_turn",
        ),
        (with(converse_body("x"), "outputConfig", form), r#"{"n":1}"#, "end_turn"),
    ] {
        let answer = post(&emulator, "converse", &body).await.json();
        let content = &answer["output"]["message"]["content"];
        assert_eq!(
            (content[0]["text"].as_str(), answer["stopReason"].as_str()),
            (Some(text), Some(reason)),
            "{body}"
        );
        let events = whole(&post(&emulator, "converse-stream", &body).await);
        let said: String =
            events.iter().filter_map(|event| event.payload["delta"]["text"].as_str()).collect();
        assert_eq!(said, text);
    }
    let cached = json!([{"text": "12345678"}, {"cachePoint": {"type": "default", "ttl": "1h"}}, {"text": "1234"}, {"cachePoint": {"type": "default"}}]);
    let usage =
        post(&emulator, "converse", &with(converse_body("1234"), "system", cached)).await.json()["usage"]
            .clone();
    let input = 1 + emulator::TOKENS_PER_MESSAGE;
    assert_eq!(
        usage,
        json!({"inputTokens": input, "outputTokens": 1, "totalTokens": input + 4, "cacheReadInputTokens": 0,
        "cacheWriteInputTokens": 3, "cacheDetails": [{"ttl": "5m", "inputTokens": 1}, {"ttl": "1h", "inputTokens": 2}]})
    );
    let counted =
        UsageScript { input: Some(1), cache_read: Some(2), output: Some(4), ..UsageScript::default() };
    emulator.credential(KEY).next(Behaviour::default().with_usage(counted)).unwrap();
    assert_eq!(post(&emulator, "converse", &converse_body("x")).await.json()["usage"]["totalTokens"], 7);
}

#[tokio::test]
async fn tools_and_thoughts_go_round() {
    let emulator = emulator().await;
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let spec = |name: &str| json!({"toolSpec": {"name": name, "inputSchema": {"json": schema}}});
    let mut body = converse_body("Use one and two");
    body["toolConfig"] = json!({"tools": [spec("one"), spec("two")]});
    body["inferenceConfig"] = json!({"maxTokens": 4000});
    body["additionalModelRequestFields"] = json!({"thinking": {"type": "enabled", "budget_tokens": 2000}});
    let events = whole(&post(&emulator, "converse-stream", &body).await);
    let kinds: Vec<&str> = events.iter().map(|event| event.header(":event-type")).collect();
    let (delta, start, stop) = ("contentBlockDelta", "contentBlockStart", "contentBlockStop");
    assert_eq!(
        kinds,
        [
            "messageStart",
            delta,
            delta,
            delta,
            stop,
            start,
            delta,
            delta,
            delta,
            stop,
            start,
            delta,
            delta,
            delta,
            stop,
            "messageStop",
            "metadata"
        ]
    );
    let input: String = events
        .iter()
        .filter(|event| event.payload["contentBlockIndex"] == 2)
        .filter_map(|event| event.payload["delta"]["toolUse"]["input"].as_str())
        .collect();
    assert_eq!(input, r#"{"city":"city"}"#);
    let answer = post(&emulator, "converse", &body).await.json();
    assert_eq!(answer["stopReason"], "tool_use");
    let message = answer["output"]["message"].clone();
    let signed =
        events.iter().find_map(|event| event.payload["delta"]["reasoningContent"]["signature"].as_str());
    assert_eq!(signed, message["content"][0]["reasoningContent"]["reasoningText"]["signature"].as_str());
    let result = |index: usize| {
        let id = &message["content"][index]["toolUse"]["toolUseId"];
        json!({"toolResult": {"toolUseId": id, "content": [{"json": {"a": 1}}], "status": "success"}})
    };
    let list = body["messages"].as_array_mut().unwrap();
    list.push(message.clone());
    list.push(json!({"role": "user", "content": [result(1), result(2)]}));
    let talked = post(&emulator, "converse", &body).await.json();
    assert_eq!(talked["output"]["message"]["content"][1]["text"], r#"{"a":1}{"a":1}"#, "{talked}");
    let mut thoughtless = body.clone();
    thoughtless["messages"][1]["content"].as_array_mut().unwrap().remove(0);
    let refused = post(&emulator, "converse", &thoughtless).await.json();
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains(
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`."
    ));
    let thought = &mut body["messages"][1]["content"][0]["reasoningContent"]["reasoningText"];
    thought["text"] = json!("Other.");
    let refused = post(&emulator, "converse", &body).await.json();
    assert_eq!(
        refused["message"],
        "The model returned the following errors: messages.1.content.0: Invalid `signature` in `thinking` block"
    );
}

#[tokio::test]
async fn a_secret_thought_comes_back_sealed() {
    let emulator = emulator().await;
    let mut body = converse_body(REDACTED);
    body["additionalModelRequestFields"] = json!({"thinking": {"type": "adaptive"}});
    let opus = "us.anthropic.claude-opus-4-6-v1";
    let message = post_to(&emulator, opus, "converse", &body).await.json()["output"]["message"].clone();
    let sealed = message["content"][0]["reasoningContent"]["redactedContent"].clone();
    let events = whole(&post_to(&emulator, opus, "converse-stream", &body).await);
    assert_eq!(events[1].payload["delta"]["reasoningContent"]["redactedContent"], sealed);
    let list = body["messages"].as_array_mut().unwrap();
    list.push(message);
    list.push(json!({"role": "user", "content": [{"text": "On."}]}));
    assert_eq!(post_to(&emulator, opus, "converse", &body).await.status(), 200);
    body["messages"][1]["content"][0]["reasoningContent"]["redactedContent"] = json!("AAAA");
    assert_eq!(post_to(&emulator, opus, "converse", &body).await.status(), 400);
}

#[tokio::test]
async fn betas_are_in_the_body_and_must_be_known() {
    let emulator = emulator().await;
    for (betas, status) in [
        (json!(["interleaved-thinking-2025-05-14", "context-1m-2025-08-07"]), 200),
        (json!(["prompt-caching-scope-2026-01-05"]), 400),
        (json!("context-1m-2025-08-07"), 400),
    ] {
        let answer =
            post(&emulator, "invoke", &with(claude_body("Hi"), "anthropic_beta", betas.clone())).await;
        assert_eq!(answer.status(), status, "{betas}");
    }
}

#[tokio::test]
async fn tokens_are_counted_for_either_endpoint() {
    let emulator = emulator().await;
    let count = json!({"inputTokens": 2 + emulator::TOKENS_PER_MESSAGE});
    let opaque = STANDARD.encode(claude_body("12345678").to_string());
    let invoked = json!({"input": {"invokeModel": {"body": opaque}}});
    let model = CLAUDE.trim_start_matches("us.");
    assert_eq!(post_to(&emulator, model, "count-tokens", &invoked).await.json(), count);
    let conversation = json!({"input": {"converse": converse_body("12345678")}});
    assert_eq!(post_to(&emulator, model, "count-tokens", &conversation).await.json(), count);
    assert_eq!(post_to(&emulator, model, "count-tokens", &json!({"input": {}})).await.status(), 400);
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The date and the signature of a call, as a client makes them.
fn sign(id: &str, secret: &str, path: &str, token: Option<&str>, body: &str, ahead: i64) -> (String, String) {
    let now = jiff::Timestamp::now().as_second() + ahead;
    let stamp = jiff::Timestamp::from_second(now).unwrap().strftime("%Y%m%dT%H%M%SZ").to_string();
    let date = &stamp[..8];
    let (more, signed) = match token {
        Some(token) => (format!("x-amz-security-token:{token}\n"), "host;x-amz-date;x-amz-security-token"),
        None => (String::new(), "host;x-amz-date"),
    };
    let path = path.replace('%', "%25");
    let hash = hex(&Sha256::digest(body));
    let canonical = format!("POST\n{path}\n\nhost:emulator\nx-amz-date:{stamp}\n{more}\n{signed}\n{hash}");
    let scope = format!("{date}/eu-west-1/bedrock/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let parts = [date, "eu-west-1", "bedrock", "aws4_request"];
    let key = parts.iter().fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part));
    let signature = hex(&hmac(&key, &to_sign));
    (
        stamp,
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}"),
    )
}

#[tokio::test]
async fn a_signature_is_checked_as_aws_does() {
    let emulator = emulator().await;
    let body = converse_body("Hi").to_string();
    let path = format!("/bedrock/model/{CLAUDE}/converse");
    emulator.credential("AKIAOWN").set_profile(Profile { secret: Some("own".into()), ..Profile::default() });
    emulator.credential("AKIALATE").set_profile(Profile { clock_ahead_seconds: 3600, ..Profile::default() });
    let (right, invalid, unknown) = ("", "InvalidSignatureException", "UnrecognizedClientException");
    let own = "secret-of-AKIATEST";
    for (id, secret, token, sent, ahead, kind) in [
        ("AKIATEST", own, None, None, 0, right),
        ("AKIATEST", own, None, None, -200, right),
        ("AKIATEST", own, None, None, -400, invalid),
        ("AKIATEST", own, None, None, 400, invalid),
        ("AKIATEST", "wrong", None, None, 0, invalid),
        ("AKIAOWN", "own", None, None, 0, right),
        ("AKIALATE", "secret-of-AKIALATE", None, None, 0, invalid),
        ("AKIALATE", "secret-of-AKIALATE", None, None, 3600, right),
        ("AKIAunknown", "secret-of-AKIAunknown", None, None, 0, unknown),
        ("test", "secret-of-test", None, None, 0, unknown),
        ("ASIATEST", "secret-of-ASIATEST", Some("t"), Some("t"), 0, right),
        ("ASIATEST", "secret-of-ASIATEST", Some("t"), Some("u"), 0, invalid),
        ("ASIATEST", "secret-of-ASIATEST", None, Some("t"), 0, invalid),
        ("ASIATEST", "secret-of-ASIATEST", None, None, 0, unknown),
        ("ASIATEST", "secret-of-ASIATEST", Some("expired"), Some("expired"), 0, "ExpiredTokenException"),
    ] {
        let (stamp, authorization) = sign(id, secret, &path, token, &body, ahead);
        let mut headers = vec![("authorization", authorization.as_str()), ("x-amz-date", &stamp)];
        headers.extend(sent.map(|token| ("x-amz-security-token", token)));
        let answer = call(&emulator, "POST", &path, &headers, &body).await;
        let said = answer.head.header("x-amzn-errortype").unwrap_or_default();
        assert_eq!(
            (said, answer.status()),
            (kind, if kind.is_empty() { 200 } else { 403 }),
            "{id} {token:?} {ahead}"
        );
    }
    assert_eq!(emulator.credential("AKIATEST").counters().requests, 5, "calls are kept under the key's id");
    for (headers, kind) in [
        (vec![], "MissingAuthenticationTokenException"),
        (vec![("authorization", "AWS4-HMAC-SHA256 Credential=x")], "IncompleteSignatureException"),
        (vec![("authorization", "Bearer sk-test")], "AccessDeniedException"),
        (vec![("authorization", "Bearer ABSKexpired")], "AccessDeniedException"),
    ] {
        let refused = call(&emulator, "POST", &path, &headers, &body).await;
        assert_eq!((refused.status(), refused.head.header("x-amzn-errortype")), (403, Some(kind)));
        assert!(refused.json()["message"].is_string());
    }
}

#[tokio::test]
async fn faults_have_awss_form() {
    let emulator = emulator().await;
    let script = emulator.credential(KEY);
    for (status, kind) in [
        (400, "ValidationException"),
        (403, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (408, "ModelTimeoutException"),
        (424, "ModelErrorException"),
        (429, "ThrottlingException"),
        (500, "InternalServerException"),
        (503, "ServiceUnavailableException"),
    ] {
        script.next(Behaviour::status(status)).unwrap();
        let refused = post(&emulator, "converse", &converse_body("Hi")).await;
        let said = refused.head.header("x-amzn-errortype").unwrap().split(':').next();
        assert_eq!((refused.status(), said), (status, Some(kind)));
    }
    for (method, body) in
        [("converse-stream", converse_body("abcd")), ("invoke-with-response-stream", claude_body("abcd"))]
    {
        let normal = whole(&post(&emulator, method, &body).await).len();
        for (status, kind) in [
            (529, "serviceUnavailableException"),
            (424, "modelStreamErrorException"),
            (429, "throttlingException"),
        ] {
            script
                .next(Behaviour::failing(Fault::ErrorEvent { at: Position::Content(1), status, error: None }))
                .unwrap();
            let answer = post(&emulator, method, &body).await;
            let events = whole(&answer);
            let last = events.last().unwrap();
            assert_eq!((last.header(":message-type"), last.header(":exception-type")), ("exception", kind));
            assert!(last.payload["message"].is_string() && answer.status() == 200 && events.len() < normal);
        }
        script.next(Behaviour::failing(Fault::Malformed(Position::Content(1)))).unwrap();
        let broken = messages(&post(&emulator, method, &body).await.bytes());
        assert_eq!(
            (broken.len(), broken.iter().filter(|message| message.is_none()).count()),
            (normal + 1, 1)
        );
        script.next(Behaviour::failing(Fault::Cut(Position::Content(2)))).unwrap();
        let cut = post(&emulator, method, &body).await;
        assert_eq!((cut.ended, whole(&cut).len() < normal), (Ended::Closed, true));
        script.next(Behaviour::failing(Fault::MissingEnd)).unwrap();
        let endless = post(&emulator, method, &body).await;
        assert_eq!((endless.ended, whole(&endless).len() < normal), (Ended::Cleanly, true));
    }
}
