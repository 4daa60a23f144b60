//! Whatever an upstream does wrong, and wherever: every client gets a legal answer or a legal end of one in its wire, the
//! ledger has the request once, and nothing is left behind.

use emulator::{Behaviour, Fault, Position};
use proto::v1::Outcome;
use serde_json::Value;

use super::played::{Played, Stage};

const STATUSES: [u16; 10] = [400, 401, 402, 403, 404, 408, 429, 500, 503, 529];
const PLACES: [Position; 5] =
    [Position::Frame(0), Position::Content(0), Position::Content(1), Position::Bytes(10), Position::End];

fn faults() -> Vec<Fault> {
    let statuses = STATUSES.map(|status| Fault::Status { status, retry_after: None, error: None });
    let placed = PLACES.into_iter().flat_map(|at| {
        let error = |status| Fault::ErrorEvent { at, status, error: None };
        [Fault::Stall(at), Fault::Cut(at), Fault::Malformed(at), error(529), error(400)]
    });
    let whole = [Fault::HangBeforeHead, Fault::CloseBeforeHead, Fault::MissingEnd];
    statuses.into_iter().chain(placed).chain(whole).collect()
}

fn is_error(wire: &str, body: &Value) -> bool {
    match wire {
        "messages" => body["type"] == "error" && body["error"]["message"].is_string(),
        "gemini" => body["error"]["code"].is_u64() && body["error"]["message"].is_string(),
        _ => body["error"]["message"].is_string(),
    }
}

fn is_whole(wire: &str, body: &Value) -> bool {
    match wire {
        "chat" => body["choices"][0]["finish_reason"].is_string(),
        "responses" => body["status"].is_string() && body["output"].is_array(),
        "messages" => body["stop_reason"].is_string(),
        _ => body["candidates"][0]["finishReason"].is_string(),
    }
}

/// How a stream ended for its client.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Whole,
    /// In a way that its clients know to be none.
    Broken,
}

/// # Panics
/// It is no stream of this wire, or its end is not legal.
fn told(wire: &str, played: &Played, fault: &Fault, shown: &str) -> Told {
    let text = played.answer.text().replace("\r\n", "\n");
    assert!(text.is_empty() || text.ends_with("\n\n"), "a frame is whole: {shown}");
    let data = |frame: &str| {
        frame.lines().find_map(|line| line.strip_prefix("data:")).map(|it| it.trim().to_owned())
    };
    let frames: Vec<String> = text.split("\n\n").filter_map(data).collect();
    let last = frames.last().map_or("", String::as_str);
    let json = frames.iter().filter(|frame| *frame != "[DONE]");
    let parsed: Vec<Value> = json.clone().filter_map(|frame| serde_json::from_str(frame).ok()).collect();
    // Behind the first content, what an upstream of the client's own wire sends passes byte by byte.
    let passed = json.count() - parsed.len();
    assert!(passed == 0 || (passed == 1 && matches!(fault, Fault::Malformed(_))), "no JSON: {shown}");
    let is_last = |kind: &str| parsed.last().is_some_and(|frame| frame["type"] == kind);
    let errors = parsed.iter().filter(|frame| frame["error"].is_object() || frame["type"] == "error").count();
    let failed = is_last("response.failed") || errors > 0;
    let (whole, legal) = match wire {
        "chat" => {
            // Without its last word it is whole all the same: the choice has ended.
            let stopped = parsed.iter().any(|frame| frame["choices"][0]["finish_reason"].is_string());
            ((stopped || last == "[DONE]") && !failed, failed)
        }
        "responses" => (is_last("response.completed") || is_last("response.incomplete"), failed),
        // It breaks off, unless the provider's own error came through.
        "messages" => {
            let stopped = parsed.iter().any(|frame| frame["delta"]["stop_reason"].is_string());
            let whole = (stopped || is_last("message_stop")) && !failed && played.answer.whole;
            (whole, failed || !played.answer.whole)
        }
        _ => {
            let finished = parsed.iter().any(|frame| frame["candidates"][0]["finishReason"].is_string());
            (finished, !finished)
        }
    };
    assert!(whole || legal, "no legal end: {shown}");
    assert!(errors <= 1, "one error is enough: {shown}");
    if whole { Told::Whole } else { Told::Broken }
}

fn check(played: &Played, stream: bool, fault: &Fault) {
    let wire = played.what.split(' ').next().unwrap();
    let (answer, record) = (&played.answer, &played.record);
    let shown = format!("{fault:?}, {}, stream {stream}: {} {}", played.what, answer.status, answer.text());
    let told = if answer.status != 200 {
        assert!(answer.whole && is_error(wire, &answer.json()), "{shown}");
        Told::Broken
    } else if stream {
        told(wire, played, fault, &shown)
    } else {
        assert!(answer.whole && is_whole(wire, &answer.json()), "{shown}");
        Told::Whole
    };
    assert_eq!(record.outcome() == Outcome::Completed, told == Told::Whole, "{shown}: {record:?}");
    assert_eq!(record.status, u32::from(answer.status.as_u16()), "{shown}");
    let last = record.attempts.last().unwrap_or_else(|| panic!("an attempt: {shown}"));
    assert_eq!(last.outcome(), record.outcome(), "{shown}: {record:?}");
    for attempt in &record.attempts {
        let why = attempt.outcome() == Outcome::UpstreamError;
        assert_eq!(attempt.reason.is_empty(), !why, "each failure has its reason: {shown}: {record:?}");
        assert!(attempt.estimate.is_none() || attempt.bound.is_some(), "{shown}");
    }
    assert_eq!(record.estimated, record.attempts.iter().any(|attempt| attempt.estimate.is_some()), "{shown}");
}

async fn all_end_legally(stream: bool) {
    for fault in faults() {
        // A mark of one fault must not keep the next one from being met.
        let stage = Stage::set(|_| {}).await;
        for played in stage.play(&Behaviour::failing(fault.clone()), stream).await {
            check(&played, stream, &fault);
        }
        let (opened, closed) = stage.gateway.journal_now();
        assert_eq!(opened, closed.len(), "each request once: {fault:?}");
        assert_eq!(stage.gateway.proxy.metrics.node.streams(), 0, "{fault:?}");
        for account in &stage.gateway.snapshot.load().accounts {
            assert_eq!(account.state.in_flight(), 0, "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_an_upstream_does_wrong_a_stream_ends_legally_and_is_in_the_ledger_once() {
    all_end_legally(true).await;
}

#[tokio::test(start_paused = true)]
async fn whatever_an_upstream_does_wrong_a_plain_answer_is_legal_and_in_the_ledger_once() {
    all_end_legally(false).await;
}
