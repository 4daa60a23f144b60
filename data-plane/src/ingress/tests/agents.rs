//! What coding agents build on: names, reasoning that comes home, endpoints that take their tools, switches that nobody
//! sees, and rests that are no longer than they must be.

use std::time::Duration;

use proto::v1::Outcome;
use shared::account::AccountType;
use tokio::time::Instant;

use super::{
    gateway::{Gateway, Given, claude, openai, pattern},
    upstream::{Step, Upstream, json, json_with, send, sse, sse_head},
};

const MESSAGES: &str =
    r#"{"model":"claude-opus-5","messages":[{"role":"user","content":"hi"}],"max_tokens":9}"#;
const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-opus-5-0101\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const REST: &str = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\nevent: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const GOOD: &str = r#"{"id":"m","type":"message","role":"assistant","model":"claude-opus-5-0101","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":9}}"#;

fn streamed(body: &str) -> String {
    body.replacen('{', r#"{"stream":true,"#, 1)
}

#[tokio::test]
async fn operators_may_leave_the_upstreams_name_where_answers_pass() {
    let upstream = Upstream::start(|number, _| match number {
        0 => json(200, GOOD),
        _ => sse(&[START, REST]),
    })
    .await;
    let gateway =
        Gateway::limited(vec![claude(upstream.url())], |limits| limits.served_model_names = true).await;
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.text(), GOOD);
    let answer = gateway.post("/v1/messages", &streamed(MESSAGES)).await;
    assert_eq!(answer.text(), [START, REST].concat());
}

#[tokio::test]
async fn a_switch_behind_an_early_commit_leaves_the_request_as_it_was() {
    let bad = Upstream::always(vec![sse_head(), send(&[START, PING].concat()), Step::Cut]).await;
    let good = Upstream::always(sse(&[&START.replace("\"m\"", "\"other\""), REST])).await;
    let gateway = Gateway::start(vec![claude(bad.url()), claude(good.url())]).await;
    let body = r#"{"model":"claude-opus-5","stream":true, "odd" : [1],"messages":[{"role":"user","content":"hi"}],"max_tokens":9}"#;
    let mut request = gateway.request("/v1/messages?beta=true", body);
    request.headers_mut().insert("anthropic-beta", "one,two".parse().unwrap());
    request.headers_mut().insert("x-app", "cli".parse().unwrap());
    let answer = gateway.send(request).await;
    let text = answer.text();
    assert!(text.starts_with(&START.replace("-0101", "")) && text.contains("message_stop"), "{text}");
    assert!(!text.contains("other") && text.matches("message_start\n").count() == 1, "{text}");
    let (first, second) = (&bad.received()[0], &good.received()[0]);
    assert_eq!(first.line(), second.line());
    assert_eq!(String::from_utf8_lossy(&second.body), body);
    for name in ["anthropic-beta", "x-app", "anthropic-version"] {
        assert_eq!(
            (second.header(name), second.header(name).is_some()),
            (first.header(name), true),
            "{name}"
        );
    }
    assert_eq!(gateway.records(1).await[0].conditions, ["switched_late"]);
}

#[tokio::test]
async fn reasoning_of_another_platform_stays_out_of_a_wires_own_provider() {
    let upstream = Upstream::always(json(200, GOOD)).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let own = r#"{"type":"thinking", "thinking":"a" ,"signature":"EqQB"},"#;
    let body = |thoughts: &str| {
        format!(
            r#"{{"model":"claude-opus-5","max_tokens":9,"messages":[{{"role":"assistant","content":[{own}{thoughts}{{"type":"text","text":"b"}}]}},{{"role":"user","content":"c"}}]}}"#
        )
    };
    let foreign = r#"{"type":"thinking","thinking":"x","signature":"sy1.gemini.proof..CiQ"},{"type":"thinking","thinking":"y","signature":""},"#;
    for thoughts in ["", foreign] {
        assert_eq!(gateway.post("/v1/messages", &body(thoughts)).await.status, 200);
    }
    for received in upstream.received() {
        assert_eq!(String::from_utf8_lossy(&received.body), body(""));
    }
    let records = gateway.records(2).await;
    assert!(records[0].conditions.is_empty());
    assert_eq!(records[1].losses, ["foreign_reasoning"]);
}

