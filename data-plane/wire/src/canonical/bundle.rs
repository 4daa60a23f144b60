//! Reasoning on the call that it led to. Gemini's own client drops thoughts from its history, and with them what they are
//! signed with; what stands on a call it keeps. So for clients of that wire another provider's reasoning also travels on
//! the first call behind it: all of it in one text, as that provider wants it back.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Block, Reasoning, Role, Signature, Turn};

/// Ahead of the JSON. As a signature's mark, with a word where its origin would stand.
const MARK: &str = "sy1.bundle.";

/// Clients could write more into one than a model ever thinks, and have us compare all of it.
const ENTRIES_MAX: usize = 64;
const LENGTH_MAX: usize = 1 << 20;

/// Reasoning of one call.
#[derive(Debug, Clone)]
pub struct Carried<'a> {
    pub reasoning: Reasoning<'a>,
    /// Words stood between it and the call.
    pub ahead_of_text: bool,
}

#[derive(Serialize, Deserialize)]
struct Entry<'e> {
    /// Packed.
    #[serde(rename = "s")]
    signature: Cow<'e, str>,
    #[serde(rename = "t", default, skip_serializing_if = "str::is_empty")]
    text: Cow<'e, str>,
    #[serde(rename = "a", default, skip_serializing_if = "std::ops::Not::not")]
    ahead_of_text: bool,
}

/// None: none of it is signed.
#[must_use]
pub fn packed(all: &[Carried<'_>]) -> Option<String> {
    let entry = |carried: &Carried<'_>| {
        let signature = carried.reasoning.signature.as_ref()?.packed().into();
        let text = Cow::Owned(carried.reasoning.text.as_ref().to_owned());
        Some(Entry { signature, text, ahead_of_text: carried.ahead_of_text })
    };
    let entries: Vec<Entry<'_>> = all.iter().filter_map(entry).collect();
    let json = serde_json::to_string(&entries).ok().filter(|_| !entries.is_empty())?;
    if entries.len() > ENTRIES_MAX || json.len() > LENGTH_MAX {
        return None;
    }
    Some(format!("{MARK}{json}"))
}

/// None: it was not packed here.
#[must_use]
pub fn unpacked(text: &str) -> Option<Vec<Carried<'static>>> {
    let json = text.strip_prefix(MARK).filter(|json| json.len() <= LENGTH_MAX)?;
    let entries: Vec<Entry<'_>> = serde_json::from_str(json).ok()?;
    if entries.len() > ENTRIES_MAX {
        return None;
    }
    let carried = |entry: Entry<'_>| {
        let signature = Some(Signature::unpacked(&entry.signature)?);
        let reasoning = Reasoning { text: Cow::Owned(entry.text.into_owned()), signature };
        Some(Carried { reasoning, ahead_of_text: entry.ahead_of_text })
    };
    Some(entries.into_iter().filter_map(carried).collect())
}

/// Puts reasoning back ahead of the call that comes next, and of the words ahead of that. A client that kept the
/// thoughts as well has it twice: once is enough.
pub(crate) fn put_back<'a>(turns: &mut Vec<Turn<'a>>, all: Vec<Carried<'a>>) {
    if all.is_empty() {
        return;
    }
    if !matches!(turns.last(), Some(turn) if turn.role == Role::Assistant) {
        turns.push(Turn { role: Role::Assistant, blocks: Vec::new() });
    }
    if let Some(turn) = turns.last_mut() {
        insert(&mut turn.blocks, all);
    }
}

/// As [`put_back`], into the blocks so far of the turn.
pub(crate) fn insert<'a>(blocks: &mut Vec<Block<'a>>, all: Vec<Carried<'a>>) {
    for Carried { reasoning, ahead_of_text } in all {
        let is_same = |block: &Block<'_>| match block {
            Block::Reasoning(there) => there.signature == reasoning.signature,
            _ => false,
        };
        // Ahead of the call before that stands what led to that one.
        let is_call = |block: &&Block<'_>| matches!(block, Block::ToolCall(_));
        if blocks.iter().rev().take_while(|block| !is_call(block)).any(is_same) {
            continue;
        }
        let words = blocks.iter().rev().take_while(|block| matches!(block, Block::Text(_))).count();
        let at = if ahead_of_text { blocks.len() - words } else { blocks.len() };
        blocks.insert(at, Block::Reasoning(reasoning));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::canonical::{Origin, SignatureKind};

    fn carried() -> impl Strategy<Value = Carried<'static>> {
        let origin = proptest::sample::select(vec![Origin::Claude, Origin::OpenAi]);
        let kind = proptest::sample::select(vec![SignatureKind::Proof, SignatureKind::Encrypted]);
        (origin, kind, proptest::option::of("[a-z0-9_]{1,9}"), "\\PC{0,20}", "\\PC{0,40}", any::<bool>())
            .prop_map(|(origin, kind, id, value, text, ahead_of_text)| {
                let signature = Some(Signature { origin, kind, id: id.map(Into::into), value: value.into() });
                Carried { reasoning: Reasoning { text: text.into(), signature }, ahead_of_text }
            })
    }

    proptest! {
        #[test]
        fn all_comes_back_unchanged(all in proptest::collection::vec(carried(), 1..5)) {
            let text = packed(&all).unwrap();
            prop_assert!(Signature::unpacked(&text).is_none());
            prop_assert_eq!(format!("{:?}", unpacked(&text).unwrap()), format!("{all:?}"));
        }

        #[test]
        fn what_was_not_packed_here_is_not_read(text in "(sy1\\.bundle\\.)?\\PC{0,30}") {
            prop_assert!(unpacked(&text).is_none_or(|all| all.is_empty()));
        }
    }

    #[test]
    fn it_stands_ahead_of_the_words_that_it_stood_ahead_of_and_only_once() {
        let carried = |value: &'static str, ahead_of_text| {
            let signature = Signature {
                origin: Origin::Claude,
                kind: SignatureKind::Proof,
                id: None,
                value: value.into(),
            };
            Carried { reasoning: Reasoning { text: "t".into(), signature: Some(signature) }, ahead_of_text }
        };
        let mut turns = vec![Turn { role: Role::User, blocks: vec![Block::text("q")] }];
        put_back(&mut turns, Vec::new());
        assert_eq!(turns.len(), 1);
        turns.push(Turn { role: Role::Assistant, blocks: vec![Block::text("a"), Block::text("b")] });
        put_back(&mut turns, vec![carried("1", true), carried("2", true), carried("3", false)]);
        put_back(&mut turns, vec![carried("2", false)]);
        let word = |block: &Block<'_>| match block {
            Block::Text(text) => text.text.clone().into_owned(),
            Block::Reasoning(it) => it.signature.as_ref().map_or_else(String::new, |it| it.value.to_string()),
            _ => String::new(),
        };
        assert_eq!(turns[1].blocks.iter().map(word).collect::<Vec<_>>(), ["1", "2", "a", "b", "3"]);
    }
}
