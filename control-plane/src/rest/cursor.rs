//! Lists page by key: `?limit=&cursor=` in, `next_cursor` out.
//!
//! A list handler takes [`Page`], asks the store for [`Page::fetch`] rows after [`Page::after`], and lets
//! [`Page::cut`] drop the one row too many, whose presence says that there is more.

use axum::extract::FromRequestParts;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::request::Parts;
use utoipa::IntoParams;

use super::{error::Problem, extract};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;
/// As long as the longest key that a list is ordered by: a node's name of 128 characters.
const MAX_CURSOR_BYTES: usize = 512;

/// Where a page begins and how long it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    limit: u32,
    after: Option<Vec<u8>>,
}

/// The query parameters of every list, for the documents.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Rows wanted, 1–200. Absent: 50.
    #[expect(dead_code, reason = "read by `Page`; this struct is its description")]
    limit: Option<u32>,
    /// `next_cursor` of the page before. Absent: from the start.
    #[expect(dead_code, reason = "read by `Page`; this struct is its description")]
    cursor: Option<String>,
}

impl Page {
    /// How many rows to ask the store for: one more than are shown.
    #[must_use]
    pub fn fetch(&self) -> u32 {
        self.limit + 1
    }

    /// The key that the page begins after, as the list before gave it to [`Self::cut`].
    ///
    /// # Errors
    /// The cursor is of another length: it is of another list, or made up.
    pub fn after<const N: usize>(&self) -> Result<Option<[u8; N]>, Problem> {
        self.after.as_deref().map(|key| key.try_into().map_err(|_| not_a_cursor())).transpose()
    }

    /// [`Self::after`] where the key is a text.
    ///
    /// # Errors
    /// The cursor is no text: it is of another list, or made up.
    pub fn after_text(&self) -> Result<Option<&str>, Problem> {
        self.after.as_deref().map(|key| std::str::from_utf8(key).map_err(|_| not_a_cursor())).transpose()
    }

    /// Drops what is beyond the page. Returns `next_cursor`, made of the last row that stays; `None` at the end.
    pub fn cut<T, K: AsRef<[u8]>>(&self, rows: &mut Vec<T>, key: impl Fn(&T) -> K) -> Option<String> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if rows.len() <= limit {
            return None;
        }
        rows.truncate(limit);
        rows.last().map(|last| URL_SAFE_NO_PAD.encode(key(last)))
    }
}

fn not_a_cursor() -> Problem {
    Problem::invalid("cursor", "use the next_cursor of this list as it was given")
}

impl<S: Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut page = Self { limit: DEFAULT_LIMIT, after: None };
        for (name, value) in extract::query_pairs(parts) {
            match name.as_ref() {
                "limit" => page.limit = limit(&value)?,
                "cursor" => page.after = Some(key(&value)?),
                _ => {}
            }
        }
        Ok(page)
    }
}

fn limit(text: &str) -> Result<u32, Problem> {
    match text.parse() {
        Ok(limit @ 1..=MAX_LIMIT) => Ok(limit),
        _ => Err(Problem::invalid("limit", format!("a whole number from 1 to {MAX_LIMIT} is expected"))),
    }
}

fn key(text: &str) -> Result<Vec<u8>, Problem> {
    let key = URL_SAFE_NO_PAD.decode(text).map_err(|_| not_a_cursor())?;
    if key.is_empty() || key.len() > MAX_CURSOR_BYTES { Err(not_a_cursor()) } else { Ok(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn page(query: &str) -> Result<Page, &'static str> {
        let (mut parts, ()) = http::Request::get(format!("/things?{query}")).body(()).unwrap().into_parts();
        Page::from_request_parts(&mut parts, &()).await.map_err(|problem| problem.code())
    }

    #[tokio::test]
    async fn pages_follow_each_other_to_the_end() {
        let all: Vec<[u8; 2]> = (0..5_u8).map(|n| [0, n]).collect();
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = page(&format!("limit=2{cursor}")).await.unwrap();
            let after = page.after::<2>().unwrap();
            let fetch = usize::try_from(page.fetch()).unwrap();
            let mut rows: Vec<_> = all
                .iter()
                .copied()
                .filter(|key| after.is_none_or(|after| *key > after))
                .take(fetch)
                .collect();
            let next = page.cut(&mut rows, |key| *key);
            seen.extend(rows);
            let Some(next) = next else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, all);
    }

    #[tokio::test]
    async fn what_no_list_gave_is_refused() {
        for bad in ["limit=0", "limit=201", "limit=-1", "limit=ten", "cursor=%21", "cursor=", "limit="] {
            assert_eq!(page(bad).await, Err("invalid_fields"), "{bad}");
        }
        assert!(page("cursor=AAAA").await.unwrap().after::<16>().is_err());
        assert!(page("cursor=_w").await.unwrap().after_text().is_err());
        assert_eq!(page("cursor=bm9kZS0x").await.unwrap().after_text().unwrap(), Some("node-1"));
        assert_eq!(page("other=1").await.unwrap().fetch(), 51);
    }
}
