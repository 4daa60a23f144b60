//! Proofs of reasoning. Providers sign (or encrypt) what a model thought and want it back unchanged with the history;
//! clients keep it without looking. So a signature travels through any client wire: in its own wire as it is, in
//! another one packed with its origin, so that it finds home and goes nowhere else.

use std::borrow::Cow;

/// Whose reasoning it is. A signature is of use to its origin only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Anthropic's, wherever its models are served.
    Claude,
    OpenAi,
    Gemini,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureKind {
    /// Proves text that stands beside it.
    Proof,
    /// Holds the reasoning itself, encrypted.
    Encrypted,
}

/// A proof, as its provider made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature<'a> {
    pub origin: Origin,
    pub kind: SignatureKind,
    /// OpenAI's id of the reasoning item.
    pub id: Option<Cow<'a, str>>,
    pub value: Cow<'a, str>,
}

/// Ahead of every packed signature: no provider's own starts like this.
const MARK: &str = "sy1.";

/// The mark in base64, as far as it goes whatever follows.
const MARK_BASE64: &str = "c3kxL";

/// Whether it was packed here, so that it is of no use to any provider as it stands.
#[must_use]
pub fn is_packed(value: &str) -> bool {
    value.starts_with(MARK) || value.starts_with(MARK_BASE64)
}

impl<'a> Signature<'a> {
    /// How it is written in the wire of `home`: the bare value there, packed in any other.
    #[must_use]
    pub fn written(&self, home: Origin) -> Cow<'_, str> {
        if self.origin == home { Cow::Borrowed(&self.value) } else { Cow::Owned(self.packed()) }
    }

    /// `sy1.`, origin, kind, the id (which has no dot) and the value, parted by dots.
    #[must_use]
    pub fn packed(&self) -> String {
        let origin = match self.origin {
            Origin::Claude => "claude",
            Origin::OpenAi => "openai",
            Origin::Gemini => "gemini",
        };
        let kind = match self.kind {
            SignatureKind::Proof => "proof",
            SignatureKind::Encrypted => "encrypted",
        };
        let id = self.id.as_deref().filter(|id| !id.contains('.')).unwrap_or_default();
        format!("{MARK}{origin}.{kind}.{id}.{}", self.value)
    }

    /// Reads what a client sent back in the wire of `home`. What is not packed is of `home` itself, of this `kind`.
    #[must_use]
    pub fn read(text: Cow<'a, str>, home: Origin, kind: SignatureKind) -> Self {
        Self::unpacked(&text).unwrap_or(Self { origin: home, kind, id: None, value: text })
    }

    /// None: it was not packed here.
    #[must_use]
    pub fn unpacked(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(MARK)?.splitn(4, '.');
        let origin = match parts.next()? {
            "claude" => Origin::Claude,
            "openai" => Origin::OpenAi,
            "gemini" => Origin::Gemini,
            _ => return None,
        };
        let kind = match parts.next()? {
            "proof" => SignatureKind::Proof,
            "encrypted" => SignatureKind::Encrypted,
            _ => return None,
        };
        let id = parts.next().filter(|id| !id.is_empty()).map(|id| Cow::Owned(id.to_owned()));
        Some(Self { origin, kind, id, value: Cow::Owned(parts.next()?.to_owned()) })
    }

    #[must_use]
    pub fn into_owned(self) -> Signature<'static> {
        Signature {
            origin: self.origin,
            kind: self.kind,
            id: self.id.map(|id| Cow::Owned(id.into_owned())),
            value: Cow::Owned(self.value.into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_signature_comes_home_unchanged_through_every_wire(
            value in "[ -~]{0,40}", id in proptest::option::of("[a-z0-9_]{1,12}"),
            origin in proptest::sample::select(vec![Origin::Claude, Origin::OpenAi, Origin::Gemini]),
            through in proptest::sample::select(vec![Origin::Claude, Origin::OpenAi, Origin::Gemini]),
            kind in proptest::sample::select(vec![SignatureKind::Proof, SignatureKind::Encrypted]),
        ) {
            prop_assume!(!value.starts_with(MARK));
            // In its own wire the id has a field of its own.
            let id = id.filter(|_| origin != through).map(Cow::Owned);
            let signature = Signature { origin, kind, id, value: value.into() };
            let written = signature.written(through).into_owned();
            prop_assert_eq!(Signature::read(written.into(), through, kind), signature);
        }
    }

    #[test]
    fn a_providers_own_value_is_nothing_else() {
        let own = Signature::read("EqQBCgIYAhIM".into(), Origin::Claude, SignatureKind::Proof);
        assert_eq!((own.origin, &*own.value), (Origin::Claude, "EqQBCgIYAhIM"));
        assert_eq!(Signature::unpacked("sy1.mars.proof..x"), None);
        assert_eq!(Signature::unpacked("sy1.claude.proof"), None);
    }
}
