//! A few answers at the pace of life, in real time. Paused time plays many more of them (`data-plane/src/ingress/tests/pace.rs`),
//! but knows nothing of sockets, kernels and schedulers that take their time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::time::Duration;

use emulator::{
    Behaviour,
    pace::{Pace, STREAMS, WHOLE},
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Caller, Gateway, chat_body, messages_body};

/// The longest that this suite may wait for one answer.
const LONGEST: Duration = Duration::from_secs(40);

fn paced(paces: &[Pace], name: &str) -> Behaviour {
    Behaviour::paced(*paces.iter().find(|pace| pace.name == name).unwrap())
}

/// What is played, and whether as a stream.
fn played() -> Vec<(Behaviour, bool)> {
    let streams = [
        "first text after 0.3 s, the next 2 s later",
        "first text after 1.1 s, the next 1 s later",
        "thinks for 12 s",
        "a frame each 0.7 s",
        "stops for 30 s in mid-answer",
    ];
    let streams = streams.into_iter().map(|name| (paced(&STREAMS, name), true));
    streams.chain([(paced(&WHOLE, "after 30 s"), false)]).collect()
}

fn asked(body: Value, model: &str) -> Value {
    let mut body = body;
    body["model"] = json!(model);
    body
}

async fn ask(caller: &Caller, wire: &str, model: &str, stream: bool) -> String {
    let text = "one two three four five six seven eight";
    let reply = match wire {
        "chat" => caller.chat(&asked(chat_body(text, stream), model)).await,
        _ => caller.messages(&asked(messages_body(text, stream), model)).await,
    };
    assert!(reply.whole, "{wire} {model}: {}", reply.text());
    reply.text().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_may_take_their_time() {
    let gateway = Gateway::standalone().await;
    let played = played();
    for (number, (behaviour, _)) in played.iter().enumerate() {
        // An account for each, so that all can be played at once.
        for (kind, prefix, model) in [("claude-console", "sk-ant", "claude"), ("openai", "sk", "gpt")] {
            let key = format!("{prefix}-pace-{number}");
            gateway.emulator.credential(&key).set_default(behaviour.clone()).unwrap();
            let allowed = json!({ "allowed_models": [format!("{model}-pace-{number}")] });
            gateway.account_with(kind, &key, allowed).await;
        }
    }
    let caller = gateway.caller().await;
    let last = played.len() - 1;
    caller.offered(&format!("gpt-pace-{last}")).await;
    let pairs = [("messages", "claude"), ("chat", "gpt"), ("chat", "claude"), ("messages", "gpt")];
    let played_by_all = played.iter().enumerate().flat_map(|(number, (_, stream))| {
        pairs.map(|(wire, family)| (wire, format!("{family}-pace-{number}"), *stream))
    });
    let caller = &caller;
    let all = played_by_all.map(async |(wire, model, stream)| {
        let text = ask(caller, wire, &model, stream).await;
        assert!(!text.contains("error"), "{wire} {model}: {text}");
        let end = match (wire, stream) {
            ("chat", true) => "data: [DONE]",
            ("messages", true) => "\"type\":\"message_stop\"",
            _ => "seven eight",
        };
        assert!(text.contains(end), "{wire} {model}: {text}");
    });
    tokio::time::timeout(LONGEST, join_all(all)).await.unwrap();
    for record in gateway.records(4 * played.len()).await {
        assert_eq!(
            (&record["outcome"], &record["estimated"]),
            (&json!("completed"), &json!(false)),
            "{record}"
        );
    }
}
