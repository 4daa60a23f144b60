//! Content codings: in which ones a body came, and how it is put back into what it was.
//!
//! Both ways: clients send compressed requests, and some upstreams compress answers though they are asked not to.

mod decoder;
mod engine;

use http::{HeaderMap, header::CONTENT_ENCODING};
use smallvec::SmallVec;

pub(crate) use decoder::{Decoded, Decoder};

/// What is taken, as `accept-encoding` says it.
pub(crate) const TAKEN: &str = "gzip, deflate, br, zstd";
/// One inside the other.
pub(crate) const MOST: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// In the order in which they were applied; none for a body that is as it is.
pub(crate) type Codings = SmallVec<[Coding; MOST]>;

/// Why a body stays as it came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsupported {
    #[error("the content coding `{0}` is not supported; use one of {TAKEN}, or none")]
    Unknown(String),
    #[error("at most {MOST} content codings are taken, one inside the other; use one of {TAKEN}")]
    TooMany,
}

/// The bytes are not of their coding, or there are too few or too many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not valid {}, or is cut short", .0.name())]
pub struct Broken(pub Coding);

impl Coding {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// # Errors
/// It can't be decoded here.
pub(crate) fn codings(headers: &HeaderMap) -> Result<Codings, Unsupported> {
    let mut codings = Codings::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        for name in value.as_bytes().split(|byte| *byte == b',') {
            let coding = match &*name.trim_ascii().to_ascii_lowercase() {
                b"" | b"identity" => continue,
                b"gzip" | b"x-gzip" => Coding::Gzip,
                b"deflate" => Coding::Deflate,
                b"br" => Coding::Brotli,
                b"zstd" => Coding::Zstd,
                name => {
                    let name = String::from_utf8_lossy(name);
                    return Err(Unsupported::Unknown(name.chars().take(40).collect()));
                }
            };
            if codings.len() == MOST {
                return Err(Unsupported::TooMany);
            }
            codings.push(coding);
        }
    }
    Ok(codings)
}

#[cfg(test)]
pub(crate) mod encoded;
#[cfg(test)]
mod tests;
