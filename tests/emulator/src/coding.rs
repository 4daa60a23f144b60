//! Answers that are compressed, as some servers do unasked. Requests that are compressed are refused: no provider says
//! that it takes them.

use std::io::{self, Write};

use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use http::{HeaderMap, header::CONTENT_ENCODING};
use serde::{Deserialize, Serialize};

use crate::playback::{Ending, Plan, Stop};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    Gzip,
    Deflate,
    Br,
    Zstd,
}

impl Coding {
    pub const ALL: [Self; 4] = [Self::Gzip, Self::Deflate, Self::Br, Self::Zstd];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Br => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// Whether a request says that its body is in a coding.
pub(crate) fn is_said(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// The same plan with the body compressed. Without room for that, which no answer lacks, it stays as it is.
pub(crate) fn encoded(plan: Plan, coding: Option<Coding>) -> Plan {
    match coding.map(|coding| compressed(&plan, coding)) {
        Some(Ok(encoded)) => encoded,
        Some(Err(_)) | None => plan,
    }
}

fn compressed(plan: &Plan, coding: Coding) -> io::Result<Plan> {
    const QUALITY: u32 = 4;
    const WINDOW: u32 = 20;
    let level = Compression::default();
    match coding {
        Coding::Gzip => {
            through(plan, GzEncoder::new(Vec::new(), level), GzEncoder::get_ref, GzEncoder::finish)
        }
        Coding::Deflate => {
            through(plan, ZlibEncoder::new(Vec::new(), level), ZlibEncoder::get_ref, ZlibEncoder::finish)
        }
        Coding::Br => {
            let encoder = brotli::CompressorWriter::new(Vec::new(), 4096, QUALITY, WINDOW);
            through(plan, encoder, brotli::CompressorWriter::get_ref, |encoder| Ok(encoder.into_inner()))
        }
        Coding::Zstd => {
            let encoder = zstd::stream::write::Encoder::new(Vec::new(), 0)?;
            through(plan, encoder, |encoder| encoder.get_ref(), zstd::stream::write::Encoder::finish)
        }
    }
}

/// What comes ahead of a stop is flushed there. A body that is cut short has no end in its coding either.
fn through<E: Write>(
    plan: &Plan,
    mut encoder: E,
    written: impl Fn(&E) -> &Vec<u8>,
    finish: impl FnOnce(E) -> io::Result<Vec<u8>>,
) -> io::Result<Plan> {
    let (mut from, mut stops) = (0, std::collections::VecDeque::new());
    for stop in &plan.stops {
        if stop.at > from {
            encoder.write_all(&plan.bytes[from..stop.at])?;
            encoder.flush()?;
            from = stop.at;
        }
        stops.push_back(Stop { at: written(&encoder).len(), ..*stop });
    }
    encoder.write_all(&plan.bytes[from..])?;
    let bytes = match plan.ending {
        Ending::Clean => finish(encoder)?,
        Ending::Stall | Ending::Cut => {
            encoder.flush()?;
            written(&encoder).clone()
        }
    };
    // What is cut short was to be longer.
    let missing = |said: u64| said - plan.bytes.len() as u64;
    let declared = plan.declared.map(|said| bytes.len() as u64 + missing(said));
    Ok(Plan { bytes: bytes.into(), stops, ending: plan.ending, declared })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::playback::Pause;

    fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        // What can be decoded counts, also where the end is missing.
        let _ = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut all),
            Coding::Deflate => flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut all),
            Coding::Br => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut all),
            Coding::Zstd => zstd::Decoder::new(bytes).unwrap().read_to_end(&mut all),
        };
        all
    }

    #[test]
    fn what_comes_ahead_of_a_stop_can_be_decoded_there() {
        let stop = |at| Stop { at, pause: Pause::Flush };
        for coding in Coding::ALL {
            for (ending, said) in [(Ending::Clean, 9), (Ending::Cut, 12)] {
                let plan = Plan {
                    bytes: "one two 3".into(),
                    stops: [stop(0), stop(4), stop(8)].into(),
                    ending,
                    declared: Some(said),
                };
                let sent = encoded(plan, Some(coding));
                assert_eq!(decoded(coding, &sent.bytes), b"one two 3");
                assert_eq!((sent.stops.len(), sent.stops[0].at), (3, 0));
                assert_eq!(decoded(coding, &sent.bytes[..sent.stops[1].at]), b"one ");
                assert_eq!(decoded(coding, &sent.bytes[..sent.stops[2].at]), b"one two ");
                assert_eq!(sent.declared, Some(sent.bytes.len() as u64 + said - 9));
            }
        }
    }
}
