//! What a decoder says of a body it cannot take, and the limits it keeps.

use std::fmt;

/// The limits of one push. Lengths are in bytes of the text as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One line without its end.
    pub line_length: usize,
    /// Labels of one series, those of the path included.
    pub labels: usize,
    /// A metric or label name.
    pub name_length: usize,
    /// A label value.
    pub value_length: usize,
    /// The label text of one series, with the labels of the path.
    pub series_length: usize,
    /// The label texts of one push: a long path may make them far longer than its body.
    pub push_length: usize,
    /// Samples of one push: lines of text; in protobuf families, metrics, buckets and quantiles. Each takes memory while it is
    /// decoded, however short it is. Also lines of HELP and TYPE.
    pub samples: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line_length: 64 * 1024,
            labels: 64,
            name_length: 256,
            value_length: 4096,
            series_length: 8192,
            push_length: 64 << 20,
            samples: 500_000,
        }
    }
}

/// Where in a body something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line, counted from 1.
    Line(u32),
    /// A metric of a protobuf body, counted from 1 over all its families.
    Metric(u32),
    /// An observation, counted from 1 over the whole body.
    Observation(u32),
    /// A byte, counted from 0.
    Byte(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(formatter, "line {number}"),
            Self::Metric(number) => write!(formatter, "metric {number}"),
            Self::Observation(number) => write!(formatter, "observation {number}"),
            Self::Byte(number) => write!(formatter, "byte {number}"),
        }
    }
}

/// A refused body: where, what was expected, what stood there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: expected {expected}, got {got}")]
pub struct DecodeError {
    /// Where it stands.
    pub place: Place,
    /// What the format, or a limit, allows there.
    pub expected: String,
    /// What stood there.
    pub got: Excerpt,
}

/// The refusal of a body that is no UTF-8 from byte `at` on.
pub(super) fn not_utf8(body: &[u8], at: usize) -> DecodeError {
    let line = memchr::memchr_iter(b'\n', &body[..at]).count() as u32 + 1;
    let got = Excerpt::words(format!("byte 0x{:02x}", body[at]));
    DecodeError { place: Place::Line(line), expected: "UTF-8".to_owned(), got }
}

/// A short piece of the refused text, safe to print on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    const LENGTH: usize = 32;

    /// The rest of the line from `text`'s beginning on, cut after a few characters.
    pub fn of(text: &[u8]) -> Self {
        let line = match memchr::memchr(b'\n', &text[..text.len().min(4 * Self::LENGTH)]) {
            Some(0) => return Self("end of line".to_owned()),
            Some(end) => &text[..end],
            None if text.is_empty() => return Self("end of body".to_owned()),
            None => &text[..text.len().min(4 * Self::LENGTH)],
        };
        let readable = String::from_utf8_lossy(line);
        let mut excerpt: String = readable.chars().take(Self::LENGTH).collect();
        if readable.chars().nth(Self::LENGTH).is_some() {
            excerpt.push('…');
        }
        Self(format!("{excerpt:?}"))
    }

    /// Something that is said in words instead of quoted; cut where it is long.
    pub fn words(words: impl Into<String>) -> Self {
        const LENGTH: usize = 200;
        let mut words = words.into();
        if let Some((end, _)) = words.char_indices().nth(LENGTH) {
            words.truncate(end);
            words.push('…');
        }
        Self(words)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_one_short_line() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "end of body"),
            (b"\nnext", "end of line"),
            (b"abc\nnext", r#""abc""#),
            (b"a\"\t\xff", "\"a\\\"\\t\u{fffd}\""),
            (&[b'x'; 1000], r#""xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…""#),
        ];
        for (text, expected) in cases {
            assert_eq!(Excerpt::of(text).to_string(), *expected);
        }
        assert_eq!(Excerpt::words("é".repeat(1000)).to_string().chars().count(), 201);
    }
}
