//! Bodies inflated in steps, so that a worker serves others meanwhile, and within limits, so that a small body cannot
//! become a large one.

use std::io::{self, ErrorKind, Read};

use bytes::Bytes;
use flate2::{Decompress, DecompressError, FlushDecompress, Status};
use snap::read::FrameDecoder;
use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::Coding;
use crate::shard::gate::Permit;

/// What one step inflates at most, and takes in at most.
pub const STEP_BYTES: usize = 256 * 1024;

/// What one step has room for at least.
const LEAST_STEP: usize = 4096;

/// How many times longer metrics are mostly when inflated. Only a guess at what a small body needs room for.
const USUAL_RATIO: usize = 12;

/// The largest window that every decoder must support (RFC 9659), as a power of two; a larger one costs memory.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Window of DEFLATE, as a power of two.
const DEFLATE_WINDOW_LOG: u8 = 15;

/// A fault that has no better name.
const UNREADABLE: &str = "data that cannot be decompressed";

/// Why a body was not inflated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodingError {
    /// It inflates to more than the limit.
    #[error("expected a body of at most {limit} bytes when decompressed, got more")]
    TooLarge {
        /// In bytes.
        limit: usize,
    },
    /// There is no room for what it inflates to.
    #[error("too many bodies are being read, try again later")]
    Busy,
    /// It ends before its end.
    #[error("expected a whole body in {0}, got one that ends early")]
    Truncated(Coding),
    /// It is not in that coding.
    #[error("expected a body in {coding}, got {fault}")]
    Corrupt {
        /// What it should be in.
        coding: Coding,
        /// What is wrong with it.
        fault: String,
    },
}

/// Inflates a whole body. The permit grows by what is inflated, as it comes; it still counts the body as it was sent.
///
/// # Errors
/// A body that is not whole, not in that coding, followed by other bytes, or too large; a permit that cannot grow.
pub async fn decompress(coding: Coding, body: Bytes, limit: usize, permit: &mut Permit) -> Result<Bytes, CodingError> {
    let Some(mut inflater) = Inflater::new(coding, &body)? else {
        return if body.len() > limit { Err(CodingError::TooLarge { limit }) } else { Ok(body) };
    };
    let mut text = Inflated::new(body.len(), limit);
    loop {
        let Step { written, is_over } = inflater.step(text.space())?;
        text.add(written)?;
        if !permit.grow(written) {
            return Err(CodingError::Busy);
        }
        if is_over {
            return Ok(text.into_bytes());
        }
        tokio::task::yield_now().await;
    }
}

/// What has been inflated so far.
struct Inflated {
    /// All of it, then bytes that the next step may write to; each is cleared but once.
    bytes: Vec<u8>,
    length: usize,
    /// What the next step has room for.
    step: usize,
    limit: usize,
}

impl Inflated {
    fn new(body_length: usize, limit: usize) -> Self {
        let step = body_length.saturating_mul(USUAL_RATIO).clamp(LEAST_STEP, STEP_BYTES);
        Self { bytes: Vec::new(), length: 0, step, limit }
    }

    /// Where the next step writes.
    fn space(&mut self) -> &mut [u8] {
        let end = self.length + self.step;
        if self.bytes.capacity() < end {
            let most = self.limit.saturating_add(STEP_BYTES);
            let capacity = self.bytes.capacity().saturating_mul(2).min(most).max(end);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.length..end]
    }

    fn add(&mut self, written: usize) -> Result<(), CodingError> {
        self.length += written;
        self.step = self.length.clamp(LEAST_STEP, STEP_BYTES);
        if self.length > self.limit { Err(CodingError::TooLarge { limit: self.limit }) } else { Ok(()) }
    }

    fn into_bytes(mut self) -> Bytes {
        self.bytes.truncate(self.length);
        self.bytes.into()
    }
}

/// What one step has done.
struct Step {
    written: usize,
    /// Whether the whole body has been inflated.
    is_over: bool,
}

