//! Edits of an object's own members, by byte range.

use std::ops::Range;

use super::splice::Splices;
use crate::json;

/// Gives the member this value (JSON text), whether it is there or not. A body that is no object is left alone.
pub(crate) fn set(splices: &mut Splices, body: &[u8], name: &str, value: String) {
    let Some(members) = Members::read(body, name) else { return };
    match members.values.first() {
        Some(place) => splices.replace(place.clone(), value),
        None => {
            let comma = if members.is_empty { "" } else { "," };
            splices.replace(members.inside..members.inside, format!("\"{name}\":{value}{comma}"));
        }
    }
}

/// Gives the member what `change` makes of its value, where it is there and that is anything.
pub(crate) fn change(
    splices: &mut Splices,
    body: &[u8],
    name: &str,
    change: impl Fn(&str) -> Option<String>,
) {
    for place in Members::read(body, name).into_iter().flat_map(|members| members.values) {
        let value = body.get(place.clone()).and_then(|value| std::str::from_utf8(value).ok());
        if let Some(changed) = value.and_then(&change) {
            splices.replace(place, changed);
        }
    }
}

/// Takes the member out with one comma.
pub(crate) fn remove(splices: &mut Splices, body: &[u8], name: &str) {
    let Some(members) = Members::read(body, name) else { return };
    for field in members.fields {
        splices.replace(with_comma(body, field), "");
    }
}

/// The ranges that take out those elements of a list that are to go (`true`), with their commas. Elements are in order.
pub(crate) fn runs_out(elements: &[(Range<usize>, bool)]) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut kept_until = None;
    let mut runs = elements.chunk_by(|one, next| one.1 == next.1).peekable();
    while let Some(run) = runs.next() {
        let (Some((first, goes)), Some((last, _))) = (run.first(), run.last()) else { continue };
        if *goes {
            let next = runs.peek().and_then(|run| run.first()).map(|(next, _)| next.start);
            ranges.push(match kept_until {
                Some(end) => end..last.end,
                None => first.start..next.unwrap_or(last.end),
            });
        } else {
            kept_until = Some(last.end);
        }
    }
    ranges
}

/// Takes out all members of these names, with their commas.
pub(crate) fn remove_all(splices: &mut Splices, body: &[u8], names: &[&str]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let mut members = Vec::new();
    let read = json::object(text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii(), |field| {
        members.push((field.range_in(body), names.contains(&&*field.name())));
    });
    if read.is_ok() {
        runs_out(&members).into_iter().for_each(|range| splices.replace(range, ""));
    }
}

struct Members {
    /// Where the first member would start.
    inside: usize,
    is_empty: bool,
    /// Those of the name asked for, from key to value; and their values.
    fields: Vec<Range<usize>>,
    values: Vec<Range<usize>>,
}

impl Members {
    fn read(body: &[u8], name: &str) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii();
        let start = json::place_in(body, text).start;
        let mut members = Self { inside: start + 1, is_empty: true, fields: Vec::new(), values: Vec::new() };
        json::object(text, |field| {
            members.is_empty = false;
            if field.name() == name {
                members.fields.push(field.range_in(body));
                members.values.push(json::place_in(body, field.value));
            }
        })
        .ok()?;
        Some(members)
    }
}

/// A field's range with the comma that parts it from its neighbour: the one ahead, or for the first field the one
/// behind.
pub(crate) fn with_comma(data: &[u8], field: Range<usize>) -> Range<usize> {
    let ahead = data.get(..field.start).unwrap_or_default().trim_ascii_end();
    if ahead.ends_with(b",") {
        return ahead.len() - 1..field.end;
    }
    let behind = data.get(field.end..).unwrap_or_default();
    let blank = behind.len() - behind.trim_ascii_start().len();
    let comma = usize::from(behind.get(blank) == Some(&b','));
    field.start..field.end + (blank + 1) * comma
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn edited(body: &'static str, edit: impl Fn(&mut Splices, &[u8])) -> String {
        let mut splices = Splices::new();
        edit(&mut splices, body.as_bytes());
        String::from_utf8(splices.apply(Bytes::from_static(body.as_bytes())).to_vec()).unwrap()
    }

    #[test]
    fn a_member_is_set_in_its_place_or_at_the_start() {
        let set = |body| edited(body, |splices, body| set(splices, body, "store", "false".to_owned()));
        assert_eq!(set(r#"{"a":1, "store" : true,"b":2}"#), r#"{"a":1, "store" : false,"b":2}"#);
        assert_eq!(set(r#" {"a":1}"#), r#" {"store":false,"a":1}"#);
        assert_eq!(set("{}"), r#"{"store":false}"#);
        assert_eq!(set("[1]"), "[1]");
    }

    #[test]
    fn a_member_goes_with_one_comma() {
        let remove = |body| edited(body, |splices, body| remove(splices, body, "x"));
        assert_eq!(remove(r#"{"x":1,"a":{"x":2}}"#), r#"{"a":{"x":2}}"#);
        assert_eq!(remove(r#"{"a":1 , "x":[2]}"#), r#"{"a":1 }"#);
        assert_eq!(remove(r#"{"x":1}"#), "{}");
        assert_eq!(remove(r#"{"a":1}"#), r#"{"a":1}"#);
    }
}
