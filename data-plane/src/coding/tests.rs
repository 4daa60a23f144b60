use std::io::Write as _;

use bytes::Bytes;
use http::HeaderValue;
use proptest::prelude::*;

use super::{
    encoded::{ALL, bare_deflate, brotli_params, encoded, flushed},
    *,
};
use crate::allocations::peak_of;

/// All that comes of the chunks, and whether they are all of the body.
fn decoded(codings: &[Coding], chunks: &[impl AsRef<[u8]>]) -> Result<Vec<u8>, Broken> {
    let (mut decoder, mut all) = (Decoder::new(codings), Vec::new());
    for chunk in chunks {
        decoder.feed(Bytes::copy_from_slice(chunk.as_ref()));
        loop {
            match decoder.decode()? {
                Decoded::Bytes(piece) => {
                    assert!(!piece.is_empty() && piece.len() <= 32 << 10);
                    all.extend_from_slice(&piece);
                }
                Decoded::Between(bytes) => assert!(bytes > 0 && bytes <= 32 << 10),
                Decoded::Hungry => break,
            }
        }
    }
    decoder.end().map(|()| all)
}

fn headers(values: &[&'static str]) -> HeaderMap {
    values.iter().map(|value| (CONTENT_ENCODING, HeaderValue::from_static(value))).collect()
}

#[test]
fn codings_are_read_from_every_line_in_any_case() {
    let read = |values: &[&'static str]| codings(&headers(values)).map(|codings| codings.to_vec());
    assert_eq!(read(&[]), Ok(vec![]));
    assert_eq!(read(&["identity", "", " , Identity"]), Ok(vec![]));
    assert_eq!(read(&["GZip"]), Ok(vec![Coding::Gzip]));
    assert_eq!(read(&["x-gzip, identity", "zstd"]), Ok(vec![Coding::Gzip, Coding::Zstd]));
    assert_eq!(read(&["deflate ,\tbr"]), Ok(vec![Coding::Deflate, Coding::Brotli]));
    assert_eq!(read(&["gzip, gzip, gzip"]), Err(Unsupported::TooMany));
    assert_eq!(read(&["gzip", "Compress"]), Err(Unsupported::Unknown("compress".into())));
}

#[test]
fn what_is_flushed_is_there_at_once() {
    let parts: [&[u8]; 3] = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n"];
    for coding in ALL {
        let mut decoder = Decoder::new(&[coding]);
        let encoded = flushed(coding, &parts);
        for (part, sent) in parts.iter().zip(&encoded) {
            decoder.feed(sent.clone().into());
            let Ok(Decoded::Bytes(piece)) = decoder.decode() else { panic!("{coding:?}: nothing came") };
            assert_eq!(piece, part, "{coding:?}");
            assert!(matches!(decoder.decode(), Ok(Decoded::Hungry)));
            assert_eq!(decoder.end(), Err(Broken(coding)));
        }
        decoder.feed(encoded[3].clone().into());
        assert!(matches!(decoder.decode(), Ok(Decoded::Hungry)));
        assert_eq!(decoder.end(), Ok(()));
    }
}

#[test]
fn a_body_that_is_cut_short_anywhere_is_broken_and_an_empty_one_is_empty() {
    let body = br#"{"model":"claude-opus-5","messages":[{"role":"user","content":"h\u00e9"}]}"#.repeat(3);
    for coding in ALL {
        let whole = encoded(coding, &body);
        for length in 1..whole.len() {
            let cut = decoded(&[coding], &[&whole[..length]]);
            assert_eq!(cut, Err(Broken(coding)), "{coding:?} {length} of {}", whole.len());
        }
        assert_eq!(decoded(&[coding], &[&whole]).as_ref(), Ok(&body));
        assert_eq!(decoded(&[coding], &[b""]), Ok(vec![]));
    }
}

#[test]
fn what_follows_the_end_is_part_of_the_body_where_the_coding_says_so_and_else_breaks_it() {
    for coding in ALL {
        let twice = [encoded(coding, b"one, "), encoded(coding, b"two")];
        let read = decoded(&[coding], &twice);
        match coding {
            Coding::Gzip | Coding::Zstd => assert_eq!(read.unwrap(), b"one, two"),
            Coding::Deflate | Coding::Brotli => assert_eq!(read, Err(Broken(coding))),
        }
        let behind = [encoded(coding, b"one"), b"{}".to_vec()];
        assert_eq!(decoded(&[coding], &behind), Err(Broken(coding)));
    }
    let many = encoded(Coding::Gzip, b"").repeat(2000);
    assert_eq!(decoded(&[Coding::Gzip], &[many]), Err(Broken(Coding::Gzip)));
}

#[test]
fn deflate_without_zlibs_wrapper_is_read_too() {
    assert_eq!(decoded(&[Coding::Deflate], &[bare_deflate(b"as some send it")]).unwrap(), b"as some send it");
}

#[test]
fn windows_beyond_what_http_allows_are_refused() {
    let body = vec![b'x'; 1 << 20];
    let mut zstd = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    zstd.set_parameter(zstd::stream::raw::CParameter::WindowLog(27)).unwrap();
    zstd.write_all(&body).unwrap();
    assert_eq!(decoded(&[Coding::Zstd], &[zstd.finish().unwrap()]), Err(Broken(Coding::Zstd)));
    for (window, fits) in [(24, true), (28, false)] {
        let mut brotli = brotli::CompressorWriter::with_params(Vec::new(), 4096, &brotli_params(window));
        brotli.write_all(&body).unwrap();
        assert_eq!(decoded(&[Coding::Brotli], &[brotli.into_inner()]).is_ok(), fits, "{window}");
    }
}

/// 16 MiB of nothing, of which no more is held than a piece and the coding's window.
#[test]
fn a_bomb_is_handed_out_in_short_pieces() {
    const LENGTH: usize = 16 << 20;
    let nothing = vec![0; LENGTH];
    for coding in ALL {
        let bomb = Bytes::from(encoded(coding, &nothing));
        let most = if coding == Coding::Brotli { 4 << 20 } else { 256 << 10 };
        let peak = peak_of(|| {
            let (mut decoder, mut length) = (Decoder::new(&[coding]), 0);
            decoder.feed(bomb.clone());
            while let Decoded::Bytes(piece) = decoder.decode().unwrap() {
                length += piece.len();
            }
            assert_eq!((length, decoder.end()), (LENGTH, Ok(())));
        });
        assert!(peak < most, "{coding:?}: {peak}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunking_never_matters(
        words in prop::collection::vec("[a-c]{1,4}|\\PC{0,9}", 0..400),
        stack in prop::collection::vec(prop::sample::select(ALL.to_vec()), 1..=MOST),
        sizes in prop::collection::vec(1_usize..300, 1..20),
    ) {
        let body = words.concat().into_bytes();
        let sent = stack.iter().fold(body.clone(), |body, coding| encoded(*coding, &body));
        let mut chunks = Vec::new();
        let (mut rest, mut sizes) = (&*sent, sizes.iter().cycle());
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            chunks.push(chunk);
            rest = after;
        }
        prop_assert_eq!(decoded(&stack, &chunks), Ok(body));
    }

    /// Broken bytes are an error, or some text; never a panic, and never the whole body.
    #[test]
    fn any_bytes_can_be_fed(
        coding in prop::sample::select(ALL.to_vec()),
        garbage in prop::collection::vec(any::<u8>(), 0..200),
        place in any::<prop::sample::Index>(),
    ) {
        _ = decoded(&[coding], &[&garbage]);
        let mut damaged = encoded(coding, &[&b"some text to be damaged "[..], &garbage].concat());
        let at = place.index(damaged.len());
        damaged[at] ^= 0xff;
        _ = decoded(&[coding], &[&damaged]);
    }
}
