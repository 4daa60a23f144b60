//! What the client gets: a body that is there, or one that is on its way.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Response, header::CONTENT_LENGTH, response};
use hyper::body::{Body, Frame, SizeHint};

use super::{
    failure::End,
    forward::Answered,
    open::Opened,
    request_id::set_request_id,
    stream::{Broken, StreamBody},
};
use crate::{
    faults::{self, Place},
    provider::strip_response_headers,
};

/// Stage 8: the answer goes to the client. One that is whole is over with that; a stream is from here on [`StreamBody`]'s.
pub(super) async fn respond(answered: Answered) -> Response<ResponseBody> {
    let Answered { mut held, opened, forwarding } = answered;
    faults::reach(Place::Respond);
    let (id, wire) = forwarding.call();
    if let Some(flight) = held.flight() {
        flight.commit();
    }
    let (mut parts, body): (response::Parts, _) = match opened {
        Opened::Whole { parts, body } => {
            held.finish(&End::Completed);
            (parts, ResponseBody::full(body))
        }
        Opened::Refused { parts, body, said } => {
            if let Some(flight) = held.flight() {
                flight.sent_status = parts.status.as_u16();
            }
            held.finish(&End::Refused(said.message));
            (parts, ResponseBody::full(body))
        }
        Opened::Stream { mut parts, chunks } => {
            let mut stream = Box::new(StreamBody::new(held, chunks, (id, wire), forwarding));
            stream.gather().await;
            // Frames may be taken out on the way.
            parts.headers.remove(CONTENT_LENGTH);
            (parts, ResponseBody::Stream(stream))
        }
    };
    strip_response_headers(&mut parts.headers);
    set_request_id(&mut parts.headers, wire, id.to_string());
    Response::from_parts(parts, body)
}

#[derive(Debug)]
pub enum ResponseBody {
    /// `None` once it is sent.
    Full(Option<Bytes>),
    Stream(Box<StreamBody>),
}

impl ResponseBody {
    #[must_use]
    pub fn full(bytes: Bytes) -> Self {
        Self::Full(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    #[must_use]
    pub const fn empty() -> Self {
        Self::Full(None)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream) => {
                stream.poll_bytes(cx).map(|next| next.map(|bytes| bytes.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Stream(stream) => stream.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
