//! The way of a page from the coordinator to the response: a bounded channel of chunks. A slow reader makes the sender
//! wait, a gone one ends it.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

/// Bytes of a chunk, about; chunks in flight make up the memory that a slow reader holds.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Chunks in flight.
const CHUNKS: usize = 2;

/// Why a page was not streamed to its end. The response is then cut, so that the reader sees a failure, not a short page.
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
}

/// What a response reads.
pub type ChunkReceiver = mpsc::Receiver<Result<Bytes, StreamError>>;

/// Where the coordinator writes a page.
#[derive(Debug)]
pub struct ChunkSink {
    sender: mpsc::Sender<Result<Bytes, StreamError>>,
    chunk: Vec<u8>,
    /// How long a reader may take no chunk.
    patience: Duration,
}

impl ChunkSink {
    /// A sink and what it fills.
    pub fn new(patience: Duration) -> (Self, ChunkReceiver) {
        let (sender, receiver) = mpsc::channel(CHUNKS);
        (Self { sender, chunk: Vec::new(), patience }, receiver)
    }

    /// The chunk being filled; call [`Self::flush_full`] between two appends.
    pub fn chunk(&mut self) -> &mut Vec<u8> {
        &mut self.chunk
    }

    /// Sends the chunk on if it is full. Waits for the reader.
    pub async fn flush_full(&mut self) -> Result<(), StreamError> {
        if self.chunk.len() < CHUNK_BYTES { Ok(()) } else { self.flush().await }
    }

    /// Sends the last chunk.
    pub async fn finish(mut self) -> Result<(), StreamError> {
        if self.chunk.is_empty() { Ok(()) } else { self.flush().await }
    }

    /// Cuts the response.
    pub async fn fail(self, error: StreamError) {
        // If the reader has gone there is nothing left to cut.
        let _ = tokio::time::timeout(self.patience, self.sender.send(Err(error))).await;
    }

    async fn flush(&mut self) -> Result<(), StreamError> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8));
        match tokio::time::timeout(self.patience, self.sender.send(Ok(chunk.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(StreamError::ReaderGone),
            Err(_) => Err(StreamError::ReaderStalled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_rt::test]
    async fn a_reader_that_takes_nothing_is_given_up() {
        let (mut sink, receiver) = ChunkSink::new(Duration::from_millis(1));
        let mut sent = 0;
        let error = loop {
            sink.chunk().extend_from_slice(&[b'x'; CHUNK_BYTES]);
            match sink.flush_full().await {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((sent, error), (CHUNKS, StreamError::ReaderStalled));
        drop(receiver);
        sink.chunk().push(b'x');
        assert_eq!(sink.finish().await, Err(StreamError::ReaderGone));
    }
}
