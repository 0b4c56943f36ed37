//! Label pairs as canonical label text (`model::labels`), written as they are read: most need only be copied.

use wide::u8x16;

use super::wire::{Fields, Result, Tag};
use crate::exposition::decoded::Span;
use crate::exposition::error::Limits;
use crate::model::labels::escape_value;
use crate::model::name::is_legacy_label_name;

/// The text of a push's labels and names, which its body does not hold as such. Room is made ahead of what is written.
#[derive(Debug)]
pub(super) struct Arena<'a> {
    text: &'a mut Vec<u8>,
    used: usize,
}

/// Bytes that are copied at once; there is room for as many behind what is written.
const BLOCK: usize = size_of::<u8x16>();

impl<'a> Arena<'a> {
    /// An empty one; `text` keeps its length, as setting it to zeros takes time.
    pub fn new(text: &'a mut Vec<u8>) -> Self {
        Self { text, used: 0 }
    }

    /// Where the next byte will stand.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Makes room for this many bytes.
    #[inline]
    pub fn reserve(&mut self, bytes: usize) {
        let needed = self.used + bytes + PLACE_LENGTH + BLOCK;
        if self.text.len() < needed {
            self.text.resize(needed.max(2 * self.text.len()), 0);
        }
    }

    /// Writes text.
    pub fn push(&mut self, text: &[u8]) {
        self.reserve(text.len());
        self.text[self.used..self.used + text.len()].copy_from_slice(text);
        self.used += text.len();
    }

    /// What has been written there.
    #[inline]
    pub fn text(&self, span: Span) -> &[u8] {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Everything.
    pub fn into_text(self) -> &'a [u8] {
        &self.text[..self.used]
    }

    /// Writes pairs that a metric begins with as long as they have the places' names, short values, and no byte in them that
    /// needs care; returns how many. The last value's closing quote is not written. Room has been made for the metric.
    #[inline]
    fn push_pairs(&mut self, places: &[Place<'_>], metric: &mut Fields<'_>, most_value: usize) -> usize {
        let (mut tail, mut left, mut at) = (metric.tail(), metric.len(), self.used);
        let mut count = 0;
        for place in places {
            let Some((length, value_length)) = place.pair(tail, left) else { break };
            let Some(name) = self.text.get_mut(at..).and_then(<[u8]>::first_chunk_mut) else { break };
            *name = place.text;
            let value_at = at + place.text_length;
            if value_length > most_value
                || !copy_plain(&mut self.text[value_at..], &tail[length - value_length..], value_length)
            {
                break;
            }
            at = value_at + value_length;
            (tail, left) = (&tail[length..], left - length);
            count += 1;
        }
        self.used = at;
        metric.advance(metric.len() - left);
        count
    }
}

/// Copies so many bytes, in blocks, if all of them can stand between quotes as they are.
#[inline]
fn copy_plain(to: &mut [u8], from: &[u8], length: usize) -> bool {
    let ((to, _), (from, _)) = (to.as_chunks_mut::<BLOCK>(), from.as_chunks::<BLOCK>());
    let mut left = length;
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
        let marks = needs_care(u8x16::new(*from)).to_bitmask();
        if left <= BLOCK {
            return marks << (32 - left) == 0;
        }
        if marks != 0 {
            return false;
        }
        left -= BLOCK;
    }
    false
}

/// Marks, in the top bit of each byte, what cannot stand between quotes as it is, and what is not ASCII.
#[inline]
fn needs_care(block: u8x16) -> u8x16 {
    let equal = |byte| block.simd_eq(u8x16::splat(byte));
    equal(b'"') | equal(b'\\') | equal(b'\n') | block
}

/// Writes the labels of one metric after the other. Remembers which name stood last at which place: one metric's names are
/// mostly those of the one before, and need not be read again.
#[derive(Debug, Default)]
pub(super) struct LabelWriter<'b> {
    places: [Place<'b>; LabelWriter::PLACES],
    /// So many of the places hold names, each greater than the one before.
    in_order: usize,
    last_name: &'b [u8],
    count: usize,
    is_canonical: bool,
}

