//! A bounded piece of the exposition: as many encoded series as fit, and where to go on.

use std::borrow::Cow;
use std::sync::Arc;

use super::slots::fetch;
use super::{Series, Stored, Table};
use crate::aggregate::shown_summary;
use crate::exposition::SeriesLabels;
use crate::exposition::format::{Format, FormatKind};
use crate::exposition::shown::ShownFamily;
use crate::exposition::write_series;
use crate::model::labels::{has_label, write_with_empty};
use crate::model::value::{Millis, Value};
use crate::shard::owner::Group;
use crate::shard::timeline::Version;

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
    /// The changes of groups that it shows.
    pub version: Version,
}

impl PageRequest {
    /// Asks for the beginning of a page.
    pub fn first(families: Arc<[ShownFamily]>, format: Format, version: Version) -> Self {
        Self { families, format, cursor: Cursor::default(), bytes: Self::BYTES, version }
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
const SETTLED_PER_PAGE: usize = 512;

/// Series of a family passed for one page, shown or not, for the same reason.
const LOOKED_AT_PER_PAGE: usize = 16 * 1024;

/// Series whose values are looked up at once: their memory is then fetched side by side instead of one by one.
/// Few enough to be in the nearest cache when they are written.
const LOOK_AHEAD: usize = 64;

impl Table {
    /// Encodes the page that begins at the request's cursor.
    pub fn page(&mut self, request: &PageRequest, now: Millis) -> Page {
        let mut page = Page::default();
        page.text.reserve(request.bytes + request.bytes / 8);
        if request.format.kind != FormatKind::Protobuf {
            page.keys.reserve(request.bytes);
        }
        let mut cursor = request.cursor.clone();
        let mut may_settle = SETTLED_PER_PAGE;
        while let Some(family) = request.families.get(cursor.family) {
            let id = family.family.id;
            if let Some(order) = self.orders.get_mut(&id) {
                may_settle -= order.settle(may_settle, &self.series);
                if !order.is_settled() || page.text.len() >= request.bytes {
                    page.next = Some(cursor);
                    return page;
                }
            }
            if let Some(last) = self.fill(&mut page, family, &cursor, request, now) {
                page.next = Some(Cursor { after: Some(last), ..cursor });
                return page;
            }
            cursor = Cursor { family: cursor.family + 1, after: None };
        }
        page
    }

    /// Adds series of one family; returns the last one looked at if the page is full before the family ends.
    fn fill(
        &self,
        page: &mut Page,
        family: &ShownFamily,
        cursor: &Cursor,
        request: &PageRequest,
        now: Millis,
    ) -> Option<Arc<str>> {
        let (id, after) = (family.family.id, cursor.after.as_deref());
        let mut piece = Piece { table: self, page, family, index: cursor.family as u32, request, now, looked_at: 0 };
        let mut former = self.past.keys_after(id, after).peekable();
        let runs = self.orders.get(&id).into_iter().flat_map(|order| order.after(after, &self.series));
        for slots in runs.flat_map(|run| run.chunks(LOOK_AHEAD)) {
            let mut ahead = [None; LOOK_AHEAD];
            for (series, slot) in ahead.iter_mut().zip(slots) {
                *series = self.series.get(*slot);
            }
            ahead.iter().flatten().for_each(|series| fetch(&series.key));
            for (series, slot) in ahead.iter().zip(slots) {
                let Some(series) = series else { continue };
                while let Some(key) = former.next_if(|key| **key < *series.key) {
                    if piece.add(key, None) {
                        return Some(key.into());
                    }
                }
                former.next_if(|key| **key == *series.key);
                if piece.add(&series.key, Some((*slot, series))) {
                    return Some((*series.key).into());
                }
            }
        }
        former.find(|key| piece.add(key, None)).map(Arc::from)
    }

    /// What a scrape of this version shows of a series.
    #[inline]
    fn shown<'t>(
        &'t self,
        family: &ShownFamily,
        key: &str,
        series: Option<&'t Series>,
        version: Version,
        now: Millis,
    ) -> Option<Shown<'t>> {
        if !self.past.is_empty()
            && let Some(former) = self.past.value(family.family.id, key, version)
        {
            return Some(Shown { value: Cow::Borrowed(&former.value), group: Some(&former.group) });
        }
        match &series?.stored {
            Stored::Aggregated(Value::Number(_)) if family.has_windows => None,
            Stored::Aggregated(value) => Some(Shown { value: shown_value(value, now), group: None }),
            Stored::Sourced(sourced) => Some(Shown { value: sourced.shown(family.family.kind())?, group: None }),
            Stored::Replaced(replaced) if replaced.since > version => None,
            Stored::Replaced(replaced) => {
                Some(Shown { value: Cow::Borrowed(&replaced.value), group: Some(&replaced.group) })
            }
        }
    }
}

