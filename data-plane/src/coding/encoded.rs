//! The other way round, for tests: bodies in each coding.

use std::io::Write as _;

use brotli::enc::BrotliEncoderParams;
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};

use super::Coding;

pub(crate) const ALL: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

/// The parts, each of which can be decoded as soon as it is there, and what ends the body.
pub(crate) fn flushed(coding: Coding, parts: &[&[u8]]) -> Vec<Vec<u8>> {
    macro_rules! each {
        ($encoder:expr, $taken:expr, $ended:expr) => {{
            let mut encoder = $encoder;
            let mut encoded = Vec::new();
            for part in parts {
                encoder.write_all(part).unwrap();
                encoder.flush().unwrap();
                encoded.push(std::mem::take($taken(&mut encoder)));
            }
            encoded.push($ended(encoder));
            encoded
        }};
    }
    let level = Compression::default();
    match coding {
        Coding::Gzip => {
            each!(GzEncoder::new(Vec::new(), level), GzEncoder::get_mut, |encoder: GzEncoder<_>| encoder
                .finish()
                .unwrap())
        }
        Coding::Deflate => {
            each!(ZlibEncoder::new(Vec::new(), level), ZlibEncoder::get_mut, |encoder: ZlibEncoder<_>| {
                encoder.finish().unwrap()
            })
        }
        Coding::Brotli => each!(
            brotli::CompressorWriter::with_params(Vec::new(), 4096, &brotli_params(20)),
            brotli::CompressorWriter::get_mut,
            |encoder: brotli::CompressorWriter<_>| encoder.into_inner()
        ),
        Coding::Zstd => each!(
            zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap(),
            zstd::stream::write::Encoder::get_mut,
            |encoder: zstd::stream::write::Encoder<'_, _>| encoder.finish().unwrap()
        ),
    }
}

pub(crate) fn encoded(coding: Coding, body: &[u8]) -> Vec<u8> {
    flushed(coding, &[body]).concat()
}

/// What some send for `deflate`.
pub(crate) fn bare_deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn brotli_params(window: i32) -> BrotliEncoderParams {
    BrotliEncoderParams {
        quality: 5,
        lgwin: window,
        large_window: window > 24,
        ..BrotliEncoderParams::default()
    }
}
