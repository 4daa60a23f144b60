//! A client's request before its body is read.

use http::{HeaderMap, Uri};
use shared::{clock::Millis, id::RequestId};
use tokio::time::Instant;

use crate::{
    provider::{Operation, TraceId},
    scheduler::Pin,
};

/// A request of a client, read up to its body.
#[derive(Debug)]
pub struct Call {
    pub id: RequestId,
    /// Of the trace that the client is in.
    pub trace: Option<TraceId>,
    pub operation: Operation,
    pub pin: Option<Pin>,
    pub path: Option<PathModel>,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub arrived: Instant,
    pub started_at: Millis,
}

/// What Google's API says in the path and not in the body.
#[derive(Debug, Clone)]
pub struct PathModel {
    pub model: String,
    pub stream: bool,
    /// The stream is to come as one JSON array: the client did not ask for `alt=sse`.
    pub array: bool,
}
