//! JSON in one pass over its bytes: what each value is is checked, where it ends is known, and nothing is built.
//!
//! It takes what `serde_json` takes, which the tests hold it to, at a fraction of the cost: requests and answers are read
//! on every request's path.

use super::Field;

/// Calls `each` for every field of the object that `text` is. None: it is no such object; some fields may have been told.
pub(super) fn object<'a>(text: &'a str, mut each: impl FnMut(Field<'a>)) -> Option<()> {
    let (mut scan, mut goes_on) = Scan::opened(text, b'{', b'}')?;
    while goes_on {
        let begins = scan.at();
        scan.take(b'"')?;
        let escaped = scan.string()?;
        let key = scan.since(begins)?;
        scan.space();
        scan.take(b':')?;
        let value = scan.value()?;
        each(Field { key, escaped, value });
        goes_on = scan.goes_on(b'}')?;
    }
    scan.end()
}

/// Calls `each` for every item of the array that `text` is. None: it is no such array; some items may have been told.
pub(super) fn array<'a>(text: &'a str, mut each: impl FnMut(&'a str)) -> Option<()> {
    let (mut scan, mut goes_on) = Scan::opened(text, b'[', b']')?;
    while goes_on {
        each(scan.value()?);
        goes_on = scan.goes_on(b']')?;
    }
    scan.end()
}

/// Whether a text can stand in a JSON string as it is: nothing in it has to be escaped.
pub(super) fn is_plain(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        if marked(u64::from_le_bytes(*eight)) != 0 {
            return false;
        }
        rest = behind;
    }
    !rest.iter().any(|byte| is_special(*byte))
}

