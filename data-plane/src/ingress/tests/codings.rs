//! Bodies that are compressed: requests of clients, and answers of upstreams that were asked not to.

use bytes::Bytes;
use http::{Request, header::CONTENT_ENCODING};
use http_body_util::{BodyExt as _, Full};
use proto::v1::{CloseRecord, Outcome};
use shared::account::AccountType;

use super::{
    gateway::{Answer, Gateway, Given, claude, openai, pattern, until},
    upstream::{Gate, Script, Step, Upstream, end, json},
};
use crate::coding::{
    Coding,
    encoded::{ALL, encoded, flushed},
};

const MESSAGES: &str =
    r#"{"model":"claude-opus-5","max_tokens":5,"messages":[{"role":"user","content":"h\u00e9"}]}"#;
const CHAT: &str = r#"{"model":"gpt-5","messages":[{"role":"user","content":"hi"}]}"#;
const RESPONSES: &str = r#"{"model":"gpt-5","input":"hi"}"#;
const GEMINI: &str = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;

const MESSAGE: &str = r#"{"id":"m","type":"message","role":"assistant","model":"claude-opus-5","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":9}}"#;
const COMPLETION: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-5","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}"#;
const RESPONSE: &str = r#"{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"gpt-5","output":[{"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[]}]}],"usage":{"input_tokens":7,"output_tokens":9,"total_tokens":16}}"#;
const CONTENT: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":9,"totalTokenCount":16},"modelVersion":"gemini-3-pro"}"#;

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-opus-5\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const STOP: &str = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const CHUNKS: [&str; 3] = [
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-5\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-5\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9,\"total_tokens\":16}}\n\n",
    "data: [DONE]\n\n",
];

type Whom = fn(String) -> Given;

/// A client's wire: where it asks, what for, whom, and the answer to that.
const WIRES: [(&str, &str, Whom, &str); 4] = [
    ("/v1/messages", MESSAGES, claude, MESSAGE),
    ("/v1/chat/completions", CHAT, openai, COMPLETION),
    ("/v1/responses", RESPONSES, responses, RESPONSE),
    ("/v1beta/models/gemini-3-pro:generateContent", GEMINI, gemini, CONTENT),
];

fn responses(url: String) -> Given {
    Given { kind: AccountType::OpenaiResponses, ..openai(url) }
}

fn gemini(url: String) -> Given {
    let change =
        |account: &mut crate::snapshot::Account| account.allowed_models = vec![pattern("gemini-3-pro")];
    Given { kind: AccountType::GeminiApi, url, change }
}

fn sent(gateway: &Gateway, path: &str, body: Vec<u8>, coding: &str) -> Request<Full<Bytes>> {
    let mut request = gateway.request(path, "").map(|_| Full::new(body.into()));
    request.headers_mut().insert(CONTENT_ENCODING, coding.parse().unwrap());
    request
}

fn name(coding: Coding) -> &'static str {
    coding.name()
}

#[tokio::test]
async fn a_compressed_request_goes_upstream_as_it_was_before() {
    for (path, body, account, answer) in WIRES {
        let upstream = Upstream::always(json(200, answer)).await;
        let gateway = Gateway::start(vec![account(upstream.url())]).await;
        let plain = gateway.post(path, body).await;
        assert_eq!(plain.status, 200, "{}", plain.text());
        for coding in ALL {
            let told = name(coding).to_uppercase();
            let answer = gateway.send(sent(&gateway, path, encoded(coding, body.as_bytes()), &told)).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, plain.text()), "{path} {coding:?}");
        }
        let twice = encoded(Coding::Zstd, &encoded(Coding::Gzip, body.as_bytes()));
        let mut request = sent(&gateway, path, twice, "gzip, identity");
        request.headers_mut().append(CONTENT_ENCODING, "zstd".parse().unwrap());
        assert_eq!(gateway.send(request).await.status, 200);
        let received = upstream.received();
        assert_eq!(received.len(), 6);
        for one in &received {
            assert_eq!(String::from_utf8_lossy(&one.body), String::from_utf8_lossy(&received[0].body));
            assert_eq!(
                (one.header("content-encoding"), one.header("accept-encoding")),
                (None, Some("identity"))
            );
        }
    }
}

