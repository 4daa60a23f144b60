//! Finds out whether an account works, by the smallest request that its upstream answers.

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::BytesMut;
use http::{HeaderMap, Method, Request};
use papaya::HashMap;
use proto::v1::{StatusWrite, TestAccountResult, droid_options::Endpoint as Kind};
use serde_json::{Value, json};
use shared::{
    clock::{Clock, Millis},
    id::AccountId,
    tasks::Tasks,
    wire::Platform,
};
use tokio::time::{Instant, timeout};

use crate::{
    control::StatusWrites,
    provider::{
        Asked, Endpoint, Front, failure::Reason, for_account, fresh_request_headers, strip_request_headers,
    },
    scheduler,
    snapshot::{Account, Credential, Options, SnapshotHandle},
    upstream::{Call, RequestBody, UpstreamClient},
};

/// How long an upstream may take to begin its answer to a test.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take for the words of a refusal.
const WORDS_TIMEOUT: Duration = Duration::from_secs(3);
/// After a test that a failing request asked for, the next one waits at least this long.
const CONFIRM_PAUSE: Duration = Duration::from_secs(60);
/// Of the provider's own words, this much is kept.
const DETAIL_MAX: usize = 512;

/// Tests accounts. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Tester(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    upstream: Arc<UpstreamClient>,
    snapshot: SnapshotHandle,
    status_writes: StatusWrites,
    clock: Clock,
    tasks: Tasks,
    /// The account's version that was last tested because requests failed, and when.
    confirmed: HashMap<AccountId, (u64, Millis)>,
}

impl Tester {
    #[must_use]
    pub fn new(
        upstream: Arc<UpstreamClient>,
        snapshot: SnapshotHandle,
        status_writes: StatusWrites,
        clock: Clock,
        tasks: Tasks,
    ) -> Self {
        let confirmed = HashMap::new();
        Self(Arc::new(Inner { upstream, snapshot, status_writes, clock, tasks, confirmed }))
    }

    /// Sends one smallest request. `model` absent: the account's first allowed model, else one of its platform.
    pub async fn test(&self, account: &Arc<Account>, model: Option<&str>) -> TestAccountResult {
        let started = Instant::now();
        let model = model.map(ToOwned::to_owned).or_else(|| self.model_for(account)).unwrap_or_default();
        let failed =
            |reason: &str| TestAccountResult { reason: reason.to_owned(), ..TestAccountResult::default() };
        let mut result = match self.request(account, &model) {
            Err(reason) => failed(reason),
            Ok(request) => match self.exchange(request).await {
                Ok((status, words)) => judge(status, words),
                Err(reason) => failed(&reason.code()),
            },
        };
        result.latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        result.model = model;
        result
    }

    /// A request was answered 401, 402 or 403: tests the account in a task of its own and, if that is so, asks to
    /// have it written for good. At most one test of an account at a time, and none soon after the last.
    pub fn confirm(&self, account: &Arc<Account>) {
        let now = self.0.clock.now();
        let confirmed = self.0.confirmed.pin();
        let due = confirmed.compute(account.id, |known| match known {
            Some((_, (version, at))) if *version == account.version && now.since(*at) < CONFIRM_PAUSE => {
                papaya::Operation::Abort(())
            }
            _ => papaya::Operation::Insert((account.version, now)),
        });
        if matches!(due, papaya::Compute::Aborted(())) {
            return;
        }
        let (tester, account) = (self.clone(), Arc::clone(account));
        self.0.tasks.spawn(async move { tester.confirm_now(&account).await });
    }

    async fn confirm_now(&self, account: &Arc<Account>) {
        let result = self.test(account, None).await;
        let is_token = matches!(account.upstream.credential, Credential::AccessToken { .. });
        let reason = match result.http_status {
            // Until access tokens are refreshed, a person has to bring a new one.
            401 if is_token => "expired",
            401 => "unauthorized",
            402 => "billing",
            403 => "forbidden",
            _ => return,
        };
        tracing::warn!(account = %account.name, id = %account.id, reason, "the account's credential does not work");
        self.0.status_writes.push(StatusWrite {
            account_id: account.id.to_bytes().to_vec(),
            account_version: account.version,
            reason: reason.to_owned(),
            detail: result.detail,
        });
    }

    fn model_for(&self, account: &Account) -> Option<String> {
        let exact =
            account.allowed_models.iter().map(|pattern| pattern.as_str()).find(|name| !name.contains('*'));
        if let Some(name) = exact {
            return Some(name.to_owned());
        }
        let platform = match &account.upstream.options {
            Options::Droid { endpoint: Kind::Anthropic } => Platform::Claude,
            Options::Droid { .. } => Platform::OpenAi,
            _ => account.kind?.platform(),
        };
        let snapshot = self.0.snapshot.load();
        let offered =
            snapshot.models.iter().filter(|model| model.platform == platform && is_chat(&model.name));
        offered.filter_map(|model| scheduler::mapped(account, &model.name)).next().map(ToOwned::to_owned)
    }

