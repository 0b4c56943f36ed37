//! Label pairs as canonical label text (`model::labels`), written as they are read: most need only be copied.

use wide::u8x16;

use super::wire::{Fields, Result, Tag};
use crate::exposition::error::Limits;
use crate::model::labels::escape_value;
use crate::model::name::is_legacy_label_name;

/// The text of a push's labels and names, which its body does not hold as such. Room is made ahead of what is written.
#[derive(Debug)]
pub(super) struct Arena<'a> {
    text: &'a mut Vec<u8>,
    used: usize,
}

/// Bytes that are copied at once; as many must be free behind what is written.
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
        let needed = self.used + bytes + 2 * BLOCK;
        if self.text.len() < needed {
            self.text.resize(needed.max(2 * self.text.len()), 0);
        }
    }

    /// Writes text; room has been made.
    pub fn push(&mut self, text: &[u8]) {
        self.reserve(text.len());
        self.text[self.used..self.used + text.len()].copy_from_slice(text);
        self.used += text.len();
    }

    #[inline]
    fn push_byte(&mut self, byte: u8) {
        self.text[self.used] = byte;
        self.used += 1;
    }

    /// What has been written since `start`.
    #[inline]
    pub fn since(&self, start: usize) -> &[u8] {
        &self.text[start..self.used]
    }

    /// Everything.
    pub fn into_text(self) -> &'a [u8] {
        &self.text[..self.used]
    }

    /// Copies a field's bytes if they are ASCII without `"`, `\` and line feed; else leaves nothing.
    #[inline]
    fn push_plain(&mut self, field: Fields<'_>) -> bool {
        let mut left = field.len();
        let mut at = self.used;
        for block in field.blocks() {
            let Some(target) = self.text.get_mut(at..at + BLOCK) else { return false };
            target.copy_from_slice(&block);
            let copied = left.min(BLOCK);
            let marks = needs_care(u8x16::new(block)).to_bitmask() & (u32::MAX >> (32 - copied));
            if marks != 0 {
                return false;
            }
            at += copied;
            left -= copied;
        }
        self.used = at;
        true
    }
}

/// Marks, in the top bit of each byte, what cannot stand between quotes as it is, and what is not ASCII.
#[inline]
fn needs_care(block: u8x16) -> u8x16 {
    let equal = |byte| block.simd_eq(u8x16::splat(byte));
    equal(b'"') | equal(b'\\') | equal(b'\n') | block
}

/// Writes the labels of one metric after the other. Remembers which name stood last at which place: one metric's names are
/// mostly those of the one before, and need not be checked again.
#[derive(Debug, Default)]
pub(super) struct LabelWriter<'b> {
    places: [&'b [u8]; LabelWriter::PLACES],
    last_name: &'b [u8],
    count: usize,
    is_canonical: bool,
}

impl<'b> LabelWriter<'b> {
    const PLACES: usize = 16;

    /// Begins the labels of a metric.
    #[inline]
    pub fn start(&mut self) {
        (self.last_name, self.count, self.is_canonical) = (b"", 0, true);
    }

    /// Whether what was written since is canonical; if not it is still label text.
    #[inline]
    pub fn is_canonical(&self) -> bool {
        self.is_canonical
    }

    /// Writes one `LabelPair`.
    #[inline]
    pub fn write(&mut self, pair: Fields<'b>, limits: &Limits, arena: &mut Arena<'_>) -> Result<()> {
        let (name, value) = pair_fields(pair)?;
        if self.count == limits.labels {
            return Err(pair.fault(pair.at(), &format!("at most {} labels", limits.labels), "more".to_owned()));
        }
        if value.len() > limits.value_length {
            let expected = format!("a label value of at most {} bytes", limits.value_length);
            return Err(value.fault(value.at(), &expected, value.len().to_string()));
        }
        arena.reserve(name.len() + 8);
        if self.count > 0 {
            arena.push_byte(b',');
        }
        self.write_name(name, limits, arena)?;
        arena.reserve(value.len() + 8);
        arena.push_byte(b'=');
        arena.push_byte(b'"');
        if !arena.push_plain(value) {
            let escaped = escape_value(value.text("a label value")?);
            arena.push(escaped.as_bytes());
            arena.reserve(BLOCK);
        }
        arena.push_byte(b'"');
        self.is_canonical &= !value.is_empty();
        self.count += 1;
        Ok(())
    }

    #[inline]
    fn write_name(&mut self, field: Fields<'b>, limits: &Limits, arena: &mut Arena<'_>) -> Result<()> {
        let name = field.bytes();
        let is_known = self.places.get(self.count).is_some_and(|known| !known.is_empty() && *known == name);
        if !is_known && !self.is_new_name_legacy(field, limits)? {
            self.is_canonical = false;
            let name = field.text("a label name")?;
            arena.push(format!("\"{}\"", escape_value(name)).as_bytes());
            return Ok(());
        }
        self.is_canonical &= is_in_order(self.last_name, name);
        self.last_name = name;
        if !arena.push_plain(field) {
            arena.push(name);
        }
        Ok(())
    }

    /// Checks a name that did not stand here before, and remembers it if it is a legacy one.
    fn is_new_name_legacy(&mut self, field: Fields<'b>, limits: &Limits) -> Result<bool> {
        let text = field.text("a label name")?;
        if text.is_empty() {
            return Err(field.fault(field.at(), "a label name that is not empty", "\"\"".to_owned()));
        }
        if text.starts_with("__") {
            let expected = "a label name that does not begin with \"__\"";
            return Err(field.fault(field.at(), expected, format!("{text:?}")));
        }
        if text.len() > limits.name_length {
            let expected = format!("a label name of at most {} bytes", limits.name_length);
            return Err(field.fault(field.at(), &expected, text.len().to_string()));
        }
        let is_legacy = is_legacy_label_name(text);
        if let Some(place) = self.places.get_mut(self.count).filter(|_| is_legacy) {
            *place = field.bytes();
        }
        Ok(is_legacy)
    }
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
        let (name, value) = (name.text("a label name")?, value.text("a label value")?);
        if name.is_empty() || name.starts_with("__") || index == limits.labels {
            let expected = format!("at most {} labels with names that do not begin with \"__\"", limits.labels);
            return Err(pair.fault(pair.at(), &expected, format!("{name:?}")));
        }
        if index > 0 {
            text.push(',');
        }
        let quote = if is_legacy_label_name(name) { "" } else { "\"" };
        text.extend([quote, &*escape_value(name), quote, "=\"", &*escape_value(value), "\""]);
    }
    Ok(text)
}

/// Whether `name` is greater than `last`; most answers come from the first bytes.
#[inline]
fn is_in_order(last: &[u8], name: &[u8]) -> bool {
    match (last.first(), name.first()) {
        (Some(last_first), Some(first)) if last_first == first => last < name,
        (last_first, first) => last_first < first,
    }
}