#[tokio::test]
async fn reasoning_that_another_account_made_is_left_out_once_it_is_refused() {
    let refusal = r#"{"error":{"message":"The encrypted content for item rs_1 could not be verified.","type":"invalid_request_error","param":null,"code":"invalid_encrypted_content"}}"#;
    let upstream = Upstream::start(move |_, received| {
        let reasons = received.body.windows(11).any(|word| word == b"\"reasoning\"");
        if reasons { json(400, refusal) } else { json(200, RESPONSE) }
    })
    .await;
    let gateway = Gateway::start(vec![openai(upstream.url()), openai(upstream.url())]).await;
    let codex = r#"{"model":"gpt-5.4","store":false,"input":[{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"gAAA"},{"type":"message","role":"user","content":"hi"}]}"#;
    let answer = gateway.post("/v1/responses", codex).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.received().len(), 2);
    let record = gateway.records(1).await.remove(0);
    assert_eq!(record.attempts[0].account_id, record.attempts[1].account_id, "the account is not at fault");
    assert_eq!(record.losses, ["foreign_reasoning"]);
    // Where it is not the reasoning after all, that is said once and not again and again.
    let stubborn = Upstream::always(json(400, refusal)).await;
    let gateway = Gateway::start(vec![openai(stubborn.url())]).await;
    assert_eq!(gateway.post("/v1/responses", codex).await.text(), refusal);
    assert_eq!(stubborn.received().len(), 2);
}

