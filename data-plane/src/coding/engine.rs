//! One coding's decoder, a step at a time.
//!
//! It holds its coding's window and little more: 32 KiB for gzip and deflate, up to 16 MiB for br, and 8 MiB for zstd,
//! the most that HTTP allows (RFC 9659). The system gives no more of that than is written to.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as Zstd, Operation as _};

use super::{Broken, Coding};

/// As a power of two.
const ZSTD_WINDOW: u32 = 23;
const INFLATE_WINDOW: u8 = 15;
/// Of a gzip file, each of which takes a new state.
const MEMBERS: u32 = 1024;

type Brotli = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

pub(super) struct Engine {
    coding: Coding,
    state: State,
    /// What was begun is over: a member, a frame, or all there is.
    done: bool,
    members: u32,
}

enum State {
    /// Nothing came so far.
    Idle,
    Inflate(Decompress),
    Brotli(Box<Brotli>),
    Zstd(Zstd<'static>),
}

/// How far a step went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Step {
    pub(super) read: usize,
    pub(super) written: usize,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("coding", &self.coding)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

impl Engine {
    pub(super) const fn new(coding: Coding) -> Self {
        Self { coding, state: State::Idle, done: false, members: 0 }
    }

    /// Whether the body may end here. An empty one is in no coding.
    pub(super) const fn is_complete(&self) -> bool {
        self.done || matches!(self.state, State::Idle)
    }

    pub(super) const fn broken(&self) -> Broken {
        Broken(self.coding)
    }

    /// Reads of `input` what it has room to write of. Without `input` only where a step before has filled `out`.
    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Broken> {
        if let Some(first) = input.first()
            && (matches!(self.state, State::Idle) || self.goes_on()?)
        {
            self.state = self.begin(*first)?;
        }
        let broken = self.broken();
        let step = match &mut self.state {
            State::Idle => return Ok(Step::default()),
            State::Inflate(inflate) => {
                let (read, written) = (inflate.total_in(), inflate.total_out());
                let status = inflate.decompress(input, out, FlushDecompress::None).map_err(|_| broken)?;
                self.done = status == Status::StreamEnd;
                Step {
                    read: (inflate.total_in() - read) as usize,
                    written: (inflate.total_out() - written) as usize,
                }
            }
            State::Brotli(brotli) => {
                let (mut left, mut read, mut room, mut written) = (input.len(), 0, out.len(), 0);
                let result = BrotliDecompressStream(
                    &mut left,
                    &mut read,
                    input,
                    &mut room,
                    &mut written,
                    out,
                    &mut 0,
                    brotli,
                );
                match result {
                    BrotliResult::ResultFailure => return Err(broken),
                    BrotliResult::ResultSuccess => self.done = true,
                    BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
                }
                Step { read, written }
            }
            State::Zstd(zstd) => {
                let status = zstd.run_on_buffers(input, out).map_err(|_| broken)?;
                self.done = status.remaining == 0;
                Step { read: status.bytes_read, written: status.bytes_written }
            }
        };
        Ok(step)
    }

    /// Behind what is over: whether another state is needed for what follows.
    fn goes_on(&mut self) -> Result<bool, Broken> {
        match (self.done, self.coding) {
            (false, _) | (true, Coding::Zstd) => Ok(false),
            (true, Coding::Gzip) if self.members < MEMBERS => Ok(true),
            (true, _) => Err(self.broken()),
        }
    }

    fn begin(&mut self, first: u8) -> Result<State, Broken> {
        self.members += 1;
        Ok(match self.coding {
            Coding::Gzip => State::Inflate(Decompress::new_gzip(INFLATE_WINDOW)),
            // By its name it is in zlib's format, whose first byte says so; some send what is inside.
            Coding::Deflate => State::Inflate(Decompress::new(first & 0x0f == 8)),
            Coding::Brotli => {
                let alloc = StandardAlloc::default;
                State::Brotli(Box::new(Brotli::new_strict(alloc(), alloc(), alloc())))
            }
            Coding::Zstd => {
                let bounded = |mut zstd: Zstd<'static>| {
                    zstd.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW)).map(|()| zstd)
                };
                State::Zstd(Zstd::new().and_then(bounded).map_err(|_| self.broken())?)
            }
        })
    }
}
