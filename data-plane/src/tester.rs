//! Finds out whether an account works, by the smallest request that its upstream answers.

mod record;

use std::{future::poll_fn, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, response};
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
use wire::{error::upstream::UpstreamError, raw::body::facts_of_error};

use crate::{
    control::StatusWrites,
    provider::{
        Asked, Endpoint, ErrorAnswer, Front, Provider,
        failure::{Class, Reason},
        for_account, fresh_request_headers, strip_request_headers, words,
    },
    scheduler,
    snapshot::{Account, Credential, Options, SnapshotHandle},
    upstream::{Call, RequestBody, UpstreamClient},
    usage::Journal,
};
use record::{Answered, MAX_OUTPUT, TestRecord};

/// How long an upstream may take to begin its answer to a test.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take for its body after that, of which no more than this is read.
const BODY_TIMEOUT: Duration = Duration::from_secs(3);
const MAX_BODY: usize = 64 * 1024;
/// After a test that a failing request asked for, the next one waits at least this long.
const CONFIRM_PAUSE: Duration = Duration::from_secs(60);
/// Why an account is invalid that nobody pays for.
const BILLING: &str = "billing";

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
    journal: Journal,
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
        journal: Journal,
    ) -> Self {
        let confirmed = HashMap::new();
        Self(Arc::new(Inner { upstream, snapshot, status_writes, clock, tasks, journal, confirmed }))
    }

    /// Sends one smallest request. `model` absent: the account's first allowed model, else one of its platform.
    pub async fn test(&self, account: &Arc<Account>, model: Option<&str>) -> TestAccountResult {
        let Tested { mut result, class } = self.try_out(account, model).await;
        let fault = class.and_then(|class| credential_fault(class, result.http_status, account));
        result.credential_fault = fault.unwrap_or_default().to_owned();
        result
    }

    async fn try_out(&self, account: &Arc<Account>, model: Option<&str>) -> Tested {
        let started = Instant::now();
        let model = model.map(ToOwned::to_owned).or_else(|| self.model_for(account)).unwrap_or_default();
        let mut tested = match self.request(account, &model) {
            Err(reason) => Tested::failed(reason),
            Ok(addressed) => self.ask(account, &model, addressed).await,
        };
        tested.result.latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tested.result.model = model;
        tested
    }

    /// Sends the test, which is in the ledger from then on.
    async fn ask(&self, account: &Account, model: &str, addressed: Addressed) -> Tested {
        let Addressed { provider, request, endpoint, body } = addressed;
        let Inner { journal, clock, snapshot, .. } = &*self.0;
        let sent_model = provider.model(account, model);
        let Some(record) = TestRecord::open(journal, clock, account, (sent_model, endpoint), &body) else {
            return Tested::failed("no_room_for_records");
        };
        let began = Instant::now();
        let only_model = provider.names_only_the_model(account, &request);
        let (mut tested, answered) = match self.exchange(request).await {
            Ok(Exchanged { head, said, body }) => {
                let consumed = head.status.is_success();
                let tested = judge((head, said), account, provider, (sent_model, only_model));
                (tested, Answered { consumed, body })
            }
            Err(Unanswered { reason, sent }) => {
                (Tested::failed(&reason.code()), Answered { consumed: sent, ..Answered::default() })
            }
        };
        tested.result.latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        record.close(journal, &snapshot.load(), &tested.result, &answered);
        tested
    }

    /// A request was refused for the account's credential, or because nobody pays for it: tests the account in a task
    /// of its own and, if that is so, asks to have it written for good. At most one test of an account at a time, and
    /// none soon after the last.
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
        let TestAccountResult { credential_fault: reason, detail, .. } = self.test(account, None).await;
        if reason.is_empty() {
            return;
        }
        tracing::warn!(account = %account.name, id = %account.id, reason, "the account's credential does not work");
        self.0.status_writes.push(StatusWrite {
            account_id: account.id.to_bytes().to_vec(),
            account_version: account.version,
            reason,
            detail,
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

    fn request(&self, account: &Account, model: &str) -> Result<Addressed, &'static str> {
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
        let text = Bytes::from(smallest.body.to_string());
        let body = RequestBody::from(text.to_vec());
        let now = self.0.clock.now();
        provider.sign(account, &mut parts, &body, now).map_err(|_| "unaddressable")?;
        let request = Request::from_parts(parts, body);
        Ok(Addressed { provider, request, endpoint: smallest.endpoint, body: text })
    }

    /// The head, what a refusal says, and the body of what is no refusal, as far as it comes in time.
    async fn exchange(&self, request: Request<RequestBody>) -> Result<Exchanged, Unanswered> {
        let unsent = |reason| Unanswered { reason, sent: false };
        let mut call = self.0.upstream.send(request, true).ok_or(unsent(Reason::Stopped))?;
        let head = timeout(HEAD_TIMEOUT, poll_fn(|cx| call.poll_head(cx))).await;
        let head = match head {
            Ok(Ok(head)) => head,
            Ok(Err(error)) => return Err(Unanswered { reason: Reason::of(&error), sent: call.is_sent() }),
            Err(_) => return Err(Unanswered { reason: Reason::FirstByteTimeout, sent: call.is_sent() }),
        };
        let body = read(call).await;
        let said = if head.status.is_success() { UpstreamError::default() } else { said(&body) };
        Ok(Exchanged { head, said, body })
    }
}

