//! Lost updates are refused: a thing's GET carries its revision as ETag, and its PUT must bring it back as If-Match.

use axum::{
    Json,
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use serde::Serialize;

use super::error::Problem;

/// JSON with the ETag of a row's revision.
#[derive(Debug)]
pub struct Tagged<T> {
    pub revision: i64,
    pub body: T,
}

/// `"7"` for revision 7.
#[must_use]
pub fn of(revision: i64) -> String {
    format!("\"{revision}\"")
}

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        if let Ok(tag) = HeaderValue::from_str(&of(self.revision)) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

/// The revision that the caller has seen. Refuses a request without If-Match (428), and one whose tag is none that we
/// ever gave (412); `*` is such a one, for it would overwrite unseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(pub i64);

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut tags = parts.headers.get_all(header::IF_MATCH).iter();
        let Some(tag) = tags.next() else {
            return Err(Problem::new(
                StatusCode::PRECONDITION_REQUIRED,
                "if_match_required",
                "send the ETag of what you read as If-Match, so that nobody's change is lost",
            ));
        };
        let known = if tags.next().is_some() { None } else { tag.to_str().ok().and_then(revision) };
        known.map(Self).ok_or_else(|| {
            Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "stale_revision",
                "If-Match must be one ETag as the GET gave it, with its quotes",
            )
        })
    }
}

/// Proxies that compress make weak tags of ours; a revision says the same in either form.
fn revision(tag: &str) -> Option<i64> {
    let digits = tag.strip_prefix("W/").unwrap_or(tag).strip_prefix('"')?.strip_suffix('"')?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(tags: &[&str]) -> Result<IfMatch, (u16, &'static str)> {
        let mut request = http::Request::builder();
        for tag in tags {
            request = request.header(header::IF_MATCH, *tag);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        IfMatch::from_request_parts(&mut parts, &())
            .await
            .map_err(|problem| (problem.status().as_u16(), problem.code()))
    }

    #[tokio::test]
    async fn a_tag_comes_back_as_it_was_given() {
        assert_eq!(read(&[&of(7)]).await, Ok(IfMatch(7)));
        assert_eq!(read(&[&format!("W/{}", of(7))]).await, Ok(IfMatch(7)));
    }

    #[tokio::test]
    async fn no_tag_is_428_and_a_strange_one_412() {
        assert_eq!(read(&[]).await, Err((428, "if_match_required")));
        for strange in
            ["*", "7", "W/7", "\"7\", \"8\"", "\"\"", "\"+7\"", "\"-7\"", "\"99999999999999999999\""]
        {
            assert_eq!(read(&[strange]).await, Err((412, "stale_revision")), "{strange}");
        }
        assert_eq!(read(&["\"7\"", "\"8\""]).await, Err((412, "stale_revision")));
    }
}
