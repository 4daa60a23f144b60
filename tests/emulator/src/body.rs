//! The body of an answer, on its way out.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body::{Body, Frame, SizeHint};

use crate::{
    credential::in_flight::InFlight,
    playback::{Ending, Pause, Plan},
};

/// Either all at once, or step by step along a plan.
pub(crate) struct AnswerBody {
    source: Source,
    declared: Option<u64>,
}

enum Source {
    Whole { bytes: Option<Bytes>, call: Option<InFlight> },
    Played(Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>),
}

impl AnswerBody {
    /// An answer that belongs to no call of a provider.
    pub(crate) fn plain(bytes: Bytes) -> Self {
        let declared = Some(bytes.len() as u64);
        Self { source: Source::Whole { bytes: Some(bytes), call: None }, declared }
    }

    pub(crate) fn play(plan: Plan, mut call: InFlight) -> Self {
        let declared = plan.declared;
        let source = if plan.stops.is_empty() && plan.ending == Ending::Clean {
            if plan.bytes.is_empty() {
                call.served();
            }
            Source::Whole { bytes: Some(plan.bytes), call: Some(call) }
        } else {
            let playback = Playback { plan, call, sent: 0 };
            Source::Played(Box::pin(stream::unfold(playback, Playback::step)))
        };
        Self { source, declared }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.source {
            Source::Whole { bytes, call } => {
                let bytes = bytes.take();
                if let (Some(bytes), Some(call)) = (&bytes, call) {
                    call.wrote(bytes);
                    call.served();
                }
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Source::Played(steps) => {
                steps.as_mut().poll_next(context).map(|step| step.map(|bytes| bytes.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Whole { bytes: None, .. })
    }

    fn size_hint(&self) -> SizeHint {
        self.declared.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// A plan and how far it has come.
struct Playback {
    plan: Plan,
    call: InFlight,
    sent: usize,
}

impl Playback {
    /// The next write, after the pauses before it.
    async fn step(mut self) -> Option<(io::Result<Bytes>, Self)> {
        while let Some(stop) = self.plan.stops.front().copied() {
            if stop.at > self.sent {
                return Some(self.write(stop.at));
            }
            self.pause(stop.pause).await;
            self.plan.stops.pop_front();
        }
        if self.sent < self.plan.bytes.len() {
            let rest = self.plan.bytes.len();
            return Some(self.write(rest));
        }
        match self.plan.ending {
            Ending::Clean => {
                self.call.served();
                None
            }
            Ending::Stall => std::future::pending().await,
            Ending::Cut => {
                // What was written goes out before the connection is closed.
                tokio::task::yield_now().await;
                self.call.served();
                Some((Err(io::ErrorKind::ConnectionAborted.into()), self))
            }
        }
    }

    fn write(mut self, until: usize) -> (io::Result<Bytes>, Self) {
        let bytes = self.plan.bytes.slice(self.sent..until);
        self.sent = until;
        self.call.wrote(&bytes);
        // A body of a declared length is not asked again after its last byte.
        let last = until == self.plan.bytes.len() && self.plan.stops.is_empty();
        if last && self.plan.ending == Ending::Clean {
            self.call.served();
        }
        (Ok(bytes), self)
    }

    async fn pause(&self, pause: Pause) {
        match pause {
            // Pending is what makes the connection write what it has.
            Pause::Flush => tokio::task::yield_now().await,
            Pause::Wait(gap) => tokio::time::sleep(gap).await,
            Pause::Hold => self.call.hold().await,
        }
    }
}