    fn request(&self, account: &Account, model: &str) -> Result<Request<RequestBody>, &'static str> {
        if model.is_empty() {
            return Err("no_model");
        }
        let provider = for_account(account).ok_or("unsupported_by_node")?;
        if !provider.takes(&account.upstream.credential) {
            return Err("unaddressable");
        }
        let model = provider.model(account, model);
        let smallest = smallest(provider.front(account, model), model, account);
        let asked = Asked { endpoint: smallest.endpoint, model, stream: smallest.stream, query: None };
        let mut headers = HeaderMap::new();
        strip_request_headers(&mut headers);
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = provider.url(account, &asked).map_err(|_| "unaddressable")?;
        *request.headers_mut() = fresh_request_headers(&headers);
        let (mut parts, ()) = request.into_parts();
        let body = RequestBody::from(smallest.body.to_string().into_bytes());
        let now = self.0.clock.now();
        provider.sign(account, &mut parts, &body, now).map_err(|_| "unaddressable")?;
        Ok(Request::from_parts(parts, body))
    }

    /// The status, and a refusal's words. An answer that is none says all with its head.
    async fn exchange(&self, request: Request<RequestBody>) -> Result<(u16, String), Reason> {
        let mut call = self.0.upstream.send(request, true).ok_or(Reason::Stopped)?;
        let head = timeout(HEAD_TIMEOUT, poll_fn(|cx| call.poll_head(cx)));
        let head = head.await.map_err(|_elapsed| Reason::FirstByteTimeout)?;
        let status = head.map_err(|error| Reason::of(&error))?.status;
        let words = if status.is_success() { String::new() } else { words(call).await };
        Ok((status.as_u16(), words))
    }
}

fn judge(status: u16, words: String) -> TestAccountResult {
    let ok = (200..300).contains(&status);
    TestAccountResult {
        ok,
        http_status: u32::from(status),
        reason: if ok { String::new() } else { Reason::Status(status).code().into_owned() },
        detail: words,
        ..TestAccountResult::default()
    }
}

fn is_chat(model: &str) -> bool {
    !model.contains("embedding")
}

/// The smallest request that an upstream answers.
struct Smallest {
    endpoint: Endpoint,
    stream: bool,
    body: Value,
}

fn smallest(front: Front, model: &str, account: &Account) -> Smallest {
    let plain = |endpoint, body| Smallest { endpoint, stream: false, body };
    let messages = || json!([{ "role": "user", "content": "." }]);
    let contents = || json!([{ "role": "user", "parts": [{ "text": "." }] }]);
    match front {
        Front::Anthropic => {
            plain(Endpoint::Messages, json!({ "model": model, "max_tokens": 1, "messages": messages() }))
        }
        Front::BedrockClaude => plain(
            Endpoint::Invoke,
            json!({ "anthropic_version": "bedrock-2023-05-31", "max_tokens": 1, "messages": messages() }),
        ),
        Front::BedrockConverse => plain(
            Endpoint::Converse,
            json!({
                "messages": [{ "role": "user", "content": [{ "text": "." }] }],
                "inferenceConfig": { "maxTokens": 1 },
            }),
        ),
        Front::OpenAi
        | Front::OpenAiThinking
        | Front::Compatible
        | Front::Chat
        | Front::Azure
        | Front::AzureThinking => plain(
            Endpoint::ChatCompletions,
            json!({ "model": model, "max_completion_tokens": 16, "messages": messages() }),
        ),
        Front::Responses => plain(
            Endpoint::Responses,
            json!({ "model": model, "max_output_tokens": 16, "input": ".", "store": false }),
        ),
        Front::ChatGpt => Smallest {
            endpoint: Endpoint::Responses,
            stream: true,
            body: json!({ "model": model, "input": messages(), "store": false, "stream": true }),
        },
        Front::Gemini => plain(
            Endpoint::GenerateContent,
            json!({ "contents": contents(), "generationConfig": { "maxOutputTokens": 1 } }),
        ),
        Front::CodeAssist => {
            let project = match &account.upstream.options {
                Options::Gemini { project, .. } => project.as_deref(),
                _ => None,
            };
            let request = json!({ "contents": contents(), "generationConfig": { "maxOutputTokens": 1 } });
            plain(
                Endpoint::GenerateContent,
                json!({ "model": model, "project": project, "request": request }),
            )
        }
    }
}

/// The error's message where there is one, else the beginning of what came of the body in time.
async fn words(mut call: Call) -> String {
    let mut read = BytesMut::new();
    let reading = async {
        while read.len() < 16 * 1024
            && let Some(Ok(data)) = poll_fn(|cx| call.poll_chunk(cx)).await
        {
            read.extend_from_slice(&data);
        }
    };
    _ = timeout(WORDS_TIMEOUT, reading).await;
    let parsed: Option<serde_json::Value> = serde_json::from_slice(&read).ok();
    let message = parsed.as_ref().and_then(|body| body.pointer("/error/message")?.as_str());
    let text = message.map_or_else(|| String::from_utf8_lossy(&read).into_owned(), ToOwned::to_owned);
    let mut text = text;
    text.truncate(text.floor_char_boundary(DETAIL_MAX));
    text
}
