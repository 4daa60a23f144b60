//! Every answer carries the gateway's id of its request, which is also the ledger's.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use shared::wire::Wire;

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// Where the upstream's own `x-request-id` goes.
const X_UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-upstream-request-id");

/// An upstream's own id is kept.
pub fn set_request_id(headers: &mut HeaderMap, wire: Wire, id: String) {
    let Ok(id) = HeaderValue::from_maybe_shared(Bytes::from(id)) else {
        return;
    };
    if wire == Wire::Messages {
        headers.entry(REQUEST_ID).or_insert_with(|| id.clone());
    }
    if let Some(upstream) = headers.insert(X_REQUEST_ID, id) {
        headers.insert(X_UPSTREAM_REQUEST_ID, upstream);
    }
}
