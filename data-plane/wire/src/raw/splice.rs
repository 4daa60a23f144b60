//! Edits by byte range: all else stays as it was written.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

/// Edits made in place; with more, a copy is cheaper.
const IN_PLACE_MAX: usize = 16;

/// Edits of one body, in any order. They must lie inside the body and apart from each other; one that does not is
/// left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Splices {
    edits: SmallVec<[Edit; 4]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Edit {
    range: Range<usize>,
    text: Cow<'static, str>,
}

impl Splices {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// Puts `text` in the place of the bytes in `range`; an empty range inserts.
    pub fn replace(&mut self, range: Range<usize>, text: impl Into<Cow<'static, str>>) {
        self.edits.push(Edit { range, text: text.into() });
    }

    /// As [`Splices::replace`], with `text` written as a JSON string.
    pub fn replace_with_string(&mut self, range: Range<usize>, text: &str) {
        self.replace(range, serde_json::Value::from(text).to_string());
    }

    /// The body with the edits made: the same `Bytes` when there are none.
    #[must_use]
    pub fn apply(&self, body: Bytes) -> Bytes {
        let edits = self.in_order(body.len());
        if edits.is_empty() {
            return body;
        }
        let mut edited = BytesMut::with_capacity(body.len() + inserted(&edits));
        let mut from = 0;
        for edit in edits {
            edited.extend_from_slice(body.get(from..edit.range.start).unwrap_or_default());
            edited.extend_from_slice(edit.text.as_bytes());
            from = edit.range.end;
        }
        edited.extend_from_slice(body.get(from..).unwrap_or_default());
        edited.freeze()
    }

    /// As [`Splices::apply`], to a body that nobody else holds: a long one is moved about, not copied.
    pub fn apply_to(&self, body: &mut Vec<u8>) {
        let edits = self.in_order(body.len());
        if edits.len() > IN_PLACE_MAX {
            // Each edit in place moves all behind it.
            *body = self.apply(std::mem::take(body).into()).into();
            return;
        }
        body.reserve_exact(inserted(&edits));
        for edit in edits.into_iter().rev() {
            body.splice(edit.range.clone(), edit.text.bytes());
        }
    }

    /// Those edits of a body of `length` bytes that can be made, from its beginning to its end.
    fn in_order(&self, length: usize) -> SmallVec<[&Edit; 4]> {
        let mut edits: SmallVec<[&Edit; 4]> = self.edits.iter().collect();
        edits.sort_by_key(|edit| edit.range.start);
        let mut end = 0;
        edits.retain(|edit| {
            let fits =
                edit.range.start >= end && edit.range.start <= edit.range.end && edit.range.end <= length;
            if fits {
                end = edit.range.end;
            }
            fits
        });
        edits
    }
}

fn inserted(edits: &[&Edit]) -> usize {
    edits.iter().map(|edit| edit.text.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(body: &'static str, edits: &[(Range<usize>, &'static str)]) -> String {
        let mut splices = Splices::new();
        for (range, text) in edits {
            splices.replace(range.clone(), *text);
        }
        let mut in_place = body.as_bytes().to_vec();
        splices.apply_to(&mut in_place);
        assert_eq!(splices.apply(Bytes::from_static(body.as_bytes())), in_place);
        String::from_utf8(in_place).unwrap()
    }

    #[test]
    fn edits_are_made_at_their_places_in_any_order() {
        assert_eq!(edited("0123456789", &[(8..10, ""), (0..0, "a"), (3..5, "bcd")]), "a012bcd567");
    }

    #[test]
    fn insertions_at_one_place_stand_in_the_order_of_their_making() {
        assert_eq!(edited("{}", &[(1..1, "a"), (1..1, "b")]), "{ab}");
    }

    #[test]
    fn edits_that_overlap_or_lie_outside_are_left_out() {
        #[expect(clippy::reversed_empty_ranges, reason = "the edit is wrong on purpose")]
        let backwards = 3..2;
        assert_eq!(edited("01234", &[(1..3, "x"), (2..4, "y"), (4..9, "z"), (backwards, "w")]), "0x34");
    }

    #[test]
    fn text_is_written_as_a_json_string() {
        let mut splices = Splices::new();
        splices.replace_with_string(0..1, "a\"b\\c\n\u{1}é");
        assert_eq!(splices.apply(Bytes::from_static(b"x")), r#""a\"b\\c\n\u0001é""#.as_bytes());
    }
}
