//! Whole answers as providers send them: `<name>.body` with `<name>.json`, what is to be found in it.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};
use shared::wire::Wire;
use wire::raw::body::{BodyFacts, facts};

use crate::golden::folder;

fn described(wire: &Value, facts: &BodyFacts) -> Value {
    json!({
        "wire": wire,
        "usage": facts.usage,
        "served_model": facts.served_model,
        "error": facts.error.as_ref().map(|error| json!({
            "status": error.status,
            "kind": error.kind,
            "code": error.code,
            "message": error.message,
        })),
    })
}

#[test]
fn each_recorded_body_gives_its_facts() {
    let mut count = 0;
    for entry in fs::read_dir(folder("bodies")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let expected: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let wire: Wire = serde_json::from_value(expected["wire"].clone()).unwrap();
        let body = fs::read(path.with_extension("body")).unwrap();
        assert_eq!(described(&expected["wire"], &facts(wire, &body)), expected, "{}", path.display());
        count += 1;
    }
    assert!(count >= 10, "only {count} bodies were found");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for wire in Wire::ALL {
            let found = facts(wire, &body);
            prop_assert!(found.usage.is_none() || serde_json::from_slice::<Value>(&body).is_ok());
        }
    }
}