/// A name with what stands around it, in the body or in the text, is handled at once up to this length.
const PLACE_LENGTH: usize = 32;

/// A legacy name that stood at one place; empty if there was none.
#[derive(Clone, Copy, Debug, Default)]
struct Place<'b> {
    name: &'b [u8],
    /// How a pair begins in the body, up to the length of its value.
    head: [u8x16; 2],
    /// Which bytes of that may be any.
    any: [u8x16; 2],
    /// The quote that closes the value before and a comma, but at the first place, the name, and `="`.
    text: [u8; PLACE_LENGTH],
    text_length: usize,
}

/// Tags of the fields of a label.
const LABEL: u8 = 0x0a;
const NAME: u8 = 0x0a;
const VALUE: u8 = 0x12;

impl<'b> Place<'b> {
    fn new(index: usize, name: &'b [u8]) -> Self {
        const LONGEST: usize = PLACE_LENGTH - 5;
        let mut place = Self { name, ..Self::default() };
        if name.len() > LONGEST {
            return place;
        }
        let (mut head, mut any) = ([0; PLACE_LENGTH], [u8::MAX; PLACE_LENGTH]);
        let end = 4 + name.len();
        head[..4].copy_from_slice(&[LABEL, 0, NAME, name.len() as u8]);
        head[4..end].copy_from_slice(name);
        head[end] = VALUE;
        any[..=end].fill(0);
        // The length of the pair.
        any[1] = u8::MAX;
        let before: &[u8] = if index > 0 { b"\"," } else { b"" };
        let text = [before, name, b"=\""].concat();
        place.text[..text.len()].copy_from_slice(&text);
        Self { head: blocks(head), any: blocks(any), text_length: text.len(), ..place }
    }

    fn is_short(&self) -> bool {
        self.text_length > 0
    }

    /// Whether a pair with this name stands at the beginning of `tail`.
    #[inline]
    fn begins(&self, tail: &[u8; PLACE_LENGTH]) -> bool {
        let [low, high] = blocks(*tail);
        let is_same = (low.simd_eq(self.head[0]) | self.any[0]) & (high.simd_eq(self.head[1]) | self.any[1]);
        is_same.to_bitmask() == u32::from(u16::MAX)
    }

    /// Lengths of the pair that `tail` begins with and of its value, if it has this name and all lengths are one byte; `left`
    /// bytes are the metric's.
    #[inline]
    fn pair(&self, tail: &[u8], left: usize) -> Option<(usize, usize)> {
        if !self.begins(tail.first_chunk()?) {
            return None;
        }
        let (pair, value) = (usize::from(tail[1]), usize::from(*tail.get(5 + self.name.len())?));
        let is_plain = value > 0 && pair == self.name.len() + value + 4 && pair < 0x80.min(left.saturating_sub(1));
        is_plain.then_some((pair + 2, value))
    }
}

#[inline]
fn blocks(bytes: [u8; PLACE_LENGTH]) -> [u8x16; 2] {
    let (blocks, _) = bytes.as_chunks();
    [u8x16::new(blocks[0]), u8x16::new(blocks[1])]
}

impl<'b> LabelWriter<'b> {
    const PLACES: usize = 16;

    /// Whether what was written since [`Self::start`] is canonical; if not it is still label text.
    #[inline]
    pub fn is_canonical(&self) -> bool {
        self.is_canonical
    }

    /// Begins the labels of a metric, and writes those at its beginning that are as plain as most are: short, with the names
    /// of the metric before and values without escapes. Whatever it leaves is for [`Self::write`].
    #[inline]
    pub fn start(&mut self, metric: &mut Fields<'b>, limits: &Limits, arena: &mut Arena<'_>) {
        arena.reserve(metric.len());
        let places = &self.places[..self.in_order.min(limits.labels)];
        self.count = arena.push_pairs(places, metric, limits.value_length);
        self.is_canonical = true;
        self.last_name = b"";
        if self.count > 0 {
            self.last_name = places[self.count - 1].name;
            arena.push(b"\"");
        }
    }