#[tokio::test]
async fn a_compressed_request_that_cannot_be_read_is_refused_in_the_clients_wire() {
    let gateway = Gateway::start(Vec::new()).await;
    for (path, body, ..) in WIRES {
        let message = |answer: &Answer| answer.json()["error"]["message"].as_str().unwrap().to_owned();
        for (unknown, what) in [("compress", "`compress`"), ("gzip, gzip, gzip", "at most 2")] {
            let refused = gateway.send(sent(&gateway, path, body.into(), unknown)).await;
            assert_eq!(refused.status, 415);
            assert_eq!(refused.headers["accept-encoding"], "gzip, deflate, br, zstd");
            let message = message(&refused);
            assert!(message.contains(what) && message.contains("gzip, deflate, br, zstd"), "{message}");
        }
        for coding in ALL {
            let mut cut = encoded(coding, body.as_bytes());
            cut.pop();
            for broken in [cut, body.as_bytes().to_vec()] {
                let refused = gateway.send(sent(&gateway, path, broken, name(coding))).await;
                assert_eq!(refused.status, 400, "{}", refused.text());
                assert!(
                    message(&refused).contains(&format!("not valid {}", name(coding))),
                    "{}",
                    refused.text()
                );
            }
        }
    }
    let broken = gateway.send(sent(&gateway, "/v1/chat/completions", b"{}".to_vec(), "zstd")).await;
    assert_eq!(broken.json()["error"]["code"], "invalid_body");
    let empty = gateway.send(sent(&gateway, "/v1/chat/completions", Vec::new(), "gzip")).await;
    assert_eq!(empty.status, 400);
}

/// What it grows to counts, and not what is sent.
#[tokio::test]
async fn a_bomb_is_refused_once_it_has_grown_to_the_limit() {
    let gateway = Gateway::limited(Vec::new(), |limits| limits.max_body = 8 << 20).await;
    let nothing = vec![b' '; (8 << 20) + 1];
    for coding in ALL {
        let bomb = encoded(coding, &nothing);
        assert!(bomb.len() < 64 << 10);
        let refused = gateway.send(sent(&gateway, "/v1/messages", bomb, name(coding))).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["error"]["code"]),
            (413, &"body_too_large".into())
        );
        // One inside the other, of which little would come in the end.
        let inner = encoded(Coding::Gzip, &nothing).repeat(900);
        let bomb = encoded(coding, &inner);
        let refused =
            gateway.send(sent(&gateway, "/v1/messages", bomb, &format!("gzip, {}", name(coding)))).await;
        assert_eq!(refused.status, 413);
    }
    let mut others = gateway.proxy.requests.share();
    assert!(others.grow_to(60 << 20));
    let long = encoded(Coding::Zstd, &vec![b' '; 5 << 20]);
    let refused = gateway.send(sent(&gateway, "/v1/messages", long, "zstd")).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]["code"]), (503, &"out_of_memory".into()));
    drop(others);
    until("all is given back", || gateway.proxy.requests.held() == 0).await;
}

/// Longer than what is done on a worker, before and after.
#[tokio::test]
async fn long_compressed_requests_arrive_whole() {
    let upstream = Upstream::always(json(200, MESSAGE)).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let noise: String =
        (0_u64..60_000).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    for text in [noise, "again and ".repeat(300_000)] {
        let body = MESSAGES.replace("h\\u00e9", &text);
        for coding in ALL {
            let request = sent(&gateway, "/v1/messages", encoded(coding, body.as_bytes()), name(coding));
            assert_eq!(gateway.send(request).await.status, 200);
        }
        assert!(upstream.received().iter().rev().take(4).all(|one| one.body == body.as_bytes()));
    }
    until("all is given back", || gateway.proxy.requests.held() == 0).await;
}

