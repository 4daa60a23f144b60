//! Errors that are about the account: nobody pays for it, its key is wrong, or it may not use the model. They are never the
//! client's.

use std::{sync::Arc, time::Duration};

use proto::v1::{Outcome, gemini_options::Form};
use serde_json::Value;
use shared::{account::AccountType, id::AccountId, model::ModelPattern, secret::Secret};

use super::{
    gateway::{Gateway, Given, claude, openai, pattern, until},
    upstream::{Received, Script, Upstream, json, json_with, sse},
};
use crate::{
    live::{Mark, MarkKind},
    provider::words::WORDS_MAX,
    snapshot::{self, Account, ClientGone, Credential, Options, Revision},
};

const MESSAGES: &str =
    r#"{"model":"claude-opus-5","messages":[{"role":"user","content":"a"}],"max_tokens":1}"#;
const STREAMED: &str =
    r#"{"model":"claude-opus-5","stream":true,"messages":[{"role":"user","content":"a"}],"max_tokens":1}"#;
const CHAT: &str = r#"{"model":"gpt-5","messages":[{"role":"user","content":"a"}]}"#;
const GOOD: &str = r#"{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"text","text":"hi"}],"model":"claude-opus-5","stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
const GOOD_CHAT: &str = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
const FRAMES: [&str; 3] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];

const NO_CREDIT: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."},"request_id":"req_1"}"#;
const NO_MODEL: &str = r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-opus-5"},"request_id":"req_1"}"#;
const NO_QUOTA: &str = r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
const NO_ACCESS: &str = r#"{"error":{"message":"Project `proj_1` does not have access to model `gpt-5`","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#;
const WRONG_KEY: &str = r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}"#;
const DENIED: &str = "no account of the gateway has access to this model";

fn wants_stream(received: &Received) -> bool {
    received.body.windows(15).any(|window| window == b"\"stream\":true,\"")
}

async fn good() -> Upstream {
    Upstream::start(|_, received| if wants_stream(received) { sse(&FRAMES) } else { json(200, GOOD) }).await
}

/// Refuses this model, and serves others.
async fn denying(status: u16, body: &'static str, model: &'static str) -> Upstream {
    Upstream::start(move |_, received| {
        let asked = format!("\"model\":\"{model}\"");
        match String::from_utf8_lossy(&received.body).contains(&asked) {
            true => json(status, body),
            false if model.starts_with("gpt") => json(200, GOOD_CHAT),
            false => json(200, GOOD),
        }
    })
    .await
}

fn event(error: &str) -> String {
    format!("event: error\ndata: {error}\n\n")
}

/// The reason that the control plane is told of for the first account.
async fn told(gateway: &Gateway) -> String {
    until("the account is told to be invalid", || !gateway.status_writes.waiting().is_empty()).await;
    let write = gateway.status_writes.waiting().remove(0);
    assert_eq!(write.account_id, gateway.snapshot.load().accounts[0].id.to_bytes());
    write.reason
}

/// What the control plane answers to that: another version of the first account.
fn publish(gateway: &Gateway, invalid_reason: Option<&str>) {
    let mut changed = (*gateway.snapshot.load_full()).clone();
    let old = Arc::clone(&changed.accounts[0]);
    let first = Account {
        id: old.id,
        version: old.version + 1,
        name: old.name.clone(),
        enabled: true,
        schedulable: true,
        kind: old.kind,
        priority: old.priority,
        weight: 1,
        concurrency: None,
        expires_at: None,
        invalid_reason: invalid_reason.map(ToOwned::to_owned),
        model_mapping: Vec::new(),
        allowed_models: Vec::new(),
        groups: Vec::new(),
        client_gone: ClientGone::Drain,
        upstream: snapshot::Upstream {
            base_url: old.upstream.base_url.clone(),
            credential: Credential::ApiKey(Secret::new("sk-ant-another".to_owned())),
            options: Options::None,
            ready: snapshot::Ready::default(),
        },
        state: Arc::clone(&old.state),
    };
    changed.accounts[0] = Arc::new(first);
    gateway.snapshot.publish(changed, Revision { epoch: [1; 16], version: 2 });
}

