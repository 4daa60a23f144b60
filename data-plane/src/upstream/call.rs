//! A request to an upstream: from connecting to the answer's last byte.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, header::HOST, response};
use hyper::body::{Body as _, Incoming};

use super::{
    RequestBody, UpstreamClient,
    connect::BoxError,
    link::{Head, Link},
    pool::Origin,
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no connection: {0}")]
    Connect(#[source] BoxError),
    #[error("{0}")]
    Http(#[source] hyper::Error),
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
}

enum State {
    Connecting { connecting: Connecting, request: Request<RequestBody> },
    Waiting { link: Box<Link>, head: Head },
    Reading { link: Box<Link>, body: Incoming },
    Over,
}

pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<Box<Link>, BoxError>> + Send>>;

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.state {
            State::Connecting { .. } => "Connecting",
            State::Waiting { .. } => "Waiting",
            State::Reading { .. } => "Reading",
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
        Self { client, origin, state: State::sent(link, request), reused: true, unanswered: false }
    }

    /// On a connection that is made for it. `request` is in origin form.
    pub(super) const fn over(
        client: Arc<UpstreamClient>,
        origin: Origin,
        connecting: Connecting,
        request: Request<RequestBody>,
    ) -> Self {
        let state = State::Connecting { connecting, request };
        Self { client, origin, state, reused: false, unanswered: false }
    }

    /// Whether the connection had served others and then ended before the answer's first byte, as one does that the
    /// upstream closed for having been idle: on a fresh one the request may well be served.
    #[must_use]
    pub const fn went_stale(&self) -> bool {
        self.reused && self.unanswered
    }

    /// The answer's head; its body comes from [`Self::poll_chunk`].
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<response::Parts, CallError>> {
        if let State::Connecting { connecting, .. } = &mut self.state {
            let connected = ready!(connecting.as_mut().poll(cx));
            let State::Connecting { request, .. } = std::mem::replace(&mut self.state, State::Over) else {
                return Poll::Ready(Err(CallError::Over));
            };
            match connected {
                Ok(link) => self.state = State::sent(link, request),
                Err(error) => return Poll::Ready(Err(CallError::Connect(error))),
            }
        }
        let State::Waiting { link, head } = &mut self.state else {
            return Poll::Ready(Err(CallError::Over));
        };
        let answered = ready!(link.poll_with(cx, |near| head.as_mut().poll(near)));
        let State::Waiting { link, .. } = std::mem::replace(&mut self.state, State::Over) else {
            return Poll::Ready(Err(CallError::Over));
        };
        match answered {
            Ok(answer) => {
                let (parts, body) = answer.into_parts();
                self.read(link, body);
                Poll::Ready(Ok(parts))
            }
            Err(error) => {
                self.unanswered = !link.heard();
                Poll::Ready(Err(CallError::Http(error)))
            }
        }
    }

    /// The next bytes of the answer's body; `None` at its end.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, CallError>>> {
        loop {
            let State::Reading { link, body } = &mut self.state else {
                return Poll::Ready(None);
            };
            let frame = ready!(link.poll_with(cx, |near| Pin::new(&mut *body).poll_frame(near)));
            let State::Reading { link, body } = std::mem::replace(&mut self.state, State::Over) else {
                return Poll::Ready(None);
            };
            match frame {
                Some(Ok(frame)) => {
                    self.read(link, body);
                    // Trailers are of no use to model APIs' clients.
                    if let Ok(data) = frame.into_data() {
                        return Poll::Ready(Some(Ok(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(CallError::Http(error)))),
                None => {
                    self.client.pool.put(self.origin.clone(), link);
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// Goes on reading; where nothing is left, the connection is free at once.
    fn read(&mut self, link: Box<Link>, body: Incoming) {
        if body.is_end_stream() {
            self.client.pool.put(self.origin.clone(), link);
        } else {
            self.state = State::Reading { link, body };
        }
    }
}

impl State {
    fn sent(mut link: Box<Link>, mut request: Request<RequestBody>) -> Self {
        request.headers_mut().insert(HOST, link.host().clone());
        let head = link.send(request);
        Self::Waiting { link, head }
    }
}
