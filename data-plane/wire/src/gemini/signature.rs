//! Signatures in the field `thoughtSignature`, which SDKs read as bytes: what is Gemini's own is base64 already, what is
//! packed for the way is put into base64.

use std::borrow::Cow;

use super::base64;
use crate::canonical::{Origin, Signature, SignatureKind};

/// What every packed signature starts with in base64.
const PACKED: &str = "c3kxL";

pub(super) fn read(text: Cow<'_, str>) -> Signature<'_> {
    let packed = if text.starts_with(PACKED) {
        base64::decode(&text).and_then(|bytes| Signature::unpacked(std::str::from_utf8(&bytes).ok()?))
    } else {
        None
    };
    packed.unwrap_or_else(|| Signature::read(text, Origin::Gemini, SignatureKind::Encrypted))
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

    #[test]
    fn geminis_own_passes_as_it_is() {
        let signature = read("CpQBAdHtim8=".into());
        assert_eq!((signature.origin, signature.kind), (Origin::Gemini, SignatureKind::Encrypted));
        assert_eq!(written(&signature), "CpQBAdHtim8=");
        assert_eq!(read("c3kxLm1hcnM=".into()).origin, Origin::Gemini);
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