async fn mark(gateway: &Gateway, account: AccountId, kind: MarkKind) {
    let until = gateway.proxy.clock.now().plus(Duration::from_secs(100));
    let mark = Mark { kind, until, reason: "status_429".into(), model_family: None, guessed: false };
    gateway.proxy.live.mark(account, mark);
}

#[tokio::test]
async fn an_account_without_credit_is_left_for_another_and_told_to_be_invalid_for_billing() {
    for (body, script) in [
        (MESSAGES, json(400, NO_CREDIT)),
        (STREAMED, json(400, NO_CREDIT)),
        (STREAMED, sse(&[&event(NO_CREDIT)])),
        (MESSAGES, json(402, r#"{"type":"error","error":{"type":"billing_error","message":"no"}}"#)),
    ] {
        // Only the request is streamed; its test is not.
        let bad = Upstream::start(move |_, received| match wants_stream(received) {
            false if body == STREAMED => json(400, NO_CREDIT),
            _ => script.clone(),
        })
        .await;
        let good = good().await;
        let gateway = Gateway::start(vec![claude(bad.url()), claude(good.url())]).await;
        let answer = gateway.post("/v1/messages", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.text().contains("hi") && !answer.text().contains("credit"), "{}", answer.text());
        let record = gateway.records(1).await.remove(0);
        assert_eq!((record.outcome(), record.attempts.len()), (Outcome::Completed, 2), "no account twice");
        assert_eq!(told(&gateway).await, "billing");
        assert_eq!(bad.received().len(), 2, "the request, and the test");

        publish(&gateway, Some("billing"));
        assert_eq!(gateway.post("/v1/messages", body).await.status, 200);
        assert_eq!(bad.received().len(), 2, "it is left alone");
    }
}

#[tokio::test]
async fn a_spent_quota_is_no_rate_limit() {
    let bad = Upstream::always(json_with(429, "retry-after: 100\r\n", NO_QUOTA)).await;
    let good = Upstream::always(json(200, GOOD_CHAT)).await;
    let gateway = Gateway::start(vec![openai(bad.url()), openai(good.url())]).await;
    assert_eq!(gateway.post("/v1/chat/completions", CHAT).await.status, 200);
    assert!(gateway.snapshot.load().accounts[0].state.marks(gateway.proxy.clock.now()).is_empty());
    assert_eq!(told(&gateway).await, "billing");
}

#[tokio::test]
async fn a_key_that_google_refuses_with_400_is_the_accounts() {
    let bad = Upstream::always(json(400, WRONG_KEY)).await;
    let said = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":1,"candidatesTokenCount":1}}"#;
    let good = Upstream::always(json(200, said)).await;
    let google = |url| Given {
        kind: AccountType::GeminiApi,
        url,
        change: |account| {
            account.allowed_models = vec![ModelPattern::new("gemini-3-pro").unwrap()];
        },
    };
    let gateway = Gateway::start(vec![google(bad.url()), google(good.url())]).await;
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"a"}]}]}"#;
    let answer = gateway.post("/v1beta/models/gemini-3-pro:generateContent", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(told(&gateway).await, "unauthorized");
}

#[tokio::test]
async fn when_nobody_pays_for_any_account_the_client_is_not_asked_to() {
    for (status, body) in [(400, NO_CREDIT), (402, "{}"), (401, "{}"), (403, "{}")] {
        let bad = Upstream::always(json(status, body)).await;
        let gateway = Gateway::start(vec![claude(bad.url()), claude(bad.url())]).await;
        let answer = gateway.post("/v1/messages", MESSAGES).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["type"]), (502, &"api_error".into()));
        assert!(!answer.text().contains("credit"), "{}", answer.text());
        let record = gateway.records(1).await.remove(0);
        assert_eq!(record.attempts.len(), 2, "each once: {status}");
    }
}

