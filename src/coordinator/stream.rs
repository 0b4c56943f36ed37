//! The way of a page from the coordinator to the response: a bounded channel of chunks. A slow reader makes the sender
//! wait, a gone one ends it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::Stream;

/// Bytes of a chunk, about; chunks in flight are what a slow reader holds, besides a protobuf message that is not whole.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Chunks in flight.
const CHUNKS: usize = 2;

/// Why a page was not streamed to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The reader has gone.
    #[error("the reader has gone")]
    ReaderGone,
    /// The reader took no chunk for too long.
    #[error("the reader has stalled")]
    ReaderStalled,
    /// A shard did not answer.
    #[error("a shard is down")]
    ShardDown,
    /// The page ended before its end; what its reader is told.
    #[error("the page was cut")]
    Cut,
}

/// One step of a page.
#[derive(Debug)]
enum Step {
    Chunk(Bytes),
    End,
}

/// What a response reads. A page that stops before its end mark ends in an error, so that the reader sees a failure and not
/// a short page.
#[derive(Debug)]
pub struct PageBody {
    steps: mpsc::Receiver<Step>,
    is_over: bool,
}

impl Stream for PageBody {
    type Item = Result<Bytes, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let step = ready!(self.steps.poll_recv(context));
        self.is_over = !matches!(step, Some(Step::Chunk(_)));
        Poll::Ready(match step {
            Some(Step::Chunk(chunk)) => Some(Ok(chunk)),
            Some(Step::End) => None,
            None => Some(Err(StreamError::Cut)),
        })
    }
}

/// Where the coordinator writes a page.
#[derive(Debug)]
pub struct ChunkSink {
    steps: mpsc::Sender<Step>,
    chunk: Vec<u8>,
    /// How long a reader may take no chunk.
    patience: Duration,
}

impl ChunkSink {
    /// A sink and what it fills.
    pub fn new(patience: Duration) -> (Self, PageBody) {
        let (sender, receiver) = mpsc::channel(CHUNKS);
        (Self { steps: sender, chunk: Vec::new(), patience }, PageBody { steps: receiver, is_over: false })
    }

    /// The chunk being filled; call [`Self::flush_full`] between two appends.
    pub fn chunk(&mut self) -> &mut Vec<u8> {
        &mut self.chunk
    }

    /// Sends the chunk on if it is full. Waits for the reader.
    pub async fn flush_full(&mut self) -> Result<(), StreamError> {
        if self.chunk.len() < CHUNK_BYTES { Ok(()) } else { self.flush().await }
    }

    /// Sends the last chunk and the end mark. A sink that is dropped without it cuts the response.
    pub async fn finish(mut self) -> Result<(), StreamError> {
        if !self.chunk.is_empty() {
            self.flush().await?;
        }
        self.send(Step::End).await
    }

    async fn flush(&mut self) -> Result<(), StreamError> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8));
        self.send(Step::Chunk(chunk.into())).await
    }

    async fn send(&self, step: Step) -> Result<(), StreamError> {
        match tokio::time::timeout(self.patience, self.steps.send(step)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(StreamError::ReaderGone),
            Err(_) => Err(StreamError::ReaderStalled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_stream::StreamExt;

    #[actix_rt::test]
    async fn a_reader_that_takes_nothing_is_given_up() {
        let (mut sink, body) = ChunkSink::new(Duration::from_millis(1));
        let mut sent = 0;
        let error = loop {
            sink.chunk().extend_from_slice(&[b'x'; CHUNK_BYTES]);
            match sink.flush_full().await {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((sent, error), (CHUNKS, StreamError::ReaderStalled));
        drop(sink);
        let steps: Vec<bool> = body.map(|step| step.is_ok()).collect().await;
        assert_eq!(steps, [true, true, false], "the page is cut, not short");
    }

    #[actix_rt::test]
    async fn a_page_ends_without_an_error_after_its_last_chunk() {
        let (mut sink, body) = ChunkSink::new(Duration::from_secs(10));
        sink.chunk().push(b'x');
        sink.finish().await.expect("there is room");
        let chunks: Vec<_> = body.collect().await;
        assert_eq!(chunks, [Ok(Bytes::from_static(b"x"))]);
    }

    #[actix_rt::test]
    async fn a_reader_that_has_gone_ends_the_page() {
        let (mut sink, body) = ChunkSink::new(Duration::from_secs(10));
        drop(body);
        sink.chunk().push(b'x');
        assert_eq!(sink.finish().await, Err(StreamError::ReaderGone));
    }
}
