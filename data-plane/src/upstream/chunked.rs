//! The chunked coding of HTTP/1.1 (RFC 9112, 7.1), taken off.
//!
//! Upstreams send each frame of a stream as a chunk. What has arrived of several chunks is moved together in the buffer
//! that it was read into, so that it goes on as one piece.

use bytes::{Bytes, BytesMut};

/// A chunk's size with its extensions, or a trailer, is no longer than this.
const LINE_MAX: usize = 4 << 10;
/// Trailers together.
const TRAILERS_MAX: usize = 16 << 10;

/// It is not the chunked coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer's chunks are malformed")]
pub(super) struct BadChunk;

/// How far it has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    Size,
    /// So much of the chunk is left.
    Data(u64),
    /// The line's end behind a chunk's data.
    DataEnd,
    /// So many bytes of them came.
    Trailers(usize),
    End,
}

impl Chunked {
    /// The payload of what is in `input`, which is taken out of it; empty where more has to be read first, or where the
    /// end is reached. What stands behind the end is left.
    pub(super) fn decode(&mut self, input: &mut BytesMut) -> Result<Bytes, BadChunk> {
        // The payload is gathered in input[..to]; what comes next begins at `from`.
        let (mut from, mut to) = (0, 0);
        loop {
            match *self {
                Self::Data(left) => {
                    if to == 0 {
                        let skipped = std::mem::take(&mut from);
                        _ = input.split_to(skipped);
                    }
                    let there = input.len() - from;
                    let taken = usize::try_from(left).map_or(there, |left| left.min(there));
                    if from != to {
                        input.copy_within(from..from + taken, to);
                    }
                    (from, to) = (from + taken, to + taken);
                    *self = match left - taken as u64 {
                        0 => Self::DataEnd,
                        left => {
                            *self = Self::Data(left);
                            break;
                        }
                    };
                }
                Self::DataEnd => match input.get(from..from + 2) {
                    Some(b"\r\n") => (from, *self) = (from + 2, Self::Size),
                    Some(_) => return Err(BadChunk),
                    None => break,
                },
                Self::Size => {
                    let Some(line) = line(&input[from..], LINE_MAX)? else { break };
                    *self = match size(line)? {
                        0 => Self::Trailers(0),
                        size => Self::Data(size),
                    };
                    from += line.len() + 2;
                }
                Self::Trailers(so_far) => {
                    let Some(line) = line(&input[from..], LINE_MAX)? else { break };
                    from += line.len() + 2;
                    *self = match so_far + line.len() + 2 {
                        _ if line.is_empty() => Self::End,
                        sum if sum > TRAILERS_MAX => return Err(BadChunk),
                        sum => Self::Trailers(sum),
                    };
                }
                Self::End => break,
            }
        }
        let payload = input.split_to(to).freeze();
        _ = input.split_to(from - to);
        Ok(payload)
    }
}

/// The line that `bytes` begin with, without its end; none: the end has not come yet.
fn line(bytes: &[u8], most: usize) -> Result<Option<&[u8]>, BadChunk> {
    match memchr::memchr(b'\n', bytes) {
        Some(end) if end > most => Err(BadChunk),
        Some(end) => bytes.get(..end).and_then(|line| line.strip_suffix(b"\r")).map(Some).ok_or(BadChunk),
        None if bytes.len() > most => Err(BadChunk),
        None => Ok(None),
    }
}

fn size(line: &[u8]) -> Result<u64, BadChunk> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    // Signs, which the parser would take, are no digits.
    let all_hex = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    let text = std::str::from_utf8(digits).map_err(|_| BadChunk)?;
    if all_hex { u64::from_str_radix(text, 16).map_err(|_| BadChunk) } else { Err(BadChunk) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What comes of these pieces, one after the other: the payload, the state, and what is left.
    fn decoded<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(Vec<u8>, Chunked, Vec<u8>), BadChunk> {
        let (mut state, mut input, mut payload) = (Chunked::Size, BytesMut::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            payload.extend_from_slice(&state.decode(&mut input)?);
        }
        Ok((payload, state, input.to_vec()))
    }

    #[test]
    fn what_came_together_goes_on_as_one_piece_and_what_follows_the_end_stays() {
        let all = b"3\r\nabc\r\n2;a=\"b\"\r\nde\r\n0\r\nx-trailer: 1\r\n\r\nHTTP/1.1";
        let (payload, state, left) = decoded([&all[..]]).unwrap();
        assert_eq!((&*payload, state, &*left), (&b"abcde"[..], Chunked::End, &b"HTTP/1.1"[..]));
    }

    #[test]
    fn what_is_not_the_coding_is_refused() {
        let long = format!("1;{}", "x".repeat(LINE_MAX + 1));
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(TRAILERS_MAX / 5));
        for bad in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            "1\na\r\n",
            "1\r\nabc",
            "11112222333344445\r\n",
            "1 1\r\n",
            &long,
            &trailers,
        ] {
            assert_eq!(decoded([bad.as_bytes()]), Err(BadChunk), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn how_it_is_cut_up_never_matters(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..20),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let mut all = Vec::new();
            for chunk in &chunks {
                all.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                all.extend_from_slice(chunk);
                all.extend_from_slice(b"\r\n");
            }
            all.extend_from_slice(b"0\r\n\r\n");
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(all.len())).chain([0, all.len()]).collect();
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|pair| &all[pair[0]..pair[1]]);
            let (payload, state, left) = decoded(pieces).unwrap();
            prop_assert_eq!(payload, chunks.concat());
            prop_assert_eq!((state, left), (Chunked::End, Vec::new()));
        }

        #[test]
        fn nothing_panics_and_nothing_is_made_up(bytes: Vec<u8>, cut: prop::sample::Index) {
            let cut = cut.index(bytes.len() + 1);
            if let Ok((payload, _, left)) = decoded([&bytes[..cut], &bytes[cut..]]) {
                prop_assert!(payload.len() + left.len() <= bytes.len());
            }
        }
    }
}
