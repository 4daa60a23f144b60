//! Names and ids that an upstream would refuse go by others, and come back as the client knows them.

use std::{borrow::Cow, collections::HashMap};

use crate::canonical::ToolKind;

/// What a tool was called by the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Original {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) kind: ToolKind,
}

/// Tools by the names that the upstream knows them by; those that go by their own are not in here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    known: HashMap<String, Original>,
    /// The other way round; of tools of one name, the first.
    sent: HashMap<String, String>,
    /// Custom tools go as functions, their text wrapped in an object.
    pub(super) wraps: bool,
    /// The client itself searches for tools: calls of [`TOOL_SEARCH`] are its `tool_search_call`s.
    pub(super) searches: bool,
}

pub(super) const TOOL_SEARCH: &str = "tool_search";

impl Names {
    pub(super) fn new(wraps: bool) -> Self {
        Self { wraps, ..Self::default() }
    }

    /// The name to send for a tool: letters, digits, `_` and `-`, at most `max` of them.
    pub(super) fn send<'n>(
        &mut self,
        name: Cow<'n, str>,
        namespace: Option<&str>,
        kind: ToolKind,
        max: usize,
    ) -> Cow<'n, str> {
        let sent = match namespace {
            Some(namespace) => fitting(&format!("{namespace}__{name}"), max),
            None if fits(&name, max) => name.clone(),
            None => fitting(&name, max),
        };
        if sent != name || (self.wraps && kind == ToolKind::Custom) {
            // Tools come ahead of the history, where the kind of a tool may not be said.
            self.known.entry(sent.clone().into_owned()).or_insert_with(|| {
                let name = name.into_owned();
                self.sent.entry(name.clone()).or_insert_with(|| sent.clone().into_owned());
                Original { name, namespace: namespace.map(str::to_owned), kind }
            });
        }
        Cow::Owned(sent.into_owned())
    }

    /// What a choice among tools calls this tool, which was sent before.
    pub(super) fn chosen<'n>(&self, name: Cow<'n, str>) -> Cow<'n, str> {
        match self.sent.get(&*name) {
            Some(sent) => Cow::Owned(sent.clone()),
            None => name,
        }
    }

    pub(super) fn back(&self, sent: &str) -> Option<&Original> {
        self.known.get(sent)
    }
}

/// An id of a call in the upstream's alphabet. The same for the same id, so that call and result still fit.
pub(super) fn id(id: Cow<'_, str>, max: usize) -> Cow<'_, str> {
    if fits(&id, max) { id } else { Cow::Owned(fitting(&id, max).into_owned()) }
}

fn fits(name: &str, max: usize) -> bool {
    !name.is_empty() && name.len() <= max && name.bytes().all(is_plain)
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// As much of the name as fits, and a digest of all of it where that changed anything.
fn fitting(name: &str, max: usize) -> Cow<'static, str> {
    if fits(name, max) {
        return Cow::Owned(name.to_owned());
    }
    let digest = format!("_{:08x}", fnv(name.as_bytes()));
    let room = max.min(512).saturating_sub(digest.len());
    let plain: String =
        name.chars().map(|c| if c.is_ascii() && is_plain(c as u8) { c } else { '_' }).take(room).collect();
    Cow::Owned(format!("{plain}{digest}"))
}

/// FNV-1a, folded to 32 bits: stable across builds, and collisions within one request's tools are no concern.
fn fnv(bytes: &[u8]) -> u32 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_plain_name_stays_and_is_not_remembered() {
        let mut names = Names::default();
        assert_eq!(names.send("get_weather".into(), None, ToolKind::Function, 64), "get_weather");
        assert_eq!(names.back("get_weather"), None);
    }

    #[test]
    fn a_namespace_goes_in_front_and_comes_back_off() {
        let mut names = Names::default();
        let sent = names.send("read".into(), Some("files"), ToolKind::Function, 64).into_owned();
        assert_eq!(sent, "files__read");
        let original = names.back(&sent).unwrap();
        assert_eq!((original.name.as_str(), original.namespace.as_deref()), ("read", Some("files")));
    }

    proptest! {
        #[test]
        fn every_name_fits_and_comes_back(name in "\\PC{1,200}", max in 16_usize..130) {
            let mut names = Names::default();
            let sent = names.send(name.clone().into(), None, ToolKind::Function, max).into_owned();
            prop_assert!(fits(&sent, max), "{}", sent);
            let back = names.back(&sent).map_or(sent.clone(), |original| original.name.clone());
            prop_assert_eq!(back, name);
        }

        #[test]
        fn ids_fit_and_stay_the_same_for_the_same(text in "\\PC{0,100}", max in 16_usize..70) {
            let first = id(text.clone().into(), max).into_owned();
            prop_assert!(fits(&first, max));
            prop_assert_eq!(id(text.into(), max), first);
        }
    }
}
