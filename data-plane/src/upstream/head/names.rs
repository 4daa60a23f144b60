//! Names of headers that came before: upstreams send the same ones in each answer, and a name that is known costs neither
//! its check nor memory of its own.

use std::cell::RefCell;

use http::{HeaderName, header::InvalidHeaderName};

/// Names that are kept, by each thread.
const PLACES: usize = 256;
/// Longer ones are made anew.
const LONGEST: usize = 64;

thread_local! {
    static KNOWN: RefCell<[Option<HeaderName>; PLACES]> = const { RefCell::new([const { None }; PLACES]) };
}

/// # Errors
/// These bytes are no header's name.
pub(super) fn name(bytes: &[u8]) -> Result<HeaderName, InvalidHeaderName> {
    if bytes.len() > LONGEST {
        return HeaderName::from_bytes(bytes);
    }
    KNOWN.with_borrow_mut(|known| {
        let place = &mut known[place(bytes)];
        match place {
            Some(name) if name.as_str().as_bytes().eq_ignore_ascii_case(bytes) => Ok(name.clone()),
            _ => {
                let name = HeaderName::from_bytes(bytes)?;
                *place = Some(name.clone());
                Ok(name)
            }
        }
    })
}

/// The same for both cases of a letter, which differ in one bit.
fn place(bytes: &[u8]) -> usize {
    const CASE: u64 = u64::from_ne_bytes([0x20; 8]);
    const SPREADS: u64 = 0x9e37_79b9_7f4a_7c15;
    // Names of one upstream often begin alike, and differ in the middle where they end alike.
    let middle = bytes.get(bytes.len() / 2).map_or(0, |byte| u64::from(byte | 0x20) << 24);
    let last = match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last),
        None => bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    };
    let spread = ((last | CASE) ^ middle ^ bytes.len() as u64).wrapping_mul(SPREADS);
    (spread >> (u64::BITS - PLACES.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_one_that_its_bytes_say_however_often() {
        let names: Vec<String> = (0..2 * PLACES).map(|number| format!("X-Header-{number}")).collect();
        for name in names.iter().chain(&names) {
            assert_eq!(super::name(name.as_bytes()).unwrap(), name.to_ascii_lowercase().as_str());
        }
        for name in ["Content-Type", "content-type", "CONTENT-TYPE"] {
            assert_eq!(super::name(name.as_bytes()).unwrap(), http::header::CONTENT_TYPE);
        }
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(super::name(long.as_bytes()).unwrap(), long.as_str());
    }

    #[test]
    fn what_is_no_name_is_refused_also_where_a_name_differs_in_its_case_bit_only() {
        assert!(super::name(b"x-[").is_err());
        assert!(super::name(b"x-{").is_err());
        assert!(super::name(b"").is_err());
        super::name(b"x-m").unwrap();
        // Of the same place.
        assert!(super::name(b"x\rm").is_err());
    }

    #[test]
    fn names_of_an_upstream_have_places_of_their_own() {
        let names = [
            "date",
            "content-type",
            "content-length",
            "connection",
            "server",
            "x-request-id",
            "cf-ray",
            "cf-cache-status",
            "openai-organization",
            "openai-processing-ms",
            "openai-version",
            "x-ratelimit-limit-requests",
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-requests",
            "x-ratelimit-reset-tokens",
            "strict-transport-security",
            "alt-svc",
            "set-cookie",
        ];
        let mut places: Vec<usize> = names.iter().map(|name| place(name.as_bytes())).collect();
        places.sort_unstable();
        places.dedup();
        assert!(places.len() + 2 >= names.len(), "{} of {}", places.len(), names.len());
    }
}
