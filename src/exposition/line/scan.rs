//! Finds where names and quoted strings end, 16 bytes at a time: names and values are short, so the set-up of a wider search
//! would cost more than it saves.

use wide::u8x16;

/// The end of the run of `[a-zA-Z0-9_]` from `at` on.
#[inline]
pub(super) fn name_end(text: &[u8], mut at: usize) -> usize {
    while let Some(block) = block(text, at) {
        if let Some(first) = first_marked(not_name_bytes(block)) {
            return at + first;
        }
        at += size_of::<u8x16>();
    }
    while text.get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        at += 1;
    }
    at
}

/// Position of the first `"`, `\` or line feed from `at` on, or the text's end.
#[inline]
pub(super) fn string_mark(text: &[u8], mut at: usize) -> usize {
    while let Some(block) = block(text, at) {
        if let Some(first) = first_marked(string_marks(block)) {
            return at + first;
        }
        at += size_of::<u8x16>();
    }
    while text.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | b'\n')) {
        at += 1;
    }
    at
}

#[inline]
fn block(text: &[u8], at: usize) -> Option<u8x16> {
    text.get(at..)?.first_chunk().map(|bytes| u8x16::new(*bytes))
}

#[inline]
fn string_marks(block: u8x16) -> u8x16 {
    let equal = |byte| block.simd_eq(u8x16::splat(byte));
    equal(b'"') | equal(b'\\') | equal(b'\n')
}

#[inline]
fn not_name_bytes(block: u8x16) -> u8x16 {
    let letters = between(block | u8x16::splat(0x20), b'a', b'z');
    !(letters | between(block, b'0', b'9') | block.simd_eq(u8x16::splat(b'_')))
}

#[inline]
fn between(block: u8x16, first: u8, last: u8) -> u8x16 {
    block.max(u8x16::splat(first)).min(u8x16::splat(last)).simd_eq(block)
}

/// Index of the first byte that is marked.
#[inline]
fn first_marked(marks: u8x16) -> Option<usize> {
    let mask = marks.to_bitmask();
    (mask != 0).then(|| mask.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_byte_is_classed_as_the_grammar_says() {
        for byte in 0..=u8::MAX {
            for place in 0..16 {
                let bytes: [u8; 16] = std::array::from_fn(|at| if at == place { byte } else { b'x' });
                let is_name = byte.is_ascii_alphanumeric() || byte == b'_';
                let is_mark = matches!(byte, b'"' | b'\\' | b'\n');
                let expected = |is_marked: bool| if is_marked { place } else { 16 };
                assert_eq!(name_end(&bytes, 0), expected(!is_name), "byte {byte:#x} at {place}");
                assert_eq!(string_mark(&bytes, 0), expected(is_mark), "byte {byte:#x} at {place}");
            }
        }
    }

    proptest! {
        #[test]
        fn strings_end_where_a_plain_loop_says(
            text in proptest::collection::vec(prop_oneof![9 => any::<u8>(), 1 => Just(b'"'), 1 => Just(b'\\')], 0..60),
            at in 0usize..60,
        ) {
            let at = at.min(text.len());
            let mark = (at..text.len()).find(|&index| matches!(text[index], b'"' | b'\\' | b'\n'));
            prop_assert_eq!(string_mark(&text, at), mark.unwrap_or(text.len()));
        }

        #[test]
        fn names_end_where_a_plain_loop_says(text in "[a-zA-Z0-9_]{0,30}[={é]?[a-z]{0,20}") {
            let end = text.bytes().position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'_'));
            prop_assert_eq!(name_end(text.as_bytes(), 0), end.unwrap_or(text.len()));
        }
    }
}