/// What is shown of an aggregated value: the quantiles of a summary of observations are those of now.
#[inline]
fn shown_value(value: &Value, now: Millis) -> Cow<'_, Value> {
    if let Value::Summary(summary) = value
        && let Some(window) = &summary.window
    {
        return Cow::Owned(Value::Summary(Box::new(shown_summary(summary, window, now))));
    }
    Cow::Borrowed(value)
}

/// A family's series on their way to a page.
struct Piece<'a> {
    table: &'a Table,
    page: &'a mut Page,
    family: &'a ShownFamily,
    /// Of the family, among the scrape's.
    index: u32,
    request: &'a PageRequest,
    now: Millis,
    looked_at: usize,
}

impl Piece<'_> {
    /// Adds a series, if it shows anything: a stored one with its slot, or one that is stored no more. Returns whether the page is
    /// full.
    #[inline]
    fn add(&mut self, key: &str, stored: Option<(u32, &Series)>) -> bool {
        let stored = stored.filter(|(slot, _)| !self.table.series.is_expired(*slot, self.now));
        let series = stored.map(|(_, series)| series);
        if let Some(shown) = self.table.shown(self.family, key, series, self.request.version, self.now) {
            self.write(key, series, &shown);
        }
        self.looked_at += 1;
        self.page.text.len() >= self.request.bytes || self.looked_at == LOOKED_AT_PER_PAGE
    }

    #[inline]
    fn write(&mut self, key: &str, series: Option<&Series>, shown: &Shown<'_>) {
        let Self { page, family, request, now, .. } = self;
        let before = page.text.len();
        match shown.group {
            None => {
                let shape = series.and_then(|series| self.table.shapes.get(series.shape));
                let labels = SeriesLabels { text: key, shape };
                write_series(&mut page.text, request.format, family, labels, &shown.value, *now);
            }
            Some(group) => {
                let labels = SeriesLabels { text: &group_labels(key, group), shape: None };
                write_series(&mut page.text, request.format, family, labels, &shown.value, *now);
            }
        }
        if page.text.len() > before {
            if request.format.kind != FormatKind::Protobuf {
                page.keys.push_str(key);
            }
            page.series.push(PageSeries {
                family: self.index,
                text_end: page.text.len() as u32,
                key_end: page.keys.len() as u32,
            });
        }
    }
}

/// A series' value, as one scrape shows it.
struct Shown<'t> {
    value: Cow<'t, Value>,
    /// Whose it is, if a group's.
    group: Option<&'t Group>,
}

/// The labels that a group's series shows: without an `instance`, the scraper would put its own there, so there is an empty one
/// (as the Pushgateway has it); and so are the empty labels of the group's path.
fn group_labels<'k>(key: &'k str, group: &Group) -> Cow<'k, str> {
    const INSTANCE: &str = "instance";
    let has_instance = has_label(key, INSTANCE);
    if has_instance && group.empty_labels.is_empty() {
        return Cow::Borrowed(key);
    }
    let instance = (!has_instance).then_some(INSTANCE);
    let names = group.empty_labels.iter().map(|name| &**name).filter(|name| *name != INSTANCE);
    Cow::Owned(write_with_empty(key, names.chain(instance)))
}
