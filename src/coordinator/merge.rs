//! One page out of all shards' pieces: families by name, each header once, series by label text whatever shard they
//! are on: the same state gives the same page for any number of shards. Protobuf pieces have no keys; there the series of a family
//! stand shard by shard.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::stream::{ChunkSink, StreamError};
use super::writer::PageWriter;
use crate::exposition::shown::ShownFamily;
use crate::shard::route::ShardSet;
use crate::shard::table::{Page, PageRequest};

/// Streams the page to its end; on an error the response is cut. Returns the number of series. `request` is the first that
/// each shard gets.
pub(super) async fn stream_page(shards: &ShardSet, request: PageRequest, sink: ChunkSink) -> Result<u64, StreamError> {
    let families = Arc::clone(&request.families);
    let mut writer = PageWriter::new(request.format, sink);
    // All are asked before the first is waited for.
    let asked: Result<Vec<_>, _> =
        (0..shards.router().shards()).map(|shard| Piece::begin(shards, shard, request.clone())).collect();
    let mut pieces = Pieces(Vec::new());
    for mut piece in asked?.into_iter().rev() {
        piece.load().await?;
        pieces.put(piece);
    }
    let mut current_family = None;
    let mut begun = 0;
    let mut series = 0;
    while let Some(mut piece) = pieces.0.pop() {
        let Some((family, _)) = piece.head() else { continue };
        if current_family != Some(family) {
            current_family = Some(family);
            begin_declared(&mut writer, &families[begun..family as usize]).await?;
            begun = family as usize + 1;
            writer.begin_family(&families[family as usize]).await?;
        }
        let next = pieces.0.last().and_then(|next| next.head());
        let (count, text) = piece.take_until(family, next);
        writer.write(text).await?;
        series += count as u64;
        if piece.head().is_none() {
            piece.load().await?;
        }
        pieces.put(piece);
    }
    begin_declared(&mut writer, &families[begun..]).await?;
    writer.finish().await?;
    Ok(series)
}

/// Declared families are on the page though they have no series.
async fn begin_declared<'f>(writer: &mut PageWriter<'f>, families: &'f [ShownFamily]) -> Result<(), StreamError> {
    for family in families.iter().filter(|shown| shown.family.is_declared()) {
        writer.begin_family(family).await?;
    }
    Ok(())
}

/// The shards' pieces by their heads, the least last.
#[allow(clippy::vec_box, reason = "pieces are large, and change places with almost every series")]
struct Pieces<'s>(Vec<Box<Piece<'s>>>);

impl<'s> Pieces<'s> {
    /// Puts a piece in its place, ahead of those with the same head; not one at its end.
    fn put(&mut self, piece: Box<Piece<'s>>) {
        let Some(head) = piece.head() else { return };
        let place = self.0.partition_point(|other| other.head() >= Some(head));
        self.0.insert(place, piece);
    }
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
    fn begin(shards: &'s ShardSet, shard: usize, request: PageRequest) -> Result<Box<Self>, StreamError> {
        let page = Page::default();
        let piece = Self { shards, shard, request, ahead: None, page, index: 0, key_start: 0, text_start: 0 };
        let mut piece = Box::new(piece);
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

    /// Goes on over the series of the page that are of this family and not behind another's head. Returns how many, and their
    /// lines.
    fn take_until(&mut self, family: u32, other: Option<(u32, &str)>) -> (usize, &[u8]) {
        let (first, text_start) = (self.index, self.text_start);
        while let Some(head) = self.head()
            && head.0 == family
            && other.is_none_or(|other| head <= other)
            && let Some(series) = self.page.series.get(self.index)
        {
            (self.key_start, self.text_start) = (series.key_end as usize, series.text_end as usize);
            self.index += 1;
        }
        (self.index - first, self.page.text.get(text_start..self.text_start).unwrap_or_default())
    }
}
