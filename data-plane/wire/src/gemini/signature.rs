//! Signatures in the field `thoughtSignature`, which SDKs read as bytes: what is Gemini's own is base64 already, what is
//! packed for the way is put into base64.

use std::borrow::Cow;

use super::{base64, encode::is_third_generation};
use crate::canonical::{
    Origin, Signature, SignatureKind,
    bundle::{self, Carried},
};

/// What every packed signature starts with in base64.
const PACKED: &str = "c3kxL";

/// What Google documents for calls whose proof is not to be had, because another model made them.
pub(crate) const NO_PROOF: &str = "skip_thought_signature_validator";

/// Whether the model refuses the first call of an answer in the turn under way that has no proof: from the third
/// generation on. Names without a number stand for the newest.
pub(crate) fn calls_need_proof(model: &str) -> bool {
    let is_newest = model.rsplit("gemini-").next().is_some_and(|rest| {
        rest != model
            && rest.ends_with("-latest")
            && !rest.starts_with(|letter: char| letter.is_ascii_digit())
    });
    is_newest || is_third_generation(model)
}

pub(super) fn read(text: Cow<'_, str>) -> Signature<'_> {
    let packed = unwrapped(&text).and_then(|text| Signature::unpacked(&text));
    packed.unwrap_or_else(|| Signature::read(text, Origin::Gemini, SignatureKind::Encrypted))
}

/// What stands on a call.
#[derive(Debug)]
pub(super) enum OfCall<'a> {
    Proof(Signature<'a>),
    /// Another provider's, which led to it.
    Reasoning(Vec<Carried<'a>>),
}

pub(super) fn read_of_call(text: Cow<'_, str>) -> OfCall<'_> {
    let carried = unwrapped(&text).and_then(|text| bundle::unpacked(&text));
    carried.map_or_else(|| OfCall::Proof(read(text)), OfCall::Reasoning)
}

/// What was packed here. Clients that don't read the field as bytes may hold it as text.
fn unwrapped(text: &str) -> Option<Cow<'_, str>> {
    if text.starts_with(PACKED) {
        return base64::decode(text).and_then(|bytes| String::from_utf8(bytes).ok()).map(Cow::Owned);
    }
    Some(Cow::Borrowed(text))
}

pub(super) fn written_on_call(carried: &[Carried<'_>]) -> Option<String> {
    bundle::packed(carried).map(|text| base64::encode(text.as_bytes()))
}

pub(super) fn written<'s>(signature: &'s Signature<'_>) -> Cow<'s, str> {
    if signature.origin == Origin::Gemini {
        return Cow::Borrowed(&signature.value);
    }
    Cow::Owned(base64::encode(signature.packed().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::Reasoning;

    #[test]
    fn calls_need_a_proof_from_the_third_generation_on() {
        for model in ["gemini-3-pro", "models/gemini-3.1-flash", "gemini-flash-latest", "gemini-10"] {
            assert!(calls_need_proof(model), "{model}");
        }
        for model in ["gemini-2.5-pro", "gemini-2.5-flash-latest", "gemini-pro", "x-latest", "-latest"] {
            assert!(!calls_need_proof(model), "{model}");
        }
    }

    #[test]
    fn geminis_own_passes_as_it_is() {
        let signature = read("CpQBAdHtim8=".into());
        assert_eq!((signature.origin, signature.kind), (Origin::Gemini, SignatureKind::Encrypted));
        assert_eq!(written(&signature), "CpQBAdHtim8=");
        assert_eq!(read("c3kxLm1hcnM=".into()).origin, Origin::Gemini);
    }

    #[test]
    fn reasoning_on_a_call_is_bytes_to_sdks_and_comes_back_from_both_alphabets() {
        let signature = Signature {
            origin: Origin::Claude,
            kind: SignatureKind::Proof,
            id: None,
            value: "EqQB>?~".into(),
        };
        let reasoning = Reasoning { text: "why? é".into(), signature: Some(signature) };
        let carried = [Carried { reasoning, ahead_of_text: true }];
        let text = written_on_call(&carried).unwrap();
        assert!(text.starts_with(PACKED) && base64::decode(&text).is_some());
        let url_safe = text.replace('+', "-").replace('/', "_").replace('=', "");
        for text in [text, url_safe] {
            let OfCall::Reasoning(found) = read_of_call(text.into()) else {
                panic!("it is taken for a proof")
            };
            assert_eq!(format!("{found:?}"), format!("{carried:?}"));
        }
        assert_eq!(written_on_call(&[]), None);
    }

    #[test]
    fn a_foreign_one_is_bytes_to_sdks_and_comes_back_from_both_alphabets() {
        let foreign = Signature {
            origin: Origin::OpenAi,
            kind: SignatureKind::Encrypted,
            id: Some("rs_1".into()),
            value: "gAAA?>~~".into(),
        };
        let text = written(&foreign).into_owned();
        assert!(text.starts_with(PACKED));
        let url_safe = text.replace('+', "-").replace('/', "_").replace('=', "");
        assert_eq!(read(url_safe.into()), foreign);
        assert_eq!(read(text.into()), foreign);
        assert_eq!(read(foreign.packed().into()), foreign);
    }
}
