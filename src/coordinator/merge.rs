//! One page out of all shards' pieces: families by name, each header once, series by label text whatever shard they
//! are on: the same state gives the same page for any number of shards. Protobuf pieces have no keys; there the series of a family
//! stand shard by shard.

use tokio::sync::oneshot;

use super::stream::{ChunkSink, StreamError};
use super::writer::PageWriter;
use crate::shard::route::ShardSet;
use crate::shard::table::{Page, PageRequest};

/// Streams the page to its end; on an error the response is cut. Returns the number of series. `request` is the first that
/// each shard gets.
pub(super) async fn stream_page(shards: &ShardSet, request: PageRequest, sink: ChunkSink) -> Result<u64, StreamError> {
    let families = request.families.clone();
    let mut writer = PageWriter::new(request.format, sink);
    let mut pieces = Vec::with_capacity(shards.router().shards());
    for shard in 0..shards.router().shards() {
        pieces.push(Piece::begin(shards, shard, request.clone())?);
    }
    for piece in &mut pieces {
        piece.load().await?;
    }
    let mut current_family = None;
    let mut series = 0;
    while let Some(piece) =
        pieces.iter_mut().filter(|piece| piece.head().is_some()).min_by(|a, b| a.head().cmp(&b.head()))
    {
        let Some((family, _)) = piece.head() else { break };
        if current_family != Some(family) {
            current_family = Some(family);
            writer.begin_family(&families[family as usize]).await?;
        }
        writer.write(piece.text()).await?;
        series += 1;
        piece.advance();
        if piece.head().is_none() {
            piece.load().await?;
        }
    }
    writer.finish().await?;
    Ok(series)
}

/// One shard's series in their order, a page at a time; while one page is read the next is encoded.
struct Piece<'s> {
    shards: &'s ShardSet,
    shard: usize,
    request: PageRequest,
    ahead: Option<oneshot::Receiver<Page>>,
    page: Page,
    /// The series at the head: its index in the page, and where its key and text begin.
    index: usize,
    key_start: usize,
    text_start: usize,
}

impl<'s> Piece<'s> {
    fn begin(shards: &'s ShardSet, shard: usize, request: PageRequest) -> Result<Self, StreamError> {
        let page = Page::default();
        let mut piece = Self { shards, shard, request, ahead: None, page, index: 0, key_start: 0, text_start: 0 };
        piece.ask()?;
        Ok(piece)
    }

    fn ask(&mut self) -> Result<(), StreamError> {
        let answer = self.shards.page(self.shard, self.request.clone()).map_err(|_| StreamError::ShardDown)?;
        self.ahead = Some(answer);
        Ok(())
    }

    /// Goes on to the next page that is not empty, or to the end.
    async fn load(&mut self) -> Result<(), StreamError> {
        while let Some(ahead) = self.ahead.take() {
            self.page = ahead.await.map_err(|_| StreamError::ShardDown)?;
            (self.index, self.key_start, self.text_start) = (0, 0, 0);
            if let Some(next) = self.page.next.take() {
                self.request.cursor = next;
                self.ask()?;
            }
            if !self.page.series.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Family and key of the next series; `None` at the end of the page.
    fn head(&self) -> Option<(u32, &str)> {
        let series = self.page.series.get(self.index)?;
        Some((series.family, self.page.keys.get(self.key_start..series.key_end as usize).unwrap_or_default()))
    }

    /// The lines of the next series.
    fn text(&self) -> &[u8] {
        let end = self.page.series.get(self.index).map_or(self.text_start, |series| series.text_end as usize);
        self.page.text.get(self.text_start..end).unwrap_or_default()
    }

    fn advance(&mut self) {
        if let Some(series) = self.page.series.get(self.index) {
            (self.key_start, self.text_start) = (series.key_end as usize, series.text_end as usize);
            self.index += 1;
        }
    }
}
