//! Metric and label names: which are legal without quotes, and how others are shown to readers that know only those.

use std::borrow::Cow;

/// What a byte may be in a name: [`START`] for the first byte of a label name, [`REST`] for a later one;
/// metric names may hold `:` as well ([`COLON`]).
static CLASS: [u8; 256] = classes();

const START: u8 = 1;
const REST: u8 = 2;
const COLON: u8 = 4;

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let character = byte as u8;
        if character.is_ascii_alphabetic() || character == b'_' {
            table[byte] = START | REST;
        } else if character.is_ascii_digit() {
            table[byte] = REST;
        } else if character == b':' {
            table[byte] = COLON;
        }
        byte += 1;
    }
    table
}

/// Length of the metric name `[a-zA-Z_:][a-zA-Z0-9_:]*` that `text` begins with; 0 if there is none.
#[inline]
pub fn metric_name_length(text: &[u8]) -> usize {
    name_length(text, COLON)
}

/// Length of the label name `[a-zA-Z_][a-zA-Z0-9_]*` that `text` begins with; 0 if there is none.
#[inline]
pub fn label_name_length(text: &[u8]) -> usize {
    name_length(text, 0)
}

#[inline(always)]
fn name_length(text: &[u8], also: u8) -> usize {
    match text.first() {
        Some(&first) if CLASS[usize::from(first)] & (START | also) != 0 => {}
        _ => return 0,
    }
    let mut length = 1;
    while length < text.len() && CLASS[usize::from(text[length])] & (REST | also) != 0 {
        length += 1;
    }
    length
}

/// Whether the name can stand without quotes before `{` (Prometheus data model, "Metric names").
pub fn is_legacy_metric_name(name: &str) -> bool {
    !name.is_empty() && metric_name_length(name.as_bytes()) == name.len()
}

/// Whether the name can stand without quotes within `{…}`.
pub fn is_legacy_label_name(name: &str) -> bool {
    !name.is_empty() && label_name_length(name.as_bytes()) == name.len()
}

/// The metric name for readers that know legacy names only: every other character becomes `_` (the `underscores`
/// escaping scheme of Prometheus).
pub fn exposed_metric_name(name: &str) -> Cow<'_, str> {
    if is_legacy_metric_name(name) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(underscored(name, |character| character == ':'))
}

/// The label name for readers that know legacy names only, as [`exposed_metric_name`].
pub fn exposed_label_name(name: &str) -> Cow<'_, str> {
    if is_legacy_label_name(name) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(underscored(name, |_| false))
}

fn underscored(name: &str, also: impl Fn(char) -> bool) -> String {
    name.char_indices()
        .map(|(at, character)| {
            let legal = character.is_ascii_alphabetic()
                || character == '_'
                || also(character)
                || (at > 0 && character.is_ascii_digit());
            if legal { character } else { '_' }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_where_the_grammar_says() {
        let cases: &[(&str, usize, usize)] = &[
            ("up", 2, 2),
            ("job:rate5m{", 10, 3),
            (":x", 2, 0),
            ("9x", 0, 0),
            ("", 0, 0),
            ("_a9-", 3, 3),
            ("Ünï", 0, 0),
            ("aé", 1, 1),
        ];
        for (text, metric, label) in cases {
            assert_eq!(metric_name_length(text.as_bytes()), *metric, "metric name in {text:?}");
            assert_eq!(label_name_length(text.as_bytes()), *label, "label name in {text:?}");
        }
    }

    #[test]
    fn other_names_are_shown_with_underscores() {
        assert_eq!(exposed_metric_name("a:b_1"), "a:b_1");
        assert_eq!(exposed_metric_name("my.metric-1"), "my_metric_1");
        assert_eq!(exposed_metric_name("1st"), "_st");
        assert_eq!(exposed_metric_name("é"), "_");
        assert_eq!(exposed_label_name("a:b"), "a_b");
    }
}