/// A text, and what of it is not read yet.
struct Scan<'a> {
    text: &'a str,
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// Behind the opening bracket, and whether there is anything in it; its end is read where there is not.
    fn opened(text: &'a str, open: u8, close: u8) -> Option<(Self, bool)> {
        let mut scan = Scan { text, rest: text.as_bytes() };
        scan.space();
        scan.take(open)?;
        scan.space();
        let is_empty = scan.rest.first() == Some(&close);
        if is_empty {
            scan.take(close)?;
        }
        Some((scan, !is_empty))
    }

    /// Behind a value of the outermost bracket: whether another one follows, or its end.
    #[inline]
    fn goes_on(&mut self, close: u8) -> Option<bool> {
        self.space();
        match self.next()? {
            b',' => {
                self.space();
                Some(true)
            }
            end if end == close => Some(false),
            _ => None,
        }
    }

    const fn at(&self) -> usize {
        self.text.len() - self.rest.len()
    }

    fn since(&self, begins: usize) -> Option<&'a str> {
        self.text.get(begins..self.at())
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let (next, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*next)
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    #[inline]
    fn space(&mut self) {
        while let [b' ' | b'\n' | b'\t' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Nothing but white space may be left.
    fn end(&mut self) -> Option<()> {
        self.space();
        self.rest.is_empty().then_some(())
    }

    /// The value that comes next, as it was written.
    fn value(&mut self) -> Option<&'a str> {
        self.space();
        let begins = self.at();
        let first = self.next()?;
        if let b'{' | b'[' = first {
            self.nested(first)?;
        } else {
            self.scalar(first)?;
        }
        self.since(begins)
    }

    /// Past the rest of an object or array, whatever is in it. It takes a bit of heap for each level, and no stack.
    fn nested(&mut self, first: u8) -> Option<()> {
        let (mut open, mut first) = (Nesting::default(), first);
        loop {
            match first {
                b'{' | b'[' => {
                    let (is_object, end) = if first == b'{' { (true, b'}') } else { (false, b']') };
                    self.space();
                    first = self.next()?;
                    if first != end {
                        open.push(is_object);
                        if is_object {
                            first = self.key(first)?;
                        }
                        continue;
                    }
                }
                _ => self.scalar(first)?,
            }
            let Some(next) = self.close(&mut open)? else { return Some(()) };
            first = next;
        }
    }

    /// Behind a value: ends what ends with it, and goes on to the first byte of the next one. None: that was all.
    fn close(&mut self, open: &mut Nesting) -> Option<Option<u8>> {
        while let Some(is_object) = open.innermost() {
            self.space();
            match (self.next()?, is_object) {
                (b',', _) => {
                    self.space();
                    let first = self.next()?;
                    return if is_object { self.key(first).map(Some) } else { Some(Some(first)) };
                }
                (b'}', true) | (b']', false) => open.pop(),
                _ => return None,
            }
        }
        Some(None)
    }

    /// Past the rest of a key and its colon; gives the first byte of the value.
    #[inline]
    fn key(&mut self, first: u8) -> Option<u8> {
        if first != b'"' {
            return None;
        }
        self.string()?;
        self.space();
        self.take(b':')?;
        self.space();
        self.next()
    }

    /// Past the rest of a value that is neither an object nor an array.
    #[inline]
    fn scalar(&mut self, first: u8) -> Option<()> {
        match first {
            b'"' => self.string().map(|_| ()),
            b'-' => {
                let digit = self.next()?;
                self.number(digit)
            }
            b't' => self.word(b"rue"),
            b'f' => self.word(b"alse"),
            b'n' => self.word(b"ull"),
            digit => self.number(digit),
        }
    }

    /// Past the rest of a string. True: there are escapes in it.
    #[inline]
    fn string(&mut self) -> Option<bool> {
        match self.special()? {
            b'"' => Some(false),
            b'\\' => self.escaped().map(|()| true),
            _ => None,
        }
    }

    /// As [`Self::string`], from behind a backslash on. On its own, so that what is usual stays short.
    #[inline(never)]
    fn escaped(&mut self) -> Option<()> {
        loop {
            self.escape()?;
            match self.special()? {
                b'"' => return Some(()),
                b'\\' => {}
                _ => return None,
            }
        }
    }

    /// Past the first quote, backslash or control character, which it gives. Eight bytes are looked at together.
    #[inline]
    fn special(&mut self) -> Option<u8> {
        while let Some((eight, rest)) = self.rest.split_first_chunk::<8>() {
            let marked = marked(u64::from_le_bytes(*eight));
            if marked == 0 {
                self.rest = rest;
                continue;
            }
            let first = marked.trailing_zeros() as usize / 8;
            self.rest = self.rest.get(first + 1..)?;
            return eight.get(first).copied();
        }
        self.special_of_few()
    }

    #[inline(never)]
    fn special_of_few(&mut self) -> Option<u8> {
        loop {
            let next = self.next()?;
            if is_special(next) {
                return Some(next);
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let (digits, rest) = self.rest.split_first_chunk::<4>()?;
                self.rest = rest;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    /// Past the rest of a number whose first digit is read.
    fn number(&mut self, first: u8) -> Option<()> {
        match first {
            // Another digit behind it is no part of it, and nothing that may follow.
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if let [b'.', rest @ ..] = self.rest {
            self.rest = rest;
            self.some_digits()?;
        }
        if let [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] = self.rest {
            self.rest = rest;
            self.some_digits()?;
        }
        Some(())
    }

    #[inline]
    fn digits(&mut self) {
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn some_digits(&mut self) -> Option<()> {
        let before = self.rest.len();
        self.digits();
        (self.rest.len() < before).then_some(())
    }

    #[inline]
    fn word(&mut self, rest: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(rest)?;
        Some(())
    }
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

/// The highest bit of each byte that is a quote, a backslash or a control character. Bytes behind the first of them may be
/// marked wrongly, by a borrow.
#[inline]
const fn marked(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
    let (quote, backslash) = (word ^ QUOTES, word ^ BACKSLASHES);
    let quotes = quote.wrapping_sub(ONES) & !quote;
    let backslashes = backslash.wrapping_sub(ONES) & !backslash;
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (quotes | backslashes | controls) & ONES << 7
}

/// What is open around a place, a bit for each level.
#[derive(Default)]
struct Nesting {
    depth: usize,
    /// Of the innermost levels, up to 64; 1: an object.
    bits: u64,
    /// Of the levels around these, 64 each.
    outer: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.bits >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }

    /// Whether it is an object; none: nothing is open.
    const fn innermost(&self) -> Option<bool> {
        if self.depth == 0 { None } else { Some(self.bits & 1 == 1) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{fields_by_serde, items_by_serde};

    type Told<T> = Result<Vec<T>, ()>;

    fn fields(text: &str) -> Told<(String, String, String)> {
        let mut told = Vec::new();
        let mut tell =
            |key: &str, name: &str, value: &str| told.push((key.into(), name.into(), value.into()));
        super::object(text, |field| tell(field.key, &field.name(), field.value)).ok_or(())?;
        Ok(told)
    }

    fn fields_of_serde(text: &str) -> Told<(String, String, String)> {
        let mut told = Vec::new();
        fields_by_serde(text, |key, value| {
            let name = serde_json::from_str::<String>(key).unwrap_or_default();
            told.push((key.to_owned(), name, value.to_owned()));
        })
        .map_err(|_| ())?;
        Ok(told)
    }

    fn items(text: &str) -> Told<String> {
        let mut told = Vec::new();
        super::array(text, |item| told.push(item.to_owned())).ok_or(())?;
        Ok(told)
    }

    fn items_of_serde(text: &str) -> Told<String> {
        let mut told = Vec::new();
        items_by_serde(text, |item| told.push(item.to_owned())).map_err(|_| ())?;
        Ok(told)
    }

    fn assert_same(text: &str) {
        assert_eq!(fields(text), fields_of_serde(text), "{text:?}");
        assert_eq!(items(text), items_of_serde(text), "{text:?}");
    }

    const PIECES: [&str; 44] = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"a\":",
        "\"b\"",
        "\"\\u00e9\"",
        "\"\\ud800\"",
        "\\n",
        "\\x",
        "\\u12",
        "null",
        "true",
        "false",
        "nul",
        "0",
        "01",
        "12",
        "-",
        "-0",
        "-7",
        "1.5",
        "1.",
        ".5",
        "1e9",
        "1E+2",
        "2e-",
        "1e",
        " ",
        "\n",
        "\t",
        "\r",
        "\u{c}",
        "\u{1f}",
        "\u{7f}",
        "é",
        "\u{2028}",
        "😀",
        "long text that takes several words",
        "\u{feff}",
    ];

    fn soup() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..24).prop_map(|pieces| pieces.concat())
    }

    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?",
            Just("true".to_owned()),
            Just("null".to_owned()),
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        ];
        leaf.prop_recursive(6, 48, 6, |inner| {
            let space = || "[ \n\t\r]{0,2}";
            let item = (space(), inner, space()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
            let key = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
            let field = (space(), key, space(), item.clone())
                .prop_map(|(a, key, b, item)| format!("{a}{key}{b}:{item}"));
            prop_oneof![
                prop::collection::vec(item, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::vec(field, 0..6).prop_map(|fields| format!("{{{}}}", fields.join(","))),
            ]
        })
    }

    /// The text with one character less, or another one in its place.
    fn damaged(text: &str, at: prop::sample::Index, with: Option<&str>) -> String {
        let places: Vec<_> = text.char_indices().collect();
        let (at, character) = places[at.index(places.len())];
        [&text[..at], with.unwrap_or_default(), &text[at + character.len_utf8()..]].concat()
    }

    proptest! {
        #[test]
        fn what_is_plain_is_what_serde_writes_as_it_is(text in any::<String>(), soup in soup()) {
            for text in [text, soup] {
                let as_it_is = serde_json::to_string(&text).unwrap() == format!("\"{text}\"");
                prop_assert_eq!(super::is_plain(&text), as_it_is, "{:?}", text);
            }
        }

        #[test]
        fn any_text_is_read_as_by_serde(text in any::<String>(), soup in soup()) {
            assert_same(&text);
            assert_same(&soup);
            assert_same(&format!("{{\"k\":{soup}}}"));
            assert_same(&format!("[{soup}]"));
        }

        #[test]
        fn any_json_is_read_as_by_serde_whole_and_damaged(
            value in value(),
            at in any::<prop::sample::Index>(),
            with in prop::option::of(prop::sample::select(PIECES.to_vec())),
        ) {
            assert_same(&value);
            assert_same(&damaged(&value, at, with));
            let object = format!("{{\"k\":{value},\"\\u006b\" : {value} }}");
            prop_assert!(fields(&object).is_ok());
            assert_same(&object);
            assert_same(&damaged(&object, at, with));
        }
    }

    #[test]
    fn levels_are_told_apart_however_deep() {
        for depth in [1, 2, 63, 64, 65, 127, 128, 129, 1000] {
            let opened = |at: usize| if at.is_multiple_of(3) { "{\"a\":" } else { "[" };
            let closed = |at: usize| if at.is_multiple_of(3) { "}" } else { "]" };
            let open: String = (0..depth).map(opened).collect();
            let close: String = (0..depth).rev().map(closed).collect();
            for text in [format!("{open}1{close}"), format!("{open}1,{close}"), format!("{open}[]{close}")] {
                assert_same(&text);
            }
            let mut crossed: Vec<char> = close.chars().collect();
            let other = if crossed[0] == '}' { ']' } else { '}' };
            crossed[0] = other;
            assert_same(&format!("{open}1{}", crossed.into_iter().collect::<String>()));
        }
    }
}
