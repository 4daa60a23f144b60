//! How many tokens a request may stand for, by its body's bytes alone.

use std::sync::LazyLock;

use memchr::{memchr, memmem, memmem::Finder};

/// A token is about four bytes of text.
const BYTES_PER_TOKEN: u64 = 4;
/// What an image costs, about, at the size that providers scale large ones down to; longer data is a document's.
const MEDIA_TOKENS: u64 = 1600;
/// A document's tokens are about the bytes of its base64 divided by this.
const BYTES_PER_MEDIA_TOKEN: u64 = 27;
/// Shorter values are text.
const MEDIA_MIN: usize = 1024;
/// What stands ahead of base64 in the four wires.
const AHEAD: [&[u8]; 2] = [b"base64,", b"\"data\""];

/// What stands in a body that names more: see [`names_more`].
static MORE: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| [&b"\"file"[..], b"\"http", b"_search"].map(Finder::new));

/// Tokens of a body's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    pub likely: u64,
    /// A token has a byte at the least.
    pub most: u64,
}

#[must_use]
pub fn tokens(body: &[u8]) -> Tokens {
    let (mut media_bytes, mut media_tokens) = (0, 0);
    if body.len() > MEDIA_MIN {
        for ahead in AHEAD {
            let mut from = 0;
            while let Some(found) = memmem::find(body.get(from..).unwrap_or_default(), ahead) {
                from += found + ahead.len();
                let length = media_length(body.get(from..).unwrap_or_default());
                from += length;
                if length >= MEDIA_MIN {
                    media_bytes += length as u64;
                    media_tokens += MEDIA_TOKENS.max(length as u64 / BYTES_PER_MEDIA_TOKEN);
                }
            }
        }
    }
    let most = body.len() as u64;
    let likely = (most.saturating_sub(media_bytes) / BYTES_PER_TOKEN + media_tokens).min(most);
    Tokens { likely, most }
}

/// Whether a body names what adds to its input without being in it: files and addresses that the provider reads, and
/// searches that it makes. It may be said of one that does not, as the words may stand in its text.
#[must_use]
pub fn names_more(body: &[u8]) -> bool {
    MORE.iter().any(|name| name.find(body).is_some())
}

/// Bytes up to the end of the value that begins here, or that a colon is ahead of.
fn media_length(rest: &[u8]) -> usize {
    let quote = |bytes: &[u8]| memchr(b'"', bytes).unwrap_or(bytes.len());
    match rest.trim_ascii_start().strip_prefix(b":") {
        Some(value) => {
            let ahead = rest.len() - value.len();
            let value = value.trim_ascii_start();
            match value.strip_prefix(b"\"") {
                // A data URL is found by its own mark.
                Some(text) if !text.starts_with(b"data:") => ahead + quote(text),
                _ => 0,
            }
        }
        None => quote(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_counts_by_its_bytes_and_media_by_their_kind() {
        let text = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "a".repeat(4000));
        let length = text.len() as u64;
        assert_eq!(tokens(text.as_bytes()), Tokens { likely: length / 4, most: length });
        let data = "QUJD".repeat(2500);
        for (body, rest) in [
            (format!(r#"{{"url":"data:image/png;base64,{data}"}}"#), 33_u64),
            (format!(r#"{{"type":"base64","data": "{data}"}}"#), 28),
            (format!(r#"{{"inlineData":{{"data":"{data}"}}}}"#), 27),
        ] {
            let found = tokens(body.as_bytes());
            assert_eq!(found.most, body.len() as u64);
            assert!(found.likely.abs_diff(MEDIA_TOKENS + rest / 4) < 5, "{found:?} of {rest}");
        }
        let document = "QUJD".repeat(250_000);
        let found = tokens(format!(r#"{{"data":"{document}"}}"#).as_bytes());
        assert!(found.likely.abs_diff(1_000_000 / BYTES_PER_MEDIA_TOKEN) < 5, "{found:?}");
    }

    #[test]
    fn a_body_that_ends_anywhere_is_counted() {
        let body = format!(r#"{{"data":"{}"}}"#, "A".repeat(3000));
        for end in 0..body.len() {
            let found = tokens(&body.as_bytes()[..end]);
            assert!(found.likely <= found.most && found.most == end as u64);
        }
    }
}
