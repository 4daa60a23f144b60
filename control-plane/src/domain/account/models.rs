//! Which models an account serves, and under which names.

use std::collections::BTreeMap;

use shared::model::ModelPattern;

use crate::domain::fault::Faults;

const MAX_ENTRIES: usize = 500;
pub(super) const NO_NAME: &str = "a model name has 1 to 200 characters, none of them blank, and no *";

/// A name, not a pattern.
pub(super) fn is_name(text: &str) -> bool {
    !text.contains('*') && ModelPattern::new(text).is_ok()
}

/// The order in which the entries are tried: names before patterns, longer patterns before shorter ones.
pub(super) fn mapping(entries: BTreeMap<String, String>, faults: &mut Faults) -> Vec<(String, String)> {
    if entries.len() > MAX_ENTRIES {
        faults.push("model_mapping", format!("at most {MAX_ENTRIES} entries"));
    }
    for (from, to) in &entries {
        if let Err(error) = ModelPattern::new(from) {
            faults.push("model_mapping", error.to_string());
        }
        if !is_name(to) {
            faults.push(format!("model_mapping.{from}"), NO_NAME);
        }
    }
    let mut mapping: Vec<_> = entries.into_iter().collect();
    mapping.sort_by_key(|(from, _)| (from.contains('*'), std::cmp::Reverse(from.len())));
    mapping
}

/// In the order given; what is there twice counts once.
pub(super) fn allowed(patterns: Vec<String>, faults: &mut Faults) -> Vec<String> {
    if patterns.len() > MAX_ENTRIES {
        faults.push("allowed_models", format!("at most {MAX_ENTRIES} entries"));
    }
    let mut allowed: Vec<String> = Vec::with_capacity(patterns.len());
    for (index, pattern) in patterns.into_iter().enumerate() {
        if let Err(error) = ModelPattern::new(&pattern) {
            faults.push(format!("allowed_models[{index}]"), error.to_string());
        }
        if !allowed.contains(&pattern) {
            allowed.push(pattern);
        }
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_entry_comes_first() {
        let entries = [("*", "a"), ("claude-*", "b"), ("claude-opus-5", "c"), ("claude-opus-*", "d")];
        let mut faults = Faults::default();
        let mapping = mapping(entries.map(|(from, to)| (from.to_owned(), to.to_owned())).into(), &mut faults);
        let order: Vec<_> = mapping.iter().map(|(from, _)| from.as_str()).collect();
        assert_eq!(order, ["claude-opus-5", "claude-opus-*", "claude-*", "*"]);
        assert_eq!(faults, Faults::default());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let mut faults = Faults::default();
        mapping([("a b".to_owned(), "x".to_owned()), ("c".to_owned(), "y*".to_owned())].into(), &mut faults);
        allowed(vec!["fine-*".to_owned(), String::new()], &mut faults);
        let fields: Vec<_> = faults.0.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["model_mapping", "model_mapping.c", "allowed_models[1]"]);
    }
}
