//! The fast way through labels that are written as client libraries write them: canonically. It either accepts them whole or
//! leaves everything to the general reader, which also words the errors; so it can only be faster, never more lenient.
//!
//! Eight bytes a step (portable, in plain integer arithmetic): names and values are short, so the set-up of a wider vector
//! search would cost more than it saves.

use crate::exposition::error::Limits;

/// If `text` begins with canonical label text (`model::labels`) and `}`, the length of the former.
#[inline]
pub(super) fn canonical_labels(text: &[u8], limits: &Limits) -> Option<usize> {
    let mut at = 0;
    let mut last_name: &[u8] = b"";
    if text.first() == Some(&b'}') {
        return Some(0);
    }
    for _ in 0..limits.labels {
        let name_end = name_end(text, at);
        let name = text.get(at..name_end)?;
        if !is_in_order(last_name, name) || name.len() > limits.name_length {
            return None;
        }
        let value = name_end + 2;
        if text.get(name_end..value) != Some(b"=\"") {
            return None;
        }
        let value_end = value_end(text, value)?;
        if value_end == value || value_end - value > limits.value_length {
            return None;
        }
        match text.get(value_end + 1) {
            Some(b',') => at = value_end + 2,
            Some(b'}') => return Some(value_end + 1),
            _ => return None,
        }
        last_name = name;
    }
    None
}

/// Whether `name` may follow `last`: it is a label name, not a reserved one, and greater. Most answers come from the first
/// bytes. An empty slice must not reach the C library's comparison, which may load from its dangling address under a
/// mask: measured at 100 ns where the processor has AVX-512.
#[inline]
fn is_in_order(last: &[u8], name: &[u8]) -> bool {
    let Some(&first) = name.first() else { return false };
    let is_name = !first.is_ascii_digit() && !(first == b'_' && name.get(1) == Some(&b'_'));
    let is_greater = match last.first() {
        Some(&last_first) if last_first == first => last < name,
        Some(&last_first) => last_first < first,
        None => true,
    };
    is_name && is_greater
}

/// The end of the run of `[a-zA-Z0-9_]` from `at` on.
#[inline]
fn name_end(text: &[u8], mut at: usize) -> usize {
    while let Some(word) = word(text, at) {
        let others = !name_bytes(word) & HIGH_BITS;
        if others != 0 {
            return at + first_byte(others);
        }
        at += 8;
    }
    while text.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        at += 1;
    }
    at
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

/// Position of the first `"`, `\` or line feed from `at` on, or the text's end.
#[inline]
pub(super) fn string_mark(text: &[u8], mut at: usize) -> usize {
    while let Some(word) = word(text, at) {
        let marks =
            zero_bytes(word ^ repeat(b'"')) | zero_bytes(word ^ repeat(b'\\')) | zero_bytes(word ^ repeat(b'\n'));
        if marks != 0 {
            return at + first_byte(marks);
        }
        at += 8;
    }
    while text.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | b'\n')) {
        at += 1;
    }
    at
}

const HIGH_BITS: u64 = repeat(0x80);

const fn repeat(byte: u8) -> u64 {
    byte as u64 * 0x0101_0101_0101_0101
}

#[inline]
fn word(text: &[u8], at: usize) -> Option<u64> {
    text.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

/// Index of the lowest byte whose high bit is set.
#[inline]
const fn first_byte(high_bits: u64) -> usize {
    (high_bits.trailing_zeros() / 8) as usize
}

/// The high bit of each zero byte; bytes above the lowest zero byte may be marked wrongly.
#[inline]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(repeat(1)) & !word & HIGH_BITS
}

/// The high bit of each byte that is in `[a-zA-Z0-9_]`; exact.
#[inline]
const fn name_bytes(word: u64) -> u64 {
    let ascii = word & !HIGH_BITS;
    let letters = bytes_between(ascii | repeat(0x20), b'a', b'z');
    (letters | bytes_between(ascii, b'0', b'9') | bytes_between(ascii, b'_', b'_')) & !word
}

/// The high bit of each byte between two ASCII characters; all bytes of `ascii` are below 0x80.
#[inline]
const fn bytes_between(ascii: u64, first: u8, last: u8) -> u64 {
    let at_least_first = ascii + repeat(0x80 - first);
    let above_last = ascii + repeat(0x7f - last);
    at_least_first & !above_last & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_byte_is_classed_as_the_grammar_says() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let word = u64::from_le_bytes(std::array::from_fn(|at| if at == place { byte } else { b' ' }));
                let expected = byte.is_ascii_alphanumeric() || byte == b'_';
                assert_eq!(name_bytes(word) != 0, expected, "byte {byte:#x} at {place}");
            }
        }
    }

    /// The twin of [`string_mark`].
    fn naive_string_mark(text: &[u8], at: usize) -> usize {
        (at..text.len()).find(|&index| matches!(text[index], b'"' | b'\\' | b'\n')).unwrap_or(text.len())
    }

    proptest! {
        #[test]
        fn string_marks_are_found_as_the_naive_twin_finds_them(
            text in proptest::collection::vec(prop_oneof![4 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\')], 0..40),
            at in 0usize..40,
        ) {
            let at = at.min(text.len());
            prop_assert_eq!(string_mark(&text, at), naive_string_mark(&text, at));
        }

        #[test]
        fn names_end_where_the_naive_twin_says(text in "[a-zA-Z0-9_={é]{0,20}") {
            let end = text.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'_'));
            prop_assert_eq!(name_end(text.as_bytes(), 0), end.unwrap_or(text.len()));
        }
    }
}
