//! Stage 5: the request as the account's upstream wants it. Same wire in and out: the body stays bytes, save the
//! model's name and, in a chat stream, the question for usage.

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use wire::raw::{splice::Splices, watch::StreamEdits};

use super::filter::Admitted;
use crate::{
    provider::{Operation, Provider, Unaddressable, url},
    snapshot::Account,
};

/// What does not change from account to account.
#[derive(Debug)]
pub(super) struct Prepared {
    headers: HeaderMap,
    query: Option<String>,
}

impl Prepared {
    /// Takes the client's headers: they are filtered in place.
    pub(super) fn of(admitted: &mut Admitted) -> Self {
        let mut headers = std::mem::take(&mut admitted.call.headers);
        crate::provider::strip_request_headers(&mut headers);
        let query = admitted.call.uri.query().and_then(without_key);
        Self { headers, query }
    }

    /// # Errors
    /// The account's settings make no request.
    pub(super) fn request(
        &self,
        admitted: &Admitted,
        provider: &dyn Provider,
        account: &Account,
        model: &str,
    ) -> Result<Request<Full<Bytes>>, Unaddressable> {
        let path = provider.path(admitted.call.operation).ok_or(Unaddressable::InvalidUrl)?;
        let uri = url(account, path, self.query.as_deref())?;
        let mut headers = self.headers.clone();
        provider.sign(account, &mut headers)?;
        let mut request = Request::new(Full::new(body(admitted, model)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// What is changed in the answer, because the request was.
pub(super) fn edits(admitted: &Admitted) -> StreamEdits {
    StreamEdits { hide_usage: admitted.call.operation == Operation::Chat && !admitted.view.wants_usage }
}

fn body(admitted: &Admitted, model: &str) -> Bytes {
    let mut splices = Splices::new();
    admitted.view.replace_model(&mut splices, model);
    if admitted.call.operation == Operation::Chat && admitted.view.stream {
        admitted.view.ask_for_usage(&mut splices);
    }
    splices.apply(admitted.body.clone())
}

/// The client's query, without its key.
fn without_key(query: &str) -> Option<String> {
    let kept: Vec<_> =
        query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("key=")).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_taken_out_of_the_query_and_the_rest_stays() {
        assert_eq!(without_key("beta=true"), Some("beta=true".into()));
        assert_eq!(without_key("key=sk-1"), None);
        assert_eq!(without_key("a=1&key=sk-1&b=2"), Some("a=1&b=2".into()));
        assert_eq!(without_key(""), None);
    }
}