    /// Writes one `LabelPair`.
    pub fn write(&mut self, pair: Fields<'b>, limits: &Limits, arena: &mut Arena<'_>) -> Result<()> {
        let (name, value) = pair_fields(pair)?;
        if self.count == limits.labels {
            return Err(pair.fault(pair.at(), &format!("at most {} labels", limits.labels), "more".to_owned()));
        }
        if value.len() > limits.value_length {
            let expected = format!("a label value of at most {} bytes", limits.value_length);
            return Err(value.fault(value.at(), &expected, value.len().to_string()));
        }
        if self.count > 0 {
            arena.push(b",");
        }
        self.write_name(name, limits, arena)?;
        arena.push(b"=\"");
        arena.push(escape_value(value.text("a label value")?).as_bytes());
        arena.push(b"\"");
        self.is_canonical &= !value.is_empty();
        self.count += 1;
        Ok(())
    }

    fn write_name(&mut self, field: Fields<'b>, limits: &Limits, arena: &mut Arena<'_>) -> Result<()> {
        let text = field.text("a label name")?;
        check_name(field, text, limits)?;
        if !is_legacy_label_name(text) {
            self.is_canonical = false;
            // The places from here on are no longer those of one metric.
            self.in_order = self.in_order.min(self.count);
            arena.push(format!("\"{}\"", escape_value(text)).as_bytes());
            return Ok(());
        }
        let name = field.bytes();
        let is_in_order = self.last_name < name;
        self.is_canonical &= is_in_order;
        self.last_name = name;
        arena.push(name);
        if let Some(place) = self.places.get_mut(self.count) {
            *place = Place::new(self.count, name);
            let goes_on = is_in_order && place.is_short() && self.count <= self.in_order;
            self.in_order = if goes_on { self.count + 1 } else { self.in_order.min(self.count) };
        }
        Ok(())
    }
}

fn check_name(field: Fields<'_>, text: &str, limits: &Limits) -> Result<()> {
    let fault = |expected: &str, got: String| Err(field.fault(field.at(), expected, got));
    if text.is_empty() {
        return fault("a label name that is not empty", "\"\"".to_owned());
    }
    if text.len() > limits.name_length {
        return fault(&format!("a label name of at most {} bytes", limits.name_length), text.len().to_string());
    }
    if text.starts_with("__") {
        return fault("a label name that does not begin with \"__\"", format!("{text:?}"));
    }
    Ok(())
}

/// Name and value of a `LabelPair`; what is missing is empty.
#[inline]
fn pair_fields<'b>(mut pair: Fields<'b>) -> Result<(Fields<'b>, Fields<'b>)> {
    const NAME: Tag = Tag::bytes(1);
    const VALUE: Tag = Tag::bytes(2);
    let empty = pair.empty();
    let (mut name, mut value) = (empty, empty);
    while let Some(tag) = pair.tag()? {
        match tag {
            NAME => name = pair.message()?,
            VALUE => value = pair.message()?,
            other => pair.skip(other, "LabelPair", 2)?,
        }
    }
    Ok((name, value))
}

/// Label text of these pairs, written one by one.
pub(super) fn label_text<'b>(pairs: &[Fields<'b>], limits: &Limits) -> Result<String> {
    let mut text = String::new();
    for (index, pair) in pairs.iter().enumerate() {
        let (name, value) = pair_fields(*pair)?;
        check_name(name, name.text("a label name")?, limits)?;
        let (name, value) = (name.text("a label name")?, value.text("a label value")?);
        if index > 0 {
            text.push(',');
        }
        let quote = if is_legacy_label_name(name) { "" } else { "\"" };
        text.extend([quote, &*escape_value(name), quote, "=\"", &*escape_value(value), "\""]);
    }
    Ok(text)
}
