//! Where the values of a body stand, and other things that change with them: all else is the same in pushes that are alike.

use std::ops::Range;

use smallvec::SmallVec;

use crate::exposition::format::PushFormat;
use crate::exposition::number::{parse_float, read_float};

/// Bytes of a number as text, at the most: markers take as many, so whatever is filled in is within the limit of a line.
pub(super) const LONGEST_DECIMAL: usize = 32;

/// Something that changes from push to push, or its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    /// A number as text.
    Decimal,
    /// A number of JSON: finite, and ended by what ends a value.
    Json,
    /// A float of eight bytes (protobuf `double`).
    Double,
    /// A whole count (protobuf `uint64`).
    Count,
    /// The length of what follows up to the [`Variable::End`] that belongs to it.
    Length,
    /// Takes no bytes.
    End,
}

impl Variable {
    pub fn is_value(self) -> bool {
        matches!(self, Self::Decimal | Self::Json | Self::Double | Self::Count)
    }
}

/// What changes in a body, in its order. Ends with `None` where the body is not written as usual.
pub(super) fn variables(format: PushFormat, body: &[u8]) -> impl Iterator<Item = Option<(Range<usize>, Variable)>> {
    let (text, messages, observations): (&[u8], &[u8], &[u8]) = match format {
        PushFormat::Text | PushFormat::OpenMetrics => (body, b"", b""),
        PushFormat::Protobuf => (b"", body, b""),
        PushFormat::Observations(_) => (b"", b"", body),
    };
    let messages = Messages { body: messages, at: 0, open: SmallVec::new() };
    Lines { body: text, at: 0 }.chain(messages).chain(Members { body: observations, at: 0 })
}

/// The same without lengths of messages that have no count in them: their lengths are the same too.
pub(super) fn without_fixed_lengths(mut variables: Vec<(Range<usize>, Variable)>) -> Vec<(Range<usize>, Variable)> {
    let mut is_fixed = vec![false; variables.len()];
    // Where messages begin that have been entered, and whether a count has been met in each.
    let mut open: SmallVec<[(usize, bool); 4]> = SmallVec::new();
    for (index, (_, variable)) in variables.iter().enumerate() {
        match variable {
            Variable::Length => open.push((index, false)),
            Variable::Count => open.iter_mut().for_each(|(_, has_count)| *has_count = true),
            Variable::End => {
                if let Some((begin, false)) = open.pop() {
                    (is_fixed[begin], is_fixed[index]) = (true, true);
                }
            }
            Variable::Decimal | Variable::Json | Variable::Double => {}
        }
    }
    let mut is_fixed = is_fixed.into_iter();
    variables.retain(|_| !is_fixed.next().unwrap_or(false));
    variables
}

/// Numbers at the ends of lines that are no comments.
struct Lines<'b> {
    body: &'b [u8],
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = Option<(Range<usize>, Variable)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.body.get(self.at..).filter(|rest| !rest.is_empty())?;
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let (start, line) = (self.at, rest[..end].trim_ascii_end());
            self.at += end + 1;
            if !matches!(line.trim_ascii_start().first(), None | Some(b'#')) {
                let value = memchr::memrchr2(b' ', b'\t', line).map_or(0, |blank| blank + 1);
                let is_number = read_float(&line[value..]).is_some_and(|(_, length)| value + length == line.len());
                return Some(is_number.then_some((start + value..start + line.len(), Variable::Decimal)));
            }
        }
    }
}

/// Values of members that are called so in quotes.
struct Members<'b> {
    body: &'b [u8],
    at: usize,
}

impl Iterator for Members<'_> {
    type Item = Option<(Range<usize>, Variable)>;

    fn next(&mut self) -> Option<Self::Item> {
        const KEY: &[u8] = b"\"value\"";
        loop {
            let rest = self.body.get(self.at..)?;
            let behind = memchr::memmem::find(rest, KEY)? + KEY.len();
            self.at += behind;
            // It may be a value itself.
            let Some(value) = rest[behind..].trim_ascii_start().strip_prefix(b":") else { continue };
            let value = value.trim_ascii_start();
            self.at = self.body.len() - value.len();
            let start = self.at;
            return Some(read_json(value).map(|(_, length)| (start..start + length, Variable::Json)));
        }
    }
}

/// Reads a finite number that is not in quotes, up to what ends a value of JSON.
#[inline]
pub(super) fn read_json(text: &[u8]) -> Option<(f64, usize)> {
    let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']') || *byte <= b' ';
    let length = text.iter().take(LONGEST_DECIMAL + 1).position(is_end)?;
    parse_float(&text[..length]).filter(|value| value.is_finite()).map(|value| (value, length))
}

/// What changes in the messages of `proto/`: values, counts, and with the latter the lengths around them.
struct Messages<'b> {
    body: &'b [u8],
    at: usize,
    /// Where each message ends that has been entered, and what it is.
    open: SmallVec<[(usize, Kind); 4]>,
}

/// Messages with values in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Family,
    Metric,
    /// A counter, a gauge, an untyped one.
    Number,
    Summary,
    Quantile,
    Histogram,
    Bucket,
}

/// What a field of a message is, if it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Message(Kind),
    Value(Variable),
}