#[tokio::test]
async fn a_model_that_an_account_is_denied_goes_to_another_and_the_account_serves_others() {
    for (path, body, status, words) in [
        ("/v1/messages", MESSAGES, 404, NO_MODEL),
        ("/v1/chat/completions", CHAT, 403, NO_ACCESS),
        ("/v1/chat/completions", CHAT, 404, NO_ACCESS),
    ] {
        let model = if body == CHAT { "gpt-5" } else { "claude-opus-5" };
        let (first, second) = (
            denying(status, words, model).await,
            Upstream::always(json(200, if body == CHAT { GOOD_CHAT } else { GOOD })).await,
        );
        let given = if body == CHAT { openai } else { claude };
        let gateway = Gateway::start(vec![given(first.url()), given(second.url())]).await;
        for _ in 0..3 {
            assert_eq!(gateway.post(path, body).await.status, 200);
        }
        assert_eq!((first.received().len(), second.received().len()), (1, 3), "it is asked once");
        let other = body.replace(model, &format!("{model}-other"));
        assert_eq!(gateway.post(path, &other).await.status, 200);
        assert_eq!((first.received().len(), second.received().len()), (2, 3), "it serves others");
        let attempts = gateway.records(4).await.remove(0).attempts;
        assert_eq!((attempts.len(), attempts[0].reason.clone()), (2, format!("status_{status}")));
        assert!(gateway.status_writes.waiting().is_empty(), "the account is in order");
    }
}

#[tokio::test]
async fn what_was_learnt_of_an_account_ends_when_a_person_changes_it_or_says_that_it_is_in_order() {
    let (first, second) = (denying(404, NO_MODEL, "claude-opus-5").await, good().await);
    let gateway = Gateway::start(vec![claude(first.url()), claude(second.url())]).await;
    let ask = async || assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
    ask().await;
    ask().await;
    assert_eq!(first.received().len(), 1);
    let id = gateway.snapshot.load().accounts[0].id;
    gateway.proxy.live.clear(id);
    ask().await;
    ask().await;
    assert_eq!(first.received().len(), 2);
    publish(&gateway, None);
    ask().await;
    assert_eq!(first.received().len(), 3);
}

/// `(path, body)` of a request for a model of Claude in each wire, plain and streamed.
fn in_all_wires() -> Vec<(&'static str, String)> {
    let chat = r#"{"model":"claude-opus-5","messages":[{"role":"user","content":"a"}]}"#;
    let responses = r#"{"model":"claude-opus-5","input":"a"}"#;
    let contents = r#"{"contents":[{"role":"user","parts":[{"text":"a"}]}]}"#;
    let streamed = |body: &str| body.replacen('{', r#"{"stream":true,"#, 1);
    vec![
        ("/v1/messages", MESSAGES.to_owned()),
        ("/v1/messages", STREAMED.to_owned()),
        ("/v1/chat/completions", chat.to_owned()),
        ("/v1/chat/completions", streamed(chat)),
        ("/v1/responses", responses.to_owned()),
        ("/v1/responses", streamed(responses)),
        ("/claude/v1beta/models/claude-opus-5:generateContent", contents.to_owned()),
        ("/claude/v1beta/models/claude-opus-5:streamGenerateContent?alt=sse", contents.to_owned()),
    ]
}

fn assert_not_found(path: &str, error: &Value) {
    let error = &error["error"];
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains(DENIED) && message.contains("ask the gateway's operators"), "{path}: {error}");
    match path {
        _ if path.contains("v1beta") => {
            assert_eq!((&error["code"], &error["status"]), (&404.into(), &"NOT_FOUND".into()), "{path}");
        }
        "/v1/messages" => assert_eq!(error["type"], "not_found_error", "{path}"),
        _ => assert_eq!(error["code"], "model_not_found", "{path}"),
    }
}

