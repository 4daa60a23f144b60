use std::time::{Duration, Instant};

use emulator::{Behaviour, Coding, Condition, ErrorText, Fault, LineEnds, Position, Writes};
use serde_json::{Value, json};

use crate::client::{
    ANTHROPIC_KEY, Ended, OPENAI_KEY, PATIENCE, Raw, chat, chat_body, emulator, message_body, messages,
};

#[tokio::test]
async fn every_status_has_the_providers_own_body() {
    let emulator = emulator().await;
    for status in [400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 504, 529] {
        emulator.credential(ANTHROPIC_KEY).next(Behaviour::status(status)).unwrap();
        let refused = messages(&emulator, &message_body("Hi", true)).await;
        assert_eq!(refused.status(), status);
        assert_eq!(refused.json()["type"], "error");
        assert!(refused.json()["error"]["message"].is_string());
        emulator.credential(OPENAI_KEY).next(Behaviour::status(status)).unwrap();
        let refused = chat(&emulator, &chat_body("Hi", true)).await;
        assert_eq!(refused.status(), status);
        assert!(refused.json()["error"]["type"].is_string());
    }
    assert_eq!(
        messages(&emulator, &message_body("Hi", false)).await.status(),
        200,
        "the queue is empty again"
    );
}

#[tokio::test]
async fn a_refusal_for_rate_says_when_to_come_back() {
    let emulator = emulator().await;
    emulator.credential(ANTHROPIC_KEY).next(Behaviour::retry_after(429, 7)).unwrap();
    let refused = messages(&emulator, &message_body("Hi", false)).await;
    assert_eq!(refused.head.header("retry-after"), Some("7"));
    assert_eq!(refused.head.header("anthropic-ratelimit-requests-remaining"), Some("0"));
    let error = ErrorText {
        kind: Some("insufficient_quota".into()),
        code: Some("insufficient_quota".into()),
        message: None,
    };
    let fault = Fault::Status { status: 429, retry_after: None, error: Some(error) };
    emulator.credential(OPENAI_KEY).next(Behaviour::failing(fault)).unwrap();
    let refused = chat(&emulator, &chat_body("Hi", false)).await;
    assert_eq!(refused.json()["error"]["code"], "insufficient_quota");
    assert_eq!(refused.head.header("retry-after"), None);
    assert_eq!(refused.head.header("x-ratelimit-reset-requests"), Some("60s"));
}

#[tokio::test]
async fn answers_and_errors_are_compressed_where_the_script_says_so_and_requests_must_not_be() {
    let emulator = emulator().await;
    let script = emulator.credential(OPENAI_KEY);
    let plain = chat(&emulator, &chat_body("Hi", true)).await.text();
    for behaviour in [Behaviour::default(), Behaviour::chunked(3)] {
        script.next(behaviour.with_coding(Coding::Zstd)).unwrap();
        let answer = chat(&emulator, &chat_body("Hi", true)).await;
        assert_eq!(answer.head.header("content-encoding"), Some("zstd"));
        let decoded = String::from_utf8(zstd::decode_all(&*answer.bytes()).unwrap()).unwrap();
        assert_eq!(decoded.lines().last(), plain.lines().last());
    }
    script.next(Behaviour::status(429).with_coding(Coding::Zstd)).unwrap();
    let refused = chat(&emulator, &chat_body("Hi", false)).await;
    let decoded: Value = serde_json::from_slice(&zstd::decode_all(&*refused.bytes()).unwrap()).unwrap();
    assert!(decoded["error"]["message"].is_string() && refused.status() == 429);

    let mut raw = Raw::connect(emulator.addr()).await;
    let (bearer, body) = (format!("Bearer {OPENAI_KEY}"), zstd::encode_all(&b"{}"[..], 0).unwrap());
    let headers = [("authorization", bearer.as_str()), ("content-encoding", "zstd")];
    raw.send("POST", "/v1/chat/completions", &headers, &body).await;
    assert_eq!(raw.answer().await.status(), 415);
}