const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const BYTES: u64 = 2;
const FOUR_BYTES: u64 = 5;

impl Kind {
    fn field(self, number: u64, wire_type: u64) -> Option<Field> {
        Some(match (self, number, wire_type) {
            (Self::Family, 4, BYTES) => Field::Message(Self::Metric),
            (Self::Metric, 2 | 3 | 5, BYTES) => Field::Message(Self::Number),
            (Self::Metric, 4, BYTES) => Field::Message(Self::Summary),
            (Self::Metric, 7, BYTES) => Field::Message(Self::Histogram),
            (Self::Summary, 3, BYTES) => Field::Message(Self::Quantile),
            (Self::Histogram, 3, BYTES) => Field::Message(Self::Bucket),
            (Self::Number, 1, EIGHT_BYTES) => Field::Value(Variable::Double),
            (Self::Summary | Self::Histogram | Self::Quantile, 2, EIGHT_BYTES) => Field::Value(Variable::Double),
            (Self::Summary | Self::Histogram | Self::Bucket, 1, VARINT) => Field::Value(Variable::Count),
            _ => return None,
        })
    }
}

impl Iterator for Messages<'_> {
    type Item = Option<(Range<usize>, Variable)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.body.len() && self.open.is_empty() {
            return None;
        }
        Some(self.variable())
    }
}

impl Messages<'_> {
    fn variable(&mut self) -> Option<(Range<usize>, Variable)> {
        loop {
            let Some((end, kind)) = self.open.last().copied() else { return self.message(Kind::Family) };
            if self.at >= end {
                self.open.pop();
                return (self.at == end).then_some((end..end, Variable::End));
            }
            let tag = self.varint()?;
            match (kind.field(tag >> 3, tag & 7), tag & 7) {
                (Some(Field::Message(kind)), _) => return self.message(kind),
                (Some(Field::Value(variable)), _) => {
                    let start = self.at;
                    match variable {
                        Variable::Double => self.skip(8)?,
                        _ => _ = self.varint()?,
                    }
                    return Some((start..self.at, variable));
                }
                // A count as a float takes the whole one's place, or not, by its value.
                (None, EIGHT_BYTES) if matches!(kind, Kind::Histogram | Kind::Bucket) && tag >> 3 == 4 => return None,
                (None, VARINT) => _ = self.varint()?,
                (None, EIGHT_BYTES) => self.skip(8)?,
                (None, BYTES) => {
                    let length = self.varint()?;
                    self.skip(length)?;
                }
                (None, FOUR_BYTES) => self.skip(4)?,
                (None, _) => return None,
            }
        }
    }

    fn message(&mut self, kind: Kind) -> Option<(Range<usize>, Variable)> {
        let start = self.at;
        let length = self.varint()?;
        let length_text = start..self.at;
        let end = self.at.checked_add(usize::try_from(length).ok()?).filter(|end| *end <= self.body.len())?;
        self.open.push((end, kind));
        Some((length_text, Variable::Length))
    }

    fn varint(&mut self) -> Option<u64> {
        let (value, length) = read_varint(self.body.get(self.at..)?)?;
        self.at += length;
        Some(value)
    }

    fn skip(&mut self, bytes: u64) -> Option<()> {
        self.at = self.at.checked_add(usize::try_from(bytes).ok()?).filter(|at| *at <= self.body.len())?;
        Some(())
    }
}

/// Reads a protobuf varint, and returns its length too.
#[inline]
pub(super) fn read_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(9).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    // Ten bytes are not what anyone counts to.
    None
}

/// Writes the body with a marker in place of each value: whole numbers from `first_marker` on.
pub(super) fn with_markers(body: &[u8], variables: &[(Range<usize>, Variable)], first_marker: u64) -> Vec<u8> {
    let mut marked = Vec::with_capacity(body.len() + 16 * variables.len());
    let (mut at, mut marker) = (0, first_marker);
    // Where lengths stand whose ends are still to come.
    let mut open: SmallVec<[usize; 4]> = SmallVec::new();
    for (span, variable) in variables {
        marked.extend_from_slice(&body[at..span.start]);
        at = span.end;
        match variable {
            Variable::Decimal | Variable::Json => {
                marked.extend_from_slice(format!("{marker:0LONGEST_DECIMAL$}").as_bytes())
            }
            Variable::Double => marked.extend_from_slice(&(marker as f64).to_le_bytes()),
            Variable::Count => marked.extend_from_slice(&wide_varint::<9>(marker)),
            Variable::Length => {
                open.push(marked.len());
                marked.extend_from_slice(&wide_varint::<5>(0));
            }
            Variable::End => {
                if let Some(start) = open.pop() {
                    let length = marked.len() - start - 5;
                    marked[start..start + 5].copy_from_slice(&wide_varint::<5>(length as u64));
                }
            }
        }
        marker += u64::from(variable.is_value());
    }
    marked.extend_from_slice(&body[at..]);
    marked
}

/// A varint of so many bytes, whatever its value.
fn wide_varint<const LENGTH: usize>(value: u64) -> [u8; LENGTH] {
    std::array::from_fn(|index| {
        let goes_on = if index + 1 < LENGTH { 0x80 } else { 0 };
        (value >> (7 * index)) as u8 & 0x7F | goes_on
    })
}
