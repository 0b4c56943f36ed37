//! The fast way through labels that are written as client libraries write them: canonically. It either accepts them whole or
//! leaves everything to the general reader, which also words the errors; so it can only be faster, never more lenient.

use super::scan::{name_end, string_mark};
use crate::exposition::error::Limits;

/// Reads canonical labels. Remembers which name stood last at which place: one line's names are mostly those of the line
/// before, and need not be read again.
#[derive(Debug, Default)]
pub(super) struct CanonicalReader {
    places: [Place; CanonicalReader::PLACES],
}

/// A name that stood at one place, with `="` behind it; zero if there was none, or one too long.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    bytes: u128,
    mask: u128,
    /// Of the name alone.
    length: usize,
}

impl Place {
    fn of(name: &[u8]) -> Self {
        let mut bytes = [0; 16];
        let written = name.len() + 2;
        if written > bytes.len() {
            return Self::default();
        }
        bytes[..name.len()].copy_from_slice(name);
        bytes[name.len()..written].copy_from_slice(b"=\"");
        let mask = u128::MAX >> (8 * (16 - written));
        Self { bytes: u128::from_le_bytes(bytes), mask, length: name.len() }
    }

    /// Whether the name stands at the beginning of `text`.
    #[inline]
    fn begins(&self, text: &[u8]) -> bool {
        let block = text.first_chunk().map(|bytes| u128::from_le_bytes(*bytes));
        block.is_some_and(|block| (block ^ self.bytes) & self.mask == 0) && self.length > 0
    }
}

impl CanonicalReader {
    const PLACES: usize = 16;

    /// If `text` begins with canonical label text (`model::labels`) and `}`, the length of the former.
    #[inline]
    pub fn labels(&mut self, text: &[u8], limits: &Limits) -> Option<usize> {
        let mut at = 0;
        let mut last_name: &[u8] = b"";
        if text.first() == Some(&b'}') {
            return Some(0);
        }
        for index in 0..limits.labels {
            let rest = text.get(at..)?;
            let place = self.places.get_mut(index);
            let length = match place {
                Some(place) if place.begins(rest) => place.length,
                place => {
                    let name = new_name(rest, limits)?;
                    if let Some(place) = place {
                        *place = Place::of(name);
                    }
                    name.len()
                }
            };
            let name = rest.get(..length)?;
            if !is_in_order(last_name, name) {
                return None;
            }
            last_name = name;
            let value = at + length + 2;
            let value_end = value_end(text, value)?;
            if value_end == value || value_end - value > limits.value_length {
                return None;
            }
            match text.get(value_end + 1) {
                Some(b',') => at = value_end + 2,
                Some(b'}') => return Some(value_end + 1),
                _ => return None,
            }
        }
        None
    }
}

/// The label name that `text` begins with, if `="` follows.
fn new_name<'t>(text: &'t [u8], limits: &Limits) -> Option<&'t [u8]> {
    let (name, rest) = text.split_at(name_end(text, 0));
    let is_name = !name.first()?.is_ascii_digit() && !name.starts_with(b"__") && name.len() <= limits.name_length;
    (is_name && rest.starts_with(b"=\"")).then_some(name)
}

/// Whether `name` is greater than `last`. Most answers come from the first bytes. An empty slice must not reach the C
/// library's comparison, which may load from its dangling address under a mask: measured at 100 ns where the processor
/// has AVX-512.
#[inline]
fn is_in_order(last: &[u8], name: &[u8]) -> bool {
    match (last.first(), name.first()) {
        (Some(last_first), Some(first)) if last_first == first => last < name,
        (last_first, first) => last_first < first,
    }
}

/// The quote that ends the value from `at` on, if all escapes before it are the format's.
#[inline]
fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = string_mark(text, at);
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' if matches!(text.get(at + 1), Some(b'\\' | b'"' | b'n')) => at += 2,
            _ => return None,
        }
    }
}
