//! The emulator's paces, through every wire to every kind of upstream.

use std::time::Duration;

use bytes::Bytes;
use emulator::{
    Behaviour, Emulator, EmulatorOptions, Position,
    pace::{Pace, STREAMS, WHOLE},
};
use futures_util::future::join_all;
use http::Request;
use http_body_util::Full;
use proto::v1::{CloseRecord, Outcome};
use shared::{account::AccountType, id::RequestId, secret::Secret};
use tokio::time::Instant;

use super::{
    super::gateway::{Answer, Gateway, Given, pattern},
    at, step_by_step,
};
use crate::snapshot::{Account, Credential, Options, Policy};

const TEXT: &str = "one two three four five six seven eight nine ten";
const CLIENTS: [&str; 4] = ["chat", "responses", "messages", "gemini"];

/// An account of the gateway, and what the emulator and clients call it by.
struct Target {
    kind: AccountType,
    base: &'static str,
    key: &'static str,
    model: &'static str,
    change: fn(&mut Account),
}

const TARGETS: [Target; 6] = [
    Target {
        kind: AccountType::ClaudeConsole,
        base: "/anthropic",
        key: "sk-ant-pace",
        model: "claude-console,claude-sonnet-5",
        change: |account| account.upstream.credential = key("sk-ant-pace"),
    },
    Target {
        kind: AccountType::Openai,
        base: "/openai",
        key: "sk-pace",
        model: "openai,gpt-4o",
        change: |account| account.upstream.credential = key("sk-pace"),
    },
    Target {
        kind: AccountType::OpenaiResponses,
        base: "/openai",
        key: "sk-responses",
        model: "openai-responses,gpt-4o",
        change: |account| account.upstream.credential = key("sk-responses"),
    },
    Target {
        kind: AccountType::GeminiApi,
        base: "/google",
        key: "AIza-pace",
        model: "gemini-api,gemini-2.5-flash",
        change: |account| account.upstream.credential = key("AIza-pace"),
    },
    Target {
        kind: AccountType::Bedrock,
        base: "/bedrock",
        key: "AKIACLAUDE",
        model: "bedrock,claude-sonnet-5",
        change: |account| {
            aws(account, "AKIACLAUDE");
            let id = "us.anthropic.claude-sonnet-5-20260201-v1:0";
            account.model_mapping = vec![(pattern("claude-sonnet-5"), id.to_owned())];
            account.allowed_models = vec![pattern(id)];
        },
    },
    Target {
        kind: AccountType::Bedrock,
        base: "/bedrock",
        key: "AKIANOVA",
        model: "bedrock,amazon.nova-pro-v1:0",
        change: |account| {
            aws(account, "AKIANOVA");
            account.allowed_models = vec![pattern("amazon.nova-pro-v1:0")];
        },
    },
];

fn key(text: &str) -> Credential {
    Credential::ApiKey(Secret::new(text.to_owned()))
}

fn aws(account: &mut Account, id: &str) {
    account.upstream.credential = Credential::Aws {
        access_key_id: Secret::new(id.to_owned()),
        secret_access_key: Secret::new(format!("secret-of-{id}")),
        session_token: None,
    };
    account.upstream.options = Options::Bedrock { region: "us-east-1".to_owned() };
}

/// A gateway before an emulator, and a step that keeps time going.
pub(super) struct Stage {
    emulator: Emulator,
    pub(super) gateway: Gateway,
}

/// One request of one client to one target, played to its end.
pub(super) struct Played {
    pub(super) what: String,
    pub(super) answer: Answer,
    took: Duration,
    pub(super) record: CloseRecord,
}

impl Stage {
    pub(super) async fn set(limits: impl FnOnce(&mut Policy)) -> Self {
        let emulator = Emulator::start(EmulatorOptions::default()).await.unwrap();
        let account = |target: &Target| Given {
            kind: target.kind,
            url: format!("{}{}", emulator.base_url(), target.base),
            change: target.change,
        };
        let gateway = Gateway::limited(TARGETS.iter().map(account).collect(), |in_force| {
            // An account that failed is not asked again, so that the first failure is the last.
            in_force.retries.max = 0;
            limits(in_force);
        })
        .await;
        step_by_step(&gateway);
        Self { emulator, gateway }
    }

