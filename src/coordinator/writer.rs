//! A page as its format has it: headers before families, marks behind them, into the sink.

use super::stream::{CHUNK_BYTES, ChunkSink, StreamError};
use crate::exposition::format::{Format, FormatKind};
use crate::exposition::proto_encode::begin_family;
use crate::exposition::shown::ShownFamily;
use crate::exposition::{end_mark, write_header};

/// Metrics of one protobuf message, in bytes. A message begins with its length, so it is held until it is whole; a family with
/// more goes on in a further message of its name.
const MESSAGE_BYTES: usize = 32 << 20;

/// Writes one page.
pub(super) struct PageWriter<'f> {
    format: Format,
    sink: ChunkSink,
    /// The family at hand, with the metrics of a message that is not whole.
    message: Option<(&'f ShownFamily, Vec<u8>)>,
}

impl<'f> PageWriter<'f> {
    pub fn new(format: Format, sink: ChunkSink) -> Self {
        Self { format, sink, message: None }
    }

    /// Begins a family: one with series, or a declared one. Protobuf has none without series: readers of it look at the first.
    pub async fn begin_family(&mut self, family: &'f ShownFamily) -> Result<(), StreamError> {
        self.end_message().await?;
        if self.format.kind == FormatKind::Protobuf {
            self.message = Some((family, Vec::new()));
        } else {
            write_header(self.sink.chunk(), self.format, family);
        }
        Ok(())
    }

    /// Writes series of the family, as a shard encoded them.
    pub async fn write(&mut self, series: &[u8]) -> Result<(), StreamError> {
        let Some((family, metrics)) = &mut self.message else { return self.send(series).await };
        metrics.extend_from_slice(series);
        if metrics.len() < MESSAGE_BYTES {
            return Ok(());
        }
        let family = *family;
        self.end_message().await?;
        self.message = Some((family, Vec::new()));
        Ok(())
    }

    /// Writes what stands at the end.
    pub async fn finish(mut self) -> Result<(), StreamError> {
        self.end_message().await?;
        self.sink.chunk().extend_from_slice(end_mark(self.format));
        self.sink.finish().await
    }

    async fn end_message(&mut self) -> Result<(), StreamError> {
        let Some((family, metrics)) = self.message.take() else { return Ok(()) };
        if metrics.is_empty() {
            return Ok(());
        }
        begin_family(self.sink.chunk(), family, metrics.len());
        self.send(&metrics).await
    }

    /// A histogram's lines may be many times a chunk, and a message is.
    async fn send(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        for part in bytes.chunks(CHUNK_BYTES) {
            self.sink.chunk().extend_from_slice(part);
            self.sink.flush_full().await?;
        }
        Ok(())
    }
}
