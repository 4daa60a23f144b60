//! A client's trace: the provider gets it, and the ledger keeps its id.

use serde_json::Value;
use tests::{Gateway, messages_body, read};

const CLAUDE: &str = "sk-ant-traces";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_request_is_passed_on_and_shown_on_its_record() {
    let gateway = Gateway::standalone().await;
    gateway.account("claude-console", CLAUDE).await;
    let caller = gateway.caller().await;
    caller.offered("claude-sonnet-5").await;
    let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    // The second is malformed, the third has none.
    for traceparent in [Some(parent.clone()), Some(format!("{parent}-more")), None] {
        let mut request = caller.http.post(format!("{}/v1/messages", caller.url)).bearer_auth(&caller.key);
        if let Some(traceparent) = &traceparent {
            request = request.header("traceparent", traceparent).header("tracestate", "vendor=1");
        }
        let reply = read(request.json(&messages_body("x", false)).send().await.unwrap()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let calls = gateway.emulator.credential(CLAUDE).calls();
    let passed: Vec<_> =
        calls.iter().map(|call| (call.header("traceparent"), call.header("tracestate"))).collect();
    assert_eq!(passed, [(Some(parent.as_str()), Some("vendor=1")), (None, None), (None, None)]);
    let recorded: Vec<Value> =
        gateway.records(3).await.into_iter().map(|record| record["trace_id"].clone()).collect();
    assert_eq!(recorded, [Value::Null, Value::Null, TRACE.into()]);
}
