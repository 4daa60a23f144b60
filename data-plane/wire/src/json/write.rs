//! Writing JSON, field by field, straight into the buffer that goes out.

use serde::Serialize;
use serde_json::value::RawValue;

use super::scan;

/// An object that is being written.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

/// An array that is being written.
pub(crate) struct Array<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

/// Writes `{…}` with what `fill` puts into it.
pub(crate) fn object(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    fill(&mut Object { out, first: true });
    out.push(b'}');
}

/// As [`object`], on one line: JSON of others may hold line ends between its tokens, which would end a frame's data.
pub(crate) fn line(out: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
    let start = out.len();
    object(out, fill);
    let mut rest = out.get_mut(start..).unwrap_or_default();
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        let Some((line_end, behind)) = rest.get_mut(at..).and_then(<[u8]>::split_first_mut) else { return };
        *line_end = b' ';
        rest = behind;
    }
}

/// Writes `[…]` with what `fill` puts into it.
pub(crate) fn array(out: &mut Vec<u8>, fill: impl FnOnce(&mut Array<'_>)) {
    out.push(b'[');
    fill(&mut Array { out, first: true });
    out.push(b']');
}

/// Writes a string with its quotes.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    // Keys always, and most of what streams hold.
    if !scan::is_plain(text) {
        return value(out, &text);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Writes anything that can be said in JSON: numbers, strings, maps with string keys.
pub(crate) fn value(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        // Only a map with odd keys fails, and none is written here.
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

fn comma(out: &mut Vec<u8>, first: &mut bool) {
    if !std::mem::replace(first, false) {
        out.push(b',');
    }
}

impl Object<'_> {
    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        comma(self.out, &mut self.first);
        string(self.out, key);
        self.out.push(b':');
        self.out
    }

    pub(crate) fn string(&mut self, key: &str, text: &str) {
        string(self.key(key), text);
    }

    /// Nothing for `None`.
    pub(crate) fn some_string(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.string(key, text);
        }
    }

    pub(crate) fn value(&mut self, key: &str, item: &(impl Serialize + ?Sized)) {
        value(self.key(key), item);
    }

    /// Nothing for `None`.
    pub(crate) fn some(&mut self, key: &str, item: Option<&(impl Serialize + ?Sized)>) {
        if let Some(item) = item {
            self.value(key, item);
        }
    }

    /// JSON text as it is.
    pub(crate) fn raw(&mut self, key: &str, json: &str) {
        self.key(key).extend_from_slice(json.as_bytes());
    }

    pub(crate) fn some_raw(&mut self, key: &str, json: Option<&RawValue>) {
        if let Some(json) = json {
            self.raw(key, json.get());
        }
    }

    pub(crate) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        object(self.key(key), fill);
    }

    pub(crate) fn array(&mut self, key: &str, fill: impl FnOnce(&mut Array<'_>)) {
        array(self.key(key), fill);
    }
}

impl Array<'_> {
    fn item(&mut self) -> &mut Vec<u8> {
        comma(self.out, &mut self.first);
        self.out
    }

    pub(crate) fn string(&mut self, text: &str) {
        string(self.item(), text);
    }

    pub(crate) fn raw(&mut self, json: &str) {
        self.item().extend_from_slice(json.as_bytes());
    }

    pub(crate) fn object(&mut self, fill: impl FnOnce(&mut Object<'_>)) {
        object(self.item(), fill);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between_and_strings_are_escaped() {
        let mut out = Vec::new();
        object(&mut out, |o| {
            o.string("a\"", "b\n");
            o.some_string("none", None);
            o.raw("raw", r#"{"x":1.0}"#);
            o.array("list", |a| {
                a.raw("1");
                a.string("é");
                a.object(|_| {});
            });
            o.value("yes", &true);
        });
        let expected = r#"{"a\"":"b\n","raw":{"x":1.0},"list":[1,"é",{}],"yes":true}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