#[tokio::test]
async fn a_cut_closes_the_connection_after_what_it_says() {
    let emulator = emulator().await;
    let script = emulator.credential(OPENAI_KEY);
    script.next(Behaviour::failing(Fault::Cut(Position::Content(2)))).unwrap();
    let answer = chat(&emulator, &chat_body("abcd", true)).await;
    assert_eq!(answer.ended, Ended::Closed);
    let pieces: Vec<Value> =
        answer.events().iter().map(|chunk| chunk["choices"][0]["delta"]["content"].clone()).collect();
    assert_eq!(pieces, [json!(""), json!("a"), json!("b")]);

    script.next(Behaviour::failing(Fault::Cut(Position::Bytes(10)))).unwrap();
    let answer = chat(&emulator, &chat_body("abcd", true)).await;
    assert_eq!((answer.ended, answer.bytes().len()), (Ended::Closed, 10));
    script.next(Behaviour::failing(Fault::Cut(Position::Bytes(10)))).unwrap();
    let answer = chat(&emulator, &chat_body("abcd", false)).await;
    assert_eq!((answer.ended, answer.bytes().len()), (Ended::Closed, 10), "a plain body too");
    script.next(Behaviour::failing(Fault::CloseBeforeHead)).unwrap();
    let mut raw = Raw::connect(emulator.addr()).await;
    raw.send_chat(&chat_body("abcd", true)).await;
    assert!(raw.head().await.is_none());
}

#[tokio::test]
async fn a_hang_and_a_stall_end_only_when_the_client_leaves() {
    let emulator = emulator().await;
    let script = emulator.credential(ANTHROPIC_KEY);
    script.next(Behaviour::failing(Fault::HangBeforeHead)).unwrap();
    let mut raw = Raw::connect(emulator.addr()).await;
    raw.send_messages(&message_body("Hi", true)).await;
    script.wait_for(Condition::in_flight(1), PATIENCE).await.unwrap();
    assert!(raw.is_silent().await);
    drop(raw);
    script.wait_for(Condition::disconnects(1), PATIENCE).await.unwrap();

    script.next(Behaviour::failing(Fault::Stall(Position::Content(0)))).unwrap();
    let mut raw = Raw::connect(emulator.addr()).await;
    raw.send_messages(&message_body("Hi", true)).await;
    assert_eq!(raw.head().await.unwrap().status, 200);
    let preamble = String::from_utf8(raw.chunk().await.unwrap()).unwrap();
    assert!(preamble.ends_with("event: ping\ndata: {\"type\":\"ping\"}\n\n"), "{preamble}");
    assert!(raw.is_silent().await);
    drop(raw);
    let counters = script.wait_for(Condition::disconnects(2), PATIENCE).await.unwrap();
    assert_eq!((counters.in_flight, counters.served), (0, 0));
}

#[tokio::test]
async fn an_error_event_comes_where_it_is_wanted_and_ends_the_stream() {
    let emulator = emulator().await;
    let script = emulator.credential(ANTHROPIC_KEY);
    let event = |at| Behaviour::failing(Fault::ErrorEvent { at, status: 529, error: None });
    script.next(event(Position::Frame(0))).unwrap();
    let first = messages(&emulator, &message_body("abcd", true)).await;
    assert_eq!((first.status(), first.ended), (200, Ended::Cleanly));
    let events = first.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events.first().unwrap()["error"]["type"], "overloaded_error");
    script.next(event(Position::Content(1))).unwrap();
    let later = messages(&emulator, &message_body("abcd", true)).await.events();
    let kinds: Vec<&str> = later.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!(kinds, ["message_start", "ping", "content_block_start", "content_block_delta", "error"]);
    script.next(event(Position::Content(1))).unwrap();
    assert_eq!(
        messages(&emulator, &message_body("abcd", false)).await.status(),
        529,
        "without a stream, a status"
    );

    let chat_script = emulator.credential(OPENAI_KEY);
    let fault = Fault::ErrorEvent { at: Position::Content(0), status: 500, error: None };
    chat_script.next(Behaviour::failing(fault)).unwrap();
    let events = chat(&emulator, &chat_body("abcd", true)).await.events();
    assert_eq!(events.last().unwrap()["error"]["type"], "server_error");
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn a_malformed_line_is_one_broken_frame_among_good_ones() {
    let emulator = emulator().await;
    let script = emulator.credential(OPENAI_KEY);
    script.next(Behaviour::failing(Fault::Malformed(Position::Content(0)))).unwrap();
    let events = chat(&emulator, &chat_body("abcd", true)).await.events();
    let broken: Vec<usize> =
        events.iter().enumerate().filter(|(_, event)| event.is_string()).map(|(at, _)| at).collect();
    assert_eq!(broken, [1, events.len() - 1], "the broken frame, and [DONE]");
    script.next(Behaviour::failing(Fault::Malformed(Position::Content(0)))).unwrap();
    let plain = chat(&emulator, &chat_body("abcd", false)).await;
    assert_eq!(plain.ended, Ended::Cleanly);
    assert!(serde_json::from_slice::<Value>(&plain.bytes()).is_err());
}