enum Inflater<'b> {
    Deflate(DeflateInflater<'b>),
    Snappy(Box<FrameDecoder<&'b [u8]>>),
    Zstd(ZstdInflater<'b>),
}

impl<'b> Inflater<'b> {
    /// `None` if there is nothing to inflate.
    fn new(coding: Coding, body: &'b [u8]) -> Result<Option<Self>, CodingError> {
        if body.is_empty() && coding != Coding::Identity {
            return Err(CodingError::Truncated(coding));
        }
        Ok(match coding {
            Coding::Identity => None,
            Coding::Gzip | Coding::Deflate => Some(Self::Deflate(DeflateInflater::new(coding, body))),
            Coding::Snappy => Some(Self::Snappy(framed_snappy(body)?)),
            Coding::Zstd => Some(Self::Zstd(ZstdInflater::new(body).map_err(|error| zstd_fault(&error))?)),
        })
    }

    fn step(&mut self, space: &mut [u8]) -> Result<Step, CodingError> {
        match self {
            Self::Deflate(inflater) => inflater.step(space),
            Self::Snappy(decoder) => snappy_step(decoder, space),
            Self::Zstd(inflater) => inflater.step(space),
        }
    }
}

/// The part of the body that one step takes in: there are ways to spend time on input that inflates to nothing.
fn piece(rest: &[u8]) -> &[u8] {
    &rest[..rest.len().min(STEP_BYTES)]
}

/// A step that neither took nor gave anything: it waits for more than there is, or cannot go on.
fn stuck(coding: Coding, rest: &[u8]) -> CodingError {
    if rest.is_empty() {
        CodingError::Truncated(coding)
    } else {
        CodingError::Corrupt { coding, fault: UNREADABLE.to_owned() }
    }
}

/// Gzip, zlib and bare DEFLATE.
struct DeflateInflater<'b> {
    coding: Coding,
    rest: &'b [u8],
    state: Decompress,
}

impl<'b> DeflateInflater<'b> {
    fn new(coding: Coding, body: &'b [u8]) -> Self {
        let state = match coding {
            Coding::Gzip => Decompress::new_gzip(DEFLATE_WINDOW_LOG),
            _ => Decompress::new(has_zlib_header(body)),
        };
        Self { coding, rest: body, state }
    }

    fn step(&mut self, space: &mut [u8]) -> Result<Step, CodingError> {
        let (taken, given) = (self.state.total_in(), self.state.total_out());
        let status = self
            .state
            .decompress(piece(self.rest), space, FlushDecompress::None)
            .map_err(|error| self.corrupt(deflate_fault(&error)))?;
        let read = (self.state.total_in() - taken) as usize;
        let written = (self.state.total_out() - given) as usize;
        self.rest = self.rest.get(read..).unwrap_or_default();
        if status == Status::StreamEnd {
            return Ok(Step { written, is_over: self.end_member()? });
        }
        if read == 0 && written == 0 {
            return Err(stuck(self.coding, self.rest));
        }
        Ok(Step { written, is_over: false })
    }

    /// Whether the member that has ended was the last one. Only gzip has more than one.
    fn end_member(&mut self) -> Result<bool, CodingError> {
        if self.rest.is_empty() {
            return Ok(true);
        }
        if self.coding != Coding::Gzip {
            return Err(self.corrupt(format!("{} more bytes after its end", self.rest.len())));
        }
        self.state = Decompress::new_gzip(DEFLATE_WINDOW_LOG);
        Ok(false)
    }

    fn corrupt(&self, fault: String) -> CodingError {
        CodingError::Corrupt { coding: self.coding, fault }
    }
}

fn deflate_fault(error: &DecompressError) -> String {
    // What zlib-rs says of every fault that its fast loop meets.
    const NOTHING: &str = "repeated call with bad state";
    error.message().filter(|message| *message != NOTHING).unwrap_or(UNREADABLE).to_owned()
}

/// RFC 1950, section 2.2: method and window, a checksum of both bytes, and no preset dictionary.
fn has_zlib_header(body: &[u8]) -> bool {
    const DEFLATE: u8 = 8;
    const DICTIONARY: u8 = 0x20;
    match body {
        [method, flags, ..] => {
            let is_deflate = method & 0x0f == DEFLATE && method >> 4 <= 7 && flags & DICTIONARY == 0;
            is_deflate && u16::from_be_bytes([*method, *flags]) % 31 == 0
        }
        _ => false,
    }
}

fn framed_snappy(body: &[u8]) -> Result<Box<FrameDecoder<&[u8]>>, CodingError> {
    const STREAM_IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";
    if STREAM_IDENTIFIER.starts_with(body) && body.len() < STREAM_IDENTIFIER.len() {
        return Err(CodingError::Truncated(Coding::Snappy));
    }
    if !body.starts_with(STREAM_IDENTIFIER) {
        let fault = "no stream identifier: snappy's framed format is taken, a raw block is not".to_owned();
        return Err(CodingError::Corrupt { coding: Coding::Snappy, fault });
    }
    Ok(Box::new(FrameDecoder::new(body)))
}

fn snappy_step(decoder: &mut FrameDecoder<&[u8]>, space: &mut [u8]) -> Result<Step, CodingError> {
    let mut written = 0;
    // The decoder gives a frame at a time.
    while written < space.len() {
        match decoder.read(&mut space[written..]) {
            Ok(0) => return Ok(Step { written, is_over: true }),
            Ok(read) => written += read,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(CodingError::Truncated(Coding::Snappy));
            }
            Err(error) => return Err(CodingError::Corrupt { coding: Coding::Snappy, fault: error.to_string() }),
        }
    }
    Ok(Step { written, is_over: false })
}

struct ZstdInflater<'b> {
    rest: &'b [u8],
    decoder: Decoder<'static>,
}

impl<'b> ZstdInflater<'b> {
    fn new(body: &'b [u8]) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
        Ok(Self { rest: body, decoder })
    }

    /// Of several frames one after the other, a step does not go beyond the end of one.
    fn step(&mut self, space: &mut [u8]) -> Result<Step, CodingError> {
        let status = self.decoder.run_on_buffers(piece(self.rest), space).map_err(|error| zstd_fault(&error))?;
        self.rest = self.rest.get(status.bytes_read..).unwrap_or_default();
        let is_frame_over = status.remaining == 0;
        if !is_frame_over && status.bytes_read == 0 && status.bytes_written == 0 {
            return Err(stuck(Coding::Zstd, self.rest));
        }
        Ok(Step { written: status.bytes_written, is_over: is_frame_over && self.rest.is_empty() })
    }
}

fn zstd_fault(error: &io::Error) -> CodingError {
    CodingError::Corrupt { coding: Coding::Zstd, fault: error.to_string() }
}

#[cfg(test)]
mod tests;