/// A compressed answer, each part of which goes out as soon as it is there.
fn compressed(coding: Coding, status: u16, content_type: &str, parts: &[&str]) -> Script {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-encoding: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        name(coding)
    );
    let parts: Vec<_> = parts.iter().map(|part| part.as_bytes()).collect();
    let sent = flushed(coding, &parts).into_iter().filter(|part| !part.is_empty());
    let chunks =
        sent.map(|part| Step::Send([format!("{:x}\r\n", part.len()).as_bytes(), &part, b"\r\n"].concat()));
    [Step::Send(head.into_bytes())].into_iter().chain(chunks).chain([end()]).collect()
}

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

async fn answered(script: Script, account: Whom, path: &str, body: &str) -> (Answer, CloseRecord) {
    let upstream = Upstream::always(script).await;
    let gateway = Gateway::start(vec![account(upstream.url())]).await;
    let answer = gateway.post(path, body).await;
    (answer, gateway.records(1).await.remove(0))
}

/// With what differs from one request to the next taken out.
fn told(answer: &Answer) -> String {
    let id = answer.headers["x-request-id"].to_str().unwrap();
    let text = answer.text().replace(id, "ID").replace(&id.to_lowercase(), "ID");
    let times: Vec<_> =
        text.split(['"', ',', '}']).filter(|part| part.len() == 11 && part.starts_with(":1")).collect();
    times.iter().fold(text.clone(), |text, time| text.replace(time, ":TIME"))
}

#[tokio::test]
async fn a_compressed_answer_is_read_as_any_other_raw_and_converted_whole_and_streamed() {
    let streamed = |body: &str| body.replacen('{', r#"{"stream":true,"#, 1);
    let frames = [START, DELTA, STOP];
    type Case<'a> = (&'a str, &'a [&'a str], Whom, &'a str, String);
    let mut cases: Vec<Case<'_>> = Vec::new();
    for (path, body, account, answer) in &WIRES {
        cases.push((JSON, std::slice::from_ref(answer), *account, path, (*body).to_owned()));
    }
    // Converted: whole, streamed, and gathered.
    let asked = CHAT.replace("gpt-5", "claude-opus-5");
    cases.push((JSON, &[MESSAGE], claude, "/v1/chat/completions", asked.clone()));
    cases.push((EVENTS, &frames, claude, "/v1/chat/completions", streamed(&asked)));
    cases.push((EVENTS, &frames, claude, "/v1/chat/completions", asked));
    cases.push((
        EVENTS,
        &frames,
        claude,
        "/v1/responses",
        streamed(&RESPONSES.replace("gpt-5", "claude-opus-5")),
    ));
    // Raw: streamed, gathered, and given whole where a stream was asked for.
    cases.push((EVENTS, &frames, claude, "/v1/messages", streamed(MESSAGES)));
    cases.push((EVENTS, &CHUNKS, openai, "/v1/chat/completions", streamed(CHAT)));
    cases.push((EVENTS, &CHUNKS, openai, "/v1/chat/completions", CHAT.to_owned()));
    cases.push((JSON, &[COMPLETION], openai, "/v1/chat/completions", streamed(CHAT)));
    for (content_type, parts, account, path, body) in cases {
        let plain = Script::from([
            Step::Send(
                format!(
                    "HTTP/1.1 200 X\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                .into(),
            ),
            Step::Send(super::upstream::chunk(&parts.concat())),
            end(),
        ]);
        let (usual, recorded) = answered(plain, account, path, &body).await;
        for coding in ALL {
            let script = compressed(coding, 200, content_type, parts);
            let (answer, record) = answered(script, account, path, &body).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(told(&answer), told(&usual), "{path} {body}: {coding:?}");
            assert_eq!(answer.headers.get("content-type"), usual.headers.get("content-type"));
            assert!(answer.headers.get(CONTENT_ENCODING).is_none());
            assert_eq!((record.outcome(), record.estimated), (Outcome::Completed, false));
            assert_eq!(record.attempts[0].usage, recorded.attempts[0].usage);
            assert!(record.attempts[0].usage.is_some_and(|usage| usage.output == 9));
        }
    }
}

#[tokio::test]
async fn each_frame_of_a_compressed_stream_is_given_away_once_it_can_be_decoded() {
    const STREAMED: &str = r#"{"model":"claude-opus-5","stream":true,"messages":[],"max_tokens":1}"#;
    for coding in ALL {
        let gate = Gate::new();
        let mut script = compressed(coding, 200, EVENTS, &[START, DELTA, DELTA, STOP]);
        for behind in [5, 4, 3] {
            script.insert(behind - 1, Step::Wait(gate.clone()));
        }
        let upstream = Upstream::always(script).await;
        let gateway = Gateway::start(vec![claude(upstream.url())]).await;
        let opening = gateway.open(gateway.request("/v1/messages", STREAMED));
        gate.open();
        let mut answer = opening.await;
        let mut text = String::new();
        for (parts, goes_on) in [([START, DELTA].concat(), true), (DELTA.into(), true), (STOP.into(), false)]
        {
            let wanted = text.len() + parts.len();
            while text.len() < wanted {
                let frame = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
                text.push_str(std::str::from_utf8(&frame).unwrap());
            }
            assert!(text.ends_with(&parts), "{coding:?}: {text}");
            if goes_on {
                gate.open();
            }
        }
    }
}

/// What the first of two accounts answers; gives the reason recorded for it.
async fn switched(script: Script, body: &str) -> String {
    let (bad, good) = (Upstream::always(script).await, Upstream::always(json(200, MESSAGE)).await);
    let gateway = Gateway::start(vec![claude(bad.url()), claude(good.url())]).await;
    let answer = gateway.post("/v1/messages", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), record.attempts.len()), (Outcome::Completed, 2));
    record.attempts[0].reason.clone()
}

