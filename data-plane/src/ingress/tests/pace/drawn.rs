//! Pauses drawn at random, between any two frames.

use std::time::Duration;

use proptest::prelude::*;
use proto::v1::Outcome;
use tokio::time::Instant;

use super::{
    super::{
        gateway::{Gateway, claude, openai},
        upstream::{Script, Step, Upstream, end, send, sse_head},
    },
    at, step_by_step,
};
use crate::snapshot::Policy;

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-opus-5\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n";
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";
const BLOCK: &str = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
const DELTA: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const STOP: &str = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\nevent: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// A pause in milliseconds, mostly of the size of one of the limits, and the frame behind it.
type Beat = (u64, Frame);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    Start,
    Ping,
    /// The first one opens its block.
    Text,
    Stop,
}

fn pause() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..100, 500_u64..1_500, 1_000_u64..30_000, 30_000_u64..70_000, 90_000_u64..140_000]
}

fn beats() -> impl Strategy<Value = Vec<Beat>> {
    let middle = prop_oneof![1 => Just(Frame::Ping), 2 => Just(Frame::Text)];
    let middle = prop::collection::vec((pause(), middle), 0..6);
    (pause(), middle, pause(), pause()).prop_map(|(first, middle, text, stop)| {
        let last = [(text, Frame::Text), (stop, Frame::Stop)];
        [(first, Frame::Start)].into_iter().chain(middle).chain(last).collect()
    })
}

fn script(head: u64, beats: &[Beat]) -> Script {
    let wait = |ms| Step::Sleep(Duration::from_millis(ms));
    let mut script = vec![wait(head), sse_head()];
    let mut open = false;
    for &(pause, frame) in beats {
        let text = match frame {
            Frame::Start => START.to_owned(),
            Frame::Ping => PING.to_owned(),
            Frame::Text if std::mem::replace(&mut open, true) => DELTA.to_owned(),
            Frame::Text => [BLOCK, DELTA].concat(),
            Frame::Stop => STOP.to_owned(),
        };
        script.extend([wait(pause), send(&text)]);
    }
    script.push(end());
    script
}

/// When and why the limits end it, worked out from the script alone; none: they don't.
fn expected(head: u64, beats: &[Beat], limits: &Policy) -> Option<(Duration, &'static str)> {
    let ms = Duration::from_millis;
    if ms(head) > limits.first_byte {
        return Some((limits.first_byte, "first_byte_timeout"));
    }
    let (mut now, mut last, mut why) = (ms(head), limits.deadline, "deadline");
    for &(pause, frame) in beats {
        let idle = now + limits.idle;
        if now + ms(pause) > last.min(idle) {
            return Some(if last <= idle { (last, why) } else { (idle, "stall") });
        }
        now += ms(pause);
        if frame == Frame::Text && why == "deadline" {
            (last, why) = (now + limits.max_stream, "max_stream");
        }
    }
    None
}

/// Whether a pause ends within a moment of what would decide otherwise: timers and steps round up.
fn close_call(head: u64, beats: &[Beat], limits: &Policy) -> bool {
    let decide = |by: i64| {
        let shifted =
            |limit: Duration| Duration::from_millis(limit.as_millis() as u64).saturating_add_signed(by);
        let moved = Policy {
            first_byte: shifted(limits.first_byte),
            idle: shifted(limits.idle),
            deadline: shifted(limits.deadline),
            max_stream: shifted(limits.max_stream),
            ..limits.clone()
        };
        expected(head, beats, &moved).map(|(_, why)| why)
    };
    decide(-400) != decide(400)
}

trait Signed {
    fn saturating_add_signed(self, ms: i64) -> Self;
}

impl Signed for Duration {
    fn saturating_add_signed(self, ms: i64) -> Self {
        let by = Self::from_millis(ms.unsigned_abs());
        if ms < 0 { self.saturating_sub(by) } else { self + by }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_stream_is_cut_where_a_limit_says_so_and_nowhere_else(
        head in prop_oneof![3 => 0_u64..2_000, 1 => 2_000_u64..70_000],
        beats in beats(),
        longest in prop_oneof![Just(3600_u64), Just(100)],
        converted in any::<bool>(),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play(head, beats, Duration::from_secs(longest), converted))?;
    }
}

async fn play(head: u64, beats: Vec<Beat>, longest: Duration, converted: bool) -> Result<(), TestCaseError> {
    let upstream = Upstream::always(script(head, &beats)).await;
    let mut in_force = Policy::default();
    let gateway = Gateway::limited(vec![claude(upstream.url()), openai(upstream.url())], |limits| {
        limits.max_stream = longest;
        limits.retries.max = 0;
        in_force = limits.clone();
    })
    .await;
    prop_assume!(!close_call(head, &beats, &in_force));
    step_by_step(&gateway);
    let (path, body) = if converted {
        (
            "/v1/chat/completions",
            r#"{"model":"claude-opus-5","stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
        )
    } else {
        ("/v1/messages", r#"{"model":"claude-opus-5","stream":true,"messages":[],"max_tokens":1}"#)
    };
    let started = Instant::now();
    let answer = gateway.send_and_wait(gateway.request(path, body)).await;
    let took = started.elapsed();
    let (_, mut records) = gateway.journal_now();
    let record = records.remove(0);
    let reason = record.attempts[0].reason.clone();
    let told = format!("{took:?} {reason:?} {}", answer.text());
    match expected(head, &beats, &in_force) {
        None => {
            let total = head + beats.iter().map(|(pause, _)| pause).sum::<u64>();
            prop_assert_eq!((record.outcome(), &*reason), (Outcome::Completed, ""), "{}", told);
            prop_assert!(took >= Duration::from_millis(total), "{told}");
            let whole = if converted { "data: [DONE]\n\n" } else { STOP };
            prop_assert!(answer.text().ends_with(whole), "{told}");
        }
        Some((end, why)) => {
            prop_assert_eq!(&*reason, why, "{}", told);
            prop_assert!(at(took, end), "{told}, not at {end:?}");
        }
    }
    Ok(())
}
