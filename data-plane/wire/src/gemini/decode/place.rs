//! Where in a body something stands: written down only when it is to be told.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{codec::Unreadable, json};

#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    parent: Option<&'p Self>,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    Field(&'static str),
    Index(usize),
}

impl<'p> Place<'p> {
    pub(super) const fn top(name: &'static str) -> Self {
        Self { parent: None, step: Step::Field(name) }
    }

    pub(super) const fn field(&'p self, name: &'static str) -> Self {
        Self { parent: Some(self), step: Step::Field(name) }
    }

    pub(super) const fn index(&'p self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    pub(super) fn wrong(&self, problem: impl Into<String>) -> Unreadable {
        Unreadable::new(self.to_string(), problem)
    }

    pub(super) fn read<'a, T: Deserialize<'a>>(&self, value: &'a RawValue) -> Result<T, Unreadable> {
        serde_json::from_str(value.get()).map_err(|error| self.wrong(json::problem(&error)))
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match self.step {
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Field(name) if self.parent.is_some() => write!(f, ".{name}"),
            Step::Field(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_by_its_path() {
        let contents = Place::top("contents");
        let (content, parts);
        content = contents.index(2);
        parts = content.field("parts");
        assert_eq!(parts.index(0).to_string(), "contents[2].parts[0]");
    }
}
