//! W3C Trace Context: a client's trace goes on to the upstream as it came, and its id is recorded. Where none came, none is
//! made; what is malformed goes nowhere.

use std::fmt;

use http::{HeaderMap, HeaderName};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `version-trace-parent-flags`, in hex.
const LENGTH: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

/// Of the trace that a client's request is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// None: there is no trace, or none that can be read.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        let (only, None) = (lines.next()?, lines.next()) else { return None };
        let text = only.as_bytes();
        let (known, rest) = (text.get(..LENGTH)?, text.get(LENGTH..)?);
        let mut fields = known.split(|byte| *byte == b'-');
        let version: [u8; 1] = hex(fields.next()?)?;
        let (trace, parent): ([u8; 16], [u8; 8]) = (hex(fields.next()?)?, hex(fields.next()?)?);
        let _flags: [u8; 1] = hex(fields.next()?)?;
        // Versions to come may say more behind.
        let ends = match version {
            [0] => rest.is_empty(),
            [0xff] => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        let valid = ends && trace != [0; 16] && parent != [0; 8];
        valid.then_some(Self(trace))
    }

    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Takes out what is no trace. Almost never is there any.
pub(super) fn keep_valid(headers: &mut HeaderMap) {
    let said = headers.contains_key(TRACEPARENT) || headers.contains_key(TRACESTATE);
    if said && TraceId::of(headers).is_none() {
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
    }
}

/// Lower case only, and as many bytes as asked for.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = *pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(parents: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for parent in parents {
            headers.append(TRACEPARENT, HeaderValue::from_bytes(parent.as_bytes()).unwrap());
        }
        headers.append(TRACESTATE, HeaderValue::from_static("a=1"));
        headers.append(TRACESTATE, HeaderValue::from_static("b=2"));
        headers
    }

    #[test]
    fn a_valid_trace_has_an_id_and_goes_on_as_it_came() {
        let newer = [GOOD.replacen("00", "cc", 1), format!("{}-more", GOOD.replacen("00", "cc", 1))];
        for valid in [GOOD, &GOOD.replace("-01", "-ff"), &newer[0], &newer[1]] {
            let mut headers = headers(&[valid]);
            let id = TraceId::of(&headers).unwrap();
            assert_eq!(id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
            assert_eq!((id.to_bytes()[0], id.to_bytes().len()), (0x4b, 16));
            keep_valid(&mut headers);
            assert_eq!(headers[TRACEPARENT], valid);
            assert_eq!(headers.get_all(TRACESTATE).iter().count(), 2);
        }
    }

    #[test]
    fn what_is_malformed_is_dropped_with_its_state() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        for malformed in [
            vec![],
            vec![""],
            vec![GOOD, GOOD],
            vec![&*GOOD.to_uppercase()],
            vec![&GOOD.replacen("00", "ff", 1)],
            vec![&GOOD.replacen("00", "0x", 1)],
            vec![&GOOD.replace(id, &"0".repeat(32))],
            vec![&GOOD.replace("00f067aa0ba902b7", &"0".repeat(16))],
            vec![&GOOD[..GOOD.len() - 1]],
            vec![&format!("{GOOD}-more")],
            vec![&format!("{}more", GOOD.replacen("00", "cc", 1))],
            vec![&GOOD.replace("-", "_")],
            vec![&GOOD.replacen("-4", "4-", 1)],
        ] {
            let mut headers = headers(&malformed);
            assert_eq!(TraceId::of(&headers), None, "{malformed:?}");
            keep_valid(&mut headers);
            assert!(headers.is_empty(), "{malformed:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(text in "[0-9a-f-]{50,60}|[ -~]{0,80}") {
            if let Some(id) = TraceId::of(&headers(&[&text])) {
                prop_assert_eq!(&text[3..35], id.to_string());
            }
        }
    }
}
