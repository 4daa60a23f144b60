//! Standard base64 with padding, for the one place where a wire wraps bytes that must be read.

const NONE: u8 = 0xff;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        values[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    values
}

/// Appends what `text` says. None: it is no base64, or says something in another way than encoders do; what was
/// appended is then of no meaning.
pub(crate) fn decode(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let (groups, rest) = digits.as_chunks::<4>();
    out.reserve(text.len() / 4 * 3);
    for &[a, b, c, d] in groups {
        let [_, first, second, third] = bits([a, b, c, d])?.to_be_bytes();
        out.extend_from_slice(&[first, second, third]);
    }
    match *rest {
        [] => {}
        [a, b] => {
            let [_, first, 0, 0] = bits([a, b, b'A', b'A'])?.to_be_bytes() else { return None };
            out.push(first);
        }
        [a, b, c] => {
            let [_, first, second, 0] = bits([a, b, c, b'A'])?.to_be_bytes() else { return None };
            out.extend_from_slice(&[first, second]);
        }
        _ => return None,
    }
    Some(())
}

/// The 24 bits of four digits.
fn bits(digits: [u8; 4]) -> Option<u32> {
    let [a, b, c, d] = digits.map(|digit| VALUES[usize::from(digit)]);
    if (a | b | c | d) & 0xc0 != 0 {
        return None;
    }
    Some(u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d))
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let byte = |at: usize| u32::from(part.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = (bits >> (18 - 6 * at)) & 0x3f;
            text.push(if at > part.len() { '=' } else { char::from(ALPHABET[digit as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(text, &mut out).map(|()| out)
    }

    #[test]
    fn the_standards_own_examples_hold() {
        let examples = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, text) in examples {
            assert_eq!(encode(plain.as_bytes()), text);
            assert_eq!(decoded(text), Some(plain.as_bytes().to_vec()));
        }
    }

    #[test]
    fn what_no_encoder_writes_is_refused() {
        for text in
            ["Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "=", "Zg==Zg==", "Zm 9", "Zm9_", "Zm9v\n", "é=="]
        {
            assert_eq!(decoded(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes: Vec<u8>) {
            prop_assert_eq!(decoded(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn what_is_decoded_has_one_encoding(text in "[A-Za-d0-2+/=]{0,12}") {
            if let Some(bytes) = decoded(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