#[tokio::test]
async fn when_every_account_is_denied_the_model_the_client_is_told_in_its_wire_then_and_later() {
    let scripts: [fn(&Received) -> Script; 2] = [
        |_| json(404, NO_MODEL),
        // Told in the stream, where there is one.
        |received| if wants_stream(received) { sse(&[&event(NO_MODEL)]) } else { json(404, NO_MODEL) },
    ];
    for script in scripts {
        for (path, body) in in_all_wires() {
            for accounts in [1, 2] {
                let bad = Upstream::start(move |_, received| script(received)).await;
                let gateway = Gateway::start((0..accounts).map(|_| claude(bad.url())).collect()).await;
                for _ in 0..2 {
                    let answer = gateway.post(path, &body).await;
                    assert_eq!(answer.status, 404, "{path} {}", answer.text());
                    assert_not_found(path, &answer.json());
                    assert_eq!(bad.received().len(), accounts, "{path}: each is asked once");
                }
                let record = gateway.records(1).await.remove(0);
                assert_eq!((record.outcome(), record.status), (Outcome::UpstreamError, 404), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn an_account_that_only_has_to_become_free_may_have_the_model_that_another_is_denied() {
    let (first, second) = (denying(404, NO_MODEL, "claude-opus-5").await, good().await);
    let gateway = Gateway::start(vec![claude(first.url()), claude(second.url())]).await;
    let id = gateway.snapshot.load().accounts[1].id;
    mark(&gateway, id, MarkKind::RateLimited).await;
    for _ in 0..2 {
        let answer = gateway.post("/v1/messages", MESSAGES).await;
        assert_eq!(answer.status, 429, "{}", answer.text());
        let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((90..=100).contains(&wait), "{wait}");
    }
    assert_eq!((first.received().len(), second.received().len()), (1, 0));
}

#[tokio::test]
async fn an_account_that_failed_may_have_the_model_that_another_is_denied() {
    let (first, second) =
        (Upstream::always(json(401, "{}")).await, denying(404, NO_MODEL, "claude-opus-5").await);
    let gateway = Gateway::start(vec![claude(first.url()), claude(second.url())]).await;
    let answer = gateway.post("/v1/messages", MESSAGES).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
}

#[tokio::test]
async fn an_account_that_may_not_count_is_not_denied_the_model() {
    let native = Upstream::start(|_, received| match received.line().contains("count_tokens") {
        true => json(404, NO_MODEL),
        false => json(200, GOOD),
    })
    .await;
    let gateway = Gateway::start(vec![claude(native.url())]).await;
    let counted = gateway.post("/v1/messages/count_tokens", MESSAGES).await;
    assert_eq!(counted.status, 404, "{}", counted.text());
    assert_not_found("/v1/messages", &counted.json());
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);

    let converted = Upstream::start(|_, received| match received.line().contains("input_tokens") {
        true => json(403, NO_ACCESS),
        false => json(200, GOOD_CHAT),
    })
    .await;
    let gateway = Gateway::start(vec![openai(converted.url())]).await;
    let counted =
        gateway.post("/v1/messages/count_tokens", &MESSAGES.replace("claude-opus-5", "gpt-5")).await;
    assert_eq!(
        (counted.status.as_u16(), &counted.headers["x-switchyard-estimate"]),
        (200, &"true".parse().unwrap())
    );
    assert_eq!(gateway.post("/v1/chat/completions", CHAT).await.status, 200);
}

#[tokio::test]
async fn what_a_request_names_besides_its_model_is_the_clients() {
    let words = r#"{"type":"error","error":{"type":"not_found_error","message":"File not found: file_011"}}"#;
    let (bad, good) = (Upstream::always(json(404, words)).await, good().await);
    let gateway = Gateway::start(vec![claude(bad.url()), claude(good.url())]).await;
    let answer = gateway.post("/v1/messages", MESSAGES).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (404, words));
    assert!(good.received().is_empty());
}

fn bedrock(url: String) -> Given {
    Given {
        kind: AccountType::Bedrock,
        url,
        change: |account| {
            account.upstream.options = Options::Bedrock { region: "us-east-1".into() };
            account.model_mapping = vec![(pattern("claude-*"), "us.anthropic.claude-opus-5-v1:0".into())];
        },
    }
}

fn token() -> Credential {
    Credential::AccessToken { token: Secret::new("token".to_owned()), expires_at: None }
}

fn chatgpt(url: String) -> Given {
    Given { kind: AccountType::Openai, url, change: |account| account.upstream.credential = token() }
}

fn google_login(url: String, form: Form) -> Given {
    let change: fn(&mut Account) = match form {
        Form::CodeAssist => |account| login_of(account, Form::CodeAssist),
        Form::Vertex => |account| login_of(account, Form::Vertex),
        _ => |account| login_of(account, Form::Developer),
    };
    Given { kind: AccountType::Gemini, url, change }
}

fn login_of(account: &mut Account, form: Form) {
    account.upstream.credential = token();
    account.upstream.options = Options::Gemini { form, project: Some("p".into()), location: None };
    account.allowed_models = vec![pattern("gemini-3-pro")];
}

/// One account refuses this request, which gets its refusal; neither the model nor the account is the worse for it.
async fn is_the_requests(given: fn(String) -> Given, path: &str, body: &str, refusal: Script, words: &str) {
    let (first, second) = (Upstream::always(refusal).await, good().await);
    let gateway = Gateway::start(vec![given(first.url()), claude(second.url())]).await;
    for asked in 1..=3 {
        let answer = gateway.post(path, body).await;
        assert!(answer.status.is_client_error() && answer.status != 429, "{}", answer.text());
        assert!(answer.text().contains(words), "{path} {body}: {}", answer.text());
        assert_eq!((first.received().len(), second.received().len()), (asked, 0), "{path} {body}");
    }
    let record = gateway.records(3).await.remove(0);
    assert_eq!((record.outcome(), record.attempts.len()), (Outcome::Refused, 1));
    let state = &gateway.snapshot.load().accounts[0].state;
    assert!(state.marks(gateway.proxy.clock.now()).is_empty());
    assert!(gateway.status_writes.waiting().is_empty());
}

#[tokio::test]
async fn words_that_a_client_has_an_upstream_repeat_are_the_clients_own() {
    let exception = "x-amzn-errortype: ValidationException:http://internal.amazon.com/coral/\r\n";
    for key in [
        "Operation not allowed",
        "The provided model identifier is invalid.",
        "Access to Bedrock models is not allowed for this account.",
        "User: x is not authorized to perform: bedrock:InvokeModel",
    ] {
        let body = MESSAGES.replacen('{', &format!(r#"{{"{key}":1,"#), 1);
        let words = format!("{key}: Extra inputs are not permitted");
        let refusal = json_with(400, exception, &format!(r#"{{"message":"{words}"}}"#));
        is_the_requests(bedrock, "/v1/messages", &body, refusal, &words).await;
    }
    for key in [
        "Your credit balance is too low to access the Anthropic API",
        "This organization has been disabled.",
        "You have reached your specified API usage limits. You will regain access on ",
    ] {
        let body = MESSAGES.replacen('{', &format!(r#"{{"{key}":1,"#), 1);
        let words = format!("{key}: Extra inputs are not permitted");
        let said = format!(
            r#"{{"type":"error","error":{{"type":"invalid_request_error","message":"{words}"}},"request_id":"req_1"}}"#
        );
        is_the_requests(claude, "/v1/messages", &body, json(400, &said), &words).await;
        // As long as to have its end cut off.
        let words = format!("{key} {}: Extra inputs are not permitted", "x".repeat(5000));
        let said =
            format!(r#"{{"type":"error","error":{{"type":"invalid_request_error","message":"{words}"}}}}"#);
        is_the_requests(claude, "/v1/messages", &body, json(400, &said), key).await;
    }
    let key = "model is not supported when using Codex with a ChatGPT account";
    let body = format!(r#"{{"model":"openai,gpt-5","input":"a","{key}":1}}"#);
    let words = format!("Unsupported parameter: {key}");
    let refusal = json(400, &format!(r#"{{"detail":"{words}"}}"#));
    is_the_requests(chatgpt, "/v1/responses", &body, refusal, &words).await;
}

#[tokio::test]
async fn what_google_does_not_find_is_the_model_only_behind_code_assist_and_where_nothing_else_is_named() {
    const MISSING: &str =
        r#"{"error":{"code":404,"message":"Requested entity was not found.","status":"NOT_FOUND"}}"#;
    let words = "Requested entity was not found.";
    let path = "/v1beta/models/gemini-3-pro:generateContent";
    let plain = r#"{"contents":[{"role":"user","parts":[{"text":"a"}]}]}"#;
    let file = r#"{"contents":[{"role":"user","parts":[{"text":"a"},{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/x","mimeType":"image/png"}}]}]}"#;
    let hidden = file.replace("fileData", r"file\u0044ata").replace("fileUri", r"file\u0055ri");
    let long = plain.replace("\"a\"", &format!("{:?}", "a".repeat(300_000)));
    for body in [file, &hidden, &long] {
        let code_assist = |url| google_login(url, Form::CodeAssist);
        is_the_requests(code_assist, path, body, json(404, MISSING), words).await;
    }
    is_the_requests(|url| google_login(url, Form::Developer), path, plain, json(404, MISSING), words).await;
    is_the_requests(|url| google_login(url, Form::Vertex), path, plain, json(404, MISSING), words).await;

    let missing = Upstream::always(json(404, MISSING)).await;
    let gateway = Gateway::start(vec![google_login(missing.url(), Form::CodeAssist)]).await;
    for _ in 0..2 {
        let answer = gateway.post(path, plain).await;
        assert_eq!(answer.status, 404);
        assert_not_found(path, &answer.json());
        assert_eq!(missing.received().len(), 1, "it is asked once");
    }
}

#[tokio::test]
async fn no_header_of_a_clients_has_google_ask_another_project() {
    let upstream = Upstream::always(json(404, "{}")).await;
    for given in [
        Given { kind: AccountType::GeminiApi, url: upstream.url(), change: |_| {} },
        google_login(upstream.url(), Form::CodeAssist),
    ] {
        let gateway = Gateway::start(vec![given]).await;
        let body = r#"{"contents":[{"role":"user","parts":[{"text":"a"}]}]}"#;
        let mut request = gateway.request("/v1beta/models/gemini-3-pro:generateContent", body);
        request.headers_mut().insert("x-goog-user-project", "anothers".parse().unwrap());
        gateway.send(request).await;
    }
    let received = upstream.received();
    assert_eq!(received.len(), 2);
    assert!(received.iter().all(|request| request.header("x-goog-user-project").is_none()));
}

#[tokio::test]
async fn a_deployment_that_azure_lacks_for_a_tool_is_not_the_models() {
    let azure = |url| Given {
        kind: AccountType::AzureOpenai,
        url,
        change: |account| {
            account.upstream.options = Options::Azure { api_version: "v".into(), deployments: Vec::new() };
        },
    };
    let missing = r#"{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}"#;
    let upstream = Upstream::always(json(404, missing)).await;
    let gateway = Gateway::start(vec![azure(upstream.url())]).await;
    let ask = async |deployment: Option<&'static str>| {
        let mut request = gateway.request("/v1/responses", r#"{"model":"azure-openai,gpt-5","input":"a"}"#);
        if let Some(deployment) = deployment {
            let name = "x-ms-oai-image-generation-deployment";
            request.headers_mut().insert(name, deployment.parse().unwrap());
        }
        gateway.send(request).await
    };
    for asked in 1..=2 {
        let answer = ask(Some("nothing")).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (404, missing));
        assert_eq!(upstream.received().len(), asked);
    }
    for _ in 0..2 {
        assert_not_found("/v1/responses", &ask(None).await.json());
        assert_eq!(upstream.received().len(), 3, "it is asked once");
    }
}

#[tokio::test]
async fn what_a_test_is_told_is_kept_without_secrets() {
    let secret = "sk-proj-0123456789abcdef";
    let said = format!(
        r#"{{"error":{{"message":"Incorrect API key provided: {secret}, of sk-ant-upstream-1. {}","type":"invalid_request_error","code":"invalid_api_key"}}}}"#,
        "x ".repeat(600)
    );
    let bad = Upstream::always(json(401, &said)).await;
    let gateway = Gateway::start(vec![openai(bad.url())]).await;
    gateway.post("/v1/chat/completions", CHAT).await;
    assert_eq!(told(&gateway).await, "unauthorized");
    let detail = gateway.status_writes.waiting().remove(0).detail;
    assert!(detail.starts_with("Incorrect API key provided: sk-***, of ***."), "{detail}");
    assert!(detail.len() <= WORDS_MAX, "{}", detail.len());
    let account = Arc::clone(&gateway.snapshot.load().accounts[0]);
    assert_eq!(gateway.proxy.tester.test(&account, None).await.detail, detail);
}
