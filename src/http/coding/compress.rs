//! Pages compressed as they are streamed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::{Compress, CompressError, Compression, FlushCompress, Status};
use tokio_stream::Stream;
use zstd::stream::raw::{Encoder, InBuffer, Operation, OutBuffer};

use super::Coding;
use crate::coordinator::stream::StreamError;

/// A page is written once and read once: speed is worth more than the last few percent of its length.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 3;
const WINDOW_LOG: u8 = 15;

/// By how much room for compressed bytes grows.
const ROOM: usize = 16 * 1024;

/// Chunks compressed before the runtime has its turn, if they give nothing to send on.
const CHUNKS_IN_A_ROW: usize = 4;

/// Compresses a page in gzip or zstd; in any other coding it is passed on as it is. What was given is sent on when the
/// compressor has filled a block, and all of it as soon as the page makes its reader wait.
pub fn compress<S>(coding: Coding, body: S) -> Compressed<S> {
    Compressed { body, compressor: Compressor::new(coding), withholds: false, is_over: false }
}

/// A page on its way through a compressor. After an error there is nothing more: what the compressor still holds is
/// lost with the page.
pub struct Compressed<S> {
    body: S,
    /// None if there was no memory for it.
    compressor: Option<Compressor>,
    /// Whether something was given that may not have been sent on.
    withholds: bool,
    is_over: bool,
}

