//! Arbitrary JSON, written in arbitrary ways.

use proptest::prelude::*;
use proptest::sample::select;

/// White space between tokens.
pub(crate) fn blank() -> impl Strategy<Value = String> {
    prop_oneof![3 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"]
}

/// A string token, with escapes where none are needed.
pub(crate) fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -!#-\\[\\]-~]{0,6}",
        1 => "[\u{80}-\u{d7ff}\u{e000}-\u{ffff}\u{1f600}-\u{1f64f}]{1,3}",
        2 => select(vec![
            "\\n", "\\\"", "\\\\", "\\/", "\\u0041", "\\u00e9", "\\ud83d\\ude82", "\\u0000", "{\\\"model\\\":1}", "},{",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// A number token, also beyond what machines count with.
pub(crate) fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,5})",
        "-?[1-9][0-9]{20,30}",
        "-?(0|[1-9][0-9]{0,3})\\.[0-9]{1,20}",
        "[1-9](\\.[0-9]{1,3})?[eE][+-]?[0-9]{1,2}",
    ]
}

/// Any value.
pub(crate) fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(vec!["null", "true", "false", "{}", "[]", "[ ]"]).prop_map(str::to_owned),
        number(),
        string(),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let items = prop::collection::vec((blank(), inner.clone(), blank()), 0..4);
        let fields = prop::collection::vec((string(), blank(), inner, blank()), 0..4);
        prop_oneof![items.prop_map(|items| array(&items)), fields.prop_map(|fields| object(&fields)),]
    })
}

fn array(items: &[(String, String, String)]) -> String {
    let items: Vec<String> =
        items.iter().map(|(ahead, item, behind)| format!("{ahead}{item}{behind}")).collect();
    format!("[{}]", items.join(","))
}

/// Fields as (key token, white space, value token, white space).
pub(crate) fn object(fields: &[(String, String, String, String)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(key, ahead, value, behind)| format!("{ahead}{key}{ahead}:{behind}{value}{ahead}"))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// Whether `edited` is `original` with one piece of text put in somewhere.
pub(crate) fn is_insertion(edited: &str, original: &str) -> bool {
    let (edited, original) = (edited.as_bytes(), original.as_bytes());
    let alike = edited.iter().zip(original).take_while(|(edited, original)| edited == original).count();
    let behind = original.len() - alike;
    edited.len() > original.len() && edited[edited.len() - behind..] == original[alike..]
}