/// A conversation that moved to another account holds what that one can't read for as long as it lasts.
#[tokio::test]
async fn refused_reasoning_is_left_out_of_later_requests_and_the_accounts_own_stays() {
    let refusal = r#"{"error":{"message":"The encrypted content for item rs_1 could not be verified.","type":"invalid_request_error","param":null,"code":"invalid_encrypted_content"}}"#;
    let item = |proof: &str| {
        format!(r#"{{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"{proof}"}},"#)
    };
    let block = |proof: &str| {
        format!(r#"{{"type":"thinking","thinking":"","signature":"sy1.openai.encrypted.rs_1.{proof}"}},"#)
    };
    let codex = |proofs: &str| {
        format!(
            r#"{{"model":"gpt-5.4","store":false,"input":[{proofs}{{"type":"message","role":"user","content":"hi"}}]}}"#
        )
    };
    let claude_code = |proofs: &str| {
        format!(
            r#"{{"model":"gpt-5.4","max_tokens":99,"messages":[{{"role":"user","content":"a"}},{{"role":"assistant","content":[{proofs}{{"type":"text","text":"b"}}]}},{{"role":"user","content":"c"}}]}}"#
        )
    };
    let raw = |proofs: &[&str]| codex(&proofs.iter().map(|proof| item(proof)).collect::<String>());
    let converted =
        |proofs: &[&str]| claude_code(&proofs.iter().map(|proof| block(proof)).collect::<String>());
    type Written<'a> = &'a dyn Fn(&[&str]) -> String;
    let ways: [(&str, Written<'_>); 2] = [("/v1/responses", &raw), ("/v1/messages", &converted)];
    for (path, body) in ways {
        let upstream = Upstream::start(move |_, received| {
            let refused = String::from_utf8_lossy(&received.body).contains("gOLD");
            if refused { json(400, refusal) } else { json(200, RESPONSE) }
        })
        .await;
        let gateway = Gateway::start(vec![openai(upstream.url())]).await;
        assert_eq!(gateway.post(path, &body(&["gOLD1", "gOLD2"])).await.status, 200);
        assert_eq!(upstream.received().len(), 2);
        assert_eq!(gateway.post(path, &body(&["gOLD1", "gOLD2", "gNEW"])).await.status, 200);
        let received = upstream.received();
        assert_eq!(received.len(), 3, "asked once: {path}");
        let sent = String::from_utf8_lossy(&received[2].body).into_owned();
        assert!(sent.contains("gNEW") && !sent.contains("gOLD"), "{sent}");
        let records = gateway.records(2).await;
        assert_eq!(records[1].losses, ["foreign_reasoning"], "{path}");
        // Another model is another matter.
        let other = body(&["gOLD1"]).replace("gpt-5.4", "gpt-5.2");
        assert_eq!(gateway.post(path, &other).await.status, 200);
        assert_eq!(upstream.received().len(), 5, "{path}");
    }
}

/// Codex goes by what it knows of the name; the model that the name is mapped to may know less.
#[tokio::test]
async fn a_search_for_tools_that_the_model_lacks_is_a_function_and_comes_back_as_a_search() {
    const SEARCHES: &str = r#"{"id":"resp_1","object":"response","status":"completed","model":"gpt-5.1","output":[{"type":"function_call","id":"fc_1","call_id":"call_1","name":"tool_search","arguments":"{\"query\":\"weather\"}","status":"completed"}],"usage":{"input_tokens":7,"output_tokens":9,"total_tokens":16}}"#;
    let refusal = r#"{"error":{"message":"Tool 'tool_search' is not supported with gpt-5.1.","type":"invalid_request_error","param":"tools","code":null}}"#;
    let upstream = Upstream::start(move |_, received| {
        let offered = String::from_utf8_lossy(&received.body).contains(r#""type":"tool_search""#);
        if offered { json(400, refusal) } else { json(200, SEARCHES) }
    })
    .await;
    let gateway = Gateway::start(vec![openai(upstream.url())]).await;
    let search = r#"{"type":"tool_search","execution":"client","description":"d","parameters":{"type":"object","properties":{}}}"#;
    let body = |fields: &str, search: &str| {
        format!(
            r#"{{"model":"gpt-5.1",{fields}"tools":[{search}],"input":[{{"type":"message","role":"user","content":"hi"}}]}}"#
        )
    };
    let codex = body(r#""store":false,"#, search);
    for requests in [2, 3] {
        let answer = gateway.post("/v1/responses", &codex).await;
        let text = answer.text();
        assert!(text.contains("\"tool_search_call\"") && text.contains("weather"), "{text}");
        assert_eq!(upstream.received().len(), requests, "known from the first refusal on");
    }
    let sent = String::from_utf8_lossy(&upstream.received()[2].body).into_owned();
    assert!(sent.contains(r#""name":"tool_search""#) && sent.contains(r#""store":false"#), "{sent}");
    // What the provider would run itself, or what it keeps, is for it to refuse.
    let hosted = body(r#""store":false,"#, r#"{"type":"tool_search"}"#);
    for refused in [hosted, body("", search)] {
        assert_eq!(gateway.post("/v1/responses", &refused).await.text(), refusal);
    }
}

#[tokio::test]
async fn a_gemini_stream_that_cannot_go_on_ends_without_a_reason_for_its_end() {
    let upstream = Upstream::always(vec![
        sse_head(),
        send(&[START, REST.split("event: message_delta").next().unwrap()].concat()),
        Step::Cut,
    ])
    .await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    let path = "/v1beta/models/claude-opus-5:streamGenerateContent?alt=sse";
    let answer = gateway.send_and_wait(gateway.request(path, body)).await;
    assert!(answer.whole && answer.text().contains("hi"), "{}", answer.text());
    assert!(!answer.text().contains("finishReason") && !answer.text().contains("error"), "{}", answer.text());
    assert_eq!(gateway.records(1).await[0].outcome(), Outcome::UpstreamError);
}

/// A call of Gemini's is told in one piece: while it is gathered the client has nothing yet.
#[tokio::test]
async fn a_cut_within_a_call_that_the_client_has_not_been_told_of_goes_on_elsewhere() {
    let call = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"f\",\"input\":{}}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\"}}\n\n";
    let bad = Upstream::always(vec![sse_head(), send(&[START, call].concat()), Step::Cut]).await;
    let good = Upstream::always(sse(&[START, REST])).await;
    let gateway = Gateway::start(vec![claude(bad.url()), claude(good.url())]).await;
    let body = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    let path = "/v1beta/models/claude-opus-5:streamGenerateContent?alt=sse";
    let answer = gateway.send_and_wait(gateway.request(path, body)).await;
    let text = answer.text();
    assert!(text.contains("hi") && text.contains("\"STOP\"") && !text.contains("functionCall"), "{text}");
    assert_eq!((bad.received().len(), good.received().len()), (1, 1));
    assert_eq!(gateway.records(1).await[0].outcome(), Outcome::Completed);
}

const THOUGHT: &str = r#"{"type":"thinking","thinking":"the weather matters","signature":"EqQBCg"}"#;
const CALLS: &str = r#"{"id":"m","type":"message","role":"assistant","model":"claude-opus-5","content":[THOUGHT,{"type":"text","text":"One moment."},{"type":"tool_use","id":"toolu_1","name":"f","input":{}},{"type":"tool_use","id":"toolu_2","name":"f","input":{}}],"stop_reason":"tool_use","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":9}}"#;
const TOOL: &str = r#""tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]"#;

/// What a client of chat sends back: the calls, and nothing of what led to them.
fn next_turn(calls: &[&str]) -> String {
    let called: Vec<_> = calls
        .iter()
        .map(|id| {
            format!(r#"{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}"#)
        })
        .collect();
    let results: Vec<_> =
        calls.iter().map(|id| format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"ok"}}"#)).collect();
    format!(
        r#"{{"model":"claude-opus-5",{TOOL},"messages":[{{"role":"user","content":"hi"}},{{"role":"assistant","content":"One moment.","tool_calls":[{}]}},{}]}}"#,
        called.join(","),
        results.join(",")
    )
}

#[tokio::test]
async fn reasoning_that_a_client_of_chat_does_not_send_back_is_remembered_for_it() {
    let answer = CALLS.replace("THOUGHT", THOUGHT);
    let upstream = Upstream::always(json(200, &answer)).await;
    for stream in [false, true] {
        for remembers in [true, false] {
            let gateway = Gateway::limited(vec![claude(upstream.url())], |limits| {
                limits.remember_reasoning = remembers
            })
            .await;
            let before = upstream.received().len();
            let body = format!(
                r#"{{"model":"claude-opus-5","stream":{stream},{TOOL},"messages":[{{"role":"user","content":"hi"}}]}}"#
            );
            assert_eq!(gateway.post("/v1/chat/completions", &body).await.status, 200);
            let next = next_turn(&["toolu_1", "toolu_2"]);
            assert_eq!(gateway.post("/v1/chat/completions", &next).await.status, 200);
            let sent: serde_json::Value =
                serde_json::from_slice(&upstream.received()[before + 1].body).unwrap();
            let turn = &sent["messages"][1]["content"];
            let thought: serde_json::Value = serde_json::from_str(THOUGHT).unwrap();
            assert_eq!(
                (turn[0] == thought, &turn[1 - usize::from(!remembers)]["type"]),
                (remembers, &"text".into()),
                "{turn}"
            );
        }
    }
}

#[tokio::test]
async fn a_growing_conversation_is_marked_for_the_cache_where_operators_do_not_object() {
    let upstream = Upstream::always(json(200, GOOD)).await;
    for (number, marks) in [true, false].into_iter().enumerate() {
        let gateway =
            Gateway::limited(vec![claude(upstream.url())], |limits| limits.cache_marks = marks).await;
        assert_eq!(gateway.post("/v1/chat/completions", &next_turn(&["toolu_1"])).await.status, 200);
        let sent = String::from_utf8(upstream.received()[number].body.clone()).unwrap();
        assert_eq!(sent.contains("cache_control"), marks, "{sent}");
    }
}

const RESPONSE: &str = r#"{"id":"resp_1","object":"response","status":"completed","model":"gpt-5.4-2026-03-05","output":[{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"hi","annotations":[]}]}],"usage":{"input_tokens":7,"output_tokens":9,"total_tokens":16}}"#;
const COMPLETION: &str = r#"{"id":"c","object":"chat.completion","created":1,"model":"gpt-5.4","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}"#;

fn to_openai(body: &str) -> String {
    body.replace("claude-opus-5", "openai,gpt-5.4")
}

#[tokio::test]
async fn models_that_think_are_asked_through_the_responses_api() {
    let upstream = Upstream::always(json(200, RESPONSE)).await;
    let gateway = Gateway::start(vec![openai(upstream.url())]).await;
    let answer = gateway.post("/v1/messages", &to_openai(MESSAGES)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let google = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    assert_eq!(gateway.post("/v1beta/models/openai,gpt-5.4:generateContent", google).await.status, 200);
    for received in upstream.received() {
        assert_eq!(received.line(), "POST /v1/responses HTTP/1.1");
    }
}

#[tokio::test]
async fn a_server_without_the_responses_api_is_asked_once_and_then_through_chat() {
    let upstream = Upstream::start(|_, received| {
        if received.line().contains("responses") {
            json(404, r#"{"detail":"Not Found"}"#)
        } else {
            json(200, COMPLETION)
        }
    })
    .await;
    let gateway = Gateway::start(vec![openai(upstream.url())]).await;
    let codex = r#"{"model":"openai,gpt-5.4","input":"hi"}"#;
    for (path, body) in [
        ("/v1/messages", &*to_openai(MESSAGES)),
        ("/v1/messages", &to_openai(MESSAGES)),
        ("/v1/responses", codex),
    ] {
        let answer = gateway.post(path, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let lines: Vec<_> = upstream.received().iter().map(|received| received.line().to_owned()).collect();
    let (responses, chat) = ("POST /v1/responses HTTP/1.1", "POST /v1/chat/completions HTTP/1.1");
    assert_eq!(lines, [responses, chat, chat, chat]);
    let records = gateway.records(3).await;
    assert_eq!(records[0].attempts.len(), 2);
    assert_eq!((records[0].outcome(), &*records[0].attempts[0].reason), (Outcome::Completed, "status_404"));
}

#[tokio::test]
async fn an_account_of_the_responses_api_alone_is_not_asked_again_and_again() {
    let upstream = Upstream::always(json(404, r#"{"detail":"Not Found"}"#)).await;
    let responses = Given { kind: AccountType::OpenaiResponses, url: upstream.url(), change: |_| {} };
    let gateway = Gateway::start(vec![responses]).await;
    let body = to_openai(MESSAGES).replace("openai,", "openai-responses,");
    assert_eq!(gateway.post("/v1/messages", &body).await.status, 404);
    assert_eq!(upstream.received().len(), 1);
}

#[tokio::test]
async fn a_deployments_name_says_nothing_and_the_name_that_was_asked_for_does() {
    let upstream = Upstream::always(json(200, RESPONSE)).await;
    let azure = Given {
        kind: AccountType::AzureOpenai,
        url: upstream.url(),
        change: |account| {
            account.model_mapping = vec![(pattern("gpt-5.4"), "production".into())];
            account.upstream.options =
                crate::snapshot::Options::Azure { api_version: "v".into(), deployments: Vec::new() };
        },
    };
    let gateway = Gateway::start(vec![azure]).await;
    let body = to_openai(MESSAGES).replace("openai,", "azure-openai,");
    let answer = gateway.post("/v1/messages", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(upstream.received()[0].line(), "POST /openai/v1/responses HTTP/1.1");
}

fn bedrock(url: String) -> Given {
    let kind = AccountType::Bedrock;
    Given {
        kind,
        url,
        change: |account| {
            account.upstream.options = crate::snapshot::Options::Bedrock { region: "us-east-1".into() };
            account.model_mapping = vec![(pattern("claude-*"), "us.anthropic.claude-opus-5-v1:0".into())];
        },
    }
}

#[tokio::test]
async fn bedrock_counts_by_the_models_own_id_and_the_node_counts_where_it_does_not() {
    let counted = Upstream::always(json(200, r#"{"inputTokens":77}"#)).await;
    let refusal = r#"{"message":"The provided model doesn't support counting tokens."}"#;
    let refusing = Upstream::always(json(400, refusal)).await;
    for (upstream, estimated) in [(&counted, false), (&refusing, true)] {
        let gateway = Gateway::start(vec![bedrock(upstream.url())]).await;
        let answer = gateway.post("/v1/messages/count_tokens", MESSAGES).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.headers.contains_key("x-switchyard-estimate"), estimated);
        assert!(answer.json()["input_tokens"].as_u64().unwrap() > 0);
        let received = upstream.received();
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].line(), "POST /model/anthropic.claude-opus-5-v1%3A0/count-tokens HTTP/1.1");
    }
}

#[tokio::test]
async fn an_overflow_is_told_to_codex_as_a_streams_end() {
    let refusal = r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 213462 tokens > 200000 maximum"}}"#;
    let upstream = Upstream::always(json(400, refusal)).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let codex = r#"{"model":"claude-opus-5","stream":true,"input":"hi"}"#;
    let answer = gateway.post("/v1/responses", codex).await;
    assert_eq!(
        (answer.status.as_u16(), answer.headers["content-type"].to_str().unwrap()),
        (200, "text/event-stream; charset=utf-8")
    );
    assert!(
        answer.text().contains("event: response.failed") && answer.text().contains("context_length_exceeded"),
        "{}",
        answer.text()
    );
    let plain = gateway.post("/v1/responses", &codex.replace("true", "false")).await;
    assert_eq!(
        (plain.status.as_u16(), &plain.json()["error"]["code"]),
        (400, &"context_length_exceeded".into())
    );
    assert_eq!(gateway.records(2).await[0].outcome(), Outcome::Refused);
}

#[tokio::test(start_paused = true)]
async fn the_only_account_rests_no_longer_than_its_provider_asks_for() {
    // Two answers without a word on how long.
    let upstream =
        Upstream::start(|number, _| if number < 2 { json(529, "{}") } else { json(200, GOOD) }).await;
    let gateway = Gateway::start(vec![claude(upstream.url())]).await;
    let started = Instant::now();
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert_eq!(gateway.records(1).await[0].attempts.len(), 3);
    // The rest that was guessed is not over yet, and there is nobody else.
    assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
    assert_eq!(upstream.received().len(), 4);
}

#[tokio::test]
async fn a_rest_that_the_provider_asks_for_holds_and_a_guess_holds_while_others_can_serve() {
    let asking = Upstream::always(json_with(529, "retry-after: 7\r\n", "{}")).await;
    let gateway = Gateway::start(vec![claude(asking.url())]).await;
    for _ in 0..2 {
        let answer = gateway.post("/v1/messages", MESSAGES).await;
        assert_eq!((answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap()), (529, "7"));
    }
    assert_eq!(asking.received().len(), 1);

    let (silent, good) = (Upstream::always(json(529, "{}")).await, Upstream::always(json(200, GOOD)).await);
    let gateway = Gateway::start(vec![claude(silent.url()), claude(good.url())]).await;
    for _ in 0..3 {
        assert_eq!(gateway.post("/v1/messages", MESSAGES).await.status, 200);
    }
    assert_eq!((silent.received().len(), good.received().len()), (1, 3));
}
