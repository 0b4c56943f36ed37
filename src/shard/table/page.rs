//! A bounded piece of the exposition: as many encoded series as fit, and where to go on.

use std::hint::black_box;
use std::sync::Arc;

use super::Table;
use crate::exposition::SeriesLabels;
use crate::exposition::format::{Format, FormatKind};
use crate::exposition::shown::ShownFamily;
use crate::exposition::write_series;
use crate::model::value::{Millis, Value};

/// Where in the exposition to go on.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    /// Index into the scrape's families.
    pub family: usize,
    /// The last series shown of that family. Series may come and go between two pages.
    pub after: Option<Arc<str>>,
}

/// What a scrape asks of a shard.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// All families of the scrape, in the order of the page.
    pub families: Arc<[ShownFamily]>,
    /// What they are written in.
    pub format: Format,
    /// Where the page begins.
    pub cursor: Cursor,
    /// The page ends with the series that reaches this.
    pub bytes: usize,
}

impl PageRequest {
    /// Asks for the beginning of a page.
    pub fn first(families: Arc<[ShownFamily]>, format: Format) -> Self {
        Self { families, format, cursor: Cursor::default(), bytes: Self::BYTES }
    }

    /// What a shard encodes at once.
    const BYTES: usize = 64 * 1024;
}

/// Encoded series in the order of the page. May be empty though more follow.
#[derive(Debug, Default)]
pub struct Page {
    /// The series as the format writes them, one after the other; no family header.
    pub text: Vec<u8>,
    /// Their canonical label texts, one after the other: the order between shards. Protobuf asks for none, so there it is empty, and
    /// each shard's series of a family stand together.
    pub keys: String,
    /// One entry for each series.
    pub series: Vec<PageSeries>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Cursor>,
}

/// Where one series ends in its page; it begins where the one before ends.
#[derive(Clone, Copy, Debug)]
pub struct PageSeries {
    /// Index into the scrape's families.
    pub family: u32,
    /// In [`Page::text`].
    pub text_end: u32,
    /// In [`Page::keys`].
    pub key_end: u32,
}

/// New series put in order for one page, so that a page's time is bounded.
const SETTLED_PER_PAGE: usize = 1024;

/// Series whose values are looked up at once: their memory is then fetched side by side instead of one by one.
const LOOK_AHEAD: usize = 128;

impl Table {
    /// Encodes the page that begins at the request's cursor.
    pub fn page(&mut self, request: &PageRequest, now: Millis) -> Page {
        let mut page = Page::default();
        page.text.reserve(request.bytes + request.bytes / 8);
        let mut cursor = request.cursor.clone();
        let mut may_settle = SETTLED_PER_PAGE;
        while let Some(family) = request.families.get(cursor.family) {
            if let Some(order) = self.orders.get_mut(family.family.id as usize) {
                may_settle -= order.settle(may_settle, |slot| Arc::clone(&self.series.get(slot).key));
                if !order.is_settled() || page.text.len() >= request.bytes {
                    page.next = Some(cursor);
                    return page;
                }
                if let Some(last) = self.fill(&mut page, family, &cursor, request, now) {
                    page.next = Some(Cursor { after: Some(last), ..cursor });
                    return page;
                }
            }
            cursor = Cursor { family: cursor.family + 1, after: None };
        }
        page
    }

    /// Adds series of one family; returns the last one added if the page is full before the family ends.
    fn fill(
        &self,
        page: &mut Page,
        family: &ShownFamily,
        cursor: &Cursor,
        request: &PageRequest,
        now: Millis,
    ) -> Option<Arc<str>> {
        let is_ordered = request.format.kind != FormatKind::Protobuf;
        let mut ordered = self.orders[family.family.id as usize].after(cursor.after.as_deref());
        let mut ahead = Vec::with_capacity(LOOK_AHEAD);
        loop {
            ahead.extend(ordered.by_ref().take(LOOK_AHEAD).map(|(key, slot)| (key, self.series.get(slot))));
            for (key, series) in &ahead {
                // Nothing depends on what is read here, so the waits for memory overlap.
                black_box((key.as_bytes().first(), key.as_bytes().last(), std::mem::discriminant(&series.value)));
            }
            if ahead.is_empty() {
                return None;
            }
            for (key, series) in ahead.drain(..) {
                if family.has_windows && matches!(series.value, Value::Number(_)) {
                    continue;
                }
                let before = page.text.len();
                let labels = SeriesLabels { text: key, shape: self.shapes.get(series.shape) };
                write_series(&mut page.text, request.format, family, labels, &series.value, now);
                if page.text.len() > before {
                    if is_ordered {
                        page.keys.push_str(key);
                    }
                    page.series.push(PageSeries {
                        family: cursor.family as u32,
                        text_end: page.text.len() as u32,
                        key_end: page.keys.len() as u32,
                    });
                }
                if page.text.len() >= request.bytes {
                    return Some(Arc::clone(key));
                }
            }
        }
    }
}
