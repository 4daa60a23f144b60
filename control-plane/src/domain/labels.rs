//! What people mark keys with: tags, which usage is counted under, and metadata, which goes into records as it is.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::name::{InvalidName, Name};

const MAX_TAGS: usize = 16;
const MAX_TAG_CHARACTERS: usize = 64;
/// What the ledger keeps of one.
const MAX_TAG_BYTES: usize = 200;
const MAX_ENTRIES: usize = 16;
const MAX_VALUE_CHARACTERS: usize = 256;

/// At most 16 names of 1–64 characters, each once, in the order given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Tags(Vec<String>);

/// At most 16 pairs of a name of 1–64 characters and a text of one line, up to 256 characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Metadata(BTreeMap<String, String>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabels {
    #[error("at most {MAX_TAGS} tags")]
    TooManyTags,
    #[error("at most {MAX_ENTRIES} pairs")]
    TooManyEntries,
    #[error("`{0}` must have 1 to {MAX_TAG_CHARACTERS} characters, in at most {MAX_TAG_BYTES} bytes")]
    Length(String),
    #[error("`{0}`: {1}")]
    Name(String, InvalidName),
    #[error("the value of `{0}` must be one line of up to {MAX_VALUE_CHARACTERS} characters")]
    Value(String),
}

impl Tags {
    #[must_use]
    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

impl Metadata {
    #[must_use]
    pub fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}

impl TryFrom<Vec<String>> for Tags {
    type Error = InvalidLabels;

    fn try_from(texts: Vec<String>) -> Result<Self, InvalidLabels> {
        if texts.len() > MAX_TAGS {
            return Err(InvalidLabels::TooManyTags);
        }
        let mut tags = Vec::with_capacity(texts.len());
        for text in texts {
            let tag = name(text)?;
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        Ok(Self(tags))
    }
}

impl TryFrom<BTreeMap<String, String>> for Metadata {
    type Error = InvalidLabels;

    fn try_from(pairs: BTreeMap<String, String>) -> Result<Self, InvalidLabels> {
        if pairs.len() > MAX_ENTRIES {
            return Err(InvalidLabels::TooManyEntries);
        }
        let checked = pairs.into_iter().map(|(key, value)| {
            let key = name(key)?;
            let fits = value.chars().count() <= MAX_VALUE_CHARACTERS && !value.chars().any(char::is_control);
            if fits { Ok((key, value)) } else { Err(InvalidLabels::Value(key)) }
        });
        checked.collect::<Result<_, _>>().map(Self)
    }
}

fn name(text: String) -> Result<String, InvalidLabels> {
    let shown: String = text.chars().take(MAX_TAG_CHARACTERS).collect();
    let fits = text.chars().count() <= MAX_TAG_CHARACTERS && text.len() <= MAX_TAG_BYTES;
    if text.is_empty() || !fits {
        return Err(InvalidLabels::Length(shown));
    }
    Name::try_from(text).map(Name::into_string).map_err(|error| InvalidLabels::Name(shown, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(texts: &[&str]) -> Result<Vec<String>, InvalidLabels> {
        Tags::try_from(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).map(Tags::into_vec)
    }

    #[test]
    fn a_tag_stands_once_and_is_short_and_visible() {
        assert_eq!(tags(&["b", "a", "b"]).unwrap(), ["b", "a"]);
        assert_eq!(tags(&["équipe 7"]).unwrap(), ["équipe 7"]);
        assert_eq!(tags(&[&"标".repeat(64)]).unwrap().len(), 1);
        for wrong in ["", " a", "a\nb", &"x".repeat(65), &"😀".repeat(51)] {
            assert!(tags(&[wrong]).is_err(), "{wrong:?}");
        }
        assert_eq!(tags(&["t"; 17]).unwrap_err(), InvalidLabels::TooManyTags);
    }

    #[test]
    fn metadata_is_bounded_in_every_way() {
        let pairs = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            Metadata::try_from(pairs.collect::<BTreeMap<_, _>>())
        };
        assert_eq!(pairs(&[("cost-centre", "")]).unwrap().into_map()["cost-centre"], "");
        assert!(pairs(&[("", "x")]).is_err());
        assert!(pairs(&[("a", "two\nlines")]).is_err());
        assert!(pairs(&[("a", &"x".repeat(257))]).is_err());
        let many: BTreeMap<_, _> = (0..17).map(|at| (at.to_string(), String::new())).collect();
        assert_eq!(Metadata::try_from(many).unwrap_err(), InvalidLabels::TooManyEntries);
    }
}
