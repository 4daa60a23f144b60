//! A request to an upstream: from connecting to the answer's last byte.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    Request,
    header::{CONTENT_ENCODING, CONTENT_LENGTH},
    response,
};

use super::{
    RequestBody, UpstreamClient,
    connect::BoxError,
    decoding::Decoding,
    link::{Link, LinkError},
    pool::Origin,
};
use crate::coding::{Broken, codings};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no connection: {0}")]
    Connect(#[source] BoxError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Coding(#[from] Broken),
    /// It was polled beyond its end.
    #[error("the call is over")]
    Over,
}

/// A request under way. Dropping it closes its connection, unless the answer was read to its end.
pub struct Call {
    client: Arc<UpstreamClient>,
    origin: Origin,
    state: State,
    /// The connection had served other requests before.
    reused: bool,
    /// It came to nothing before the answer's first byte.
    unanswered: bool,
    /// It is over, and was sent before that.
    sent: bool,
    /// The answer is compressed, though it was not to be.
    decoding: Option<Box<Decoding>>,
}

enum State {
    Connecting { connecting: Connecting, request: Box<Request<RequestBody>> },
    Waiting(Box<Link>),
    Reading(Box<Link>),
    Over,
}

pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<Box<Link>, BoxError>> + Send>>;

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.state {
            State::Connecting { .. } => "Connecting",
            State::Waiting(_) => "Waiting",
            State::Reading(_) => "Reading",
            State::Over => "Over",
        };
        f.debug_struct("Call").field("state", &state).field("reused", &self.reused).finish_non_exhaustive()
    }
}

impl Call {
    /// On a connection that stands. `request` is in origin form.
    pub(super) fn on(
        client: Arc<UpstreamClient>,
        origin: Origin,
        link: Box<Link>,
        request: Request<RequestBody>,
    ) -> Self {
        let state = State::sent(link, request);
        Self { client, origin, state, reused: true, unanswered: false, sent: false, decoding: None }
    }

    /// On a connection that is made for it. `request` is in origin form.
    pub(super) fn over(
        client: Arc<UpstreamClient>,
        origin: Origin,
        connecting: Connecting,
        request: Request<RequestBody>,
    ) -> Self {
        let state = State::Connecting { connecting, request: Box::new(request) };
        Self { client, origin, state, reused: false, unanswered: false, sent: false, decoding: None }
    }

    /// Whether the connection had served others and then ended before the answer's first byte, as one does that the
    /// upstream closed for having been idle: on a fresh one the request may well be served.
    #[must_use]
    pub const fn went_stale(&self) -> bool {
        self.reused && self.unanswered
    }

    /// Whether all of the request was written.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        match &self.state {
            State::Connecting { .. } => false,
            State::Waiting(link) => link.is_sent(),
            State::Reading(_) => true,
            State::Over => self.sent,
        }
    }

    /// The answer's head; its body comes from [`Self::poll_chunk`], decoded. What stays in a coding that is not known is
    /// said to be so by the head, as ever.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<response::Parts, CallError>> {
        if let State::Connecting { connecting, .. } = &mut self.state {
            let connected = ready!(connecting.as_mut().poll(cx));
            let State::Connecting { request, .. } = std::mem::replace(&mut self.state, State::Over) else {
                return Poll::Ready(Err(CallError::Over));
            };
            match connected {
                Ok(link) => self.state = State::sent(link, *request),
                Err(error) => return Poll::Ready(Err(CallError::Connect(error))),
            }
        }
        let State::Waiting(link) = &mut self.state else {
            return Poll::Ready(Err(CallError::Over));
        };
        let answered = ready!(link.poll_head(cx));
        let State::Waiting(link) = std::mem::replace(&mut self.state, State::Over) else {
            return Poll::Ready(Err(CallError::Over));
        };
        self.sent = link.is_sent();
        match answered {
            Ok(mut parts) => {
                self.sent = true;
                self.decoding = decoding(&mut parts);
                self.go_on(link);
                Poll::Ready(Ok(parts))
            }
            Err(error) => {
                self.unanswered = !link.heard();
                Poll::Ready(Err(error.into()))
            }
        }
    }

    /// The next bytes of the answer's body, as many as are there; `None` at its end.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CallError>>> {
        let Some(mut decoding) = self.decoding.take() else { return self.poll_received(cx) };
        let polled = decoding.poll_chunk(cx, |cx| self.poll_received(cx));
        match &polled {
            // Nothing that follows can be read.
            Poll::Ready(Some(Err(_))) => self.state = State::Over,
            _ => self.decoding = Some(decoding),
        }
        polled
    }

    /// As they came.
    fn poll_received(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CallError>>> {
        let State::Reading(link) = &mut self.state else {
            return Poll::Ready(None);
        };
        let chunk = ready!(link.poll_chunk(cx));
        let State::Reading(link) = std::mem::replace(&mut self.state, State::Over) else {
            return Poll::Ready(None);
        };
        match chunk {
            Ok(Some(chunk)) => {
                self.go_on(link);
                Poll::Ready(Some(Ok(chunk)))
            }
            Ok(None) => {
                self.client.pool.put(self.origin.clone(), link);
                Poll::Ready(None)
            }
            Err(error) => Poll::Ready(Some(Err(error.into()))),
        }
    }

    /// Goes on reading; where nothing is left, the connection is free at once.
    fn go_on(&mut self, link: Box<Link>) {
        if link.is_over() {
            self.client.pool.put(self.origin.clone(), link);
        } else {
            self.state = State::Reading(link);
        }
    }
}

/// How the body is to be decoded, which the head does not speak of from here on; none where it need not or can't be.
fn decoding(parts: &mut response::Parts) -> Option<Box<Decoding>> {
    if !parts.headers.contains_key(CONTENT_ENCODING) {
        return None;
    }
    let codings = codings(&parts.headers).ok()?;
    parts.headers.remove(CONTENT_ENCODING);
    if codings.is_empty() {
        return None;
    }
    parts.headers.remove(CONTENT_LENGTH);
    Some(Box::new(Decoding::of(&codings)))
}

impl State {
    fn sent(mut link: Box<Link>, request: Request<RequestBody>) -> Self {
        let (parts, body) = request.into_parts();
        link.send(&parts, body);
        Self::Waiting(link)
    }
}
