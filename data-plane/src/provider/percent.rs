//! Names in URLs.

use std::borrow::Cow;

/// The text as one segment of a path, or as a query's value: all but RFC 3986's unreserved characters is encoded.
pub(super) fn segment(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_has_a_meaning_in_urls_is_encoded() {
        assert_eq!(segment("gpt-5.1_a~b"), "gpt-5.1_a~b");
        assert_eq!(segment("us.anthropic.claude-v1:0"), "us.anthropic.claude-v1%3A0");
        assert_eq!(segment("arn:aws:bedrock:x/y?z#é"), "arn%3Aaws%3Abedrock%3Ax%2Fy%3Fz%23%C3%A9");
        assert_eq!(segment("../a"), "..%2Fa");
    }
}