#[tokio::test]
async fn compressed_errors_are_judged_as_any_other() {
    const CREDIT: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}"#;
    const LIMITED: &str = r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}"#;
    const WORDS: &str = r#"{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: too many"}, "odd":1}"#;
    for coding in ALL {
        assert_eq!(switched(compressed(coding, 400, JSON, &[CREDIT]), MESSAGES).await, "status_400");
        assert_eq!(switched(compressed(coding, 429, JSON, &[LIMITED]), MESSAGES).await, "status_429");
        assert_eq!(switched(compressed(coding, 200, JSON, &[LIMITED]), MESSAGES).await, "no_answer");
        let script = compressed(coding, 400, JSON, &[WORDS]);
        let (answer, record) = answered(script.clone(), claude, "/v1/messages", MESSAGES).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (400, WORDS));
        assert!(answer.headers.get(CONTENT_ENCODING).is_none());
        assert_eq!(
            (record.outcome(), &*record.attempts[0].detail),
            (Outcome::Refused, "max_tokens: too many")
        );
        let chat = CHAT.replace("gpt-5", "claude-opus-5");
        let (answer, _) = answered(script, claude, "/v1/chat/completions", &chat).await;
        assert_eq!(answer.json()["error"]["message"], "max_tokens: too many");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_of_its_coding_is_the_attempts_failure() {
    for coding in ALL {
        let mut lies = json(200, MESSAGE);
        let Step::Send(bytes) = &mut lies[0] else { unreachable!() };
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes =
            text.replacen("\r\n", &format!("\r\ncontent-encoding: {}\r\n", name(coding)), 1).into_bytes();
        assert_eq!(switched(lies, MESSAGES).await, "malformed");
        // It ends in order, and ahead of its coding's end.
        let mut short = compressed(coding, 200, JSON, &[MESSAGE, ""]);
        short.drain(2..short.len() - 1);
        assert_eq!(switched(short, MESSAGES).await, "malformed", "{coding:?}");
        let mut early = compressed(coding, 200, EVENTS, &[START, DELTA]);
        early[1] = Step::Send(super::upstream::chunk("event: message_start\n"));
        let streamed = MESSAGES.replacen('{', r#"{"stream":true,"#, 1);
        assert_eq!(switched(early, &streamed).await, "malformed");

        let mut late = compressed(coding, 200, EVENTS, &[START, DELTA, STOP]);
        let gate = Gate::new();
        late[3] = Step::Send(super::upstream::chunk(&"\u{7f}".repeat(400)));
        late.insert(3, Step::Wait(gate.clone()));
        let upstream = Upstream::always(late).await;
        let gateway = Gateway::start(vec![claude(upstream.url())]).await;
        let mut answer = gateway.open(gateway.request("/v1/messages", &streamed)).await;
        let content = [START, DELTA].concat();
        let mut text = Vec::new();
        while text.len() < content.len() {
            text.extend(answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap());
        }
        gate.open();
        assert_eq!(
            (text, super::gateway::read(answer.into_body()).await),
            (content.into(), (Bytes::new(), false))
        );
        let record = gateway.records(1).await.remove(0);
        assert_eq!((record.outcome(), &*record.attempts[0].reason), (Outcome::UpstreamError, "malformed"));
    }
}

#[tokio::test]
async fn a_compressed_stream_is_read_on_for_its_usage_when_the_client_leaves() {
    let gate = Gate::new();
    let mut script = compressed(Coding::Gzip, 200, EVENTS, &[START, DELTA, STOP]);
    script.insert(3, Step::Wait(gate.clone()));
    let upstream = Upstream::always(script).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let streamed = MESSAGES.replacen('{', r#"{"stream":true,"#, 1);
    let mut answer = gateway.open(gateway.request("/v1/messages", &streamed)).await;
    assert!(answer.body_mut().frame().await.unwrap().is_ok());
    drop(answer);
    until("the client is seen to be gone", || gateway.proxy.metrics.node.streams() == 0).await;
    gate.open();
    let record = gateway.records(1).await.remove(0);
    assert_eq!((record.outcome(), &*record.conditions), (Outcome::ClientGone, &["drained".to_owned()][..]));
    assert!(record.attempts[0].usage.is_some_and(|usage| usage.output == 9));
}

/// However much comes of little: it is held to the limit of answers, and the worker has other turns meanwhile.
#[tokio::test]
async fn a_compressed_answer_is_bounded_by_what_comes_of_it() {
    for coding in ALL {
        let bomb = " ".repeat(2 << 20);
        let upstream = Upstream::always(compressed(coding, 200, JSON, &[&bomb])).await;
        let gateway =
            Gateway::limited(vec![claude(upstream.url())], |limits| limits.max_answer = 1 << 20).await;
        // To be converted, it would have to be held.
        let chat = CHAT.replace("gpt-5", "claude-opus-5");
        assert_eq!(gateway.post("/v1/chat/completions", &chat).await.status, 502);
        assert_eq!(gateway.records(1).await[0].attempts[0].reason, "too_large");
        // In the client's own wire it passes as it comes.
        assert_eq!(gateway.post("/v1/messages", MESSAGES).await.body.len(), 2 << 20);
        until("all is given back", || gateway.proxy.answers.held() == 0).await;
    }
}

#[tokio::test]
async fn an_unknown_coding_passes_as_it_is() {
    let mut script = compressed(Coding::Gzip, 200, JSON, &[MESSAGE]);
    let Step::Send(head) = &mut script[0] else { unreachable!() };
    *head = String::from_utf8(head.clone()).unwrap().replace("gzip", "compress").into_bytes();
    let (answer, record) = answered(script, claude, "/v1/messages", MESSAGES).await;
    assert_eq!(answer.headers[CONTENT_ENCODING], "compress");
    assert_eq!(&*answer.body, flushed(Coding::Gzip, &[MESSAGE.as_bytes()]).concat());
    assert_eq!((record.outcome(), record.attempts[0].usage), (Outcome::Completed, None));
}