/// A test that is ready to go out.
struct Addressed {
    provider: &'static dyn Provider,
    request: Request<RequestBody>,
    endpoint: Endpoint,
    /// The request's.
    body: Bytes,
}

/// Why the account's credential does not work, where that is what such an answer means.
fn credential_fault(class: Class, status: u32, account: &Account) -> Option<&'static str> {
    let is_token = matches!(account.upstream.credential, Credential::AccessToken { .. });
    match (class, status) {
        (Class::Billing, _) => Some(BILLING),
        // Until access tokens are refreshed, a person has to bring a new one.
        (Class::Credential, 401) if is_token => Some("expired"),
        // 400: Google's, of a key.
        (Class::Credential, 400 | 401) => Some("unauthorized"),
        (Class::Credential, _) => Some("forbidden"),
        _ => None,
    }
}

struct Unanswered {
    reason: Reason,
    /// The upstream has the whole request.
    sent: bool,
}

struct Exchanged {
    head: response::Parts,
    said: UpstreamError,
    body: Bytes,
}

/// What a test found.
struct Tested {
    result: TestAccountResult,
    /// Of the upstream's answer, where it is no success.
    class: Option<Class>,
}

impl Tested {
    fn failed(reason: &str) -> Self {
        let result = TestAccountResult { reason: reason.to_owned(), ..TestAccountResult::default() };
        Self { result, class: None }
    }
}

fn judge(
    (head, said): (response::Parts, UpstreamError),
    account: &Account,
    provider: &dyn Provider,
    (model, only_model): (&str, bool),
) -> Tested {
    let (ok, status, headers) = (head.status.is_success(), head.status.as_u16(), &head.headers);
    let class =
        (!ok).then(|| provider.class(&ErrorAnswer { status, headers, said: &said, model, only_model }));
    let reason = match class {
        None => String::new(),
        Some(Class::Billing) => BILLING.to_owned(),
        Some(_) => Reason::Status(status).code().into_owned(),
    };
    let result = TestAccountResult {
        ok,
        http_status: u32::from(status),
        reason,
        detail: words::for_operators(&said.message, account),
        ..TestAccountResult::default()
    };
    Tested { result, class }
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
            json!({ "model": model, "max_completion_tokens": MAX_OUTPUT, "messages": messages() }),
        ),
        Front::Responses => plain(
            Endpoint::Responses,
            json!({ "model": model, "max_output_tokens": MAX_OUTPUT, "input": ".", "store": false }),
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

/// What comes of the body in time, up to a bound.
async fn read(mut call: Call) -> Bytes {
    let mut read = BytesMut::new();
    let reading = async {
        while read.len() < MAX_BODY
            && let Some(Ok(data)) = poll_fn(|cx| call.poll_chunk(cx)).await
        {
            read.extend_from_slice(&data);
        }
    };
    _ = timeout(BODY_TIMEOUT, reading).await;
    read.freeze()
}

/// The error; where its body has no form that is known, the message is the beginning of what came of it in time.
fn said(body: &[u8]) -> UpstreamError {
    let mut said = facts_of_error(body);
    if said.message.is_empty() {
        said.message = String::from_utf8_lossy(body).into_owned();
    }
    said
}
