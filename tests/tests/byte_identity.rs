//! Same wire in and out: what the client sent is what the provider got, and the other way round, save the stated edits.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use emulator::{Behaviour, CallRecord, LineEnds, Writes};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value, json};
use tests::{Caller, Gateway, chat_body, messages_body, read};
use tokio::runtime::Handle;

const CLAUDE: &str = "sk-ant-identity";
const OPENAI: &str = "sk-identity";

async fn start() -> (Gateway, Caller) {
    let gateway = Gateway::standalone().await;
    gateway.account("claude-console", CLAUDE).await;
    gateway.account("openai", OPENAI).await;
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-5").await;
    caller.offered("gpt-4o").await;
    (gateway, caller)
}

fn last_call(gateway: &Gateway, credential: &str) -> CallRecord {
    gateway.emulator.credential(credential).calls().pop().unwrap()
}

/// Any JSON value, not too deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(|number: f64| json!(number)),
        "\\PC{0,12}".prop_map(Value::from),
        "[\\x00-\\x1f\"\\\\/🦀é]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::hash_map("\\PC{0,8}", inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// How a client may write its body: unknown fields ahead of and behind the known ones, in any spacing.
fn written(body: &Value, unknown: &Value, pretty: bool, ahead: bool) -> Vec<u8> {
    let with = |text: String| {
        let extra = format!("\"x-unknown-field\" :\t{unknown} ");
        let inside =
            text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap().to_owned();
        if ahead { format!(" {{{extra},{inside}}}\r\n") } else { format!("{{{inside},\n{extra}}}") }
    };
    let text = if pretty { serde_json::to_string_pretty(body) } else { serde_json::to_string(body) };
    with(text.unwrap()).into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_body_and_any_chunking_pass_byte_for_byte() {
    let (gateway, caller) = start().await;
    let handle = Handle::current();
    let case = (
        any_json(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        "\\PC{1,60}",
        1_u32..40,
        0_usize..4,
        0_usize..3,
    );
    tokio::task::block_in_place(|| {
        let mut runner =
            TestRunner::new(Config { cases: 96, failure_persistence: None, ..Config::default() });
        runner.run(&case, |(unknown, pretty, ahead, stream, text, piece, writes, line_ends)| {
            let behaviour = Behaviour::chunked(6)
                .with_writes(
                    [Writes::Coalesced, Writes::Frames, Writes::Bytes(piece), Writes::SplitUtf8][writes],
                )
                .with_line_ends([LineEnds::Lf, LineEnds::Crlf, LineEnds::Cr][line_ends]);
            handle.block_on(async {
                let messages = written(&messages_body(&text, stream), &unknown, pretty, ahead);
                passes(&gateway, &caller, CLAUDE, "/v1/messages", messages, &behaviour).await?;
                let mut chat = chat_body(&text, stream);
                if stream {
                    chat["stream_options"] = json!({ "include_usage": true });
                }
                let chat = written(&chat, &unknown, pretty, ahead);
                passes(&gateway, &caller, OPENAI, "/v1/chat/completions", chat, &behaviour).await
            })
        })
    })
    .unwrap();
}

async fn passes(
    gateway: &Gateway,
    caller: &Caller,
    credential: &str,
    path: &str,
    body: Vec<u8>,
    behaviour: &Behaviour,
) -> Result<(), TestCaseError> {
    gateway.emulator.credential(credential).next(behaviour.clone()).unwrap();
    let reply = read(caller.post(path, body.clone()).await).await;
    let call = last_call(gateway, credential);
    let answer = call.answer.unwrap();
    prop_assert_eq!(reply.status.as_u16(), answer.status);
    prop_assert_eq!(call.body, body);
    prop_assert_eq!(reply.body, answer.body);
    prop_assert!(reply.whole);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mapped_model_is_the_only_edit_of_a_messages_body() {
    let gateway = Gateway::standalone().await;
    let mapping = json!({ "model_mapping": { "claude-sonnet-5": "claude-sonnet-5-5" } });
    gateway.account_with("claude-console", CLAUDE, mapping).await;
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-5").await;

    let body = r#"{ "max_tokens":100 ,"model" : "claude-sonnet-5", "messages":[{"role":"user","content":"claude-sonnet-5"}] }"#;
    let reply = read(caller.post("/v1/messages?beta=true", body).await).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    let call = last_call(&gateway, CLAUDE);
    let expected = body.replacen(r#""model" : "claude-sonnet-5""#, r#""model" : "claude-sonnet-5-5""#, 1);
    assert_eq!(std::str::from_utf8(&call.body).unwrap(), expected);
    assert_eq!(call.target, "/v1/messages?beta=true");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_that_only_the_gateway_asked_for_is_hidden_again() {
    let (gateway, caller) = start().await;
    let asked = caller.chat(&chat_body("one two three", true)).await;
    let call = last_call(&gateway, OPENAI);
    let sent: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(sent["stream_options"], json!({ "include_usage": true }));
    assert!(!asked.text().contains("\"usage\""), "{}", asked.text());

    // What is left is what the provider wrote, without the last chunk's usage and the others' nulls.
    let answered = String::from_utf8(call.answer.unwrap().body.to_vec()).unwrap();
    let expected: String = answered
        .split_inclusive("\n\n")
        .filter(|frame| !frame.contains(r#""choices":[]"#))
        .map(|frame| frame.replace(r#","usage":null"#, ""))
        .collect();
    assert_eq!(asked.text(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_pass_but_not_the_clients_credentials() {
    let (gateway, caller) = start().await;
    let reply = caller
        .http
        .post(format!("{}/v1/messages", caller.url))
        .bearer_auth(&caller.key)
        .header("anthropic-version", "2026-10-21")
        .header("anthropic-beta", "one-2026-01-01,two-2026-01-01")
        .header("user-agent", "claude-cli/2.0.1 (external, cli)")
        .header("x-app", "cli")
        .header("accept-encoding", "gzip, br")
        .header("connection", "x-hop")
        .header("x-hop", "1")
        .json(&messages_body("x", false))
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 200);
    assert!(reply.headers().contains_key("request-id"));
    let call = last_call(&gateway, CLAUDE);
    assert_eq!(call.header("x-api-key"), Some(CLAUDE));
    assert_eq!(call.header("anthropic-version"), Some("2026-10-21"));
    assert_eq!(call.header("anthropic-beta"), Some("one-2026-01-01,two-2026-01-01"));
    assert_eq!(call.header("user-agent"), Some("claude-cli/2.0.1 (external, cli)"));
    assert_eq!(call.header("x-app"), Some("cli"));
    assert_eq!((call.header("x-hop"), call.header("authorization")), (None, None));
    assert!(call.headers.iter().all(|(_, value)| !value.contains(&caller.key)), "{:?}", call.headers);
}
