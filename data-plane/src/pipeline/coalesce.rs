//! A burst of frames becomes one write.
//!
//! Upstreams write their frames one by one, and hyper writes out whatever a body gives as soon as the body has nothing
//! more. So a body that gave each frame at once would cost a system call for each. With a frame in hand, the task yields
//! once, so that the runtime looks at its sockets; what has arrived by then goes out together, and as long as more
//! arrives, it yields again. Nobody waits for anything: a frame that comes alone is on its way after a look at the
//! sockets, and in a stream whose frames come one at a time even that is left out; and while the worker has little to do,
//! since then it is time that is dear, and not work.

use std::{
    future::Future as _,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use wire::raw::watch::Chunks;

/// Frames are copied together up to this size. Larger ones go as they are.
const MAX_MERGED: usize = 64 << 10;
/// Frames in one write, so that a source that is always ready can't keep the client waiting.
const MAX_FRAMES: usize = 256;
/// A frame that comes so soon after the last write is part of a burst.
const BURST: Duration = Duration::from_millis(1);

/// Where the bytes come from.
pub(super) trait Source {
    /// Puts what is there into `out`. False: that was the end.
    fn poll_more(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<bool>;

    /// Whether there is so little to do that merging writes is not worth a wait.
    fn is_at_leisure(&self) -> bool {
        false
    }
}

#[derive(Debug, Default)]
pub(super) struct Coalescer {
    waiting: Chunks,
    /// The sockets were looked at since the last frame came.
    looked: bool,
    frames: usize,
    /// The last write was of one frame, though another one was waited for.
    alone: bool,
    written_at: Option<Instant>,
    /// What is waiting goes out before the source is asked again.
    going: bool,
    ended: bool,
}

impl Coalescer {
    pub(super) fn with(chunks: Chunks) -> Self {
        Self { waiting: chunks, ..Self::default() }
    }

    /// These, and no more.
    pub(super) fn ended_with(chunks: Chunks) -> Self {
        Self { ended: true, ..Self::with(chunks) }
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended && self.waiting.is_empty()
    }

    /// The next bytes for the client; `None` at the end.
    pub(super) fn poll_merged(
        &mut self,
        source: &mut impl Source,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Bytes>> {
        while !self.going && !self.ended {
            match source.poll_more(cx, &mut self.waiting) {
                Poll::Ready(true) => {
                    self.looked = false;
                    self.frames += 1;
                    self.going = self.frames >= MAX_FRAMES || self.length() >= MAX_MERGED;
                }
                Poll::Ready(false) => self.ended = true,
                Poll::Pending if self.waiting.is_empty() => return Poll::Pending,
                Poll::Pending if !self.looked && self.may_be_followed() && !source.is_at_leisure() => {
                    self.looked = true;
                    // Unlike a task that wakes itself, one that yields lets the runtime look at its sockets first.
                    _ = pin!(tokio::task::yield_now()).poll(cx);
                    return Poll::Pending;
                }
                Poll::Pending => self.going = true,
            }
        }
        let next = self.take();
        if self.waiting.is_empty() {
            self.alone = self.frames == 1;
            self.written_at = Some(Instant::now());
            (self.going, self.looked, self.frames) = (false, false, 0);
        }
        match next {
            // All that came was kept back: ask again.
            None if !self.ended => self.poll_merged(source, cx),
            next => Poll::Ready(next),
        }
    }

    /// Whether more is likely to come at once.
    fn may_be_followed(&self) -> bool {
        !self.alone || self.written_at.is_some_and(|at| at.elapsed() < BURST)
    }

    fn length(&self) -> usize {
        self.waiting.iter().map(Bytes::len).sum()
    }

    /// The first chunk, with those behind it that fit into one buffer.
    fn take(&mut self) -> Option<Bytes> {
        let mut length = 0;
        let fitting = self.waiting.iter().take_while(|chunk| {
            length += chunk.len();
            length <= MAX_MERGED
        });
        let count = fitting.count().max(1).min(self.waiting.len());
        if count <= 1 {
            return (count == 1).then(|| self.waiting.remove(0));
        }
        let mut merged = BytesMut::with_capacity(self.waiting[..count].iter().map(Bytes::len).sum());
        for chunk in self.waiting.drain(..count) {
            merged.extend_from_slice(&chunk);
        }
        Some(merged.freeze())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, future::poll_fn};

    use proptest::prelude::*;
    use tokio::sync::mpsc;

    use super::*;

    /// As hyper does it: after each frame the other side needs a turn before the next one is there.
    struct TurnByTurn {
        frames: VecDeque<Bytes>,
        turn_passed: bool,
    }

    impl Source for TurnByTurn {
        fn poll_more(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<bool> {
            self.turn_passed = !self.turn_passed;
            if !self.turn_passed {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            out.extend(self.frames.pop_front());
            Poll::Ready(!self.frames.is_empty())
        }
    }

    struct Channel(mpsc::Receiver<Bytes>);

    impl Source for Channel {
        fn poll_more(&mut self, cx: &mut Context<'_>, out: &mut Chunks) -> Poll<bool> {
            self.0.poll_recv(cx).map(|frame| {
                let more = frame.is_some();
                out.extend(frame);
                more
            })
        }
    }

    async fn written(mut source: impl Source) -> Vec<Bytes> {
        let mut coalescer = Coalescer::default();
        let mut frames = Vec::new();
        while let Some(frame) = poll_fn(|cx| coalescer.poll_merged(&mut source, cx)).await {
            frames.push(frame);
        }
        frames
    }

    #[tokio::test]
    async fn a_burst_of_twenty_frames_is_one_write() {
        let frames: VecDeque<_> = (0..20).map(|n| Bytes::from(format!("data: {n}\n\n"))).collect();
        let all = frames.iter().flatten().copied().collect::<Vec<u8>>();
        let written = written(TurnByTurn { frames, turn_passed: false }).await;
        assert_eq!(written.len(), 1);
        assert_eq!(written[0], all);
    }

    #[tokio::test]
    async fn frames_that_come_one_at_a_time_are_delivered_one_at_a_time() {
        let (sender, receiver) = mpsc::channel(1);
        let (mut coalescer, mut source) = (Coalescer::default(), Channel(receiver));
        for n in 0..20 {
            let frame = Bytes::from(format!("data: {n}\n\n"));
            sender.send(frame.clone()).await.unwrap();
            // Nothing else will wake this task: if the frame were held back, this would never return.
            let delivered = poll_fn(|cx| coalescer.poll_merged(&mut source, cx)).await;
            assert_eq!(delivered, Some(frame));
        }
        drop(sender);
        assert_eq!(poll_fn(|cx| coalescer.poll_merged(&mut source, cx)).await, None);
        assert!(coalescer.is_over());
    }

    #[tokio::test]
    async fn a_single_frame_is_not_copied() {
        let frame = Bytes::from(vec![b'x'; 100]);
        let written = written(TurnByTurn { frames: [frame.clone()].into(), turn_passed: false }).await;
        assert_eq!(written[0].as_ptr(), frame.as_ptr());
    }

    #[tokio::test]
    async fn large_frames_go_as_they_are() {
        let frames: VecDeque<_> = (0..3).map(|_| Bytes::from(vec![b'x'; MAX_MERGED])).collect();
        let pointers: Vec<_> = frames.iter().map(|frame| frame.as_ptr()).collect();
        let written = written(TurnByTurn { frames, turn_passed: false }).await;
        assert_eq!(written.iter().map(|frame| frame.as_ptr()).collect::<Vec<_>>(), pointers);
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_and_no_write_is_too_large(sizes in proptest::collection::vec(0_usize..40_000, 0..40)) {
            let frames: VecDeque<_> = sizes.iter().enumerate().map(|(n, size)| Bytes::from(vec![n as u8; *size])).collect();
            let all = frames.iter().flatten().copied().collect::<Vec<u8>>();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let written = runtime.block_on(written(TurnByTurn { frames, turn_passed: false }));
            prop_assert!(written.iter().all(|frame| frame.len() <= MAX_MERGED));
            prop_assert_eq!(written.concat(), all);
        }
    }
}