impl<S> Stream for Compressed<S>
where
    S: Stream<Item = Result<Bytes, StreamError>> + Unpin,
{
    type Item = Result<Bytes, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let page = &mut *self;
        if page.is_over {
            return Poll::Ready(None);
        }
        let Some(compressor) = &mut page.compressor else {
            page.is_over = true;
            return Poll::Ready(Some(Err(StreamError::Cut)));
        };
        for _ in 0..CHUNKS_IN_A_ROW {
            let compressed = match Pin::new(&mut page.body).poll_next(context) {
                Poll::Ready(Some(Ok(chunk))) => {
                    page.withholds = true;
                    compressor.add(chunk)
                }
                Poll::Ready(Some(Err(error))) => Err(error),
                Poll::Ready(None) => {
                    page.is_over = true;
                    compressor.finish()
                }
                Poll::Pending if page.withholds => {
                    page.withholds = false;
                    match compressor.flush() {
                        Ok(bytes) if bytes.is_empty() => return Poll::Pending,
                        flushed => flushed,
                    }
                }
                Poll::Pending => return Poll::Pending,
            };
            page.is_over |= compressed.is_err();
            // An empty chunk would end the response.
            match compressed {
                Ok(bytes) if bytes.is_empty() && page.is_over => return Poll::Ready(None),
                Ok(bytes) if bytes.is_empty() => {}
                other => return Poll::Ready(Some(other)),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

enum Compressor {
    None,
    Gzip(Compress),
    Zstd(Encoder<'static>),
}

impl Compressor {
    fn new(coding: Coding) -> Option<Self> {
        match coding {
            Coding::Gzip => Some(Self::Gzip(Compress::new_gzip(Compression::new(GZIP_LEVEL), WINDOW_LOG))),
            Coding::Zstd => Encoder::new(ZSTD_LEVEL).ok().map(Self::Zstd),
            Coding::Identity | Coding::Deflate | Coding::Snappy => Some(Self::None),
        }
    }

    /// Compresses a chunk; gives what is ready to be sent on, which may be nothing.
    fn add(&mut self, chunk: Bytes) -> Result<Bytes, StreamError> {
        match self {
            Self::None => Ok(chunk),
            Self::Gzip(state) => sent(deflate(state, &chunk, FlushCompress::None)),
            Self::Zstd(encoder) => sent(zstd_chunk(encoder, &chunk)),
        }
    }

    /// Gives all that was added and not yet given.
    fn flush(&mut self) -> Result<Bytes, StreamError> {
        match self {
            Self::None => Ok(Bytes::new()),
            Self::Gzip(state) => sent(deflate(state, &[], FlushCompress::Sync)),
            Self::Zstd(encoder) => sent(zstd_rest(|room| encoder.flush(room))),
        }
    }

    /// Gives the rest, and the end.
    fn finish(&mut self) -> Result<Bytes, StreamError> {
        match self {
            Self::None => Ok(Bytes::new()),
            Self::Gzip(state) => sent(deflate(state, &[], FlushCompress::Finish)),
            Self::Zstd(encoder) => sent(zstd_rest(|room| encoder.finish(room, true))),
        }
    }
}

/// A compressor that fails on plain bytes is out of memory: the page cannot go on.
fn sent<E>(compressed: Result<Vec<u8>, E>) -> Result<Bytes, StreamError> {
    compressed.map(Bytes::from).map_err(|_| StreamError::Cut)
}

fn deflate(state: &mut Compress, chunk: &[u8], flush: FlushCompress) -> Result<Vec<u8>, CompressError> {
    let mut compressed = Vec::new();
    let start = state.total_in();
    loop {
        compressed.reserve(ROOM);
        let taken = (state.total_in() - start) as usize;
        let status = state.compress_vec(chunk.get(taken..).unwrap_or_default(), &mut compressed, flush)?;
        // Room that is left over was not needed.
        let has_room = compressed.len() < compressed.capacity();
        if status == Status::StreamEnd || (has_room && flush != FlushCompress::Finish) {
            return Ok(compressed);
        }
    }
}

fn zstd_chunk(encoder: &mut Encoder<'static>, chunk: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressed = Vec::new();
    let mut input = InBuffer::around(chunk);
    while input.pos() < chunk.len() {
        compressed.reserve(ROOM);
        let length = compressed.len();
        encoder.run(&mut input, &mut OutBuffer::around_pos(&mut compressed, length))?;
    }
    Ok(compressed)
}

/// `write` writes some of what is left, and says how much is still left.
fn zstd_rest(mut write: impl FnMut(&mut OutBuffer<'_, Vec<u8>>) -> io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut compressed = Vec::new();
    loop {
        compressed.reserve(ROOM);
        let length = compressed.len();
        if write(&mut OutBuffer::around_pos(&mut compressed, length))? == 0 {
            return Ok(compressed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use tokio::sync::mpsc;
    use tokio_stream::{StreamExt, iter, wrappers::ReceiverStream};

    fn page(length: usize) -> Vec<u8> {
        (0..length / 8).flat_map(|line| format!("x{{a=\"{}\"}} {line}\n", line % 17).into_bytes()).collect()
    }

    fn inflated(coding: Coding, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        match coding {
            Coding::Gzip => _ = flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain)?,
            Coding::Zstd => _ = zstd::stream::read::Decoder::new(bytes)?.read_to_end(&mut plain)?,
            _ => plain.extend_from_slice(bytes),
        }
        Ok(plain)
    }

    #[actix_rt::test]
    async fn pages_come_out_whole() {
        for coding in [Coding::Identity, Coding::Gzip, Coding::Zstd] {
            for length in [0, 8, 100_000, 3_000_000] {
                let page = page(length);
                let chunks: Vec<_> = page.chunks(64 * 1024).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
                let sent: Vec<_> = compress(coding, iter(chunks)).collect().await;
                assert!(sent.iter().flatten().all(|chunk| !chunk.is_empty()), "an empty chunk ends a response");
                let sent: Vec<u8> = sent.into_iter().flat_map(|chunk| chunk.expect("no error")).collect();
                assert_eq!(inflated(coding, &sent).expect("it is whole"), page, "{length} bytes in {coding}");
                assert!(
                    coding == Coding::Identity || length < 100_000 || sent.len() < page.len() / 2,
                    "{} bytes",
                    sent.len()
                );
            }
        }
    }

    #[actix_rt::test]
    async fn what_was_given_is_sent_on_while_a_page_waits() {
        for coding in [Coding::Identity, Coding::Gzip, Coding::Zstd] {
            let (sender, receiver) = mpsc::channel(1);
            let mut compressed = compress(coding, ReceiverStream::new(receiver));
            let mut sent = Vec::new();
            for line in ["x 1\n", "x 2\n"] {
                sender.send(Ok(Bytes::from_static(line.as_bytes()))).await.expect("there is room");
                // Fails by waiting for ever if the compressor withholds it.
                while !partly_inflated(coding, &sent).ends_with(line.as_bytes()) {
                    sent.extend(compressed.next().await.expect("not the end").expect("no error"));
                }
            }
            drop(sender);
            while let Some(chunk) = compressed.next().await {
                sent.extend(chunk.expect("no error"));
            }
            assert_eq!(inflated(coding, &sent).expect("it is whole"), b"x 1\nx 2\n");
        }
    }

    /// Inflates what there is of a page.
    fn partly_inflated(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::with_capacity(100);
        match coding {
            Coding::Gzip => {
                let mut state = flate2::Decompress::new_gzip(WINDOW_LOG);
                state.decompress_vec(bytes, &mut plain, flate2::FlushDecompress::None).expect("gzip");
            }
            Coding::Zstd => {
                let mut decoder = zstd::stream::raw::Decoder::new().expect("a decoder");
                let mut input = InBuffer::around(bytes);
                while input.pos() < bytes.len() {
                    let length = plain.len();
                    decoder.run(&mut input, &mut OutBuffer::around_pos(&mut plain, length)).expect("zstd");
                }
            }
            _ => plain.extend_from_slice(bytes),
        }
        plain
    }

    #[actix_rt::test]
    async fn errors_are_passed_on_and_end_the_page() {
        for coding in [Coding::Identity, Coding::Gzip, Coding::Zstd] {
            let steps = [Ok(Bytes::from_static(b"x 1\n")), Err(StreamError::Cut), Ok(Bytes::from_static(b"x 2\n"))];
            let sent: Vec<_> = compress(coding, iter(steps)).collect().await;
            assert_eq!(sent.last(), Some(&Err(StreamError::Cut)));
            assert_eq!(sent.iter().filter(|step| step.is_err()).count(), 1);
            let sent: Vec<u8> = sent.into_iter().flatten().flatten().collect();
            assert!(coding == Coding::Identity || inflated(coding, &sent).is_err(), "a cut page is not whole");
        }
    }

    #[actix_rt::test]
    async fn a_long_page_of_nothing_lets_others_run() {
        let chunks = (0..100).map(|_| Ok(Bytes::from_static(&[0; 64 * 1024])));
        let mut compressed = compress(Coding::Zstd, iter(chunks));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut turns = 0;
        while !matches!(Pin::new(&mut compressed).poll_next(&mut context), Poll::Ready(None)) {
            turns += 1;
        }
        assert!(turns >= 25, "{turns} turns");
    }
}