    fn request(&self, client: &str, model: &str, stream: bool) -> Request<Full<Bytes>> {
        let (path, body) = match client {
            "chat" => (
                "/v1/chat/completions".to_owned(),
                format!(
                    r#"{{"model":"{model}","stream":{stream},"messages":[{{"role":"user","content":"{TEXT}"}}]}}"#
                ),
            ),
            "responses" => (
                "/v1/responses".to_owned(),
                format!(r#"{{"model":"{model}","stream":{stream},"input":"{TEXT}"}}"#),
            ),
            "messages" => (
                "/v1/messages".to_owned(),
                format!(
                    r#"{{"model":"{model}","stream":{stream},"max_tokens":100,"messages":[{{"role":"user","content":"{TEXT}"}}]}}"#
                ),
            ),
            _ => {
                let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                let body = format!(r#"{{"contents":[{{"role":"user","parts":[{{"text":"{TEXT}"}}]}}]}}"#);
                (format!("/v1beta/models/{model}:{method}"), body)
            }
        };
        self.gateway.request(&path, &body)
    }

    /// Every client's answer from every target, all at once.
    pub(super) async fn play(&self, behaviour: &Behaviour, stream: bool) -> Vec<Played> {
        for target in &TARGETS {
            self.emulator.credential(target.key).set_default(behaviour.clone()).unwrap();
        }
        let pairs = CLIENTS.iter().flat_map(|client| TARGETS.iter().map(move |target| (client, target)));
        let requests = pairs.map(async |(client, target)| {
            let started = Instant::now();
            let answer = self.gateway.send_and_wait(self.request(client, target.model, stream)).await;
            (format!("{client} to {} ({})", target.kind, target.key), answer, started.elapsed())
        });
        let played = join_all(requests).await;
        let (_, records) = self.gateway.journal_now();
        let of = |answer: &Answer| {
            let id: RequestId = answer.headers["x-request-id"].to_str().unwrap().parse().unwrap();
            let is = |record: &&CloseRecord| record.open.as_ref().unwrap().request_id == id.to_bytes();
            records.iter().find(is).unwrap_or_else(|| panic!("no record of {id}")).clone()
        };
        played
            .into_iter()
            .map(|(what, answer, took)| Played { what, record: of(&answer), answer, took })
            .collect()
    }
}

impl Played {
    fn reasons(&self) -> Vec<&str> {
        self.record.attempts.iter().map(|attempt| attempt.reason.as_str()).collect()
    }

    /// How much the client got, without pings: identifiers differ from answer to answer, their length does not.
    fn length(&self) -> usize {
        let text = self.answer.text().replace("\r\n", "\n");
        let frames = text.split("\n\n");
        frames.filter(|frame| !frame.contains("ping") && !frame.starts_with(':')).map(str::len).sum()
    }
}

/// How long a pace takes by itself, pings and frames apart: these depend on the provider.
fn least(pace: &Pace) -> Duration {
    pace.head + pace.pauses.iter().map(|(_, pause)| *pause).sum::<Duration>() + 4 * pace.gap
}

async fn nothing_is_cut(paces: &[Pace], stream: bool, limits: fn(&mut Policy)) {
    let stage = Stage::set(limits).await;
    let prompt = stage.play(&Behaviour::default(), stream).await;
    for pace in paces {
        for (played, prompt) in stage.play(&Behaviour::paced(*pace), stream).await.iter().zip(&prompt) {
            let shown = format!("{}, {}: {}", pace.name, played.what, played.answer.text());
            assert_eq!(played.answer.status, 200, "{shown}");
            assert_eq!(
                (played.record.outcome(), played.reasons()),
                (Outcome::Completed, vec![""]),
                "{shown}"
            );
            assert_eq!(played.length(), prompt.length(), "{shown}\n---\n{}", prompt.answer.text());
            assert!(played.took >= least(pace), "{shown}");
            assert!(!played.record.estimated, "{shown}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_stream_is_cut_that_is_within_the_limits() {
    nothing_is_cut(&STREAMS, true, |_| {}).await;
}

#[tokio::test(start_paused = true)]
async fn no_whole_answer_is_cut_that_is_within_the_limits() {
    nothing_is_cut(&WHOLE, false, |limits| limits.plain_attempt = Duration::from_secs(600)).await;
}

/// One limit that an answer is beyond, and what becomes of it.
struct Beyond {
    behaviour: Behaviour,
    limits: fn(&mut Policy),
    stream: bool,
    reason: &'static str,
    /// When it ends.
    after: Duration,
    /// What the client is told in its head.
    status: u16,
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn beyond() -> [Beyond; 10] {
    let usual: fn(&mut Policy) = |_| {};
    let paused = |at, seconds| Behaviour::default().with_pause(at, secs(seconds));
    let late = |seconds| Behaviour::default().with_head_delay(secs(seconds));
    let case = |behaviour, stream, reason, after, status| Beyond {
        behaviour,
        limits: usual,
        stream,
        reason,
        after: secs(after),
        status,
    };
    [
        case(late(70), true, "first_byte_timeout", 60, 504),
        case(paused(Position::Frame(0), 130), true, "stall", 120, 200),
        case(paused(Position::Content(1), 130), true, "stall", 120, 200),
        Beyond {
            // Bytes come in time, but no content does.
            limits: |limits| limits.first_byte = secs(100),
            ..case(late(90).with_pause(Position::Frame(0), secs(100)), true, "deadline", 180, 200)
        },
        Beyond {
            limits: |limits| limits.max_stream = secs(90),
            ..case(paused(Position::Content(1), 100), true, "max_stream", 90, 200)
        },
        Beyond {
            // No time to hold a head back for.
            limits: |limits| limits.deadline = secs(1),
            ..case(paused(Position::Frame(0), 130), true, "deadline", 1, 504)
        },
        case(late(310), false, "attempt_timeout", 300, 504),
        Beyond {
            limits: |limits| limits.plain_deadline = secs(180),
            ..case(late(200), false, "deadline", 180, 504)
        },
        case(paused(Position::Bytes(0), 130), false, "stall", 120, 504),
        case(late(30).with_pause(Position::Bytes(30), secs(130)), false, "stall", 150, 504),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_a_limit_ends_at_its_time_and_under_its_name() {
    for Beyond { behaviour, limits, stream, reason, after, status } in beyond() {
        let stage = Stage::set(limits).await;
        for played in stage.play(&behaviour, stream).await {
            let shown = format!("{reason}, {}, {:?}: {}", played.what, played.took, played.answer.text());
            assert_eq!(played.answer.status, status, "{shown}");
            assert_eq!(played.reasons(), [reason], "{shown}");
            let outcome = if reason == "max_stream" { Outcome::CutOff } else { Outcome::UpstreamError };
            assert_eq!(played.record.outcome(), outcome, "{shown}");
            assert!(at(played.took, after), "{shown}");
        }
    }
}