#[tokio::test]
async fn the_terminal_event_can_be_missing() {
    let emulator = emulator().await;
    emulator.credential(ANTHROPIC_KEY).next(Behaviour::failing(Fault::MissingEnd)).unwrap();
    let answer = messages(&emulator, &message_body("abcd", true)).await;
    assert_eq!(answer.ended, Ended::Cleanly);
    assert_eq!(answer.events().last().unwrap()["type"], "message_delta");
    emulator.credential(OPENAI_KEY).next(Behaviour::failing(Fault::MissingEnd)).unwrap();
    let answer = chat(&emulator, &chat_body("abcd", true)).await;
    assert_eq!(answer.events().last().unwrap()["choices"][0]["finish_reason"], "stop");
}

#[tokio::test]
async fn the_same_bytes_come_in_whatever_writes_are_asked_for() {
    let emulator = emulator().await;
    let script = emulator.credential(OPENAI_KEY);
    let body = chat_body("grüße 👋 wörld", true);
    let steady = |text: String| {
        text.lines()
            .map(|line| line.split_once(",\"object\"").map_or(line, |(_, rest)| rest).to_owned())
            .collect::<Vec<_>>()
    };
    let whole = chat(&emulator, &body).await;
    assert_eq!(whole.chunks.len(), 1, "coalesced by default");
    for (writes, least) in
        [(Writes::Frames, 7), (Writes::Bytes(1), whole.bytes().len()), (Writes::SplitUtf8, 3)]
    {
        script.next(Behaviour::default().with_writes(writes)).unwrap();
        let cut = chat(&emulator, &body).await;
        assert_eq!(steady(cut.text()), steady(whole.text()), "{writes:?}");
        assert!(cut.chunks.len() >= least, "{writes:?}: {}", cut.chunks.len());
        if writes == Writes::SplitUtf8 {
            assert!(cut.chunks.iter().any(|chunk| std::str::from_utf8(chunk).is_err()));
        }
        if writes == Writes::Frames {
            assert!(cut.chunks.iter().all(|chunk| chunk.ends_with(b"\n\n")));
        }
    }
}

#[tokio::test]
async fn line_ends_can_be_any_that_the_standard_allows() {
    let emulator = emulator().await;
    let script = emulator.credential(ANTHROPIC_KEY);
    for (line_ends, mark) in [(LineEnds::Crlf, "\r\n\r\n"), (LineEnds::Cr, "\r\r")] {
        script.next(Behaviour::default().with_line_ends(line_ends)).unwrap();
        let answer = messages(&emulator, &message_body("abcd", true)).await;
        assert!(answer.text().ends_with(mark));
        assert_eq!(answer.events().len(), 10);
    }
}

#[tokio::test]
async fn pauses_are_kept_before_the_head_and_between_frames() {
    let emulator = emulator().await;
    let pauses =
        Behaviour::chunked(3).with_gap(Duration::from_millis(10)).with_head_delay(Duration::from_millis(30));
    emulator.credential(OPENAI_KEY).next(pauses).unwrap();
    let start = Instant::now();
    let mut raw = Raw::connect(emulator.addr()).await;
    raw.send_chat(&chat_body("abc", true)).await;
    raw.head().await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(30));
    let mut frames = 0;
    while raw.chunk().await.is_some_and(|chunk| !chunk.is_empty()) {
        frames += 1;
    }
    assert_eq!(frames, 6, "role, three pieces, finish, [DONE]");
    assert!(start.elapsed() >= Duration::from_millis(30 + 5 * 10));
}
