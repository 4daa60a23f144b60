//! Errors are named in a header, not in the body: [`crate::eventstream`] writes the name into the event as `type`.

use crate::{error::upstream::UpstreamError, eventstream};

/// From the data of an `exception` event.
pub(crate) fn read(exception: &str) -> UpstreamError {
    let mut error = UpstreamError::read(exception);
    error.status = error.status.or_else(|| error.kind.as_deref().map(eventstream::status));
    error
}
